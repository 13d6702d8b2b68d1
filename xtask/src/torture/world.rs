//! What stays while the node dies and comes back: its folder, the receiver, the ledger, and what was seen so far.

use super::check::{self, Duplicates, Known};
use super::load::Ledger;
use super::receiver::Receiver;
use crate::node::{self, Node, Program};
use crate::payload::{Dice, SECRET};
use crate::shim::Disk;
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One data folder and everything that is known about it.
#[derive(Debug)]
pub(super) struct World {
    /// The folder of this world: `data` in it is the node's.
    pub(super) folder: PathBuf,
    /// The node's data folder.
    pub(super) data: PathBuf,
    /// How the node is started.
    pub(super) program: Program,
    /// What was sent and promised.
    pub(super) ledger: Ledger,
    /// Where deliveries arrive.
    pub(super) receiver: Receiver,
    /// The API's token.
    pub(super) token: String,
    known: Known,
    cuts: Vec<(u64, Instant)>,
}

impl World {
    /// A fresh folder with one source and two endpoints; the node has run once and was stopped.
    pub(super) fn new(program: &Program, folder: &Path) -> Result<Self> {
        drop(std::fs::remove_dir_all(folder));
        std::fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let data = folder.join("data");
        let receiver = Receiver::start()?;
        let mut node = program.start(&data, None)?.ready()?;
        let token = node.token.clone().context("the first start printed no token")?;
        let mut api = node.api(&token);
        node::make_source(&mut api, "torture", SECRET)?;
        let retry = json!({"retry": {"schedule": ["0s", "100ms", "100ms", "200ms", "500ms", "1s", "1s", "1s", "2s", "2s"]}});
        for name in ["steady", "shaky"] {
            node::make_endpoint(&mut api, name, &format!("{}/{name}", receiver.url), &retry)?;
        }
        let status = node.stop()?;
        ensure!(status.success(), "SIGTERM after set-up: {status}; {}", node.log_tail());
        Ok(Self {
            folder,
            data,
            program: program.clone(),
            ledger: Ledger::default(),
            receiver,
            token,
            known: Known::default(),
            cuts: Vec::new(),
        })
    }

    /// Starts the node; what is received from now on belongs to `life`.
    pub(super) fn start(&self, life: u64, disk: Option<&Disk>) -> Result<node::Started> {
        self.receiver.begin_life(life)?;
        self.program.start(&self.data, disk)?.wait()
    }

    /// Starts the node, which must come up.
    pub(super) fn start_well(&self, life: u64) -> Result<Node> {
        self.receiver.begin_life(life)?;
        self.program.start(&self.data, None)?.ready()
    }

    /// Notes that a life has ended.
    pub(super) fn ended(&mut self, life: u64) {
        self.cuts.push((life, Instant::now()));
    }

    /// Checks a running node against the ledger. How many new events were read.
    pub(super) fn check(&mut self, node: &Node, dice: &mut Dice) -> Result<u64> {
        check::received_is_promised(&self.ledger, &self.receiver.hits())?;
        self.known.check(&mut node.api(&self.token), &self.ledger, dice)
    }

    /// Waits until every acknowledged event has reached both endpoints, then counts what came twice.
    pub(super) fn drain(&mut self, node: &Node, limit: Duration) -> Result<Duplicates> {
        let end = Instant::now() + limit;
        loop {
            let missing = self.undelivered();
            if missing.is_empty() {
                break;
            }
            if Instant::now() > end {
                let some = missing.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
                bail!(
                    "{} deliveries have not arrived within {limit:?}, among them {some}; {}",
                    missing.len(),
                    node.log_tail()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        check::duplicates(&self.receiver.hits(), &self.cuts)
    }

    /// What has not arrived, of what was acknowledged.
    pub(super) fn undelivered(&self) -> Vec<String> {
        let (ledger, hits) = (self.ledger.lock(), self.receiver.hits());
        let due = ledger.iter().filter(|(_, sent)| sent.acked).map(|(key, _)| key);
        let both =
            due.flat_map(|key| ["/steady", "/shaky"].map(|path| (key.clone(), path.to_owned())));
        both.filter(|to| !hits.contains_key(to))
            .map(|(key, path)| format!("{key} to {path}"))
            .collect()
    }
}
