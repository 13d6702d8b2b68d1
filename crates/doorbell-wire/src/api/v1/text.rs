//! How times and durations are written.

use doorbell_core::time::Time;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A point in time, written as RFC 3339 in UTC with milliseconds: `2026-11-24T01:02:03.456Z`. Offsets are read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Time);

/// How long, written as a whole number with its unit (`ms`, `s`, `m`, `h`, `d`), or several in a row: `15s`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// The text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time of the form 2026-11-24T01:02:03Z (RFC 3339, year 1970 to 9999)")]
pub struct MomentError;

/// The text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a duration: use whole numbers with ms, s, m, h or d, such as 15s or 1h30m")]
pub struct SpanError;

impl FromStr for Moment {
    type Err = MomentError;
    fn from_str(text: &str) -> Result<Self, MomentError> {
        Time::parse_rfc3339(text).map(Self).ok_or(MomentError)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds of each unit, the largest first.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for Span {
    type Err = SpanError;
    fn from_str(text: &str) -> Result<Self, SpanError> {
        if text.is_empty() || text.len() > 64 {
            return Err(SpanError);
        }
        let (mut rest, mut total) = (text, 0_u64);
        while !rest.is_empty() {
            let (ms, after) = one_part(rest).ok_or(SpanError)?;
            total = total.checked_add(ms).ok_or(SpanError)?;
            rest = after;
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

/// The milliseconds of the first number and unit, and what stands behind them.
fn one_part(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (unit, after) =
        rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
    let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
    Some((digits.parse::<u64>().ok()?.checked_mul(*ms)?, after))
}

/// In the largest unit that fits exactly, so that what was written as `15s` comes back as `15s`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if ms == 0 {
            return f.write_str("0s");
        }
        let (name, unit) =
            UNITS.iter().find(|(_, unit)| ms.is_multiple_of(*unit)).unwrap_or(&("ms", 1));
        write!(f, "{}{name}", ms / unit)
    }
}

macro_rules! as_text {
    ($($name:ident $schema:literal $format:expr;)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $schema.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $format
            }
        }
    )*};
}

as_text! {
    Moment "Time" json_schema!({
        "type": "string",
        "format": "date-time",
        "description": "A point in time (RFC 3339).",
        "examples": ["2026-11-24T01:02:03.456Z"],
    });
    Span "Duration" json_schema!({
        "type": "string",
        "pattern": "^([0-9]+(ms|s|m|h|d))+$",
        "description": "How long: whole numbers with ms, s, m, h or d.",
        "examples": ["15s", "1h30m"],
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans() {
        for (text, ms, again) in [
            ("15s", 15_000, "15s"),
            ("1h30m", 5_400_000, "90m"),
            ("0s", 0, "0s"),
            ("250ms", 250, "250ms"),
            ("48h", 172_800_000, "2d"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.0, span.to_string().as_str()), (Duration::from_millis(ms), again));
        }
        for bad in
            ["", "s", "5", "5 s", "5sec", "-5s", "1.5s", "é5s", "5é", "99999999999999999999d"]
        {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(ms in 0..u64::MAX / 2) {
            let span = Span(Duration::from_millis(ms));
            prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _either = text.parse::<Span>().is_ok() || text.parse::<Moment>().is_ok();
        }
    }
}
