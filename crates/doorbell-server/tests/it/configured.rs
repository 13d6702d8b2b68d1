//! The configuration in use: when a change is seen, who is told of it, and what came from elsewhere.

use crate::world::{NOW, endpoint, source};
use doorbell_core::configuration::{Change, Resource, ResourceId};
use doorbell_core::directory::{Directory, Settings};
use doorbell_core::limits;
use doorbell_core::source::Source;
use doorbell_server::configured::{Configured, Touched};
use doorbell_store::embedded::{Embedded, Options};
use doorbell_store::memory::Memory;
use doorbell_store::{AnyStore, Store as _, StoreError};
use futures_util::FutureExt as _;
use std::sync::Arc;

fn put(source: &Source) -> Vec<Change> {
    vec![Change::Put(Resource::Source(source.clone()))]
}

async fn change(configured: &Configured, changes: Vec<Change>) -> Result<(), StoreError> {
    configured.change(|_: &Directory| Ok((changes, ()))).await
}

async fn load(store: impl Into<AnyStore>) -> Configured {
    Configured::load(Arc::new(store.into()), Settings::default()).await.unwrap()
}

#[tokio::test]
async fn who_stops_waiting_for_a_change_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let home = Embedded::open(dir.path(), Options::at(NOW)).unwrap();
    let configured = load(home).await;
    let (before, mut changes) = (configured.directory(), configured.watch());
    let github = source("github", "github");
    assert_eq!(change(&configured, put(&github)).now_or_never(), None, "it was not waited for");
    assert!(matches!(changes.next().await, Some(Touched::These(_))));
    assert!(configured.directory().source(github.id).is_some());
    assert!(before.source(github.id).is_none(), "who holds a snapshot is not disturbed");
}

#[tokio::test]
async fn what_others_changed_is_taken_up() {
    let memory = Memory::new();
    let configured = load(memory.clone()).await;
    let (stays, goes) = (source("stays", "none"), source("goes", "none"));
    change(&configured, [put(&stays), put(&goes)].concat()).await.unwrap();
    let ready = Arc::clone(configured.directory().source(stays.id).unwrap());

    let mut changes = configured.watch();
    configured.reload().await.unwrap();
    assert_eq!(changes.next().now_or_never(), None, "nothing is new");
    let endpoint = endpoint();
    let theirs = vec![
        Change::Delete(ResourceId::Source(goes.id)),
        Change::Put(Resource::Endpoint(endpoint.clone())),
    ];
    memory.configure(theirs).await.unwrap();
    configured.reload().await.unwrap();
    let touched = [ResourceId::Endpoint(endpoint.id), ResourceId::Source(goes.id)];
    assert_eq!(changes.next().await, Some(Touched::These(touched.into())));
    let directory = configured.directory();
    assert!(directory.source_at("goes").is_none() && directory.endpoint(endpoint.id).is_some());
    assert!(Arc::ptr_eq(directory.source(stays.id).unwrap(), &ready), "it is not read again");
}

#[tokio::test]
async fn who_is_slow_looks_at_everything() {
    let configured = load(Memory::new()).await;
    let (mut slow, mut slower) = (configured.watch(), configured.watch());
    let source = source("one", "none");
    for _ in 0..limits::CHANGES_KEPT {
        change(&configured, put(&source)).await.unwrap();
    }
    let touched = Touched::These([ResourceId::Source(source.id)].into());
    assert_eq!(slow.next().await, Some(touched));
    change(&configured, put(&source)).await.unwrap();
    assert_eq!(slower.next().await, Some(Touched::Anything));
}

#[tokio::test]
async fn a_change_that_the_store_refuses_is_not_seen() {
    let configured = load(Memory::new()).await;
    change(&configured, put(&source("one", "none"))).await.unwrap();
    let same_name = Source { name: source("one", "none").name, ..source("two", "none") };
    let refused = change(&configured, put(&same_name)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    assert!(configured.directory().source(same_name.id).is_none());
}
