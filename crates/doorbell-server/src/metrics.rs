//! The names of all metrics in one list, counted with plain atomics, told in Prometheus' text format.
//!
//! The set is fixed at compile time, labels included: what an outsider or a tenant sends never makes a new series.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

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
    QueueMessagesTaken "counter" "doorbell_queue_messages_taken_total" "" "Messages that sources took from queues, repeats included.";
    QueueTakesFailed "counter" "doorbell_queue_takes_failed_total" "" "Times that messages could not be taken from a source's queue, or not be kept.";
    KeysFetched "counter" "doorbell_key_fetches_total" "" "Fetches of providers' keys that were begun.";
    KeysMissed "counter" "doorbell_key_fetches_failed_total" "" "Fetches of providers' keys that brought none.";

    AttemptsDelivered "counter" "doorbell_attempts_total" "outcome=\"delivered\"" "Tries at deliveries, by what came of them.";
    AttemptsFailed "counter" "doorbell_attempts_total" "outcome=\"failed\"" "";
    DeliveriesInFlight "gauge" "doorbell_deliveries_in_flight" "" "Deliveries that are being tried.";
    DeliveriesInMemory "gauge" "doorbell_deliveries_in_memory" "" "Deliveries that wait or are tried in memory; the others wait in the store.";

    BreakersOpen "gauge" "doorbell_breakers_open" "" "Endpoints whose circuit breaker is not closed: their deliveries wait.";

    TasksPanicked "counter" "doorbell_tasks_panicked_total" "" "Tasks of the node that panicked.";
}

/// Upper bounds of the buckets of [`Metrics::accept_latency`], in microseconds.
const LATENCY_BOUNDS_US: [u64; 12] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];
const LATENCY: &str = "doorbell_accept_seconds";

/// All numbers that are counted.
#[derive(Debug)]
pub struct Metrics {
    values: [AtomicU64; ROWS.len()],
    latency: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { values: [const { AtomicU64::new(0) }; ROWS.len()], latency: Histogram::default() }
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

    /// How long the store took to make a request durable.
    pub fn accept_latency(&self, took: Duration) {
        self.latency.observe(took);
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(8 << 10);
        let mut last = "";
        for ((kind, name, labels, help), value) in ROWS.iter().zip(&self.values) {
            if *name != last {
                header(&mut text, kind, name, help);
                last = name;
            }
            let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            line(&mut text, name, &labels, &value.load(Relaxed).to_string());
        }
        self.latency.write(&mut text);
        text
    }
}

fn header(text: &mut String, kind: &str, name: &str, help: &str) {
    // Writing to a String cannot fail.
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").unwrap_or_default();
}

fn line(text: &mut String, name: &str, labels: &str, value: &str) {
    writeln!(text, "{name}{labels} {value}").unwrap_or_default();
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_us.fetch_add(us, Relaxed);
    }

    fn write(&self, text: &mut String) {
        header(text, "histogram", LATENCY, "How long the store took to make a request durable.");
        let mut sum = 0;
        let bounds = LATENCY_BOUNDS_US.iter().map(|us| seconds(*us)).chain(["+Inf".into()]);
        for (bound, bucket) in bounds.zip(&self.buckets) {
            sum += bucket.load(Relaxed);
            let labels = format!("{{le=\"{bound}\"}}");
            line(text, "doorbell_accept_seconds_bucket", &labels, &sum.to_string());
        }
        line(text, "doorbell_accept_seconds_sum", "", &seconds(self.sum_us.load(Relaxed)));
        line(text, "doorbell_accept_seconds_count", "", &sum.to_string());
    }
}

/// Microseconds as decimal seconds, exactly.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_together_and_say_what_they_are() {
        let mut seen: Vec<&str> = Vec::new();
        for (kind, name, labels, help) in ROWS {
            let first = seen.last() != Some(name);
            assert!(!(first && seen.contains(name)), "{name} stands in two places");
            assert_eq!(first, !help.is_empty(), "{name} {labels}");
            assert_eq!(*kind == "counter", name.ends_with("_total"), "{name}");
            seen.push(name);
        }
    }

    #[test]
    fn text_is_prometheus() {
        let metrics = Metrics::default();
        metrics.count(Metric::RequestsAccepted);
        metrics.accept_latency(Duration::from_micros(700));
        metrics.accept_latency(Duration::from_secs(9));
        let text = metrics.text();
        for line in [
            "# TYPE doorbell_requests_total counter",
            "doorbell_requests_total{fate=\"accepted\"} 1",
            "doorbell_accept_seconds_bucket{le=\"0.0005\"} 0",
            "doorbell_accept_seconds_bucket{le=\"0.001\"} 1",
            "doorbell_accept_seconds_bucket{le=\"+Inf\"} 2",
            "doorbell_accept_seconds_sum 9.0007",
            "doorbell_accept_seconds_count 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
