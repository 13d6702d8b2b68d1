//! A picture of the runs so far: one small chart for each bench, its figures over time, as plain SVG.

use super::report;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fmt::Write;

/// What is drawn of which bench: the row's name, the figure in it, and what the axis says.
const CHARTS: [(&str, &str, &str, &str); 8] = [
    ("ingest", "ratio (median of pairs)", "ratio", "durable accepts : bare hyper"),
    ("ingest", "doorbell, durable", "rate", "durable accepts a second"),
    ("ingest", "doorbell, durable", "p99_ms", "p99 of the ack at full rate, ms"),
    ("deliver", "ratio (median of pairs)", "ratio", "delivered : bare loop"),
    ("deliver", "doorbell, end to end", "cpu_us", "CPU of an event, end to end, µs"),
    ("latency", "event to delivered", "p99_ms", "event to delivered, p99 at 200/s, ms"),
    ("isolation", "ratio", "ratio", "999 beside a dead one : beside a live one"),
    ("backlog", "waiting", "rss_mb", "memory with the backlog waiting, MB"),
];

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 180.0;
const MARGIN: f64 = 44.0;

/// Draws `bench-results/<machine>.svg`.
pub(super) fn run() -> Result<()> {
    let file = report::file()?;
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("no runs yet in {}", file.display()))?;
    let runs: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let machine =
        file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let path = file.with_extension("svg");
    std::fs::write(&path, draw(&machine, &runs)?)?;
    println!("drawn: {}", path.display());
    Ok(())
}

/// One point: when, at which commit, and how much.
type Point<'a> = (&'a str, &'a str, f64);

fn points<'a>(runs: &'a [Value], bench: &str, row: &str, figure: &str) -> Vec<Point<'a>> {
    let text =
        |run: &'a Value, name: &str| run.get(name).and_then(Value::as_str).unwrap_or_default();
    let of_bench = runs.iter().filter(|run| text(run, "bench") == bench);
    let found = of_bench.filter_map(|run| {
        let rows = run.get("rows")?.as_array()?;
        let row =
            rows.iter().find(|found| found.get("name").and_then(Value::as_str) == Some(row))?;
        Some((text(run, "at"), text(run, "commit"), row.get(figure)?.as_f64()?))
    });
    found.collect()
}

fn draw(machine: &str, runs: &[Value]) -> Result<String> {
    let rows = CHARTS.len().div_ceil(2);
    let (width, height) = (WIDTH * 2.0, HEIGHT * rows as f64 + 40.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"24\" font-size=\"15\">Doorbell, benchmarks on {machine}</text>\n"
    );
    for (n, (bench, row, figure, title)) in CHARTS.iter().enumerate() {
        let (x, y) = ((n % 2) as f64 * WIDTH, (n / 2) as f64 * HEIGHT + 40.0);
        writeln!(svg, "<g transform=\"translate({x} {y})\">")?;
        writeln!(svg, "<text x=\"{MARGIN}\" y=\"14\" font-weight=\"bold\">{title}</text>")?;
        chart(&mut svg, &points(runs, bench, row, figure))?;
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn chart(svg: &mut String, points: &[Point<'_>]) -> Result<()> {
    let (left, right, top, bottom) = (MARGIN, WIDTH - 16.0, 24.0, HEIGHT - 32.0);
    let most = points.iter().map(|(.., value)| *value).fold(0.0, f64::max);
    if points.is_empty() || most <= 0.0 {
        writeln!(
            svg,
            "<text x=\"{left}\" y=\"{}\" fill=\"#888\">no runs yet</text>",
            HEIGHT / 2.0
        )?;
        return Ok(());
    }
    let top_value = nice(most);
    let y = |value: f64| bottom - (bottom - top) * value / top_value;
    for share in [0.0, 0.5, 1.0] {
        let (at, value) = (y(top_value * share), top_value * share);
        writeln!(svg, "<path d=\"M{left} {at}H{right}\" stroke=\"#ddd\"/>")?;
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#555\">{value}</text>",
            left - 4.0,
            at + 4.0
        )?;
    }
    let step = (right - left) / points.len() as f64;
    let x = |n: usize| left + step * (n as f64 + 0.5);
    let path: Vec<String> =
        points.iter().enumerate().map(|(n, (.., v))| format!("{:.1} {:.1}", x(n), y(*v))).collect();
    writeln!(
        svg,
        "<path d=\"M{}\" fill=\"none\" stroke=\"#2a6f97\" stroke-width=\"2\"/>",
        path.join("L")
    )?;
    for (n, (at, commit, value)) in points.iter().enumerate() {
        let (cx, cy) = (x(n), y(*value));
        writeln!(
            svg,
            "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\" fill=\"#2a6f97\"><title>{value} at {commit}, {at}</title></circle>"
        )?;
    }
    let (first, last) = (points.first().map_or("", |p| p.0), points.last().map_or("", |p| p.0));
    let day = |at: &str| at.get(..10).unwrap_or_default().to_owned();
    let foot = HEIGHT - 14.0;
    writeln!(svg, "<text x=\"{left}\" y=\"{foot}\" fill=\"#555\">{}</text>", day(first))?;
    let latest = points.last().map_or(0.0, |p| p.2);
    writeln!(
        svg,
        "<text x=\"{right}\" y=\"{foot}\" text-anchor=\"end\" fill=\"#555\">{}: {latest}</text>",
        day(last)
    )?;
    Ok(())
}

/// The next of 1, 2, 5, 10, … that is not below.
fn nice(value: f64) -> f64 {
    let ten = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * ten).find(|n| *n >= value).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn draws_what_was_measured() {
        let run = json!({"bench": "ingest", "at": "2026-01-02T00:00:00Z", "commit": "abc",
            "rows": [{"name": "ratio (median of pairs)", "ratio": 0.71}]});
        let svg = draw("a machine", &[run]).unwrap();
        assert!(
            svg.contains("0.71 at abc") && svg.contains("no runs yet") && svg.ends_with("</svg>\n")
        );
        assert!((nice(0.71) - 1.0).abs() < 1e-9 && (nice(34_000.0) - 50_000.0).abs() < 1e-6);
    }
}
