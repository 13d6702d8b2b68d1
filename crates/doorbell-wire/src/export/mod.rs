//! An exported store: lines of JSON that a person can read, in a file that one Doorbell writes and another reads.
//!
//! The first line says what the file is and its version, the last one how much stands in it, so that a file that was cut is
//! noticed. In between stand the resources that are configured, as they are stored (their secrets too, so such a file is
//! as secret as the store), and then the events in the order in which they were accepted, each whole: the request byte for byte, what
//! became of it, its deliveries as they stand, and all their attempts. Bytes are `{"text": …}` where they are UTF-8, else
//! `{"base64": …}` (RFC 4648, section 4). Times are RFC 3339 with milliseconds. A field is never renamed or reused within a
//! version.

mod v1;

use crate::stored_config::DocumentError;
use doorbell_core::configuration::Resource;
use doorbell_core::past::Past;
use doorbell_core::time::Time;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The first one.
    Begin(Begin),
    /// Something that is configured.
    Resource(Resource),
    /// An event.
    Event(Past),
    /// The last one.
    End(Counts),
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// When it was begun.
    pub at: Time,
    /// From what kind of store: a word for people.
    pub from: String,
}

/// How much stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Resources.
    pub resources: u64,
    /// Events.
    pub events: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// Attempts.
    pub attempts: u64,
}

impl Counts {
    /// Counts this line.
    pub fn add(&mut self, line: &Line) {
        match line {
            Line::Begin(_) | Line::End(_) => {}
            Line::Resource(_) => self.resources += 1,
            Line::Event(past) => {
                self.events += 1;
                self.deliveries += past.deliveries.len() as u64;
                let attempts = past.deliveries.iter().map(|one| one.attempts.len() as u64);
                self.attempts += attempts.sum::<u64>();
            }
        }
    }
}

/// Why a line cannot be read or written. It never quotes the line: secrets stand in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It was written by a newer version of Doorbell.
    #[error("the file has version {found}; this Doorbell reads up to {}", v1::VERSION)]
    Version {
        /// Its version.
        found: u32,
    },
    /// It is no line of such a file.
    #[error("it is not a line of an exported store (seen at column {column})")]
    Json {
        /// Where the fault was seen.
        column: usize,
    },
    /// A value cannot be.
    #[error("its {0} is not valid")]
    Value(&'static str),
    /// What is configured cannot be read.
    #[error("the resource in it cannot be read: {0}")]
    Resource(#[from] DocumentError),
}

impl From<serde_json::Error> for LineError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json { column: error.column() }
    }
}

/// The text of a line, without its end.
///
/// # Errors
/// [`LineError`], for what no store can hold.
pub fn encode(line: &Line) -> Result<String, LineError> {
    Ok(serde_json::to_string(&v1::Line::of(line)?)?)
}

/// The line of this text.
///
/// # Errors
/// [`LineError`]. Any text may be given.
pub fn decode(text: &str) -> Result<Line, LineError> {
    serde_json::from_str::<v1::Line>(text)?.read()
}
