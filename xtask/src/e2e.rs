//! `cargo xtask e2e`: the real binary, with the official Python and JavaScript libraries as signers and judges.
//! They are installed, at pinned versions, into `target/e2e`.

use crate::brokers::{Broker, Kind};
use crate::node::CONFIGURATION;
use crate::place::{self, Profile};
use crate::postgres::{Cluster, Sync};
use crate::shim;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What to run.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Flags {
    /// A binary that is there already.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where the nodes keep their events.
    #[arg(long, value_enum, default_value = "embedded")]
    store: Home,
    /// A queue before the store, which is started for it.
    #[arg(long, value_enum)]
    inbox: Option<Kind>,
    /// Arguments for pytest.
    #[arg(last = true)]
    pytest: Vec<String>,
}

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Home {
    /// Each in its own folder.
    #[default]
    Embedded,
    /// In a `PostgreSQL` that is started for it.
    Postgres,
}

impl Flags {
    /// What every store must do as the embedded one does, on `PostgreSQL` and on it behind each kind of inbox: the main job,
    /// all of delivery, and what an operator sees. Everything runs there too: `cargo xtask e2e --store postgres`.
    pub(crate) fn on_postgres() -> Vec<Self> {
        let files = ["test_main_job.py", "test_delivery.py", "test_operations.py"];
        // moto plays an object store beside SQS.
        let files =
            |inbox| files.into_iter().chain((inbox == Some(Kind::Sqs)).then_some("test_bodies.py"));
        let inboxes = [None, Some(Kind::Amqp), Some(Kind::Nats), Some(Kind::Sqs)].into_iter();
        let on = |inbox| Self {
            store: Home::Postgres,
            inbox,
            pytest: files(inbox).map(str::to_owned).collect(),
            ..Self::default()
        };
        inboxes.map(on).collect()
    }
}

/// Installs what is missing, and runs the tests.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let binary = flags.binary.clone().map_or_else(|| place::build("doorbell", Profile::Dev), Ok)?;
    let tests = place::root().join("tests/e2e");
    let folder = place::work_folder("e2e")?;
    let python = python(&tests, &folder).context("the judges from PyPI")?;
    let judges = npm(&tests, &folder).context("the judges from npm")?;
    debian("chromium", "chromium").context("the tests of the dashboard want Chromium")?;
    debian("promtool", "prometheus").context("the tests of the metrics want promtool")?;
    let mut pytest = Command::new(python);
    pytest
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp"])
        .arg(folder.join("pytest"))
        .args(&flags.pytest)
        .current_dir(&tests)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("DOORBELL", binary)
        .env("XTASK", std::env::current_exe()?)
        .env("DOORBELL_CONFIGURATION", CONFIGURATION)
        .env("JUDGES", judges)
        .env("CLOCK_SHIM", shim::build("clock")?);
    let database = match flags.store {
        Home::Embedded => None,
        Home::Postgres => Some(Cluster::start(Sync::No)?),
    };
    let inbox = flags.inbox.map(Broker::start).transpose()?;
    if let Some(inbox) = &inbox {
        pytest.env("DOORBELL_E2E_INBOX", inbox.url());
    }
    if let Some(database) = &database {
        pytest.env("DOORBELL_E2E_DATABASE", database.url());
        pytest.env("DOORBELL_E2E_PSQL", database.program("psql"));
    }
    place::run(&mut pytest)
}

/// A virtual environment with the requirements; made anew when they change.
fn python(tests: &Path, folder: &Path) -> Result<PathBuf> {
    let wanted = std::fs::read_to_string(tests.join("requirements.txt"))?;
    let (venv, stamp) = (folder.join("venv"), folder.join("requirements.installed"));
    let python = venv.join("bin/python");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && python.exists()
    {
        return Ok(python);
    }
    place::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--requirement"])
        .arg(tests.join("requirements.txt"));
    place::run(&mut pip)?;
    std::fs::write(stamp, wanted)?;
    Ok(python)
}

/// A program from a package of Debian's; where there is no apt-get, the tests that want it say that they are left out.
fn debian(program: &str, package: &str) -> Result<()> {
    if place::is_installed(program) || !place::is_installed("apt-get") {
        return Ok(());
    }
    place::run(Command::new("apt-get").args(["update", "--quiet", "--quiet"]))?;
    let install = ["install", "--yes", "--quiet", "--quiet", "--no-install-recommends", package];
    place::run(Command::new("apt-get").args(install))
}

/// A folder with `node_modules` as the lock file says; made anew when that changes.
fn npm(tests: &Path, folder: &Path) -> Result<PathBuf> {
    let judges = folder.join("npm");
    std::fs::create_dir_all(&judges)?;
    let lock = "package-lock.json";
    let wanted = std::fs::read(tests.join(lock))?;
    let done = judges.join("node_modules/.package-lock.json").exists();
    if done && std::fs::read(judges.join(lock)).is_ok_and(|installed| installed == wanted) {
        return Ok(judges);
    }
    for file in ["package.json", lock] {
        std::fs::copy(tests.join(file), judges.join(file))?;
    }
    let mut npm = Command::new("npm");
    place::run(
        npm.args(["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(&judges),
    )?;
    Ok(judges)
}
