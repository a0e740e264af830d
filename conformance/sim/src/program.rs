//! A partner's program: a process with the SDK in it, on a machine whose disk others may use as well.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloudnestle_marketplace::host::Host;
use cloudnestle_marketplace::host::sim::{SimDisk, SimHost};
use cloudnestle_marketplace::{
    CloseReport, Durability, MarketplaceSdk, UsageStats, ValidationMode,
};
use futures_channel::oneshot;
use futures_util::FutureExt;

use crate::network::{Link, network};
use crate::oracle::Life;
use crate::server::URL;
use crate::work::Worker;
use crate::world::{World, locked};

/// As long as a lease may be used at most, and a minute in which it is given back.
const LEASES_RETURNED_WITHIN: Duration = Duration::from_secs(6 * 60);

/// Where the spools are on each machine.
const SPOOL: &str = "spool";

/// A machine: what its processes have in common.
pub(crate) struct Machine {
    pub(crate) place: usize,
    pub(crate) disk: Mutex<SimDisk>,
    /// How wrong its clock goes, in millionths.
    pub(crate) ppm: i32,
}

impl Machine {
    /// Its disk is as it should be.
    pub(crate) fn is_mended(&self) {
        let disk = locked(&self.disk);
        disk.set_room(None);
        disk.fail_syncs(false);
    }
}

/// How a program is set up.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) solution_id: String,
    pub(crate) durability: Durability,
    pub(crate) validation: ValidationMode,
    pub(crate) deadline: Duration,
    /// How many things it does at a time.
    pub(crate) workers: u64,
}

/// A program that runs, for whoever may end it. It does not hold the SDK: that ends with the process.
pub(crate) struct Program {
    pub(crate) link: Arc<Link>,
    pub(crate) host: Arc<SimHost>,
    pub(crate) machine: Arc<Machine>,
    pub(crate) settings: Settings,
    disk: SimDisk,
    life: usize,
    orders: Mutex<Option<oneshot::Sender<Order>>>,
}

/// To be closed by then.
pub(crate) struct Order {
    pub(crate) deadline: Duration,
    /// Before that, all that was rejected is sent once more.
    pub(crate) replays: bool,
    pub(crate) done: oneshot::Sender<CloseReport>,
}

/// What runs in it.
pub(crate) struct Running {
    pub(crate) world: Arc<World>,
    pub(crate) link: Arc<Link>,
    pub(crate) host: Arc<SimHost>,
    pub(crate) sdk: MarketplaceSdk,
    pub(crate) settings: Settings,
    pub(crate) life: usize,
}

impl Program {
    /// Starts one; without workers it only delivers what is left on its machine.
    pub(crate) fn start(
        world: &Arc<World>,
        machine: &Arc<Machine>,
        settings: Settings,
    ) -> Option<Arc<Program>> {
        let life = {
            let mut oracle = world.oracle();
            oracle.lives.push(Life { machine: machine.place, ended: None });
            oracle.lives.len() - 1
        };
        let link = Link::new(format!("sdk-{}", life + 1));
        world.knows(&link);
        let disk = locked(&machine.disk).share();
        let on_disk = Some(disk.clone());
        let host = world.ether.another(machine.ppm, on_disk, network(world, &link));
        host.move_clock(world.ahead_ms);
        let Settings { solution_id, durability, validation, deadline, workers } = settings.clone();
        let key = world.people().secret_keys.get(&solution_id).cloned()?;
        let (newest, solution) = (world.clone(), solution_id.clone());
        let provider = move || {
            let key = newest.people().secret_keys.get(&solution).cloned();
            async move { key }
        };
        let sdk = MarketplaceSdk::builder()
            .host(host.clone())
            .url(URL)
            .issuer(URL)
            .spool_dir(SPOOL)
            .secret_key(key)
            .secret_key_provider(provider)
            .solution(&solution_id)
            .durability(durability)
            .validation(validation)
            .deadline(deadline)
            .build();
        let sdk = match sdk {
            Ok(sdk) => sdk,
            Err(error) => {
                world.violated(format!("the SDK can't be built: {error}"));
                return None;
            }
        };
        let place = machine.place;
        world.note(
            &link.name,
            format_args!(
                "begins on machine {place}: {solution_id}, {durability:?}, {validation:?}"
            ),
        );
        let (ordered, orders) = oneshot::channel();
        let (world, running) = (world.clone(), (link.clone(), host.clone(), settings.clone()));
        let running =
            Running { world, link: running.0, host: running.1, sdk, settings: running.2, life };
        let running = Arc::new(running);
        for _ in 0..workers {
            host.spawn(Worker(running.clone()).work().boxed());
        }
        host.spawn(async move { running.obey(orders).await }.boxed());
        let (machine, orders) = (machine.clone(), Mutex::new(Some(ordered)));
        Some(Arc::new(Program { link, host, machine, settings, disk, life, orders }))
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.link.is_dead.load(Ordering::Relaxed)
    }

    /// It dies now.
    pub(crate) fn die(&self, world: &World) {
        if self.ends(world) {
            self.disk.end();
            self.host.kill();
        }
    }

    /// It dies when it has been at so many more awaits.
    pub(crate) fn die_after(
        self: &Arc<Self>,
        world: &Arc<World>,
        polls: u64,
        then: impl FnOnce() + Send + 'static,
    ) {
        if self.is_dead() {
            return;
        }
        let (program, world) = (self.clone(), world.clone());
        self.host.kill_after(polls, move || {
            if program.ends(&world) {
                program.disk.end();
                then();
            }
        });
    }

    /// Its machine has lost its power.
    pub(crate) fn die_of_power(&self, world: &World) {
        if self.ends(world) {
            self.host.kill();
        }
    }

    /// Notes the end; whether it is the first.
    fn ends(&self, world: &World) -> bool {
        if self.link.is_dead.swap(true, Ordering::Relaxed) {
            return false;
        }
        world.note(&self.link.name, format_args!("dies"));
        world.oracle().lives[self.life].ended = Some(world.now());
        true
    }

    /// Closes it when nothing is left to deliver on its machine, or when that takes too long; and what was rejected
    /// is replayed before.
    pub(crate) async fn close_when_flushed(
        &self,
        world: &World,
        within: Duration,
    ) -> Option<CloseReport> {
        // It adopts what others left as soon as it begins.
        world.sleep_ms(1_000).await;
        // What a program held that is gone is given back when nobody can use it any more.
        let solution_id = &self.settings.solution_id;
        let until = world.now() + LEASES_RETURNED_WITHIN;
        while world.oracle().leases(solution_id) > 0 && world.now() < until {
            world.sleep_ms(5_000).await;
        }
        self.order(world, within, true).await
    }

    /// Closes it, and waits until it is; `None` if it dies before.
    pub(crate) async fn close(&self, world: &World, deadline: Duration) -> Option<CloseReport> {
        self.order(world, deadline, false).await
    }

    async fn order(&self, world: &World, deadline: Duration, replays: bool) -> Option<CloseReport> {
        let orders = locked(&self.orders).take()?;
        let (done, is_done) = oneshot::channel();
        orders.send(Order { deadline, replays, done }).ok()?;
        let report = is_done.await.ok();
        self.die(world);
        report
    }
}

impl Running {
    /// Closes the SDK when it is told to.
    async fn obey(&self, orders: oneshot::Receiver<Order>) {
        let Ok(Order { deadline, replays, done }) = orders.await else { return };
        if replays {
            self.replay_at_last().await;
        }
        self.link.is_closing.store(true, Ordering::Relaxed);
        self.world.note(&self.link.name, format_args!("closes within {deadline:?}"));
        let began = self.world.now();
        let report = self.sdk.close(deadline).await;
        self.took("close", began, deadline);
        self.check(report.usage, "after close");
        // Whoever ordered it may be gone.
        let _ = done.send(report);
    }

    /// Whether a call has ended by its deadline.
    pub(crate) fn took(&self, what: &str, began: Duration, deadline: Duration) {
        let took = self.world.now() - began;
        // Its own clock may go slower than time.
        let most = deadline + deadline / 1_000 + Duration::from_millis(2);
        if took > most {
            let name = &self.link.name;
            self.world.violated(format!("{name}: {what} took {took:?}, and had {deadline:?}"));
        }
    }

    /// Whether the accounts balance.
    pub(crate) fn check(&self, usage: UsageStats, when: &str) {
        let UsageStats { tracked, delivered, pending, rejected, lost, .. } = usage;
        if tracked != delivered + pending + rejected + lost.total() {
            let name = &self.link.name;
            self.world.violated(format!("{name}: the accounts do not balance {when}: {usage:?}"));
        }
    }
}
