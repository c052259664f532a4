-- The sums of a scope's 4,096 digest buckets, 64 to a shelf, 32 hex digits each. An absent shelf is all zeros; sums
-- that do not add up to the scope's digest (an archive of before this step) are taken from the rows anew.
CREATE TABLE bucket_sums (
  scope TEXT NOT NULL,
  shelf INTEGER NOT NULL,
  sums TEXT NOT NULL,
  PRIMARY KEY (scope, shelf)
) WITHOUT ROWID;
-- A record as it was: every version of it stands in the log.
CREATE INDEX log_by_key ON log (scope, collection, key, epoch, number);
-- Scopes a device may pull. A device that has none here may pull every scope.
CREATE TABLE device_scopes (
  device TEXT NOT NULL,
  scope TEXT NOT NULL,
  PRIMARY KEY (device, scope)
) WITHOUT ROWID;
