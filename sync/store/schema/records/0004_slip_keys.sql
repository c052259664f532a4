-- Keys of slip codes became known to this version: those kept unread until now move to their own table.
CREATE TABLE slip_keys (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
INSERT INTO slip_keys SELECT key, body FROM other_records WHERE collection = 'slip_keys';
DELETE FROM other_records WHERE collection = 'slip_keys';
