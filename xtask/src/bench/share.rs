//! A share of the machine's processors for some processes, as a control group of Linux: so that one machine can show what
//! happens when the nodes are the limit, or the database.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is held back is held back for less than this, in microseconds.
const PERIOD: f64 = 10_000.0;
const GROUPS: &str = "/sys/fs/cgroup";

/// Processes that together have no more than their share; the group goes when this is dropped, after they have ended.
#[derive(Debug)]
pub(super) struct Share(PathBuf);

impl Share {
    /// Holds these, and what they start from now on, to so many processors. Needs root and the controller `cpu`.
    pub(super) fn of(pids: &[u32], processors: f64) -> Result<Self> {
        ensure!(processors > 0.0, "a share of {processors} processors is none");
        let name = format!("doorbell-bench-{}-{}", std::process::id(), super::fresh_number());
        let quota = (PERIOD * processors).round();
        let first = Path::new(GROUPS).join("cpu");
        let (folder, settings) = if first.is_dir() {
            let settings = [
                ("cpu.cfs_period_us", PERIOD.to_string()),
                ("cpu.cfs_quota_us", quota.to_string()),
            ];
            (first.join(name), settings.to_vec())
        } else {
            write(&Path::new(GROUPS).join("cgroup.subtree_control"), "+cpu")?;
            (Path::new(GROUPS).join(name), vec![("cpu.max", format!("{quota} {PERIOD}"))])
        };
        std::fs::create_dir(&folder)
            .with_context(|| format!("{}: no control group", folder.display()))?;
        let share = Self(folder);
        for (setting, value) in settings {
            write(&share.0.join(setting), &value)?;
        }
        for pid in pids {
            let joined = write(&share.0.join("cgroup.procs"), &pid.to_string());
            // One that has ended needs no share.
            if Path::new("/proc").join(pid.to_string()).exists() {
                joined?;
            }
        }
        Ok(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // The last of a server's processes may take a moment to end.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| {
        format!("{} takes no {text}; a share needs root and Linux", file.display())
    })
}
