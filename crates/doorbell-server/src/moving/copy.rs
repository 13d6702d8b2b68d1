//! The copying: configuration and events go to the database, and what changes meanwhile goes after them.

use super::{Moving, Phase};
use doorbell_core::configuration::{self, Change, Configuration, ResourceId};
use doorbell_core::id::TenantId;
use doorbell_core::past::Past;
use doorbell_store::embedded::{Embedded, Mark};
use doorbell_store::postgres::{Options, Taker, Way};
use doorbell_store::{Store as _, StoreError};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

/// Bytes of the journal of which the copying takes a moment.
const LITTLE: u64 = 128 << 10;
/// How often a batch is tried that the database could not take just now, and how long lies in between.
const TRIES: usize = 60;
const AGAIN: Duration = Duration::from_millis(500);

/// A copy under way.
#[derive(Debug)]
pub struct Copy {
    from: Embedded,
    taker: Taker,
    mark: Mark,
    moving: Moving,
}

/// What a step of the copying came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// There is more than a moment's work left.
    More,
    /// There is little left, or nothing.
    Little,
}

impl Copy {
    /// Looks at the database and copies the configuration.
    ///
    /// # Errors
    /// With a sentence when the database is not fit, or with those of reading and writing.
    pub async fn begin(
        from: Embedded,
        options: &Options,
        moving: Moving,
    ) -> Result<Self, StoreError> {
        let taker = Taker::open(options, Way::Move).await?;
        // Before anything is read, so that what changes in between is read again.
        let mark = from.begin_copy();
        let copy = Self { from, taker, mark, moving };
        copy.configuration().await?;
        copy.moving.note(|standing| standing.phase = Phase::Copying);
        Ok(copy)
    }

    /// Copies the next events.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub async fn step(&mut self) -> Result<Copied, StoreError> {
        let touched = self.from.touched(self.mark).await?;
        self.take_over(&touched.pasts).await?;
        self.mark = touched.next;
        let all = self.from.journal_bytes();
        let left = self.mark.left(all);
        self.moving.note(|standing| {
            standing.events += touched.pasts.len() as u64;
            standing.damaged += touched.damaged;
            standing.bytes = (all - left, all);
        });
        Ok(if left > LITTLE { Copied::More } else { Copied::Little })
    }

    /// Copies until little is left. The copying goes on however long that takes: whoever waits can stop it.
    ///
    /// # Errors
    /// As [`Copy::step`].
    pub async fn catch_up(&mut self) -> Result<(), StoreError> {
        while self.step().await? == Copied::More {}
        Ok(())
    }

    /// Copies the rest, of a store in which nothing changes any more, and the configuration as it is now.
    ///
    /// # Errors
    /// As [`Copy::step`].
    pub async fn finish(mut self) -> Result<(), StoreError> {
        self.configuration().await?;
        loop {
            self.step().await?;
            if self.mark.left(self.from.journal_bytes()) == 0 {
                return Ok(());
            }
        }
    }

    async fn take_over(&self, pasts: &[Past]) -> Result<(), StoreError> {
        for _ in 1..TRIES {
            match self.taker.take_over(pasts).await {
                Err(StoreError::Busy) => sleep(AGAIN).await,
                other => return other,
            }
        }
        self.taker.take_over(pasts).await
    }

    /// Makes the database's configuration the one that is here.
    async fn configuration(&self) -> Result<(), StoreError> {
        let here = self.from.configuration().await?;
        let changes = difference(&self.taker.configuration().await?, here);
        if changes.is_empty() { Ok(()) } else { self.taker.configure(&changes).await }
    }
}

/// What makes one configuration of another.
fn difference(there: &Configuration, here: Configuration) -> Vec<Change> {
    let of = |configuration: Configuration| {
        let puts = configuration.resources().map(Change::Put);
        configuration::last_words(puts)
    };
    let (there, here) = (of(there.clone()), of(here));
    let stays: BTreeSet<&ResourceId> = here.keys().collect();
    let gone = there.keys().filter(|id| !stays.contains(id) && !is_default(id));
    let gone = gone.map(|id| Change::Delete(*id));
    let new = here.iter().filter(|(id, word)| there.get(id) != Some(word));
    let new = new.filter_map(|(_, word)| word.clone().map(Change::Put));
    gone.collect::<Vec<_>>().into_iter().chain(new).collect()
}

/// The default tenant is always there.
fn is_default(id: &ResourceId) -> bool {
    *id == ResourceId::Tenant(TenantId::DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_core::configuration::{Resource, Tenant};
    use doorbell_core::time::Time;

    fn tenant(n: u128, name: &str) -> Tenant {
        let id = TenantId::new(Time::EPOCH, n);
        Tenant { id, uid: format!("t{n}"), name: name.to_owned(), created: Time::EPOCH }
    }

    #[test]
    fn the_configuration_becomes_the_same() {
        let default = Tenant { id: TenantId::DEFAULT, ..tenant(0, "Default") };
        let there = Configuration {
            tenants: vec![default, tenant(1, "same"), tenant(2, "old"), tenant(3, "gone")],
            ..Configuration::default()
        };
        let here = Configuration {
            tenants: vec![tenant(1, "same"), tenant(2, "new"), tenant(4, "more")],
            ..Configuration::default()
        };
        let put = |n, name| Change::Put(Resource::Tenant(tenant(n, name)));
        let gone = Change::Delete(ResourceId::Tenant(TenantId::new(Time::EPOCH, 3)));
        assert_eq!(difference(&there, here.clone()), [gone, put(2, "new"), put(4, "more")]);
        assert_eq!(difference(&here.clone(), here), []);
    }
}
