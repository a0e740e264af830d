//! What a tracker hands its uploader, between threads: whichever of them goes on, and wherever another is
//! stopped, in the middle of a call too. The seeded stories of `handover` change tasks at awaits alone.
//!
//! Run by `cargo xtask test`, under the feature `shuttle`. Shuttle has all threads see each write at once:
//! an order of memory that is too weak is not found here.

mod machine;

use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread::{JoinHandle, spawn};
use shuttle::{Config, Runner};

use super::{each_seed, note};
use crate::host::Host;
use crate::model::Code;
use crate::usage::limits::{Durability, Overflow, SpoolLimits};
use crate::usage::{Receipt, UsageTracker, alone};
use machine::{Machine, Process};

/// How often a story is told with the choices of one seed.
const ROUNDS: usize = 8;

/// How many threads are stopped in the middle of something, in the stories in which most are not.
const STOPS: usize = 4;

/// Longer than any story takes.
const FOR_EVER: Duration = Duration::MAX;

/// Each thread's, in bytes. What is generous costs nothing until it is used.
const STACK: usize = 512 * 1024;

#[derive(Debug, Default, Serialize)]
struct Totals {
    seeds: u64,
    stories: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.seeds += other.seeds;
        self.stories += other.stories;
    }
}

/// Tells the story in orders that are wholly left to chance, and in those that stop few threads, but for long.
fn tell(campaign: &str, ordinary: u64, story: fn()) {
    let totals = each_seed(ordinary, |seed| {
        let stories = match seed % 2 {
            0 => run(RandomScheduler::new_from_seed(seed, ROUNDS), story),
            _ => run(PctScheduler::new_from_seed(seed, STOPS, ROUNDS), story),
        };
        Totals { seeds: 1, stories: stories as u64 }
    });
    note(campaign, totals);
}

fn run(scheduler: impl Scheduler + 'static, story: fn()) -> usize {
    let mut config = Config::new();
    config.stack_size = STACK;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(story)
}

/// A program with a tracker.
#[derive(Clone)]
struct Program {
    machine: Machine,
    process: Arc<Process>,
    tracker: Arc<UsageTracker>,
}

impl Program {
    fn start(machine: &Machine, id: u32, durability: Durability, limits: SpoolLimits) -> Program {
        let process = machine.process(id);
        let host: Arc<dyn Host> = process.clone();
        let files = host.files().expect("it has a disk");
        let (tracker, _) = alone::tracker(host, files, "http://sim", durability, limits);
        Program { machine: machine.clone(), process, tracker: Arc::new(tracker) }
    }

    async fn track(&self) -> crate::Result<Receipt> {
        alone::track(&self.tracker, &*self.process).await
    }

    fn thread<T, W>(&self, work: impl FnOnce(Program) -> W + Send + 'static) -> JoinHandle<T>
    where
        T: Send + 'static,
        W: Future<Output = T>,
    {
        let program = self.clone();
        spawn(move || block_on(work(program)))
    }

    /// Nothing of what was acknowledged is anywhere but on the disk or counted.
    fn survives_power(&self, receipt: &Receipt) {
        let id = receipt.event_id();
        let is_safe = self.machine.market.has_counted(id) || self.machine.disk.keeps(id);
        assert!(is_safe, "an event that was persisted is not on the disk");
    }

    /// The receipt tells that its event is counted, some time.
    async fn is_told(&self, receipt: &Receipt) {
        receipt.delivered().await.expect("it is counted");
        self.is_counted(receipt);
    }

    fn is_counted(&self, receipt: &Receipt) {
        assert!(self.machine.market.has_counted(receipt.event_id()), "it was not counted");
    }
}

fn one_in(many: u32) -> bool {
    thread_rng().gen_range(0..many) == 0
}

/// Some time, of the order of the rhythms of a log.
async fn a_while(machine: &Machine) {
    let millis = [0, 1, 20, 500, 1_000, 1_020][thread_rng().gen_range(0..6)];
    machine.sleep(Duration::from_millis(millis)).await;
}

/// The logs of which everything is counted are gone, some time: a thread may be stopped while it removes one.
async fn is_removed(machine: &Machine) {
    while machine.disk.has_files() {
        machine.sleep(Duration::from_secs(1)).await;
    }
}

#[test]
fn whoever_waits_is_told_wherever_others_are_stopped() {
    tell("threads", 120, || {
        let machine = Machine::new(3);
        let durability = if one_in(3) { Durability::Durable } else { Durability::Fast };
        let program = Program::start(&machine, 1, durability, SpoolLimits::default());
        let (writers, events) = (2, thread_rng().gen_range(1..=3));
        let writers = (0..writers)
            .map(|_| program.thread(move |program| writes(program, durability, events)));
        let writers: Vec<_> = writers.collect();
        let flusher = program.thread(flushes);
        let written: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        let written = written + flusher.join().unwrap();
        let stats = program.tracker.stats();
        assert_eq!((stats.tracked, stats.delivered, stats.pending), (written, written, 0));
        assert_eq!(machine.market.totals(), (written, 0));
        block_on(program.tracker.close(Duration::from_secs(2)));
        block_on(is_removed(&machine));
    });
}

/// Notes events, and waits for what it was promised of them.
async fn writes(program: Program, durability: Durability, events: u64) -> u64 {
    let mut receipts = Vec::new();
    for _ in 0..events {
        let receipt = program.track().await.expect("there is room");
        if durability == Durability::Durable {
            program.survives_power(&receipt);
        }
        match thread_rng().gen_range(0..4) {
            0 => {
                receipt.persisted().await.expect("the disk is well");
                program.survives_power(&receipt);
            }
            1 => program.is_told(&receipt).await,
            2 => a_while(&program.machine).await,
            _ => {}
        }
        receipts.push(receipt);
    }
    for (told, receipt) in (1..).zip(&receipts) {
        program.is_told(receipt).await;
        assert!(program.tracker.stats().delivered >= told, "told, and not on the books");
    }
    events
}

/// What is flushed is counted, and the books come out even at any time.
async fn flushes(program: Program) -> u64 {
    const FLUSHES: u64 = 2;
    for _ in 0..FLUSHES {
        a_while(&program.machine).await;
        let receipt = program.track().await.expect("there is room");
        program.tracker.flush_within(FOR_EVER).await;
        program.is_counted(&receipt);
        let counted = program.machine.market.totals().0;
        let stats = program.tracker.stats();
        let known = stats.delivered + stats.pending + stats.rejected + stats.lost.total();
        assert_eq!(stats.tracked, known);
        assert!(stats.delivered <= program.machine.market.totals().0, "more than there are");
        assert!(stats.tracked >= counted, "counted, and not on the books");
    }
    FLUSHES
}

#[test]
fn what_is_acknowledged_while_another_closes_is_counted_in_the_end() {
    tell("threads_closing", 120, || {
        let machine = Machine::new(3);
        let program = Program::start(&machine, 1, Durability::Fast, SpoolLimits::default());
        let mut acknowledged = Vec::new();
        // Often there is nothing to deliver when it closes, and the log would go.
        if one_in(2) {
            acknowledged.push(block_on(program.track()).expect("there is room"));
            block_on(program.tracker.flush_within(FOR_EVER));
        }
        let writers: Vec<_> = (0..2).map(|_| program.thread(writes_until_closed)).collect();
        let is_hasty = one_in(2);
        let deadline = if is_hasty { Duration::ZERO } else { Duration::from_millis(1_500) };
        block_on(async {
            if !is_hasty {
                a_while(&machine).await;
            }
            program.tracker.close(deadline).await;
        });
        acknowledged.extend(writers.into_iter().flat_map(|writer| writer.join().unwrap()));
        program.process.end();
        drop(program);
        // The next process in the folder finds what was left.
        let next = Program::start(&machine, 2, Durability::Fast, SpoolLimits::default());
        block_on(async { while next.tracker.flush().await.is_err() {} });
        acknowledged.iter().for_each(|receipt| next.is_counted(receipt));
        let counted = machine.market.totals();
        assert_eq!(counted, (acknowledged.len() as u64, 0), "what was refused was counted");
        block_on(next.tracker.close(Duration::from_secs(2)));
        block_on(is_removed(&machine));
    });
}

/// Notes events for as long as it may. Whoever waits for one is told, if only that nobody here sends it any more.
async fn writes_until_closed(program: Program) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for _ in 0..thread_rng().gen_range(1..=4) {
        match program.track().await {
            Ok(receipt) => receipts.push(receipt),
            Err(error) => {
                assert_eq!(error.code(), Code::Closed);
                break;
            }
        }
        if one_in(3) {
            a_while(&program.machine).await;
        }
    }
    for receipt in &receipts {
        match receipt.delivered().await {
            Ok(()) => program.is_counted(receipt),
            Err(error) => assert_eq!(error.code(), Code::Closed),
        }
    }
    receipts
}

#[test]
fn what_a_full_log_drops_while_another_sends_it_is_counted_or_declared_and_never_both() {
    tell("threads_full", 60, || {
        let machine = Machine::new(2);
        let overflow = if one_in(2) { Overflow::DropOldest } else { Overflow::DropNewest };
        let limits = SpoolLimits::default().events(4).overflow(overflow);
        let program = Program::start(&machine, 1, Durability::Fast, limits);
        let writers: Vec<_> = (0..2).map(|_| program.thread(writes_what_may_be_dropped)).collect();
        let told = writers.into_iter().flat_map(|writer| writer.join().unwrap());
        let (counted, lost): (Vec<bool>, Vec<bool>) = told.partition(|is_counted| *is_counted);
        let sums = (counted.len() as u64, lost.len() as u64);
        assert_eq!(machine.market.totals(), sums);
        let stats = program.tracker.stats();
        assert_eq!((stats.delivered, stats.lost.overflow, stats.pending), (sums.0, sums.1, 0));
        assert_eq!(stats.tracked, sums.0 + sums.1);
        block_on(program.tracker.close(Duration::from_secs(2)));
    });
}

/// Whether each event was counted, as its receipt tells.
async fn writes_what_may_be_dropped(program: Program) -> Vec<bool> {
    let mut receipts = Vec::new();
    for _ in 0..6 {
        receipts.push(program.track().await.expect("a full log drops"));
        if one_in(4) {
            a_while(&program.machine).await;
        }
    }
    while program.tracker.flush().await.is_err() {}
    let mut told = Vec::new();
    for receipt in receipts {
        match receipt.delivered().await {
            Ok(()) => program.is_counted(&receipt),
            Err(ref error) => assert_eq!(error.code(), Code::UsageLost),
        }
        told.push(program.machine.market.has_counted(receipt.event_id()));
    }
    told
}
