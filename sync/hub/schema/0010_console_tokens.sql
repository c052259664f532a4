-- Programs that may read at the console's API. The token itself is nowhere: sha256 is its hash.
CREATE TABLE console_tokens (
  name TEXT PRIMARY KEY,
  sha256 TEXT NOT NULL UNIQUE,
  made_utc TEXT NOT NULL,
  made_by TEXT NOT NULL,
  valid_until_utc TEXT NOT NULL,
  revoked_utc TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
