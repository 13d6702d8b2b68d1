//! `doorbell backup`: a copy of a running server's embedded store; `doorbell restore`: a data folder from it.

use super::counted::count;
use crate::config::{Config, Flags, human_bytes};
use crate::remote::{Body, Node};
use crate::report::{Report, Verdict};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use doorbell_core::configuration::{Change, Resource};
use doorbell_core::endpoint::Status;
use doorbell_store::embedded::config::Config as Configuration;
use doorbell_store::embedded::{DamageKind, restore as unpack};
use http::Method;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where the copy goes.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// A file that is not there yet, or - for standard output. It will hold secrets and payloads: keep it like the data folder
    file: PathBuf,
}

/// What to restore.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// What `doorbell backup` wrote, or - for standard input
    file: PathBuf,
    /// Pause every endpoint, so that nothing is delivered before you have looked: what was waiting when the copy was made may
    /// have been delivered since
    #[arg(long)]
    pause: bool,
    #[command(flatten)]
    flags: Flags,
}

pub(crate) async fn backup(what: &Backup, node: &Node, report: Report) -> Result<()> {
    let to_output = what.file == Path::new("-");
    ensure!(!to_output || !io::stdout().is_terminal(), "a backup is no text: name a file");
    ensure!(
        to_output || !what.file.exists(),
        "{} is there already; name another file, or remove it",
        what.file.display()
    );
    let answer = node.remote()?.open(Method::GET, "/v1/backup", Body::None).await?;
    let length = answer.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length: u64 = length.and_then(|text| text.parse().ok()).unwrap_or(0);
    let bar = bar(length, report);
    if to_output {
        return copy(answer.into_body(), &mut io::stdout().lock(), &bar).await;
    }
    let part = beside(&what.file);
    let done = write(answer.into_body(), &part, &bar).await;
    bar.finish_and_clear();
    if done.is_err() {
        drop(fs::remove_file(&part));
    }
    done.context("no backup was made")?;
    fs::rename(&part, &what.file)
        .with_context(|| format!("{} cannot be written", what.file.display()))?;
    if report.is_json() {
        report.json(&json!({ "file": what.file, "bytes": length }));
    } else {
        report.text(&format!("{}: {}", what.file.display(), human_bytes(length)));
    }
    Ok(())
}

/// Its name until it is whole.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    file.with_file_name(name)
}

async fn write(body: Incoming, path: &Path, bar: &ProgressBar) -> Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("{} cannot be written", path.display()))?;
    copy(body, &mut file, bar).await?;
    file.sync_all().with_context(|| format!("{} cannot be written", path.display()))
}

/// Less than was announced is an error of the body.
async fn copy(mut body: Incoming, to: &mut impl Write, bar: &ProgressBar) -> Result<()> {
    while let Some(frame) = body.frame().await {
        let frame = frame.context("the server went away in the middle of it")?;
        let piece = frame.into_data().unwrap_or_default();
        to.write_all(&piece).context("the copy cannot be written")?;
        bar.inc(piece.len() as u64);
    }
    Ok(())
}

fn bar(length: u64, report: Report) -> ProgressBar {
    if !report.is_for_people() {
        return ProgressBar::hidden();
    }
    let shape = "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(shape);
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

pub(crate) fn restore(what: &Restore, report: Report) -> Result<Verdict> {
    let config = Config::from_layers(&what.flags.layers())?;
    if config.store_url.is_some() {
        bail!(
            "store.url names a database; a backup of an embedded store is restored into a data folder"
        )
    }
    let folder = &config.data_dir;
    let from: Box<dyn Read> = if what.file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(&what.file);
        Box::new(file.with_context(|| format!("{} cannot be read", what.file.display()))?)
    };
    let length = fs::metadata(&what.file).map_or(0, |metadata| metadata.len());
    let bar = bar(length, report);
    let inspected = unpack(bar.wrap_read(from), folder).context("nothing was restored");
    bar.finish_and_clear();
    let inspected = inspected?;
    let paused = if what.pause { pause_all(&folder.join("config.sqlite"))? } else { 0 };
    let damage = inspected.damage.iter().filter(|one| one.kind != DamageKind::Torn).count();
    if report.is_json() {
        report.json(&json!({
            "data": folder, "records": inspected.records, "bytes": inspected.bytes, "damage": damage, "paused": paused,
        }));
    } else {
        report.text(&format!(
            "{}: {}, {}, every byte looked at",
            folder.display(),
            count(inspected.records, "record"),
            human_bytes(inspected.bytes)
        ));
        if what.pause {
            report.text(&format!(
                "{} paused; `doorbell endpoint enable NAME` lets one go",
                count(paused as u64, "endpoint")
            ));
        }
        if damage > 0 {
            report.text(&format!(
                "{damage} places are damaged, in this copy or already in the store when it was made (`doorbell doctor` there tells); \
                 what stands at them is missing here, `doorbell doctor` says where. Another copy may have it"
            ));
        }
    }
    Ok(if damage > 0 { Verdict::Bad } else { Verdict::Good })
}

/// Pauses every endpoint that is enabled; how many.
fn pause_all(file: &Path) -> Result<usize> {
    let configuration = Configuration::open(file).context("the restored configuration")?;
    let all = configuration.configuration().context("the restored configuration")?.endpoints;
    let running = all.into_iter().filter(|endpoint| endpoint.status == Status::Enabled);
    let changes: Vec<Change> = running
        .map(|mut endpoint| {
            endpoint.status = Status::Paused;
            Change::Put(Resource::Endpoint(endpoint))
        })
        .collect();
    configuration.configure(&changes).context("the endpoints could not be paused")?;
    Ok(changes.len())
}
