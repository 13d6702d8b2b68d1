//! A bit flips, or a file is cut short (R23): what is lost must be told by `doorbell doctor` or by a start that refuses,
//! no event may come back with other bytes, and the rest stays readable.

use super::load::{Load, Shape};
use super::world::World;
use super::{Options, Summary, diagnose};
use crate::http::Client;
use crate::node::{Program, Started};
use crate::payload::{self, Dice, Hash};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Events in the store that rots.
const SHAPE: Shape = Shape { connections: 4, events: 60, ballast: 0, every: None };

/// What is done to a file.
#[derive(Debug)]
enum Damage {
    Flip { bit: u64 },
    Cut { at: u64 },
}

/// What came of it.
#[derive(Debug, Default)]
struct Tally {
    told: u64,
    refused: u64,
    harmless: u64,
    lost: u64,
}

/// Damages copies of one store, `cycles` times.
pub(super) fn run(options: &Options) -> Result<Summary> {
    let folder = options.folder()?;
    let world = good_store(options, &folder)?;
    let good: BTreeMap<String, Hash> =
        world.ledger.lock().iter().map(|(key, sent)| (key.clone(), sent.hash)).collect();
    let copy = folder.join("copy");
    let (mut summary, mut tally) = (Summary::default(), Tally::default());
    let bar = options.progress();
    for cycle in 0..options.cycles {
        let seed = options.seed.wrapping_add(cycle);
        let rotten = Rotten {
            program: &options.program,
            data: copy.join("data"),
            token: &world.token,
            good: &good,
        };
        let what = damage(&world.data, &rotten.data, &mut Dice::new(seed))?;
        rotten.examine(&mut tally).with_context(|| {
            format!("cycle {cycle} (--seed {seed}), {what}; kept: {}", copy.display())
        })?;
        summary.cycles += 1;
        bar.inc(1);
    }
    bar.finish_and_clear();
    drop(std::fs::remove_dir_all(&folder));
    summary.acked = good.len() as u64;
    summary.notes.push(format!("{tally:?}"));
    Ok(summary)
}

fn good_store(options: &Options, folder: &Path) -> Result<World> {
    let mut world = World::new(&options.program, folder)?;
    let mut node = world.start_well(1)?;
    Load::start(&node.ingest, &world.ledger, 1, SHAPE).join();
    world.check(&node, &mut Dice::new(1))?;
    world.drain(&node, std::time::Duration::from_secs(30))?;
    node.stop()?;
    let (healthy, told) = diagnose(&options.program, &world.data)?;
    ensure!(healthy, "doctor finds fault with a good store: {told}");
    Ok(world)
}

/// Copies the store, and damages one file of the copy.
fn damage(from: &Path, to: &Path, dice: &mut Dice) -> Result<String> {
    drop(std::fs::remove_dir_all(to));
    let mut files = Vec::new();
    copy(from, to, &mut files)?;
    files.sort();
    let pick = usize::try_from(dice.below(files.len() as u64))?;
    let path = files.get(pick).context("the store has no files")?;
    let file = File::options().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let damage = if dice.below(3) == 0 {
        Damage::Cut { at: dice.below(length) }
    } else {
        Damage::Flip { bit: dice.below(length * 8) }
    };
    match damage {
        Damage::Cut { at } => file.set_len(at)?,
        Damage::Flip { bit } => {
            let mut byte = [0];
            file.read_exact_at(&mut byte, bit / 8)?;
            file.write_all_at(&[byte[0] ^ (1 << (bit % 8))], bit / 8)?;
        }
    }
    Ok(format!("{damage:?} of {length} bytes of {}", path.display()))
}

/// Copies a folder; files that are not empty are listed, but SQLite's shared memory, which is no data.
fn copy(from: &Path, to: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target, files)?;
        } else if std::fs::copy(&path, &target)? > 0 && !target.to_string_lossy().ends_with("-shm")
        {
            files.push(target);
        }
    }
    Ok(())
}

/// What could be read of a damaged store.
#[derive(Debug, Default)]
struct Reading {
    /// Events with the bytes that were sent.
    right: u64,
    /// One that came back with other bytes.
    changed: Option<String>,
    /// Why the list broke off.
    failed: Option<String>,
}

struct Rotten<'a> {
    program: &'a Program,
    data: PathBuf,
    token: &'a str,
    good: &'a BTreeMap<String, Hash>,
}

impl Rotten<'_> {
    fn examine(&self, tally: &mut Tally) -> Result<()> {
        let (healthy, told) = diagnose(self.program, &self.data)?;
        // Rot in the very last batch cannot be told from a power cut: it is a note, with the place and the bytes.
        let healthy = healthy && !notes_damage(&told);
        let node = match self.program.start(&self.data, None)?.wait()? {
            Started::Ready(node) => node,
            Started::Ended(status) => {
                ensure!(
                    status.code().is_some_and(|code| code != 101),
                    "the start panicked: {status}"
                );
                ensure!(!healthy, "the start refuses, but doctor finds nothing");
                tally.refused += 1;
                return Ok(());
            }
        };
        let reading = self.read_all(&mut node.api(self.token))?;
        if let Some(id) = reading.changed {
            bail!("silent corruption: {id} came back with other bytes; doctor says: {told}");
        }
        // The list may fail as a whole (its token may be what was damaged): then doctor must know.
        let lost = (self.good.len() as u64).saturating_sub(reading.right);
        let whole = reading.failed.is_none() && lost == 0;
        ensure!(
            whole || !healthy,
            "{lost} events are gone ({:?}), but doctor finds nothing: {told}",
            reading.failed
        );
        tally.lost += lost;
        if healthy {
            tally.harmless += 1;
        } else {
            tally.told += 1;
        }
        Ok(())
    }

    /// Lists and reads all events.
    fn read_all(&self, api: &mut Client) -> Result<Reading> {
        let (mut reading, mut cursor) = (Reading::default(), String::new());
        loop {
            let page = match api.api(&format!("GET /v1/events?limit=200{cursor}"), None) {
                Ok(page) => page,
                Err(fault) => return Ok(Reading { failed: Some(format!("{fault:#}")), ..reading }),
            };
            for row in page.get("data").and_then(Value::as_array).into_iter().flatten() {
                let id = row.get("id").and_then(Value::as_str).context("a row without an id")?;
                let answer = api.send(&format!("GET /v1/events/{id}/body"), "", b"")?;
                let key = payload::key(&answer.body).unwrap_or_default();
                match answer.status() {
                    200 if self.good.get(key) == Some(&payload::hash(&answer.body)) => {
                        reading.right += 1;
                    }
                    200 => reading.changed = Some(id.to_owned()),
                    _ => {}
                }
            }
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(reading),
            }
        }
    }
}

/// Whether the doctor's words name damaged bytes of the journal, if only as a note.
fn notes_damage(told: &str) -> bool {
    let told: Value = serde_json::from_str(told.trim()).unwrap_or_default();
    let findings = told.get("findings").and_then(Value::as_array);
    findings
        .into_iter()
        .flatten()
        .any(|finding| finding["what"] == "journal" && finding["grade"] != "good")
}
