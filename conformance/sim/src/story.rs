//! A story from its beginning to its end: who is in it, and what happens to them when.

mod console;
mod ending;
mod mishaps;
mod theft;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloudnestle_marketplace::host::sim::SimDisk;
use cloudnestle_marketplace::{Durability, ValidationMode};

use crate::fault::{Fault, When, Where};
use crate::people::Person;
use crate::program::{Machine, Program, Settings};
use crate::world::{World, locked};
use crate::{Options, judge};
use theft::THEFT;

/// The solutions of the built-in world that programs are of: with different actions, windows and zones.
pub(crate) const SOLUTIONS: [&str; 3] = ["sol_faiss_search", "sol_chat_notes", "sol_invoice_ocr"];

/// Who uses them, of the built-in world.
const CUSTOMERS: [&str; 3] = ["cus_asha", "cus_ravi", "cus_meera"];

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
        // Some begin with a theft, and go on until it is noticed.
        let is_theft = self.options.faults && world.one_in(5);
        let long = if is_theft { long.max(THEFT.as_millis() as u64) } else { long };
        if is_theft {
            self.steal();
        }
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
        self.judge_thefts().await;
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
                self.world.oracle().gave(&pair);
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
            // What is rare at other times: power, clocks, keys, disks.
            false if closes && world.one_in(2) => {
                [42, 58, 62, 65, 69, 98][world.between(0, 6) as usize]
            }
            false => world.between(0, 109),
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
            58..60 => {
                let Some(program) = self.some_program() else { return };
                self.set_a_programs_clock(&program, self.jump(3_600_000));
            }
            60..62 => self.a_clock_is_set_on_as_the_feed_tells().await,
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
            98..103 => self.a_disk_fails(),
            103 => self.steal(),
            104..106 => self.declare(a_solution(&world)).await,
            _ => {
                let rough = [0, 30, 120, 300, 600][world.between(0, 5) as usize];
                world.note("story", format_args!("of a thousand calls {rough} are hit"));
                world.weather().rough = rough;
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
