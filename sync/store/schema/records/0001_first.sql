-- One row: which scope's log this is and how far it was applied. `digest` is the sum mod 2^128 of all row
-- digests, 16 bytes big-endian.
CREATE TABLE feed (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    scope TEXT NOT NULL,
    epoch TEXT NOT NULL,
    number INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    digest BLOB NOT NULL,
    verified_utc TEXT
) STRICT;

-- The 4,096 bucket sums, 64 to a shelf, 16 bytes each: a large batch touches nearly all buckets, and 64 rows
-- are written in a tenth of the time that 4,096 take. An absent shelf is all zeros.
CREATE TABLE buckets (
    shelf INTEGER PRIMARY KEY,
    sums BLOB NOT NULL
) STRICT;

CREATE TABLE vehicles (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE release_slips (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE waybills (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE enterprises (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE controls (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE site (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;

-- Collections this version does not know: kept, counted in the digest, never dropped.
CREATE TABLE other_records (
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (collection, key)
) WITHOUT ROWID, STRICT;

-- Ways in by what a lane reads.
CREATE TABLE vehicle_tags (epc TEXT NOT NULL, plate TEXT NOT NULL, PRIMARY KEY (epc, plate)) WITHOUT ROWID, STRICT;
CREATE TABLE slip_plates (plate TEXT NOT NULL, slip_no TEXT NOT NULL, PRIMARY KEY (plate, slip_no)) WITHOUT ROWID, STRICT;
