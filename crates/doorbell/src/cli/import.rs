//! `doorbell import`: brings an exported file into a database, or into a new data folder. Read twice: what is wrong with it is told before anything is
//! written.

use super::export::{bar, counted};
use super::serve::{database, embedded, make_folder};
use crate::config::{Config, Flags};
use crate::report::Report;
use anyhow::{Context, Result, bail};
use clap::Args;
use doorbell_core::configuration::{Change, Configuration, Resource, ResourceId};
use doorbell_core::limits;
use doorbell_core::past::Past;
use doorbell_core::time::Time;
use doorbell_server::clock::Clock;
use doorbell_store::embedded::Embedded;
use doorbell_store::postgres::{Taker, Way};
use doorbell_store::{Store as _, StoreError};
use doorbell_wire::export::{Counts, Line, decode};
use indicatif::ProgressBar;
use serde_json::json;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of the longest line that is read: a body of the largest size in base64, with all that comes with it.
const LINE_MAX: u64 = 1 << 30;
/// Faults that are told at once.
const TOLD: usize = 20;
/// How often a batch is tried that the database could not take just now, and how long lies in between.
const TRIES: usize = 60;
const AGAIN: Duration = Duration::from_millis(500);

/// What to import, and where to.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file that `doorbell export` wrote
    file: PathBuf,
    /// Only look whether the file is whole and the store fit for it
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    flags: Flags,
}

pub(crate) async fn run(import: &Import, report: Report) -> Result<()> {
    let config = Config::from_layers(&import.flags.layers())?;
    let bar = bar(report, "{prefix} {bar:40} {bytes}/{total_bytes}, {eta} left");
    bar.set_prefix("checking ");
    let counts = check(&import.file, &bar)?;
    let is_new = config.store_url.is_none() && !config.data_dir.exists();
    // To look at a folder that is not there would make it.
    if !(import.dry_run && is_new) {
        let home = Home::open(&config).await?;
        if !import.dry_run {
            bar.set_prefix("importing");
            bring_in(&import.file, &home, &bar).await?;
        }
        home.close().await?;
    }
    bar.finish_and_clear();
    if report.is_json() {
        report.json(&json!({
            "dry_run": import.dry_run, "resources": counts.resources, "events": counts.events,
            "deliveries": counts.deliveries, "attempts": counts.attempts,
        }));
    } else if import.dry_run {
        report.text(&format!("the file is whole: {}; nothing was written", counted(counts)));
    } else {
        report.text(&format!("{} are in the store", counted(counts)));
    }
    Ok(())
}

/// Where it goes.
enum Home {
    Embedded(Embedded),
    Postgres(Box<Taker>),
}

impl Home {
    async fn open(config: &Config) -> Result<Self> {
        if let Some(options) = database(config)? {
            let taker = Taker::open(&options, Way::Import).await;
            let taker = taker.context("store.url: the database cannot be used")?;
            return Ok(Self::Postgres(Box::new(taker)));
        }
        make_folder(&config.data_dir)?;
        let store = embedded(config, &Clock::real())?;
        let there = store.stats().await.context("the store does not say how it is")?.events;
        if there > 0 {
            bail!(
                "{} holds {there} requests already, and an import into a folder wants a new one: name another with --data-dir, \
                 or remove this one if all of it came from an import that broke off",
                config.data_dir.display()
            );
        }
        Ok(Self::Embedded(store))
    }

    async fn configuration(&self) -> Result<Configuration, StoreError> {
        match self {
            Self::Embedded(store) => store.configuration().await,
            Self::Postgres(taker) => taker.configuration().await,
        }
    }

    async fn configure(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.configure(changes).await,
            Self::Postgres(taker) => taker.configure(&changes).await,
        }
    }

    /// All of them or none, or in a folder perhaps some.
    async fn take_over(&self, pasts: &[Past]) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.take_over(pasts.to_vec()).await,
            Self::Postgres(taker) => patiently(taker, pasts).await,
        }
    }

    async fn close(self) -> Result<()> {
        match self {
            Self::Embedded(store) => store.close().await.context("the store cannot be closed"),
            Self::Postgres(_) => Ok(()),
        }
    }
}

/// The lines of a file, with their numbers.
struct Lines<'a> {
    file: BufReader<File>,
    number: u64,
    bar: &'a ProgressBar,
    buffer: Vec<u8>,
}

impl<'a> Lines<'a> {
    fn open(path: &Path, bar: &'a ProgressBar) -> Result<Self> {
        let cannot = || format!("{} cannot be read", path.display());
        let file = File::open(path).with_context(cannot)?;
        bar.set_length(file.metadata().with_context(cannot)?.len());
        bar.set_position(0);
        Ok(Self { file: BufReader::new(file), number: 0, bar, buffer: Vec::new() })
    }

    /// The next line, or what is wrong with it; `None`: the file is over.
    fn next(&mut self) -> Result<Option<Result<Line, String>>> {
        self.buffer.clear();
        self.number += 1;
        let mut bounded = self.file.by_ref().take(LINE_MAX);
        let read = bounded.read_until(b'\n', &mut self.buffer);
        let read = read.with_context(|| format!("line {} cannot be read", self.number))?;
        if read == 0 {
            return Ok(None);
        }
        self.bar.inc(read as u64);
        let Some(text) = self.buffer.strip_suffix(b"\n") else {
            return Ok(Some(Err(format!("line {}: it has no end", self.number))));
        };
        let line = str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned());
        let line = line.and_then(|text| decode(text).map_err(|fault| fault.to_string()));
        Ok(Some(line.map_err(|why| format!("line {}: {why}", self.number))))
    }
}

/// Reads the whole file and sees that it is one.
fn check(path: &Path, bar: &ProgressBar) -> Result<Counts> {
    let mut lines = Lines::open(path, bar)?;
    let (mut faults, mut counts, mut end) = (Vec::new(), Counts::default(), None);
    while let Some(line) = lines.next()? {
        match line {
            Ok(line) => match out_of_place(&line, lines.number, end.is_some()) {
                Some(why) => faults.push(format!("line {}: {why}", lines.number)),
                None => {
                    counts.add(&line);
                    if let Line::End(told) = line {
                        end = Some(told);
                    }
                }
            },
            Err(why) => faults.push(why),
        }
        if faults.len() >= TOLD {
            faults.push("and perhaps more".to_owned());
            break;
        }
    }
    if !faults.is_empty() {
        bail!("nothing was imported: {} cannot be used\n  {}", path.display(), faults.join("\n  "));
    }
    match end {
        Some(told) if told == counts => Ok(counts),
        Some(_) => bail!("nothing was imported: lines are missing from {}", path.display()),
        None => bail!("nothing was imported: {} was cut, its last line is missing", path.display()),
    }
}

fn out_of_place(line: &Line, number: u64, after_the_end: bool) -> Option<&'static str> {
    let is_first = matches!(line, Line::Begin(_));
    match (number, is_first, after_the_end) {
        (1, false, _) => Some("it does not say that this is an exported store"),
        (2.., true, _) => Some("another file begins here"),
        (_, _, true) => Some("it comes after the last line"),
        (_, _, false) => None,
    }
}

/// Brings a file in that was checked: what is configured first, so that nodes know it when events wait for them.
async fn bring_in(path: &Path, home: &Home, bar: &ProgressBar) -> Result<()> {
    let mut lines = Lines::open(path, bar)?;
    let (mut resources, mut pasts, mut bytes) = (Vec::new(), Vec::new(), 0);
    while let Some(line) = lines.next()? {
        match line.map_err(anyhow::Error::msg).context("the file has changed meanwhile")? {
            Line::Begin(_) | Line::End(_) => {}
            Line::Resource(resource) => resources.push(resource),
            Line::Event(past) => {
                configure(home, std::mem::take(&mut resources)).await?;
                bytes += past.weight();
                pasts.push(past);
                if pasts.len() >= limits::MOVED_EVENTS || bytes >= limits::MOVED_BYTES {
                    take_over(home, &pasts, lines.number).await?;
                    pasts.clear();
                    bytes = 0;
                }
            }
        }
    }
    configure(home, resources).await?;
    take_over(home, &pasts, lines.number).await
}

async fn patiently(taker: &Taker, pasts: &[Past]) -> Result<(), StoreError> {
    for _ in 1..TRIES {
        match taker.take_over(pasts).await {
            Err(StoreError::Busy) => tokio::time::sleep(AGAIN).await,
            done => return done,
        }
    }
    taker.take_over(pasts).await
}

async fn take_over(home: &Home, pasts: &[Past], number: u64) -> Result<()> {
    home.take_over(pasts).await.with_context(|| match home {
        Home::Postgres(_) => format!(
            "the import ended before line {number}: the last {} events are not there, those before are; import the file once more \
             when the fault is mended, nothing comes in twice",
            pasts.len()
        ),
        Home::Embedded(_) => {
            format!("the import ended before line {number}; remove the folder, and import the file into a new one")
        }
    })
}

/// Makes what is configured as it is in the file, unless it was changed in the database since.
async fn configure(home: &Home, resources: Vec<Resource>) -> Result<()> {
    if resources.is_empty() {
        return Ok(());
    }
    let there = home.configuration().await.context("what is configured cannot be read")?;
    let changes = newer(there, resources);
    let done = if changes.is_empty() { Ok(()) } else { home.configure(changes).await };
    done.context("what is configured cannot be brought in, and so nothing was; rename or remove what has the name in the store")
}

/// What the database does not have, or has in an older state.
fn newer(there: Configuration, resources: Vec<Resource>) -> Vec<Change> {
    let known: HashMap<ResourceId, Resource> =
        there.resources().map(|resource| (resource.id(), resource)).collect();
    let is_news = |resource: &Resource| match known.get(&resource.id()) {
        None => true,
        Some(old) => old != resource && changed(old) <= changed(resource),
    };
    resources.into_iter().filter(is_news).map(Change::Put).collect()
}

const fn changed(resource: &Resource) -> Time {
    match resource {
        Resource::Tenant(tenant) => tenant.created,
        Resource::Source(source) => source.updated,
        Resource::Endpoint(endpoint) => endpoint.updated,
        Resource::Token(token) => token.created,
        Resource::Replay(replay) => replay.updated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_core::configuration::Tenant;
    use doorbell_core::id::TenantId;
    use doorbell_wire::export::{Begin, encode};

    fn tenant(n: u128, created: u64) -> Resource {
        let (id, created) = (TenantId::new(Time::EPOCH, n), Time::from_ms(created));
        Resource::Tenant(Tenant {
            id,
            uid: format!("t{n}"),
            name: format!("at {created}"),
            created,
        })
    }

    fn checked(folder: &Path, text: &str) -> Result<Counts, String> {
        let file = folder.join("all.jsonl");
        std::fs::write(&file, text).map_err(|fault| fault.to_string())?;
        check(&file, &ProgressBar::hidden()).map_err(|fault| format!("{fault:#}"))
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let checked = |text: &str| checked(folder.path(), text);
        let lines = [
            Line::Begin(Begin { at: Time::EPOCH, from: "embedded".to_owned() }),
            Line::Resource(tenant(1, 5)),
            Line::Resource(tenant(2, 5)),
            Line::End(Counts { resources: 2, ..Counts::default() }),
        ];
        let lines = lines.map(|line| encode(&line).unwrap());
        let file = |order: &[usize]| {
            order.iter().map(|at| format!("{}\n", lines[*at])).collect::<String>()
        };
        assert_eq!(checked(&file(&[0, 1, 2, 3])), Ok(Counts { resources: 2, ..Counts::default() }));
        for (text, why) in [
            (file(&[0, 1, 2]), "was cut"),
            (file(&[0, 1, 3]), "lines are missing"),
            (file(&[1, 2, 3]), "line 1: it does not say"),
            (file(&[0, 1, 0, 2, 3]), "line 3: another file begins here"),
            (file(&[0, 1, 2, 3, 1]), "line 5: it comes after the last line"),
            (file(&[0, 1]) + "{}\nno\n" + &file(&[2, 3]), "line 3: it is not a line"),
            (file(&[0, 1]) + &lines[2][..20], "line 3: it has no end"),
            (String::new(), "was cut"),
        ] {
            let told = checked(&text).unwrap_err();
            assert!(told.contains(why) && told.contains("nothing was imported"), "{told}");
        }
    }

    #[test]
    fn what_was_changed_since_stays() {
        let there = [tenant(1, 5), tenant(2, 5), tenant(3, 5)];
        let there = there.into_iter().filter_map(|resource| match resource {
            Resource::Tenant(tenant) => Some(tenant),
            Resource::Source(_)
            | Resource::Endpoint(_)
            | Resource::Token(_)
            | Resource::Replay(_) => None,
        });
        let there = Configuration { tenants: there.collect(), ..Configuration::default() };
        let news = newer(there, vec![tenant(1, 4), tenant(2, 6), tenant(3, 5), tenant(4, 1)]);
        assert_eq!(news, [Change::Put(tenant(2, 6)), Change::Put(tenant(4, 1))]);
    }
}
