//! What anybody from outside can cause as often as he likes is told in the log once a minute, with how often it was.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often it is told.
const EVERY: Duration = Duration::from_secs(60);
/// Letters of what came from outside that are shown.
const SHOWN: usize = 100;

/// Something that is told once a minute at most.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    told: Option<Duration>,
    untold: u64,
}

impl Seldom {
    /// It happened, at `now` of some clock that never goes back. How often since it was told before, this time included, if
    /// it is to be told.
    pub(crate) fn happened(&self, now: Duration) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.untold = state.untold.saturating_add(1);
        if state.told.is_some_and(|told| now.saturating_sub(told) < EVERY) {
            return None;
        }
        state.told = Some(now);
        Some(std::mem::take(&mut state.untold))
    }
}

/// A path as it may stand in a log: its beginning, escaped, without the query (tokens may stand there).
pub(crate) fn path_of(target: &str) -> String {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    if !path.starts_with('/') {
        return "(none)".to_owned();
    }
    let cut = path.char_indices().nth(SHOWN).and_then(|(end, _)| path.get(..end));
    let dots = if cut.is_some() { "…" } else { "" };
    format!("{}{dots}", cut.unwrap_or(path).escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_minute_with_all_that_were_not_told() {
        let (seldom, at) = (Seldom::default(), Duration::from_secs);
        assert_eq!(seldom.happened(at(5)), Some(1));
        assert_eq!((seldom.happened(at(6)), seldom.happened(at(64))), (None, None));
        assert_eq!(seldom.happened(at(65)), Some(3));
        assert_eq!(seldom.happened(at(66)), None);
    }

    #[test]
    fn a_path_is_cut_and_cannot_steer_the_terminal() {
        assert_eq!(path_of("/in/shp?token=secret"), "/in/shp");
        assert_eq!(path_of("http://user:password@h/in/x"), "(none)");
        assert_eq!(path_of("/in/\u{1b}[31m\n"), "/in/\\u{1b}[31m\\n");
        let long = path_of(&format!("/{}", "é".repeat(500)));
        assert_eq!(long.chars().count(), SHOWN + 1);
    }
}
