//! Moments as people write them for a filter.

use crate::config::parse_duration;
use doorbell_core::time::Time;
use doorbell_server::clock::Clock;

/// A time as the API takes it, of RFC 3339 or of a span back from now (`1h`). What is neither, the server refuses by name.
pub(crate) fn moment(text: Option<&str>) -> Option<String> {
    text.map(|text| ago(text, Clock::real().now()).unwrap_or_else(|| text.to_owned()))
}

/// A bare number would be taken for seconds, and could be meant as anything.
fn ago(text: &str, now: Time) -> Option<String> {
    let unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
    let span = parse_duration(text).ok().filter(|_| unit)?;
    Some(now.before(span).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_meant_back_from_now() {
        let now = Time::parse_rfc3339("2026-11-24T01:02:03Z").unwrap();
        assert_eq!(ago("1h", now).as_deref(), Some("2026-11-24T00:02:03.000Z"));
        assert_eq!(ago("7d", now).as_deref(), Some("2026-11-17T01:02:03.000Z"));
        for text in ["2026-11-24T01:02:03Z", "10", "yesterday", "1y", ""] {
            assert_eq!(ago(text, now), None, "{text}");
        }
    }
}
