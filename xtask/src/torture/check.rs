//! What must hold after each cut: nothing promised is lost, nothing is there that nobody sent, every byte is right.

use super::load::Ledger;
use super::receiver::{Hits, Receiver};
use crate::http::Client;
use crate::payload::{self, Dice};
use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What is believed of the store from cycle to cycle.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Ids that were listed and read before.
    ids: BTreeSet<String>,
}

/// Connections over which bodies are read.
const READERS: usize = 8;
/// The rows of one page.
const PAGE: usize = 200;

impl Known {
    /// Lists what is new since the last check and reads every byte of it; then reads some old events again.
    pub(super) fn check(
        &mut self,
        api: &mut Client,
        ledger: &Ledger,
        dice: &mut Dice,
    ) -> Result<u64> {
        let news = self.news(api)?;
        let read = news.len() as u64;
        for (id, key, hash) in read_events(api, news)? {
            let mut ledger = ledger.lock();
            let sent = ledger
                .get_mut(&key)
                .with_context(|| format!("phantom: {id} carries {key}, which nobody sent"))?;
            if sent.hash != hash {
                bail!("corrupt: {id} ({key}) has other bytes than were sent");
            }
            if let Some(other) = sent.found.replace(id.clone()) {
                bail!("phantom: {key} was sent once and is there twice, as {other} and {id}");
            }
            self.ids.insert(id);
        }
        all_promised_are_found(ledger)?;
        // Over a new connection: the node has closed one that said nothing for so long.
        self.read_again(&mut api.another(), ledger, dice, 5)?;
        Ok(read)
    }

    /// Ids that were not seen before: lists, newest first, until a page brings nothing new.
    fn news(&self, api: &mut Client) -> Result<BTreeSet<String>> {
        let (mut news, mut cursor) = (BTreeSet::new(), None::<String>);
        loop {
            let from = cursor.map(|c| format!("&cursor={c}")).unwrap_or_default();
            let page = api.api(&format!("GET /v1/events?limit={PAGE}{from}"), None)?;
            let rows = page.get("data").and_then(Value::as_array).context("a page without data")?;
            let before = news.len();
            for row in rows {
                let id = row.get("id").and_then(Value::as_str).context("a row without an id")?;
                if !self.ids.contains(id) && !news.insert(id.to_owned()) {
                    bail!("phantom: {id} is listed twice");
                }
            }
            cursor = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() || news.len() == before {
                return Ok(news);
            }
        }
    }

    /// Reads some events again that were read in earlier cycles.
    fn read_again(
        &self,
        api: &mut Client,
        ledger: &Ledger,
        dice: &mut Dice,
        count: usize,
    ) -> Result<()> {
        for _ in 0..count.min(self.ids.len()) {
            let at = usize::try_from(dice.below(self.ids.len() as u64))?;
            let Some(id) = self.ids.iter().nth(at) else { continue };
            let (key, hash) = read_event(api, id)?;
            if ledger.lock().get(&key).is_none_or(|sent| sent.hash != hash) {
                bail!("corrupt: {id} ({key}) has changed since it was last read");
            }
        }
        Ok(())
    }
}

/// Ids with keys and SHA-256s of stored events' bodies, read over several connections.
fn read_events(
    api: &Client,
    ids: BTreeSet<String>,
) -> Result<Vec<(String, String, payload::Hash)>> {
    let ids: Vec<String> = ids.into_iter().collect();
    let read = |part: &[String]| -> Result<Vec<_>> {
        let mut api = api.another();
        let one = |id: &String| read_event(&mut api, id).map(|(key, hash)| (id.clone(), key, hash));
        part.iter().map(one).collect()
    };
    let part = ids.len().div_ceil(READERS).max(1);
    std::thread::scope(|scope| {
        let readers: Vec<_> =
            ids.chunks(part).map(|part| scope.spawn(move || read(part))).collect();
        let mut all = Vec::new();
        for reader in readers {
            let read = reader.join().map_err(|_| anyhow!("a reader panicked"))?;
            all.extend(read?);
        }
        Ok(all)
    })
}

/// The key and SHA-256 of a stored event's body.
pub(super) fn read_event(api: &mut Client, id: &str) -> Result<(String, payload::Hash)> {
    let answer = api.send(&format!("GET /v1/events/{id}/body"), "", b"")?;
    if answer.status() != 200 {
        bail!("unreadable: {id} is listed, but its body answers {}", answer.start);
    }
    let key = payload::key(&answer.body).unwrap_or("(no key)").to_owned();
    Ok((key, payload::hash(&answer.body)))
}

/// Every acknowledged event was found.
fn all_promised_are_found(ledger: &Ledger) -> Result<()> {
    let ledger = ledger.lock();
    let lost: Vec<&str> = ledger
        .iter()
        .filter(|(_, s)| s.acked && s.found.is_none())
        .map(|(key, _)| key.as_str())
        .collect();
    if !lost.is_empty() {
        let first = lost.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        bail!("lost: {} acknowledged events are gone, among them {first}", lost.len());
    }
    Ok(())
}

/// A delivery is made only of what is durable: what was received counts as promised.
pub(super) fn received_is_promised(ledger: &Ledger, hits: &Hits) -> Result<()> {
    let mut ledger = ledger.lock();
    for ((key, path), all) in hits {
        let sent = ledger
            .get_mut(key)
            .with_context(|| format!("phantom: {path} received {key}, which nobody sent"))?;
        if all.iter().any(|hit| hit.hash != sent.hash) {
            bail!("corrupt: {path} received {key} with other bytes than were sent");
        }
        sent.acked = true;
    }
    Ok(())
}

/// How many deliveries of what was acknowledged have not arrived at these paths, at least; 0: all have. While it is plain that
/// some are missing none is looked up: that would take seconds, for which the receiver itself waits.
pub(super) fn missing(ledger: &Ledger, receiver: &Receiver, paths: [&str; 2]) -> usize {
    let due = ledger.acked() * paths.len();
    let arrived = receiver.hits().len();
    if arrived < due {
        return due - arrived;
    }
    let (ledger, hits) = (ledger.lock(), receiver.hits());
    let acked = ledger.iter().filter(|(_, sent)| sent.acked).map(|(key, _)| key);
    let all = acked.flat_map(|key| paths.map(|path| (key.clone(), path.to_owned())));
    all.filter(|one| !hits.contains_key(one)).count()
}

/// Deliveries that were made more than once.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Duplicates {
    /// How many in all.
    pub(super) count: u64,
    /// The most that one cut caused.
    pub(super) most_at_one_cut: u64,
    /// The longest time between an answer that was forgotten and the cut that made the node forget it.
    pub(super) oldest: Duration,
}

/// How long after the receiver's answer a delivery may still count as in flight: the settlement must be durable by then.
const IN_FLIGHT_MAX: Duration = Duration::from_secs(3);

/// Counts what came twice. `cuts` says when each life ended.
pub(super) fn duplicates(hits: &Hits, cuts: &[(u64, Instant)]) -> Result<Duplicates> {
    let mut found = Duplicates::default();
    let mut at_cut = std::collections::BTreeMap::<u64, u64>::new();
    for ((key, path), all) in hits {
        for pair in all.windows(2) {
            let [first, second] = pair else { continue };
            if first.id != second.id {
                bail!("{path} received {key} under two ids, {} and {}", first.id, second.id);
            }
            if first.life == second.life {
                let apart = second.at.saturating_duration_since(first.at);
                bail!(
                    "{path} received {key} twice in life {} of the node, {apart:?} apart",
                    first.life
                );
            }
            let cut =
                cuts.iter().find(|(life, _)| *life == first.life).map_or(first.at, |(_, at)| *at);
            let age = cut.saturating_duration_since(first.at);
            if age > IN_FLIGHT_MAX {
                bail!(
                    "{path} received {key} again, although it was answered {age:?} before the cut"
                );
            }
            found.count += 1;
            found.oldest = found.oldest.max(age);
            *at_cut.entry(first.life).or_default() += 1;
        }
    }
    found.most_at_one_cut = at_cut.values().copied().max().unwrap_or(0);
    Ok(found)
}
