//! A log that is nowhere but in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::Event;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::log::{LogPart, LogResult, PlatformLog};

/// As many notes of refused numbers as are kept.
const MAX_REFUSED: usize = 1_000;

/// A log that lives and dies with the process. Clones are the same log.
#[derive(Clone, Default)]
pub struct MemoryLog {
    kept: Arc<Mutex<LogPart>>,
    changed: Arc<Event>,
}

impl MemoryLog {
    /// An empty log of that producer.
    ///
    /// ```
    /// use cloudnestle_marketplace::host::{MemoryLog, PlatformLog};
    /// use futures_util::FutureExt;
    ///
    /// let log = MemoryLog::new("prd_01KAPM4A7B2C5D8E1F3G6H9J0K");
    /// let first = log.append(vec!["{}".into(), "{}".into()], 0).now_or_never();
    /// assert_eq!(first, Some(Ok(1)));
    /// ```
    pub fn new(producer: impl Into<String>) -> Self {
        let kept = LogPart { producer: producer.into(), ..LogPart::default() };
        MemoryLog { kept: Arc::new(Mutex::new(kept)), changed: Arc::default() }
    }

    fn kept(&self) -> MutexGuard<'_, LogPart> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something, and says so.
    fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut LogPart) -> T,
    ) -> BoxFuture<'static, LogResult<T>> {
        let done = change(&mut self.kept());
        self.changed.notify(usize::MAX);
        ready(Ok(done)).boxed()
    }
}

impl PlatformLog for MemoryLog {
    fn append(&self, records: Vec<String>, skip: u64) -> BoxFuture<'static, LogResult<u64>> {
        self.change(|kept| {
            let first = kept.last + skip + 1;
            kept.last += skip + records.len() as u64;
            kept.records.extend((first..).zip(records));
            first
        })
    }

    fn read(
        &self,
        after: u64,
        records: usize,
        bytes: usize,
    ) -> BoxFuture<'static, LogResult<LogPart>> {
        let kept = self.kept();
        let mut room = bytes;
        let fits = |(_, text): &&(u64, String)| {
            let fits = text.len() <= room || room == bytes;
            room = room.saturating_sub(text.len().max(1));
            fits
        };
        let part = LogPart {
            producer: kept.producer.clone(),
            records: kept.records.iter().take(records).take_while(fits).cloned().collect(),
            refused: kept.refused.iter().filter(|(number, _)| *number > after).cloned().collect(),
            ..*kept
        };
        ready(Ok(part)).boxed()
    }

    fn settle(
        &self,
        through: u64,
        refused: Vec<(u64, String)>,
    ) -> BoxFuture<'static, LogResult<()>> {
        self.change(|kept| {
            kept.answered = kept.answered.max(through);
            kept.records.retain(|(number, _)| *number > through);
            for note in refused {
                let place = kept.refused.partition_point(|(number, _)| *number < note.0);
                match kept.refused.get_mut(place).filter(|(number, _)| *number == note.0) {
                    Some(known) => *known = note,
                    None => kept.refused.insert(place, note),
                }
            }
            let too_many = kept.refused.len().saturating_sub(MAX_REFUSED);
            let gone = kept.refused.drain(..too_many).next_back();
            kept.forgotten = kept.forgotten.max(gone.map_or(0, |(number, _)| number));
        })
    }

    fn reopen(&self, fence: u64) -> BoxFuture<'static, LogResult<()>> {
        self.change(|kept| kept.answered = kept.answered.min(fence))
    }

    fn remove(&self, through: u64) -> BoxFuture<'static, LogResult<()>> {
        self.change(|kept| kept.records.retain(|(number, _)| *number > through))
    }

    fn forget(&self, numbers: Vec<u64>) -> BoxFuture<'static, LogResult<()>> {
        self.change(|kept| {
            kept.refused.retain(|(number, _)| !numbers.contains(number));
            kept.forgotten = numbers.into_iter().fold(kept.forgotten, u64::max);
        })
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        self.changed.listen().boxed()
    }
}
