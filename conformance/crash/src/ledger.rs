//! What was counted, as the database's file has it, read past the server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use cloudnestle_marketplace::model::{EventResult, EventStatus, UsageEvent};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

/// Everything of the ledger that the count is about.
pub struct Ledger {
    /// How often each event was counted.
    counted: BTreeMap<String, u32>,
    /// How much of each action was used.
    used: BTreeMap<String, i64>,
    /// Numbers whose event was declared lost.
    declared_lost: u64,
    /// Events that were answered in any other way: there should be none.
    refused: u64,
}

/// What comes out of comparing the ledger with the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// Events on the lists.
    pub acknowledged: usize,
    /// Events in the ledger.
    pub counted: usize,
    /// Events on the lists that the ledger has not.
    pub lost: usize,
    /// Events the ledger has more than once.
    pub doubled: usize,
    /// Events of the ledger that are on no list: written down by a process that died before it could
    /// note the acknowledgement, at most one for each of its tasks.
    pub unacknowledged: usize,
    /// Numbers that the SDK told the marketplace are lost.
    pub declared_lost: u64,
}

#[derive(Deserialize)]
struct Page {
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(flatten)]
    result: EventResult,
    event: Option<UsageEvent>,
}

impl Ledger {
    /// Reads the file as of one moment; a server may be at work in it.
    ///
    /// # Errors
    /// The file is damaged, or does not agree with itself: a number of a producer is missing or there
    /// twice, or the counters show something else than the ledger.
    pub fn read(db: &Path) -> Result<Ledger> {
        let mut file = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let file = file.transaction()?;
        let check: String = file.query_row("PRAGMA integrity_check", (), |row| row.get(0))?;
        ensure!(check == "ok", "the database is damaged: {check}");

        let mut ledger = Ledger {
            counted: BTreeMap::new(),
            used: BTreeMap::new(),
            declared_lost: 0,
            refused: 0,
        };
        let mut quantity = 0;
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        let mut pages = file.prepare(
            "SELECT partition, bytes FROM usage_tracking
             WHERE partition GLOB 'producer/*' AND sort GLOB 'ledger/*' ORDER BY partition, sort",
        )?;
        let mut rows = pages.query(())?;
        while let Some(row) = rows.next()? {
            let producer: String = row.get(0)?;
            let page: Page = serde_json::from_slice(row.get_ref(1)?.as_blob()?)?;
            let next = expected.entry(producer.clone()).or_insert(1);
            for line in page.lines {
                ensure!(line.result.number == Some(*next), "{producer} has no number {next}");
                let last = line.result.last().context("a line of the ledger has a number")?;
                let numbers =
                    (last + 1).checked_sub(*next).context("a line ends before it begins")?;
                *next = last + 1;
                quantity += ledger.add(line, numbers)?;
            }
        }
        ledger.agrees_with_fences(&file, &expected)?;
        agree_with_counters(&file, quantity)?;
        Ok(ledger)
    }

    /// Takes a line about so many numbers, and returns what it adds to the counters.
    fn add(&mut self, line: Line, numbers: u64) -> Result<i64> {
        match line.result.status {
            EventStatus::Accepted => {
                let event = line.event.context("what counts is kept")?;
                let quantity = i64::try_from(event.quantity)?;
                *self.counted.entry(event.id).or_insert(0) += 1;
                *self.used.entry(event.action).or_insert(0) += quantity;
                return Ok(quantity);
            }
            EventStatus::Lost => self.declared_lost += numbers,
            _ => self.refused += 1,
        }
        Ok(0)
    }

    /// A fence is at the last number of its producer's ledger.
    fn agrees_with_fences(&self, file: &Connection, next: &BTreeMap<String, u64>) -> Result<()> {
        #[derive(Deserialize)]
        struct Fence {
            number: u64,
        }
        let mut fences =
            file.prepare("SELECT partition, bytes FROM usage_tracking WHERE sort = 'fence'")?;
        let mut rows = fences.query(())?;
        while let Some(row) = rows.next()? {
            let producer: String = row.get(0)?;
            let fence: Fence = serde_json::from_slice(row.get_ref(1)?.as_blob()?)?;
            let next = next.get(&producer).copied().unwrap_or(1);
            ensure!(fence.number + 1 == next, "{producer}: fence {} of {next}", fence.number);
        }
        Ok(())
    }

    /// How much of an action was used.
    #[must_use]
    pub fn used(&self, action: &str) -> i64 {
        self.used.get(action).copied().unwrap_or(0)
    }

    /// Compares with what was acknowledged.
    ///
    /// # Errors
    /// Something was refused: then this is no test of dying.
    pub fn balance(&self, acknowledged: &BTreeSet<String>) -> Result<Balance> {
        ensure!(self.refused == 0, "{} events were refused", self.refused);
        let counted = |id: &&String| self.counted.contains_key(*id);
        Ok(Balance {
            acknowledged: acknowledged.len(),
            counted: self.counted.len(),
            lost: acknowledged.iter().filter(|id| !counted(id)).count(),
            doubled: self.counted.values().filter(|times| **times > 1).count(),
            unacknowledged: self.counted.keys().filter(|id| !acknowledged.contains(*id)).count(),
            declared_lost: self.declared_lost,
        })
    }
}

/// Each event is counted by hour, day and month; what has no room in its commit waits as a note.
fn agree_with_counters(file: &Connection, quantity: i64) -> Result<()> {
    let pending: i64 = file.query_row(
        "SELECT count(*) FROM usage_tracking WHERE partition = 'pending'",
        (),
        |row| row.get(0),
    )?;
    ensure!(pending == 0, "{pending} notes of what is not counted yet");
    for bucket in ["hour", "day", "month"] {
        let shown: i64 = file.query_row(
            "SELECT coalesce(sum(number), 0) FROM usage_tracking
             WHERE partition GLOB 'counters/*' AND sort GLOB '*/' || ?1 || '/*'",
            (bucket,),
            |row| row.get(0),
        )?;
        ensure!(shown == quantity, "the ledger has {quantity}, the counters by {bucket} {shown}");
    }
    Ok(())
}

impl Balance {
    /// # Errors
    /// Something was lost, counted twice, or counted without having been asked for by one of
    /// `in_flight` calls that were cut off.
    pub fn check(&self, in_flight: usize) -> Result<()> {
        ensure!(self.lost == 0, "acknowledged and lost: {self:?}");
        ensure!(self.doubled == 0, "counted twice: {self:?}");
        ensure!(self.unacknowledged <= in_flight, "more than {in_flight} appeared: {self:?}");
        Ok(())
    }
}
