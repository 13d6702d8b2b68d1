//! Timestamps as providers write them, read strictly.
//!
//! Every reader returns milliseconds since the Unix epoch, or nothing: no sign, no blank, no fraction where whole
//! numbers are meant, no value that overflows. The clock itself is never read here.

/// How a provider writes its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Whole seconds since the Unix epoch.
    Seconds,
    /// Whole milliseconds since the Unix epoch.
    Millis,
    /// RFC 3339 with a zone, for example `2026-01-01T00:00:00.5Z`.
    Iso8601,
    /// RFC 9110 IMF-fixdate, for example `Wed, 31 Dec 2025 23:59:58 GMT`.
    HttpDate,
}

impl Unit {
    /// Milliseconds since the epoch, or `None` when `text` is not exactly such a timestamp.
    #[must_use]
    pub fn parse(self, text: &[u8]) -> Option<i64> {
        match self {
            Self::Seconds => number_alone(text)?.checked_mul(1000),
            Self::Millis => number_alone(text),
            Self::Iso8601 => iso8601(text),
            Self::HttpDate => http_date(text),
        }
    }

    /// Writes `seconds` since the epoch in this form.
    #[must_use]
    pub fn write(self, seconds: i64) -> String {
        match self {
            Self::Seconds => seconds.to_string(),
            Self::Millis => seconds.saturating_mul(1000).to_string(),
            Self::Iso8601 => {
                let c = Civil::of(seconds);
                format!(
                    "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                    c.year, c.month, c.day, c.hour, c.minute, c.second
                )
            }
            Self::HttpDate => {
                let c = Civil::of(seconds);
                let weekday = DAYS.get(
                    usize::try_from((seconds.div_euclid(86_400) + 4).rem_euclid(7)).unwrap_or(0),
                );
                let month = usize::try_from(c.month - 1).ok().and_then(|m| MONTHS.get(m));
                format!(
                    "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                    weekday.unwrap_or(&"Thu"),
                    c.day,
                    month.unwrap_or(&"Jan"),
                    c.year,
                    c.hour,
                    c.minute,
                    c.second
                )
            }
        }
    }
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A number of ASCII digits only; `None` on anything else and on overflow of `i64`.
#[must_use]
pub fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_i64, |sum, byte| {
        if !byte.is_ascii_digit() {
            return None;
        }
        sum.checked_mul(10)?.checked_add(i64::from(byte - b'0'))
    })
}

/// Digits of which the first is no zero: a zero could have come from what stands before a signed time.
fn number_alone(text: &[u8]) -> Option<i64> {
    if text.first() == Some(&b'0') { None } else { digits(text) }
}

struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Civil {
    /// Howard Hinnant's `civil_from_days`, with the time of day.
    fn of(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        let day = doy - (153 * mp + 2) / 5 + 1;
        Self { year, month, day, hour: rest / 3600, minute: rest / 60 % 60, second: rest % 60 }
    }

    fn seconds(&self) -> Option<i64> {
        let sane = (1..=12).contains(&self.month)
            && (1..=31).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60;
        if !sane {
            return None;
        }
        let y = if self.month <= 2 { self.year - 1 } else { self.year };
        let era = y.div_euclid(400);
        let yoe = y.rem_euclid(400);
        let mp = (self.month + 9) % 12;
        let doy = (153 * mp + 2) / 5 + self.day - 1;
        let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
        let days = era * 146_097 + doe - 719_468;
        Some(days * 86_400 + self.hour * 3600 + self.minute * 60 + self.second)
    }
}

/// Reads `count` digits at `at`.
fn number(text: &[u8], at: usize, count: usize) -> Option<i64> {
    digits(text.get(at..at + count)?)
}

fn expect(text: &[u8], at: usize, byte: u8) -> Option<()> {
    (*text.get(at)? == byte).then_some(())
}

fn iso8601(text: &[u8]) -> Option<i64> {
    expect(text, 4, b'-')?;
    expect(text, 7, b'-')?;
    expect(text, 10, b'T')?;
    expect(text, 13, b':')?;
    expect(text, 16, b':')?;
    let civil = Civil {
        year: number(text, 0, 4)?,
        month: number(text, 5, 2)?,
        day: number(text, 8, 2)?,
        hour: number(text, 11, 2)?,
        minute: number(text, 14, 2)?,
        second: number(text, 17, 2)?,
    };
    let (millis, zone) = fraction(text.get(19..)?)?;
    let offset = match zone {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), clock @ ..] if clock.len() == 5 => {
            expect(clock, 2, b':')?;
            let minutes = number(clock, 0, 2)? * 60 + number(clock, 3, 2)?;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    (civil.seconds()? - offset * 60).checked_mul(1000)?.checked_add(millis)
}

/// `.123456Z` → milliseconds and what follows the fraction. At most nine digits.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 || count > 9 {
        return None;
    }
    let (shown, zone) = rest.split_at_checked(count)?;
    let mut millis = 0;
    for place in 0..3 {
        millis = millis * 10 + shown.get(place).map_or(0, |byte| i64::from(byte - b'0'));
    }
    Some((millis, zone))
}

/// `20260101000000Z` → Unix seconds.
pub(crate) fn compact(text: &[u8]) -> Option<i64> {
    if text.len() != 15 {
        return None;
    }
    expect(text, 14, b'Z')?;
    let civil = Civil {
        year: number(text, 0, 4)?,
        month: number(text, 4, 2)?,
        day: number(text, 6, 2)?,
        hour: number(text, 8, 2)?,
        minute: number(text, 10, 2)?,
        second: number(text, 12, 2)?,
    };
    civil.seconds()
}

fn http_date(text: &[u8]) -> Option<i64> {
    if text.len() != 29 || text.get(25..)? != b" GMT" || text.get(3..5)? != b", " {
        return None;
    }
    let month = text.get(8..11)?;
    let month = MONTHS.iter().position(|name| name.as_bytes() == month)?;
    for (at, byte) in [(7, b' '), (11, b' '), (16, b' '), (19, b':'), (22, b':')] {
        expect(text, at, byte)?;
    }
    let civil = Civil {
        year: number(text, 12, 4)?,
        month: i64::try_from(month).ok()? + 1,
        day: number(text, 5, 2)?,
        hour: number(text, 17, 2)?,
        minute: number(text, 20, 2)?,
        second: number(text, 23, 2)?,
    };
    civil.seconds()?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_numbers() {
        assert_eq!(Unit::Seconds.parse(b"1767225600"), Some(1_767_225_600_000));
        assert_eq!(Unit::Millis.parse(b"1767225600000"), Some(1_767_225_600_000));
        for bad in [
            "",
            " 1",
            "1 ",
            "+1",
            "-1",
            "1.0",
            "1e9",
            "0x10",
            "١",
            "99999999999999999999",
            "9223372036854775807",
        ] {
            assert_eq!(Unit::Seconds.parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Unit::Millis.parse(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(Unit::Millis.parse(b"9223372036854775808"), None);
    }

    #[test]
    fn dates() {
        let second = 1_767_225_598;
        for unit in [Unit::Seconds, Unit::Millis, Unit::Iso8601, Unit::HttpDate] {
            assert_eq!(unit.parse(unit.write(second).as_bytes()), Some(second * 1000), "{unit:?}");
        }
        assert_eq!(Unit::HttpDate.write(second), "Wed, 31 Dec 2025 23:59:58 GMT");
        assert_eq!(Unit::Iso8601.parse(b"2025-12-31T23:59:58.634234626Z"), Some(1_767_225_598_634));
        assert_eq!(Unit::Iso8601.parse(b"2026-01-01T01:59:58+02:00"), Some(second * 1000));
        assert_eq!(Unit::Iso8601.parse(b"2024-02-29T00:00:00Z"), Some(1_709_164_800_000));
        for bad in [
            "2026-13-01T00:00:00Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026",
        ] {
            assert_eq!(Unit::Iso8601.parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
