//! Damage: a flipped bit is noticed, told, and costs only what it hit.

use super::*;
use crate::embedded::doctor;
use std::collections::BTreeSet;
use std::fs;

/// One bit of a file of the journal is flipped. What is read afterwards is what was accepted; what is missing was told.
#[tokio::test]
async fn a_flipped_bit_is_told_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open(dir.path());
    fill(&engine, 0..60).await;
    drop(engine);
    let all: BTreeSet<u64> = (0..60).collect();
    let mut dice = Dice(7);
    for round in 0..400 {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        let files = segments(copy.path());
        let file = &files[usize::try_from(dice.below(files.len() as u64)).unwrap()];
        let mut bytes = fs::read(file).unwrap();
        let bit = usize::try_from(dice.below(bytes.len() as u64 * 8)).unwrap();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(file, bytes).unwrap();

        let told = doctor::inspect(copy.path()).unwrap().damage;
        assert_eq!(told.len(), 1, "round {round}: bit {bit} of {}: {told:?}", file.display());
        assert_eq!(&told[0].segment, file);
        let offset = bit as u64 / 8;
        assert!(told[0].offset <= offset && offset < told[0].offset + told[0].bytes, "{told:?}");

        let read: BTreeSet<u64> = numbers(copy.path()).await.into_iter().collect();
        let lost = all.difference(&read).count();
        assert!(lost <= 1, "round {round}: one bit cost {lost} records");
        assert!(read.is_subset(&all));
    }
}

/// A sealed segment that was cut short is told; what is left of it is read.
#[tokio::test]
async fn a_segment_cut_short_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open(dir.path());
    fill(&engine, 0..60).await;
    engine.catch_up().await.unwrap();
    drop(engine);
    let second = segments(dir.path()).remove(1);
    let length = fs::metadata(&second).unwrap().len();
    fs::OpenOptions::new().write(true).open(&second).unwrap().set_len(length - 100).unwrap();
    let told = doctor::inspect(dir.path()).unwrap().damage;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].segment, second);
    let read = numbers(dir.path()).await.len();
    assert!((57..60).contains(&read), "{read} of 60 are left");
}

/// A body that is itself a whole frame of another store (or of this one, elsewhere) is never taken for a record.
#[tokio::test]
async fn frames_inside_a_body_are_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 1 << 20, ..options() };
    let (engine, _) = open_with(dir.path(), options);
    fill(&engine, 0..3).await;
    drop(engine);
    let file = segments(dir.path()).remove(0);
    let frames = fs::read(&file).unwrap().split_off(64);

    let (engine, _) = open_with(dir.path(), options);
    let start = engine.durable();
    let mut evil = admission(3);
    let mut with_body = event(3);
    with_body.request.body = frames.repeat(8).into();
    evil.event = Arc::new(with_body);
    engine.accept(evil).await.unwrap();
    fill(&engine, 4..6).await;
    drop(engine);
    let mut bytes = fs::read(&file).unwrap();
    bytes[usize::try_from(start).unwrap()] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_eq!(numbers(dir.path()).await, [0, 1, 2, 4, 5]);
}
