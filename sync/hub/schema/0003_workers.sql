-- Several hub workers on one database. witnesses: every token an opening or a renewal left here; what a worker last
-- saw must still be among them. slip_locks: a row to lock where several decide on one slip at once; the embedded
-- engine, which has one writer, leaves both empty.
CREATE TABLE witnesses (
  number INTEGER PRIMARY KEY,
  token TEXT NOT NULL UNIQUE
);
CREATE TABLE slip_locks (slip_no TEXT PRIMARY KEY) WITHOUT ROWID;
