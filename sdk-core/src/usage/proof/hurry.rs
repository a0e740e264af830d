//! What whoever is in a hurry can shorten, and what not.

use std::time::Duration;

use super::fleet::{Marketplace, Member};
use crate::host::Host;
use crate::host::sim::{SimDisk, Simulation};
use crate::model::Code;
use crate::usage::limits::SpoolLimits;

fn member(simulation: &Simulation, marketplace: &Marketplace) -> Member {
    Member::on(SimDisk::new(1), simulation, SpoolLimits::default(), marketplace)
}

/// The seconds in which requests came.
fn asked_at(marketplace: &Marketplace) -> Vec<u64> {
    marketplace.books().requests.keys().copied().collect()
}

#[test]
fn a_wait_that_the_marketplace_asked_for_is_shortened_by_nobody() {
    let simulation = Simulation::new(1);
    let marketplace = Marketplace::default();
    let member = member(&simulation, &marketplace);
    marketplace.books().busy_until = Duration::from_secs(29);
    simulation.run(async {
        member.track().await.unwrap();
        let refused = member.tracker.flush().await.unwrap_err();
        assert_eq!(refused.code(), Code::RateLimited, "it says why");
        assert_eq!(simulation.now(), Duration::from_secs(10), "and comes back in time");
        for _ in 0..5 {
            let usage = member.tracker.flush_within(Duration::from_millis(600)).await;
            assert_eq!((usage.pending, usage.delivered), (1, 0));
        }
        assert_eq!(simulation.now(), Duration::from_secs(13));
        assert_eq!(asked_at(&marketplace), [0]);

        member.host.sleep(Duration::from_secs(20)).await;
        assert_eq!(member.tracker.stats().delivered, 1);
        assert_eq!(asked_at(&marketplace), [0, 29], "when it was asked to, and by itself");
    });
}

#[test]
fn who_closes_while_the_marketplace_is_busy_keeps_the_rest_and_does_not_ask_again() {
    let simulation = Simulation::new(1);
    let marketplace = Marketplace::default();
    let first = member(&simulation, &marketplace);
    marketplace.books().busy_until = Duration::from_secs(5);
    simulation.run(async {
        first.track().await.unwrap();
        first.tracker.flush_within(Duration::from_secs(1)).await;
        let report = first.tracker.close(Duration::from_secs(2)).await;
        assert_eq!(report.usage.pending, 1);
        assert_eq!((simulation.now(), asked_at(&marketplace)), (Duration::from_secs(3), vec![0]));

        let (disk, limits) = (first.disk.share(), SpoolLimits::default());
        let second = Member::on(disk, &simulation, limits, &marketplace);
        second.tracker.flush().await.unwrap();
        assert_eq!(marketplace.books().counted, 1);
    });
}

#[test]
fn our_own_wait_is_shortened_to_half_a_second() {
    let simulation = Simulation::new(1);
    let marketplace = Marketplace::default();
    let member = member(&simulation, &marketplace);
    marketplace.books().down = true;
    simulation.run(async {
        member.track().await.unwrap();
        member.host.sleep(Duration::from_secs(600)).await; // our waits have become long
        marketplace.books().down = false;
        let back = simulation.now();
        member.tracker.flush().await.unwrap();
        assert!(simulation.now() - back <= Duration::from_millis(600), "{:?}", simulation.now());
    });
}
