-- Blobs that facts here name. `owed`: the centre's archive is not known to have it. `number` orders them as they
-- were named; the class that goes up first sorts first.
CREATE TABLE blobs (
    sha256 TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    class TEXT NOT NULL,
    passage INTEGER,
    state TEXT NOT NULL CHECK (state IN ('owed', 'acknowledged'))
) WITHOUT ROWID, STRICT;
CREATE INDEX blobs_owed ON blobs (class, number) WHERE state = 'owed';
CREATE INDEX blobs_of_passage ON blobs (passage) WHERE passage IS NOT NULL;

INSERT OR IGNORE INTO blobs
SELECT json_extract(body, '$.data.sha256'), position, json_extract(body, '$.data.size_bytes'), 'routine', passage,
       'owed'
FROM facts WHERE kind = 'picture_taken' ORDER BY position;

-- Retention goes by seconds that this store was open, counted here: no step of a clock adds to them (G7).
ALTER TABLE store ADD COLUMN counted_s REAL NOT NULL DEFAULT 0;
ALTER TABLE archives ADD COLUMN backup_interval_s REAL NOT NULL DEFAULT 0;

-- At `counted_s` the facts of a stream up to `seq` had been acknowledged, or issued again in a later epoch.
CREATE TABLE ack_marks (
    epoch_no INTEGER NOT NULL,
    stream TEXT NOT NULL,
    seq INTEGER NOT NULL,
    counted_s REAL NOT NULL,
    PRIMARY KEY (epoch_no, stream, seq)
) WITHOUT ROWID, STRICT;
