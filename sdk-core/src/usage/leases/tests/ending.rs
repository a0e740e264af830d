//! What becomes of leases when their program ends, or has died.

use super::*;

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
