//! The rules, by stories and at random.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::model::Timestamp;

const TTL: u64 = 300_000;
const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: f64) -> Moment {
    let monotonic = Duration::from_secs_f64(seconds);
    Moment { monotonic, wall: Timestamp::from_secs(1_800_000_000) + monotonic }
}

fn lease(id: &str, granted: impl Into<Option<u64>>) -> Lease {
    Lease { id: id.into(), granted: granted.into(), ttl_ms: TTL, kept: true }
}

fn unkept(id: &str) -> Lease {
    Lease { kept: false, ..lease(id, None) }
}

fn book_with(id: &str, granted: impl Into<Option<u64>>) -> Book {
    let mut book = Book::default();
    book.add("cus_a", "export", lease(id, granted), at(0.0));
    book
}

/// Which lease paid, and whether the next is to be asked for.
fn spend(book: &mut Book, quantity: u64, now: Moment) -> Option<(String, bool)> {
    let payer = book.payer("cus_a", "export", quantity, now)?;
    let id = payer.lease_id().to_owned();
    Some((id, payer.draw(quantity, Ticket::of(1), false, now)))
}

/// What is over by then.
fn over(book: &mut Book, now: Moment) -> Vec<Over> {
    book.look(now);
    book.returns.take_new()
}

fn names(over: Vec<Over>) -> Vec<String> {
    over.into_iter().map(|over| over.lease_id.to_string()).collect()
}

#[test]
fn a_lease_pays_as_much_as_it_has_and_for_nobody_else() {
    let mut book = book_with("lse_1", 3);
    assert!(book.payer("cus_b", "export", 1, at(1.0)).is_none());
    assert!(book.payer("cus_a", "search", 1, at(1.0)).is_none());
    assert!(spend(&mut book, 4, at(1.0)).is_none());
    assert!(spend(&mut book, 2, at(1.0)).is_some());
    assert!(spend(&mut book, 2, at(1.0)).is_none());
    assert!(spend(&mut book, 1, at(1.0)).is_some());
    assert!(spend(&mut book, 1, at(1.0)).is_none());
    assert_eq!(over(&mut book, at(1_000.0))[0].rest, Rest::UsedUp, "the marketplace knows");
}

#[test]
fn a_lease_ends_when_the_first_of_two_clocks_says_so() {
    let slow = Moment { monotonic: SECOND, ..at(297.0) };
    assert!(spend(&mut book_with("lse_1", 3), 1, slow).is_none(), "the machine slept");
    let set_back = Moment { wall: at(1.0).wall, ..at(297.0) };
    assert!(spend(&mut book_with("lse_1", 3), 1, set_back).is_none(), "the clock was set");
    assert!(spend(&mut book_with("lse_1", 3), 1, at(296.9)).is_some(), "300 s but a hundredth");
}

#[test]
fn a_lease_that_is_said_to_last_for_ever_ends_after_five_minutes() {
    let endless = || Lease { ttl_ms: u64::MAX, ..lease("lse_1", 3) };
    let mut book = Book::default();
    book.add("cus_a", "export", endless(), at(0.0));
    assert!(spend(&mut book, 1, at(296.9)).is_some());
    assert!(spend(&mut book, 1, at(297.0)).is_none());
}

#[test]
fn shortly_before_its_window_ends_a_lease_can_still_be_used() {
    let mut book = Book::default();
    let short = Lease { ttl_ms: 400, ..lease("lse_1", 1) };
    book.add("cus_a", "export", short, at(0.0));
    assert!(spend(&mut book, 1, at(0.1)).is_some());
}

#[test]
fn who_comes_once_needs_no_second_lease_and_who_comes_often_has_it_before_the_first_is_used_up() {
    let mut book = book_with("lse_1", 1);
    assert_eq!(spend(&mut book, 1, at(1.0)), Some(("lse_1".into(), false)));

    let mut book = book_with("lse_1", 4);
    let asks: Vec<bool> =
        (0..4).map(|_| spend(&mut book, 1, at(1.0)).expect("there is enough").1).collect();
    assert_eq!(asks, [false, false, true, false], "once, when less than half is left");

    let mut book = book_with("lse_1", 100);
    assert_eq!(spend(&mut book, 1, at(200.0)), Some(("lse_1".into(), false)));
    assert_eq!(spend(&mut book, 1, at(201.0)), Some(("lse_1".into(), true)), "half its time");
}

#[test]
fn the_older_lease_pays_first_and_no_third_is_asked_for() {
    let mut book = book_with("lse_1", 2);
    spend(&mut book, 1, at(1.0));
    book.add("cus_a", "export", lease("lse_2", 2), at(2.0));
    assert_eq!(spend(&mut book, 1, at(3.0)), Some(("lse_1".into(), false)));
    assert_eq!(spend(&mut book, 1, at(3.0)), Some(("lse_2".into(), false)));
}

#[test]
fn blocks_double_when_they_are_used_up_early_and_shrink_to_what_was_used_when_not() {
    let mut book = book_with("lse_1", 8);
    assert_eq!(book.wanted("cus_b", "export", 1, at(1.0)), 1, "nothing is known of them");
    spend(&mut book, 5, at(1.0));
    assert_eq!(book.wanted("cus_a", "export", 1, at(1.0)), 16);
    assert_eq!(book.wanted("cus_a", "export", 100, at(1.0)), 100, "what is needed now");
    assert_eq!(book.wanted("cus_a", "export", 1, at(200.0)), 5, "half of its time is over");
    spend(&mut book, 3, at(2.0));
    assert_eq!(book.wanted("cus_a", "export", 1, at(200.0)), 16, "it was used up by then");
}

#[test]
fn what_an_account_has_beyond_two_leases_is_given_back() {
    let mut book = book_with("lse_1", 4);
    spend(&mut book, 1, at(1.0));
    book.add("cus_a", "export", lease("lse_2", 4), at(1.0));
    book.add("cus_a", "export", lease("lse_3", 9), at(1.0));
    assert!(book.returns.has_new());
    assert_eq!(names(over(&mut book, at(1.0))), ["lse_1"]);
    assert_eq!(book.held(), 2);
}

#[test]
fn what_nobody_has_used_for_a_minute_is_given_back_and_forgotten() {
    let mut book = book_with("lse_1", 4);
    spend(&mut book, 1, at(30.0));
    assert_eq!(book.next_look(), Some(60 * SECOND));
    assert!(over(&mut book, at(60.0)).is_empty());
    assert_eq!(book.next_look(), Some(90 * SECOND));
    assert_eq!(names(over(&mut book, at(90.0))), ["lse_1"]);
    assert_eq!((book.next_look(), book.customers.len()), (None, 0));
}

#[test]
fn what_has_a_name_that_counts_once_is_given_back_even_if_it_seems_used_up() {
    let mut book = book_with("lse_1", 2);
    for (number, is_named) in [(7, true), (9, false)] {
        let payer = book.payer("cus_a", "export", 1, at(1.0)).expect("it pays");
        payer.draw(1, Ticket::of(number), is_named, at(1.0));
    }
    let over = over(&mut book, at(1.0));
    assert_eq!(over[0].allowed, Some((Ticket::of(7), Ticket::of(9))));
    assert_eq!(over[0].rest, Rest::Left(0));
}

#[test]
fn what_an_account_has_itself_can_be_given_back_at_once() {
    let mut book = book_with("lse_1", 4);
    book.add("cus_a", "export", lease("lse_2", 9), at(1.0));
    spend(&mut book, 1, at(1.0));
    assert_eq!((book.own("cus_a", "export"), book.own("cus_a", "search")), (12, 0));
    book.surrender("cus_a", "export", at(1.0));
    assert!(spend(&mut book, 1, at(1.0)).is_none());
    assert_eq!(book.own("cus_a", "export"), 12, "it is on its way");
    for over in book.returns.take_new() {
        book.returns.done(over, SECOND);
    }
    assert_eq!(book.own("cus_a", "export"), 0);
}

#[test]
fn what_the_marketplace_does_not_keep_is_not_given_back() {
    let mut book = Book::default();
    book.add("cus_a", "search", unkept("lse_1"), at(0.0));
    assert!(book.payer("cus_a", "search", 1_000_000, at(1.0)).is_some());
    assert!(over(&mut book, at(60.0)).is_empty());
    assert!(book.customers.is_empty());
}

#[test]
fn a_full_table_forgets_who_holds_nothing_and_was_not_there_for_the_longest() {
    let mut book = book_with("lse_0", 5);
    for customer in 1..MOST_ACCOUNTS + 10 {
        let name = format!("cus_{customer}");
        let sent = at(customer as f64 / 10_000.0);
        book.add(&name, "search", unkept("lse_1"), sent);
    }
    assert_eq!((book.customers.len(), book.accounts), (MOST_ACCOUNTS, MOST_ACCOUNTS));
    assert!(book.payer("cus_a", "export", 1, at(11.0)).is_some(), "it holds something");
    assert!(book.payer("cus_1", "search", 1, at(11.0)).is_none());
    assert!(book.payer("cus_100000", "search", 1, at(11.0)).is_some());
}

#[test]
fn a_full_table_of_those_who_hold_something_gives_back_what_was_not_used_for_the_longest() {
    let mut book = Book::default();
    for account in 0..=MOST_ACCOUNTS {
        let (customer, id) = (format!("cus_{account}"), format!("lse_{account}"));
        book.add(&customer, "export", lease(&id, 5), at(account as f64 / 10_000.0));
    }
    assert_eq!((book.accounts, book.held()), (MOST_ACCOUNTS, MOST_ACCOUNTS as u64));
    assert_eq!(names(book.returns.take_new()), ["lse_0"]);
}

#[derive(Clone, Debug)]
enum Deed {
    Spend { customer: u8, quantity: u64 },
    Grant { customer: u8, granted: Option<u64>, ttl_ms: u64 },
    Pass { millis: u64 },
    SetClock { millis: i64 },
    Look,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => (0..3u8, 1..9u64).prop_map(|(customer, quantity)| Deed::Spend { customer, quantity }),
        3 => (0..3u8, prop::option::weighted(0.9, 1..20u64), 1..400_000u64).prop_map(
            |(customer, granted, ttl_ms)| Deed::Grant { customer, granted, ttl_ms }
        ),
        2 => (0..100_000u64).prop_map(|millis| Deed::Pass { millis }),
        1 => (-400_000..400_000i64).prop_map(|millis| Deed::SetClock { millis }),
        1 => Just(Deed::Look),
    ];
    prop::collection::vec(deed, 1..80)
}

/// What was granted, as whoever granted it knows it.
struct Granted {
    customer: String,
    amount: Option<u64>,
    ends: Moment,
    drawn: u64,
    given_back: bool,
}

proptest! {
    #[test]
    fn nothing_is_spent_twice_or_after_its_end_and_all_that_is_left_is_given_back(deeds in deeds()) {
        let mut book = Book::default();
        let mut granted = HashMap::<String, Granted>::new();
        let mut now = at(1_000.0);
        let give_back = |book: &mut Book, granted: &mut HashMap<String, Granted>, now| {
            for over in over(book, now) {
                let lease = granted.get_mut(&*over.lease_id).expect("it was granted");
                assert!(!std::mem::replace(&mut lease.given_back, true), "given back twice");
                let left = lease.amount.map_or(0, |amount| amount - lease.drawn);
                let is_used_up = lease.amount == Some(lease.drawn);
                let rest = if is_used_up { Rest::UsedUp } else { Rest::Left(left) };
                assert_eq!(over.rest, rest);
            }
        };
        for deed in deeds {
            match deed {
                Deed::Spend { customer, quantity } => {
                    let customer = format!("cus_{customer}");
                    let Some(payer) = book.payer(&customer, "export", quantity, now) else { continue };
                    let lease = granted.get_mut(payer.lease_id()).expect("it was granted");
                    lease.drawn += quantity;
                    prop_assert_eq!(&lease.customer, &customer);
                    prop_assert!(lease.amount.is_none_or(|amount| lease.drawn <= amount));
                    prop_assert!(!lease.given_back);
                    prop_assert!(now.monotonic < lease.ends.monotonic && now.wall < lease.ends.wall);
                    payer.draw(quantity, Ticket::of(1), false, now);
                }
                Deed::Grant { customer, granted: amount, ttl_ms } => {
                    let (id, customer) = (format!("lse_{}", granted.len()), format!("cus_{customer}"));
                    let ttl = Duration::from_millis(ttl_ms);
                    let ends = Moment { monotonic: now.monotonic + ttl, wall: now.wall + ttl };
                    let lease = Lease { id: id.clone(), granted: amount, ttl_ms, kept: true };
                    let (drawn, given_back) = (0, false);
                    book.add(&customer, "export", lease, now);
                    granted.insert(id, Granted { customer, amount, ends, drawn, given_back });
                }
                Deed::Pass { millis } => {
                    now.monotonic += Duration::from_millis(millis);
                    now.wall = now.wall + Duration::from_millis(millis);
                }
                Deed::SetClock { millis } => {
                    now.wall = Timestamp::from_millis(now.wall.as_millis() + millis);
                }
                Deed::Look => give_back(&mut book, &mut granted, now),
            }
        }
        now.monotonic += 1_000 * SECOND;
        give_back(&mut book, &mut granted, now);
        prop_assert_eq!(book.next_look(), None);
        prop_assert!(book.customers.is_empty() && book.agenda.is_empty() && book.accounts == 0);
        for lease in granted.values() {
            prop_assert!(lease.given_back);
        }
    }
}
