//! Files that can't grow as far as is written: the system makes such a write in part, and says so.
#![cfg(target_os = "linux")]

use std::path::Path;

use cloudnestle_crash::stage::Stage;
use cloudnestle_crash::writer::{Ending, Mode, Writer};

fn stage() -> Stage {
    Stage::set(Path::new(env!("CARGO_BIN_EXE_crash"))).expect("a stage")
}

#[test]
fn a_record_that_is_written_in_part_is_refused_and_costs_no_other() {
    for mode in [Mode::Fast, Mode::Durable] {
        let stage = stage();
        let (server, ready) = stage.start_server().expect("a server");
        let (attempts, ending) = (Some(100), Ending::Return);
        let writer = Writer { attempts, mode, ending, ..stage.writer("program", 4) };
        // A log has room for some ten events, until they are delivered.
        let mut program = stage.spawn_confined(&writer, &ready, 8).expect("a program");
        assert!(program.until_ended().expect("an end").success());
        drop(server);
        let balance = stage.settle().expect("a drained spool");
        balance.check(0).expect("an even count");
        let acknowledged = balance.acknowledged;
        assert!((1..400).contains(&acknowledged), "{acknowledged}: the files were not confined");
    }
}

#[test]
fn a_commit_that_is_written_in_part_is_none_and_usage_waits_for_room() {
    let stage = stage();
    // Room to be founded, and for some commits.
    let mut confined = stage.spawn_confined_server(600).expect("a server");
    let ready = stage.until_ready(&mut confined).expect("an answer").expect("it is ready");
    let writer = Writer {
        attempts: Some(300),
        flush_every: Some(5),
        patience_ms: 100,
        ..stage.writer("program", 4)
    };
    let mut program = stage.spawn_writer(&writer, &ready).expect("a program");
    assert!(program.until_ended().expect("an end").success());
    let pending = stage.logs().expect("a spool").len();
    assert!(confined.kill().expect("an end"), "it answers until it is killed");
    assert_eq!(pending, 1, "the files were not confined");
    let balance = stage.settle().expect("a drained spool");
    balance.check(0).expect("an even count");
    assert_eq!(balance.acknowledged, 1_200);
}
