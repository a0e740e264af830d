//! What befalls the disk under a program that runs.

use std::path::Path;
use std::time::Duration;

use super::fleet::{Marketplace, Member};
use crate::host::sim::{SimDisk, Simulation};
use crate::host::{Files, Host};
use crate::usage::limits::{Overflow, SpoolLimits};

fn member(simulation: &Simulation, marketplace: &Marketplace, limits: SpoolLimits) -> Member {
    Member::on(SimDisk::new(1), simulation, limits, marketplace)
}

#[test]
fn a_disk_that_fails_to_read_for_a_moment_delays_a_flush_by_a_moment() {
    let simulation = Simulation::new(1);
    let marketplace = Marketplace::default();
    let member = member(&simulation, &marketplace, SpoolLimits::default());
    simulation.run(async {
        member.track().await.unwrap();
        member.disk.fail_reads(true);
        let mended = async {
            member.host.sleep(Duration::from_millis(100)).await;
            member.disk.fail_reads(false);
        };
        let (flushed, ()) = futures_util::future::join(member.tracker.flush(), mended).await;
        flushed.unwrap();
        assert!(simulation.now() < Duration::from_secs(3), "{:?}", simulation.now());
    });
    assert_eq!(marketplace.books().counted, 1);
}

#[test]
fn on_a_disk_that_is_full_what_is_dropped_leaves_no_heap_of_tasks() {
    let simulation = Simulation::new(1);
    let marketplace = Marketplace::default();
    let limits = SpoolLimits::default().overflow(Overflow::DropNewest);
    let member = member(&simulation, &marketplace, limits);
    simulation.run(async {
        // A log that is drained begins a new file with the next event, for which there is no room.
        for _ in 0..4_000 {
            member.track().await.unwrap();
        }
        member.tracker.flush().await.unwrap();
        member.host.sleep(Duration::from_secs(1)).await; // and synced
        member.disk.set_room(Some(0));
        let before = simulation.tasks();
        for _ in 0..1_000 {
            member.track().await.unwrap();
        }
        assert!(simulation.tasks() <= before + 1, "{before} and {} more", simulation.tasks());
        member.tracker.flush_within(Duration::from_secs(5)).await;
        assert!(simulation.now() < Duration::from_secs(3), "it waits for nothing");
        assert_eq!(member.tracker.stats().lost.overflow, 1_000);
    });
    let books = marketplace.books();
    assert_eq!((books.counted, books.lost), (4_000, 1_000));
}

#[test]
fn who_has_lost_its_lock_notes_nothing_where_another_has_looked_before() {
    let simulation = Simulation::new(1);
    let marketplace = Marketplace::default();
    let first = member(&simulation, &marketplace, SpoolLimits::default());
    simulation.run(async {
        first.track().await.unwrap();
        let spool = Path::new("spool");
        let log = spool.join(first.disk.list(spool).unwrap().remove(0));
        first.disk.remove(&log.join("lock")).unwrap();

        let disk = first.disk.share();
        let second = Member::on(disk, &simulation, SpoolLimits::default(), &marketplace);
        second.tracker.flush().await.unwrap();
        assert_eq!((marketplace.books().counted, second.tracker.stats().delivered), (1, 1));

        first.host.sleep(Duration::from_millis(100)).await;
        for _ in 0..5 {
            first.track().await.unwrap();
        }
        first.tracker.flush().await.unwrap();
        assert_eq!(marketplace.books().counted, 6);
    });
}
