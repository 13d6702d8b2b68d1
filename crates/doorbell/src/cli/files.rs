//! How many files the process may have open: raised as far as the system lets it, and what fits into them.

use crate::config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files for all but senders' connections and tries: the store's, idle connections out (512 at most), databases, brokers.
const OTHERS: usize = 1_024;

/// macOS takes no limit without end, and always takes this one (its `OPEN_MAX`).
const SURELY: u64 = 10_240;

/// Raises what the process may open to all that the system allows, and lowers connections and tries to what fits.
pub(crate) fn fit(config: &mut Config) {
    let files = raise();
    let wanted = (config.max_connections, config.max_in_flight);
    let fitting = fitting(files, wanted);
    if fitting == wanted {
        return;
    }
    (config.max_connections, config.max_in_flight) = fitting;
    let (connections, tries) = fitting;
    let enough = wanted.0.saturating_add(wanted.1).saturating_add(OTHERS);
    tracing::warn!(
        "the system lets this process open {files} files only: ingest.max_connections is taken for {connections}, and \
         delivery.max_in_flight for {tries}. Set them lower, or allow {enough} files (ulimit -Hn, LimitNOFILE= of systemd, \
         --ulimit nofile of Docker)"
    );
}

/// The limit after it was raised. What cannot be raised stays as it is.
fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let set = |wish: &Rlimit| setrlimit(Resource::Nofile, *wish).is_ok();
    let limit = wishes(&limit).into_iter().find(set).unwrap_or(limit);
    limit.current.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX)
}

/// To what the limit is to be raised; the first that is taken.
fn wishes(limit: &Rlimit) -> Vec<Rlimit> {
    let maximum = limit.maximum;
    let surely = SURELY.min(maximum.unwrap_or(SURELY));
    let more = limit.current.is_some_and(|current| current < surely);
    let all = std::iter::once(maximum).chain(more.then_some(Some(surely)));
    all.map(|current| Rlimit { current, maximum }).collect()
}

/// Connections and tries that fit into so many files: a third of the room is for tries, as far as they want it.
fn fitting(files: usize, (connections, tries): (usize, usize)) -> (usize, usize) {
    // Of few files, half are for the rest.
    let room = files.saturating_sub(OTHERS).max(files / 2);
    if connections.saturating_add(tries) <= room {
        return (connections, tries);
    }
    let tries = tries.min(room / 3).max(1);
    (connections.min(room.saturating_sub(tries)).max(1), tries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_fits_is_as_it_was_set() {
        assert_eq!(fitting(usize::MAX, (20_000, 8_192)), (20_000, 8_192));
        assert_eq!(fitting(29_216, (20_000, 8_192)), (20_000, 8_192));
    }

    #[test]
    fn a_system_that_takes_no_limit_without_end_gets_one_with() {
        let wished = |current, maximum| -> Vec<Option<u64>> {
            let wishes = wishes(&Rlimit { current, maximum });
            assert!(wishes.iter().all(|wish| wish.maximum == maximum));
            wishes.into_iter().map(|wish| wish.current).collect()
        };
        assert_eq!(wished(Some(256), None), [None, Some(10_240)]);
        assert_eq!(wished(Some(65_536), None), [None], "it is not lowered");
        assert_eq!(wished(Some(1_024), Some(524_288)), [Some(524_288), Some(10_240)]);
        assert_eq!(wished(Some(1_024), Some(1_024)), [Some(1_024)]);
        assert_eq!(wished(None, None), [None]);
    }

    #[test]
    fn the_usual_small_limits() {
        assert_eq!(fitting(20_000, (20_000, 8_192)), (12_651, 6_325));
        assert_eq!(fitting(20_000, (20_000, 100)), (18_876, 100));
        assert_eq!(fitting(1_024, (20_000, 8_192)), (342, 170));
    }

    proptest! {
        #[test]
        fn it_never_promises_more_than_there_is(
            files in 64_usize..1_000_000,
            connections in 1_usize..1_000_000,
            tries in 1_usize..1_000_000,
        ) {
            let (fewer, fewer_tries) = fitting(files, (connections, tries));
            prop_assert!((1..=connections).contains(&fewer) && (1..=tries).contains(&fewer_tries));
            prop_assert!(fewer + fewer_tries <= files);
        }
    }
}
