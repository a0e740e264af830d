//! The campaigns of `cargo xtask bench --tokens`, small.

use cloudnestle_bench::tokens;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_users_are_refused_by_everybody_in_the_end() {
    let report = tokens::revoke(50, 4).await.unwrap();
    assert!(report.accepted >= 50 && report.refused >= 4 * 50, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_and_lost_answers_log_nobody_out_and_a_thief_everybody() {
    let report = tokens::refresh(8, 40, 7).await.unwrap();
    assert_eq!(report.logged_out, 0, "{report:?}");
    assert!(report.theft_ends_the_family && report.faults > 0, "{report:?}");
}
