//! A copy is the store as it was when it was made, whatever comes afterwards; what is not a whole copy becomes no store.

use super::embedded::{OnDisk, admission, fill, listed, on_disk};
use doorbell_core::time::Time;
use doorbell_store::contract::Homes as _;
use doorbell_store::embedded::{Embedded, Options, RestoreError, inspect, restore};
use doorbell_store::{Admitted, Retention, Store as _};
use std::fs;
use std::path::Path;

async fn archive(home: &Embedded) -> Vec<u8> {
    let backup = home.backup().await.unwrap();
    let (expected, mut bytes) = (backup.bytes(), Vec::new());
    backup.write(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, expected, "its length is known before");
    bytes
}

/// A store with events, some of which wait.
async fn filled() -> (OnDisk, Embedded) {
    let mut homes = on_disk();
    let home = homes.open().await;
    fill(&home, 0..60, &[7, 41]).await;
    (homes, home)
}

fn nothing_is_at(dir: &Path) {
    assert!(!dir.exists());
    let beside = fs::read_dir(dir.parent().unwrap()).unwrap();
    assert_eq!(beside.count(), 0, "nor anything half done beside it");
}

#[tokio::test]
async fn a_copy_is_the_store_as_it_was() {
    let (_homes, home) = filled().await;
    let before = (listed(&home).await, home.stats().await.unwrap().waiting);
    let configuration = home.configuration().await.unwrap();
    let backup = home.backup().await.unwrap();
    // While it is written out the store goes on, and retention takes what is copied.
    fill(&home, 60..120, &[]).await;
    home.prune(admission(200).event.at, Retention { age: None, bytes: Some(0) }).await.unwrap();
    let mut bytes = Vec::new();
    backup.write(&mut bytes).unwrap();

    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("again");
    let inspected = restore(bytes.as_slice(), &dir).unwrap();
    assert_eq!((inspected.damage, inspected.index), (vec![], vec![]));
    let again = Embedded::open(&dir, Options::at(Time::EPOCH)).unwrap();
    assert_eq!((listed(&again).await, again.stats().await.unwrap().waiting), before);
    assert_eq!(again.configuration().await.unwrap(), configuration);
    let mut repeat = admission(3);
    repeat.deliveries.clear();
    assert!(matches!(again.accept(repeat).await, Ok(Admitted::Repeat(_))), "keys count as before");
    fill(&again, 300..310, &[]).await;
    again.close().await.unwrap();
    drop(again);
    assert_eq!(inspect(&dir).unwrap().damage, []);
}

#[tokio::test]
async fn a_copy_that_is_cut_short_is_refused() {
    let (_homes, home) = filled().await;
    let bytes = archive(&home).await;
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("again");
    let whole = bytes.len() - 2 * 512;
    for length in (1024..whole - 512).step_by(9973).chain([whole - 512, whole - 513]) {
        let refused = restore(&bytes[..length], &dir);
        assert!(matches!(refused, Err(RestoreError::Cut)), "{length} bytes: {refused:?}");
        nothing_is_at(&dir);
    }
    restore(bytes.as_slice(), &dir).unwrap();
    assert!(matches!(restore(bytes.as_slice(), &dir), Err(RestoreError::Occupied(_))));
}

#[test]
fn an_archive_of_something_else_writes_nowhere() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("again");
    let names: [&[u8]; 6] =
        [b"../store", b"/store", b"journal/../x.seg", b"journal/x", b"token", b"journal/a/b.seg"];
    for name in names {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_size(1);
        header.set_cksum();
        tar.append(&header, &b"x"[..]).unwrap();
        let refused = restore(tar.into_inner().unwrap().as_slice(), &dir);
        assert!(matches!(refused, Err(RestoreError::Foreign(_))), "{refused:?}");
        nothing_is_at(&dir);
    }
    let refused = restore(&[b'x'; 4096][..], &dir);
    assert!(matches!(refused, Err(RestoreError::Foreign(_))), "{refused:?}");
    nothing_is_at(&dir);
}
