"""SQLite: the journal, the records, their schema steps. The only room with SQL, the hub's archive aside."""
