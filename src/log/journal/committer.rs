//! Group commit: one task per shard that turns whatever the logs have into one write and, where somebody waits for stable
//! storage, one sync. A group starts as soon as none is in flight; what arrives meanwhile is the next group.

use std::rc::Rc;

use kolk_io::buf::{AlignedBuf, AlignedSlice};
use kolk_io::door::{File, Io};
use kolk_io::error::IoError;

use crate::flaw::Flaw;
use crate::journal::files::Slot;
use crate::log::Log;
use crate::log::commit::{Level, Share};
use crate::settings::SyncPolicy;
use crate::shard_log::{LogEvent, Shard};
use kolk_layout::field::{bytes, index};
use kolk_layout::journal::group::{GROUP_RECORDS_MAX, GroupBuilder, GroupPlace};

/// A larger group without a sync is written directly, which copies nothing. Where the bound lies best was not measured.
const CACHED_BYTES_MAX: usize = 64 << 10;

/// Starts the committer of a shard.
pub(crate) fn start<I: Io>(shard: &Rc<Shard<I>>) {
    let shard = Rc::clone(shard);
    shard.io.clone().spawn(async move { run(&shard).await });
}

/// The group that is being made. It is used again and again, so that a group allocates nothing of its own.
struct Group<I: Io> {
    builder: GroupBuilder,
    shares: Vec<Share<I>>,
}

/// What the committer does next.
enum Turn {
    Group,
    Stop,
}

async fn run<I: Io>(shard: &Rc<Shard<I>>) {
    let journal = &shard.journal;
    let mut group = Group { builder: GroupBuilder::default(), shares: Vec::new() };
    loop {
        let turn = journal
            .work
            .until(|| {
                if journal.stopping() || journal.failed() {
                    return Some(Turn::Stop);
                }
                if journal.groups_ended() {
                    return None;
                }
                let work = !journal.queue.borrow().is_empty() || journal.sync_requested.get();
                work.then_some(Turn::Group)
            })
            .await;
        if matches!(turn, Turn::Stop) {
            return;
        }
        journal.committing.set(true);
        let done = commit(shard, &mut group).await;
        journal.committing.set(false);
        journal.committed.notify();
        if let Err(error) = done {
            fail(shard, &error);
            return;
        }
    }
}

/// A failed write or sync of the journal ends all writing of this shard: only a restart with recovery tells what survived.
fn fail<I: Io>(shard: &Rc<Shard<I>>, error: &IoError) {
    tracing::error!(shard = %shard.journal.identity.shard, %error, "journal failed, the shard is read-only until a restart");
    shard.journal.fail();
    shard.metrics.journal.failed.set(1);
    shard.raise(LogEvent::JournalFailed);
    let logs: Vec<Log<I>> = shard.logs.borrow().values().cloned().collect();
    for log in logs {
        log.inner.moved.notify();
    }
    shard.relieve();
    shard.journal.checkpoint.notify();
}

async fn commit<I: Io>(shard: &Rc<Shard<I>>, group: &mut Group<I>) -> Result<(), IoError> {
    let journal = &shard.journal;
    let Group { builder: group, shares } = group;
    group.clear();
    shares.clear();
    let mut sync = journal.sync_requested.replace(false);
    // Directory entries count: of tiny batches they are most of a group, and a group must fit a journal file.
    let bytes_max = bytes(shard.settings.group_bytes_max);
    while group.total_bytes() < bytes_max && group.record_count() < GROUP_RECORDS_MAX - 4 {
        let Some(log) = journal.queue.borrow_mut().pop_front() else { break };
        let (share, wish) = log.contribute(group);
        sync |= wish == SyncPolicy::EachGroup;
        shares.extend(share);
    }
    if group.is_empty() {
        return if sync { sync_current(shard).await } else { Ok(()) };
    }
    let total = group.total_bytes();
    let slot = loop {
        if let Some(slot) = journal.files.reserve(total) {
            break slot;
        }
        if !Flaw::SwitchWithoutSync.is_in(&shard.io) {
            sync_current(shard).await?;
        }
        if !journal.files.next(shard, journal.sequence.get()).await {
            return Ok(());
        }
    };
    if journal.files.wants_next() {
        journal.files.prepare(shard);
    }
    let (pages, checksum) = fill(shard, group, shares, total);
    write(shard, slot, pages, sync).await?;
    journal.sequence.set(journal.sequence.get() + 1);
    journal.checksum.set(checksum);
    count(shard, group, total);
    settle(shard, shares, sync);
    if journal.wants_checkpoint(&shard.settings) {
        journal.want_checkpoint();
    }
    Ok(())
}

/// The group's bytes: head, then the payloads straight from the tails.
fn fill<I: Io>(
    shard: &Rc<Shard<I>>,
    group: &mut GroupBuilder,
    shares: &[Share<I>],
    total: u64,
) -> (AlignedSlice, u32) {
    let journal = &shard.journal;
    let place = GroupPlace {
        sequence: journal.sequence.get() + 1,
        durable_sequence: journal.durable_sequence.get(),
        low_water: journal.low_water.get(),
        previous_checksum: journal.checksum.get(),
    };
    let (head, checksum) = group.head(journal.identity, place);
    let filled = head.len();
    let mut buf = AlignedBuf::with_capacity(index(total));
    buf.append(head);
    for share in shares {
        if let Some((from, to)) = share.redo {
            let state = share.log.inner.state.borrow();
            state.active().tail.visit(from, to, |piece| buf.append(piece));
        }
    }
    let filled = filled + group.payload_bytes();
    assert_eq!(buf.len(), filled, "every payload announced was copied");
    shard.metrics.copies.journal.add_len(group.payload_bytes());
    (buf.into_slice(), checksum)
}

async fn write<I: Io>(
    shard: &Rc<Shard<I>>,
    slot: Slot<I::File>,
    pages: AlignedSlice,
    sync: bool,
) -> Result<(), IoError> {
    let metrics = &shard.metrics.journal;
    if !sync || Flaw::AckBeforeJournalSync.is_in(&shard.io) {
        let start = shard.io.now();
        write_alone(shard, slot, pages).await?;
        metrics.write_ns.record_ns(ns(shard.io.now() - start));
        return Ok(());
    }
    let timing = slot.file.write_and_sync_at(slot.position, &[pages]).await?;
    metrics.fdatasyncs.inc();
    metrics.commit_ns.record_ns(timing.total_ns);
    // The two halves are told apart in a sample only: they were submitted as one.
    if let Some(fdatasync_ns) = timing.fdatasync_ns {
        metrics.fdatasync_ns.record_ns(fdatasync_ns);
        metrics.write_ns.record_ns(timing.total_ns.saturating_sub(fdatasync_ns));
    }
    Ok(())
}

/// A group that only the process must not lose goes into the kernel's memory, where a page costs a copy and no disk: decision 0006.
async fn write_alone<I: Io>(
    shard: &Rc<Shard<I>>,
    slot: Slot<I::File>,
    pages: AlignedSlice,
) -> Result<(), IoError> {
    if pages.len() > CACHED_BYTES_MAX {
        return slot.file.write_at(slot.position, &[pages]).await;
    }
    let end = slot.position + bytes(pages.len());
    slot.cached.write_at(slot.position, &[pages]).await?;
    shard.journal.files.cached(&slot, end);
    Ok(())
}

fn ns(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn count<I: Io>(shard: &Rc<Shard<I>>, group: &GroupBuilder, total: u64) {
    let metrics = &shard.metrics.journal;
    metrics.groups.inc();
    metrics.group_bytes.record(total);
    metrics.group_records.record(u64::from(group.record_count()));
    metrics.live_bytes.set(shard.journal.files.live_bytes());
}

/// Tells the logs how safe their bytes are now.
fn settle<I: Io>(shard: &Rc<Shard<I>>, shares: &mut Vec<Share<I>>, sync: bool) {
    let journal = &shard.journal;
    if sync {
        synced(shard);
    }
    for share in shares.drain(..) {
        let level = if sync { Level::Durable } else { Level::Written };
        share.log.grouped(share.segment, share.covered);
        if let Some(start) = share.log_start.filter(|_| sync) {
            share.log.log_start_saved(start);
        }
        share.log.committed(share.mark, level, share.control);
        if !sync {
            journal.unsynced.borrow_mut().push((share.log, share.mark));
        }
    }
}

/// Everything written so far is on stable storage.
fn synced<I: Io>(shard: &Rc<Shard<I>>) {
    let journal = &shard.journal;
    journal.durable_sequence.set(journal.sequence.get());
    let mut waiting = std::mem::take(&mut *journal.unsynced.borrow_mut());
    for (log, mark) in waiting.drain(..) {
        log.committed(mark, Level::Durable, false);
    }
    // Only the committer adds to it, and that is who calls this: nothing came meanwhile.
    journal.unsynced.replace(waiting);
}

/// Syncs the current file without writing to it.
async fn sync_current<I: Io>(shard: &Rc<Shard<I>>) -> Result<(), IoError> {
    let journal = &shard.journal;
    if journal.durable_sequence.get() == journal.sequence.get() {
        return Ok(());
    }
    if let Some(file) = journal.files.current() {
        let start = shard.io.now();
        file.sync().await?;
        shard.metrics.journal.fdatasyncs.inc();
        shard.metrics.journal.fdatasync_ns.record_ns(ns(shard.io.now() - start));
    }
    synced(shard);
    Ok(())
}
