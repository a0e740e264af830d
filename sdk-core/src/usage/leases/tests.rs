//! Programs that consume, and a marketplace that fails them, in a time that passes at once.

mod market;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::events::Event;
use crate::host::Host;
use crate::host::sim::{SimDisk, SimHost, Simulation, no_network};
use crate::model::Code;
use crate::usage::{FileSpool, Overflow, SpoolLimits, Usage};
use market::{DEADLINE, Market, Program, WAY};

/// Tells a story of one program and a marketplace with a limit.
fn story(limit: u64, tell: impl AsyncFnOnce(&Simulation, &Market, Program)) {
    let simulation = Simulation::new(1);
    let market = Market::with_limit(limit);
    let program = Program::begin(&simulation, &market, SimDisk::new(1));
    simulation.run(tell(&simulation, &market, program));
}

#[test]
fn a_program_asks_less_often_the_more_it_consumes_and_waits_for_few_of_the_answers() {
    story(100_000, async |_, market, program| {
        let mut waited = 0;
        for _ in 0..1_000 {
            let began = program.host.monotonic();
            program.consume(1).await.expect("there is room");
            waited += u32::from(program.host.monotonic() > began);
            program.host.sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(waited, 2, "the first, and who found that it was not the last");
        assert_eq!(market.saw("POST leases"), 11, "1, 2, 4 … 1,024");
        program.tracker.flush().await.expect("it is reached");
        assert_eq!(market.spent_and_used().1, 1_000);
        assert!(market.books().unleased.is_empty());
    });
}

#[test]
fn whoever_waits_for_a_lease_shares_one_request_and_all_get_what_is_there() {
    story(100, async |_, market, program| {
        let results = join_all((0..120).map(|_| program.consume(1))).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 100);
        assert!(market.saw("POST leases") < 100, "{}", market.saw("POST leases"));
        for error in results.into_iter().filter_map(Result::err) {
            let denial = error.denial().expect("it says why").clone();
            assert_eq!((error.code(), denial.limit), (Code::QuotaExceeded, 100));
            assert_eq!(denial.resets_at.to_string(), "2027-01-15T18:30:00Z");
            assert_eq!(denial.upgrade_url.as_deref(), Some("https://x.example/plans"));
        }
    });
}

#[test]
fn who_comes_near_a_limit_is_told_of_once_for_each_threshold() {
    story(10, async |_, _, mut program| {
        for _ in 0..10 {
            program.consume(1).await.expect("there is room");
        }
        program.consume(1).await.unwrap_err();
        let mut told = Vec::new();
        while let Some(event) = program.events.next().now_or_never().flatten() {
            if let Event::QuotaWarning { used, limit, .. } = event {
                told.push((used, limit));
            }
        }
        assert_eq!(told, [(8, 10), (10, 10)]);
    });
}

#[test]
fn a_denial_is_the_marketplaces_word_each_time() {
    story(5, async |_, market, program| {
        program.consume(5).await.expect("there is room");
        for _ in 0..3 {
            let asked = market.saw("POST leases");
            assert_eq!(program.consume(1).await.unwrap_err().code(), Code::QuotaExceeded);
            assert_eq!(market.saw("POST leases"), asked + 1);
        }
        market.books().limit = 6; // a higher tier
        program.consume(1).await.expect("there is room now");
    });
}

#[test]
fn a_program_is_not_denied_what_it_holds_itself() {
    story(200, async |_, market, program| {
        program.consume(8).await.expect("there is room");
        program.consume(8).await.expect("there is room"); // and asks for 16
        program.pass(2).await;
        assert!(market.books().spent > 16, "it holds more than it has used");
        let results = join_all([program.consume(184), program.consume(184)]).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        program.tracker.flush().await.expect("it is reached");
        assert_eq!(market.spent_and_used(), (200, 200));
    });
}

#[test]
fn who_is_denied_anyway_keeps_what_it_holds() {
    story(200, async |_, market, program| {
        program.consume(8).await.expect("there is room");
        program.consume(8).await.expect("there is room");
        program.pass(2).await;
        let denied = program.consume(185).await.unwrap_err();
        assert_eq!(denied.denial().map(|denial| denial.limit), Some(200));
        assert_eq!(market.saw("DELETE lease"), 0);
    });
}

#[test]
fn a_denial_comes_in_time_where_nothing_can_be_given_back() {
    story(200, async |_, market, program| {
        program.consume(8).await.expect("there is room");
        program.consume(8).await.expect("there is room");
        program.pass(2).await;
        market.books().takes_no_usage = true;
        program.consume(1).await.expect("it is leased");
        let began = program.host.monotonic();
        assert_eq!(program.consume(183).await.unwrap_err().code(), Code::QuotaExceeded);
        assert_eq!(program.host.monotonic() - began, DEADLINE);
    });
}

#[test]
fn what_is_rejected_is_free_again_though_its_lease_was_used_up() {
    story(8, async |_, market, program| {
        market.books().rejects = true;
        program.consume(8).await.expect("there is room");
        program.pass(2).await;
        assert_eq!((market.spent_and_used(), market.saw("DELETE lease")), ((0, 0), 1));
        market.books().rejects = false;
        program.consume(8).await.expect("there is room again");
        program.pass(2).await;
        assert_eq!((market.spent_and_used(), market.saw("DELETE lease")), ((8, 8), 1));
    });
}

#[test]
fn a_lease_that_is_charged_after_it_was_given_back_is_given_back_once_more() {
    story(5, async |_, market, program| {
        market.books().lose_answers = 3;
        program.consume(5).await.unwrap_err();
        program.pass(10).await;
        assert_eq!((market.saw("DELETE lease"), market.books().spent), (1, 0));
        market.books().straggle();
        assert_eq!(market.books().spent, 5);
        program.pass(60).await;
        assert_eq!((market.saw("DELETE lease"), market.books().spent), (2, 0));
        let stats = program.tracker.lease_stats();
        assert_eq!((stats.taken, stats.returned), (0, 0));
    });
}

#[test]
fn what_is_not_delivered_holds_up_no_other_lease() {
    story(1_000, async |_, market, program| {
        for _ in 0..2 {
            program.consume(8).await.expect("there is room");
        }
        program.pass(30).await;
        market.books().takes_no_usage = true;
        let other = || program.consume_as(Usage::of("index"));
        other().await.expect("there is room");
        other().await.expect("there is room");
        program.pass(33).await;
        // Nobody has used the first for a minute, and what it allowed is delivered.
        assert_eq!(market.saw("DELETE lease"), 1);
        program.pass(60).await;
        assert_eq!(market.saw("DELETE lease"), 1, "what the other allowed is not");
    });
}

#[test]
fn a_key_that_is_not_accepted_is_waited_for_and_said() {
    story(1_000, async |_, market, mut program| {
        program.consume(8).await.expect("there is room");
        program.consume(1).await.expect("there is room");
        program.pass(2).await;
        market.books().takes_back_with = Some("credential_invalid");
        program.pass(120).await;
        let mut told = Vec::new();
        while let Some(event) = program.events.next().now_or_never().flatten() {
            if let Event::UsageWaiting { error } = event {
                told.push(error.code());
            }
        }
        assert_eq!(told, [Code::CredentialInvalid]);
        market.books().takes_back_with = None;
        program.pass(30).await;
        assert_eq!(market.spent_and_used(), (9, 9));
    });
}

#[test]
fn what_the_marketplace_does_not_know_is_left_to_the_end() {
    story(1_000, async |_, market, program| {
        program.consume(8).await.expect("there is room");
        program.consume(1).await.expect("there is room");
        market.books().takes_back_with = Some("not_found");
        program.pass(120).await;
        let stats = program.tracker.lease_stats();
        assert_eq!((market.saw("DELETE lease"), stats.given_up), (1, 1));
        program.tracker.close(Duration::from_secs(2)).await;
        assert_eq!(market.spent_and_used(), (9, 9));
    });
}

#[test]
fn a_lease_whose_answer_is_lost_is_asked_for_again_and_charged_once() {
    story(5, async |_, market, program| {
        market.books().lose_answers = 2;
        program.consume(1).await.expect("there is room");
        assert_eq!((market.saw("POST leases"), market.books().spent), (3, 1));
    });
}

#[test]
fn a_lease_that_nobody_heard_of_is_given_back() {
    story(5, async |_, market, program| {
        market.books().lose_answers = 3;
        assert_eq!(program.consume(5).await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(market.books().spent, 5);
        program.pass(10).await;
        assert_eq!(market.books().spent, 0);
        program.consume(5).await.expect("there is room again");
    });
}

#[test]
fn a_lease_that_nobody_heard_of_is_given_back_whatever_was_said_later() {
    story(5, async |_, market, program| {
        market.books().lose_answers = 1;
        market.books().refuses = Some("credential_invalid");
        assert_eq!(program.consume(5).await.unwrap_err().code(), Code::CredentialInvalid);
        assert_eq!(market.books().spent, 5);
        program.pass(10).await;
        assert_eq!(market.books().spent, 0);
    });
}

#[test]
fn of_a_request_that_was_refused_or_never_left_nothing_is_given_back() {
    story(5, async |_, market, program| {
        market.books().refuses = Some("rate_limited");
        program.consume(1).await.unwrap_err();
        market.books().down = true;
        for _ in 0..3 {
            program.consume(1).await.unwrap_err();
        }
        market.books().down = false;
        program.pass(10).await;
        assert_eq!(market.saw("DELETE lease"), 0);
    });
}

#[test]
fn in_an_outage_what_is_leased_can_be_spent_and_no_more() {
    story(1_000, async |_, market, program| {
        program.consume(8).await.expect("there is room");
        program.consume(8).await.expect("there is room"); // and asks for 16
        market.books().down = true;
        program.consume(8).await.expect("it is leased");
        assert_eq!(program.consume(9).await.unwrap_err().code(), Code::Unavailable);
        market.books().down = false;
        program.pass(2).await;
        program.consume(9).await.expect("the marketplace is back");
    });
}

#[test]
fn in_an_outage_a_solution_may_allow_what_is_beyond_and_it_is_marked() {
    story(1_000, async |_, market, program| {
        market.books().when_offline = "overage";
        assert!(!program.consume(8).await.expect("there is room").is_overage());
        market.books().down = true;
        assert!(program.consume(9).await.expect("the solution allows it").is_overage());
        // What nothing was ever told of is refused.
        let other = program.consume_as(Usage::of("index")).await;
        assert_eq!(other.unwrap_err().code(), Code::Unavailable);
        market.books().down = false;
        program.pass(60).await;
        assert_eq!(market.books().unleased[0]["overage"], true);
        assert_eq!(market.books().unleased.len(), 1);
    });
}

#[test]
fn in_an_outage_who_is_told_without_asking_is_allowed_as_well() {
    story(1_000, async |_, market, program| {
        market.books().when_offline = "overage";
        program.consume(8).await.expect("there is room");
        market.books().down = true;
        for _ in 0..2 {
            assert!(program.consume(9).await.expect("the solution allows it").is_overage());
        }
    });
}

#[test]
fn a_marketplace_that_says_it_is_busy_is_no_outage() {
    story(1_000, async |_, market, program| {
        market.books().when_offline = "overage";
        program.consume(8).await.expect("there is room");
        market.books().refuses = Some("unavailable");
        assert_eq!(program.consume(9).await.unwrap_err().code(), Code::Unavailable);
        program.pass(2).await;
        assert!(market.books().unleased.is_empty());
    });
}

#[test]
fn whoever_consumes_waits_no_longer_than_the_deadline_however_often_it_has_to_ask() {
    story(1_000, async |_, market, program| {
        market.books().ttl_ms = 2_000;
        market.books().delay = Duration::from_secs(4); // it is over when it comes
        let began = program.host.monotonic();
        assert_eq!(program.consume(1).await.unwrap_err().code(), Code::DeadlineExceeded);
        assert_eq!(program.host.monotonic() - began, DEADLINE);
        market.books().when_offline = "overage";
        program.consume(1).await.unwrap_err();
        assert!(program.consume(1).await.expect("the solution allows it").is_overage());
    });
}

#[test]
fn the_end_of_a_lease_counts_from_when_the_request_was_sent() {
    story(1_000, async |_, market, program| {
        market.books().ttl_ms = 10_000; // 9 s here
        market.books().delay = Duration::from_secs(4);
        program.consume(8).await.expect("there is room");
        program.consume(1).await.expect("there is room"); // 4.02 s, and 4.02 s more
        let began = program.host.monotonic();
        program.consume(1).await.expect("the second lease pays");
        assert_eq!(program.host.monotonic(), began);
        program.pass(5).await;
        program.consume(1).await.expect("a third one pays");
        assert!(program.host.monotonic() - began > Duration::from_secs(9));
    });
}

#[test]
fn a_slow_answer_is_counted_from_the_attempt_that_it_answers() {
    story(1_000, async |_, market, program| {
        market.books().ttl_ms = 4_000; // 3 s here: three attempts take longer
        market.books().delay = Duration::from_secs(1);
        market.books().lose_answers = 2;
        program.consume(2).await.expect("the last attempt was a moment ago");
        assert_eq!(market.saw("POST leases"), 3);
    });
}

#[test]
fn what_nobody_uses_for_a_minute_is_given_back_once_what_was_used_is_delivered() {
    story(1_000, async |_, market, program| {
        program.consume(8).await.expect("there is room");
        program.consume(8).await.expect("there is room");
        assert!(market.books().spent > 16);
        program.pass(62).await;
        assert_eq!(market.spent_and_used(), (16, 16));
        assert_eq!((market.saw("DELETE lease"), market.books().leases.len()), (1, 0));
        let stats = program.tracker.lease_stats();
        assert_eq!((stats.taken, stats.held, stats.returned), (2, 0, 1));
        // And nobody asks for anything any more.
        let asked = market.books().saw.len();
        program.pass(3_600).await;
        assert_eq!(market.books().saw.len(), asked);
    });
}

#[test]
fn what_has_no_limit_in_this_tier_is_given_back_where_it_is_kept() {
    story(1_000, async |_, market, program| {
        market.books().soft = true;
        for _ in 0..100 {
            program.consume(1).await.expect("there is no limit");
            program.pass(62).await;
            assert!(market.books().leases.len() <= 2, "{}", market.books().leases.len());
        }
        assert_eq!(market.saw("DELETE lease"), 100);
    });
}

#[test]
fn what_is_not_used_is_given_back_after_an_outage_too() {
    story(1_000, async |_, market, program| {
        program.consume(8).await.expect("there is room");
        program.consume(1).await.expect("there is room");
        market.books().down = true;
        program.pass(600).await;
        market.books().down = false;
        program.pass(60).await;
        assert_eq!(market.spent_and_used(), (9, 9));
    });
}

#[test]
fn a_program_that_closes_gives_everything_back_and_leaves_nothing_behind() {
    story(1_000, async |_, market, program| {
        program.consume(8).await.expect("there is room");
        program.consume(1).await.expect("there is room");
        program.tracker.close(Duration::from_secs(2)).await;
        assert_eq!(market.spent_and_used(), (9, 9));
        assert_eq!((market.saw("POST end"), program.producers()), (1, 0));
        assert_eq!(market.books().ended[0]["through"], 2);
    });
}

/// Leaves something of seven leases.
async fn hold_much(program: &Program) {
    for action in 0..7 {
        for _ in 0..2 {
            let usage = Usage::of(format!("export {action}"));
            program.consume_as(usage).await.expect("there is room");
        }
    }
}

#[test]
fn a_program_that_closes_gives_back_more_than_one_call_can() {
    story(1_000, async |_, market, program| {
        hold_much(&program).await;
        market.books().page = 2;
        program.tracker.close(Duration::from_secs(2)).await;
        assert_eq!(market.spent_and_used(), (14, 14));
        assert_eq!((market.saw("POST end"), program.producers()), (4, 0));
    });
}

#[test]
fn a_program_that_closes_tries_again_within_its_time_and_no_longer() {
    story(1_000, async |_, market, program| {
        hold_much(&program).await;
        program.tracker.flush().await.expect("it is reached");
        market.books().lose_answers = 1;
        market.books().page = 2;
        let began = program.host.monotonic();
        program.tracker.close(Duration::from_secs(2)).await;
        assert!(program.host.monotonic() - began < Duration::from_secs(2));
        assert_eq!((market.spent_and_used(), program.producers()), ((14, 14), 0));
    });
}

#[test]
fn what_a_program_held_that_died_is_given_back_without_a_pause() {
    story(1_000, async |simulation, market, program| {
        hold_much(&program).await;
        program.tracker.flush().await.expect("it is reached");
        market.books().page = 1;
        let next = Program::begin(simulation, market, program.die());
        next.pass(1).await;
        assert_eq!((market.spent_and_used(), next.producers()), ((14, 14), 0));
    });
}

#[test]
fn who_can_not_end_a_producer_says_so_once_and_waits() {
    story(1_000, async |simulation, market, program| {
        hold_much(&program).await;
        program.tracker.flush().await.expect("it is reached");
        market.books().ends_with = Some("credential_invalid");
        let mut next = Program::begin(simulation, market, program.die());
        next.pass(100).await;
        let mut told = Vec::new();
        while let Some(event) = next.events.next().now_or_never().flatten() {
            if let Event::UsageWaiting { error } = event {
                told.push(error.code());
            }
        }
        assert_eq!((told, market.saw("POST end")), (vec![Code::CredentialInvalid], 4));
        market.books().ends_with = None;
        next.pass(30).await;
        assert_eq!((market.spent_and_used(), next.producers()), ((14, 14), 0));
    });
}

#[test]
fn a_program_without_leases_ends_without_a_word() {
    story(1_000, async |_, market, program| {
        crate::usage::alone::track(&program.tracker, &*program.host).await.expect("it is noted");
        program.tracker.close(Duration::from_secs(2)).await;
        assert_eq!((market.saw("POST end"), program.producers()), (0, 0));
    });
}

#[test]
fn what_a_program_held_that_died_is_given_back_by_the_next_when_its_time_is_over() {
    story(1_000, async |simulation, market, program| {
        program.consume(8).await.expect("there is room");
        program.consume(1).await.expect("there is room");
        market.books().open = 2;
        let next = Program::begin(simulation, market, program.die());
        next.pass(62).await;
        // It is delivered, and what is left is the dead one's to use until its lease ends.
        assert_eq!((market.books().used, next.producers()), (9, 1));
        assert!(market.books().spent > 9);
        next.pass(65).await;
        assert_eq!((market.books().spent, next.producers()), (9, 0));
        assert_eq!(market.books().ended[2], serde_json::json!({"epoch": 1, "through": 2}));
    });
}

#[test]
fn what_can_not_be_given_back_at_the_end_is_given_back_by_the_next_program() {
    story(1_000, async |simulation, market, program| {
        program.consume(8).await.expect("there is room");
        program.consume(1).await.expect("there is room");
        program.tracker.flush().await.expect("it is reached");
        market.books().down = true;
        program.tracker.close(Duration::from_secs(2)).await;
        assert_eq!(program.producers(), 1, "it says that there were leases");
        market.books().down = false;
        let next = Program::begin(simulation, market, program.die());
        next.pass(1).await;
        assert_eq!((market.books().spent, next.producers()), (9, 0));
    });
}

#[test]
fn what_is_not_delivered_at_the_end_is_delivered_before_the_leases_are_given_back() {
    story(1_000, async |simulation, market, program| {
        program.consume(8).await.expect("there is room");
        program.consume(1).await.expect("there is room");
        market.books().takes_no_usage = true;
        program.tracker.close(Duration::from_secs(2)).await;
        assert_eq!((market.saw("POST end"), program.producers()), (0, 1));
        market.books().takes_no_usage = false;
        let next = Program::begin(simulation, market, program.die());
        next.pass(5).await;
        assert_eq!((market.spent_and_used(), next.producers()), ((9, 9), 0));
    });
}

#[test]
fn a_marketplace_that_has_forgotten_everything_is_not_asked_for_ever() {
    story(1_000, async |simulation, market, program| {
        program.consume(8).await.expect("there is room");
        program.consume(1).await.expect("there is room");
        program.tracker.flush().await.expect("it is reached");
        market.books().forget();
        program.pass(120).await;
        assert_eq!(market.saw("DELETE lease"), 3, "as often as any call is tried");
        program.pass(600).await;
        assert_eq!(market.saw("DELETE lease"), 3);
        market.books().open = 1;
        let next = Program::begin(simulation, market, program.die());
        next.pass(30).await; // it has delivered, and waits for what is open
        market.books().forget();
        next.pass(60).await;
        // It finds that all is forgotten, delivers once more what it has, and ends.
        assert_eq!((market.saw("POST end"), next.producers()), (3, 0));
        assert_eq!(market.spent_and_used().1, 9);
    });
}

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
