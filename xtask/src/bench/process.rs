//! What a process costs, as `/proc` tells it.

use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// `sysconf(_SC_CLK_TCK)` on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds that a process has used so far, user and system, all threads.
pub(super) fn cpu_seconds(pid: u32) -> Result<f64> {
    cpu_in(&std::fs::read_to_string(format!("/proc/{pid}/stat"))?)
}

/// CPU seconds of the threads that are alive, those of one name together.
pub(super) fn cpu_by_thread(pid: u32) -> Result<BTreeMap<String, f64>> {
    let mut threads = BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        let name = stat
            .split_once('(')
            .and_then(|(_, rest)| rest.rsplit_once(')'))
            .map_or("", |(name, _)| name);
        *threads.entry(name.to_owned()).or_insert(0.0) += cpu_in(&stat)?;
    }
    Ok(threads)
}

fn cpu_in(stat: &str) -> Result<f64> {
    // The name in parentheses may hold anything; the numbers begin behind it. utime and stime are fields 14 and 15.
    let behind = stat.rsplit_once(')').context("no name in stat")?.1;
    let mut fields = behind.split_whitespace().skip(11).map(str::parse::<f64>);
    let user = fields.next().context("no utime")??;
    let system = fields.next().context("no stime")??;
    Ok((user + system) / TICKS_PER_SECOND)
}

/// Resident memory of a process, in bytes.
pub(super) fn rss_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// The machine in a few words that fit a file name.
pub(super) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let model = model.trim_start_matches(['\t', ' ', ':']).to_ascii_lowercase();
    let words = model.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    format!("{cores}-core-{}", words.take(3).collect::<Vec<_>>().join("-"))
}
