//! What happens to everybody: outages, deaths, clocks, keys; and how it ends well, so that the books can be
//! read.

mod console;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloudnestle_marketplace::host::Host;
use cloudnestle_marketplace::host::sim::SimDisk;
use cloudnestle_marketplace::{Durability, ValidationMode};
use cloudnestle_mock_server::{Callers, RateLimit};
use futures_util::FutureExt;

use crate::fault::{Fault, When, Where};
use crate::people::Person;
use crate::program::{Machine, Program, Settings};
use crate::world::{Outage, World, locked};
use crate::{Options, judge};

/// The solutions of the built-in world that programs are of: with different actions, windows and zones.
pub(crate) const SOLUTIONS: [&str; 3] = ["sol_faiss_search", "sol_chat_notes", "sol_invoice_ocr"];

/// Who uses them, of the built-in world.
const CUSTOMERS: [&str; 3] = ["cus_asha", "cus_ravi", "cus_meera"];

/// How long everything may take to be delivered once nothing fails any more.
const DRAINED_WITHIN: Duration = Duration::from_secs(120);

pub(crate) struct Story {
    world: Arc<World>,
    options: Options,
    machines: Vec<Arc<Machine>>,
    programs: Arc<Mutex<Vec<Arc<Program>>>>,
    signing_key_is_replaced: bool,
}

impl Story {
    pub(crate) fn new(world: &Arc<World>, options: Options) -> Story {
        Story {
            world: world.clone(),
            options,
            machines: Vec::new(),
            programs: Arc::default(),
            signing_key_is_replaced: false,
        }
    }

    pub(crate) async fn tell(&mut self) {
        self.begin().await;
        let world = self.world.clone();
        let long = match world.one_in(16) {
            true => world.between(60_000, 180_000),
            false => world.between(6_000, 20_000),
        };
        let end = world.now() + Duration::from_millis(long);
        while world.now() < end {
            // While a program closes there is little time.
            let longest = if world.phases().contains(&When::Close) { 300 } else { 2_500 };
            world.sleep_ms(world.between(50, longest)).await;
            if self.options.faults {
                self.something_happens().await;
            }
        }
        self.heal().await;
        self.deliver_everything().await;
        judge::judge(&world).await;
        world.server.stop();
    }

    async fn begin(&mut self) {
        let world = self.world.clone();
        world.server.start().await;
        let Some(market) = world.server.market() else { return };
        {
            let mut people = world.people();
            for solution in market.solutions() {
                people.secret_keys.insert(solution.id.clone(), solution.secret_key.clone());
            }
            people.admin_key = Some(market.admin_key());
        }
        for solution_id in SOLUTIONS {
            for customer_id in CUSTOMERS {
                // Ravi has no subscription to the OCR.
                if (customer_id, solution_id) != ("cus_ravi", "sol_invoice_ocr") {
                    self.sign_in(customer_id, solution_id).await;
                }
            }
        }
        self.sign_in("cus_visitor", SOLUTIONS[0]).await;
        if self.options.faults {
            let mut weather = world.weather();
            weather.rough = [0, 30, 120, 300][world.between(0, 4) as usize];
            weather.slow_medium = world.one_in(2);
        }
        for place in 0..world.between(1, 3) as usize {
            let disk = Mutex::new(SimDisk::new(world.chance().u64(..)));
            let ppm = if self.options.faults { world.chance().i32(-200..=200) } else { 0 };
            self.machines.push(Arc::new(Machine { place, disk, ppm }));
        }
        for _ in 0..world.between(2, 4) {
            let settings = settings(&world);
            self.start_somewhere(settings);
        }
    }

    async fn sign_in(&self, customer_id: &str, solution_id: &str) {
        let Some(market) = self.world.server.market() else { return };
        match market.token_pair(customer_id, solution_id).await {
            Ok(pair) => {
                let (customer_id, solution_id) = (customer_id.to_owned(), solution_id.to_owned());
                self.world.people().all.push(Person::new(customer_id, solution_id, pair));
            }
            Err(error) => self.world.violated(format!("nobody can sign in: {error}")),
        }
    }

    fn start_somewhere(&self, settings: Settings) {
        let which = self.world.between(0, self.machines.len() as u64) as usize;
        let program = Program::start(&self.world, &self.machines[which], settings);
        locked(&self.programs).extend(program);
    }

    /// Some program that is alive.
    fn some_program(&self) -> Option<Arc<Program>> {
        let mut programs = locked(&self.programs);
        programs.retain(|program| !program.is_dead());
        let which = self.world.between(0, programs.len().max(1) as u64);
        programs.get(which as usize).cloned()
    }

    async fn something_happens(&mut self) {
        let world = self.world.clone();
        let places = [Where::Request, Where::BeforeCommit, Where::AfterCommit, Where::Answer];
        let held = world.one_in(5);
        let met = match world.between(0, 7) {
            _ if held => world.ambush_answer().await,
            place => match places.get(place as usize) {
                Some(place) => world.ambush(*place).await,
                None => None,
            },
        };
        // Whoever is asked about at this very moment, if anybody is.
        let met = met.and_then(|call| call.about.clone());
        let closes = world.phases().contains(&When::Close);
        let which = match met.is_some() && (held || world.one_in(2)) {
            true => world.between(73, 88),
            // What is rare at other times: clocks, keys, disks.
            false if closes && world.one_in(2) => {
                [58, 62, 65, 69, 98][world.between(0, 5) as usize]
            }
            false => world.between(0, 104),
        };
        match which {
            0..8 => self.outage(),
            8..14 => {
                let long = Duration::from_millis(world.between(500, 5_000));
                world.note("story", format_args!("everybody is told to slow down for {long:?}"));
                world.weather().storm_until = world.now() + long;
            }
            14..18 => self.narrow_limits(),
            18..28 => {
                world.fired_at(Fault::ServerDeath);
                world.server_dies();
            }
            28..42 => self.a_program_dies(),
            42..48 => self.the_power_goes(),
            48..58 => self.a_program_is_closed(),
            58..62 => {
                let Some(program) = self.some_program() else { return };
                let millis = self.jump(3_600_000);
                world.note(&program.link.name, format_args!("its clock is set on by {millis} ms"));
                world.fired_at(Fault::ClientClock);
                world.oracle().clocks_moved = true;
                program.host.move_clock(millis);
            }
            62..65 => {
                // As far as a clock is set that is kept by NTP: beyond that, pairs end by themselves.
                let millis = self.jump(2_000);
                self.set_the_servers_clock(millis);
            }
            65..69 if !self.signing_key_is_replaced => {
                // A key is published long before it signs: not two in one story.
                let Some(market) = world.server.market() else { return };
                world.fired_at(Fault::SigningKey);
                self.signing_key_is_replaced = market.rotate_signing_key().await.is_ok();
                world.note("story", format_args!("another key signs"));
            }
            69..73 => self.replace_secret_key().await,
            73..80 => self.change_tier(met).await,
            80..84 => self.revoke_user(met).await,
            84..88 => self.revoke_token(met).await,
            88..93 => {
                let settings = settings(&world);
                self.start_somewhere(settings);
            }
            93..98 => self.announce_a_rush().await,
            98..101 => self.a_disk_fails(),
            _ => {
                let rough = [0, 30, 120, 300, 600][world.between(0, 5) as usize];
                world.note("story", format_args!("of a thousand calls {rough} are hit"));
                world.weather().rough = rough;
            }
        }
    }

    fn set_the_servers_clock(&self, millis: i64) {
        let world = &self.world;
        world.note("server", format_args!("its clock is set on by {millis} ms"));
        world.fired_at(Fault::ServerClock);
        world.oracle().clocks_moved = true;
        world.server.machine.move_clock(millis);
    }

    /// By so many milliseconds, at most.
    fn jump(&self, most: i64) -> i64 {
        self.world.chance().i64(-most..=most)
    }

    fn outage(&self) {
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

    fn narrow_limits(&self) {
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

    fn a_program_dies(&self) {
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

    fn the_power_goes(&self) {
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
    fn a_disk_fails(&self) {
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

    fn a_program_is_closed(&self) {
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

    /// Nothing fails from now on. Programs end, some of them as they should.
    async fn heal(&self) {
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
    async fn deliver_everything(&self) {
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

/// Mostly the one with everything.
fn a_solution(world: &World) -> &'static str {
    SOLUTIONS[[0, 0, 0, 1, 2, 2][world.between(0, 6) as usize]]
}

fn settings(world: &World) -> Settings {
    Settings {
        solution_id: a_solution(world).to_owned(),
        durability: if world.one_in(3) { Durability::Durable } else { Durability::Fast },
        validation: match world.between(0, 10) {
            0 => ValidationMode::Online,
            1 => ValidationMode::Local,
            _ => ValidationMode::Connected,
        },
        deadline: Duration::from_millis([5_000, 5_000, 800][world.between(0, 3) as usize]),
        workers: world.between(1, 4),
    }
}
