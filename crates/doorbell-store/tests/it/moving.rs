//! A store that goes to another home loses nothing, doubles nothing, and works on as if it had never moved.

use super::embedded::{OnDisk, on_disk};
use super::postgres::{InSchema, in_schema};
use doorbell_core::configuration::{Change, Resource, Tenant};
use doorbell_core::id::TenantId;
use doorbell_core::time::Time;
use doorbell_store::contract::Homes as _;
use doorbell_store::contract::agreement::{Carries, agrees_after_a_move};
use doorbell_store::embedded::{Embedded, Mark, OpenError, Options};
use doorbell_store::postgres::{Giver, Postgres, Taker, Way};
use doorbell_store::{Store, StoreError};
use std::time::Duration;

/// From the embedded home to `PostgreSQL`, copied while it works.
struct Outgrown {
    from: OnDisk,
    to: InSchema,
    steps: u32,
    copy: Option<(Taker, Mark)>,
}

impl Outgrown {
    async fn step(&mut self, from: &Embedded) {
        if self.copy.is_none() {
            let taker = Taker::open(&self.to.options(), Way::Move).await.unwrap();
            self.copy = Some((taker, from.begin_copy()));
        }
        let (taker, mark) = self.copy.as_mut().unwrap();
        let touched = from.touched(*mark).await.unwrap();
        assert_eq!(touched.damaged, 0);
        taker.take_over(&touched.pasts).await.unwrap();
        *mark = touched.next;
    }
}

impl Carries for Outgrown {
    type From = Embedded;
    type To = Postgres;

    async fn open(&mut self) -> Embedded {
        self.to.make().await;
        Postgres::migrate(&self.to.options()).await.unwrap();
        self.from.open().await
    }

    /// Now and then a step of the copy; now and then it is broken off, and everything begins anew.
    async fn copy_some(&mut self, from: &Embedded) {
        self.steps += 1;
        match self.steps % 10 {
            3 | 5 | 8 => self.step(from).await,
            0 => self.copy = None,
            _ => {}
        }
    }

    async fn finish(&mut self, from: Embedded) -> Postgres {
        loop {
            self.step(&from).await;
            let (_, mark) = self.copy.as_ref().unwrap();
            if mark.left(from.journal_bytes()) == 0 {
                break;
            }
        }
        self.copy = None;
        from.close().await.unwrap();
        Postgres::open(&self.to.options()).await.unwrap()
    }
}

#[test]
fn what_outgrew_one_machine_goes_on_as_if_it_had_not_moved() {
    agrees_after_a_move(64, || Outgrown { from: on_disk(), to: in_schema(), steps: 0, copy: None });
}

/// From one database to another, as it is exported and imported.
struct Exported {
    from: InSchema,
    to: InSchema,
}

impl Carries for Exported {
    type From = Postgres;
    type To = Postgres;

    async fn open(&mut self) -> Postgres {
        self.to.make().await;
        Postgres::migrate(&self.to.options()).await.unwrap();
        self.from.open().await
    }

    async fn copy_some(&mut self, _: &Postgres) {}

    async fn finish(&mut self, from: Postgres) -> Postgres {
        let mut giver = Giver::open(&self.from.options()).await.unwrap();
        let taker = Taker::open(&self.to.options(), Way::Import).await.unwrap();
        loop {
            let pasts = giver.next().await.unwrap();
            if pasts.is_empty() {
                break;
            }
            taker.take_over(&pasts).await.unwrap();
            taker.take_over(&pasts).await.unwrap();
        }
        from.close().await.unwrap();
        Postgres::open(&self.to.options()).await.unwrap()
    }
}

#[test]
fn what_was_exported_and_imported_goes_on_as_it_was() {
    agrees_after_a_move(128, || Exported { from: in_schema(), to: in_schema() });
}

/// From a database back into a folder.
struct Back {
    from: InSchema,
    to: OnDisk,
}

impl Carries for Back {
    type From = Postgres;
    type To = Embedded;

    async fn open(&mut self) -> Postgres {
        self.from.open().await
    }

    async fn copy_some(&mut self, _: &Postgres) {}

    async fn finish(&mut self, from: Postgres) -> Embedded {
        let mut giver = Giver::open(&self.from.options()).await.unwrap();
        let home = self.to.open().await;
        loop {
            let pasts = giver.next().await.unwrap();
            if pasts.is_empty() {
                break;
            }
            home.take_over(pasts).await.unwrap();
        }
        from.close().await.unwrap();
        home.close().await.unwrap();
        drop(home);
        self.to.open().await
    }
}

#[test]
fn what_was_exported_goes_on_in_a_folder() {
    agrees_after_a_move(64, || Back { from: in_schema(), to: on_disk() });
}

/// A move goes only where nobody has delivered; an empty database has to be made ready first.
#[tokio::test]
async fn a_move_wants_a_database_of_its_own() {
    let mut to = in_schema();
    to.make().await;
    let told = |done: Result<Taker, StoreError>| done.unwrap_err().to_string();
    let empty = told(Taker::open(&to.options(), Way::Move).await);
    assert!(empty.contains("doorbell migrate"), "{empty}");
    let node = to.open().await;
    let served = told(Taker::open(&to.options(), Way::Move).await);
    assert!(served.contains("createdb") && served.contains("doorbell import"), "{served}");
    assert!(Taker::open(&to.options(), Way::Import).await.is_ok(), "an import may go anywhere");
    node.close().await.unwrap();
}

/// The configuration comes whole, and nodes that are there hear of it.
#[tokio::test]
async fn the_configuration_is_told_to_nodes() {
    let mut to = in_schema();
    let node = to.open().await;
    let taker = Taker::open(&to.options(), Way::Import).await.unwrap();
    let acme = Tenant {
        id: TenantId::new(Time::EPOCH, 7),
        uid: "acme".to_owned(),
        name: "Acme".to_owned(),
        created: Time::EPOCH,
    };
    taker.configure(&[Change::Put(Resource::Tenant(acme.clone()))]).await.unwrap();
    while node.configuration().await.unwrap().tenants.len() < 2 {
        node.reconfigured().await;
    }
    let other = Tenant { id: TenantId::new(Time::EPOCH, 8), ..acme };
    let taken = taker.configure(&[Change::Put(Resource::Tenant(other))]).await;
    assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    assert_eq!(taker.configuration().await.unwrap().tenants.len(), 2);
}

/// What a node has had in hand is its own affair: an older file does not bring it back.
#[tokio::test]
async fn what_was_delivered_since_is_not_brought_back() {
    let mut from = in_schema();
    let source = from.open().await;
    let endpoint = super::postgres::endpoint(1);
    source.accept(super::postgres::admission(1, endpoint, false)).await.unwrap();
    let pasts = Giver::open(&from.options()).await.unwrap().next().await.unwrap();
    let mut to = in_schema();
    let node = to.open().await;
    let taker = Taker::open(&to.options(), Way::Import).await.unwrap();
    taker.take_over(&pasts).await.unwrap();
    assert_eq!(node.stirred().await, [endpoint], "it is told that something waits");
    let lent = node.claim(super::postgres::all_of(endpoint)).await.unwrap().lent.remove(0);
    taker.take_over(&pasts).await.unwrap();
    assert!(node.begin(lent.delivery.id, lent.lease), "it is still this node's");
    node.settle(super::postgres::delivered(&lent)).await.unwrap();
    taker.take_over(&pasts).await.unwrap();
    let row = node.delivery(TenantId::DEFAULT, lent.delivery.id).await.unwrap().unwrap();
    assert!(row.delivery.state.is_settled());
    assert!(node.claim(super::postgres::all_of(endpoint)).await.unwrap().lent.is_empty());
}

/// Nobody goes on with a folder whose store has moved, until he says that he wants to.
#[tokio::test]
async fn a_store_that_has_moved_is_not_opened() {
    let mut from = on_disk();
    let home = from.open().await;
    home.mark_moved("postgres://db.example/doorbell".to_owned()).await.unwrap();
    home.close().await.unwrap();
    drop(home);
    let options = Options::at(Time::EPOCH);
    let refused = Embedded::open(from.path(), options).unwrap_err();
    let OpenError::Moved { to, marker } = &refused else { panic!("{refused}") };
    assert_eq!(to, "postgres://db.example/doorbell");
    assert!(refused.to_string().contains("store.url"), "{refused}");
    std::fs::remove_file(marker).unwrap();
    drop(from.open().await);
}

/// What had ended and is tried again because somebody asked keeps the time at which it had ended.
#[tokio::test]
async fn what_was_asked_for_keeps_the_time_at_which_it_had_ended() {
    let mut from = in_schema();
    let source = from.open().await;
    let admission = super::postgres::admission(1, super::postgres::endpoint(1), false);
    source.accept(admission).await.unwrap();
    let mut pasts = Giver::open(&from.options()).await.unwrap().next().await.unwrap();
    let ended = Some(pasts[0].event.at.after(Duration::from_secs(9)));
    let past = &mut pasts[0].deliveries[0];
    (past.delivery.asked, past.updated) = (true, ended);
    let id = past.delivery.id;
    let mut to = on_disk();
    let home = to.open().await;
    home.take_over(pasts).await.unwrap();
    let row = home.delivery(TenantId::DEFAULT, id).await.unwrap().unwrap();
    assert!(row.delivery.asked && !row.delivery.state.is_settled());
    assert_eq!(row.updated, ended);
}
