//! Durations, sizes and `${VARIABLES}` as people write them.

use std::time::Duration;

/// Reads `250ms`, `10s`, `5m`, `2h`, `7d`; a bare number is seconds.
///
/// # Errors
/// A sentence that says what would fit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("{text:?} is no duration: write 250ms, 10s, 5m, 2h or 7d")),
    };
    let ms = number.parse::<u64>().ok().and_then(|n| n.checked_mul(scale));
    ms.map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is no duration: write 250ms, 10s, 5m, 2h or 7d"))
}

/// Reads `1048576`, `64KiB`, `32MiB`, `10GiB` (and `KB`, `MB`, `GB` in thousands).
///
/// # Errors
/// A sentence that says what would fit.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale: u64 = match unit {
        "" | "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "TiB" | "T" => 1 << 40,
        _ => return Err(format!("{text:?} is no size: write 512, 64KiB, 32MiB or 10GiB")),
    };
    let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(scale));
    bytes.ok_or_else(|| format!("{text:?} is no size: write 512, 64KiB, 32MiB or 10GiB"))
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    (number, unit.trim())
}

/// `1.5 GiB`, `12 KiB`, `800 B`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    for (unit, scale) in
        [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
    {
        if bytes >= scale {
            return format!("{}.{} {unit}", bytes / scale, bytes % scale * 10 / scale);
        }
    }
    format!("{bytes} B")
}

/// Replaces each `${NAME}` by what `lookup` knows of it; `$$` stands for one `$`.
///
/// # Errors
/// A sentence naming the variable that is not set, or the place that is not closed.
pub(crate) fn expand_variables(
    text: &str,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (name, after) = after.split_once('}').ok_or("a ${ is not closed by }")?;
            let value = lookup(name).filter(|value| !value.is_empty());
            expanded.push_str(&value.ok_or_else(|| {
                format!("the variable {name} is not set (or empty): export {name}=… first")
            })?);
            rest = after;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(604_800)));
        assert_eq!(parse_duration("250 ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("15"), Ok(Duration::from_secs(15)));
        assert_eq!(parse_bytes("32MiB"), Ok(32 << 20));
        for bad in ["", "7 days", "-1s", "s", "1.5h", "99999999999999999999d"] {
            assert!(parse_duration(bad).is_err() && parse_bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(human_bytes(1_610_612_736), "1.5 GiB");
    }

    #[test]
    fn variables() {
        let lookup = |name: &str| (name == "A").then(|| "x".to_owned());
        assert_eq!(expand_variables("${A}-$$-$5", lookup), Ok("x-$-$5".to_owned()));
        assert!(expand_variables("${B}", lookup).is_err_and(|why| why.contains("export B=")));
        assert!(expand_variables("${A", lookup).is_err());
    }
}
