//! The quota race: programs spend two hard limits by leases, in mixed quantities, while they and the server
//! are killed. Nobody gets more than there is; and what the dead have held is there again in the end, so that
//! the last unit is used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use crate::kills::{Left, WRITER_LIVES, joined, kill_servers};
use crate::ledger::{Balance, Ledger};
use crate::spender::{ACTIONS, Spender};
use crate::stage::Stage;

/// What is done.
#[derive(Args, Clone, Debug)]
pub struct Quota {
    /// How many processes are killed
    #[arg(long, default_value_t = 60)]
    pub kills: usize,
    /// What the moments and quantities are drawn from
    #[arg(long, default_value_t = fastrand::u64(..))]
    pub seed: u64,
    /// How many programs spend
    #[arg(long, default_value_t = 4)]
    pub programs: usize,
    /// How many tasks a program has
    #[arg(long, default_value_t = 16)]
    pub tasks: usize,
    /// How long a task waits between two events, in microseconds
    #[arg(long, default_value_t = 20_000)]
    pub pace_us: u64,
    /// How many files there are to spend
    #[arg(long, default_value_t = 20_000)]
    pub files: i64,
    /// How many megabytes there are to spend
    #[arg(long, default_value_t = 2_000_000)]
    pub megabytes: i64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What the moments and quantities were drawn from.
    pub seed: u64,
    /// How many spend at the same time.
    pub clients: usize,
    /// How many programs were killed.
    pub programs_killed: usize,
    /// How many servers were killed.
    pub servers_killed: usize,
    /// The calls of `consume` that a kill may have cut off.
    pub in_flight: usize,
    #[serde(flatten)]
    #[allow(missing_docs, reason = "its type says it")]
    pub balance: Balance,
    /// By action.
    pub quotas: BTreeMap<&'static str, Outcome>,
}

/// What became of one limit.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Outcome {
    /// What there was.
    pub limit: i64,
    /// What was used in the end.
    pub used: i64,
    /// What was used beyond the limit.
    pub over_granted: i64,
    /// What nobody had been allowed when every client had been denied a single unit.
    pub slack: i64,
    /// What of that those had held who were killed: the others gave theirs back when they ended.
    pub held_by_the_dead: i64,
}

/// Beyond the life of a lease (5 minutes): then nobody can be using what a dead program held.
const LEASES_HAVE_ENDED: Duration = Duration::from_secs(6 * 60);

/// What the database has of one action.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// What the limit is compared with.
    spent: i64,
    /// What of that is leased.
    leased: i64,
    /// What leases have left.
    left: i64,
}

impl Quota {
    /// Kills, lets everybody spend until all are denied, settles, spends the rest, and compares.
    ///
    /// # Errors
    /// More was spent than there is, or the count does not come out even.
    pub fn run(&self, program: &Path) -> Result<Report> {
        let stage = Stage::set(program)?.in_world(&self.world())?;
        let report = self.run_on(&stage);
        report.with_context(|| format!("seed {}; see {}", self.seed, stage.keep().display()))
    }

    /// A month's limits, so that no midnight comes in between.
    fn world(&self) -> String {
        let Quota { files, megabytes, .. } = self;
        format!(
            "solutions:
  - id: {solution}
    name: Race
    actions: [{{ name: export, unit: file }}, {{ name: transfer, unit: megabyte }}]
    plans:
      - tier: registered
        allowances:
          - {{ action: export, limit: {files}, window: month, policy: hard }}
          - {{ action: transfer, limit: {megabytes}, window: month, policy: hard }}
customers: [{{ id: cus_ravi }}]
subscriptions: [{{ customer: cus_ravi, solution: {solution}, tier: registered }}]
",
            solution = crate::SOLUTION,
        )
    }

    fn run_on(&self, stage: &Stage) -> Result<Report> {
        let (programs_killed, servers_killed) = self.kill(stage)?;
        let crowd = self.until_all_are_denied(stage, "crowd", self.programs, false)?;
        stage.move_clock(LEASES_HAVE_ENDED);
        self.settle(stage)?;
        // The rest, by one who is not disturbed; and then what is left of its blocks, unit by unit.
        self.until_all_are_denied(stage, "rest", 1, false)?;
        self.settle(stage)?;
        self.until_all_are_denied(stage, "crumbs", 1, true)?;
        let at_the_end = self.settle(stage)?;

        let in_flight = programs_killed * self.tasks;
        at_the_end.balance.check(in_flight)?;
        let mut quotas = BTreeMap::new();
        for ((action, _), limit) in ACTIONS.into_iter().zip([self.files, self.megabytes]) {
            let used = at_the_end.ledger.used(action);
            let over_granted = (used - limit).max(0);
            let slack = limit - crowd.allowed.get(action).copied().unwrap_or(0);
            let held_by_the_dead = account(&crowd.when_ended, action).leased;
            let outcome = Outcome { limit, used, over_granted, slack, held_by_the_dead };
            ensure!(
                used == limit,
                "{action}: the last unit is for somebody, and no more: {outcome:?}"
            );
            quotas.insert(action, outcome);
        }
        Ok(Report {
            seed: self.seed,
            clients: self.programs * self.tasks,
            programs_killed,
            servers_killed,
            in_flight,
            balance: at_the_end.balance,
            quotas,
        })
    }

    fn spender(&self, stage: &Stage, name: String, seed: u64) -> Spender {
        let crew = stage.crew(name, self.tasks, self.pace_us);
        Spender { crew, seed, unit_by_unit: false, until_denied: None }
    }

    /// Returns how many programs and servers were killed.
    fn kill(&self, stage: &Stage) -> Result<(usize, usize)> {
        let mut seeds = fastrand::Rng::with_seed(self.seed);
        let (first_server, ready) = stage.start_server()?;
        drop(first_server);
        let left = Left::new(self.kills, ready);
        let (servers, programs) = thread::scope(|scope| {
            let rng = seeds.fork();
            let servers = scope.spawn(|| kill_servers(stage, &left, rng));
            let programs: Vec<_> = (0..self.programs)
                .map(|program| {
                    let (rng, left) = (seeds.fork(), &left);
                    scope.spawn(move || self.kill_programs(stage, left, program, rng))
                })
                .collect();
            let programs: Result<Vec<_>> = programs.into_iter().map(joined).collect();
            (joined(servers), programs)
        });
        servers?;
        let programs = programs?.into_iter().sum();
        Ok((programs, self.kills - programs))
    }

    /// Returns how many were killed.
    fn kill_programs(
        &self,
        stage: &Stage,
        left: &Left,
        program: usize,
        mut rng: fastrand::Rng,
    ) -> Result<usize> {
        let mut killed = 0;
        while left.one() {
            let spender = self.spender(stage, format!("{program}-{killed}"), rng.u64(..));
            let process = stage.spawn_spender(&spender, &left.ready()?)?;
            thread::sleep(Duration::from_millis(rng.u64(WRITER_LIVES)));
            ensure!(process.kill()?, "a program ended by itself");
            killed += 1;
        }
        Ok(killed)
    }

    /// Lets programs spend until none of their tasks gets a single unit, and end.
    fn until_all_are_denied(
        &self,
        stage: &Stage,
        name: &str,
        programs: usize,
        unit_by_unit: bool,
    ) -> Result<Crowd> {
        let (server, ready) = stage.start_server()?;
        let mut processes = Vec::new();
        for program in 0..programs {
            let name = format!("{name}-{program}");
            let mut spender = self.spender(stage, name, self.seed.wrapping_add(program as u64));
            spender.until_denied = Some(stage.denials());
            spender.unit_by_unit = unit_by_unit;
            processes.push((spender.crew.name.clone(), stage.spawn_spender(&spender, &ready)?));
        }
        for (name, process) in &mut processes {
            let told = stage.denials().join(&*name);
            stage.until(|| {
                ensure!(!process.has_ended()?, "{name} ended by itself");
                Ok(told.exists())
            })?;
        }
        self.accounts(stage)?;
        let allowed = allowed(&stage.acknowledged()?)?;
        for (_, process) in &mut processes {
            process.go_on(None)?;
            ensure!(process.until_ended()?.success(), "a program does not end well");
        }
        let when_ended = self.accounts(stage)?;
        drop(server);
        Ok(Crowd { allowed, when_ended })
    }

    /// Everything is delivered, and what nobody can be using is given back.
    fn settle(&self, stage: &Stage) -> Result<Settled> {
        let ledger = stage.drain()?;
        let noted = stage.acknowledged()?;
        let allowed = allowed(&noted)?;
        let ids = noted.iter().filter_map(|line| Some(line.split_once(' ')?.0.to_owned()));
        let balance = ledger.balance(&ids.collect::<BTreeSet<_>>())?;
        let accounts = self.accounts(stage)?;
        for (action, _) in ACTIONS {
            let Account { spent, leased, left } = account(&accounts, action);
            ensure!((leased, left) == (0, 0), "{action}: {leased} are leased to nobody");
            let used = ledger.used(action);
            ensure!(spent == used, "{action}: {used} were used, and {spent} are charged");
            let allowed = allowed.get(action).copied().unwrap_or(0);
            ensure!(allowed <= used, "{action}: {allowed} were allowed, and {used} are used");
        }
        Ok(Settled { balance, ledger })
    }

    /// What the database has, as of one moment. The limits hold, and the sums agree.
    fn accounts(&self, stage: &Stage) -> Result<BTreeMap<String, Account>> {
        let mut file = Connection::open_with_flags(stage.db(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let file = file.transaction()?;
        let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
        for kind in ["spent", "leased"] {
            let mut counters = file.prepare(
                "SELECT sort, number FROM usage_tracking WHERE partition GLOB ?1 || '/*'",
            )?;
            let mut rows = counters.query((kind,))?;
            while let Some(row) = rows.next()? {
                let (name, number): (String, i64) = (row.get(0)?, row.get(1)?);
                let action = name.split('/').next().unwrap_or_default();
                let account = accounts.entry(action.to_owned()).or_default();
                match kind {
                    "spent" => account.spent += number,
                    _ => account.leased += number,
                }
            }
        }
        let mut leases =
            file.prepare("SELECT bytes FROM usage_tracking WHERE partition GLOB 'leases/*'")?;
        let mut rows = leases.query(())?;
        while let Some(row) = rows.next()? {
            let lease: Lease = serde_json::from_slice(row.get_ref(0)?.as_blob()?)?;
            let left = lease.granted.context("every lease has a limit here")? - lease.used;
            accounts.entry(lease.action).or_default().left += left;
        }
        for ((action, _), limit) in ACTIONS.into_iter().zip([self.files, self.megabytes]) {
            let Account { spent, leased, left } = account(&accounts, action);
            ensure!(spent <= limit, "{action}: {spent} of {limit}");
            ensure!(leased == left, "{action}: {leased} are leased, and leases have {left}");
        }
        Ok(accounts)
    }
}

/// What had been allowed when all of some programs had been denied a single unit, and what the database has
/// when they have given back what they held, and ended.
struct Crowd {
    allowed: BTreeMap<String, i64>,
    when_ended: BTreeMap<String, Account>,
}

/// When everything is delivered and given back.
struct Settled {
    balance: Balance,
    ledger: Ledger,
}

/// What of a lease the count is about.
#[derive(Deserialize)]
struct Lease {
    action: String,
    granted: Option<i64>,
    used: i64,
}

/// How much of each action the lists have.
fn allowed(noted: &BTreeSet<String>) -> Result<BTreeMap<String, i64>> {
    let mut allowed = BTreeMap::new();
    for line in noted {
        let mut words = line.split(' ').skip(1);
        let (action, quantity) = words.next().zip(words.next()).context("an id and two words")?;
        *allowed.entry(action.to_owned()).or_insert(0) += quantity.parse::<i64>()?;
    }
    Ok(allowed)
}

fn account(accounts: &BTreeMap<String, Account>, action: &str) -> Account {
    accounts.get(action).copied().unwrap_or_default()
}
