-- What was done at the exception desk about a held vehicle, in order. what: take, leave, escalate, calm, board, release,
-- aside, supplement, close, order. ref: the command or inspection order it became; its outcome stands there.
CREATE TABLE console_steps (
  device TEXT NOT NULL,
  passage INTEGER NOT NULL,
  at_utc TEXT NOT NULL,
  step_id TEXT NOT NULL,
  officers TEXT NOT NULL,
  what TEXT NOT NULL,
  ref TEXT NOT NULL,
  detail TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (device, passage, at_utc, step_id)
) WITHOUT ROWID;
-- A manual release that waits for its second officer (S8). command_id: what it became; empty until then.
CREATE TABLE console_releases (
  release_id TEXT PRIMARY KEY,
  device TEXT NOT NULL,
  passage INTEGER NOT NULL,
  aside INTEGER NOT NULL,
  asked_by TEXT NOT NULL,
  reason TEXT NOT NULL,
  asked_utc TEXT NOT NULL,
  until_utc TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'given', 'withdrawn')),
  answered_by TEXT NOT NULL DEFAULT '',
  command_id TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX console_releases_waiting ON console_releases (device, passage) WHERE state = 'waiting';
-- Live pictures and sound that were kept, and who kept them.
CREATE TABLE console_recordings (
  name TEXT PRIMARY KEY,
  device TEXT NOT NULL,
  session TEXT NOT NULL,
  shown_by TEXT NOT NULL,
  kept_by TEXT NOT NULL,
  reason TEXT NOT NULL,
  began_utc TEXT NOT NULL,
  ended_utc TEXT NOT NULL DEFAULT '',
  pictures INTEGER NOT NULL DEFAULT 0,
  size_bytes INTEGER NOT NULL DEFAULT 0,
  sha256 TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX console_recordings_by_time ON console_recordings (began_utc);
