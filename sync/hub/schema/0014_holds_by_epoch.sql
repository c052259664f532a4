-- A held vehicle is known by device, epoch and number: a lane whose disk was lost counts from an earlier number again, and
-- what was done about the vehicle before was not done about this one (S5).
DROP TABLE console_holds;
CREATE TABLE console_holds (
  device TEXT NOT NULL,
  epoch TEXT NOT NULL,
  passage INTEGER NOT NULL,
  owner TEXT NOT NULL,
  taken_utc TEXT NOT NULL,
  escalated_utc TEXT NOT NULL DEFAULT '',
  note TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (device, epoch, passage)
) WITHOUT ROWID;
ALTER TABLE console_steps ADD COLUMN epoch TEXT NOT NULL DEFAULT '';
ALTER TABLE console_releases ADD COLUMN epoch TEXT NOT NULL DEFAULT '';
