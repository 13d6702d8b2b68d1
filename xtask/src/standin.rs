//! A very small gateway with the same face as `doorbell serve`, honest or not, on which the torture is itself tortured:
//! what cannot find a liar proves nothing. One log file, one lock, an fsync for each event; no verification.

use crate::http::{Client, Message, read_message};
use crate::payload;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Whether it keeps its promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Honesty {
    /// It does.
    Honest,
    /// It acknowledges what it has only written.
    NoFsync,
    /// It acknowledges what it has only heard, and writes later.
    InMemory,
    /// When an fsync fails it tries again, and believes the second answer.
    RetryFsync,
}

/// The part of `doorbell serve`'s flags that the harness uses.
#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    #[arg(value_parser = ["serve"])]
    verb: String,
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    ingest_addr: String,
    #[arg(long)]
    admin_addr: String,
    #[arg(long)]
    config: Option<PathBuf>,
    #[arg(long)]
    json: bool,
    #[arg(long, value_enum, default_value = "honest")]
    honesty: Honesty,
}

const TOKEN: &str = "db_live_standin";

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Yes,
    NoSpace,
}

struct State {
    log: File,
    /// How many bytes of the log are whole records.
    good: u64,
    events: BTreeMap<String, Vec<u8>>,
    endpoints: BTreeMap<String, String>,
    settled: BTreeSet<(String, String)>,
}

struct Standin {
    honesty: Honesty,
    state: Mutex<State>,
}

/// Serves until SIGTERM.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    std::fs::create_dir_all(&flags.data)?;
    let standin =
        Arc::new(Standin { honesty: flags.honesty, state: Mutex::new(open(&flags.data)?) });
    let ingest = listen(&flags.ingest_addr, &standin)?;
    let admin = listen(&flags.admin_addr, &standin)?;
    let deliverer = Arc::clone(&standin);
    std::thread::spawn(move || deliver(&deliverer));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Heard before it is told that there is somebody to hear.
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        println!("{}", json!({"ready": true, "ingest": ingest, "admin": admin, "token": TOKEN}));
        term.recv().await;
        anyhow::Ok(())
    })
}

/// A record: length, the first bytes of its SHA-256, then `E`, `S` or `C`, a name with its end, and a body.
fn record(kind: u8, name: &str, body: &[u8]) -> Vec<u8> {
    let mut inner = vec![kind];
    inner.extend_from_slice(name.as_bytes());
    inner.push(b'\n');
    inner.extend_from_slice(body);
    let mut out = u32::try_from(inner.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    out.extend_from_slice(payload::hash(&inner).get(..8).unwrap_or_default());
    out.extend(inner);
    out
}

/// Reads the log up to its first torn record and cuts it there.
fn open(folder: &std::path::Path) -> Result<State> {
    let mut log = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join("log"))?;
    File::open(folder)?.sync_all()?;
    let mut bytes = Vec::new();
    log.read_to_end(&mut bytes)?;
    let mut state = State {
        log,
        good: 0,
        events: BTreeMap::new(),
        endpoints: BTreeMap::new(),
        settled: BTreeSet::new(),
    };
    let mut good = 0;
    while let Some(inner) = bytes.get(good..).and_then(whole_record) {
        good += 12 + inner.len();
        apply(&mut state, inner);
    }
    state.good = good as u64;
    state.log.set_len(state.good)?;
    state.log.seek(SeekFrom::End(0))?;
    state.log.sync_all()?;
    Ok(state)
}

/// Removes a record that was written in part.
fn cut_back(log: &mut File, good: u64) -> std::io::Result<()> {
    log.set_len(good)?;
    log.seek(SeekFrom::Start(good)).map(drop)
}

fn whole_record(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    let inner = bytes.get(12..)?.get(..usize::try_from(length).ok()?)?;
    (payload::hash(inner).get(..8) == bytes.get(4..12)).then_some(inner)
}

fn apply(state: &mut State, inner: &[u8]) {
    let end = inner.iter().position(|byte| *byte == b'\n').unwrap_or(inner.len());
    let name = String::from_utf8_lossy(inner.get(1..end).unwrap_or_default()).into_owned();
    let body = inner.get(end + 1..).unwrap_or_default();
    let text = || String::from_utf8_lossy(body).into_owned();
    match inner.first() {
        Some(b'E') => {
            state.events.insert(name, body.to_vec());
        }
        Some(b'C') => {
            state.endpoints.insert(name, text());
        }
        Some(b'S') => {
            state.settled.insert((name, text()));
        }
        _ => {}
    }
}

impl Standin {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a record durable, as far as this one's honesty goes. After a failure nothing more can be promised.
    fn append(&self, state: &mut State, record: &[u8]) -> Kept {
        let mut synced = state.log.write_all(record);
        if synced.as_ref().is_err_and(|fault| fault.kind() == ErrorKind::StorageFull) {
            synced = cut_back(&mut state.log, state.good);
            if synced.is_ok() {
                return Kept::NoSpace;
            }
        }
        if synced.is_ok() && self.honesty != Honesty::NoFsync {
            synced = state.log.sync_data();
            if synced.is_err() && self.honesty == Honesty::RetryFsync {
                synced = state.log.sync_data();
            }
        }
        if let Err(fault) = synced {
            eprintln!("the log failed: {fault}");
            std::process::exit(3);
        }
        state.good += record.len() as u64;
        Kept::Yes
    }

    fn accept(&self, body: &[u8]) -> Kept {
        let state = &mut *self.lock();
        let id = format!("evt_{:08}", state.events.len());
        self.keep(state, b'E', &id, body)
    }

    /// What finds no space is not kept, but for settlements: those are remembered for as long as this process lives.
    fn keep(&self, state: &mut State, kind: u8, name: &str, body: &[u8]) -> Kept {
        let record = record(kind, name, body);
        let mut kept = Kept::Yes;
        if self.honesty != Honesty::InMemory || kind != b'E' {
            kept = self.append(state, &record);
        }
        if kept == Kept::Yes || kind == b'S' {
            apply(state, record.get(12..).unwrap_or_default());
        }
        kept
    }

    fn answer(&self, request: &Message) -> (u16, Vec<u8>) {
        let path = request.path();
        if path.starts_with("/in/") {
            return match self.accept(&request.body) {
                Kept::Yes => (202, Vec::new()),
                Kept::NoSpace => (503, Vec::new()),
            };
        }
        if request.start.starts_with("POST /v1/endpoints") {
            let asked = request.json().unwrap_or_default();
            let text =
                |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            self.keep(&mut self.lock(), b'C', &text("name"), text("url").as_bytes());
            return (201, json!({"id": text("name")}).to_string().into_bytes());
        }
        if let Some(id) =
            path.strip_prefix("/v1/events/").and_then(|rest| rest.strip_suffix("/body"))
        {
            return self
                .lock()
                .events
                .get(id)
                .map_or((404, Vec::new()), |body| (200, body.clone()));
        }
        if path.starts_with("/v1/events") {
            return (200, self.list(path).to_string().into_bytes());
        }
        (201, b"{}".to_vec())
    }

    fn list(&self, path: &str) -> Value {
        let before = path.split("cursor=").nth(1).unwrap_or("~").to_owned();
        let state = self.lock();
        let ids: Vec<&String> =
            state.events.range(..before).rev().take(200).map(|(id, _)| id).collect();
        let next = if ids.len() == 200 { ids.last() } else { None };
        json!({"data": ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>(), "next_cursor": next})
    }

    /// The first delivery that is not settled.
    fn due(&self) -> Option<(String, String, String, Vec<u8>)> {
        let state = self.lock();
        let all = state
            .events
            .iter()
            .flat_map(|(id, body)| state.endpoints.iter().map(move |to| (id, body, to)));
        all.map(|(id, body, (name, url))| (id.clone(), name.clone(), url.clone(), body.clone()))
            .find(|(id, name, ..)| !state.settled.contains(&(id.clone(), name.clone())))
    }
}

fn listen(address: &str, standin: &Arc<Standin>) -> Result<String> {
    let listener =
        TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let url = format!("http://{}", listener.local_addr()?);
    let standin = Arc::clone(standin);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let standin = Arc::clone(&standin);
            std::thread::spawn(move || drop(serve(stream, &standin)));
        }
    });
    Ok(url)
}

fn serve(stream: TcpStream, standin: &Standin) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_message(&mut reader)? {
        let (status, body) = standin.answer(&request);
        let mut wire = format!(
            "HTTP/1.1 {status} .\r\nretry-after: 1\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        wire.extend(body);
        reader.get_mut().write_all(&wire)?;
    }
    Ok(())
}

fn deliver(standin: &Standin) {
    let mut clients = BTreeMap::<String, Client>::new();
    loop {
        let Some((id, name, url, body)) = standin.due() else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        let base = url.rsplit_once('/').map_or(url.as_str(), |(base, _)| base).to_owned();
        let client = clients.entry(name.clone()).or_insert_with(|| Client::new(&base, None));
        let head = format!("POST /{name}");
        let answer = client.send(&head, &format!("webhook-id: {id}\r\n"), &body);
        if answer.is_ok_and(|answer| answer.status() == 200) {
            standin.keep(&mut standin.lock(), b'S', &id, name.as_bytes());
        }
    }
}
