//! What is known of each key, and what is to be done when one is wanted. Plain state, with the time passed in.

use super::{Fetched, Held, Wanted};
use doorbell_core::id::SourceId;
use doorbell_core::limits;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Sources whose allowance is remembered.
const SOURCES: usize = 10_000;

/// Where a key comes from, and for whom it was read. It may hold the account's credentials, so it shows itself to nobody.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    provider: String,
    url: String,
    post: Option<String>,
}

impl Place {
    pub(super) fn of(wanted: Wanted<'_>) -> Self {
        Self {
            provider: wanted.provider.name.to_string(),
            url: wanted.key.url().to_owned(),
            post: wanted.key.post().map(str::to_owned),
        }
    }
}

/// What is to be done about a key.
#[derive(Debug)]
pub(super) enum Look {
    /// Take this one.
    Use(Held),
    /// Wait for what is under way.
    Wait(watch::Receiver<Option<Fetched>>),
    /// It is not to be had, as this sentence says.
    No(String),
}

/// Where the result of a fetch is to be put that must now begin.
pub(super) type Begin = Option<watch::Sender<Option<Fetched>>>;

#[derive(Debug, Default)]
struct Slot {
    held: Option<Held>,
    /// What the last fetch said, where it failed.
    failed: Option<Arc<str>>,
    fetching: Option<watch::Receiver<Option<Fetched>>>,
    /// When the last fetch was begun; nothing where it was lost on the way.
    begun: Option<Duration>,
    used: Duration,
}

/// How many fetches a source may still cause.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    left: u32,
    at: Duration,
}

/// All keys that are known.
#[derive(Default)]
pub(super) struct Shelf {
    slots: HashMap<Place, Slot>,
    sources: HashMap<SourceId, Allowance>,
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").field("keys", &self.slots.len()).finish_non_exhaustive()
    }
}

impl Shelf {
    /// What to do for a source that wants this key, no older than `than`, and whether a fetch must begin.
    pub(super) fn look(
        &mut self,
        place: &Place,
        source: SourceId,
        than: Option<Duration>,
        now: Duration,
    ) -> (Look, Begin) {
        if !self.slots.contains_key(place) && !self.make_room() {
            return (Look::No("too many keys are being fetched at once".to_owned()), None);
        }
        let slot = self.slots.entry(place.clone()).or_default();
        slot.take_in();
        slot.used = now;
        let held = slot.usable(than, now);
        if let Some(held) = &held
            && now.saturating_sub(held.at) < limits::KEY_FRESH
        {
            return (Look::Use(held.clone()), None);
        }
        let begin = match slot.may_begin(&place.url, now) {
            Ok(()) if allow(&mut self.sources, source, now) => Ok(slot.begin(now)),
            Ok(()) => {
                Err("this source's requests have named too many keys; wait a minute".to_owned())
            }
            Err(waiting) => Err(waiting),
        };
        match (held, begin, &slot.fetching) {
            (Some(held), begin, _) => (Look::Use(held), begin.ok()),
            (None, Ok(result), Some(fetching)) => (Look::Wait(fetching.clone()), Some(result)),
            (None, Err(_), Some(fetching)) => (Look::Wait(fetching.clone()), None),
            (None, Err(why), None) => (Look::No(why), None),
            (None, Ok(_), None) => (Look::No("the fetch was lost".to_owned()), None),
        }
    }

    /// The key, where it is there and may be used. Nothing is fetched for it, and it does not count as a use.
    pub(super) fn known(&mut self, place: &Place, now: Duration) -> Option<Held> {
        let slot = self.slots.get_mut(place)?;
        slot.take_in();
        slot.usable(None, now)
    }

    /// Whether this source may cause one call more.
    pub(super) fn allow(&mut self, source: SourceId, now: Duration) -> bool {
        allow(&mut self.sources, source, now)
    }

    /// Whether one more fits: what failed goes first, then what was used longest ago, and never what is under way.
    fn make_room(&mut self) -> bool {
        if self.slots.len() < limits::KEYS {
            return true;
        }
        self.slots.values_mut().for_each(Slot::take_in);
        let idle = self.slots.iter().filter(|(_, slot)| slot.fetching.is_none());
        let least = idle.min_by_key(|(_, slot)| (slot.held.is_some(), slot.used));
        let Some(place) = least.map(|(place, _)| place.clone()) else { return false };
        self.slots.remove(&place).is_some()
    }
}

impl Slot {
    /// Takes in what has come of the fetch under way, if it has ended.
    fn take_in(&mut self) {
        let Some(fetching) = &self.fetching else { return };
        // Asked first: what was sent just before the sender went is then seen.
        let ended = fetching.has_changed().is_err();
        let done = fetching.borrow().clone();
        match done {
            Some(Ok(held)) => (self.held, self.failed) = (Some(held), None),
            Some(Err(why)) => self.failed = Some(why),
            None if ended => self.begun = None,
            None => return,
        }
        self.fetching = None;
    }

    fn usable(&self, than: Option<Duration>, now: Duration) -> Option<Held> {
        let good = |held: &&Held| {
            now.saturating_sub(held.at) < limits::KEY_STALE
                && than.is_none_or(|than| held.at > than)
        };
        self.held.as_ref().filter(good).cloned()
    }

    /// Whether a fetch may begin; else why not.
    fn may_begin(&self, url: &str, now: Duration) -> Result<(), String> {
        let soon = |begun: Duration| now.saturating_sub(begun) < limits::KEY_AGAIN;
        if self.fetching.is_none() && !self.begun.is_some_and(soon) {
            return Ok(());
        }
        Err(self.failed.as_ref().map_or_else(
            || {
                format!(
                    "the keys at {url} were fetched a moment ago, without the one that is named"
                )
            },
            ToString::to_string,
        ))
    }

    fn begin(&mut self, now: Duration) -> watch::Sender<Option<Fetched>> {
        let (result, fetching) = watch::channel(None);
        (self.fetching, self.begun) = (Some(fetching), Some(now));
        result
    }
}

/// One fetch more by this source: so many at once, and one again every [`limits::KEY_REFILL`].
fn allow(sources: &mut HashMap<SourceId, Allowance>, source: SourceId, now: Duration) -> bool {
    if sources.len() >= SOURCES && !sources.contains_key(&source) {
        sources.clear();
    }
    let full = Allowance { left: limits::KEY_BURST, at: now };
    let own = sources.entry(source).or_insert(full);
    let refilled = now.saturating_sub(own.at).as_millis() / limits::KEY_REFILL.as_millis().max(1);
    if let Some(more) = u32::try_from(refilled).ok().filter(|more| *more > 0) {
        *own = Allowance { left: own.left.saturating_add(more).min(limits::KEY_BURST), at: now };
    }
    let allowed = own.left > 0;
    own.left = own.left.saturating_sub(1);
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_core::time::Time;
    use webhook_signatures::{Secret, find};

    const SECOND: Duration = Duration::from_secs(1);

    fn place(url: &str) -> Place {
        Place { provider: "kick".to_owned(), url: url.to_owned(), post: None }
    }

    fn source(n: u128) -> SourceId {
        SourceId::new(Time::EPOCH, n)
    }

    fn held(at: Duration) -> Held {
        Held { key: Secret::parse(find("github").unwrap(), "a secret").unwrap(), at }
    }

    /// Looks, and if a fetch must begin lets it end at once with `result`.
    fn fetch(shelf: &mut Shelf, now: Duration, result: Fetched) -> bool {
        let begin = shelf.look(&place("u"), source(1), None, now).1;
        begin.is_some_and(|begin| begin.send(Some(result)).is_ok())
    }

    fn looks(shelf: &mut Shelf, than: Option<Duration>, now: Duration) -> &'static str {
        match shelf.look(&place("u"), source(1), than, now) {
            (Look::Use(_), None) => "use",
            (Look::Use(_), Some(_)) => "use and refresh",
            (Look::Wait(_), None) => "wait",
            (Look::Wait(_), Some(_)) => "fetch",
            (Look::No(_), _) => "no",
        }
    }

    #[test]
    fn a_key_is_used_while_it_is_good_and_refreshed_beside_that() {
        let mut shelf = Shelf::default();
        assert!(fetch(&mut shelf, SECOND, Ok(held(SECOND))));
        let old = SECOND + limits::KEY_FRESH;
        assert_eq!(looks(&mut shelf, None, old - SECOND), "use");
        assert_eq!(looks(&mut shelf, None, old), "use and refresh");
        // The sender of that result is gone: the fetch was lost, and may begin again.
        assert!(fetch(&mut shelf, old, Err("away".into())));
        assert_eq!(looks(&mut shelf, None, old + SECOND), "use");
        assert_eq!(looks(&mut shelf, None, SECOND + limits::KEY_STALE), "fetch");
    }

    #[test]
    fn a_look_at_what_is_known_fetches_nothing() {
        let mut shelf = Shelf::default();
        assert!(shelf.known(&place("u"), SECOND).is_none());
        assert!(fetch(&mut shelf, SECOND, Ok(held(SECOND))));
        let old = SECOND + limits::KEY_FRESH;
        assert!(shelf.known(&place("u"), old).is_some() && shelf.known(&place("v"), old).is_none());
        assert_eq!(looks(&mut shelf, None, old), "use and refresh");
        assert!(shelf.known(&place("u"), SECOND + limits::KEY_STALE).is_none());
    }

    #[test]
    fn one_fetch_for_all_who_wait() {
        let mut shelf = Shelf::default();
        let (first, begin) = shelf.look(&place("u"), source(1), None, SECOND);
        assert!(matches!(first, Look::Wait(_)) && begin.is_some());
        assert_eq!(looks(&mut shelf, None, 2 * SECOND), "wait");
        begin.unwrap().send_replace(Some(Ok(held(SECOND))));
        assert_eq!(looks(&mut shelf, None, 2 * SECOND), "use");
    }

    #[test]
    fn a_failure_is_remembered_for_a_while() {
        let mut shelf = Shelf::default();
        assert!(fetch(&mut shelf, SECOND, Err("away".into())));
        assert_eq!(looks(&mut shelf, None, 2 * SECOND), "no");
        assert_eq!(looks(&mut shelf, None, SECOND + limits::KEY_AGAIN), "fetch");
    }

    #[test]
    fn a_newer_one_is_fetched_but_not_at_once_again() {
        let mut shelf = Shelf::default();
        assert!(fetch(&mut shelf, SECOND, Ok(held(SECOND))));
        assert_eq!(looks(&mut shelf, Some(SECOND), 2 * SECOND), "no");
        let later = SECOND + limits::KEY_AGAIN;
        assert_eq!(looks(&mut shelf, Some(SECOND), later), "fetch");
    }

    #[test]
    fn a_source_causes_only_so_many_fetches() {
        let mut shelf = Shelf::default();
        let mut begun = |n: u32, source, now| {
            shelf.look(&place(&format!("u{n}")), source, None, now).1.is_some()
        };
        assert!((0..limits::KEY_BURST).all(|n| begun(n, source(1), SECOND)));
        assert!(!begun(100, source(1), SECOND), "one too many");
        assert!(begun(100, source(2), SECOND), "another source is another's");
        assert!(begun(101, source(1), SECOND + limits::KEY_REFILL));
    }

    #[test]
    fn so_many_keys_are_known_and_what_failed_goes_first() {
        let mut shelf = Shelf::default();
        let mut all = Vec::new();
        for n in 0..limits::KEYS {
            let source = source(n as u128 / 5);
            let (_, begin) = shelf.look(&place(&n.to_string()), source, None, SECOND);
            all.push(begin.unwrap());
        }
        assert!(matches!(shelf.look(&place("u"), source(1), None, SECOND), (Look::No(_), None)));
        for (n, begin) in all.iter().enumerate() {
            begin.send_replace(Some(if n == 7 { Err("away".into()) } else { Ok(held(SECOND)) }));
        }
        let new = shelf.look(&place("u"), source(9_999), None, 2 * SECOND);
        assert!(matches!(new.0, Look::Wait(_)));
        assert_eq!(shelf.slots.len(), limits::KEYS);
        assert!(!shelf.slots.contains_key(&place("7")));
    }
}
