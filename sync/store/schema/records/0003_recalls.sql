-- Recalls became known to this version: those kept unread until now move to their own table.
CREATE TABLE recalls (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
INSERT INTO recalls SELECT key, body FROM other_records WHERE collection = 'recalls';
DELETE FROM other_records WHERE collection = 'recalls';

-- A slip is found by its card too: `#` and the card's number, where a plate stands otherwise.
INSERT OR IGNORE INTO slip_plates
SELECT '#' || json_extract(body, '$.card_no'), key FROM release_slips
WHERE COALESCE(json_extract(body, '$.card_no'), '') <> '';
