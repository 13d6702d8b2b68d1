//! The load: connections that post prebuilt requests, as fast as they are answered or at a fixed rate.

use super::sample::Histogram;
use super::wire::{self, Wire};
use crate::payload::{self, SECRET};
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where the id of a delivery stands in a built request: 16 hex digits of time, 8 of a counter.
const ID_LEN: usize = 24;

/// A request with two places that change: the delivery id, and the event name.
#[derive(Debug, Clone)]
pub(super) struct Template {
    bytes: Vec<u8>,
    /// Where the delivery id and the event name stand, where they change.
    places: Option<(usize, usize)>,
    /// How many event names there are, `e00000` and up.
    events: u64,
}

impl Template {
    /// A GitHub push of about a kilobyte to a path, with the headers that GitHub sends.
    pub(super) fn github(path: &str, events: u64) -> Result<Self> {
        let body = std::fs::read(crate::place::root().join("testdata/bench/push.json"))?;
        Self::with_body(path, events, &body)
    }

    /// The same with another body.
    pub(super) fn with_body(path: &str, events: u64, body: &[u8]) -> Result<Self> {
        let id = "0".repeat(ID_LEN);
        let signed = payload::github_headers(body, &id, SECRET)
            .replace("x-github-event: push", "x-github-event: e00000");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: hooks.example.com\r\naccept: */*\r\naccept-encoding: gzip\r\n\
             x-github-hook-id: 292430182\r\nx-github-hook-installation-target-id: 79929171\r\n\
             x-github-hook-installation-target-type: repository\r\ncontent-length: {}\r\n{signed}\r\n",
            body.len()
        );
        let at =
            |word: &str| head.find(word).map(|at| at + word.len()).context("a header is missing");
        let (id_at, event_at) = (at("x-github-delivery: ")?, at("x-github-event: ")?);
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        Ok(Self { bytes, places: Some((id_at, event_at)), events })
    }

    /// A request that is the same each time.
    pub(super) fn fixed(path: &str, headers: &[(String, String)], body: &[u8]) -> Self {
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        // As many lines as GitHub sends.
        let others: String = (0..6).map(|n| format!("x-other-header-{n}: 292430182\r\n")).collect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: hooks.example.com\r\naccept: */*\r\naccept-encoding: gzip\r\n\
             {others}content-length: {}\r\n{lines}\r\n",
            body.len()
        );
        Self { bytes: [head.as_bytes(), body].concat(), places: None, events: 1 }
    }

    /// The request as it is.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Puts in the time and a number that makes it unique.
    fn renew(&mut self, since: Duration, number: u64) {
        let Some((id_at, event_at)) = self.places else { return };
        let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.put(id_at, &format!("{nanos:016x}{:08x}", number & 0xffff_ffff));
        if self.events > 1 {
            self.put(event_at, &format!("e{:05}", number % self.events));
        }
    }

    fn put(&mut self, at: usize, text: &str) {
        if let Some(place) = self.bytes.get_mut(at..at + text.len()) {
            place.copy_from_slice(text.as_bytes());
        }
    }
}

/// The time that [`Template::renew`] has put into a delivery id.
pub(super) fn sent_at(id: &[u8]) -> Option<Duration> {
    let digits = str::from_utf8(id.get(..16)?).ok()?;
    u64::from_str_radix(digits, 16).ok().map(Duration::from_nanos)
}

/// How to load.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    /// `host:port`.
    pub(super) address: String,
    /// What is posted.
    pub(super) template: Template,
    /// Keep-alive connections.
    pub(super) connections: u64,
    /// For how long.
    pub(super) duration: Duration,
    /// At most so many in all.
    pub(super) limit: u64,
    /// Requests a second in all; `None`: as fast as they are answered.
    pub(super) rate: Option<f64>,
    /// Time zero of the ids.
    pub(super) epoch: Instant,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// From the moment when a request was due to its answer.
    pub(super) answers: Histogram,
    /// Answers other than 2xx, and broken connections.
    pub(super) failed: u64,
    /// How long it took.
    pub(super) seconds: f64,
}

impl Done {
    /// Answers 2xx a second.
    pub(super) fn rate(&self) -> f64 {
        self.answers.count() as f64 / self.seconds
    }
}

/// Runs the load on a thread of its own.
pub(super) fn run(spec: Spec) -> Result<Done> {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(drive(Arc::new(spec)))
    });
    thread.join().map_err(|_| anyhow::anyhow!("the load generator panicked"))?
}

async fn drive(spec: Arc<Spec>) -> Result<Done> {
    let number = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut lanes = Vec::new();
    for lane in 0..spec.connections {
        lanes.push(tokio::spawn(one_lane(Arc::clone(&spec), lane, Arc::clone(&number))));
    }
    let mut done = Done::default();
    for lane in lanes {
        let (answers, failed) = lane.await?;
        done.answers.merge(&answers);
        done.failed += failed;
    }
    done.seconds = begun.elapsed().as_secs_f64();
    Ok(done)
}

async fn one_lane(spec: Arc<Spec>, lane: u64, number: Arc<AtomicU64>) -> (Histogram, u64) {
    let (mut answers, mut failed) = (Histogram::default(), 0);
    let Ok(Ok(mut wire)) = tokio::net::TcpStream::connect(&spec.address).await.map(Wire::new)
    else {
        return (answers, 1);
    };
    let mut template = spec.template.clone();
    let begun = Instant::now();
    let step = spec.rate.map(|rate| Duration::from_secs_f64(spec.connections as f64 / rate));
    let mut due = begun
        + step.unwrap_or_default() * u32::try_from(lane).unwrap_or(0)
            / u32::try_from(spec.connections).unwrap_or(1);
    loop {
        let mut from = Instant::now();
        if let Some(step) = step {
            tokio::time::sleep_until(due.into()).await;
            from = due;
            due += step;
        }
        let mine = number.fetch_add(1, Ordering::Relaxed);
        if begun.elapsed() >= spec.duration || mine >= spec.limit {
            return (answers, failed);
        }
        template.renew(from.saturating_duration_since(spec.epoch), mine);
        match exchange(&mut wire, &template.bytes).await {
            Ok(200..=299) => answers.add(from.elapsed()),
            Ok(_) => failed += 1,
            Err(_) => return (answers, failed + 1),
        }
    }
}

async fn exchange(wire: &mut Wire, request: &[u8]) -> std::io::Result<u16> {
    wire.write(request).await?;
    let frame = wire.message().await?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = wire::status(wire.head(frame));
    wire.done(frame);
    Ok(status)
}
