//! Where an attempt stands and how long its parts took, kept outside of the work itself so that it is still known when
//! the deadline cuts the work off.

use super::faults::fault;
use crate::clock::Clock;
use doorbell_core::attempt::{ErrorClass, Fault, Timings};
use std::net::SocketAddr;
use std::time::Duration;

/// The parts of an exchange, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of what is below.
    Preparing,
    /// Looking up the name.
    Lookup,
    /// Opening the TCP connection.
    Connect,
    /// The TLS handshake.
    Handshake,
    /// Sending the request and waiting for the response's headers.
    Head,
    /// Reading the response's body.
    Body,
}

/// One attempt's stopwatch.
#[derive(Debug)]
pub(super) struct Trace {
    clock: Clock,
    began: Duration,
    phase: Phase,
    phase_began: Duration,
    timings: Timings,
    address: Option<SocketAddr>,
}

impl Trace {
    pub(super) fn begin(clock: Clock) -> Self {
        let began = clock.monotonic();
        Self {
            clock,
            began,
            phase: Phase::Preparing,
            phase_began: began,
            timings: Timings::default(),
            address: None,
        }
    }

    /// A part begins, which means that the one before is done.
    pub(super) fn enter(&mut self, phase: Phase) {
        let now = self.clock.monotonic();
        let took = Some(now.saturating_sub(self.phase_began));
        match self.phase {
            Phase::Lookup => self.timings.dns = took,
            Phase::Connect => self.timings.connect = took,
            Phase::Handshake => self.timings.tls = took,
            Phase::Head => self.timings.first_byte = took,
            Phase::Preparing | Phase::Body => {}
        }
        self.phase = phase;
        self.phase_began = now;
    }

    /// This is the address that is, or is being, connected to.
    pub(super) fn at(&mut self, address: SocketAddr) {
        self.address = Some(address);
    }

    /// A second try on a fresh connection: what was measured of the stale one does not count.
    pub(super) fn again(&mut self) {
        self.phase = Phase::Preparing;
        self.address = None;
    }

    /// The fault of an attempt that the deadline cut off here.
    pub(super) fn timed_out(&self, host: &str, limit: Duration) -> Fault {
        let (class, what) = match self.phase {
            Phase::Preparing => (ErrorClass::TimeoutConnect, "before it began".to_owned()),
            Phase::Lookup => (ErrorClass::TimeoutConnect, format!("looking up {host}")),
            Phase::Connect => {
                (ErrorClass::TimeoutConnect, format!("connecting to {}", self.place()))
            }
            Phase::Handshake => {
                (ErrorClass::TimeoutConnect, format!("in the TLS handshake with {}", self.place()))
            }
            Phase::Head => (
                ErrorClass::TimeoutResponse,
                format!("waiting for the response of {}", self.place()),
            ),
            Phase::Body => {
                (ErrorClass::TimeoutBody, format!("reading the response of {}", self.place()))
            }
        };
        fault(
            class,
            format!("no complete response within {} s: the time ran out {what}", seconds(limit)),
        )
    }

    fn place(&self) -> String {
        self.address.map_or_else(|| "its addresses".to_owned(), |address| address.to_string())
    }

    pub(super) fn end(self) -> (Timings, Option<SocketAddr>) {
        let total = self.clock.monotonic().saturating_sub(self.began);
        (Timings { total, ..self.timings }, self.address)
    }
}

fn seconds(limit: Duration) -> String {
    let text = format!("{:.3}", limit.as_secs_f64());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
