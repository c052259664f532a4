-- By slip, as they are asked for: the table is its own index, and a commit writes one page of it where it wrote
-- three. An id is of one slip for ever. Open ones are asked for once, at a start, by looking at all.
CREATE TABLE uses_of_slips (
    use_id TEXT NOT NULL,
    slip_no TEXT NOT NULL,
    passage INTEGER NOT NULL,
    claim_id TEXT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (slip_no, use_id)
) WITHOUT ROWID, STRICT;
INSERT INTO uses_of_slips SELECT use_id, slip_no, passage, claim_id, state FROM uses;
DROP TABLE uses;
ALTER TABLE uses_of_slips RENAME TO uses;
