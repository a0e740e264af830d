//! The Rust face, scenario by scenario: the SDK against a server of its own for each.

mod face;
mod program;
mod server;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::{Context, Result, bail, ensure};
use cloudnestle_conformance::{Answer, Deed, Scenario, Step, scenarios};
use libtest_mimic::{Arguments, Failed, Trial};

use program::Program;
use server::Server;

fn main() -> std::process::ExitCode {
    let mut arguments = Arguments::from_args();
    // Scenarios mostly wait, because some bounds are measured in real time.
    arguments.test_threads.get_or_insert(16);
    let trials = match scenarios().and_then(with_the_readmes) {
        Ok(scenarios) => scenarios,
        Err(error) => {
            eprintln!("{error}");
            return std::process::ExitCode::FAILURE;
        }
    };
    let trials = trials.into_iter().map(|(name, scenario)| {
        Trial::test(name, move || {
            play(scenario).map_err(|error| Failed::from(format!("{error:#}")))
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// The README's example is a scenario, too.
fn with_the_readmes(
    mut scenarios: BTreeMap<String, Scenario>,
) -> Result<BTreeMap<String, Scenario>, String> {
    let readme = include_str!("../../README.md");
    let example = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let example = example.ok_or("the README has no example")?;
    scenarios.insert("the_example_of_the_readme".to_owned(), Scenario::read(example)?);
    Ok(scenarios)
}

#[tokio::main]
async fn play(scenario: Scenario) -> Result<()> {
    let mut server = Server::start(&scenario).await?;
    let mut programs = BTreeMap::new();
    programs.insert(None, Program::begin(&server, &scenario.given).await?);
    for (index, step) in scenario.steps.iter().enumerate() {
        let name = || format!("“{}”, step {} ({:?})", scenario.promise, index + 1, step.deed);
        let program = match programs.entry(step.program.clone()) {
            Entry::Occupied(program) => program.into_mut(),
            Entry::Vacant(place) => place.insert(Program::begin(&server, &scenario.given).await?),
        };
        take(step, &mut server, program).await.with_context(name)?;
    }
    server.must_have_seen(&scenario.server).await.context(scenario.promise)
}

async fn take(step: &Step, server: &mut Server, program: &mut Program) -> Result<()> {
    let expects =
        step.error.is_some() || step.answer != Answer::default() || step.requests.is_some();
    let is_answered = step.deed.is_the_programs() || step.deed == Deed::Report;
    ensure!(!expects || is_answered, "{:?} gives no answer", step.deed);
    match step.deed {
        Deed::Revoke => server.revoke(program.access_token(step)?).await,
        Deed::ResetQuota => server.reset_quota(step).await,
        Deed::RevokeUser => server.revoke_user(customer(step)?).await,
        Deed::ChangeTier => {
            server.change_tier(customer(step)?, step.tier.context("`tier` is missing")?).await
        }
        Deed::Issue => {
            let pair = server.pair(customer(step)?, server.solution()).await?;
            program.is_given(step, pair)
        }
        Deed::RestartServer => server.restart().await,
        Deed::Report => {
            let refused = server.report(program.access_token(step)?, step).await?;
            ensure!(refused == step.error, "{refused:?} in place of {:?}", step.error);
            Ok(())
        }
        Deed::LimitCalls => server.limit_calls(step.per_second.context("`per_second` is missing")?),
        Deed::RotateSigningKey => server.rotate_signing_key().await,
        Deed::Register => server.register(program.access_token(step)?).await,
        Deed::AdvanceClock => server.advance_clock(millis(step)?).await,
        Deed::TurnClockBack => server.turn_clock_back(millis(step)?).await,
        Deed::GoOffline => server.outage(true),
        Deed::ComeOnline => server.outage(false),
        Deed::Faults => server.plan(&step.plan),
        Deed::Wait => {
            tokio::time::sleep(std::time::Duration::from_millis(millis(step)?)).await;
            Ok(())
        }
        _ => {
            let requests = program.requests();
            for _ in 0..step.times.unwrap_or(1) {
                program.call(step).await?;
            }
            match step.requests {
                Some(expected) if program.requests() - requests != expected => {
                    bail!("{} requests, not {expected}", program.requests() - requests)
                }
                _ => Ok(()),
            }
        }
    }
}

fn customer(step: &Step) -> Result<&str> {
    step.customer.as_deref().context("`customer` is missing")
}

fn millis(step: &Step) -> Result<u64> {
    step.millis.context("`millis` is missing")
}
