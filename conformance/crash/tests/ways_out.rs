//! The ways out of a program: what it has acknowledged is delivered by it or by the next one.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::time::Duration;

use cloudnestle_crash::ledger::Balance;
use cloudnestle_crash::stage::Stage;
use cloudnestle_crash::writer::{Ending, Writer};

fn stage() -> Stage {
    Stage::set(Path::new(env!("CARGO_BIN_EXE_crash"))).expect("a stage")
}

/// Two tasks of 50 events each.
fn hundred_events(stage: &Stage, ending: Ending) -> Writer {
    Writer { attempts: Some(50), ending, ..stage.writer("program", 2) }
}

/// Everything that was acknowledged is there once, and nothing else but what was cut off.
fn settled(stage: &Stage, cut_off: usize) -> Balance {
    let balance = stage.settle().expect("a drained spool");
    balance.check(cut_off).expect("an even count");
    balance
}

#[test]
fn a_program_that_closes_leaves_nothing_to_do() {
    let stage = stage();
    let (server, ready) = stage.start_server().expect("a server");
    let mut program =
        stage.spawn_writer(&hundred_events(&stage, Ending::Close), &ready).expect("a program");
    assert!(program.until_ended().expect("an end").success());
    assert_eq!(stage.logs().expect("a spool").len(), 0, "what is delivered is removed");
    drop(server);
    assert_eq!(settled(&stage, 0).acknowledged, 100);
}

#[test]
fn a_program_that_just_ends_keeps_its_usage_for_the_next() {
    for ending in [Ending::Return, Ending::Panic, Ending::Exit, Ending::Abort] {
        let stage = stage();
        let (server, ready) = stage.start_server().expect("a server");
        let mut program =
            stage.spawn_writer(&hundred_events(&stage, ending), &ready).expect("a program");
        let status = program.until_ended().expect("an end");
        let in_peace = matches!(ending, Ending::Return | Ending::Exit);
        assert_eq!(status.success(), in_peace, "{ending:?}: {status}");
        drop(server);
        assert_eq!(settled(&stage, 0).acknowledged, 100, "{ending:?}");
    }
}

#[test]
fn a_program_that_is_asked_to_end_loses_nothing_whether_it_listens_or_not() {
    for ending in [Ending::CloseOnTerm, Ending::Never] {
        let stage = stage();
        let (server, ready) = stage.start_server().expect("a server");
        let mut endless = Writer { attempts: None, ..hundred_events(&stage, ending) };
        endless.crew.pace_us = 500;
        let mut program = stage.spawn_writer(&endless, &ready).expect("a program");
        stage.until(|| Ok(stage.acknowledged()?.len() > 200)).expect("some usage");
        program.signal("TERM").expect("a program");
        let status = program.until_ended().expect("an end");
        assert_eq!(status.success(), ending == Ending::CloseOnTerm, "{status}");
        drop(server);
        settled(&stage, 2);
    }
}

/// The system accepts connections for a server that is stopped, and no answer ever comes.
#[test]
fn flush_and_close_return_when_the_marketplace_never_answers() {
    let stage = stage();
    let (server, ready) = stage.start_server().expect("a server");
    let writer = Writer {
        attempts: Some(20),
        flush_every: Some(20),
        wait_after: Some(1),
        // `flush` itself must come back before that.
        patience_ms: 100_000,
        ..stage.writer("program", 1)
    };
    let mut program = stage.spawn_writer(&writer, &ready).expect("a program");
    stage.until(|| Ok(stage.acknowledged()?.len() == 1)).expect("its user is known");
    server.signal("STOP").expect("a server");
    program.go_on(None).expect("a program");
    assert!(program.until_ended().expect("an end").success());
    assert_eq!(stage.logs().expect("a spool").len(), 1, "it is all still there");
    server.signal("CONT").expect("a server");
    server.kill().expect("a server");
    assert_eq!(settled(&stage, 0).acknowledged, 20);
}

/// As a laptop that is closed, or a function that is frozen between two calls.
#[test]
fn a_program_that_is_frozen_while_its_request_is_under_way_counts_once() {
    let stage = stage();
    let (server, ready) = stage.start_server().expect("a server");
    let writer = Writer { attempts: Some(20), wait_after: Some(20), ..stage.writer("program", 1) };
    let mut program = stage.spawn_writer(&writer, &ready).expect("a program");
    stage.until(|| Ok(stage.acknowledged()?.len() == 20)).expect("some usage");
    server.signal("STOP").expect("a server");
    // It sends within a second, and nobody reads it.
    let mut waiting = 0;
    stage
        .until(|| {
            std::thread::sleep(Duration::from_millis(200));
            let (before, now) = (waiting, stage.unread_bytes()?);
            waiting = now;
            Ok(now > 0 && now == before)
        })
        .expect("a request");
    program.signal("STOP").expect("a program");
    server.signal("CONT").expect("a server");
    stage.until(|| Ok(stage.counted()? == 20)).expect("it is counted, and nobody hears");
    program.signal("CONT").expect("a program");
    program.go_on(None).expect("a program");
    assert!(program.until_ended().expect("an end").success());
    assert_eq!(stage.logs().expect("a spool").len(), 0, "it knows in the end");
    drop(server);
    assert_eq!(settled(&stage, 0).acknowledged, 20);
}

#[test]
fn a_program_that_is_stopped_for_a_while_goes_on() {
    let stage = stage();
    let (server, ready) = stage.start_server().expect("a server");
    let mut endless = Writer { attempts: None, ..stage.writer("program", 8) };
    endless.crew.pace_us = 500;
    let program = stage.spawn_writer(&endless, &ready).expect("a program");
    let mut seen = 0;
    for _ in 0..3 {
        stage.until(|| Ok(stage.acknowledged()?.len() > seen + 200)).expect("it goes on");
        program.signal("STOP").expect("a program");
        std::thread::sleep(Duration::from_secs(2));
        seen = stage.acknowledged().expect("lists").len();
        program.signal("CONT").expect("a program");
    }
    assert!(program.kill().expect("an end"), "it goes on until it is killed");
    drop(server);
    settled(&stage, 8);
}
