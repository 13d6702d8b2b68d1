//! The gateway under measurement: the binary as shipped on a fresh folder, with the source that the load posts to.

use super::{Flags, process};
use crate::http::Client;
use crate::node::{self, Node, Program};
use crate::payload::SECRET;
use crate::place::{self, Profile};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A running gateway and its token.
#[derive(Debug)]
pub(super) struct Gateway {
    /// The node.
    pub(super) node: Node,
    /// Its data folder.
    pub(super) data: PathBuf,
    token: String,
    program: Program,
}

impl Gateway {
    /// A fresh one with the source `bench`, which believes GitHub signatures.
    pub(super) fn fresh(flags: &Flags) -> Result<Self> {
        let folder = place::work_folder("bench")?.join("world");
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder)?;
        let program = Program::new(match &flags.binary {
            Some(binary) => binary.clone(),
            None => place::build("doorbell", Profile::Dist)?,
        });
        let data = folder.join("data");
        let node = program.start(&data, None)?.ready()?;
        let token = node.token.clone().context("the first start printed no token")?;
        let gateway = Self { node, data, token, program };
        node::make_source(&mut gateway.api(), "bench", SECRET)?;
        Ok(gateway)
    }

    /// A client of its API.
    pub(super) fn api(&self) -> Client {
        self.node.api(&self.token)
    }

    /// An endpoint; `more` is merged into its settings.
    pub(super) fn endpoint(&self, name: &str, url: &str, more: &Value) -> Result<Value> {
        node::make_endpoint(&mut self.api(), name, url, more)
    }

    /// Endpoints `e00000` and up, each for the events of its own name, or for all.
    pub(super) fn endpoints(
        &self,
        count: u64,
        url: impl Fn(u64) -> String,
        own: Wants,
    ) -> Result<()> {
        let mut api = self.api();
        for n in 0..count {
            let name = format!("e{n:05}");
            let wants = match own {
                Wants::All => json!({}),
                Wants::Own => json!({"event_types": [name]}),
            };
            node::make_endpoint(&mut api, &name, &url(n), &wants)?;
        }
        Ok(())
    }

    /// `host:port` of ingest.
    pub(super) fn ingest(&self) -> String {
        self.node.ingest.trim_start_matches("http://").to_owned()
    }

    /// CPU seconds so far.
    pub(super) fn cpu(&self) -> Result<f64> {
        process::cpu_seconds(self.node.pid())
    }

    /// CPU seconds so far, by the names of threads.
    pub(super) fn threads(&self) -> Result<BTreeMap<String, f64>> {
        process::cpu_by_thread(self.node.pid())
    }

    /// Resident memory in MB.
    pub(super) fn rss_mb(&self) -> Result<f64> {
        Ok(process::rss_bytes(self.node.pid())? as f64 / 1e6)
    }

    /// Kills it and starts it again; how many seconds until it is ready.
    pub(super) fn restart(&mut self) -> Result<f64> {
        self.node.kill()?;
        let begun = std::time::Instant::now();
        self.node = self.program.start(&self.data, None)?.ready()?;
        Ok(begun.elapsed().as_secs_f64())
    }
}

/// Which events an endpoint wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// All.
    All,
    /// Those of its own name.
    Own,
}
