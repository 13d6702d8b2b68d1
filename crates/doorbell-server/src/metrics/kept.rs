//! What the store has and how it is, as metrics: its own measurements at the moment, and the census that was taken last.

use super::text::{Row, Text, seconds};
use doorbell_core::id::EndpointId;
use doorbell_store::{EmbeddedVitals, PostgresVitals, Stats, Vitals};
use std::time::Duration;

pub(crate) const ROWS: [Row; 14] = [
    SYNC,
    QUEUED,
    QUEUED_BYTES,
    LAG_BYTES,
    LAG_RECORDS,
    COMMIT,
    ANSWERS,
    NODES,
    EVENTS,
    DELIVERIES,
    BYTES,
    FREE,
    UNKEPT,
    CENSUS_AGE,
];

const SYNC: Row = Row::histogram(
    "doorbell_journal_sync_seconds",
    "How long the disk took to write and sync a batch of records (embedded store).",
);
const QUEUED: Row = Row::gauge(
    "doorbell_journal_queue_records",
    "Records that wait for the disk (embedded store).",
);
const QUEUED_BYTES: Row = Row::gauge(
    "doorbell_journal_queue_bytes",
    "Bytes of records that wait for the disk (embedded store).",
);
const LAG_BYTES: Row = Row::gauge(
    "doorbell_index_lag_bytes",
    "Bytes of the journal that the index does not show yet (embedded store).",
);
const LAG_RECORDS: Row = Row::gauge(
    "doorbell_index_lag_records",
    "Records written since the start that the index does not show yet (embedded store).",
);
const COMMIT: Row = Row::histogram(
    "doorbell_database_commit_seconds",
    "How long the database took to take in a batch of events, all tries together (PostgreSQL).",
);
const ANSWERS: Row = Row::gauge(
    "doorbell_database_up",
    "Whether the database answered when this node last said that it lives (PostgreSQL).",
);
const NODES: Row =
    Row::gauge("doorbell_nodes_alive", "Nodes that are alive, as this one knows (PostgreSQL).");
const EVENTS: Row = Row::gauge(
    "doorbell_store_events",
    "Requests and events that are kept. The same on all nodes of a store.",
);
const DELIVERIES: Row = Row::gauge(
    "doorbell_store_deliveries",
    "Deliveries in the store that wait, and that failed and are kept. The same on all nodes of a store.",
);
const BYTES: Row = Row::gauge("doorbell_store_bytes", "Bytes that the store takes.");
const FREE: Row = Row::gauge(
    "doorbell_store_free_bytes",
    "Bytes that are free on the store's disk (embedded store).",
);
const UNKEPT: Row = Row::counter(
    "doorbell_store_unkept_total",
    "Rejected requests that were taken and then not written, because the disk was full (embedded store).",
);
const CENSUS_AGE: Row =
    Row::gauge("doorbell_census_age_seconds", "How old the counts of what is in the store are.");

/// What was found when what is in the store was counted last.
#[derive(Debug, Clone, Default)]
pub struct Census {
    /// When, by the clock's monotonic time.
    pub taken: Duration,
    /// Sizes and counts.
    pub stats: Stats,
    /// For how long the delivery that waits longest has been due, of those that only wait for their turn.
    pub oldest_waiting: Option<Duration>,
    /// The same of those whose endpoint is paused, broken or limited.
    pub oldest_held: Option<Duration>,
    /// The endpoints for which most deliveries wait, most first.
    pub most_waiting: Vec<(EndpointId, u64)>,
    /// How many wait for all others.
    pub other_waiting: u64,
}

pub(super) fn write_vitals(text: &mut Text, vitals: &Vitals) {
    match vitals {
        Vitals::Memory => {}
        Vitals::Embedded(EmbeddedVitals {
            syncs,
            queued,
            queued_bytes,
            lag_bytes,
            lag_records,
        }) => {
            text.histogram(SYNC, syncs);
            text.one(QUEUED, queued);
            text.one(QUEUED_BYTES, queued_bytes);
            text.one(LAG_BYTES, lag_bytes);
            text.one(LAG_RECORDS, lag_records);
        }
        Vitals::Postgres(PostgresVitals { commits, answers, nodes }) => {
            text.histogram(COMMIT, commits);
            text.one(ANSWERS, u8::from(*answers));
            text.one(NODES, nodes);
        }
    }
}

pub(super) fn write_census(text: &mut Text, census: &Census, age: Duration) {
    let stats = &census.stats;
    text.one(EVENTS, stats.events);
    text.head(DELIVERIES);
    text.line(DELIVERIES.name, "state=\"waiting\"", stats.waiting);
    text.line(DELIVERIES.name, "state=\"failed\"", stats.failed);
    text.one(BYTES, stats.bytes);
    // A database says nothing of its disk.
    if stats.bytes_free != u64::MAX {
        text.one(FREE, stats.bytes_free);
        text.one(UNKEPT, stats.unkept);
    }
    text.one(CENSUS_AGE, seconds(u64::try_from(age.as_micros()).unwrap_or(u64::MAX)));
}
