//! What is asked for and when, who is denied, and how long a lease is good.

use super::*;

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
