//! The names of all metrics in one list, counted with plain atomics, told in Prometheus' text format.
//!
//! The set is fixed at compile time, labels included: what an outsider or a tenant sends never makes a new series, but
//! for the endpoints that stand out, of which there are never more than [`ENDPOINTS_TOLD`]. `docs/metrics.md` lists all.

mod text;
mod watched;
mod process;
mod kept;

pub use kept::Census;
pub use text::Row;

use doorbell_core::id::EndpointId;
use doorbell_core::time::Time;
use doorbell_store::{Timings, Vitals};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use text::{Text, seconds};
use watched::Watched;

/// Endpoints that have lines of their own, in each metric that has some.
pub const ENDPOINTS_TOLD: usize = watched::MOST;

macro_rules! metrics {
    ($($variant:ident $kind:literal $name:literal $labels:literal $help:literal;)*) => {
        /// One number that is counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the table below says what each is")]
        pub enum Metric { $($variant,)* }

        /// Kind, name, labels and help of each, in the order of [`Metric`].
        const ROWS: &[(&str, &str, &str, &str)] = &[$(($kind, $name, $labels, $help),)*];
    };
}

metrics! {
    ConnectionsOpen "gauge" "doorbell_connections_open" "" "Connections that are open on all listeners.";
    ConnectionsAccepted "counter" "doorbell_connections_accepted_total" "" "Connections that were accepted.";
    ConnectionsShed "counter" "doorbell_connections_shed_total" "" "Connections turned away because too many were open.";
    ConnectionsFaulty "counter" "doorbell_connections_faulty_total" "" "Connections ended for a malformed, oversized or overdue request head.";
    TlsHandshakesFailed "counter" "doorbell_tls_handshakes_failed_total" "" "TLS handshakes that failed or were overdue.";
    CertificatesReloaded "counter" "doorbell_tls_certificates_reloaded_total" "" "Certificates that were read again because their files changed.";
    CertificatesBroken "counter" "doorbell_tls_certificates_broken_total" "" "Changed certificate files that could not be used; the old ones stay.";

    RequestsAccepted "counter" "doorbell_requests_total" "fate=\"accepted\"" "Requests to sources, by what became of them.";
    RequestsNoEndpoint "counter" "doorbell_requests_total" "fate=\"no_endpoint\"" "";
    RequestsFiltered "counter" "doorbell_requests_total" "fate=\"filtered\"" "";
    RequestsDuplicate "counter" "doorbell_requests_total" "fate=\"duplicate\"" "";
    RequestsRejected "counter" "doorbell_requests_total" "fate=\"rejected\"" "";
    RequestsAnswered "counter" "doorbell_requests_total" "fate=\"handshake\"" "";
    RequestsUnknownSource "counter" "doorbell_requests_total" "fate=\"unknown_source\"" "";
    RequestsUnavailable "counter" "doorbell_requests_total" "fate=\"unavailable\"" "";
    RequestsBroken "counter" "doorbell_requests_total" "fate=\"broken_off\"" "";
    RequestsPanicked "counter" "doorbell_requests_total" "fate=\"panic\"" "";
    RequestBytes "counter" "doorbell_request_body_bytes_total" "" "Bytes of request bodies that were received whole.";
    RejectedUnkept "counter" "doorbell_rejected_requests_unkept_total" "" "Rejected requests that were only counted, because too many came.";
    BodyBytesInFlight "gauge" "doorbell_body_bytes_in_flight" "" "Bytes of request bodies that are in memory before they are durable.";
    AcceptsFailed "counter" "doorbell_accepts_failed_total" "" "Requests that the store could not take.";
    InboxWaiting "gauge" "doorbell_inbox_waiting" "" "Events that wait in the inbox, as told by the node that empties it.";
    InboxPut "counter" "doorbell_inbox_puts_total" "result=\"confirmed\"" "Events that were to go into the inbox, by what came of it; too_large went to the store.";
    InboxTooLarge "counter" "doorbell_inbox_puts_total" "result=\"too_large\"" "";
    InboxPutFailed "counter" "doorbell_inbox_puts_total" "result=\"failed\"" "";
    InboxMoved "counter" "doorbell_inbox_moved_total" "" "Events that were moved from the inbox into the store.";
    InboxStuck "counter" "doorbell_inbox_failures_total" "" "Times that nothing could be taken from the inbox, or what was taken could not be kept or confirmed.";
    InboxSetAside "counter" "doorbell_inbox_set_aside_total" "" "Events in the inbox that could not be read, or that the store never takes, and were set aside.";
    QueueMessagesTaken "counter" "doorbell_queue_messages_taken_total" "" "Messages that sources took from queues, repeats included.";
    QueueTakesFailed "counter" "doorbell_queue_takes_failed_total" "" "Times that messages could not be taken from a source's queue, or not be kept.";
    KeysFetched "counter" "doorbell_key_fetches_total" "" "Fetches of providers' keys that were begun.";
    KeysMissed "counter" "doorbell_key_fetches_failed_total" "" "Fetches of providers' keys that brought none.";

    AttemptsDelivered "counter" "doorbell_attempts_total" "outcome=\"delivered\"" "Tries at deliveries, by what came of them.";
    AttemptsFailed "counter" "doorbell_attempts_total" "outcome=\"failed\"" "";
    SettledDelivered "counter" "doorbell_deliveries_settled_total" "state=\"delivered\"" "Deliveries that came to an end, by which.";
    SettledFailed "counter" "doorbell_deliveries_settled_total" "state=\"failed\"" "";
    SettledDiscarded "counter" "doorbell_deliveries_settled_total" "state=\"discarded\"" "";
    BodyBytesOut "gauge" "doorbell_body_bytes_out" "" "Bytes of bodies over 16 KiB in tries that are out.";
    DeliveriesInFlight "gauge" "doorbell_deliveries_in_flight" "" "Deliveries that are being tried.";
    DeliveriesInMemory "gauge" "doorbell_deliveries_in_memory" "" "Deliveries that wait or are tried in memory; the others wait in the store.";

    ClaimsFailed "counter" "doorbell_claims_failed_total" "" "Questions to the store for deliveries that wait, which it could not answer.";
    LeasesLost "counter" "doorbell_leases_lost_total" "" "Results that were refused because another node had taken the delivery over: those were tried twice.";

    BreakersOpen "gauge" "doorbell_breakers_open" "" "Endpoints whose circuit breaker is not closed: their deliveries wait.";

    SpansTold "counter" "doorbell_spans_total" "" "Spans that were handed over for the tracing collector.";
    SpansDropped "counter" "doorbell_spans_dropped_total" "" "Spans that were dropped because the collector does not keep up.";

    TasksPanicked "counter" "doorbell_tasks_panicked_total" "" "Tasks of the node that panicked.";
}

macro_rules! timings {
    ($($variant:ident $name:literal $help:literal;)*) => {
        /// Something whose duration is measured.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the table below says what each is")]
        pub enum Timing { $($variant,)* }

        const TIMINGS: &[Row] = &[$(Row::histogram($name, $help),)*];
    };
}

timings! {
    Ack "doorbell_ack_seconds" "From when a request to a source was whole until it was answered.";
    Accept "doorbell_accept_seconds" "How long the store took to make a request or event durable.";
    Claim "doorbell_claim_seconds" "How long the store took to lend out deliveries that waited in it.";
    StartDelay "doorbell_attempt_start_delay_seconds" "From when a delivery was due until its try began; retries and waits for a broken or limited endpoint included.";
    Attempt "doorbell_attempt_seconds" "How long a try at a delivery took.";
}

const OLDEST: Row = Row::gauge(
    "doorbell_delivery_oldest_seconds",
    "For how long the oldest delivery has been due (waiting: for its turn; held: its endpoint is paused, broken or limited), or has been tried (in_flight); 0 where there is none.",
);
const ENDPOINT_WAITING: Row = Row::gauge(
    "doorbell_endpoint_waiting",
    "Deliveries that wait for an endpoint: the endpoints for which most wait, and all others together.",
);
const ENDPOINT_ATTEMPTS: Row = Row::counter(
    "doorbell_endpoint_attempts_total",
    "Tries at deliveries to an endpoint, from its first failure on, and those to all others together.",
);
const BUILD: Row =
    Row::gauge("doorbell_build_info", "The version that runs, as a label; always 1.");

/// Every metric that there can be, in the order in which they are told.
pub fn catalogue() -> impl Iterator<Item = Row> {
    let mut last = "";
    let counted = ROWS.iter().filter_map(move |&(kind, name, _, help)| {
        let first = std::mem::replace(&mut last, name) != name;
        first.then_some(Row { kind, name, help })
    });
    let own = [OLDEST, ENDPOINT_WAITING, ENDPOINT_ATTEMPTS, BUILD];
    counted.chain(TIMINGS.iter().copied()).chain(own).chain(kept::ROWS).chain(process::ROWS)
}

/// Whose deliveries are the oldest, in milliseconds since 1970; 0: there is none.
#[derive(Debug, Default)]
struct Oldest {
    waiting: AtomicU64,
    held: AtomicU64,
    in_flight: AtomicU64,
}

/// All numbers that are counted.
#[derive(Debug)]
pub struct Metrics {
    values: [AtomicU64; ROWS.len()],
    timings: [Timings; TIMINGS.len()],
    oldest: Oldest,
    watched: Mutex<Watched>,
    census: Mutex<Option<Census>>,
}

/// For whom and when the metrics are told.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Wall time and monotonic time.
    pub now: (Time, Duration),
    /// Of the program.
    pub version: &'a str,
    /// Whether it may know of single endpoints, of whatever tenant.
    pub by_endpoint: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            values: [const { AtomicU64::new(0) }; ROWS.len()],
            timings: std::array::from_fn(|_| Timings::default()),
            oldest: Oldest::default(),
            watched: Mutex::default(),
            census: Mutex::default(),
        }
    }
}

impl Metrics {
    /// One more.
    pub fn count(&self, metric: Metric) {
        self.add(metric, 1);
    }

    /// So many more; returns how many it was before.
    pub fn add(&self, metric: Metric, by: u64) -> u64 {
        self.values.get(metric as usize).map_or(0, |value| value.fetch_add(by, Relaxed))
    }

    /// So many less, for a gauge.
    pub fn subtract(&self, metric: Metric, by: u64) {
        if let Some(value) = self.values.get(metric as usize) {
            value.fetch_sub(by, Relaxed);
        }
    }

    /// Sets a gauge.
    pub fn set(&self, metric: Metric, to: u64) {
        if let Some(value) = self.values.get(metric as usize) {
            value.store(to, Relaxed);
        }
    }

    /// How many by now.
    #[must_use]
    pub fn value(&self, metric: Metric) -> u64 {
        self.values.get(metric as usize).map_or(0, |value| value.load(Relaxed))
    }

    /// Something took so long.
    pub fn took(&self, timing: Timing, took: Duration) {
        if let Some(timings) = self.timings.get(timing as usize) {
            timings.observe(took);
        }
    }

    /// A try at a delivery to this endpoint has ended.
    pub fn tried(&self, endpoint: EndpointId, delivered: bool, now: Time) {
        self.count(if delivered { Metric::AttemptsDelivered } else { Metric::AttemptsFailed });
        self.watched().tried(endpoint, delivered, now);
    }

    /// Since when the oldest deliveries in memory are due (those that wait for their turn, those that are held up) or
    /// being tried.
    pub fn oldest(&self, [waiting, held, in_flight]: [Option<Time>; 3]) {
        let ms = |time: Option<Time>| time.map_or(0, Time::ms);
        self.oldest.waiting.store(ms(waiting), Relaxed);
        self.oldest.held.store(ms(held), Relaxed);
        self.oldest.in_flight.store(ms(in_flight), Relaxed);
    }

    /// What is in the store was counted.
    pub fn counted(&self, census: Census) {
        *self.census.lock().unwrap_or_else(PoisonError::into_inner) = Some(census);
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn text(&self, vitals: &Vitals, asked: Asked<'_>) -> String {
        let mut text = Text::new();
        let mut last = "";
        for (&(kind, name, labels, help), value) in ROWS.iter().zip(&self.values) {
            if std::mem::replace(&mut last, name) != name {
                text.head(Row { kind, name, help });
            }
            text.line(name, labels, value.load(Relaxed));
        }
        for (row, timings) in TIMINGS.iter().zip(&self.timings) {
            text.histogram(*row, &timings.counted());
        }
        let census = self.census.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.write_oldest(&mut text, census.as_ref(), asked.now.0);
        if asked.by_endpoint {
            self.write_endpoints(&mut text, census.as_ref());
        }
        text.head(BUILD);
        text.line(BUILD.name, &format!("version=\"{}\"", asked.version), 1);
        kept::write_vitals(&mut text, vitals);
        if let Some(census) = &census {
            kept::write_census(&mut text, census, asked.now.1.saturating_sub(census.taken));
        }
        process::write(&mut text);
        text.into_string()
    }

    fn write_oldest(&self, text: &mut Text, census: Option<&Census>, now: Time) {
        let here = |since: &AtomicU64| match since.load(Relaxed) {
            0 => Duration::ZERO,
            since => now.since(Time::from_ms(since)),
        };
        let stored = |age: Option<Option<Duration>>| age.flatten().unwrap_or_default();
        let waiting = here(&self.oldest.waiting).max(stored(census.map(|c| c.oldest_waiting)));
        let held = here(&self.oldest.held).max(stored(census.map(|c| c.oldest_held)));
        text.head(OLDEST);
        let ages =
            [("waiting", waiting), ("held", held), ("in_flight", here(&self.oldest.in_flight))];
        for (state, age) in ages {
            let us = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
            text.line(OLDEST.name, &format!("state=\"{state}\""), seconds(us));
        }
    }

    fn write_endpoints(&self, text: &mut Text, census: Option<&Census>) {
        let (own, other) = self.watched().all();
        text.head(ENDPOINT_ATTEMPTS);
        let own = own.iter().map(|(id, tries)| (id.to_string(), *tries));
        for (name, tries) in own.chain([("other".to_owned(), other)]) {
            for (outcome, count) in [("delivered", tries.delivered), ("failed", tries.failed)] {
                let labels = format!("endpoint=\"{name}\",outcome=\"{outcome}\"");
                text.line(ENDPOINT_ATTEMPTS.name, &labels, count);
            }
        }
        let Some(census) = census else { return };
        text.head(ENDPOINT_WAITING);
        for (id, waiting) in &census.most_waiting {
            text.line(ENDPOINT_WAITING.name, &format!("endpoint=\"{id}\""), waiting);
        }
        text.line(ENDPOINT_WAITING.name, "endpoint=\"other\"", census.other_waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_store::Stats;
    use std::collections::BTreeSet;

    fn endpoint(n: u128) -> EndpointId {
        EndpointId::new(Time::EPOCH, n)
    }

    /// At 100 s since 1970, 50 s after the start.
    fn asked(by_endpoint: bool) -> Asked<'static> {
        Asked {
            now: (Time::from_ms(100_000), Duration::from_secs(50)),
            version: "1.2.3",
            by_endpoint,
        }
    }

    #[test]
    fn names_stand_together_and_say_what_they_are() {
        let mut seen: Vec<&str> = Vec::new();
        for (_, name, labels, help) in ROWS {
            let first = seen.last() != Some(name);
            assert!(!(first && seen.contains(name)), "{name} stands in two places");
            assert_eq!(first, !help.is_empty(), "{name} {labels}");
            seen.push(name);
        }
        let mut names = BTreeSet::new();
        for Row { kind, name, help } in catalogue() {
            assert!(names.insert(name), "{name} stands in two places");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            assert_eq!(
                kind == "histogram",
                TIMINGS.iter().any(|row| row.name == name)
                    || name.contains("_sync_")
                    || name.contains("_commit_")
            );
            assert!(help.ends_with('.'), "{name}: {help}");
        }
    }

    #[test]
    fn text_is_prometheus() {
        let metrics = Metrics::default();
        metrics.count(Metric::RequestsAccepted);
        metrics.took(Timing::Accept, Duration::from_micros(700));
        metrics.took(Timing::Accept, Duration::from_secs(12));
        let text = metrics.text(&Vitals::Memory, asked(true));
        for line in [
            "# TYPE doorbell_requests_total counter",
            "doorbell_requests_total{fate=\"accepted\"} 1",
            "# TYPE doorbell_accept_seconds histogram",
            "doorbell_accept_seconds_bucket{le=\"0.0005\"} 0",
            "doorbell_accept_seconds_bucket{le=\"0.001\"} 1",
            "doorbell_accept_seconds_bucket{le=\"+Inf\"} 2",
            "doorbell_accept_seconds_sum 12.0007",
            "doorbell_accept_seconds_count 2",
            "doorbell_build_info{version=\"1.2.3\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn ages_are_of_memory_and_store_together() {
        let metrics = Metrics::default();
        let told = |metrics: &Metrics| {
            let text = metrics.text(&Vitals::Memory, asked(false));
            let lines =
                text.lines().filter(|line| line.starts_with("doorbell_delivery_oldest_seconds{"));
            lines.filter_map(|line| line.rsplit(' ').next()).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(told(&metrics), ["0", "0", "0"]);
        metrics.oldest([
            Some(Time::from_ms(90_000)),
            Some(Time::from_ms(99_500)),
            Some(Time::from_ms(70_000)),
        ]);
        assert_eq!(told(&metrics), ["10", "0.5", "30"]);
        let held = Some(Duration::from_secs(7));
        metrics.counted(Census { oldest_waiting: held, oldest_held: held, ..Census::default() });
        assert_eq!(told(&metrics), ["10", "7", "30"]);
    }

    #[test]
    fn endpoints_are_told_to_those_who_may_know_them() {
        let metrics = Metrics::default();
        metrics.tried(endpoint(1), false, Time::EPOCH);
        metrics.tried(endpoint(2), true, Time::EPOCH);
        let most_waiting = vec![(endpoint(3), 9)];
        metrics.counted(Census { most_waiting, other_waiting: 4, ..Census::default() });
        let text = metrics.text(&Vitals::Memory, asked(true));
        let (one, three) = (endpoint(1), endpoint(3));
        for line in [
            format!("doorbell_endpoint_attempts_total{{endpoint=\"{one}\",outcome=\"failed\"}} 1"),
            "doorbell_endpoint_attempts_total{endpoint=\"other\",outcome=\"delivered\"} 1"
                .to_owned(),
            format!("doorbell_endpoint_waiting{{endpoint=\"{three}\"}} 9"),
            "doorbell_endpoint_waiting{endpoint=\"other\"} 4".to_owned(),
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(!metrics.text(&Vitals::Memory, asked(false)).contains("ep_"));
    }

    #[test]
    fn what_only_one_home_has_is_only_told_by_it() {
        let metrics = Metrics::default();
        let stats = Stats { bytes_free: u64::MAX, ..Stats::default() };
        metrics.counted(Census { stats, ..Census::default() });
        let text = metrics.text(&Vitals::Memory, asked(true));
        assert!(text.contains("doorbell_store_bytes 0"));
        for name in ["doorbell_store_free_bytes", "doorbell_journal", "doorbell_database"] {
            assert!(!text.contains(name), "{name}");
        }
        assert!(text.lines().any(|line| line == "doorbell_census_age_seconds 50"));
    }
}
