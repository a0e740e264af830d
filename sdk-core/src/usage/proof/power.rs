//! Processes write, send and take over logs on a disk that fails and forgets, and die at any system
//! call, by themselves or with the machine.

use std::ops::AddAssign;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::ledger::{Acknowledged, Fate, Ledger};
use super::{each_seed, note};
use crate::host::Host;
use crate::host::sim::{SimDisk, SimHost, Simulation, no_network};
use crate::model::LossReason;
use crate::usage::limits::{Overflow, SpoolLimits};
use crate::usage::log::{Most, RecordLog};
use crate::usage::range::{Losses, Range};
use crate::usage::spool::{FileSpool, Producer};

/// What [`Durability::Fast`](crate::Durability::Fast) promises.
const FAST: Duration = Duration::from_millis(500);

#[test]
fn what_was_persisted_survives_the_loss_of_power_and_the_rest_half_a_second_later() {
    let totals = each_seed(150, |seed| Story::begin(seed).tell());
    if totals.stories > 100 {
        assert!(totals.power_losses > 100 && totals.kills > 100 && totals.persisted > 1_000);
        assert!(totals.forgotten > 0, "the disk forgets nothing");
    }
    note("power", totals);
}

#[derive(Debug, Default, Serialize)]
struct Totals {
    stories: u64,
    power_losses: u64,
    kills: u64,
    /// Of which so many as ones that survive the loss of power.
    acknowledged: u64,
    persisted: u64,
    counted: u64,
    /// Fast, and not synced yet.
    forgotten: u64,
    damaged: u64,
    dropped: u64,
    /// How long before the loss of power the oldest of those was acknowledged that went with it, where no
    /// fsync had failed.
    oldest_forgotten_ms: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.stories += other.stories;
        self.power_losses += other.power_losses;
        self.kills += other.kills;
        self.acknowledged += other.acknowledged;
        self.persisted += other.persisted;
        self.counted += other.counted;
        self.forgotten += other.forgotten;
        self.damaged += other.damaged;
        self.dropped += other.dropped;
        self.oldest_forgotten_ms = self.oldest_forgotten_ms.max(other.oldest_forgotten_ms);
    }
}

struct Story {
    simulation: Simulation,
    chance: Rng,
    ledger: Arc<Mutex<Ledger>>,
    limits: SpoolLimits,
    disk: SimDisk,
    totals: Totals,
    /// When the power went, and when processes died without it.
    deaths: Vec<Death>,
}

struct Death {
    at: Duration,
    power: bool,
    /// Fsyncs had failed in the life before.
    syncs_failed: bool,
}

impl Story {
    fn begin(seed: u64) -> Story {
        let mut chance = Rng::with_seed(seed);
        let limits = SpoolLimits::default().bytes(chance.u64(64..=512) * 1024);
        let limits = match chance.u8(..4) {
            0 => limits,
            1 => limits.events(20),
            2 => limits.events(40).overflow(Overflow::DropOldest),
            _ => limits.events(40).overflow(Overflow::DropNewest),
        };
        Story {
            simulation: Simulation::new(seed),
            disk: SimDisk::new(chance.u64(..)),
            chance,
            ledger: Arc::default(),
            limits,
            totals: Totals { stories: 1, ..Totals::default() },
            deaths: Vec::new(),
        }
    }

    fn tell(mut self) -> Totals {
        for _ in 0..self.chance.u8(1..=4) {
            self.live_and_die();
        }
        self.deliver_everything();
        self.judge()
    }

    /// A process that takes over what it finds, writes and sends, until something ends it.
    fn live_and_die(&mut self) {
        let life = Life::begin(self);
        let fails = self.chance.u8(..3) == 0;
        if self.chance.bool() {
            self.disk.die_after(self.chance.u64(..600));
        }
        for writer in 0..self.chance.u8(1..=3) {
            let (life, chance) = (life.clone(), self.chance.fork());
            life.spawn(async move |life| life.write(chance, writer == 0).await);
        }
        let chance = self.chance.fork();
        life.spawn(async move |life| life.adopt_and_send(chance).await);
        if fails {
            let chance = self.chance.fork();
            life.spawn(async move |life| life.fail_now_and_then(chance).await);
        }
        let end = self.simulation.now() + Duration::from_millis(self.chance.u64(..5_000));
        self.simulation.run(async {
            while !self.disk.is_dead() && life.host.monotonic() < end {
                life.host.sleep(Duration::from_millis(7)).await;
            }
        });
        self.die(&life, fails);
    }

    fn die(&mut self, life: &Life, syncs_failed: bool) {
        let power = self.chance.bool();
        let at = life.host.monotonic();
        let next = if power { self.disk.lose_power() } else { self.disk.kill() };
        life.host.kill();
        self.disk = next;
        self.totals.power_losses += u64::from(power);
        self.totals.kills += u64::from(!power);
        self.deaths.push(Death { at, power, syncs_failed });
    }

    /// The last process, to which nothing happens.
    fn deliver_everything(&mut self) {
        let life = Life::begin(self);
        self.simulation.run(async {
            let dirs = life.spool.producers();
            for dir in dirs {
                let adopted = life.spool.adopt(&dir).await;
                if let Some(producer) = adopted.expect("every log can be taken over") {
                    while life.send(&producer, Most::A_BATCH).await {}
                    producer.leave(producer.log.last());
                }
            }
        });
        assert_eq!(life.spool.producers(), Vec::<PathBuf>::new(), "what is delivered is removed");
    }

    fn judge(mut self) -> Totals {
        let ledger = self.ledger.lock().unwrap();
        let totals = &mut self.totals;
        for (event, fate) in ledger.fates() {
            totals.acknowledged += 1;
            totals.persisted += u64::from(event.persisted);
            match fate {
                Fate::Counted => totals.counted += 1,
                Fate::Dropped => totals.dropped += 1,
                Fate::Declared(LossReason::Damaged) | Fate::Forgotten => {
                    assert!(!event.persisted, "{event:?} is {fate:?}");
                    // Only the power can have taken it, or an fsync.
                    let mut deaths = self.deaths.iter().skip(event.life);
                    let own = deaths.next().expect("nothing happens in the last life");
                    if !own.syncs_failed {
                        let age = own.at - event.at;
                        assert!(age <= FAST, "{event:?} is {fate:?} after {age:?}");
                        let power = own.power || deaths.any(|death| death.power);
                        assert!(power, "{event:?} is {fate:?}, and nothing had happened");
                        let age = age.as_millis() as u64;
                        totals.oldest_forgotten_ms = totals.oldest_forgotten_ms.max(age);
                    }
                    match fate {
                        Fate::Forgotten => totals.forgotten += 1,
                        _ => totals.damaged += 1,
                    }
                }
                Fate::Declared(reason) => panic!("{event:?} is declared {reason:?}"),
            }
        }
        drop(ledger);
        self.totals
    }
}

/// A process, from its start to its death.
#[derive(Clone)]
struct Life {
    /// How many there were before.
    life: usize,
    host: Arc<SimHost>,
    disk: SimDisk,
    spool: FileSpool,
    ledger: Arc<Mutex<Ledger>>,
    own: Arc<Mutex<Option<Arc<Producer>>>>,
}

impl Life {
    fn begin(story: &Story) -> Life {
        let disk = story.disk.clone();
        let host = SimHost::new(&story.simulation, Some(disk.clone()), no_network());
        let files = host.files().expect("it has a disk");
        let dir = PathBuf::from("spool/principal");
        let spool =
            FileSpool { host: host.clone(), files, dir, limits: story.limits, in_memory: false };
        let life = story.deaths.len();
        Life { life, host, disk, spool, ledger: story.ledger.clone(), own: Arc::default() }
    }

    fn spawn<F>(&self, work: impl FnOnce(Life) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work: BoxFuture<'static, ()> = work(self.clone()).boxed();
        self.host.spawn(work);
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    async fn pause(&self, chance: &mut Rng, most_ms: u64) {
        self.host.sleep(Duration::from_millis(chance.u64(..=most_ms))).await;
    }

    /// The process's own log, begun when it is first wanted and the disk lets it.
    fn own(&self) -> Option<Arc<Producer>> {
        let mut own = self.own.lock().unwrap();
        if own.is_none() {
            *own = self.spool.begin(self.host.wall()).ok().map(Arc::new);
        }
        own.clone()
    }

    async fn write(self, mut chance: Rng, durably: bool) {
        loop {
            let bytes =
                if chance.u8(..30) == 0 { chance.usize(..30_000) } else { chance.usize(..300) };
            if let Some(producer) = self.own() {
                let (event, text) = self.ledger().begin(bytes);
                let taken = producer.log.append(text.as_bytes());
                if self.spool.limits.overflow == Overflow::DropOldest {
                    self.ledger().dropped(&producer.id, producer.log.trimmed());
                }
                if let Ok(taken) = taken
                    && !taken.lost
                {
                    let number = producer.log.last();
                    let acknowledged = Acknowledged {
                        producer: producer.id.clone(),
                        number,
                        at: self.host.monotonic(),
                        life: self.life,
                        persisted: false,
                    };
                    self.ledger().acknowledge(event, acknowledged);
                    if (durably || chance.u8(..10) == 0)
                        && producer
                            .log
                            .persisted(taken.ticket)
                            .await
                            .is_ok_and(|persisted| persisted == number)
                    {
                        self.ledger().persisted(event);
                    }
                }
            }
            if chance.bool() {
                self.pause(&mut chance, 150).await;
            }
        }
    }

    /// What an uploader does, without its clockwork.
    async fn adopt_and_send(self, mut chance: Rng) {
        let mut producers = Vec::new();
        loop {
            let own = self.own.lock().unwrap().clone();
            if chance.u8(..4) == 0 {
                for dir in self.spool.producers() {
                    if let Ok(Some(producer)) = self.spool.adopt(&dir).await {
                        producers.push(Arc::new(producer));
                    }
                }
            }
            for producer in producers.iter().chain(&own) {
                let most = Most { records: chance.usize(1..40), bytes: chance.usize(1..100_000) };
                let sent = self.send(producer, most).await;
                if !sent && producer.epoch > 0 && chance.bool() {
                    producer.leave(self.ledger().fence(&producer.id));
                }
                self.pause(&mut chance, 40).await;
            }
            self.pause(&mut chance, 400).await;
        }
    }

    /// Sends a range, and whether there was anything to send.
    async fn send(&self, producer: &Producer, most: Most) -> bool {
        let answered = self.ledger().fence(&producer.id);
        let last = producer.log.last();
        if answered >= last {
            return false;
        }
        let Ok(records) = producer.log.scan(answered, most).await else { return true };
        let losses = Losses {
            missing: |first, last| producer.log.losses(first, last),
            expired_before: None,
        };
        let range = Range::after(answered, records, last, &losses);
        let wire = range.wire(&producer.id, producer.epoch).into_bytes();
        if self.disk.is_dead() {
            return false;
        }
        let fence = self.ledger().take(&wire);
        producer.trim(fence);
        true
    }

    async fn fail_now_and_then(self, mut chance: Rng) {
        loop {
            self.pause(&mut chance, 1_500).await;
            let disk = &self.disk;
            match chance.u8(..4) {
                0 => disk.fail_syncs(true),
                1 => disk.set_room(Some(disk.bytes() + chance.u64(..2_000))),
                2 => disk.fail_reads(true),
                _ => {
                    disk.fail_truncates(true);
                    disk.set_room(Some(disk.bytes() + chance.u64(..200)));
                }
            }
            self.pause(&mut chance, 700).await;
            disk.fail_syncs(false);
            disk.set_room(None);
            disk.fail_reads(false);
            disk.fail_truncates(false);
        }
    }
}

/// A process that has got no further than to the folders, and not even they are safe.
#[test]
fn folders_that_a_dead_process_has_begun_are_no_trap_for_the_next_one() {
    for calls in 0..20 {
        let mut story = Story::begin(calls);
        story.disk.die_after(calls);
        let life = Life::begin(&story);
        drop(life.own());
        story.disk = story.disk.kill();

        let life = Life::begin(&story);
        story.simulation.run(async {
            let producer = life.own().expect("a disk that works");
            let taken = producer.log.append(b"1").unwrap();
            producer.log.persisted(taken.ticket).await.unwrap();
        });
        story.disk = story.disk.lose_power();
        let life = Life::begin(&story);
        let found = story.simulation.run(async {
            let mut found = Vec::new();
            for dir in life.spool.producers() {
                if let Some(left) = life.spool.adopt(&dir).await.unwrap() {
                    found.extend(left.log.scan(0, Most::A_BATCH).await.unwrap());
                }
            }
            found
        });
        assert_eq!(found.len(), 1, "after {calls} calls");
    }
}

#[test]
fn a_disk_on_which_nothing_helps_keeps_nobody_waiting() {
    let story = Story::begin(1);
    let limits = SpoolLimits::default().overflow(Overflow::DropOldest);
    let life = Life::begin(&story);
    let spool = FileSpool { limits, ..life.spool.clone() };
    let log = spool.begin(life.host.wall()).unwrap().log;
    log.append(&[b'1'; 300]).unwrap();
    story.disk.fail_truncates(true);
    story.disk.set_room(Some(story.disk.bytes() + 100));
    let too_large = [b'2'; 1_000];
    for number in 2..10 {
        assert!(log.append(&too_large).unwrap().lost, "{number}");
    }
    story.disk.set_room(None);
    assert!(!log.append(&too_large).unwrap().lost);
}
