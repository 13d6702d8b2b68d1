//! The commit thread: takes whatever has arrived, decides what repeats what, writes it in one go, syncs once, lends, and
//! then answers all. There is no timer: waiting for more gains nothing.

use super::answers::Answer;
use super::dedupe::keys::{SegmentKeys, counted};
use super::dedupe::{KeyHash, Table};
use super::item::{Accept, Item, Work};
use super::journal::frame::Frame;
use super::journal::segment::Segment;
use super::journal::write::{WriteError, Writer};
use super::shared::Shared;
use crate::store::{Admitted, Lent, Locator, Settled, StoreError};
use crate::ticks;
use doorbell_core::delivery::Delivery;
use doorbell_core::event::{Event, Fate};
use doorbell_core::time::Time;
use doorbell_wire::stored::{Kind, ReceivedRef, Record, RecordHead, VERSION};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes after which it is looked again how much room the disk has.
const SPACE_LOOK: usize = 256 << 10;

impl Item {
    /// Answers that it was not done.
    pub(crate) fn refuse(self, shared: &Shared, why: &StoreError) {
        let why = why.clone();
        match self.work {
            Work::Accept(accept) => {
                shared.unwatched_done(accept.done.is_none());
                if let Some(done) = accept.done {
                    Answer::Admitted(done, Err(why)).give();
                }
            }
            Work::Settle { delivery, stirs: _, done } => {
                shared.leases.lock().unsettled(delivery);
                Answer::Settled(done, Err(why)).give();
            }
            Work::Redeliver { done, .. } | Work::Flush(done) => Answer::Done(done, Err(why)).give(),
            Work::Forget(_) => {}
        }
    }

    /// Whether whoever brought it has gone with the answer that it was taken.
    fn is_unwatched(&self) -> bool {
        matches!(&self.work, Work::Accept(accept) if accept.done.is_none())
    }
}

/// An item that has its place in the journal.
#[derive(Debug)]
struct Placed {
    item: Item,
    position: u64,
    /// Whether it turned out to repeat an event; what is no event repeats none.
    admitted: Admitted,
}

/// What has to be taken back when a batch is not written.
#[derive(Debug)]
struct Taken {
    hash: KeyHash,
    position: u64,
    before: Option<u64>,
}

/// What the commit thread owns.
#[derive(Debug)]
pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) writer: Writer,
    pub(crate) table: Table,
    /// The keys of the segment that is written to.
    pub(crate) keys: SegmentKeys,
    pub(crate) seed: u32,
    /// Bytes that came since it was last looked how much room there is.
    pub(crate) unlooked: usize,
}

impl Committer {
    /// Works until the queue is closed and empty, or the journal is broken.
    pub(crate) fn run(mut self) {
        let mut items = Vec::new();
        while self.shared.queue.take(&mut items) {
            if let Err(why) = self.commit(&mut items) {
                self.shared.break_down(why);
                break;
            }
        }
        let why = self.shared.why_closed();
        while self.shared.queue.take(&mut items) {
            self.refuse(&mut items, &why);
        }
    }

    /// Makes a batch durable and answers it.
    ///
    /// # Errors
    /// Why nothing can be promised any more.
    fn commit(&mut self, items: &mut Vec<Item>) -> Result<(), String> {
        if self.is_low_on_space(items) {
            self.refuse_new(items);
            if self.shared.space.is_last() {
                self.refuse_written(items);
            }
        }
        match self.try_commit(items) {
            Ok(()) => Ok(()),
            Err(WriteError::Full) => {
                // Settlements are small, and deliveries go on with what room there is.
                self.shared.space.ran_out();
                self.refuse_new(items);
                match self.try_commit(items) {
                    Ok(()) => Ok(()),
                    Err(fault) => self.failed(items, fault),
                }
            }
            Err(fault) => self.failed(items, fault),
        }
    }

    /// Looks again now and then; in between, what there was is taken to be there still.
    fn is_low_on_space(&mut self, items: &[Item]) -> bool {
        let came = items.iter().map(Item::bytes).sum();
        self.unlooked = self.unlooked.saturating_add(came);
        if self.unlooked < SPACE_LOOK && !self.shared.space.was_low() {
            return false;
        }
        self.unlooked = 0;
        self.shared.space.check()
    }

    fn failed(&self, items: &mut Vec<Item>, fault: WriteError) -> Result<(), String> {
        match fault {
            WriteError::Full => {
                self.refuse(items, &StoreError::Full);
                Ok(())
            }
            WriteError::Undone(fault) => {
                let why = StoreError::Failed(format!("the journal cannot be written: {fault}"));
                self.refuse(items, &why);
                Ok(())
            }
            WriteError::Broken(why) => {
                self.refuse(items, &StoreError::Broken(why.clone()));
                Err(why)
            }
        }
    }

    fn refuse(&self, items: &mut Vec<Item>, why: &StoreError) {
        items.drain(..).for_each(|item| self.refuse_one(item, why));
    }

    fn refuse_new(&self, items: &mut Vec<Item>) {
        for item in items.extract_if(.., |item| item.is_new()) {
            self.refuse_one(item, &StoreError::Full);
        }
    }

    fn refuse_written(&self, items: &mut Vec<Item>) {
        for item in items.extract_if(.., |item| item.frame.is_some()) {
            self.refuse_one(item, &StoreError::Full);
        }
    }

    fn refuse_one(&self, item: Item, why: &StoreError) {
        if item.is_unwatched() {
            self.shared.not_kept(why);
        }
        item.refuse(&self.shared, why);
    }

    /// Places, writes and finishes all items; on an error they are back in `items` and nothing has changed.
    fn try_commit(&mut self, items: &mut Vec<Item>) -> Result<(), WriteError> {
        let base = self.writer.base();
        let start = self.writer.begin()?;
        if self.writer.base() != base {
            self.seal(base, self.writer.base());
        }
        let mut taken = Vec::new();
        let placed = self.place(std::mem::take(items), start, &mut taken);
        let frames: Vec<&[u8]> =
            placed.iter().filter_map(|p| p.item.frame.as_ref()).map(Frame::bytes).collect();
        let count = frames.len() as u64;
        let written = if frames.is_empty() { Ok(()) } else { self.append(&frames) };
        if let Err(fault) = written {
            self.take_back(taken);
            items.extend(placed.into_iter().map(|p| p.item));
            return Err(fault);
        }
        self.finish(placed);
        self.shared.meters.written.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    fn append(&mut self, frames: &[&[u8]]) -> Result<(), WriteError> {
        let began = ticks::now();
        let written = self.writer.append(frames);
        self.shared.meters.syncs.observe(began.elapsed());
        written
    }

    /// Gives every frame its position, and decides which events are repeats: in the order of the journal.
    fn place(&mut self, items: Vec<Item>, start: u64, taken: &mut Vec<Taken>) -> Vec<Placed> {
        let mut placed: Vec<Placed> = Vec::with_capacity(items.len());
        let mut at = start;
        for mut item in items {
            let mut admitted = Admitted::New;
            if let Work::Accept(accept) = &item.work {
                admitted = self.judge(accept, &placed, at, taken);
                if let Some(fate) = admitted.fate() {
                    item.frame = accept.frame_as(&fate);
                }
            }
            let position = at;
            if let Some(frame) = &mut item.frame {
                frame.place(self.seed, position, start);
                at += frame.span();
            }
            placed.push(Placed { item, position, admitted });
        }
        placed
    }

    /// Whether it repeats an event; if not, its key is taken.
    fn judge(
        &mut self,
        accept: &Accept,
        batch: &[Placed],
        position: u64,
        taken: &mut Vec<Taken>,
    ) -> Admitted {
        let Some(hash) = accept.key else { return Admitted::New };
        if let Some(first) = self.table.find(hash, position)
            && let Some(repeat) = self.confirm(accept, batch, first)
        {
            return repeat;
        }
        let before = self.table.put(hash, position);
        taken.push(Taken { hash, position, before });
        Admitted::New
    }

    /// What it is to the event at `first`, when that has the same key and the key still counts: read from this batch or
    /// from the journal.
    fn confirm(&self, accept: &Accept, batch: &[Placed], first: u64) -> Option<Admitted> {
        if let Some(other) = accepted_at(batch, first) {
            let until = other.event.at.after(other.dedupe_window);
            let has_key = accept.has_key_of(&other.event, until);
            return has_key.then(|| accept.as_repeat_of(&other.event));
        }
        let stored = self.shared.reader.record(first).ok()?;
        let head = RecordHead::decode(stored.kind, stored.version, &stored.payload).ok()?;
        let RecordHead::Received(head) = head else { return None };
        let (hash, until) = counted(&self.shared.secret, &head)?;
        let same_scope = head.origin == accept.event.origin
            && (head.origin.source().is_some() || head.tenant == accept.event.tenant);
        let repeats = Some(hash) == accept.key
            && same_scope
            && head.dedupe_key == accept.event.dedupe_key
            && accept.event.at < until;
        if !repeats {
            return None;
        }
        if head.origin.source().is_some() {
            return Some(Admitted::Repeat(head.id));
        }
        let whole = Record::decode(stored.kind, stored.version, &stored.payload).ok()?;
        let Record::Received(whole) = whole else { return None };
        Some(accept.as_repeat_of(&whole.event))
    }

    fn take_back(&mut self, taken: Vec<Taken>) {
        for Taken { hash, position, before } in taken.into_iter().rev() {
            match before {
                Some(before) => drop(self.table.put(hash, before)),
                None => self.table.remove(hash, position),
            }
        }
    }

    /// The batch is durable: lends, lets it be read, and answers, in this order.
    fn finish(&mut self, placed: Vec<Placed>) {
        let lent = self.lend(&placed);
        self.writer.publish();
        self.shared.progress.grew();
        self.shared.outbox.put(lent);
        let mut answers = Vec::with_capacity(placed.len());
        for Placed { item, position, admitted } in placed {
            answers.extend(self.finish_one(item.work, position, admitted));
        }
        self.shared.answers.put(answers);
    }

    fn finish_one(&mut self, work: Work, position: u64, admitted: Admitted) -> Option<Answer> {
        match work {
            Work::Accept(accept) => {
                if let (Some(hash), Admitted::New) = (accept.key, admitted) {
                    let expires = accept.event.at.after(accept.dedupe_window);
                    self.keys.push(hash, position - self.writer.base(), expires);
                }
                self.shared.unwatched_done(accept.done.is_none());
                if admitted == Admitted::New {
                    self.shared.stirred.put(accept.stirs);
                }
                accept.done.map(|done| Answer::Admitted(done, Ok(admitted)))
            }
            Work::Settle { delivery: _, stirs, done } => {
                self.shared.stirred.put(stirs);
                Some(Answer::Settled(done, Ok(Settled::Kept)))
            }
            Work::Redeliver { stirs, done, .. } => {
                self.shared.stirred.put(stirs);
                Some(Answer::Done(done, Ok(())))
            }
            Work::Flush(done) => Some(Answer::Done(done, Ok(()))),
            Work::Forget(keys) => {
                keys.into_iter().for_each(|(hash, at)| self.table.remove(hash, at));
                None
            }
        }
    }

    /// Lends what is to be lent and ends the leases of what was settled, under one lock.
    fn lend(&self, placed: &[Placed]) -> Vec<Lent> {
        let mut lent = Vec::new();
        let mut held = self.shared.leases.lock();
        let mut lend = |delivery: &Delivery, at: (u64, u64), payload: Option<&Arc<Event>>| {
            if let Some(lease) = held.lend(delivery, None) {
                let (delivery, locator, body_len) = (delivery.clone(), Locator(at.0), at.1);
                lent.push(Lent { delivery, locator, lease, body_len, payload: payload.cloned() });
            }
        };
        for Placed { item, position, admitted } in placed {
            match &item.work {
                Work::Accept(accept) if *admitted == Admitted::New => {
                    let at = (*position, accept.event.request.body.len() as u64);
                    for delivery in &accept.lend {
                        lend(delivery, at, Some(&accept.event));
                    }
                }
                Work::Redeliver { event_at, body_len, lend: deliveries, .. } => {
                    let at = (*event_at, *body_len);
                    deliveries.iter().for_each(|delivery| lend(delivery, at, None));
                }
                Work::Accept(_) | Work::Settle { .. } | Work::Flush(_) | Work::Forget(_) => {}
            }
        }
        for Placed { item, position, admitted: _ } in placed {
            if let Work::Settle { delivery, .. } = &item.work {
                held.settled(*delivery, *position);
            }
        }
        lent
    }

    /// A segment is full: its keys go to the file beside it, which somebody with more time writes.
    fn seal(&mut self, base: u64, next: u64) {
        let keys = std::mem::take(&mut self.keys);
        self.shared.sealed.put(Segment { base, end: next }, keys);
    }
}

/// The event of this batch that stands at `position`. What writes nothing has the position of what comes after it.
fn accepted_at(batch: &[Placed], position: u64) -> Option<&Accept> {
    let from = batch.partition_point(|placed| placed.position < position);
    let there = batch.iter().skip(from).take_while(|placed| placed.position == position);
    there.into_iter().find_map(|placed| match &placed.item.work {
        Work::Accept(accept) => Some(accept.as_ref()),
        Work::Settle { .. } | Work::Redeliver { .. } | Work::Flush(_) | Work::Forget(_) => None,
    })
}

impl Accept {
    /// What it is to the event whose key it has.
    fn as_repeat_of(&self, first: &Event) -> Admitted {
        if first.is_repeated_by(&self.event) {
            Admitted::Repeat(first.id)
        } else {
            Admitted::KeyReused(first.id)
        }
    }

    /// Its record as that of a request with this fate, which makes no deliveries.
    fn frame_as(&self, fate: &Fate) -> Option<Frame> {
        let record = ReceivedRef {
            event: &self.event,
            fate,
            dedupe_window: self.dedupe_window,
            deliveries: &[],
        };
        // It was small enough with its deliveries.
        Frame::build(Kind::Received, VERSION, |out| record.encode(out)).ok()
    }

    fn has_key_of(&self, first: &Event, until: Time) -> bool {
        let same_scope = first.origin == self.event.origin
            && (first.origin.source().is_some() || first.tenant == self.event.tenant);
        same_scope && first.dedupe_key == self.event.dedupe_key && self.event.at < until
    }
}
