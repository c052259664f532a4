-- The hub's archive. Names of tables and columns are a contract: an independent checker reads them.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE devices (
  device TEXT PRIMARY KEY,
  public_pem TEXT NOT NULL,
  revoked INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Facts: body is the exact text the hash covers.
CREATE TABLE facts (
  device TEXT NOT NULL,
  epoch TEXT NOT NULL,
  stream TEXT NOT NULL,
  seq INTEGER NOT NULL,
  position INTEGER NOT NULL,
  event_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  passage INTEGER,
  time TEXT NOT NULL,
  hash TEXT NOT NULL,
  body TEXT NOT NULL,
  stored_utc TEXT NOT NULL,
  PRIMARY KEY (device, epoch, stream, seq)
) WITHOUT ROWID;

-- counter: the device's acknowledgement counter when this stream last changed; it never goes back.
CREATE TABLE streams (
  device TEXT NOT NULL,
  epoch TEXT NOT NULL,
  stream TEXT NOT NULL,
  contiguous INTEGER NOT NULL,
  head_hash TEXT NOT NULL,
  counter INTEGER NOT NULL,
  PRIMARY KEY (device, epoch, stream)
) WITHOUT ROWID;

-- announced: 1 once the epoch's own `epoch_began` fact is stored. ordinal: order in which epochs were first seen.
CREATE TABLE epochs (
  ordinal INTEGER PRIMARY KEY,
  device TEXT NOT NULL,
  epoch TEXT NOT NULL,
  announced INTEGER NOT NULL,
  old_epoch TEXT NOT NULL,
  old_heads TEXT NOT NULL,
  why TEXT NOT NULL,
  first_utc TEXT NOT NULL,
  UNIQUE (device, epoch)
);

CREATE TABLE branches (
  device TEXT NOT NULL,
  epoch TEXT NOT NULL,
  stream TEXT NOT NULL,
  seq INTEGER NOT NULL,
  hash TEXT NOT NULL,
  event_id TEXT NOT NULL,
  body TEXT NOT NULL,
  stored_utc TEXT NOT NULL,
  PRIMARY KEY (device, epoch, stream, seq, hash)
) WITHOUT ROWID;

CREATE TABLE checkpoints (
  device TEXT NOT NULL,
  epoch TEXT NOT NULL,
  position INTEGER NOT NULL,
  body TEXT NOT NULL,
  kid TEXT NOT NULL,
  sig TEXT NOT NULL,
  stored_utc TEXT NOT NULL,
  PRIMARY KEY (device, epoch, position, sig)
) WITHOUT ROWID;

CREATE TABLE parked (
  id INTEGER PRIMARY KEY,
  topic TEXT NOT NULL,
  payload BLOB NOT NULL,
  why TEXT NOT NULL,
  stored_utc TEXT NOT NULL
);

CREATE TABLE hub_alarms (
  id INTEGER PRIMARY KEY,
  at_utc TEXT NOT NULL,
  device TEXT NOT NULL,
  code TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX hub_alarms_by_code ON hub_alarms (code, device, detail);

CREATE TABLE statuses (
  device TEXT PRIMARY KEY,
  body TEXT NOT NULL,
  received_utc TEXT NOT NULL
) WITHOUT ROWID;

-- Claims and slip uses (S4).
CREATE TABLE claims (
  claim_id TEXT PRIMARY KEY,
  device TEXT NOT NULL,
  passage INTEGER NOT NULL,
  plate TEXT NOT NULL,
  verdict TEXT NOT NULL,
  why TEXT NOT NULL,
  asked_utc TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE claim_slips (
  claim_id TEXT NOT NULL,
  slip_no TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('granted', 'crossed', 'returned', 'refused')),
  PRIMARY KEY (claim_id, slip_no)
) WITHOUT ROWID;
CREATE INDEX claim_slips_by_slip ON claim_slips (slip_no, state);

-- What facts said about a claim, whether or not the claim itself ever arrived here.
CREATE TABLE claim_ends (
  device TEXT NOT NULL,
  claim_id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('crossed', 'returned')),
  position INTEGER NOT NULL,
  PRIMARY KEY (device, claim_id)
) WITHOUT ROWID;

-- One row a slip use as its facts tell it, in whatever order they arrive: slip_no from the ruling, state and
-- position from the crossing or the return. Empty text: not told yet.
CREATE TABLE uses (
  device TEXT NOT NULL,
  use_id TEXT NOT NULL,
  slip_no TEXT NOT NULL DEFAULT '',
  claim_id TEXT NOT NULL DEFAULT '',
  passage INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT '' CHECK (state IN ('', 'crossed', 'returned')),
  position INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (device, use_id)
) WITHOUT ROWID;
CREATE INDEX uses_by_slip ON uses (slip_no, state);

-- Records down: every version of every record stays in the log.
CREATE TABLE scopes (
  scope TEXT PRIMARY KEY,
  epoch TEXT NOT NULL,
  number INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  digest TEXT NOT NULL,
  head_issued TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE log (
  scope TEXT NOT NULL,
  epoch TEXT NOT NULL,
  number INTEGER NOT NULL,
  collection TEXT NOT NULL,
  key TEXT NOT NULL,
  op TEXT NOT NULL CHECK (op IN ('put', 'delete')),
  body TEXT NOT NULL,
  at_utc TEXT NOT NULL,
  PRIMARY KEY (scope, epoch, number)
) WITHOUT ROWID;
CREATE TABLE records (
  scope TEXT NOT NULL,
  collection TEXT NOT NULL,
  key TEXT NOT NULL,
  body TEXT NOT NULL,
  number INTEGER NOT NULL,
  PRIMARY KEY (scope, collection, key)
) WITHOUT ROWID;
