-- To which endpoints a node can be lent nothing more as others take it in. NULL: to none, as with a node of the version before, which
-- would not hear of it.
ALTER TABLE nodes ADD COLUMN shut uuid[];
