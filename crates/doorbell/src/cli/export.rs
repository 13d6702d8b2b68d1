//! `doorbell export`: writes everything that a store keeps into a file of lines of JSON.

use super::serve::{database, embedded};
use crate::cli::bodies::large_bodies;
use crate::config::{Config, Flags};
use crate::report::{Report, aside};
use anyhow::{Context, Result, bail};
use clap::Args;
use doorbell_core::configuration::Configuration;
use doorbell_core::past::Past;
use doorbell_server::clock::Clock;
use doorbell_store::Store as _;
use doorbell_store::embedded::{Embedded, Mark};
use doorbell_store::postgres::Giver;
use doorbell_wire::export::{Begin, Counts, Line, encode};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Where to export to, and from which store.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The file to write (only you can read it, for secrets stand in it); - for the standard output
    file: PathBuf,
    #[command(flatten)]
    flags: Flags,
}

pub(crate) async fn run(export: &Export, report: Report) -> Result<()> {
    let config = Config::from_layers(&export.flags.layers())?;
    let clock = Clock::real();
    let mut home = Home::open(&config, &clock).await?;
    let mut out = Out::new(&export.file)?;
    let bar = bar(report, "{bar:40} {percent}%, {eta} left");
    let counts = write(&mut home, &mut out, &clock, &bar).await?;
    bar.finish_and_clear();
    let damaged = home.damaged();
    home.close().await?;
    let shown = out.finish()?;
    let summary = json!({
        "file": shown, "resources": counts.resources, "events": counts.events, "deliveries": counts.deliveries,
        "attempts": counts.attempts, "damaged": damaged,
    });
    tell(report, shown.as_deref(), counts, &summary);
    if damaged > 0 {
        bail!("{damaged} damaged records were left out; `doorbell doctor` tells of them");
    }
    Ok(())
}

/// What was written; on the side where the file itself goes to the standard output.
fn tell(report: Report, file: Option<&str>, counts: Counts, summary: &Value) {
    let sentence = |file| format!("{} are in {file}", counted(counts));
    match (file, report.is_json()) {
        (Some(_), true) => report.json(summary),
        (Some(file), false) => report.text(&sentence(file)),
        (None, true) => aside(&summary.to_string()),
        (None, false) => aside(&sentence("the output")),
    }
}

/// What a file holds, in words.
pub(super) fn counted(counts: Counts) -> String {
    let Counts { resources, events, deliveries, attempts } = counts;
    format!(
        "{events} events and requests with {deliveries} deliveries and {attempts} attempts, and {resources} resources"
    )
}

/// A bar for people.
pub(super) fn bar(report: Report, template: &str) -> ProgressBar {
    let bar = if report.is_for_people() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

async fn write(home: &mut Home, out: &mut Out, clock: &Clock, bar: &ProgressBar) -> Result<Counts> {
    let mut counts = Counts::default();
    out.line(&Line::Begin(Begin { at: clock.now(), from: home.kind().to_owned() }), &mut counts)?;
    for resource in home.configuration().await?.resources() {
        out.line(&Line::Resource(resource), &mut counts)?;
    }
    while let Some(pasts) = home.next(bar).await? {
        for past in pasts {
            out.line(&Line::Event(past), &mut counts)?;
        }
    }
    out.line(&Line::End(counts), &mut Counts::default())?;
    Ok(counts)
}

/// A store that is read from its beginning to its end.
enum Home {
    Embedded { store: Embedded, mark: Mark, damaged: u64 },
    Postgres(Giver),
}

impl Home {
    async fn open(config: &Config, clock: &Clock) -> Result<Self> {
        if let Some(mut options) = database(config)? {
            options.bodies = large_bodies(config)?;
            let giver = Giver::open(&options).await;
            return Ok(Self::Postgres(giver.context("store.url: the database cannot be used")?));
        }
        if !config.data_dir.join("journal").is_dir() {
            bail!(
                "there is no store in {}: name its folder with --data-dir, or its database with --store",
                config.data_dir.display()
            );
        }
        let store = embedded(config, clock)?;
        Ok(Self::Embedded { mark: store.begin_copy(), store, damaged: 0 })
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Embedded { .. } => "embedded",
            Self::Postgres(_) => "postgres",
        }
    }

    async fn configuration(&self) -> Result<Configuration> {
        let configuration = match self {
            Self::Embedded { store, .. } => store.configuration().await,
            Self::Postgres(giver) => giver.configuration().await,
        };
        configuration.context("what is configured cannot be read")
    }

    /// The next events; `None`: that was all.
    async fn next(&mut self, bar: &ProgressBar) -> Result<Option<Vec<Past>>> {
        match self {
            Self::Embedded { store, mark, damaged } => {
                let (read, all) = mark.progress();
                bar.set_length(all);
                bar.set_position(read);
                if mark.left(store.journal_bytes()) == 0 {
                    return Ok(None);
                }
                let touched = store.touched(*mark).await.context("the events cannot be read")?;
                *mark = touched.next;
                *damaged += touched.damaged;
                Ok(Some(touched.pasts))
            }
            Self::Postgres(giver) => {
                if bar.length() == Some(0) {
                    bar.set_length(giver.events().await?.max(1));
                }
                let pasts = giver.next().await.context("the events cannot be read")?;
                bar.inc(pasts.len() as u64);
                Ok(Some(pasts).filter(|pasts| !pasts.is_empty()))
            }
        }
    }

    const fn damaged(&self) -> u64 {
        match self {
            Self::Embedded { damaged, .. } => *damaged,
            Self::Postgres(_) => 0,
        }
    }

    async fn close(self) -> Result<()> {
        match self {
            Self::Embedded { store, .. } => {
                store.close().await.context("the store cannot be closed")
            }
            Self::Postgres(_) => Ok(()),
        }
    }
}

/// Where the lines go. A file has its name only when it is whole.
struct Out {
    to: BufWriter<Box<dyn Write + Send>>,
    file: Option<(File, PathBuf, PathBuf)>,
}

impl Out {
    fn new(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self { to: BufWriter::new(Box::new(io::stdout())), file: None });
        }
        if path.exists() {
            bail!("{} is there already; name another file, or remove it first", path.display());
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let cannot = || format!("{} cannot be written", part.display());
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&part);
        let file = file.with_context(cannot)?;
        let to = Box::new(file.try_clone().with_context(cannot)?);
        Ok(Self { to: BufWriter::new(to), file: Some((file, part, path.to_owned())) })
    }

    fn line(&mut self, line: &Line, counts: &mut Counts) -> Result<()> {
        counts.add(line);
        let text = encode(line).context("a line cannot be written")?;
        let written = self.to.write_all(text.as_bytes()).and_then(|()| self.to.write_all(b"\n"));
        written.context("the export cannot be written")
    }

    /// Makes the file durable and gives it its name.
    fn finish(mut self) -> Result<Option<String>> {
        self.to.flush().context("the export cannot be written")?;
        let Some((file, part, path)) = self.file else { return Ok(None) };
        let done = file.sync_all().and_then(|()| fs::rename(&part, &path));
        done.with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Some(path.display().to_string()))
    }
}
