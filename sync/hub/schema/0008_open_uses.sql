-- A use counts from the ruling that reserved it, not only from its crossing (S4): a lane that ruled by the written
-- policy has no grant to show for it. claim_id: from now on also what the ruling stood on. told_utc: when the hub first
-- heard of the use, by its own clock.
ALTER TABLE uses ADD COLUMN told_utc TEXT NOT NULL DEFAULT '';

-- Open uses of before this step stand on their passage's grant, where one is open or an officer has ended it.
UPDATE uses SET claim_id = coalesce((
  SELECT min(c.claim_id) FROM claims c
  JOIN claim_slips s ON s.claim_id = c.claim_id AND s.slip_no = uses.slip_no
  LEFT JOIN claim_ends e ON e.claim_id = c.claim_id AND e.device = c.device
  WHERE c.device = uses.device AND c.passage = uses.passage
    AND (s.state = 'granted' OR (s.state = 'returned' AND e.position = 0))
), '') WHERE state = '' AND slip_no <> '';
UPDATE uses SET told_utc = coalesce((
  SELECT min(f.stored_utc) FROM facts f
  WHERE f.kind IN ('ruling_made', 'vehicle_crossed') AND f.device = uses.device AND f.passage = uses.passage
), '1970-01-01T00:00:00.000000Z') WHERE state = '' AND slip_no <> '';

CREATE INDEX uses_open ON uses (told_utc, device, use_id) WHERE state = '' AND slip_no <> '';
