-- Officers became known to this version: those kept unread until now move to their own table.
CREATE TABLE officers (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
INSERT INTO officers SELECT key, body FROM other_records WHERE collection = 'officers';
DELETE FROM other_records WHERE collection = 'officers';
