//! What the log has to do with what is spent: full, dropped, taken over, left.

use super::*;
use crate::usage::log::RecordLog;

#[test]
fn what_can_not_be_noted_is_not_spent() {
    story(8, async |_, market, program| {
        program.consume(3).await.expect("there is room");
        program.consume(1).await.expect("there is room");
        program.disk.set_room(Some(0));
        assert_eq!(program.consume(1).await.unwrap_err().code(), Code::SpoolFull);
        program.disk.set_room(None);
        for _ in 0..4 {
            program.consume(1).await.expect("nothing was spent");
        }
        assert_eq!(program.consume(1).await.unwrap_err().code(), Code::QuotaExceeded);
        program.tracker.flush().await.expect("it is reached");
        assert_eq!(market.books().used, 8);
    });
}

#[test]
fn what_a_full_spool_drops_was_allowed_and_is_free_again_when_its_lease_is_given_back() {
    story(1_000, async |simulation, market, program| {
        program.tracker.close(Duration::ZERO).await;
        let limits = SpoolLimits::default().events(2).overflow(Overflow::DropNewest);
        let program = Program::with(simulation, market, SimDisk::new(2), limits);
        market.books().down = true;
        program.consume(8).await.unwrap_err();
        market.books().down = false;
        program.pass(2).await;
        for quantity in [8, 8, 8] {
            program.consume(quantity).await.expect("the program chose to go on");
        }
        assert_eq!(program.tracker.stats().lost.overflow, 1);
        program.tracker.close(Duration::from_secs(2)).await;
        assert_eq!(market.spent_and_used(), (16, 16));
    });
}

#[test]
fn whose_log_was_taken_over_begins_another_with_leases_of_its_own() {
    story(1_000, async |_, market, program| {
        program.consume(8).await.expect("there is room");
        program.consume(1).await.expect("there is room");
        program.tracker.flush().await.expect("it is reached");
        let first = market.books().leases.values().next().expect("it has something left").0.clone();
        market.books().superseded = Some(first.clone());
        program.consume(100).await.expect("another log has a lease");
        program.consume(1).await.expect("and one more");
        program.tracker.flush().await.expect("it is reached");
        assert_eq!(market.spent_and_used().1, 110);
        let holders = || market.books().leases.values().map(|(holder, _)| holder.clone()).collect();
        let holders: Vec<_> = holders();
        assert!(holders.iter().any(|holder| *holder != first), "{holders:?}");
    });
}

#[test]
fn a_name_that_counts_once_leaves_nothing_behind_that_is_charged() {
    story(8, async |_, market, program| {
        for _ in 0..2 {
            let job = Usage::of("export").quantity(4).idempotency_key("job-1");
            program.consume_as(job).await.expect("there is room");
        }
        // Whether the second one counts, the marketplace knows: what it did not count is free again.
        program.pass(5).await;
        assert_eq!(market.saw("DELETE lease"), 2);
    });
}

#[test]
fn a_correction_is_not_consumed() {
    story(8, async |_, market, program| {
        let consumed = program.consume(3).await.expect("there is room");
        let event = consumed.receipt().reference().await.expect("it is persisted");
        let refused = program.consume_as(Usage::of("export").voids(event)).await;
        assert_eq!(refused.unwrap_err().code(), Code::RequestInvalid);
        assert_eq!(market.saw("POST leases"), 1);
        program.host.sleep(WAY).await;
    });
}

#[test]
fn who_has_left_a_log_or_ended_it_takes_no_leases_in_its_name() {
    let simulation = Simulation::new(1);
    let host = SimHost::new(&simulation, None, no_network());
    let files = Arc::new(SimDisk::new(1));
    let (dir, limits) = (PathBuf::from("spool"), SpoolLimits::default());
    let spool = FileSpool { host: host.clone(), files, dir, limits, in_memory: false };
    let left = spool.begin(host.wall()).expect("there is a disk");
    left.leave(0);
    assert_eq!(left.lease_right().err().map(|error| error.code()), Some(Code::Closed));
    let ended = spool.begin(host.wall()).expect("there is a disk");
    assert_eq!(ended.lease_right().expect("it is ours").epoch(), 0);
    ended.has_returned_leases();
    assert_eq!(ended.lease_right().err().map(|error| error.code()), Some(Code::Closed));
}
