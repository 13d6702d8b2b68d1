-- Everything of one Doorbell, in the schema that comes first in the search path.
--
-- `seq` is an event's place: the milliseconds at which it was taken in, then 20 bits that no other event has at that
-- time. The large tables are cut by it into days. Times are milliseconds since 1970. Codes stand in `rows.rs`.

CREATE SEQUENCE places;
CREATE SEQUENCE node_ids;

-- Who is alive. A row that is not renewed in time stands for nobody.
CREATE TABLE nodes (
    id int8 PRIMARY KEY,
    name text NOT NULL,
    alive_until timestamptz NOT NULL
);

CREATE TABLE resources (
    kind text NOT NULL,
    id text NOT NULL,
    tenant text NOT NULL,
    name text,
    document text NOT NULL,
    updated int8 NOT NULL,
    PRIMARY KEY (kind, id),
    UNIQUE (kind, tenant, name)
);
CREATE UNIQUE INDEX source_names ON resources (name) WHERE kind = 'source';
CREATE UNIQUE INDEX tenant_uids ON resources (name) WHERE kind = 'tenant';

-- Counts the changes of `resources`.
CREATE TABLE generation (
    one bool PRIMARY KEY DEFAULT true CHECK (one),
    number int8 NOT NULL
);
INSERT INTO generation (number) VALUES (0);

-- What events have in common; there are few of them, so a filter is looked up here first.
CREATE TABLE kinds (
    id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant uuid NOT NULL,
    source uuid,
    event_type text,
    fate int2 NOT NULL,
    UNIQUE NULLS NOT DISTINCT (tenant, source, event_type, fate)
);

-- The first event with a key, and until when the key counts. `print`: tells a published event from others with its key.
CREATE TABLE dedupe (
    scope uuid NOT NULL,
    key bytea NOT NULL,
    seq int8 NOT NULL,
    event uuid NOT NULL,
    print bytea,
    at int8 NOT NULL,
    until int8 NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX dedupe_until ON dedupe (until);

CREATE TABLE events (
    seq int8 NOT NULL,
    id uuid NOT NULL,
    kind int4 NOT NULL,
    at int8 NOT NULL,
    first uuid,
    method text NOT NULL,
    body_len int8 NOT NULL,
    reason text,
    detail text,
    record bytea NOT NULL,
    PRIMARY KEY (seq)
) PARTITION BY RANGE (seq);
-- Bodies are bytes of any kind, and to compress them costs more than it saves.
ALTER TABLE events ALTER record SET STORAGE EXTERNAL;
CREATE INDEX events_id ON events (id);
CREATE INDEX events_kind ON events (kind, seq);

-- `due`: of one that is settled, when that was. `holds_key`: of a failed one; `why`: of a discarded one.
-- `holder`: the node that has it, 0 for none. `lease` grows each time it is lent or taken back.
CREATE TABLE deliveries (
    seq int8 NOT NULL,
    nth int4 NOT NULL,
    id uuid NOT NULL,
    tenant uuid NOT NULL,
    event uuid NOT NULL,
    endpoint uuid NOT NULL,
    order_key int8,
    replay uuid,
    attempts int4 NOT NULL,
    state int2 NOT NULL,
    due int8 NOT NULL,
    holds_key bool NOT NULL,
    why text,
    asked bool NOT NULL,
    holder int8 NOT NULL,
    lease int8 NOT NULL,
    updated int8,
    last_status int4,
    last_class text,
    PRIMARY KEY (seq, nth)
) PARTITION BY RANGE (seq);
CREATE INDEX deliveries_id ON deliveries (id);
CREATE INDEX deliveries_endpoint ON deliveries (endpoint, seq, nth);
CREATE INDEX deliveries_queue ON deliveries (holder, endpoint, due, seq, nth) WHERE state = 0;
CREATE INDEX deliveries_keys ON deliveries (endpoint, order_key, seq, nth)
    WHERE order_key IS NOT NULL AND (state = 0 OR (state = 2 AND holds_key));
CREATE INDEX deliveries_ended ON deliveries (state, seq, nth) WHERE state IN (2, 3);
CREATE INDEX deliveries_replay ON deliveries (replay, seq, nth) WHERE replay IS NOT NULL;

CREATE TABLE attempts (
    seq int8 NOT NULL,
    nth int4 NOT NULL,
    made int8 NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (seq, nth, made)
) PARTITION BY RANGE (seq);
