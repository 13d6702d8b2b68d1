//! Power cuts: what was acknowledged is there, what was half written is not, and work goes on.

use super::*;
use crate::embedded::inspect;
use crate::embedded::journal::recover::DamageKind;
use crate::store::Admitted;
use std::fs;

#[tokio::test]
async fn what_was_accepted_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open(dir.path());
    fill(&engine, 0..50).await;
    drop(engine);
    assert!(segments(dir.path()).len() > 2, "several segments are under test");
    assert_eq!(numbers(dir.path()).await, (0..50).collect::<Vec<_>>());
}

/// The last record may be cut at any byte: all before it stay, new ones follow, and no position is used twice.
#[tokio::test]
async fn a_tail_torn_at_any_byte_is_covered() {
    torn_at_any_byte(0).await;
}

/// The same where the segment was filled with zeros ahead of its use: what was not written is zeros, not missing.
#[tokio::test]
async fn a_tail_torn_at_any_byte_before_zeros_is_covered() {
    torn_at_any_byte(5000).await;
}

async fn torn_at_any_byte(zeros: u64) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 1 << 20, ..options() };
    let (engine, _) = open_with(dir.path(), options);
    fill(&engine, 0..5).await;
    let whole = engine.durable();
    fill(&engine, 5..6).await;
    let end = engine.durable();
    drop(engine);
    let bytes = fs::read(segments(dir.path()).pop().unwrap()).unwrap();
    // A record that only lacks zeros at its end is whole where zeros follow.
    let meant = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    for length in whole..if zeros > 0 { meant } else { end } {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        let last = segments(copy.path()).pop().unwrap();
        let file = fs::OpenOptions::new().write(true).open(last).unwrap();
        file.set_len(length).and_then(|()| file.set_len(length + zeros)).unwrap();
        let written = usize::try_from(whole).unwrap()..usize::try_from(length).unwrap();
        let seen = bytes[written].iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1);
        let (engine, _) = open_with(copy.path(), options);
        let torn: Vec<_> = engine.damage.iter().map(|damage| damage.kind).collect();
        assert_eq!(torn, if seen == 0 { vec![] } else { vec![DamageKind::Torn] });
        assert!(engine.durable() >= whole + seen);
        // The event that was torn was never acknowledged: it comes again, and is no duplicate.
        assert_eq!(engine.accept(admission(5)).await, Ok(Admitted::New));
        fill(&engine, 6..9).await;
        drop(engine);
        assert_eq!(numbers(copy.path()).await, (0..9).collect::<Vec<_>>());
        assert_eq!(inspect(copy.path()).unwrap().damage, []);
    }
}

/// Segments that were filled with zeros ahead of their use hold what grown ones do, and are as long.
#[tokio::test]
async fn room_made_ahead_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 1 << 16, ..options() };
    let (mut next, mut used) = (0, false);
    while !used {
        assert!(
            next < 20_000,
            "no room was made for any of {} segments",
            segments(dir.path()).len()
        );
        let (engine, _) = open_with(dir.path(), options);
        fill(&engine, next..next + 400).await;
        next += 400;
        let length = fs::metadata(segments(dir.path()).pop().unwrap()).unwrap().len();
        used = length > engine.durable() - *bases(dir.path()).last().unwrap();
    }
    assert_eq!(inspect(dir.path()).unwrap().damage, []);
    assert_eq!(numbers(dir.path()).await, (0..next).collect::<Vec<_>>());
    let rooms = fs::read_dir(dir.path().join("journal")).unwrap();
    assert!(rooms.flatten().all(|entry| entry.path().extension().unwrap() != "room"));
}

fn bases(dir: &Path) -> Vec<u64> {
    let stems = segments(dir).into_iter().map(|path| path.file_stem().unwrap().to_owned());
    stems.map(|stem| u64::from_str_radix(stem.to_str().unwrap(), 16).unwrap()).collect()
}

/// A batch is written as several frames; the disk may have written any of them before the power went.
#[tokio::test]
async fn holes_in_a_batch_that_was_never_synced_are_covered() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 1 << 20, ..options() };
    let (engine, fed) = open_with(dir.path(), options);
    fill(&engine, 0..3).await;
    // Rejected requests wait for the next event, and are written together with it.
    for n in 3..8 {
        engine.accept(rejected(n)).await.unwrap();
    }
    fill(&engine, 8..9).await;
    engine.catch_up().await.unwrap();
    let positions: Vec<u64> = fed.0.lock().unwrap().iter().map(|(at, _)| *at).collect();
    drop(engine);
    // The fifth record (of the batch) is zeros, as if its page had never been written.
    let segment = segments(dir.path()).pop().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let hole = usize::try_from(positions[4]).unwrap()..usize::try_from(positions[5]).unwrap();
    bytes[hole.clone()].fill(0);
    fs::write(&segment, bytes).unwrap();

    let (engine, _) = open_with(dir.path(), options);
    assert_eq!(engine.damage.len(), 1);
    assert_eq!(
        (engine.damage[0].kind, engine.damage[0].bytes),
        (DamageKind::Torn, hole.len() as u64)
    );
    drop(engine);
    assert_eq!(numbers(dir.path()).await, [0, 1, 2, 3, 5, 6, 7, 8]);
    // It was told once; from now on it is a gap like any other.
    let (engine, _) = open_with(dir.path(), options);
    assert_eq!(engine.damage, []);
}

/// The directory as it is at some moment, with more being written all the time, holds all that was acknowledged before.
#[tokio::test]
async fn a_copy_taken_at_any_moment_holds_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(42);
    let mut next = 0;
    let (mut engine, _) = open(dir.path());
    for _ in 0..20 {
        let more = 1 + dice.below(12);
        fill(&engine, next..next + more).await;
        next += more;
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        assert_eq!(numbers(copy.path()).await, (0..next).collect::<Vec<_>>());
        if dice.below(4) == 0 {
            drop(engine);
            engine = open(dir.path()).0;
        }
    }
}

/// A segment that was being made when the power went holds nothing yet.
#[tokio::test]
async fn a_segment_without_a_header_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open(dir.path());
    fill(&engine, 0..10).await;
    let end = engine.durable();
    drop(engine);
    for length in [0, 1, 63, 64] {
        fs::write(dir.path().join(format!("journal/{end:016x}.seg")), vec![0; length]).unwrap();
        let (engine, _) = open(dir.path());
        assert_eq!((engine.durable(), engine.damage.len()), (end, 0));
    }
}

#[tokio::test]
async fn a_directory_is_open_once() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open(dir.path());
    let again = Home::take(dir.path());
    assert!(again.unwrap_err().to_string().contains("in use by another process"));
    drop(engine);
    assert!(Home::take(dir.path()).is_ok());
}

/// Without its `store` file a store still knows who it is, and its dedupe keys still count.
#[tokio::test]
async fn a_lost_store_file_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open(dir.path());
    fill(&engine, 0..40).await;
    drop(engine);
    fs::write(dir.path().join("store"), "doorbell store 1\nnonsense").unwrap();
    let (engine, _) = open(dir.path());
    let first = event(3).id;
    assert_eq!(engine.accept(admission(3)).await, Ok(Admitted::Repeat(first)));
}

#[tokio::test]
async fn a_segment_of_another_store_is_refused() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&dir, &other] {
        let (engine, _) = open(dir.path());
        fill(&engine, 0..10).await;
    }
    let strange = segments(other.path()).remove(0);
    fs::copy(strange, segments(dir.path()).remove(0)).unwrap();
    let fault = Opened::open(Home::take(dir.path()).unwrap(), options()).unwrap_err();
    assert!(fault.to_string().contains("belongs to another store"), "{fault}");
}

/// The delivery with this number, as the store lends it.
fn lent_to(n: u64) -> doorbell_core::delivery::Delivery {
    let NewDelivery { id, endpoint, order_key, state, replay, lend: _ } = delivery(n);
    let (tenant, event) = (TenantId::DEFAULT, event(n).id);
    let (attempts, by_hand, asked) = (0, 0, false);
    doorbell_core::delivery::Delivery {
        id,
        tenant,
        event,
        endpoint,
        order_key,
        replay,
        attempts,
        by_hand,
        state,
        asked,
    }
}

/// Without room nothing new is taken, but deliveries end, and it goes on by itself when room returns.
#[tokio::test]
async fn a_full_disk_takes_settlements_only() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open(dir.path());
    fill(&engine, 0..1).await;
    drop(engine);
    // A little more than there is, whatever else happens on this disk meanwhile.
    let free = crate::embedded::journal::space::free(dir.path()).unwrap();
    let (engine, _) = open_with(dir.path(), Options { reserve_bytes: free / 2 * 3, ..options() });
    assert_eq!(engine.accept(admission(1)).await, Err(StoreError::Full));
    assert_eq!(engine.accept(admission(2)).await, Err(StoreError::Full));
    let lease = engine.shared.leases.lock().lend(&lent_to(0), None).unwrap();
    let settled = engine.settle(order::delivered(0, lease, 64)).await;
    assert_eq!(settled, Ok(crate::store::Settled::Kept));
    drop(engine);
    let (engine, _) = open(dir.path());
    assert_eq!(engine.accept(admission(1)).await, Ok(Admitted::New));
}

/// The last of the room is the index's: settlements wait, and reading goes on.
#[tokio::test]
async fn the_last_room_is_kept_for_reading() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open(dir.path());
    fill(&engine, 0..3).await;
    drop(engine);
    let (engine, fed) = open_with(dir.path(), Options { reserve_bytes: u64::MAX, ..options() });
    let before = engine.durable();
    let lease = engine.shared.leases.lock().lend(&lent_to(0), None).unwrap();
    let settled = engine.settle(order::delivered(0, lease, 64)).await;
    assert_eq!(settled, Err(StoreError::Full));
    assert_eq!(engine.durable(), before);
    engine.catch_up().await.unwrap();
    assert_eq!(fed.all().len(), 3);
    drop(engine);
    let (engine, _) = open(dir.path());
    let lease = engine.shared.leases.lock().lend(&lent_to(0), None).unwrap();
    let settled = engine.settle(order::delivered(0, lease, 64)).await;
    assert_eq!(settled, Ok(crate::store::Settled::Kept));
}
