-- Passage receipts (SAS223, SAS253), one for each slip use whose vehicle crossed. receipt: 0 none yet, 1 made,
-- 2 none can be made. state: made, ready (whole on the disk beside the out-folder), out.
ALTER TABLE uses ADD COLUMN receipt INTEGER NOT NULL DEFAULT 0;
CREATE INDEX uses_without_receipt ON uses (device, use_id) WHERE state = 'crossed' AND receipt = 0;
CREATE INDEX facts_of_passages ON facts (device, passage)
  WHERE kind IN ('ruling_made', 'vehicle_crossed');
CREATE TABLE receipts (
  id INTEGER PRIMARY KEY,
  device TEXT NOT NULL,
  use_id TEXT NOT NULL,
  slip_no TEXT NOT NULL,
  gate TEXT NOT NULL CHECK (gate IN ('only', 'first', 'second')),
  passed_at TEXT NOT NULL,
  file_name TEXT NOT NULL UNIQUE,
  body TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('made', 'ready', 'out')),
  made_utc TEXT NOT NULL,
  UNIQUE (device, use_id)
);
CREATE INDEX receipts_of_slip ON receipts (slip_no);
CREATE INDEX receipts_not_out ON receipts (id) WHERE state <> 'out';
