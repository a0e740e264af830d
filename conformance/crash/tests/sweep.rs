//! Slices of the sweeps that `cargo xtask crash` runs: some system calls, drawn anew each time, are the
//! last one of their process, or fail.
#![cfg(target_os = "linux")]

use std::path::Path;

use cloudnestle_crash::sweep::{Of, Sweep};

fn sweep(of: Of) {
    let sweep = Sweep { of, sample: Some(8), seed: fastrand::u64(..) };
    let report = sweep.run(Path::new(env!("CARGO_BIN_EXE_crash"))).expect("an even count");
    println!("{report:?}");
    assert_eq!(report.killed + report.failed, 8, "{report:?}");
}

#[test]
fn a_program_may_die_at_any_call_of_its_first_event() {
    sweep(Of::Beginning);
}

#[test]
fn a_program_may_die_at_any_call_about_its_spool() {
    sweep(Of::Spool);
}

#[test]
fn a_program_may_die_at_any_call_while_it_adopts() {
    sweep(Of::Adoption);
}

#[test]
fn a_server_may_die_at_any_call_about_its_database() {
    sweep(Of::Database);
}
