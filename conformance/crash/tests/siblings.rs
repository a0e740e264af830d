//! Programs that share a spool: what one leaves, another delivers.
#![cfg(unix)]

use std::path::Path;
use std::time::Duration;

use cloudnestle_crash::stage::Stage;
use cloudnestle_crash::writer::{Ending, Writer};

fn stage() -> Stage {
    Stage::set(Path::new(env!("CARGO_BIN_EXE_crash"))).expect("a stage")
}

/// One task that tracks an event, waits, and goes on to the others.
fn program(stage: &Stage, name: &str, attempts: u32) -> Writer {
    let (attempts, wait_after) = (Some(attempts), Some(1));
    Writer { attempts, wait_after, ending: Ending::Never, ..stage.writer(name, 1) }
}

#[test]
fn what_a_program_leaves_its_living_sibling_delivers() {
    let stage = stage();
    let (server, ready) = stage.start_server().expect("a server");
    let living = Writer { flush_every: Some(1), ..program(&stage, "living", 10) };
    let mut living = stage.spawn_writer(&living, &ready).expect("a program");
    let mut dying = stage.spawn_writer(&program(&stage, "dying", 50), &ready).expect("a program");
    stage.until(|| Ok(stage.acknowledged()?.len() == 2)).expect("their users are known");
    server.signal("STOP").expect("a server");
    dying.go_on(None).expect("a program");
    stage.until(|| Ok(stage.acknowledged()?.len() == 51)).expect("usage that can't be delivered");
    dying.kill().expect("a program");
    server.signal("CONT").expect("a server");
    living.go_on(None).expect("a program");

    stage.until(|| Ok(stage.acknowledged()?.len() == 60)).expect("it goes on");
    stage.until(|| Ok(stage.logs()?.len() == 1)).expect("it has delivered the other's usage");
    stage.until(|| Ok(stage.counted()? == 60)).expect("and its own");
    living.kill().expect("a program");
    drop(server);
    let balance = stage.settle().expect("a drained spool");
    balance.check(0).expect("an even count");
    assert_eq!(balance.acknowledged, 60);
}

/// A process that lives keeps its lock, so nobody takes its log over. Where locks get lost, two have one
/// log, and the higher epoch is heard alone. The other one sees that its lock is gone before it
/// acknowledges anything more.
#[test]
fn a_program_whose_log_was_taken_over_while_it_was_stopped_loses_nothing_and_counts_nothing_twice()
{
    let stage = stage();
    let (server, ready) = stage.start_server().expect("a server");
    let late = Writer { flush_every: Some(10), ..program(&stage, "late", 30) };
    let late = Writer { wait_after: Some(9), ending: Ending::Close, ..late };
    let mut late = stage.spawn_writer(&late, &ready).expect("a program");
    stage.until(|| Ok(stage.acknowledged()?.len() == 9)).expect("some usage");
    late.signal("STOP").expect("a program");
    // For a tenth of a second a program believes that its lock is still there.
    std::thread::sleep(Duration::from_millis(200));
    let log = stage.logs().expect("a spool").pop().expect("its log");
    std::fs::remove_file(log.join("lock")).expect("a lock that gets lost");

    let within = Duration::from_secs(60);
    let mut adopter = stage.spawn_drain(&ready, within, false).expect("a program");
    assert!(adopter.until_ended().expect("an end").success());
    assert_eq!(stage.counted().expect("a ledger"), 9);

    late.signal("CONT").expect("a program");
    late.go_on(None).expect("a program");
    assert!(late.until_ended().expect("an end").success());
    drop(server);
    let balance = stage.settle().expect("a drained spool");
    assert_eq!((balance.acknowledged, balance.lost, balance.doubled), (30, 0, 0), "{balance:?}");
}
