//! What people and programs are shown: tables and sentences, or one JSON document a line. The only place that prints.

use serde_json::Value;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// What a check came to; a bad one ends the process with 1, though nothing went wrong in making it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Bad,
}

/// How to show things.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    json: bool,
}

impl Report {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Whether a person looks at it, so that colours and progress bars make sense.
    pub(crate) fn is_for_people(self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// One line or paragraph for people.
    pub(crate) fn text(self, text: &str) {
        put(text);
    }

    /// One JSON document on a line of its own.
    pub(crate) fn json(self, value: &Value) {
        put(&value.to_string());
    }

    /// What went wrong, on standard error.
    pub(crate) fn error(self, error: &anyhow::Error) {
        if self.json {
            aside(&serde_json::json!({ "error": format!("{error:#}") }).to_string());
        } else {
            aside(&format!("doorbell: {error:#}"));
        }
    }

    /// A table for people; columns are as wide as their widest cell, the last one is not padded.
    pub(crate) fn table(self, head: &[&str], rows: Vec<Vec<String>>) {
        let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::new();
            for (cell, width) in cells.zip(&widths) {
                text.push_str(cell);
                let padding = width.saturating_sub(cell.chars().count()) + 2;
                text.extend(std::iter::repeat_n(' ', padding));
            }
            put(text.trim_end());
        };
        line(&mut head.iter().copied());
        for row in rows {
            line(&mut row.iter().map(String::as_str));
        }
    }
}

/// Whether something that was to be shown could not be.
static LOST: AtomicBool = AtomicBool::new(false);

/// Whether all that was shown has arrived; what did not (a full disk) makes the process end with 1.
pub(crate) fn all_arrived() -> bool {
    note(&std::io::stdout().flush());
    !LOST.load(Ordering::Relaxed)
}

/// A reader that has gone away (`| head`) is no error.
fn put(text: &str) {
    note(&writeln!(std::io::stdout(), "{text}"));
}

/// The first fault of an output is told, on the other one.
fn note(written: &std::io::Result<()>) {
    let Some(error) = lost(written) else { return };
    if !LOST.swap(true, Ordering::Relaxed) {
        aside(&format!("doorbell: the output cannot be written: {error}"));
    }
}

fn lost(written: &std::io::Result<()>) -> Option<&std::io::Error> {
    written.as_ref().err().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}

/// A sentence on the side, where progress and errors go.
pub(crate) fn aside(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reader_that_went_away_is_forgiven() {
        assert!(lost(&Ok(())).is_none());
        assert!(lost(&Err(ErrorKind::BrokenPipe.into())).is_none());
        for kind in [ErrorKind::StorageFull, ErrorKind::PermissionDenied, ErrorKind::Other] {
            assert!(lost(&Err(kind.into())).is_some(), "{kind}");
        }
    }
}
