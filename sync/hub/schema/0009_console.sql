-- Who may open the console, and what was done and read there. verifier: argon2id, encoded. roles: a JSON list.
CREATE TABLE console_accounts (
  officer_no TEXT PRIMARY KEY,
  roles TEXT NOT NULL,
  verifier TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'closed')),
  changed_utc TEXT NOT NULL,
  changed_by TEXT NOT NULL
) WITHOUT ROWID;
-- Reads of what concerns a person or a firm: who looked at what, and when.
CREATE TABLE console_reads (
  id INTEGER PRIMARY KEY,
  at_utc TEXT NOT NULL,
  officer TEXT NOT NULL,
  what TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX console_reads_by_time ON console_reads (at_utc);
CREATE INDEX console_reads_by_officer ON console_reads (officer, at_utc);
-- Who has taken an alarm in hand and when it was ended. Which: `DEVICE/EPOCH/STREAM/SEQ`, or `hub/ID`.
CREATE TABLE console_alarms (
  alarm TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  taken_utc TEXT NOT NULL,
  ended_utc TEXT NOT NULL DEFAULT '',
  note TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX console_alarms_ended ON console_alarms (ended_utc);
-- Who has a held vehicle in hand at the exception desk.
CREATE TABLE console_holds (
  device TEXT NOT NULL,
  passage INTEGER NOT NULL,
  owner TEXT NOT NULL,
  taken_utc TEXT NOT NULL,
  escalated_utc TEXT NOT NULL DEFAULT '',
  note TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (device, passage)
) WITHOUT ROWID;
-- All facts of one passage, for its page.
CREATE INDEX facts_by_passage ON facts (device, passage) WHERE passage IS NOT NULL;
