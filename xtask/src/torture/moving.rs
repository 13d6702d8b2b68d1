//! The store moves from its folder to a database under load: first in vain, then for good.
//!
//! What must hold: nothing acknowledged is lost or there twice, the lists are in the order in which they were, everything
//! reaches both endpoints (the retries that waited too), what came twice was in flight when the node changed over, and
//! what was sent before is known when it is sent again. The longest time without a 2xx is reported.

use super::check;
use super::load::{Ledger, Sent};
use super::receiver::Hits;
use super::world::World;
use super::{Options, Summary};
use crate::http::Client;
use crate::node::Node;
use crate::payload::{self, Dice, SECRET};
use crate::postgres::{Cluster, Sync};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long is sent before anything moves, and after.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(3);
/// Between two requests of a sender: with six of them some hundred a second.
const PACE: Duration = Duration::from_millis(10);
/// How long before the change-over a delivery may have been answered without its result being in the store.
const IN_FLIGHT: Duration = Duration::from_secs(2);
/// Events that are sent once more after the move.
const AGAIN: usize = 50;
/// Most of those ids that are compared in a list.
const PAGE: usize = 500;

/// From when to when a node changed over, at the most.
type Period = (Instant, Instant);

/// Senders that go on whatever happens to their connections, as providers do.
struct Senders {
    threads: Vec<JoinHandle<()>>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    shed: AtomicU64,
    broken: AtomicU64,
    other: AtomicU64,
    /// When answers 2xx came.
    acked: Mutex<Vec<Instant>>,
}

impl Senders {
    fn start(ingest: &str, ledger: &Ledger, life: u64, connections: u64) -> Self {
        let seen = Arc::new(Seen::default());
        let threads = (0..connections).map(|lane| {
            let (mut client, ledger) = (Client::new(ingest, None), ledger.clone());
            let (seen, mut dice) = (Arc::clone(&seen), Dice::new(life * 1_000 + lane));
            std::thread::spawn(move || {
                for n in 0.. {
                    if seen.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    post(&mut client, &ledger, &format!("{life}-{lane}-{n}"), &mut dice, &seen);
                    std::thread::sleep(PACE);
                }
            })
        });
        Self { threads: threads.collect(), seen }
    }

    fn stop(self) -> Arc<Seen> {
        self.seen.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            drop(thread.join());
        }
        self.seen
    }
}

/// Posts one event until it is taken.
fn post(client: &mut Client, ledger: &Ledger, key: &str, dice: &mut Dice, seen: &Seen) {
    let body = payload::body(key, dice);
    let sent = Sent { hash: payload::hash(&body), acked: false, found: None };
    ledger.lock().insert(key.to_owned(), sent);
    let headers = payload::github_headers(&body, key, SECRET);
    for _ in 0..10_000 {
        match client.send("POST /in/torture", &headers, &body).map(|answer| answer.status()) {
            Ok(200..=299) => {
                seen.acked.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                if let Some(sent) = ledger.lock().get_mut(key) {
                    sent.acked = true;
                }
                return;
            }
            Ok(503) => seen.shed.fetch_add(1, Ordering::Relaxed),
            Ok(_) => {
                seen.other.fetch_add(1, Ordering::Relaxed);
                return;
            }
            // Nobody knows whether it was taken, so it is sent again.
            Err(_) => seen.broken.fetch_add(1, Ordering::Relaxed),
        };
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Seen {
    /// The longest time between two answers 2xx, one of them behind `from`.
    fn longest_gap(&self, from: Instant) -> Duration {
        let mut acked = self.acked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        acked.sort_unstable();
        let gaps = acked.iter().zip(acked.iter().skip(1)).filter(|(_, b)| **b > from);
        gaps.map(|(a, b)| *b - *a).max().unwrap_or_default()
    }
}

/// Moves so many stores.
pub(super) fn run(options: &Options) -> Result<Summary> {
    let mut summary = Summary::default();
    let bar = options.progress();
    for cycle in 0..options.cycles {
        one(options, options.seed + cycle, &mut summary)
            .with_context(|| format!("cycle {cycle}"))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    summary.cycles = options.cycles;
    Ok(summary)
}

fn one(options: &Options, seed: u64, summary: &mut Summary) -> Result<()> {
    let folder = options.folder()?;
    let mut database = Cluster::start(Sync::Yes)?;
    let mut world = World::new(&options.program, &folder)?;
    let mut node = world.start_well(1)?;
    let senders =
        Senders::start(&node.ingest, &world.ledger, seed % 1_000_000, options.connections);
    std::thread::sleep(BEFORE);
    let mut changes = Vec::new();
    changes.push(in_vain(&world, &database, &mut node, options).with_context(|| node.log_tail())?);
    let url = other_database(&database, "new")?;
    let mut migrate = Command::new(&options.program.binary);
    told(migrate.args(["migrate", "--store", &url]))?;
    let before = ids(&mut node.api(&world.token))?;
    let from = Instant::now();
    let moved = doorbell_move(options, &world, &url)?;
    let moved = told_well(&moved).with_context(|| node.log_tail())?;
    changes.push((from, Instant::now()));
    std::thread::sleep(AFTER);
    let seen = senders.stop();
    let gap = seen.longest_gap(from);
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    ensure!(load(&seen.other) == 0, "{} answers were neither 2xx nor 503", load(&seen.other));
    summary.shed += load(&seen.shed);
    summary.notes.push(format!(
        "moved {} events while {} were sent; longest time without a 2xx {} ms ({} ms by the server), {} answers 503, {} connections \
         closed on a request",
        moved.get("events").unwrap_or(&Value::Null),
        world.ledger.acked(),
        gap.as_millis(),
        moved.get("pause_ms").unwrap_or(&Value::Null),
        load(&seen.shed),
        load(&seen.broken),
    ));
    look_after(&mut world, &node, &before, summary, &changes)?;
    start_again(options, &world, node, &url, &before)?;
    database.kill()?;
    drop(std::fs::remove_dir_all(&world.folder));
    Ok(())
}

/// Moves that must fail and leave the node as it was: to a database that is not ready, to one that goes away, and one
/// whose last step cannot be written. When that one changed over, and back.
fn in_vain(
    world: &World,
    database: &Cluster,
    node: &mut Node,
    options: &Options,
) -> Result<Period> {
    let not_ready = other_database(database, "empty")?;
    let why = refusal(&doorbell_move(options, world, &not_ready)?)?;
    ensure!(why.contains("doorbell migrate"), "an empty database: {why}");
    let nowhere = refusal(&doorbell_move(options, world, "postgres://nobody@127.0.0.1:1/none")?)?;
    ensure!(!nowhere.is_empty(), "a database that is not there was moved to");
    let url = other_database(database, "first")?;
    told(Command::new(&options.program.binary).args(["migrate", "--store", &url]))?;
    // What says that the store has moved cannot be written: a folder has its name.
    let in_the_way = world.data.join("moved.new");
    std::fs::create_dir(&in_the_way)?;
    let from = Instant::now();
    let why = refusal(&doorbell_move(options, world, &url)?)?;
    let until = Instant::now();
    ensure!(why.contains("moved"), "the marker could not be written: {why}");
    std::fs::remove_dir(&in_the_way)?;
    let shown = node.api(&world.token).api("GET /v1/move", None)?;
    let phase = shown.get("phase").and_then(Value::as_str);
    ensure!(phase == Some("failed"), "the move is shown as {shown}");
    let password = shown.to_string();
    ensure!(!password.contains("doorbell@"), "the user is shown: {password}");
    Ok((from, until))
}

/// A new database in the cluster; its address.
fn other_database(cluster: &Cluster, name: &str) -> Result<String> {
    cluster.sql(&format!("CREATE DATABASE {name}"))?;
    let url = cluster.url();
    let (server, _) = url.rsplit_once('/').context("an address without a database")?;
    Ok(format!("{server}/{name}"))
}

fn doorbell_move(options: &Options, world: &World, url: &str) -> Result<Output> {
    let mut command = Command::new(&options.program.binary);
    command.args(["move", "--json", "--to", url, "--data-dir"]).arg(&world.data);
    Ok(command.env_remove("DOORBELL_URL").output()?)
}

fn told(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    ensure!(output.status.success(), "{command:?}: {}; {out}{err}", output.status);
    Ok(out)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn told_well(output: &Output) -> Result<Value> {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    ensure!(output.status.success(), "the move failed: {}; {out}{err}", output.status);
    Ok(serde_json::from_str(out.trim())?)
}

fn refusal(output: &Output) -> Result<String> {
    ensure!(!output.status.success(), "a move that cannot be was made: {}", text(&output.stdout));
    Ok(text(&output.stderr))
}

/// The ids of the newest requests, the newest first.
fn ids(api: &mut Client) -> Result<Vec<String>> {
    let page = api.api(&format!("GET /v1/requests?limit={PAGE}"), None)?;
    let rows = page.get("data").and_then(Value::as_array).context("a page without data")?;
    Ok(rows.iter().filter_map(|row| row.get("id")?.as_str().map(str::to_owned)).collect())
}

/// Everything is there, in its order, once; and what was sent before is known.
fn look_after(
    world: &mut World,
    node: &Node,
    before: &[String],
    summary: &mut Summary,
    changes: &[Period],
) -> Result<()> {
    let mut dice = Dice::new(1);
    drain(world, node)?;
    summary.events_read += world.check(node, &mut dice)?;
    summary.duplicates += duplicates(&world.receiver.hits(), changes)?;
    summary.acked += world.ledger.acked() as u64;
    summary.deliveries += world.receiver.requests();
    in_order(&mut node.api(&world.token), before)?;
    send_again(world, node)?;
    // Nothing was taken for new.
    summary.events_read += world.check(node, &mut dice)?;
    Ok(())
}

/// Until both endpoints have everything.
fn drain(world: &World, node: &Node) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        check::received_is_promised(&world.ledger, &world.receiver.hits())?;
        let missing = world.undelivered();
        if missing.is_empty() {
            return Ok(());
        }
        let some = missing.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        ensure!(
            Instant::now() < end,
            "{} deliveries have not arrived, among them {some}; {}",
            missing.len(),
            node.log_tail()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The requests of before the move stand in the list as they stood.
fn in_order(api: &mut Client, before: &[String]) -> Result<()> {
    let (mut listed, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let from = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = api.api(&format!("GET /v1/requests?limit={PAGE}{from}"), None)?;
        let rows = page.get("data").and_then(Value::as_array).context("a page without data")?;
        listed.extend(rows.iter().filter_map(|row| row.get("id")?.as_str().map(str::to_owned)));
        let first = before.first().context("nothing was there before the move")?;
        if let Some(at) = listed.iter().position(|id| id == first)
            && listed.len() >= at + before.len()
        {
            let same = listed.iter().skip(at).zip(before).all(|(a, b)| a == b);
            ensure!(same, "the list has another order than before the move");
            return Ok(());
        }
        cursor = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
        ensure!(cursor.is_some(), "requests of before the move are not listed");
    }
}

/// Sends some of the first events once more: the keys of before the move still count.
fn send_again(world: &World, node: &Node) -> Result<()> {
    let keys: Vec<(String, String)> = world
        .ledger
        .lock()
        .iter()
        .filter_map(|(key, sent)| Some((key.clone(), sent.found.clone()?)))
        .take(AGAIN)
        .collect();
    ensure!(keys.len() == AGAIN, "too few events to send again");
    let (mut ingest, mut api) = (Client::new(&node.ingest, None), node.api(&world.token));
    for (key, id) in keys {
        let body = api.send(&format!("GET /v1/events/{id}/body"), "", b"")?.body;
        let headers = payload::github_headers(&body, &key, SECRET);
        let status = ingest.send("POST /in/torture", &headers, &body)?.status();
        ensure!((200..300).contains(&status), "{key} sent again was answered {status}");
    }
    Ok(())
}

/// What came twice was in flight when the node changed over.
fn duplicates(hits: &Hits, changes: &[Period]) -> Result<u64> {
    let mut count = 0;
    for ((key, path), all) in hits {
        for (first, second) in all.iter().zip(all.iter().skip(1)) {
            ensure!(first.id == second.id, "{path} received {key} under two ids");
            let excused = changes.iter().any(|(from, until)| {
                first.at + IN_FLIGHT >= *from && first.at <= *until && second.at >= *from
            });
            ensure!(excused, "{path} received {key} twice with no change-over in between");
            count += 1;
        }
    }
    Ok(count)
}

/// The folder is of the past, and the database goes on.
fn start_again(
    options: &Options,
    world: &World,
    mut node: Node,
    url: &str,
    before: &[String],
) -> Result<()> {
    let status = node.stop()?;
    ensure!(status.success(), "SIGTERM: {status}; {}", node.log_tail());
    let refused = options.program.start(&world.data, None)?.ready().map(|_| ());
    let refused = format!("{:#}", refused.err().context("a store that has moved was opened")?);
    ensure!(refused.contains("store.url"), "the refusal does not say what to do: {refused}");
    export_and_import(options, &world.data, url)?;
    let mut program = options.program.clone();
    program.after.extend(["--store".to_owned(), url.to_owned()]);
    let mut node = program.start(&world.data, None)?.ready()?;
    in_order(&mut node.api(&world.token), before)?;
    let status = node.stop()?;
    ensure!(status.success(), "SIGTERM: {status}; {}", node.log_tail());
    Ok(())
}

/// What was exported from the database comes into another one whole, and a second time changes nothing.
fn export_and_import(options: &Options, beside: &Path, url: &str) -> Result<()> {
    let file = beside.join("all.jsonl");
    let export = |from: &str, file: &Path| {
        let mut command = Command::new(&options.program.binary);
        told(command.args(["export", "--store", from]).arg(file))
    };
    export(url, &file)?;
    let other = url.rsplit_once('/').map(|(server, _)| format!("{server}/empty"));
    let other = other.context("an address without a database")?;
    told(Command::new(&options.program.binary).args(["migrate", "--store", &other]))?;
    for _ in 0..2 {
        let mut import = Command::new(&options.program.binary);
        told(import.args(["import", "--store", &other]).arg(&file))?;
    }
    let again = beside.join("again.jsonl");
    export(&other, &again)?;
    let lines = |file: &Path| -> Result<Vec<String>> {
        // The first line tells when it was written.
        let text = std::fs::read_to_string(file)?;
        Ok(text.lines().skip(1).map(str::to_owned).collect())
    };
    let (first, second) = (lines(&file)?, lines(&again)?);
    let differs = first.iter().zip(&second).position(|(a, b)| a != b);
    ensure!(
        differs.is_none() && first.len() == second.len(),
        "what was imported is not what was exported: {} and {} lines, different at {differs:?}",
        first.len(),
        second.len()
    );
    Ok(())
}
