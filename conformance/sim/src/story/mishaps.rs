//! What befalls machines, programs and the network between them.

use std::sync::Arc;
use std::time::Duration;

use cloudnestle_marketplace::host::Host;
use cloudnestle_mock_server::{Callers, RateLimit};
use futures_util::FutureExt;

use super::Story;
use crate::fault::{Fault, When};
use crate::program::Program;
use crate::world::{Outage, locked};

impl Story {
    pub(super) fn set_the_servers_clock(&self, millis: i64) {
        let world = &self.world;
        world.note("server", format_args!("its clock is set on by {millis} ms"));
        world.fired_at(Fault::ServerClock);
        world.oracle().clocks_moved = true;
        world.server.machine.move_clock(millis);
    }

    pub(super) fn set_a_programs_clock(&self, program: &Program, millis: i64) {
        let world = &self.world;
        world.note(&program.link.name, format_args!("its clock is set on by {millis} ms"));
        world.fired_at(Fault::ClientClock);
        world.oracle().clocks_moved = true;
        program.host.move_clock(millis);
    }

    /// While a program reads what the feed tells of one customer, its clock is set on by more than the life of
    /// others' tokens, of whose revocation it was told before. How wrong its clock is, that answer can't say.
    pub(super) async fn a_clock_is_set_on_as_the_feed_tells(&self) {
        let (world, Some(program)) = (&self.world, self.some_program()) else { return };
        for _ in 0..3 {
            let revoked = self.some_token(&program);
            self.revoke_token(revoked).await;
        }
        if world.ambush_feed(&program.link).await.is_some() {
            let (retiered, revoked) = (self.some_token(&program), self.some_token(&program));
            self.change_tier(retiered).await;
            self.revoke_token(revoked).await;
            if world.ambush_feed(&program.link).await.is_some() && !program.is_dead() {
                let millis = 3_600_000 - self.jump(1_800_000).abs();
                self.set_a_programs_clock(&program, millis);
            }
        }
    }

    /// The token of somebody who uses the program's solution.
    fn some_token(&self, program: &Program) -> Option<String> {
        let people = self.world.people();
        let of_solution = people.of(&program.settings.solution_id);
        let which = self.world.between(0, of_solution.len().max(1) as u64);
        let person = &people.all[*of_solution.get(which as usize)?];
        Some(person.pair.access_token.expose().to_owned())
    }

    /// By so many milliseconds, at most.
    pub(super) fn jump(&self, most: i64) -> i64 {
        self.world.chance().i64(-most..=most)
    }

    pub(super) fn outage(&self) {
        let world = self.world.clone();
        if world.weather().when != When::Steady {
            return;
        }
        let kinds = [Outage::Refused, Outage::Silent, Outage::Broken, Outage::Patchy];
        let outage = kinds[world.between(0, 4) as usize];
        let long = world.between(500, 9_000);
        world.note("story", format_args!("an outage of {long} ms: {outage:?}"));
        {
            let mut weather = world.weather();
            (weather.when, weather.outage) = (When::Outage, Some(outage));
        }
        let back = self.world.clone();
        let passing = async move {
            back.sleep_ms(long).await;
            if back.weather().is_over {
                return;
            }
            {
                let mut weather = back.weather();
                (weather.when, weather.outage) = (When::Recovery, None);
            }
            back.note("story", format_args!("the outage is over"));
            back.sleep_ms(5_000).await;
            back.weather().when = When::Steady;
        };
        world.ether.spawn(passing.boxed());
    }

    pub(super) fn narrow_limits(&self) {
        let world = self.world.clone();
        let Some(market) = world.server.market() else { return };
        let calls = world.between(1, 10) as u32;
        let long = world.between(1_000, 6_000);
        world.note("story", format_args!("{calls} calls a second for {long} ms"));
        market.set_rate_limit(Callers::Key, RateLimit::per_second(calls));
        let later = world.clone();
        let passing = async move {
            later.sleep_ms(long).await;
            market.set_rate_limit(Callers::Key, RateLimit::per_second(50_000));
        };
        world.ether.spawn(passing.boxed());
    }

    pub(super) fn a_program_dies(&self) {
        let Some(program) = self.some_program() else { return };
        let world = &self.world;
        let begin_anew = self.begin_anew(&program);
        match world.one_in(3) {
            true => {
                world.fired_at(Fault::ClientDeath);
                program.die(world);
                begin_anew();
            }
            false => {
                let polls = world.between(1, 400);
                let died = world.clone();
                program.die_after(world, polls, move || {
                    died.fired_at(Fault::ClientDeath);
                    begin_anew();
                });
            }
        }
    }

    /// What starts a program again that has died.
    fn begin_anew(&self, program: &Arc<Program>) -> impl FnOnce() + Send + 'static {
        let (world, programs) = (self.world.clone(), self.programs.clone());
        let (machine, settings) = (program.machine.clone(), program.settings.clone());
        move || {
            let starting = world.clone();
            let start = async move {
                starting.sleep_ms(starting.between(0, 3_000)).await;
                if !starting.weather().is_over {
                    let program = Program::start(&starting, &machine, settings);
                    locked(&programs).extend(program);
                }
            };
            world.ether.spawn(start.boxed());
        }
    }

    pub(super) fn the_power_goes(&self) {
        let world = &self.world;
        let which = world.between(0, self.machines.len() as u64) as usize;
        let machine = &self.machines[which];
        world.note("story", format_args!("machine {which} loses its power"));
        world.fired_at(Fault::PowerLoss);
        world.oracle().power_losses.push((machine.place, world.now()));
        // Nobody writes after the power is gone.
        let found = locked(&machine.disk).lose_power();
        *locked(&machine.disk) = found;
        let on_it: Vec<_> = {
            let programs = locked(&self.programs);
            programs.iter().filter(|it| it.machine.place == machine.place).cloned().collect()
        };
        for program in on_it {
            if !program.is_dead() {
                program.die_of_power(world);
                self.begin_anew(&program)();
            }
        }
    }

    /// For a while it has no room, or does not get to the medium what it was given.
    pub(super) fn a_disk_fails(&self) {
        let world = &self.world;
        let which = world.between(0, self.machines.len() as u64) as usize;
        let machine = self.machines[which].clone();
        let long = world.between(200, 5_000);
        let fault = [Fault::DiskFull, Fault::SyncFails][world.between(0, 2) as usize];
        world.note("story", format_args!("{fault} on machine {which} for {long} ms"));
        world.fired_at(fault);
        world.oracle().disks_failed.insert((machine.place, fault));
        {
            let disk = locked(&machine.disk);
            match fault {
                Fault::DiskFull => disk.set_room(Some(disk.bytes())),
                _ => disk.fail_syncs(true),
            }
        }
        let later = world.clone();
        let mended = async move {
            later.sleep_ms(long).await;
            machine.is_mended();
        };
        world.ether.spawn(mended.boxed());
    }

    pub(super) fn a_program_is_closed(&self) {
        let Some(program) = self.some_program() else { return };
        let begin_anew = self.begin_anew(&program);
        let world = self.world.clone();
        let deadline = Duration::from_millis(world.between(0, 4_000));
        let dies = world.one_in(4).then(|| world.between(1, 60));
        let closing = async move {
            if let Some(polls) = dies {
                let died = world.clone();
                program.die_after(&world, polls, move || {
                    died.fired_at(Fault::ClientDeath);
                });
            }
            program.close(&world, deadline).await;
            begin_anew();
        };
        self.world.ether.spawn(closing.boxed());
    }
}
