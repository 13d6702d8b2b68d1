-- Tries, of `attempts`, that someone asked for: they use up nothing of the schedule. A node of the version before counts none,
-- as it always did, and leaves alone what is counted here.
ALTER TABLE deliveries ADD COLUMN by_hand int4 NOT NULL DEFAULT 0;
