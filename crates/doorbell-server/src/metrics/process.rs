//! What the system says of this process, under the names that Prometheus' own libraries use. Where there is no `/proc`,
//! nothing.

use super::text::{Row, Text};
use std::fs;

pub(crate) const ROWS: [Row; 5] = [CPU, MEMORY, OPEN_FILES, MOST_FILES, START];

const CPU: Row = Row::counter("process_cpu_seconds_total", "Seconds of CPU that were used.");
const MEMORY: Row = Row::gauge("process_resident_memory_bytes", "Bytes of memory in use.");
const OPEN_FILES: Row = Row::gauge("process_open_fds", "Open files and connections.");
const MOST_FILES: Row = Row::gauge("process_max_fds", "How many of these there may be.");
const START: Row =
    Row::gauge("process_start_time_seconds", "When the process began, in seconds since 1970.");

/// Of `/proc/*/stat`: what Linux calls `USER_HZ`, the same on all machines that Doorbell is built for.
const TICKS: u64 = 100;

pub(crate) fn write(text: &mut Text) {
    let read = |name: &str| fs::read_to_string(name).unwrap_or_default();
    let (stat, status, limits) =
        (read("/proc/self/stat"), read("/proc/self/status"), read("/proc/self/limits"));
    let (user, system, began) = (field(&stat, 14), field(&stat, 15), field(&stat, 22));
    if let Some(ticks) = user.zip(system).map(|(user, system)| user + system) {
        text.one(CPU, hundredths(ticks));
    }
    if let Some(kib) = after(&status, "VmRSS:") {
        text.one(MEMORY, kib * 1024);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        text.one(OPEN_FILES, open.count());
    }
    if let Some(most) = after(&limits, "Max open files") {
        text.one(MOST_FILES, most);
    }
    if let Some((booted, began)) = after(&read("/proc/stat"), "btime").zip(began) {
        text.one(START, hundredths(booted * TICKS + began));
    }
}

fn hundredths(ticks: u64) -> String {
    format!("{}.{:02}", ticks / TICKS, ticks % TICKS)
}

/// The field with this number, from 1; the second one, a name in brackets, may hold anything.
fn field(stat: &str, number: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

/// The first number behind this word.
fn after(text: &str, word: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_the_name_of_the_process_is() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 12 34 0 0 20 0 4 0 5678 9 9";
        assert_eq!(
            (field(stat, 14), field(stat, 15), field(stat, 22)),
            (Some(12), Some(34), Some(5678))
        );
        assert_eq!(field("", 14), None);
        assert_eq!(after("VmPeak: 1 kB\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2048));
        assert_eq!(
            after("Max open files            unlimited  9  files\n", "Max open files"),
            None
        );
    }
}
