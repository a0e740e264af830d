//! What is given back while a program goes on: what is not used, what was rejected, and what nobody heard of.

use super::*;

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
