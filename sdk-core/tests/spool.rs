//! What was acknowledged is delivered, whatever becomes of the process that did.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cloudnestle_marketplace::{
    Builder, Code, Durability, Event, MarketplaceSdk, Overflow, SpoolLimits, Usage, UsageStats,
};
use cloudnestle_mock_server::MockServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SOLUTION: &str = "sol_faiss_search";

struct Stage {
    server: MockServer,
    token: String,
    spool: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Stage {
        let server = MockServer::start().await.unwrap();
        let pair = server.token_pair("cus_ravi", SOLUTION).await.unwrap();
        let spool = tempfile::tempdir().unwrap();
        Stage { server, token: pair.access_token.expose().to_owned(), spool }
    }

    fn builder(&self) -> Builder {
        MarketplaceSdk::builder()
            .url(self.server.url())
            .secret_key(self.server.secret_key(SOLUTION).unwrap())
            .solution(SOLUTION)
            .spool_dir(self.spool.path())
    }

    fn sdk(&self) -> MarketplaceSdk {
        self.builder().build().unwrap()
    }

    /// An SDK that knows its user, and a marketplace that then goes away.
    async fn sdk_in_an_outage(&self) -> MarketplaceSdk {
        let sdk = self.sdk();
        sdk.validate_user(&self.token).await.unwrap();
        self.server.set_outage(true);
        sdk
    }

    async fn used(&self) -> u64 {
        self.used_of("search").await
    }

    async fn used_of(&self, action: &str) -> u64 {
        let quotas = self.sdk().quotas("cus_ravi").await.unwrap();
        quotas.iter().find(|quota| quota.action == action).unwrap().used
    }

    /// The administrator's doing.
    async fn give_quota_back(&self) {
        let body = format!(r#"{{"customer_id":"cus_ravi","solution_id":"{SOLUTION}"}}"#);
        let address = self.server.url().trim_start_matches("http://");
        let request = format!(
            "POST /api/reset-quota HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.server.admin_key().expose(),
            body.len(),
        );
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }

    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(self.spool.path(), &mut found);
        found.retain(|path| path.to_string_lossy().ends_with(ending));
        found
    }
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        found.push(path.clone());
        if path.is_dir() {
            collect(&path, found);
        }
    }
}

fn accounts(stats: UsageStats) -> (u64, u64, u64, u64, u64) {
    (stats.tracked, stats.delivered, stats.pending, stats.rejected, stats.lost.total())
}

/// What the processes do that `usage_outlives_kill_9` kills.
async fn track_until_killed(token: &str) -> ! {
    let sdk = MarketplaceSdk::from_env().unwrap();
    loop {
        sdk.track_usage(token, "search").await.unwrap();
        println!("acknowledged");
    }
}

#[tokio::test]
async fn what_is_beyond_a_hard_limit_is_told_with_the_event_and_the_reason() {
    let stage = Stage::set().await;
    let sdk = stage.sdk();
    let mut events = sdk.events();
    for quantity in [5, 1] {
        sdk.track_usage(&stage.token, Usage::of("export").quantity(quantity)).await.unwrap();
    }
    sdk.flush().await.unwrap();
    let rejected = loop {
        if let Event::UsageRejected { event, code, kept: true } = events.next().await.unwrap() {
            break (event.action, event.quantity, code);
        }
    };
    assert_eq!(rejected, ("export".to_owned(), 1, Code::QuotaExceeded));
}

#[tokio::test]
async fn what_was_rejected_is_kept_and_counts_once_when_it_is_replayed() {
    let stage = Stage::set().await;
    let sdk = stage.sdk();
    let mut receipts = Vec::new();
    for _ in 0..7 {
        receipts.push(sdk.track_usage(&stage.token, "export").await.unwrap());
    }
    sdk.flush().await.unwrap();
    for receipt in &receipts[..5] {
        receipt.delivered().await.unwrap();
    }
    for receipt in &receipts[5..] {
        assert_eq!(receipt.delivered().await.unwrap_err().code(), Code::QuotaExceeded);
    }
    let rejected = sdk.rejected_usage().await.unwrap();
    let told: Vec<_> = rejected.iter().map(|kept| (kept.event.id.as_str(), kept.code)).collect();
    let expected: Vec<_> =
        receipts[5..].iter().map(|receipt| (receipt.event_id(), Code::QuotaExceeded)).collect();
    assert_eq!(told, expected);

    // Replayed while nothing has changed, they come back.
    assert_eq!(sdk.replay_rejected().await.unwrap(), 2);
    sdk.flush().await.unwrap();
    assert_eq!(sdk.rejected_usage().await.unwrap().len(), 2);

    stage.give_quota_back().await;
    let file = stage.files(".jsonl").pop().unwrap();
    let copy = file.with_file_name("prd_copy.jsonl"); // as if a replay had died before its end
    std::fs::copy(&file, copy).unwrap();
    assert_eq!(sdk.replay_rejected().await.unwrap(), 2);
    sdk.flush().await.unwrap();
    assert_eq!(sdk.stats().usage.tracked, 7 + 2 + 2);
    assert_eq!(stage.files(".jsonl"), Vec::<PathBuf>::new());
    assert_eq!(stage.used_of("export").await, 2);
}

#[tokio::test]
async fn what_a_full_spool_drops_is_declared_lost() {
    let stage = Stage::set().await;
    let limits = SpoolLimits::default().events(400).overflow(Overflow::DropOldest);
    let sdk = stage.builder().spool_limits(limits).build().unwrap();
    sdk.validate_user(&stage.token).await.unwrap();
    stage.server.set_outage(true);
    let mut events = sdk.events();
    for _ in 0..3_000 {
        sdk.track_usage(&stage.token, "search").await.unwrap();
    }
    let before = sdk.stats().usage;
    assert_eq!((before.tracked, before.pending + before.lost.overflow), (3_000, 3_000));
    stage.server.clear_journal();
    stage.server.set_outage(false);
    sdk.flush().await.unwrap();
    let after = sdk.stats().usage;
    assert_eq!(after.delivered + after.lost.overflow, 3_000);
    let journal = stage.server.journal();
    let told = journal.iter().filter(|call| call.operation == "POST /api/track-usage");
    assert!(told.count() <= 2, "however many they are, they are told at once");
    assert_eq!(stage.used().await, after.delivered);
    let mut dropped = 0;
    while let Some(event) = futures_util::FutureExt::now_or_never(events.next()).flatten() {
        if let Event::UsageDropped { count, .. } = event {
            dropped += count;
        }
    }
    assert!(dropped >= after.lost.overflow && after.lost.overflow >= 2_600, "{dropped} {after:?}");
}

#[tokio::test]
async fn what_is_too_old_for_the_program_is_declared_lost() {
    let stage = Stage::set().await;
    let limits = SpoolLimits::default().age(Duration::from_secs(3_600));
    let sdk = stage.builder().spool_limits(limits).build().unwrap();
    sdk.validate_user(&stage.token).await.unwrap();
    stage.server.set_outage(true);
    sdk.track_usage(&stage.token, "search").await.unwrap();
    stage.server.advance_clock(Duration::from_secs(2 * 3_600)).await.unwrap();
    stage.server.set_outage(false);
    sdk.quotas("cus_ravi").await.unwrap(); // any answer tells its clock
    sdk.flush().await.unwrap();
    let usage = sdk.stats().usage;
    assert_eq!((usage.delivered, usage.lost.expired), (0, 1));
}

#[tokio::test]
async fn usage_outlives_kill_9() {
    use std::io::{BufRead, BufReader};

    // This very test, run again by itself, is the process that is killed.
    if let Ok(token) = std::env::var("TRACK_UNTIL_KILLED") {
        track_until_killed(&token).await;
    }
    let stage = Stage::set().await;
    let mut acknowledged = 0;
    for _ in 0..5 {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["usage_outlives_kill_9", "--exact", "--nocapture"])
            .env("TRACK_UNTIL_KILLED", &stage.token)
            .env("CLOUDNESTLE_URL", stage.server.url())
            .env("CLOUDNESTLE_SOLUTION", SOLUTION)
            .env("CLOUDNESTLE_SECRET_KEY", stage.server.secret_key(SOLUTION).unwrap().expose())
            .env("CLOUDNESTLE_SPOOL_DIR", stage.spool.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let read = tokio::task::spawn_blocking(move || {
            let said = |line: &String| line.contains("acknowledged");
            let first = lines.by_ref().map_while(Result::ok).filter(said).take(500).count();
            process.kill().unwrap(); // SIGKILL
            process.wait().unwrap();
            first + lines.map_while(Result::ok).filter(said).count()
        });
        acknowledged += read.await.unwrap() as u64;
    }

    let sdk = stage.sdk();
    sdk.flush().await.unwrap();

    let used = stage.used().await;
    assert!(acknowledged >= 2_500);
    // At most one event of each process was written down and not yet acknowledged.
    assert!((acknowledged..=acknowledged + 5).contains(&used), "{used} of {acknowledged}");
    assert_eq!(stage.files(".log").len(), 0, "what is delivered is removed");
}

#[tokio::test]
async fn programs_that_share_a_folder_keep_to_their_own_logs() {
    let stage = Stage::set().await;
    let programs = [stage.sdk(), stage.sdk(), stage.sdk()];
    for sdk in &programs {
        for _ in 0..10 {
            sdk.track_usage(&stage.token, "search").await.unwrap();
        }
    }
    for sdk in &programs {
        sdk.flush().await.unwrap();
        assert_eq!(accounts(sdk.stats().usage), (10, 10, 0, 0, 0));
    }
    assert_eq!(stage.used().await, 30);
}

#[tokio::test]
async fn a_damaged_record_is_declared_and_costs_no_other() {
    let stage = Stage::set().await;
    let sdk = stage.sdk_in_an_outage().await;
    for _ in 0..10 {
        sdk.track_usage(&stage.token, "search").await.unwrap();
    }
    drop(sdk); // before it has sent anything

    let log = stage.files(".log").pop().unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    stage.server.set_outage(false);

    let sdk = stage.sdk();
    sdk.flush().await.unwrap();
    assert_eq!(accounts(sdk.stats().usage), (10, 9, 0, 0, 1));
    assert_eq!(stage.used().await, 9);
}

#[tokio::test]
async fn a_segment_that_is_gone_is_declared_and_holds_up_no_other() {
    let stage = Stage::set().await;
    let sdk = stage.sdk_in_an_outage().await;
    for _ in 0..8_000 {
        sdk.track_usage(&stage.token, "search").await.unwrap();
    }
    drop(sdk);
    let mut segments = stage.files(".log");
    segments.sort();
    assert!(segments.len() > 1, "{segments:?}");
    std::fs::remove_file(&segments[0]).unwrap();
    stage.server.set_outage(false);

    let sdk = stage.sdk();
    sdk.flush().await.unwrap();
    let (tracked, delivered, pending, rejected, lost) = accounts(sdk.stats().usage);
    assert_eq!((pending, rejected, delivered + lost), (0, 0, tracked));
    // What the SDK before had under way when it was dropped may have been counted as the server came back.
    assert_eq!(stage.used().await, 8_000 - lost);
    assert!(delivered > 0 && lost > 0);
}

#[tokio::test]
async fn a_key_of_another_solution_delivers_nothing_and_loses_nothing() {
    let stage = Stage::set().await;
    let sdk = stage.sdk_in_an_outage().await;
    sdk.track_usage(&stage.token, "search").await.unwrap();
    drop(sdk);
    stage.server.set_outage(false);

    let other = stage.server.secret_key("sol_invoice_ocr").unwrap();
    let mistaken = stage.builder().secret_key(other).build().unwrap();
    let error = mistaken.validate_user(&stage.token).await.unwrap_err();
    assert_eq!((error.code(), error.refuses_user()), (Code::CredentialWrongSolution, false));
    let report = mistaken.close(Duration::from_millis(500)).await;
    assert_eq!((report.usage.rejected, report.usage.delivered), (0, 0));
    drop(mistaken);

    let sdk = stage.sdk();
    sdk.flush().await.unwrap();
    assert_eq!(stage.used().await, 1);
}

#[tokio::test]
async fn usage_without_an_owner_is_kept() {
    let stage = Stage::set().await;
    let sdk = stage.sdk_in_an_outage().await;
    sdk.track_usage(&stage.token, "search").await.unwrap();
    drop(sdk);
    std::fs::remove_file(stage.files("owner.json").pop().unwrap()).unwrap();
    stage.server.set_outage(false);
    stage.sdk().flush().await.unwrap();
    assert_eq!(stage.files(".log").len(), 1);
}

#[tokio::test]
async fn a_folder_that_is_removed_costs_what_was_in_it_and_no_more() {
    let stage = Stage::set().await;
    let sdk = stage.builder().durability(Durability::Durable).build().unwrap();
    sdk.track_usage(&stage.token, "search").await.unwrap();
    sdk.flush().await.unwrap();
    std::fs::remove_dir_all(stage.spool.path()).unwrap();
    // What the disk can't keep is not acknowledged, and what comes after has a log again: at once, if the
    // last look at the lock was some time ago.
    let refused = sdk.track_usage(&stage.token, "search").await.err();
    assert!(refused.iter().all(|error| error.code() == Code::SpoolFailed), "{refused:?}");
    let refused = refused.iter().len() as u64;
    for _ in 0..5 {
        sdk.track_usage(&stage.token, "search").await.unwrap();
    }
    sdk.flush().await.unwrap();
    let usage = sdk.stats().usage;
    assert_eq!((usage.delivered, usage.pending, usage.lost.damaged), (7 - refused, 0, refused));
    assert_eq!(stage.used().await, 7 - refused);
}

#[tokio::test]
async fn what_others_have_put_into_the_spool_is_left_alone() {
    let stage = Stage::set().await;
    let sdk = stage.sdk_in_an_outage().await;
    sdk.track_usage(&stage.token, "search").await.unwrap();
    drop(sdk);
    stage.server.set_outage(false);
    let owner = stage.files("owner.json").pop().unwrap();
    let principal = owner.parent().unwrap().parent().unwrap().to_owned();
    let backup = principal.join("prd_backup/prd_inner/00000000000000000001.log");
    std::fs::create_dir_all(backup.parent().unwrap()).unwrap();
    std::fs::write(&backup, "an operator's copy").unwrap();
    for (name, json) in [
        ("prd_elsewhere", r#"{"format":1,"producer":"/tmp/elsewhere","epoch":0}"#),
        ("prd_endless", r#"{"format":1,"producer":"prd_endless","epoch":18446744073709551615}"#),
        ("prd_garbage", "garbage"),
    ] {
        std::fs::create_dir(principal.join(name)).unwrap();
        std::fs::write(principal.join(name).join("owner.json"), json).unwrap();
    }
    let pipe = principal.join("prd_pipe");
    std::fs::create_dir(&pipe).unwrap();
    assert!(Command::new("mkfifo").arg(pipe.join("lock")).status().unwrap().success());

    let sdk = stage.sdk();
    sdk.flush().await.unwrap();
    assert_eq!(stage.used().await, 1, "ours is delivered");
    assert!(backup.exists());
    assert_eq!(stage.files("owner.json").len(), 3);
}

#[tokio::test]
async fn a_spool_of_a_newer_release_is_left_alone() {
    let stage = Stage::set().await;
    let sdk = stage.sdk_in_an_outage().await;
    sdk.track_usage(&stage.token, "search").await.unwrap();
    drop(sdk);
    let owner = stage.files("owner.json").pop().unwrap();
    let newer = std::fs::read_to_string(&owner).unwrap().replace("\"format\":1", "\"format\":2");
    std::fs::write(&owner, &newer).unwrap();
    stage.server.set_outage(false);

    let sdk = stage.sdk();
    sdk.flush().await.unwrap();

    assert_eq!(accounts(sdk.stats().usage), (0, 0, 0, 0, 0));
    assert_eq!(std::fs::read_to_string(&owner).unwrap(), newer);
    assert_eq!(stage.files(".log").len(), 1);
}

#[tokio::test]
async fn a_folder_that_cant_be_written_is_an_error_and_no_acknowledgement() {
    let stage = Stage::set().await;
    let file = stage.spool.path().join("a file, not a folder");
    std::fs::write(&file, "").unwrap();
    let sdk = stage.builder().spool_dir(&file).build().unwrap();
    let error = sdk.track_usage(&stage.token, "search").await.unwrap_err();
    assert_eq!(error.code(), Code::SpoolFailed);
    assert!(error.to_string().contains("a file, not a folder"), "{error}");
    let cause =
        std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    assert_eq!(cause.map(std::io::Error::kind), Some(std::io::ErrorKind::NotADirectory));
    // Nobody is kept from validating by a broken disk.
    sdk.validate_user(&stage.token).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn the_spool_is_for_its_owner_alone_and_holds_no_token() {
    use std::os::unix::fs::PermissionsExt;

    let stage = Stage::set().await;
    let sdk = stage.sdk_in_an_outage().await;
    sdk.track_usage(&stage.token, "search").await.unwrap();
    for path in stage.files("") {
        let metadata = path.metadata().unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        assert_eq!(mode, if metadata.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
    let written =
        String::from_utf8_lossy(&std::fs::read(&stage.files(".log")[0]).unwrap()).into_owned();
    let signature = stage.token.rsplit('.').next().unwrap();
    assert!(written.contains("cus_ravi") && !written.contains(signature));
}

#[tokio::test]
async fn closing_twice_is_closing_once() {
    let stage = Stage::set().await;
    let sdk = stage.sdk_in_an_outage().await;
    for _ in 0..20 {
        sdk.track_usage(&stage.token, "search").await.unwrap();
    }
    let (first, second) =
        tokio::join!(sdk.close(Duration::from_millis(100)), sdk.close(Duration::from_millis(200)));
    let third = sdk.close(Duration::from_secs(600)).await;
    assert_eq!((first.usage, second.usage), (third.usage, third.usage));
    assert_eq!(accounts(third.usage), (20, 0, 20, 0, 0));
    assert_eq!(sdk.flush().await.unwrap_err().code(), Code::Closed);
}

#[tokio::test]
async fn closing_returns_by_its_deadline_and_keeps_the_rest() {
    let stage = Stage::set().await;
    let sdk = stage.sdk_in_an_outage().await;
    sdk.track_usage(&stage.token, "search").await.unwrap();
    let closing = sdk.close(Duration::from_millis(300));
    // Generous: the deadline is 0.3 s, an upload may take 10.
    let report = tokio::time::timeout(Duration::from_secs(5), closing).await.unwrap();
    assert_eq!(accounts(report.usage), (1, 0, 1, 0, 0));
    assert_eq!(stage.files(".log").len(), 1);
}
