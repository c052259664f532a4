-- While facts of an epoch that was left are issued again in the current one, a few at a time: from issuing_from on
-- (0: nothing is), up to issuing_to it is done.
ALTER TABLE heads ADD COLUMN issuing_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE heads ADD COLUMN issuing_to INTEGER NOT NULL DEFAULT 0;
