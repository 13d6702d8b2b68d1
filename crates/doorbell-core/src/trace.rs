//! Which trace an event belongs to, and which attempt is which span of it (W3C Trace Context, level 1).
//!
//! Nothing of it is stored: the trace is the sender's (`traceparent`), or has the event's own bits; an event's span and an
//! attempt's have the low bits of their ids, which are random. So every node, and a node after a restart, says the same.

use crate::event::Event;
use crate::id::AttemptId;
use std::fmt;

/// The header that names a span and its trace.
pub const TRACEPARENT: &str = "traceparent";
/// The header with what tracing systems say about it.
pub const TRACESTATE: &str = "tracestate";

/// A span of a trace, as it is named to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace's id.
    pub trace: [u8; 16],
    /// The span's.
    pub span: [u8; 8],
    /// Whether it is recorded.
    pub sampled: bool,
}

impl Context {
    /// Reads a `traceparent`; `None`: it is none, and is to be taken as if it were not there.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(5, '-');
        let (version, trace) = (hex::<1>(parts.next()?)?, hex::<16>(parts.next()?)?);
        let (span, flags) = (hex::<8>(parts.next()?)?, hex::<1>(parts.next()?)?);
        // Only a later version may say more.
        let whole = version != [0xff] && (version != [0] || parts.next().is_none());
        let real = trace != [0; 16] && span != [0; 8];
        (whole && real).then(|| Self { trace, span, sampled: flags.iter().all(|f| f & 1 == 1) })
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.span.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:02x}", u8::from(self.sampled))
    }
}

/// Lower case only, as the standard wants it.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !plain || text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Which traces are recorded (`OTEL_TRACES_SAMPLER`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether the sender's word counts, where there is one.
    pub parent_based: bool,
    /// The share of the others, from 0 to 1.
    pub ratio: f64,
}

impl Sampler {
    /// Whether a trace is recorded: by the sender's word, or by its id, so that everyone who asks by the same share says
    /// the same.
    #[must_use]
    pub fn records(&self, trace: [u8; 16], parent: Option<bool>) -> bool {
        match parent {
            Some(sampled) if self.parent_based => sampled,
            Some(_) | None => self.by_id(trace),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of all ids, cut to what an id can be"
    )]
    fn by_id(&self, trace: [u8; 16]) -> bool {
        let bound = (self.ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64;
        let low = u128::from_be_bytes(trace) & u128::from(u64::MAX);
        u64::try_from(low).is_ok_and(|low| low >> 1 < bound)
    }
}

/// An event's trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The span of the event being taken in: the parent of all attempts.
    pub received: Context,
    /// The sender's span.
    pub parent: Option<[u8; 8]>,
}

impl Trace {
    /// The trace of this event.
    #[must_use]
    pub fn of(event: &Event, sampler: &Sampler) -> Self {
        let sender = event.request.headers.text(TRACEPARENT).and_then(Context::parse);
        let trace = sender.map_or_else(|| event.id.bytes(), |context| context.trace);
        let sampled = sampler.records(trace, sender.map(|context| context.sampled));
        let received = Context { trace, span: low(event.id.bytes()), sampled };
        Self { received, parent: sender.map(|context| context.span) }
    }

    /// The span of an attempt.
    #[must_use]
    pub fn attempt(&self, id: AttemptId) -> Context {
        Context { span: low(id.bytes()), ..self.received }
    }
}

/// The random end of an id. No span is called zero.
fn low(id: [u8; 16]) -> [u8; 8] {
    let low = u128::from_be_bytes(id) & u128::from(u64::MAX);
    u64::try_from(low.max(1)).unwrap_or(1).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written() {
        let context = Context::parse(PARENT).unwrap();
        assert!(context.sampled);
        assert_eq!(context.to_string(), PARENT);
        let not = Context { sampled: false, ..context };
        assert_eq!(Context::parse(&not.to_string()), Some(not));
    }

    /// The examples of the standard, and what others send.
    #[test]
    fn what_is_none_is_none() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47\u{e9}-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Context::parse(text), None, "{text}");
        }
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes";
        assert!(Context::parse(later).is_some(), "a later version may say more");
    }

    #[test]
    fn samplers_say_what_they_are_asked() {
        let half = Sampler { parent_based: true, ratio: 0.5 };
        let (low, high) = (1_u128.to_be_bytes(), u128::MAX.to_be_bytes());
        assert!(half.records(low, None) && !half.records(high, None));
        assert!(half.records(high, Some(true)) && !half.records(low, Some(false)));
        let own = Sampler { parent_based: false, ratio: 0.0 };
        assert!(!own.records(low, Some(true)));
        let all = Sampler { parent_based: false, ratio: 1.0 };
        assert!(all.records(high, Some(false)));
    }
}
