-- What handhelds show and count became known to this version: rows kept unread until now move to their own
-- tables.
CREATE TABLE order_standings (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE "references" (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE x_rays (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE stock_book (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE patrol_routes (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE traces (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
INSERT INTO order_standings SELECT key, body FROM other_records WHERE collection = 'order_standings';
INSERT INTO "references" SELECT key, body FROM other_records WHERE collection = 'references';
INSERT INTO x_rays SELECT key, body FROM other_records WHERE collection = 'x_rays';
INSERT INTO stock_book SELECT key, body FROM other_records WHERE collection = 'stock_book';
INSERT INTO patrol_routes SELECT key, body FROM other_records WHERE collection = 'patrol_routes';
INSERT INTO traces SELECT key, body FROM other_records WHERE collection = 'traces';
DELETE FROM other_records
WHERE collection IN ('order_standings', 'references', 'x_rays', 'stock_book', 'patrol_routes', 'traces');

-- Ways in by what an officer scans. A way begins with the letter of what it leads to and of what it is:
-- `S@` a shelf and `S#` an SKU to stock rows, `R#` an SKU and `R%` an HS code to references, `O/` a waybill and
-- `O=` a slip to inspection orders, `T/` a waybill to traces.
CREATE TABLE found_by (way TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (way, key)) WITHOUT ROWID, STRICT;
INSERT OR IGNORE INTO found_by SELECT 'S@' || json_extract(body, '$.location'), key FROM stock_book;
INSERT OR IGNORE INTO found_by SELECT 'S#' || json_extract(body, '$.sku'), key FROM stock_book
WHERE COALESCE(json_extract(body, '$.sku'), '') <> '';
INSERT OR IGNORE INTO found_by SELECT 'R#' || json_extract(body, '$.sku'), key FROM "references"
WHERE COALESCE(json_extract(body, '$.sku'), '') <> '';
INSERT OR IGNORE INTO found_by SELECT 'R%' || json_extract(body, '$.hs_code'), key FROM "references"
WHERE COALESCE(json_extract(body, '$.hs_code'), '') <> '';
INSERT OR IGNORE INTO found_by SELECT 'O=' || json_extract(body, '$.slip_no'), key FROM inspection_orders
WHERE COALESCE(json_extract(body, '$.slip_no'), '') <> '';
INSERT OR IGNORE INTO found_by SELECT 'O/' || value, inspection_orders.key
FROM inspection_orders, json_each(body, '$.waybill_nos');
INSERT OR IGNORE INTO found_by SELECT 'T/' || json_extract(body, '$.waybill_no'), key FROM traces
WHERE COALESCE(json_extract(body, '$.waybill_no'), '') <> '';
