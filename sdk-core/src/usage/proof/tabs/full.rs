//! What becomes of usage in a log that is full, and what its books say at every moment.

use std::sync::atomic::Ordering;

use fastrand::Rng;

use super::browser::Browser;
use super::{Totals, each_seed};
use crate::host::sim::Simulation;
use crate::model::Code;
use crate::usage::limits::{Durability, Overflow, SpoolLimits};
use crate::usage::stats::UsageStats;

#[test]
fn a_log_that_is_full_drops_as_it_was_told_to_and_says_what() {
    for (overflow, lost) in [(Overflow::DropOldest, 4), (Overflow::DropNewest, 4)] {
        let simulation = Simulation::new(1);
        let browser = Browser::new();
        let limits = SpoolLimits::default().events(8).overflow(overflow);
        let tab = browser.tab_with(&simulation, limits, Durability::Fast);
        tab.go_offline();
        simulation.run(async {
            for _ in 0..8 {
                tab.track().await.unwrap().persisted().await.unwrap();
            }
            for _ in 0..lost {
                let receipt = tab.track().await.unwrap();
                let persisted = receipt.persisted().await.map_err(|error| error.code());
                let expected = match overflow {
                    Overflow::DropOldest => Ok(()),
                    _ => Err(Code::UsageLost),
                };
                assert_eq!(persisted, expected);
            }
            let usage = tab.tracker.stats();
            assert_eq!((usage.tracked, usage.pending, usage.lost.overflow), (12, 8, lost));
            tab.offline.store(false, Ordering::Relaxed);
            tab.tracker.flush().await.unwrap();
            tab.track().await.unwrap();
            tab.tracker.flush().await.unwrap();
            let usage = tab.tracker.stats();
            assert_eq!((usage.tracked, usage.delivered, usage.lost.overflow), (13, 9, lost));
        });
        let books = browser.market.books();
        assert_eq!((books.counted.len(), books.lost), (9, lost), "{overflow:?}");
    }
}

/// What is written is told of later, and may be read before.
#[test]
fn at_every_moment_the_books_have_each_event_once() {
    for online in [false, true] {
        each_seed(60, |seed| {
            let simulation = Simulation::new(seed);
            let browser = Browser::new();
            let mut chance = Rng::with_seed(seed);
            let limits = SpoolLimits::default().events(30).overflow(Overflow::DropNewest);
            let tab = browser.tab_with(&simulation, limits, Durability::Fast);
            tab.offline.store(!online, Ordering::Relaxed);
            simulation.run(async {
                for tracked in 1..=40 {
                    tab.track().await.unwrap();
                    for _ in 0..chance.u8(..50) {
                        tab.wait(4).await;
                        let usage = tab.tracker.stats();
                        let UsageStats { delivered, pending, lost, .. } = usage;
                        assert_eq!(usage.tracked, tracked, "{usage:?}");
                        assert_eq!(delivered + pending + lost.overflow, tracked, "{usage:?}");
                        assert!(online || pending == tracked.min(30), "{usage:?}");
                    }
                }
            });
            Totals { events: 40, deaths: 0 }
        });
    }
}

#[test]
fn a_log_that_opens_late_makes_room_by_what_it_has_and_says_each_loss_once() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    browser.delay.store(2_000, Ordering::Relaxed);
    let limits = SpoolLimits::default().events(8).overflow(Overflow::DropOldest);
    let tab = browser.tab_with(&simulation, limits, Durability::Fast);
    tab.go_offline();
    simulation.run(async {
        for _ in 0..100 {
            tab.track().await.unwrap();
        }
        tab.wait(20_000).await;
        browser.delay.store(0, Ordering::Relaxed);
        for _ in 0..30 {
            tab.track().await.unwrap();
            tab.wait(500).await;
            let UsageStats { tracked, pending, lost, .. } = tab.tracker.stats();
            assert!(pending <= 8, "{pending} wait");
            assert_eq!(tracked, pending + lost.overflow);
        }
    });
}

#[test]
fn a_log_that_is_full_and_rejects_says_so_at_once() {
    let simulation = Simulation::new(1);
    let browser = Browser::new();
    let limits = SpoolLimits::default().events(2);
    let tab = browser.tab_with(&simulation, limits, Durability::Fast);
    tab.go_offline();
    simulation.run(async {
        tab.track().await.unwrap();
        tab.track().await.unwrap();
        assert_eq!(tab.track().await.unwrap_err().code(), Code::SpoolFull);
    });
}

/// Each learns late what the other has written and sent.
#[test]
fn two_tabs_have_more_on_their_books_at_no_moment_than_they_know_of() {
    each_seed(60, |seed| {
        let simulation = Simulation::new(seed);
        let browser = Browser::new();
        let tabs = [browser.tab(&simulation), browser.tab(&simulation)];
        let mut chance = Rng::with_seed(seed);
        simulation.run(async {
            for _ in 0..40 {
                tabs[usize::from(chance.bool())].track().await.unwrap();
                for _ in 0..chance.u8(..50) {
                    tabs[0].wait(4).await;
                    for tab in &tabs {
                        let usage = tab.tracker.stats();
                        let UsageStats { tracked, delivered, pending, .. } = usage;
                        assert_eq!(tracked, delivered + pending, "{usage:?}");
                    }
                }
            }
        });
        Totals { events: 40, deaths: 0 }
    });
}
