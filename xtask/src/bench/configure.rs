//! What a change of the configuration costs when little and when much is configured.

use super::Flags;
use super::gateway::Gateway;
use super::report::{self, Row};
use crate::node;
use anyhow::Result;
use serde_json::json;
use std::time::Instant;

/// Endpoints that are made in each measured step.
const STEP: u64 = 100;

/// Milliseconds that one change took.
#[derive(Debug, Clone, Copy)]
struct Cost {
    time: f64,
    cpu: f64,
}

/// `bench configure`: endpoints are made one by one; those behind the first hundred, and those behind all.
pub(super) fn run(flags: &Flags) -> Result<()> {
    let gateway = Gateway::fresh(flags)?;
    let count = flags.count.unwrap_or(10_000);
    make(&gateway, 0..STEP)?;
    let few = make(&gateway, STEP..2 * STEP)?;
    let filling = Instant::now();
    make(&gateway, 2 * STEP..count)?;
    let filled = filling.elapsed();
    let many = make(&gateway, count..count + STEP)?;
    let row =
        |name: &str, cost: Cost| Row::new(name).number("ms", cost.time).number("cpu_ms", cost.cpu);
    let rows = [
        row(&format!("one more to {STEP}"), few),
        row(&format!("one more to {count}"), many),
        Row::new("ratio")
            .number("ms", many.time / few.time)
            .number("cpu_ms", many.cpu / few.cpu)
            .number("all_s", filled.as_secs_f64()),
    ];
    report::keep("configure", &rows)
}

/// Makes endpoints one by one; what each took.
fn make(gateway: &Gateway, numbers: std::ops::Range<u64>) -> Result<Cost> {
    let changes = numbers.clone().count().max(1) as f64;
    let (mut api, begun, before) = (gateway.api(), Instant::now(), gateway.cpu()?);
    for n in numbers {
        let url = format!("http://127.0.0.1:9009/{n}");
        node::make_endpoint(&mut api, &format!("e{n:05}"), &url, &json!({}))?;
    }
    let time = begun.elapsed().as_secs_f64() * 1e3 / changes;
    Ok(Cost { time, cpu: (gateway.cpu()? - before) * 1e3 / changes })
}
