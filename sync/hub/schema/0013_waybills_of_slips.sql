-- Waybills by the slip they are on: its 24 characters behind the key, in the JSON as the hub writes it. A waybill on no
-- slip has some other 24 there; who looks reads the record itself.
CREATE INDEX waybills_by_slip ON records (substr(body, instr(body, '"slip_no":"') + 11, 24), key)
  WHERE collection = 'waybills';
