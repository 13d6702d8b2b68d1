//! An inbox before the store: the database goes away for minutes while events come in, or the broker dies again and again.
//!
//! One node receives, another delivers. What must hold: with the database away no sender hears anything but 2xx; nothing
//! acknowledged is lost, nothing is there twice, and where order was asked for, each key's events arrive in the order in
//! which they were sent.

use super::check::{self, Known};
use super::load::{Ledger, Sent};
use super::receiver::{Hits, Receiver};
use super::{Fault, Options, Summary};
use crate::brokers::{Broker, Kind};
use crate::http::Client;
use crate::node::{self, Node, Program};
use crate::payload::{self, Dice, SECRET};
use crate::place;
use crate::postgres::{Cluster, Sync};
use crate::still::Patience;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two events of one sender.
const PACE: Duration = Duration::from_millis(8);
/// Order keys of each sender. A key has one delivery out at a time, which is a try and a write of the database: with few of them
/// it would be these that are measured, and not what the fleet delivers.
const KEYS: u64 = 8;
/// A broker works so long between two blows.
const WORKS: Duration = Duration::from_secs(3);
/// Within what everything must have arrived when all is whole again, beside a share of the time that it was not.
const ARRIVES: Duration = Duration::from_secs(40);

/// What the senders heard.
#[derive(Debug, Default)]
struct Heard {
    acked: AtomicU64,
    shed: AtomicU64,
    other: AtomicU64,
}

struct World {
    database: Cluster,
    broker: Broker,
    folder: PathBuf,
    front: Node,
    back: Node,
    token: String,
    receiver: Receiver,
    ledger: Ledger,
    heard: Arc<Heard>,
}

/// Does it.
pub(super) fn run(options: &Options) -> Result<Summary> {
    let mut world = World::start(options)?;
    let stop = Arc::new(AtomicBool::new(false));
    let senders = world.senders(options, &stop);
    std::thread::sleep(WORKS);
    let mut summary = Summary::default();
    let troubled = if options.fault == Fault::DatabaseAway {
        world.database_away(options)?
    } else {
        world.broker_dies(options)?
    };
    stop.store(true, Ordering::SeqCst);
    senders.into_iter().for_each(|sender| drop(sender.join()));
    world.finish(options, troubled, &mut summary).with_context(|| world.logs())?;
    drop(std::fs::remove_dir_all(&world.folder));
    Ok(summary)
}

impl World {
    fn start(options: &Options) -> Result<Self> {
        let folder = place::work_folder("torture")?.join(format!("inbox-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder)?;
        let (database, broker) = (Cluster::start(Sync::Yes)?, Broker::start(options.inbox)?);
        let mut program = options.program.clone();
        program.settings = "";
        let inbox = broker.inbox("torture")?;
        let common = ["--store", &database.url(), "--inbox", &inbox].map(str::to_owned);
        let role = |role: &str, name: &str| {
            let mut after = common.to_vec();
            after.extend(["--role", role].map(str::to_owned));
            let beside = folder.join(name);
            std::fs::create_dir_all(&beside)?;
            Program { after, ..program.clone() }.start(&beside.join("data"), None)?.ready()
        };
        let back = role("deliver,api", "back")?;
        let token = back.token.clone().context("the start printed no token")?;
        let receiver = Receiver::start()?;
        let mut api = back.api(&token);
        node::make_source(&mut api, "torture", SECRET)?;
        let order = json!({"order": {"key": {"pointer": "/lane"}}});
        node::make_endpoint(&mut api, "ordered", &format!("{}/ordered", receiver.url), &order)?;
        node::make_endpoint(&mut api, "steady", &format!("{}/steady", receiver.url), &json!({}))?;
        let front = role("ingest", "front")?;
        let (ledger, heard) = (Ledger::default(), Arc::default());
        Ok(Self { database, broker, folder, front, back, token, receiver, ledger, heard })
    }

    fn senders(&self, options: &Options, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
        let one = |lane| {
            let client = Client::new(&self.front.ingest, None);
            let (ledger, heard) = (self.ledger.clone(), Arc::clone(&self.heard));
            let (stop, base) = (Arc::clone(stop), self.front.ingest.clone());
            std::thread::spawn(move || send(lane, client, &base, (&ledger, &heard), &stop))
        };
        (0..options.connections).map(one).collect()
    }

    /// How long it was away.
    fn database_away(&mut self, options: &Options) -> Result<Duration> {
        let away = Duration::from_secs_f64(options.minutes * 60.0);
        let begun = Instant::now();
        self.database.kill()?;
        while begun.elapsed() < away {
            std::thread::sleep(Duration::from_millis(200));
            self.ensure_ready()?;
        }
        let (shed, other) =
            (self.heard.shed.load(Ordering::SeqCst), self.heard.other.load(Ordering::SeqCst));
        ensure!(shed == 0 && other == 0, "{shed} senders got 503 and {other} something else");
        self.database.run()?;
        std::thread::sleep(WORKS);
        Ok(begun.elapsed())
    }

    /// The node that receives goes on being ready.
    fn ensure_ready(&self) -> Result<()> {
        let answer = Client::new(&self.front.ingest, None).send("GET /readyz", "", b"")?;
        ensure!(answer.status() == 200, "/readyz says {}", answer.start);
        Ok(())
    }

    fn broker_dies(&mut self, options: &Options) -> Result<Duration> {
        let bar = options.progress();
        let begun = Instant::now();
        for cycle in 0..options.cycles {
            self.broker.kill()?;
            self.broker.run()?;
            let (acked, since) = (self.heard.acked.load(Ordering::SeqCst), Instant::now());
            while self.heard.acked.load(Ordering::SeqCst) == acked {
                ensure!(
                    since.elapsed() < Duration::from_secs(20),
                    "cycle {cycle}: nothing is taken in 20 s after the broker came back; {}",
                    self.logs()
                );
                std::thread::sleep(Duration::from_millis(20));
            }
            std::thread::sleep(WORKS);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(begun.elapsed())
    }

    fn finish(
        &mut self,
        options: &Options,
        troubled: Duration,
        summary: &mut Summary,
    ) -> Result<()> {
        let begun = Instant::now();
        self.arrive(ARRIVES + troubled)?;
        let arrived = begun.elapsed().as_secs_f64();
        check::received_is_promised(&self.ledger, &self.receiver.hits())?;
        in_order(&self.receiver.hits())?;
        let mut dice = Dice::new(options.seed);
        let mut api = self.back.api(&self.token);
        summary.events_read = Known::default().check(&mut api, &self.ledger, &mut dice)?;
        let other = self.heard.other.load(Ordering::SeqCst);
        ensure!(other == 0, "{other} answers were neither 2xx nor 503");
        summary.acked = self.heard.acked.load(Ordering::SeqCst);
        summary.shed = self.heard.shed.load(Ordering::SeqCst);
        summary.deliveries = self.receiver.requests();
        summary.duplicates = duplicates(&self.receiver.hits())?;
        summary.cycles = options.cycles;
        summary.notes.push(format!("inbox {:?}", options.inbox));
        summary.notes.push(format!("everything had arrived {arrived:.1} s after"));
        for node in [&mut self.front, &mut self.back] {
            let status = node.stop()?;
            ensure!(status.success(), "SIGTERM: {status}; {}", node.log_tail());
        }
        Ok(())
    }

    /// Waits until everything acknowledged has arrived at both endpoints.
    fn arrive(&self, limit: Duration) -> Result<()> {
        let patience = Patience::of(limit);
        loop {
            let missing = check::missing(&self.ledger, &self.receiver, ["/ordered", "/steady"]);
            if missing == 0 {
                return Ok(());
            }
            ensure!(
                patience.lasts(),
                "{missing} deliveries have not arrived within {limit:?}; {}",
                self.standing()?
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Where what is missing may be.
    fn standing(&self) -> Result<String> {
        let metrics = self.back.api(&self.token).send("GET /metrics", "", b"")?;
        let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
        let inbox = metrics.lines().filter(|line| line.starts_with("doorbell_inbox"));
        let inbox: Vec<&str> = inbox.collect();
        let waiting = self.database.sql(
            "SELECT count(*) || ' events, ' || (SELECT count(*) FROM deliveries WHERE state = 0) || ' deliveries wait, ' ||
             (SELECT count(*) FROM deliveries WHERE state = 0 AND holder > 0) || ' are held' FROM events",
        )?;
        Ok(format!("{}; in the database {waiting}", inbox.join(", ")))
    }

    fn logs(&self) -> String {
        format!("{}\n{}", self.front.log_tail(), self.back.log_tail())
    }
}

/// Sends one event after the other, in its own lane, until it is told to stop.
fn send(
    lane: u64,
    mut client: Client,
    base: &str,
    (ledger, heard): (&Ledger, &Heard),
    stop: &AtomicBool,
) {
    for n in 0_u64.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let (key, order) = (format!("{lane}-{n}"), order_key(lane, n));
        let body = format!("{{\"key\":\"{key}\",\"lane\":\"{order}\",\"more\":\"{n:0>600}\"}}");
        let hash = payload::hash(body.as_bytes());
        ledger.lock().insert(key.clone(), Sent { hash, acked: false, found: None });
        let headers = payload::github_headers(body.as_bytes(), &key, SECRET);
        match client.send("POST /in/torture", &headers, body.as_bytes()) {
            Ok(answer) if (200..300).contains(&answer.status()) => {
                if let Some(sent) = ledger.lock().get_mut(&key) {
                    sent.acked = true;
                }
                heard.acked.fetch_add(1, Ordering::SeqCst);
            }
            Ok(answer) if answer.status() == 503 => {
                heard.shed.fetch_add(1, Ordering::SeqCst);
            }
            Ok(_) => {
                heard.other.fetch_add(1, Ordering::SeqCst);
            }
            // The listener closes connections now and then.
            Err(_) => client = Client::new(base, None),
        }
        std::thread::sleep(PACE);
    }
}

/// The order key of a sender's n-th event.
const fn order_key(lane: u64, n: u64) -> u64 {
    lane * KEYS + n % KEYS
}

/// Where order was asked for, each key's events first arrived in the order in which they were sent.
fn in_order(hits: &Hits) -> Result<()> {
    let mut keys = BTreeMap::<u64, Vec<(Instant, u64)>>::new();
    for ((key, path), all) in hits.iter().filter(|((_, path), _)| path == "/ordered") {
        let (lane, n) = key.split_once('-').context("a key that is none")?;
        let first = all.first().with_context(|| format!("{path} has nothing of {key}"))?;
        let n = n.parse()?;
        keys.entry(order_key(lane.parse()?, n)).or_default().push((first.at, n));
    }
    for (order, mut arrivals) in keys {
        arrivals.sort_unstable();
        if let Some([(_, before), (_, after)]) =
            arrivals.array_windows().find(|[(_, one), (_, next)]| one > next)
        {
            anyhow::bail!("key {order}: event {before} arrived before event {after}");
        }
    }
    Ok(())
}

/// What came twice came under the same id.
fn duplicates(hits: &Hits) -> Result<u64> {
    let mut count = 0;
    for ((key, path), all) in hits {
        ensure!(
            all.windows(2).all(|pair| matches!(pair, [a, b] if a.id == b.id)),
            "{path} received {key} under two ids"
        );
        count += all.len() as u64 - 1;
    }
    Ok(count)
}

/// Which brokers it can be done with: what the stand-in for SQS has is gone when it dies.
pub(super) fn fits(fault: Fault, inbox: Kind) -> Result<()> {
    ensure!(
        fault != Fault::Broker || inbox != Kind::Sqs,
        "the stand-in for SQS keeps nothing when it dies: take amqp or nats"
    );
    Ok(())
}
