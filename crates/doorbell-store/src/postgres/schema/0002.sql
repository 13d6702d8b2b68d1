-- What came out of an inbox a moment ago, so that of two nodes that bring the same event at once one has it taken in. Who
-- comes later finds the event itself.
CREATE TABLE arrived (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX arrived_at ON arrived (at);

-- Whether a node delivers: those that do not look after no endpoint. Nodes of the version before do, and say nothing.
ALTER TABLE nodes ADD COLUMN delivers bool NOT NULL DEFAULT true;
