-- What the centre commands, and what became of it: a running hub publishes what it finds here. body: the act as
-- JSON, officers: a JSON list. state: waiting (not said yet), sent, accepted, done, refused, expired.
CREATE TABLE commands (
  command_id TEXT PRIMARY KEY,
  device TEXT NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  officers TEXT NOT NULL,
  reason TEXT NOT NULL,
  given_utc TEXT NOT NULL,
  good_until_utc TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'accepted', 'done', 'refused', 'expired')),
  why TEXT NOT NULL DEFAULT '',
  nonce TEXT NOT NULL DEFAULT '',
  sent_utc TEXT NOT NULL DEFAULT '',
  times INTEGER NOT NULL DEFAULT 0,
  answered_utc TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX commands_open ON commands (good_until_utc) WHERE state IN ('waiting', 'sent', 'accepted');
CREATE INDEX commands_by_device ON commands (device, given_utc);

-- What people did at the centre itself, such as ending a claim by hand.
CREATE TABLE centre_acts (
  id INTEGER PRIMARY KEY,
  at_utc TEXT NOT NULL,
  act TEXT NOT NULL,
  subject TEXT NOT NULL,
  officers TEXT NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL
);

CREATE INDEX claim_slips_open ON claim_slips (claim_id) WHERE state = 'granted';

-- What facts said about inspection orders, one row a fact.
CREATE TABLE order_steps (
  order_no TEXT NOT NULL,
  step TEXT NOT NULL CHECK (step IN ('taken', 'inspected', 'found')),
  device TEXT NOT NULL,
  event_id TEXT NOT NULL,
  officers TEXT NOT NULL,
  time TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (device, event_id)
) WITHOUT ROWID;
CREATE INDEX order_steps_by_order ON order_steps (order_no);
