//! The torture, tortured: the honest stand-in passes, and each dishonest one is found out by the test that is for it.

use super::{Fault, Flags, options, torture};
use crate::node::Program;
use anyhow::{Context, Result, bail};

/// Who is tortured how, and what must be said of it; an empty word: nothing.
const CASES: [(&str, Fault, &str); 7] = [
    ("honest", Fault::PowerCut, ""),
    ("honest", Fault::Kill, ""),
    ("honest", Fault::IoErrors, ""),
    ("honest", Fault::DiskFull, ""),
    ("no-fsync", Fault::PowerCut, "lost"),
    ("in-memory", Fault::Kill, "lost"),
    ("retry-fsync", Fault::IoErrors, "lost"),
];

/// Runs all cases.
pub(super) fn run(flags: &Flags) -> Result<()> {
    for (honesty, fault, word) in CASES {
        let mut program = Program::new(std::env::current_exe()?);
        program.before = vec!["standin".to_owned()];
        program.after = vec!["--honesty".to_owned(), honesty.to_owned()];
        let mut options = options(fault, flags, program);
        options.cycles = options.cycles.min(40);
        if fault == Fault::DiskFull {
            options.cycles = 1;
        }
        if fault == Fault::IoErrors {
            options.every = options.every.max(97);
        }
        let came = torture(&options);
        match came {
            Ok(summary) if word.is_empty() => {
                println!("{honesty} passes {fault:?}: {} acknowledged", summary.acked);
            }
            Ok(_) => bail!("{honesty} was not found out by {fault:?}"),
            Err(fault_found) if !word.is_empty() && format!("{fault_found:#}").contains(word) => {
                println!("{honesty} is found out by {fault:?}: {fault_found:#}");
                std::fs::remove_dir_all(options.folder()?)
                    .context("cannot remove the folder of a liar")?;
            }
            Err(unexpected) => {
                return Err(unexpected).with_context(|| format!("{honesty} under {fault:?}"));
            }
        }
    }
    Ok(())
}
