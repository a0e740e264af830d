//! What is allowed while nobody can be asked.

use super::*;

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
