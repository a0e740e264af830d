//! The log that the tabs of a browser share: who gives out its numbers is the browser, who sends it is whoever
//! comes first.

mod browser;
mod full;

use std::ops::AddAssign;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::join;

use super::each_seed;
use crate::events::{Event, Events};
use crate::host::Host;
use crate::host::sim::Simulation;
use crate::model::{Code, LossReason};
use crate::usage::limits::{Durability, SpoolLimits};
use browser::{Browser, Tab};

#[derive(Debug, Default)]
struct Totals {
    events: u64,
    deaths: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.events += other.events;
        self.deaths += other.deaths;
    }
}

#[test]
fn tabs_that_append_and_send_at_the_same_time_count_each_event_once() {
    each_seed(60, |seed| {
        let simulation = Simulation::new(seed);
        let browser = Browser::new();
        browser.market.books().mishap_of = Some(4);
        let (one, two) = (browser.tab(&simulation), browser.tab(&simulation));
        simulation.run(async {
            join(busy(&one, Rng::with_seed(seed)), busy(&two, Rng::with_seed(!seed))).await;
        });
        let kept = browser.kept();
        let counted = browser.market.books().counted.len() as u64;
        assert_eq!((counted, browser.market.books().lost), (60, 0));
        assert_eq!((kept.last, kept.answered, kept.records.len()), (60, 60, 0));
        for tab in [&one, &two] {
            let usage = tab.tracker.stats();
            assert_eq!(usage.tracked, usage.delivered + usage.pending, "{usage:?}");
        }
        Totals { events: counted, deaths: 0 }
    });
}

/// Notes thirty events, and waits until they are counted.
async fn busy(tab: &Tab, mut chance: Rng) {
    let mut receipts = Vec::new();
    for _ in 0..30 {
        receipts.push(tab.track().await.unwrap());
        if chance.u8(..3) == 0 {
            tab.wait(chance.u64(..400)).await;
        }
    }
    for receipt in receipts {
        receipt.persisted().await.unwrap();
        receipt.delivered().await.unwrap();
    }
}

/// A tab may be closed between any two steps. What it had an acknowledgement for is in the log, and sent by
/// another; what it had none for counts, or does not.
#[test]
fn what_a_tab_had_acknowledged_that_was_closed_is_sent_by_another_and_counts_once() {
    let totals = each_seed(150, |seed| {
        let simulation = Simulation::new(seed);
        let browser = Browser::new();
        let mut chance = Rng::with_seed(seed);
        let closed = browser.tab(&simulation);
        let acknowledged = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let writing = async {
            let noted = acknowledged.clone();
            let tab = closed;
            tab.sim.clone().kill_after(chance.u64(..120), || {});
            let host = tab.sim.clone();
            let write = async move {
                loop {
                    let receipt = tab.track().await.unwrap();
                    if receipt.persisted().await.is_ok() {
                        noted.lock().unwrap().push(receipt.event_id().to_owned());
                    }
                }
            };
            crate::host::Host::spawn(&*host, Box::pin(write));
        };
        let other = simulation.run(async {
            writing.await;
            let other = browser.tab(&simulation);
            other.wait(200_000).await; // it looks by itself
            other
        });
        let acknowledged = acknowledged.lock().unwrap();
        let books = browser.market.books();
        for id in acknowledged.iter() {
            assert!(books.counted.contains(id), "{id} was acknowledged");
        }
        assert_eq!(other.tracker.stats().pending, 0);
        Totals { events: acknowledged.len() as u64, deaths: 1 }
    });
    assert!(totals.events > 100, "{totals:?}");
}

#[test]
fn a_receipt_is_answered_although_another_tab_has_delivered_its_event() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    let (mut there, here) = (browser.tab(&simulation), browser.tab(&simulation));
    there.go_offline();
    simulation.run(async {
        let counted = there.track().await.unwrap();
        counted.persisted().await.unwrap();
        here.tracker.flush().await.unwrap();
        assert_eq!(browser.market.books().counted.len(), 1, "it is sent by who can");
        counted.delivered().await.unwrap();
        assert_eq!(there.tracker.stats().delivered, 1);

        browser.market.books().rejects = true;
        let rejected = there.track().await.unwrap();
        rejected.persisted().await.unwrap();
        here.tracker.flush().await.unwrap();
        let error = rejected.delivered().await.unwrap_err();
        assert_eq!(error.code(), Code::ActionUnknown);
        let usage = there.tracker.stats();
        assert_eq!((usage.delivered, usage.rejected, usage.pending), (1, 1, 0));
        while let Some(event) = there.events.next().await {
            if let Event::UsageDelivered { count } = event {
                assert_eq!(count, 1);
                break;
            }
        }
    });
}

#[test]
fn an_outage_is_told_once_however_often_the_log_is_looked_into() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    let mut tab = browser.tab(&simulation);
    tab.go_offline();
    simulation.run(async {
        tab.track().await.unwrap();
        tab.wait(600_000).await;
        tab.tracker.close(Duration::from_secs(1)).await;
    });
    let mut told = 0;
    while let Some(Some(event)) = tab.events.next().now_or_never() {
        told += u32::from(matches!(event, Event::UsageWaiting { .. }));
    }
    assert_eq!(told, 1);
}

#[test]
fn what_was_rejected_is_kept_for_all_tabs_and_replayed_by_one() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    let (one, two) = (browser.tab(&simulation), browser.tab(&simulation));
    browser.market.books().rejects = true;
    simulation.run(async {
        let first = one.track().await.unwrap();
        one.track().await.unwrap();
        one.tracker.flush().await.unwrap();
        let rejected = two.tracker.rejected().await.unwrap();
        assert_eq!(rejected.len(), 2);
        assert_eq!(rejected[0].event.id, first.event_id());

        browser.market.books().rejects = false;
        assert_eq!(two.tracker.replay_rejected().await.unwrap(), 2);
        two.tracker.flush().await.unwrap();
        assert_eq!(browser.market.books().counted.len(), 2);
        assert_eq!(one.tracker.rejected().await.unwrap(), []);
    });
}

#[test]
fn what_is_replayed_stays_rejected_until_all_of_it_is_kept() {
    const MANY: usize = 600; // more than one transaction takes
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    let tab = browser.tab(&simulation);
    browser.market.books().rejects = true;
    simulation.run(async {
        for _ in 0..MANY {
            tab.track().await.unwrap();
        }
        tab.tracker.flush().await.unwrap();
        browser.market.books().rejects = false;
        browser.room.store(MANY - 500, Ordering::Relaxed); // for the second transaction alone
        let refused = tab.tracker.replay_rejected().await.unwrap_err();
        assert_eq!(refused.code(), Code::SpoolFull);
        browser.room.store(usize::MAX, Ordering::Relaxed);
        assert_eq!(tab.tracker.replay_rejected().await.unwrap(), MANY as u64);
        tab.tracker.flush().await.unwrap();
        assert_eq!(tab.tracker.rejected().await.unwrap(), []);
    });
    assert_eq!(browser.market.books().counted.len(), MANY);
}

#[test]
fn a_browser_that_keeps_nothing_has_usage_kept_in_memory_and_that_is_said() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    browser.private.store(true, Ordering::Relaxed);
    let mut tab = browser.tab(&simulation);
    simulation.run(async {
        let receipt = tab.track().await.unwrap();
        receipt.persisted().await.unwrap();
        let usage = tab.tracker.stats();
        assert_eq!((usage.pending, usage.in_memory), (1, 1));
        let Some(Event::SpoolInMemory { error }) = tab.events.next().await else {
            panic!("nothing was said")
        };
        assert_eq!(error.code(), Code::SpoolFailed);
        receipt.delivered().await.unwrap();
    });
    assert_eq!(browser.market.books().counted.len(), 1);
}

#[test]
fn memory_is_no_place_for_what_must_survive_the_tab() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    browser.private.store(true, Ordering::Relaxed);
    let tab = browser.tab_with(&simulation, SpoolLimits::default(), Durability::Durable);
    simulation.run(async {
        assert_eq!(tab.track().await.unwrap_err().code(), Code::SpoolFailed);
        assert_eq!(tab.tracker.flush().await.unwrap_err().code(), Code::SpoolFailed);
        browser.private.store(false, Ordering::Relaxed);
        tab.track().await.unwrap(); // it opens anew
        tab.tracker.flush().await.unwrap();
    });
    assert_eq!(browser.market.books().counted.len(), 1);
}

#[test]
fn what_there_is_no_room_for_is_refused_and_what_comes_after_it_counts() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    let tab = browser.tab(&simulation);
    simulation.run(async {
        tab.track().await.unwrap().persisted().await.unwrap();
        browser.room.store(0, Ordering::Relaxed);
        let refused = tab.track().await.unwrap();
        assert_eq!(refused.persisted().await.unwrap_err().code(), Code::SpoolFull);
        assert_eq!(refused.delivered().await.unwrap_err().code(), Code::SpoolFull);
        browser.room.store(usize::MAX, Ordering::Relaxed);
        tab.track().await.unwrap().delivered().await.unwrap();
        let usage = tab.tracker.stats();
        assert_eq!((usage.tracked, usage.delivered, usage.pending), (3, 2, 0));
        assert_eq!(usage.lost.overflow, 1, "it was taken before there was no room");
        let dropped = async |mut events: Events| {
            while let Some(event) = events.next().await {
                if let Event::UsageDropped { count, reason } = event {
                    return (count, reason);
                }
            }
            panic!("nothing was said")
        };
        assert_eq!(dropped(tab.events).await, (1, LossReason::Overflow));
    });
    assert_eq!(browser.market.books().counted.len(), 2);
}

#[test]
fn what_the_browser_gives_up_once_is_kept_by_the_next_log_and_counts() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    let tab = browser.tab(&simulation);
    simulation.run(async {
        tab.track().await.unwrap().delivered().await.unwrap();
        browser.aborts.store(1, Ordering::Relaxed);
        let given_up = tab.track().await.unwrap();
        assert_eq!(given_up.persisted().await.unwrap_err().code(), Code::SpoolFailed);
        assert_eq!(tab.tracker.stats().pending, 1, "it was taken");
        tab.tracker.flush().await.unwrap();
        let usage = tab.tracker.stats();
        assert_eq!((usage.tracked, usage.delivered, usage.pending), (2, 2, 0));
    });
    assert_eq!(browser.market.books().counted.len(), 2);
}

#[test]
fn a_log_that_does_not_open_is_replaced_and_nobody_else_has_the_numbers_of_what_replaces_it() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    let tab = browser.tab(&simulation);
    simulation.run(async {
        browser.delay.store(60_000, Ordering::Relaxed);
        tab.track().await.unwrap().delivered().await.unwrap();
        assert!(tab.sim.monotonic() < Duration::from_secs(20));
        tab.wait(120_000).await;
        browser.delay.store(0, Ordering::Relaxed);
        let other = browser.tab(&simulation);
        other.track().await.unwrap().delivered().await.unwrap();
    });
    assert_eq!(browser.market.books().counted.len(), 2);
}

#[test]
fn a_log_that_does_not_open_holds_nobody_up_whose_usage_must_survive_the_tab() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    browser.delay.store(600_000, Ordering::Relaxed);
    let tab = browser.tab_with(&simulation, SpoolLimits::default(), Durability::Durable);
    let told = simulation.run(async { tab.track().await.unwrap_err() });
    assert_eq!(told.code(), Code::SpoolFailed);
}

#[test]
fn a_log_that_another_has_begun_in_its_place_is_not_written_under_the_old_name() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    let one = browser.tab(&simulation);
    simulation.run(async {
        one.track().await.unwrap().delivered().await.unwrap();
        *browser.log.lock().unwrap() = None; // "clear site data"
        let two = browser.tab(&simulation);
        for _ in 0..3 {
            two.track().await.unwrap().persisted().await.unwrap();
        }
        let mine = one.track().await.unwrap();
        assert_eq!(mine.reference().await.unwrap_err().code(), Code::SpoolFailed);
        one.tracker.flush().await.unwrap();
        two.tracker.flush().await.unwrap();
        assert_eq!(browser.market.books().counted.len(), 5);
    });
}

#[test]
fn who_learns_too_late_what_became_of_an_event_is_not_told_that_it_was_delivered() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    let (there, here) = (browser.tab(&simulation), browser.tab(&simulation));
    there.go_offline();
    simulation.run(async {
        there.track().await.unwrap().persisted().await.unwrap();
        let rejected = there.track().await.unwrap();
        rejected.persisted().await.unwrap();
        browser.market.books().rejects = true;
        here.tracker.flush().await.unwrap();
        browser.market.books().rejects = false;
        assert_eq!(here.tracker.replay_rejected().await.unwrap(), 2);
        here.tracker.flush().await.unwrap();
        let told = rejected.delivered().await.unwrap_err();
        assert_eq!(told.code(), Code::Unknown);
        let usage = there.tracker.stats();
        assert_eq!((usage.delivered, usage.rejected, usage.pending), (2, 0, 0), "{usage:?}");
        assert_eq!(usage.tracked, 2, "{usage:?}");
    });
}

#[test]
fn a_marketplace_that_has_lost_what_it_had_is_told_what_is_gone_by_whichever_tab() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    let (one, two) = (browser.tab(&simulation), browser.tab(&simulation));
    simulation.run(async {
        for _ in 0..5 {
            one.track().await.unwrap();
        }
        one.tracker.flush().await.unwrap();
        two.tracker.flush().await.unwrap();
        browser.market.books().set_back(2);
        one.track().await.unwrap();
        one.tracker.flush().await.unwrap();
        two.track().await.unwrap().delivered().await.unwrap();
    });
    assert_eq!(browser.market.books().lost, 3);
    let kept = browser.kept();
    assert_eq!((kept.answered, kept.last), (7, 7));
    let usage = one.tracker.stats();
    assert_eq!(usage.tracked, usage.delivered + usage.pending + usage.lost.total(), "{usage:?}");
    assert_eq!(usage.lost.damaged, 3);
}

#[test]
fn a_log_that_is_cleared_while_the_tab_is_open_is_begun_anew() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    let tab = browser.tab(&simulation);
    simulation.run(async {
        for _ in 0..3 {
            tab.track().await.unwrap();
        }
        tab.tracker.flush().await.unwrap();
        *browser.log.lock().unwrap() = None; // "clear site data"
        let told = tab.track().await.unwrap().persisted().await;
        assert_eq!(told.unwrap_err().code(), Code::SpoolFailed);
        tab.track().await.unwrap().delivered().await.unwrap();
        tab.wait(120_000).await;
    });
    let usage = tab.tracker.stats();
    assert_eq!(usage.pending, 0);
    assert_eq!(browser.market.books().counted.len(), 5, "what was refused is in the next log");
}

#[test]
fn who_closes_has_in_the_log_what_could_not_be_sent() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    let tab = browser.tab(&simulation);
    tab.go_offline();
    simulation.run(async {
        tab.track().await.unwrap();
        let report = tab.tracker.close(Duration::from_secs(2)).await;
        assert_eq!(report.usage.pending, 1);
        assert_eq!(browser.kept().records.len(), 1);
        assert_eq!(tab.track().await.unwrap_err().code(), Code::Closed);
    });
}
