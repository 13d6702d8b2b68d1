//! The two C libraries that stand between a process and its libc (`xtask/shim`): the disk that fails, the clock that is off.

use crate::place;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a shimmed process ends with when its power was cut.
pub(crate) const EXIT_CUT: i32 = 86;

/// A word of the file that the shim and the harness share, in the order of `powercut.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Operations on the watched folder so far.
    Ops,
    /// Writes among them.
    Writes,
    /// Syncs among them.
    Syncs,
    /// The power fails just before this operation; 0: never.
    CutAtOp = 4,
    /// Not 0: the power fails now.
    CutNow,
    /// Bit 0: the power was cut. Bit 1: the fault was injected.
    Fired,
    /// Changes that were not durable at the cut.
    Unsynced,
    /// Bytes by which files may grow before the disk is full; 0: no limit.
    Budget = 9,
    /// Things that the shim could not undo; the cycle proves nothing when this is not 0.
    Trouble = 11,
}

/// The fault was injected.
pub(crate) const FIRED_FAULT: u64 = 2;

/// The shared file.
#[derive(Debug)]
pub(crate) struct Control {
    file: File,
    path: PathBuf,
}

impl Control {
    /// A new one, all zero.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        file.write_all_at(&[0; 128], 0)?;
        Ok(Self { file, path: path.to_owned() })
    }

    pub(crate) fn get(&self, word: Word) -> Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, word as u64 * 8)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    pub(crate) fn set(&self, word: Word, value: u64) -> Result<()> {
        Ok(self.file.write_all_at(&value.to_ne_bytes(), word as u64 * 8)?)
    }
}

/// A disk for one process: which folder is watched, and what happens to it.
#[derive(Debug)]
pub(crate) struct Disk {
    library: PathBuf,
    data: PathBuf,
    graves: PathBuf,
    /// The words shared with the process.
    pub(crate) control: Control,
    /// Dice for what survives a cut.
    pub(crate) seed: u64,
    /// Percent of un-synced sectors that survive a cut.
    pub(crate) keep: u64,
    /// `write|sync:N:EIO|ENOSPC|SHORT|EINTR`.
    pub(crate) fault: Option<String>,
}

impl Disk {
    /// A disk under `data`; `work` (on the same file system) holds what the shim needs.
    pub(crate) fn new(library: &Path, data: &Path, work: &Path) -> Result<Self> {
        let graves = work.join("graves");
        drop(std::fs::remove_dir_all(&graves));
        std::fs::create_dir_all(&graves)?;
        std::fs::create_dir_all(data)?;
        Ok(Self {
            library: library.to_owned(),
            data: data.canonicalize()?,
            graves: graves.canonicalize()?,
            control: Control::new(&work.join("control"))?,
            seed: 1,
            keep: 0,
            fault: None,
        })
    }

    /// Puts the disk under a process to be started.
    pub(crate) fn put_under(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("POWERCUT_DIR", &self.data)
            .env("POWERCUT_GRAVE", &self.graves)
            .env("POWERCUT_CTL", &self.control.path)
            .env("POWERCUT_SEED", self.seed.to_string())
            .env("POWERCUT_KEEP", self.keep.to_string());
        if let Some(fault) = &self.fault {
            command.env("POWERCUT_FAULT", fault).env("POWERCUT_ON_EXIT", "1");
        }
    }
}

/// Compiles a library of `xtask/shim`, if its source is newer than it.
pub(crate) fn build(name: &str) -> Result<PathBuf> {
    let source = place::root().join(format!("xtask/shim/{name}.c"));
    let library = place::work_folder("shim")?.join(format!("{name}.so"));
    let modified = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    if modified(&library) > modified(&source) {
        return Ok(library);
    }
    ensure_compiler()?;
    let mut gcc = Command::new("gcc");
    gcc.args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]);
    place::run(gcc.arg(&library).arg(&source).args(["-ldl", "-lpthread"]))
        .with_context(|| format!("cannot compile {}", source.display()))?;
    Ok(library)
}

fn ensure_compiler() -> Result<()> {
    if place::is_installed("gcc") {
        return Ok(());
    }
    place::run(Command::new("apt-get").args(["install", "--yes", "gcc", "libc6-dev"]))
        .context("gcc is needed to build the shims, and apt-get cannot install it here")?;
    if !place::is_installed("gcc") {
        bail!("gcc is needed to build the shims");
    }
    Ok(())
}
