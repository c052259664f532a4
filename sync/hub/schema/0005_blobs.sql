-- Evidence that facts name by its hash; the bytes lie in files beside the archive. One row a blob, whoever named
-- it: device is the first. state: missing, stored (whole, proved, durable), dropped (by retention).
CREATE TABLE blobs (
  sha256 TEXT PRIMARY KEY,
  device TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  class TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('missing', 'stored', 'dropped')),
  named_utc TEXT NOT NULL,
  stored_utc TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX blobs_by_state ON blobs (state, class, stored_utc);
CREATE INDEX blobs_by_device ON blobs (device, state);

CREATE TABLE blob_names (
  sha256 TEXT NOT NULL,
  device TEXT NOT NULL,
  epoch TEXT NOT NULL,
  stream TEXT NOT NULL,
  seq INTEGER NOT NULL,
  passage INTEGER,
  size_bytes INTEGER NOT NULL,
  PRIMARY KEY (sha256, device, epoch, stream, seq)
) WITHOUT ROWID;
CREATE INDEX blob_names_of_passage ON blob_names (device, passage);
