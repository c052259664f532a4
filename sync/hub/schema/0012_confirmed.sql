-- Who gave the account its first password, or reset it, and when and by what its officer was then proved to be the one
-- who uses it: empty until that (S8).
ALTER TABLE console_accounts ADD COLUMN given_by TEXT NOT NULL DEFAULT '';
ALTER TABLE console_accounts ADD COLUMN confirmed_utc TEXT NOT NULL DEFAULT '';
ALTER TABLE console_accounts ADD COLUMN confirmed_by TEXT NOT NULL DEFAULT '';
