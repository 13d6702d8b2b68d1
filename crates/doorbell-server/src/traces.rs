//! What a tracing system is told: one span for each event that is taken in, and one for each attempt, all of one trace.
//!
//! Whoever tells never waits: what does not fit into the queue is dropped and counted. Where nobody listens, nothing is
//! computed. The bytes go to a collector by OTLP/HTTP in JSON, written by ourselves: the crates of OpenTelemetry would
//! bring a second HTTP client or gRPC, protocol buffers, and an SDK of globals, for what is one document and one POST.

mod export;

pub use export::{Exporter, Target as Collector};

use crate::metrics::{Metric, Metrics};
use doorbell_core::attempt::Attempt;
use doorbell_core::delivery::Delivery;
use doorbell_core::endpoint_url::{EndpointUrl, Target};
use doorbell_core::event::{Event, Fate, Origin};
use doorbell_core::id::AttemptId;
use doorbell_core::time::Time;
use doorbell_core::trace::{Context, Sampler, Trace};
use doorbell_wire::otlp::{Kind, Span, Value};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;

/// Spans that may wait for the collector (`OTEL_BSP_MAX_QUEUE_SIZE`).
const QUEUE: usize = 2_048;

/// Who is told of spans. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    sampler: Sampler,
    queue: mpsc::Sender<Span>,
    metrics: OnceLock<Arc<Metrics>>,
}

impl Traces {
    /// Nobody is told.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// Tells an exporter, which must run beside it.
    #[must_use]
    pub fn new(sampler: Sampler, collector: Collector) -> (Self, Exporter) {
        let (queue, spans) = mpsc::channel(QUEUE);
        let inner = Inner { sampler, queue, metrics: OnceLock::new() };
        (Self(Some(Arc::new(inner))), Exporter::new(collector, spans))
    }

    /// Where it is counted what was told and what was dropped.
    pub(crate) fn count_in(&self, metrics: &Arc<Metrics>) {
        if let Some(inner) = &self.0 {
            inner.metrics.get_or_init(|| Arc::clone(metrics));
        }
    }

    /// What the endpoint is told of the trace: the attempt's span in place of the sender's. `None`: what came goes on as
    /// it came.
    pub(crate) fn context(&self, event: &Event, attempt: AttemptId) -> Option<Context> {
        let trace = Trace::of(event, &self.0.as_ref()?.sampler);
        trace.received.sampled.then(|| trace.attempt(attempt))
    }

    /// An event was taken in by `until`, or turned out to be a repeat.
    pub(crate) fn received(&self, event: &Event, fate: &Fate, until: Time) {
        let Some(inner) = &self.0 else { return };
        let trace = Trace::of(event, &inner.sampler);
        if !trace.received.sampled {
            return;
        }
        let mut attributes = vec![
            ("doorbell.event.id", Value::Text(event.id.to_string())),
            ("doorbell.tenant.id", Value::Text(event.tenant.to_string())),
            ("doorbell.fate", Value::Text(word(fate).to_owned())),
            ("http.request.method", Value::Text(event.request.method.clone())),
            ("http.request.body.size", Value::Number(number(event.request.body.len()))),
        ];
        if let Origin::Source(source) = event.origin {
            attributes.push(("doorbell.source.id", Value::Text(source.to_string())));
        }
        if let Some(event_type) = &event.event_type {
            attributes.push(("doorbell.event.type", Value::Text(event_type.to_string())));
        }
        let name = match event.origin {
            Origin::Source(_) => "doorbell receive",
            Origin::Api => "doorbell publish",
        };
        inner.tell(Span {
            trace: trace.received.trace,
            span: trace.received.span,
            parent: trace.parent,
            name,
            kind: Kind::Server,
            times: (nanos(event.at, Duration::ZERO), nanos(until.max(event.at), Duration::ZERO)),
            attributes,
            fault: None,
        });
    }

    /// An attempt at this address has ended. Of a URL only the host is told: the rest may hold secrets.
    pub(crate) fn tried(
        &self,
        event: &Event,
        delivery: &Delivery,
        attempt: &Attempt,
        url: Option<&EndpointUrl>,
    ) {
        let Some(inner) = &self.0 else { return };
        let trace = Trace::of(event, &inner.sampler);
        if !trace.received.sampled {
            return;
        }
        let mut attributes = vec![
            ("doorbell.event.id", Value::Text(event.id.to_string())),
            ("doorbell.tenant.id", Value::Text(delivery.tenant.to_string())),
            ("doorbell.delivery.id", Value::Text(delivery.id.to_string())),
            ("doorbell.endpoint.id", Value::Text(delivery.endpoint.to_string())),
            ("doorbell.attempt.number", Value::Number(i64::from(attempt.number))),
            ("http.request.method", Value::Text(event.request.method.clone())),
        ];
        attributes.extend(url.map(|url| ("server.address", Value::Text(host(url)))));
        if let Some(status) = attempt.outcome.ending().status() {
            attributes.push(("http.response.status_code", Value::Number(i64::from(status))));
        }
        let class = attempt.outcome.class().map(|class| class.word().to_owned());
        if let Some(class) = &class {
            attributes.push(("error.type", Value::Text(class.clone())));
        }
        inner.tell(Span {
            trace: trace.received.trace,
            span: trace.attempt(attempt.id).span,
            parent: Some(trace.received.span),
            name: "doorbell deliver",
            kind: Kind::Client,
            times: (nanos(attempt.at, Duration::ZERO), nanos(attempt.at, attempt.timings.total)),
            attributes,
            fault: class,
        });
    }
}

impl Inner {
    fn tell(&self, span: Span) {
        let told = self.queue.try_send(span).is_ok();
        if let Some(metrics) = self.metrics.get() {
            metrics.count(if told { Metric::SpansTold } else { Metric::SpansDropped });
        }
    }
}

const fn word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Accepted => "accepted",
        Fate::NoEndpoint => "no_endpoint",
        Fate::Filtered => "filtered",
        Fate::Duplicate { .. } => "duplicate",
        Fate::Rejected(_) => "rejected",
    }
}

fn host(url: &EndpointUrl) -> String {
    match url.target() {
        Target::Name(name) => name.to_owned(),
        Target::Address(address) => address.to_string(),
    }
}

fn nanos(at: Time, after: Duration) -> u64 {
    let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
    at.ms().saturating_mul(1_000_000).saturating_add(after)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
