//! What came of it: a table, a line of JSON, a picture.

use super::Flags;
use super::mix::{HEALTHS, Mix};
use super::node::{Machine, Outcome, Sample, Times};
use serde_json::json;
use std::fmt::Arguments;

/// What each node has to deliver.
#[derive(Debug)]
pub(super) struct Shares(Vec<f64>);

impl Shares {
    /// So many nodes, spread from the busiest to the idlest.
    pub(super) fn sample(&self, count: u64) -> Vec<u64> {
        let mut order: Vec<u64> = (0..self.0.len() as u64).collect();
        order.sort_by(|a, b| self.of(*b).total_cmp(&self.of(*a)));
        let last = order.len().saturating_sub(1);
        let count = usize::try_from(count).unwrap_or(1).clamp(1, order.len());
        let step = |n: usize| n * last / count.saturating_sub(1).max(1);
        (0..count).filter_map(|n| order.get(step(n)).copied()).collect()
    }

    fn of(&self, node: u64) -> f64 {
        usize::try_from(node).ok().and_then(|node| self.0.get(node)).copied().unwrap_or(0.0)
    }

    fn busiest(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }
}

pub(super) struct Told<'a> {
    pub(super) shares: Shares,
    pub(super) calm: &'a [Outcome],
    pub(super) real_life: &'a [Outcome],
    pub(super) machine: &'a Machine,
    pub(super) fleet: &'a Flags,
}

impl Told<'_> {
    pub(super) fn shares(mix: &Mix, homes: &[u64], nodes: u64) -> Shares {
        let mut rates = vec![0.0; usize::try_from(nodes).unwrap_or(0)];
        for (one, home) in mix.iter().zip(homes) {
            if let Some(rate) = usize::try_from(*home).ok().and_then(|home| rates.get_mut(home)) {
                *rate += one.rate;
            }
        }
        Shares(rates)
    }

    pub(super) fn text(&self) -> String {
        let Flags { nodes, endpoints, rate, minutes, .. } = self.fleet;
        let mut text = format!(
            "{nodes} nodes, {endpoints} endpoints, {rate} deliveries a second, {minutes} minutes; {} nodes looked at\n\
             a node has {:.0} deliveries a second on average, the busiest {:.0}; it can make {:.0}\n\n",
            self.calm.len(),
            self.shares.mean(),
            self.shares.busiest(),
            1.0 / self.machine.turn,
        );
        let head = ["", "all healthy", "real life"];
        let row = |text: &mut String, cells: [String; 3]| {
            let [name, calm, real] = cells;
            line(text, format_args!("{name:44} {calm:>14} {real:>14}"));
        };
        row(&mut text, head.map(str::to_owned));
        for (name, figure) in FIGURES {
            row(
                &mut text,
                [name.to_owned(), shown(figure(self.calm)), shown(figure(self.real_life))],
            );
        }
        for health in HEALTHS {
            let left = |of: &[Outcome]| of.iter().map(|one| one.waiting_by(health)).sum::<u64>();
            row(
                &mut text,
                [
                    format!("waiting at the end, {health:?}"),
                    left(self.calm).to_string(),
                    left(self.real_life).to_string(),
                ],
            );
        }
        text
    }

    pub(super) fn json(&self) -> String {
        let side = |of: &[Outcome]| {
            let figures =
                FIGURES.iter().map(|(name, figure)| ((*name).to_owned(), json!(figure(of))));
            serde_json::Value::Object(figures.collect())
        };
        json!({
            "nodes": self.fleet.nodes, "endpoints": self.fleet.endpoints, "rate": self.fleet.rate,
            "minutes": self.fleet.minutes, "looked_at": self.calm.len(),
            "busiest_node": self.shares.busiest(), "mean_node": self.shares.mean(),
            "all_healthy": side(self.calm), "real_life": side(self.real_life),
        })
        .to_string()
    }

    /// Backlog and memory of the busiest node over time, in real life.
    pub(super) fn picture(&self) -> String {
        let samples = self.real_life.first().map(|one| one.samples.as_slice()).unwrap_or_default();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"16\" y=\"22\" font-size=\"14\">The busiest of {} simulated nodes, {:.0} deliveries a second, endpoints as in real life</text>\n",
            40.0 + 3.0 * HEIGHT,
            self.fleet.nodes,
            self.shares.busiest(),
        );
        let charts: [(&str, OfSample, OfSample); 3] = [
            (
                "deliveries that wait: of sick endpoints (red), of healthy ones (blue)",
                |s| s.of_sick as f64,
                |s| s.of_healthy as f64,
            ),
            ("tries that are out", |_| 0.0, |s| s.out as f64),
            ("memory, MB", |_| 0.0, |s| s.bytes / 1e6),
        ];
        for (n, (title, red, blue)) in charts.into_iter().enumerate() {
            let y = 40.0 + n as f64 * HEIGHT;
            line(&mut svg, format_args!("<g transform=\"translate(0 {y})\">"));
            line(
                &mut svg,
                format_args!("<text x=\"{LEFT}\" y=\"12\" font-weight=\"bold\">{title}</text>"),
            );
            chart(&mut svg, samples, [(red, "#b5443a"), (blue, "#2a6f97")]);
            svg.push_str("</g>\n");
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn line(text: &mut String, line: Arguments<'_>) {
    text.push_str(&line.to_string());
    text.push('\n');
}

type OfSample = fn(&Sample) -> f64;
type Figure = fn(&[Outcome]) -> f64;

const FIGURES: [(&str, Figure); 9] = [
    ("events", |of| of.iter().map(|one| one.arrived as f64).sum()),
    ("delivered", |of| of.iter().map(|one| one.delivered as f64).sum()),
    ("given up", |of| of.iter().map(|one| one.failed as f64).sum()),
    ("breakers opened", |of| of.iter().map(|one| one.breakers_opened as f64).sum()),
    ("event to delivered, healthy, p50, s", |of| times(of).quantile(0.5)),
    ("event to delivered, healthy, p99, s", |of| times(of).quantile(0.99)),
    ("event to delivered, healthy, p99.9, s", |of| times(of).quantile(0.999)),
    ("most waiting on one node", |of| {
        of.iter().map(|one| one.most_backlog as f64).fold(0.0, f64::max)
    }),
    ("most memory of one node, MB", |of| {
        of.iter().map(|one| one.most_bytes).fold(0.0, f64::max) / 1e6
    }),
];

fn times(of: &[Outcome]) -> Times {
    let mut all = Times::default();
    of.iter().for_each(|one| all.merge(&one.healthy));
    all
}

fn shown(value: f64) -> String {
    if value < 100.0 && value.fract() > 0.0 { format!("{value:.3}") } else { format!("{value:.0}") }
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 70.0;

fn chart(svg: &mut String, samples: &[Sample], lines: [(OfSample, &str); 2]) {
    let (right, top, bottom) = (WIDTH - 16.0, 22.0, HEIGHT - 26.0);
    let most = lines.iter().flat_map(|(of, _)| samples.iter().map(of)).fold(1.0, f64::max);
    let end = samples.last().map_or(1.0, |sample| sample.at.max(1.0));
    for share in [0.0, 0.5, 1.0] {
        let y = bottom - (bottom - top) * share;
        line(svg, format_args!("<path d=\"M{LEFT} {y}H{right}\" stroke=\"#ddd\"/>"));
        let (x, y, value) = (LEFT - 4.0, y + 4.0, most * share);
        line(
            svg,
            format_args!(
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\" fill=\"#555\">{value:.0}</text>"
            ),
        );
    }
    for (of, colour) in lines {
        if samples.iter().all(|sample| of(sample) <= 0.0) {
            continue;
        }
        let point = |sample: &Sample| {
            let x = LEFT + (right - LEFT) * sample.at / end;
            format!("{x:.1} {:.1}", bottom - (bottom - top) * of(sample) / most)
        };
        let path: Vec<String> = samples.iter().map(point).collect();
        line(
            svg,
            format_args!(
                "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
                path.join("L")
            ),
        );
    }
    let (foot, minutes) = (HEIGHT - 10.0, end / 60.0);
    line(svg, format_args!("<text x=\"{LEFT}\" y=\"{foot}\" fill=\"#555\">0</text>"));
    line(
        svg,
        format_args!(
            "<text x=\"{right}\" y=\"{foot}\" text-anchor=\"end\" fill=\"#555\">{minutes:.0} min</text>"
        ),
    );
}
