//! A machine that exists in the computation alone: time that passes when nothing else is left to do, a
//! disk that forgets what was not synced, a network that is a closure. The same seed is the same
//! story, whatever happens in it.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use cloudnestle_marketplace::host::Host;
//! use cloudnestle_marketplace::host::sim::{SimDisk, SimHost, Simulation, no_network};
//!
//! let simulation = Simulation::new(7);
//! let host = SimHost::new(&simulation, Some(SimDisk::new(7)), no_network());
//! simulation.run(host.sleep(Duration::from_secs(86_400))); // a day, at once
//! assert_eq!(host.monotonic(), Duration::from_secs(86_400));
//! ```

mod clock;
mod disk;
mod time;
mod tree;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

pub use disk::SimDisk;
pub use time::Simulation;

use super::native::is_signed;
use super::{Algorithm, Files, Host, Request, Response, SendError, SendStage};
use crate::model::Timestamp;
use clock::Clock;
use time::World;

/// What becomes of a request. It may wait: for a time of its host, or for ever.
pub type Network =
    Arc<dyn Fn(Request) -> BoxFuture<'static, Result<Response, SendError>> + Send + Sync>;

/// A network on which nobody is reached.
pub fn no_network() -> Network {
    Arc::new(|_| ready(Err(SendError::new(SendStage::Connect, "nobody is there"))).boxed())
}

/// One process on a simulated machine.
#[derive(Clone)]
pub struct SimHost {
    world: Arc<World>,
    process: u32,
    clock: Arc<Clock>,
    disk: Option<SimDisk>,
    network: Network,
}

impl SimHost {
    /// A process that begins now.
    pub fn new(simulation: &Simulation, disk: Option<SimDisk>, network: Network) -> Arc<SimHost> {
        SimHost::drifting(simulation, 0, disk, network)
    }

    /// A process that begins now on a machine whose clocks are `ppm` millionths too fast, or too slow
    /// if that is below 0.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cloudnestle_marketplace::host::Host;
    /// use cloudnestle_marketplace::host::sim::{SimHost, Simulation, no_network};
    ///
    /// let simulation = Simulation::new(7);
    /// let exact = SimHost::new(&simulation, None, no_network());
    /// let fast = SimHost::drifting(&simulation, 200, None, no_network());
    /// simulation.run(exact.sleep(Duration::from_secs(10_000)));
    /// assert_eq!(fast.monotonic(), Duration::from_secs(10_002));
    /// ```
    pub fn drifting(
        simulation: &Simulation,
        ppm: i32,
        disk: Option<SimDisk>,
        network: Network,
    ) -> Arc<SimHost> {
        SimHost::begin(simulation.world(), ppm, disk, network)
    }

    /// One more process, in the simulation that this one is in.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cloudnestle_marketplace::host::Host;
    /// use cloudnestle_marketplace::host::sim::{SimHost, Simulation, no_network};
    ///
    /// let simulation = Simulation::new(7);
    /// let parent = SimHost::new(&simulation, None, no_network());
    /// let other = parent.another(0, None, no_network());
    /// parent.kill();
    /// simulation.run(other.sleep(Duration::from_secs(1))); // and goes on
    /// assert_ne!(other.process_id(), parent.process_id());
    /// ```
    pub fn another(&self, ppm: i32, disk: Option<SimDisk>, network: Network) -> Arc<SimHost> {
        SimHost::begin(self.world.clone(), ppm, disk, network)
    }

    fn begin(world: Arc<World>, ppm: i32, disk: Option<SimDisk>, network: Network) -> Arc<SimHost> {
        let (process, clock) = (world.begin_process(), Arc::new(Clock::drifting(ppm)));
        Arc::new(SimHost { process, world, clock, disk, network })
    }

    /// Sets the time of day on, or back if that is below 0. The monotonic clock does not notice.
    pub fn move_clock(&self, millis: i64) {
        self.clock.jump(millis);
    }

    /// Ends the process when one of its tasks has been polled so many more times: at whichever await that
    /// is. `first` is done before its tasks are gone, with [`SimDisk::end`] for example.
    pub fn kill_after(&self, polls: u64, first: impl FnOnce() + Send + 'static) {
        self.world.doom(self.process, polls, Box::new(first));
    }

    /// Ends the process without a word: its tasks are gone. What its disk remembers is for
    /// [`SimDisk::kill`] or [`SimDisk::lose_power`] to say, which come first.
    pub fn kill(&self) {
        self.world.end_process(self.process);
    }
}

impl Host for SimHost {
    fn wall(&self) -> Timestamp {
        self.clock.wall(self.world.now())
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic(self.world.now())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        time::sleep(&self.world, self.clock.time_for(duration)).boxed()
    }

    fn random(&self, bytes: &mut [u8]) {
        self.world.random(bytes);
    }

    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, SendError>> {
        (self.network)(request)
    }

    fn verify<'a>(
        &'a self,
        algorithm: Algorithm,
        key: &'a [u8],
        data: &'a [u8],
        signature: &'a [u8],
    ) -> BoxFuture<'a, Option<bool>> {
        ready(Some(is_signed(algorithm, key, data, signature))).boxed()
    }

    fn files(&self) -> Option<Arc<dyn Files>> {
        Some(Arc::new(self.disk.clone()?))
    }

    fn state_dir(&self) -> Option<PathBuf> {
        Some(PathBuf::from("state"))
    }

    fn process_id(&self) -> u32 {
        self.process
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.world.spawn(self.process, task);
    }
}
