-- One row: which store this is. A copy or a restored backup is told by `opens` against the lock file.
CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    store_id TEXT NOT NULL,
    device TEXT NOT NULL,
    made_utc TEXT NOT NULL,
    opens INTEGER NOT NULL,
    generation INTEGER
) STRICT;

-- The current epoch is the one with the highest number.
CREATE TABLE epochs (
    epoch_no INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL UNIQUE,
    began_utc TEXT NOT NULL,
    why TEXT NOT NULL
) STRICT;

-- Archives that acknowledged, in the order they appeared; only the newest one's word counts.
CREATE TABLE archives (
    archive_no INTEGER PRIMARY KEY,
    archive_id TEXT NOT NULL UNIQUE,
    first_counter INTEGER NOT NULL,
    first_seen_utc TEXT NOT NULL
) STRICT;

-- Per epoch and stream. Facts above `acked` are owed to the centre, those from `reissued_from` on were issued
-- again in a later epoch, those up to `dropped_seq` were acknowledged and have left by retention.
CREATE TABLE heads (
    epoch_no INTEGER NOT NULL,
    stream TEXT NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    position INTEGER NOT NULL,
    acked INTEGER NOT NULL,
    acked_hash TEXT NOT NULL,
    ack_counter INTEGER NOT NULL,
    reissued_from INTEGER,
    dropped_seq INTEGER NOT NULL,
    dropped_hash TEXT NOT NULL,
    dropped_position INTEGER NOT NULL,
    PRIMARY KEY (epoch_no, stream)
) WITHOUT ROWID, STRICT;

-- `place` orders by epoch, stream and sequence (sync/store/places.py), so that the table is its own index and
-- a commit dirties one page of it. The columns repeat parts of `body`; verification compares them.
CREATE TABLE facts (
    place INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    passage INTEGER,
    time TEXT NOT NULL,
    hash TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE uses (
    use_id TEXT PRIMARY KEY,
    slip_no TEXT NOT NULL,
    passage INTEGER NOT NULL,
    claim_id TEXT NOT NULL,
    state TEXT NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX uses_by_slip ON uses (slip_no);
CREATE INDEX uses_open ON uses (use_id) WHERE state IN ('reserved', 'raised');

CREATE TABLE spot_checks (
    plate TEXT PRIMARY KEY,
    enterprise TEXT NOT NULL,
    day TEXT NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE lane (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    state BLOB NOT NULL
) STRICT;

-- For people with a SQLite shell.
CREATE VIEW facts_named AS
SELECT epochs.epoch,
       CASE (place >> 44) & 15 WHEN 1 THEN 'alarm' WHEN 2 THEN 'routine' END AS stream,
       place & ((1 << 44) - 1) AS seq,
       position, event_id, kind, passage, time, hash, body
FROM facts JOIN epochs ON epochs.epoch_no = place >> 48;
