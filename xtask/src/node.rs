//! A running `doorbell serve` (or a stand-in with the same face): start, find its addresses, configure, stop.

use crate::http::Client;
use crate::shim::Disk;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a start may take before it counts as hung.
const START_MAX: Duration = Duration::from_secs(60);

/// What the harnesses' endpoints need: they stand on loopback, which is refused unless the operator allows it.
pub(crate) const CONFIGURATION: &str = "[delivery]\nallow_private = [\"127.0.0.0/8\"]\n";

/// How to start a node.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// The binary.
    pub(crate) binary: PathBuf,
    /// What stands before `serve`.
    pub(crate) before: Vec<String>,
    /// What stands at the end.
    pub(crate) after: Vec<String>,
    /// Lines that are added to the settings.
    pub(crate) settings: &'static str,
}

impl Program {
    pub(crate) fn new(binary: PathBuf) -> Self {
        Self { binary, before: Vec::new(), after: Vec::new(), settings: "" }
    }

    /// Starts a node on a folder whose parent takes its log and settings.
    pub(crate) fn start(&self, data: &Path, disk: Option<&Disk>) -> Result<Starting> {
        let beside = data.parent().context("the data folder needs a parent")?;
        let settings = beside.join("doorbell.toml");
        if !settings.exists() {
            std::fs::write(&settings, [CONFIGURATION, self.settings].concat())?;
        }
        let log = beside.join("node.log");
        let mut command = Command::new(&self.binary);
        command.args(&self.before).args(["serve", "--json", "--data"]).arg(data);
        command.args(["--ingest-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--config"]);
        command.arg(settings).args(&self.after).current_dir(beside);
        if let Some(disk) = disk {
            disk.put_under(&mut command);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(File::options().create(true).append(true).open(&log)?);
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", self.binary.display()))?;
        let first = first_line(child.stdout.take().context("no stdout")?);
        Ok(Starting { process: Process(child), first, log })
    }
}

/// The first line of a node's output, when it comes; the rest is read and dropped, so that the pipe never fills.
fn first_line(out: ChildStdout) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(out).lines();
        while let Some(Ok(line)) = lines.next() {
            drop(send.send(line));
        }
    });
    receive
}

/// A child that is killed when it is dropped.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A node that may or may not come up.
#[derive(Debug)]
pub(crate) struct Starting {
    process: Process,
    first: mpsc::Receiver<String>,
    log: PathBuf,
}

/// What came of a start.
#[derive(Debug)]
pub(crate) enum Started {
    /// It is ready.
    Ready(Node),
    /// It ended before it was.
    Ended(ExitStatus),
}

impl Starting {
    /// Waits until the node is ready or has ended.
    pub(crate) fn wait(mut self) -> Result<Started> {
        match self.first.recv_timeout(START_MAX) {
            Ok(line) => {
                let ready: Value = serde_json::from_str(&line)
                    .with_context(|| format!("not the ready line: {line}"))?;
                let text = |name: &str| ready.get(name).and_then(Value::as_str).map(str::to_owned);
                Ok(Started::Ready(Node {
                    ingest: text("ingest").context("the ready line has no ingest address")?,
                    admin: text("admin").context("the ready line has no admin address")?,
                    token: text("token"),
                    process: self.process,
                    log: self.log,
                }))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => Ok(Started::Ended(self.process.0.wait()?)),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                bail!("the node was not ready within {START_MAX:?}; {}", tail(&self.log))
            }
        }
    }

    /// Waits for a node that must come up.
    pub(crate) fn ready(self) -> Result<Node> {
        let log = self.log.clone();
        match self.wait()? {
            Started::Ready(node) => Ok(node),
            Started::Ended(status) => {
                bail!("the node ended at its start: {status}; {}", tail(&log))
            }
        }
    }
}

/// A node that is ready.
#[derive(Debug)]
pub(crate) struct Node {
    /// `http://host:port` of ingest.
    pub(crate) ingest: String,
    /// `http://host:port` of the API.
    pub(crate) admin: String,
    /// The API's token, where the node printed one (on its first start).
    pub(crate) token: Option<String>,
    process: Process,
    log: PathBuf,
}

impl Node {
    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Waits for the end of the process, at most so long.
    pub(crate) fn ended_within(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.process.0.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_micros(300));
        }
    }

    /// SIGKILL, and the end of it.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.0.kill()?;
        self.process.0.wait()?;
        Ok(())
    }

    /// SIGTERM, and how it ended; an error when it did not within 30 s.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        crate::place::run(Command::new("kill").args(["-TERM", &self.pid().to_string()]))?;
        self.ended_within(Duration::from_secs(30))?
            .with_context(|| format!("still running; {}", self.log_tail()))
    }

    /// The end of what the node has logged.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// How many lines of its log have these words.
    pub(crate) fn logged(&self, words: &str) -> usize {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter(|line| line.contains(words)).count()
    }

    /// A client of its API.
    pub(crate) fn api(&self, token: &str) -> Client {
        Client::new(&self.admin, Some(token))
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(12);
    format!("its log ends with:\n{}", lines.get(from..).unwrap_or_default().join("\n"))
}

/// Makes a source that believes GitHub signatures.
pub(crate) fn make_source(api: &mut Client, name: &str, secret: &str) -> Result<()> {
    let source = json!({"name": name, "provider": "github", "secrets": [secret]});
    api.api("POST /v1/sources", Some(&source)).map(drop)
}

/// Makes an endpoint; `policy` is merged into its body.
pub(crate) fn make_endpoint(
    api: &mut Client,
    name: &str,
    url: &str,
    policy: &Value,
) -> Result<Value> {
    let mut endpoint = json!({"name": name, "url": url});
    if let (Some(all), Some(more)) = (endpoint.as_object_mut(), policy.as_object()) {
        all.extend(more.clone());
    }
    api.api("POST /v1/endpoints", Some(&endpoint))
}
