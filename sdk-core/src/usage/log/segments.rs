//! The record log on files: segments that only grow, and are removed whole.
//!
//! An append is one `write`; an fsync follows within half a second, or at once when somebody waits
//! for it, and serves everybody who appended before it (group commit).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::select;

use super::frame::MAX_NUMBER;
use super::reader::{Damage, MAX_DAMAGE, MAX_JUMP, Reader};
use super::state::{
    MOST_OF_A_SEGMENT, SEGMENT, SEGMENT_BYTES, Segment, State, failed, segment_path,
};
use super::{Gap, Most, Record, Taken, Ticket};
use crate::error::{Error, Result};
use crate::host::{Files, Host};
use crate::model::{Code, LossReason};
use crate::sync::{AtomicBool, Mutex, MutexGuard, Signal};
use crate::usage::limits::SpoolLimits;

/// The most an acknowledged record waits for its fsync. Vector's disk buffer has the same bound.
const SYNC_WITHIN: Duration = Duration::from_millis(500);

pub(crate) struct SegmentLog {
    host: Arc<dyn Host>,
    pub(super) files: Arc<dyn Files>,
    pub(super) dir: PathBuf,
    pub(super) limits: SpoolLimits,
    state: Mutex<State>,
    /// The folder is gone, or another process's.
    cut_off: AtomicBool,
    /// Held by the task that syncs: an fsync that began later must not end earlier.
    syncing: futures_util::lock::Mutex<()>,
    /// Told after each fsync.
    synced: Signal,
    /// Told when somebody waits for an fsync.
    hurry: Signal,
}

/// Beside the folders of the producers: what was found damaged.
const QUARANTINE: &str = "quarantine";

impl SegmentLog {
    /// A new, empty log in a folder of its own.
    pub(crate) fn create(
        host: Arc<dyn Host>,
        files: Arc<dyn Files>,
        dir: &Path,
        limits: SpoolLimits,
    ) -> Result<Arc<Self>> {
        let log = SegmentLog::over(host, files, dir, limits, State::default());
        log.state().begin_segment(&*log.files, dir).map_err(failed)?;
        Ok(Arc::new(log))
    }

    /// The log another process has left, to be drained: nothing can be appended.
    pub(crate) async fn left_behind(
        host: Arc<dyn Host>,
        files: Arc<dyn Files>,
        dir: &Path,
    ) -> Result<Arc<Self>> {
        let names = files.list(dir).map_err(failed)?;
        let mut firsts: Vec<u64> =
            names.iter().filter_map(|name| name.strip_suffix(SEGMENT)?.parse().ok()).collect();
        // Others may put files here, but no record of ours is in them.
        firsts.retain(|first| (1..=MAX_NUMBER).contains(first));
        firsts.sort_unstable();
        firsts.dedup();
        let in_a_row = firsts.windows(2).take_while(|pair| pair[1] - pair[0] <= MAX_JUMP).count();
        firsts.truncate(in_a_row + 1);
        let begun = firsts.last().map_or(0, |first| first - 1);
        let segments = firsts.into_iter().map(|first| Segment { first, bytes: MOST_OF_A_SEGMENT });
        let state = State { segments: segments.collect(), read_only: true, ..State::default() };
        let log = SegmentLog::over(host, files, dir, SpoolLimits::default(), state);
        let survey = log.read(0, None).await?;
        // A record that can't be read counts as well: it has to be declared lost.
        let last = survey.last().max(begun);
        let mut state = log.state();
        (state.next, state.last) = (last + 1, last);
        survey.gone.iter().for_each(|gap| state.gone.add(*gap));
        drop(state);
        drop(survey);
        Ok(Arc::new(log))
    }

    fn over(
        host: Arc<dyn Host>,
        files: Arc<dyn Files>,
        dir: &Path,
        limits: SpoolLimits,
        state: State,
    ) -> Self {
        SegmentLog {
            host,
            files,
            dir: dir.to_owned(),
            limits,
            state: Mutex::new(state),
            cut_off: AtomicBool::new(false),
            syncing: futures_util::lock::Mutex::new(()),
            synced: Signal::new(),
            hurry: Signal::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the log holds, in bytes, as far as this process has written it.
    pub(crate) fn bytes(&self) -> u64 {
        self.state().bytes
    }

    /// The number before the oldest record that is kept.
    pub(crate) fn trimmed(&self) -> u64 {
        self.state().segments.front().map_or(0, |segment| segment.first - 1)
    }

    /// Takes no more records, and says which is the last. An event that is acknowledged while the
    /// log is being given up must not go down with it.
    pub(crate) fn seal(&self) -> u64 {
        let mut state = self.state();
        state.read_only = true;
        state.last
    }

    /// Stands for everything that was appended.
    pub(crate) fn everything(&self) -> Ticket {
        Ticket(self.state().last)
    }

    /// Makes what was appended survive the loss of power, soon.
    async fn sync_soon(self: Arc<Self>) {
        let hurry = self.hurry.listen();
        if !self.state().hurried {
            select(hurry, self.host.sleep(SYNC_WITHIN)).await;
        }
        let _in_order = self.syncing.lock().await;
        let (files, through) = {
            let mut state = self.state();
            (state.hurried, state.sync_is_due) = (false, false);
            (std::mem::take(&mut state.unsynced), state.next - 1)
        };
        let mut outcome = Ok(());
        for file in files {
            outcome = outcome.and(file.sync().await);
        }
        let outcome = outcome.and_then(|()| self.look_for_the_last_segment());
        let mut state = self.state();
        match outcome {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "the usage spool could not be synced");
                let failed = state.synced_through + 1..=through;
                state.failed.push(failed);
                // Whether a failed fsync wrote anything can't be found out by trying again.
                state.open = None;
            }
        }
        state.synced_through = through;
        drop(state);
        self.synced.notify(usize::MAX);
    }

    /// Somebody may have removed the folder: what is written to a file without a name is gone with the
    /// process. Then the log takes no more.
    fn look_for_the_last_segment(&self) -> io::Result<()> {
        // Held while it is looked for: a segment that is delivered in between is gone by right.
        let mut state = self.state();
        if state.read_only {
            return Ok(()); // given up, and perhaps removed by whoever did
        }
        let last = state.segments.back().map(|segment| segment_path(&self.dir, segment.first));
        let Some(name) = last.as_deref().and_then(Path::file_name) else { return Ok(()) };
        if self.files.list(&self.dir)?.iter().any(|there| **there == *name) {
            return Ok(());
        }
        state.read_only = true;
        self.cut_off.store(true, Ordering::Release);
        Err(io::Error::new(io::ErrorKind::NotFound, "the spool's folder was removed"))
    }

    /// Takes no more records: whatever is written to the log from now on is nobody's to send.
    pub(crate) fn cut_off(&self) {
        self.seal();
        self.cut_off.store(true, Ordering::Release);
    }

    /// Whether the log has lost its folder, or its lock.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Acquire)
    }

    /// Why there are no records of the numbers from `first` to `last`.
    pub(crate) fn losses(&self, first: u64, last: u64) -> Vec<Gap> {
        self.state().gone.fill(first, last)
    }

    #[cfg(all(test, feature = "native"))]
    pub(crate) fn loss(&self, number: u64) -> LossReason {
        self.losses(number, number)[0].lost
    }

    /// How many of the numbers after `number` are known to have no record, and why.
    pub(crate) fn lost_after(&self, number: u64, reason: LossReason) -> u64 {
        let state = self.state();
        state.gone.count_after(number, state.last, reason)
    }

    /// How many records there are after `number`, as far as it is known what is gone.
    pub(crate) fn waiting_after(&self, number: u64) -> u64 {
        let state = self.state();
        state.last.saturating_sub(number).saturating_sub(state.gone.all_after(number))
    }

    /// Reads what is behind `after`: the records, or (without `most`) only what there is.
    async fn read(&self, after: u64, most: Option<Most>) -> Result<Reader<'_>> {
        let (place, segments) = {
            let state = self.state();
            (state.place_after(after), state.segments.clone())
        };
        let mut reader = Reader::new(&*self.files, &self.dir, most, place);
        reader.read(segments.into_iter()).await?;
        for damage in std::mem::take(&mut reader.damage) {
            self.quarantine(damage);
        }
        if most.is_some() {
            self.state().cursor = reader.place;
        }
        Ok(reader)
    }

    /// Keeps what can't be read: somebody may be able to make sense of it.
    fn quarantine(&self, Damage { segment, offset, bytes }: Damage) {
        {
            let mut state = self.state();
            let full = state.quarantined.len() >= MAX_DAMAGE;
            if full || !state.quarantined.insert((segment, offset)) {
                return;
            }
        }
        let producer = self.dir.file_name().unwrap_or_default().to_string_lossy();
        let quarantine = self.dir.with_file_name(QUARANTINE);
        let file = quarantine.join(format!("{producer}-{segment:020}-{offset}"));
        tracing::warn!(kept_in = %file.display(), "a part of the usage spool is damaged");
        let kept = self.files.create_dir(&quarantine);
        if let Err(error) = kept.and_then(|()| self.files.replace(&file, &bytes)) {
            tracing::warn!(%error, "the damaged part could not be kept");
        }
    }
}

impl SegmentLog {
    /// As [`RecordLog::append`](super::RecordLog::append).
    pub(crate) fn append(self: &Arc<Self>, record: &[u8]) -> Result<Taken> {
        let mut state = self.state();
        let taken = state.append(self, record)?;
        let first = !std::mem::replace(&mut state.sync_is_due, true);
        if let Some(file) = &state.open
            && !state.unsynced.last().is_some_and(|last| Arc::ptr_eq(last, file))
        {
            let file = file.clone();
            state.unsynced.push(file);
        }
        drop(state);
        if first {
            self.host.spawn(self.clone().sync_soon().boxed());
        }
        Ok(taken)
    }

    /// As [`RecordLog::persisted`](super::RecordLog::persisted).
    pub(crate) async fn persisted(&self, Ticket(number): Ticket) -> Result<u64> {
        loop {
            let synced = self.synced.listen();
            {
                let mut state = self.state();
                if state.failed.iter().any(|failed| failed.contains(&number)) {
                    return Err(Error::new(Code::SpoolFailed));
                }
                if state.synced_through >= number {
                    return Ok(number);
                }
                state.hurried = true;
            }
            self.hurry.notify(usize::MAX);
            synced.await;
        }
    }

    /// The records behind `after`, in order, as many as fit into `most` and at least one if there is one.
    pub(crate) async fn scan(&self, after: u64, most: Most) -> Result<Vec<Record>> {
        Ok(self.read(after, Some(most)).await?.found)
    }

    /// Gives back the room of the records up to the number `through`.
    pub(crate) fn trim(&self, through: u64) -> Result<()> {
        let mut state = self.state();
        state.answered = through;
        state.gone.forget_through(through);
        let all_delivered = state.last == through;
        // A log that is drained all the time must not keep, and resend, a whole segment for it. The next
        // record begins another one: on a disk that is full there is no room for it yet.
        let grown = state.segments.back().is_some_and(|segment| segment.bytes > SEGMENT_BYTES / 4);
        let all_of_it = all_delivered && grown && !state.read_only;
        if all_of_it {
            state.open = None;
        }
        while all_of_it || state.segments.get(1).is_some_and(|second| second.first <= through + 1) {
            let Some(segment) = state.segments.pop_front() else { break };
            state.bytes = state.bytes.saturating_sub(segment.bytes);
            self.files.remove(&segment_path(&self.dir, segment.first)).map_err(failed)?;
        }
        Ok(())
    }

    /// The number of the last record that was taken.
    pub(crate) fn last(&self) -> u64 {
        self.state().last
    }
}
