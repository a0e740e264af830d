//! Programs that consume, and a marketplace that fails them, in a time that passes at once.

mod asking;
mod ending;
mod market;
mod outage;
mod returning;
mod spool;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::events::Event;
use crate::host::Host;
use crate::host::sim::{SimDisk, SimHost, Simulation, no_network};
use crate::model::Code;
use crate::usage::{FileSpool, Overflow, SpoolLimits, Usage};
use market::{DEADLINE, Market, Program, WAY};

/// Tells a story of one program and a marketplace with a limit.
fn story(limit: u64, tell: impl AsyncFnOnce(&Simulation, &Market, Program)) {
    let simulation = Simulation::new(1);
    let market = Market::with_limit(limit);
    let program = Program::begin(&simulation, &market, SimDisk::new(1));
    simulation.run(tell(&simulation, &market, program));
}
