//! How a story ends well, so that the books can be read.

use std::time::Duration;

use cloudnestle_marketplace::{Durability, ValidationMode};
use cloudnestle_mock_server::{Callers, RateLimit};

use super::{SOLUTIONS, Story};
use crate::fault::When;
use crate::program::{Program, Settings};
use crate::world::locked;

/// How long everything may take to be delivered once nothing fails any more.
const DRAINED_WITHIN: Duration = Duration::from_secs(120);

impl Story {
    /// Nothing fails from now on. Programs end, some of them as they should.
    pub(super) async fn heal(&self) {
        let world = &self.world;
        world.note("story", format_args!("everything is well again"));
        {
            let mut weather = world.weather();
            (weather.rough, weather.rush) = (0, None);
            (weather.when, weather.outage) = (When::Steady, None);
            (weather.storm_until, weather.slow_medium, weather.is_over) =
                (Duration::ZERO, false, true);
        }
        self.machines.iter().for_each(|machine| machine.is_mended());
        // The server, if it is down, is on its way.
        while world.server.market().is_none() {
            world.sleep_ms(200).await;
        }
        for solution_id in SOLUTIONS {
            self.declare(solution_id).await;
        }
        if let Some(market) = world.server.market() {
            market.set_rate_limit(Callers::Key, RateLimit::per_second(50_000));
        }
        let alive = std::mem::take(&mut *locked(&self.programs));
        for program in alive {
            match world.one_in(2) {
                true => drop(program.close(world, Duration::from_secs(5)).await),
                false => program.die(world),
            }
            program.die(world);
        }
    }

    /// On each machine and for each solution a last program, to which nothing happens.
    pub(super) async fn deliver_everything(&self) {
        let world = &self.world;
        for machine in &self.machines {
            for solution_id in SOLUTIONS {
                let settings = Settings {
                    solution_id: solution_id.to_owned(),
                    durability: Durability::Fast,
                    validation: ValidationMode::Connected,
                    deadline: Duration::from_secs(5),
                    workers: 0,
                };
                let Some(last) = Program::start(world, machine, settings) else { continue };
                let Some(report) = last.close_when_flushed(world, DRAINED_WITHIN).await else {
                    world.violated(format!("{} is not drained", last.link.name));
                    continue;
                };
                if report.usage.pending > 0 {
                    world.violated(format!("{} leaves {:?}", last.link.name, report.usage));
                }
            }
        }
    }
}
