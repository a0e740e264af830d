//! `cloudnestle-mock-server doctor`: what is wrong with a machine or a set-up is told, with what to do.
#![cfg(all(unix, feature = "control"))]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_cloudnestle-mock-server");

/// What was found of one thing.
struct Found(Output);

impl Found {
    fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.0.stdout).expect("UTF-8")
    }

    /// The verdict on one thing, and all that is said of it.
    fn of(&self, about: &str) -> (String, String) {
        let report: Value = serde_json::from_str(self.text()).expect("JSON");
        let findings = report["findings"].as_array().expect("a list");
        let found = findings.iter().find(|it| it["about"] == about);
        let found = found.unwrap_or_else(|| panic!("nothing of {about}: {report:#}"));
        let words = [&found["says"], &found["advice"]].map(|it| it.as_str().unwrap_or_default());
        (found["verdict"].as_str().expect("a word").to_owned(), words.join(" / "))
    }

    #[track_caller]
    fn is(&self, about: &str, verdict: &str, words: &str) {
        let (found, says) = self.of(about);
        assert_eq!(found, verdict, "{about}: {says}");
        assert!(says.contains(words), "{words} is not in {says}");
    }
}

/// Runs the doctor in a folder, with no variables but these.
fn doctor(folder: &Path, options: &[&str], variables: &[(&str, &str)]) -> Found {
    let mut command = Command::new(BINARY);
    command.current_dir(folder).arg("doctor").args(options);
    command.env_clear().envs(variables.iter().copied());
    Found(command.output().expect("the binary"))
}

/// A doctor of a free port, and in JSON.
fn look(folder: &Path, options: &[&str], variables: &[(&str, &str)]) -> Found {
    doctor(folder, &[&["--port", "0", "--json"], options].concat(), variables)
}

/// A database that a server has used, and left in peace.
fn used_database(folder: &Path) {
    let options = ["exec", "--db", "market.db", "--", "true"];
    assert!(Command::new(BINARY).current_dir(folder).args(options).status().expect("it").success());
}

#[test]
fn where_all_is_well_it_says_so_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let found = look(folder.path(), &[], &[]);
    assert_eq!(found.code(), Some(0), "{}", found.text());
    found.is("database", "ok", "can be made");
    found.is("world", "ok", "3 solutions");
    found.is("clock", "ok", "20");
    found.is("CLOUDNESTLE_URL", "ok", "not set");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn people_read_a_line_for_each_thing_in_colours_if_they_want() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = doctor(folder.path(), &["--port", "0"], &[]);
    assert!(plain.text().lines().any(|line| line.starts_with("ok    database ")));
    assert!(!plain.text().contains('\x1b'));
    let coloured =
        doctor(folder.path(), &["--port", "0", "--color", "always"], &[("NO_COLOR", "1")]);
    assert!(coloured.text().contains("\x1b[32mok"), "{}", coloured.text());
}

#[test]
fn a_port_that_somebody_has_is_told_with_who_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = mute.local_addr().expect("an address").port().to_string();
    // Whoever does not answer is not waited for: it hangs up.
    let hangs_up = std::thread::spawn(move || drop(mute.accept()));
    let found = doctor(folder.path(), &["--memory", "--json", "--port", &port], &[]);
    hangs_up.join().expect("no panic");
    assert_eq!(found.code(), Some(1));
    found.is("port", "fail", "another program's");
    found.is("port", "fail", "--port 0");

    let ours = exec(folder.path(), &[], "$0 doctor --memory --json --port ${CLOUDNESTLE_URL##*:}");
    ours.is("port", "warn", "a marketplace listens");
    assert_eq!(ours.code(), Some(0), "a server that runs is no failure");
}

/// Runs a line of shell beside a server, whose variables it has; `$0` is the binary.
fn exec(folder: &Path, options: &[&str], script: &str) -> Found {
    let mut command = Command::new(BINARY);
    command.current_dir(folder).arg("exec").args(options).args(["--", "sh", "-c", script, BINARY]);
    Found(command.output().expect("the binary"))
}

#[test]
fn a_database_is_looked_at_and_not_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    used_database(folder.path());
    let path = folder.path().join("market.db");
    let before = fs::read(&path).expect("a file");
    let found = look(folder.path(), &["--db", "market.db"], &[]);
    found.is("database", "ok", "whole, of version");
    assert_eq!(found.code(), Some(0));
    assert_eq!(fs::read(&path).expect("a file"), before);
    let mut left: Vec<_> = fs::read_dir(folder.path())
        .expect("a folder")
        .map(|it| it.expect("it").file_name())
        .collect();
    left.sort_unstable();
    assert_eq!(left, ["market.db", "market.db.lock"]);
}

#[test]
fn a_database_that_others_may_read_is_told_with_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    used_database(folder.path());
    let path = folder.path().join("market.db");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("ours");
    look(folder.path(), &["--db", "market.db"], &[]).is("database", "warn", "chmod 600 market.db");
}

#[test]
fn a_database_in_use_is_no_failure_and_a_damaged_a_foreign_and_an_unreachable_one_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let used =
        exec(folder.path(), &["--db", "market.db"], "$0 doctor --port 0 --json --db market.db");
    used.is("database", "warn", "in use");
    assert_eq!(used.code(), Some(0));

    let path = folder.path().join("market.db");
    let mut file = File::options().write(true).open(&path).expect("a file");
    file.seek(SeekFrom::Start(4096 * 2)).expect("a place");
    file.write_all(&[0x5a; 4096 * 4]).expect("a disk");
    drop(file);
    let damaged = look(folder.path(), &["--db", "market.db"], &[]);
    damaged.is("database", "fail", "damaged");
    assert_eq!(damaged.code(), Some(1));

    fs::write(folder.path().join("notes.txt"), "no database, but notes").expect("a file");
    let foreign = look(folder.path(), &["--db", "notes.txt"], &[]);
    foreign.is("database", "fail", "not made by this program");
    let unreachable = look(folder.path(), &["--db", "nowhere/market.db"], &[]);
    unreachable.is("database", "fail", "can't be made");
    unreachable.is("disk", "fail", "nowhere");
}

#[test]
fn a_clock_behind_the_database_is_doubted() {
    let folder = tempfile::tempdir().expect("a folder");
    used_database(folder.path());
    let file = File::options().write(true).open(folder.path().join("market.db")).expect("a file");
    file.set_modified(SystemTime::now() + Duration::from_secs(3600)).expect("a time");
    look(folder.path(), &["--db", "market.db"], &[]).is("clock", "warn", "set the clock");
}

#[test]
fn a_seed_that_makes_no_sense_is_found_before_the_server_is_started() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("world.yaml"), "solutions: 7").expect("a file");
    let found = look(folder.path(), &["--memory", "--seed", "world.yaml"], &[]);
    found.is("world", "fail", "seed");
    assert_eq!(found.code(), Some(1));
}

#[test]
fn variables_that_belong_together_are_known_to_the_marketplace_they_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let found = exec(folder.path(), &[], "$0 doctor --memory --port 0 --json");
    found.is("CLOUDNESTLE_URL", "ok", "a marketplace answers");
    found.is("CLOUDNESTLE_SECRET_KEY", "ok", "CLOUDNESTLE_TOKEN is good");
    for name in ["PUBLISHABLE_KEY", "ADMIN_KEY", "CONTROL_TOKEN"] {
        found.is(&format!("CLOUDNESTLE_{name}"), "ok", "is known");
    }
    assert_eq!(found.code(), Some(0));
}

#[test]
fn variables_that_contradict_each_other_are_told_and_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let elsewhere = exec(folder.path(), &[], "$0 exec -- sh -c 'echo $CLOUDNESTLE_SECRET_KEY'");
    let elsewhere = elsewhere.text().trim();
    assert!(elsewhere.starts_with("cnsk_test_"));
    for (changed, about, verdict, words) in [
        (format!("SECRET_KEY={elsewhere}"), "SECRET_KEY", "fail", "not known there"),
        ("SECRET_KEY=cnsk_live_0".to_owned(), "SECRET_KEY", "fail", "live key"),
        ("SECRET_KEY=cnpk_test_0".to_owned(), "SECRET_KEY", "fail", "begin with cnsk_test_"),
        ("SOLUTION=sol_invoice_ocr".to_owned(), "SECRET_KEY", "fail", "another solution"),
        ("TOKEN=nonsense".to_owned(), "TOKEN", "fail", "token_malformed"),
        ("CONTROL_TOKEN=cnct_test_0".to_owned(), "CONTROL_TOKEN", "fail", "at each start"),
        ("URL=http://127.0.0.1:9".to_owned(), "URL", "fail", "nobody answers"),
        ("URL=127.0.0.1".to_owned(), "URL", "fail", "neither http"),
        ("URL=".to_owned(), "URL", "warn", "CLOUDNESTLE_SECRET_KEY"),
        ("MOCK_SERVER=/nowhere/it".to_owned(), "MOCK_SERVER", "fail", "there is nothing"),
    ] {
        let (_, value) = changed.split_once('=').expect("a value");
        let script = format!(
            "export CLOUDNESTLE_{changed}; $0 doctor --memory --port 0 --json; echo $? >&2"
        );
        let found = exec(folder.path(), &[], &script);
        found.is(&format!("CLOUDNESTLE_{about}"), verdict, words);
        if value.contains("_test_") || value.contains("_live_") {
            assert!(!found.text().contains(value), "{changed} is shown");
        }
        let code = std::str::from_utf8(&found.0.stderr).expect("UTF-8").trim();
        assert_eq!(code, if verdict == "fail" { "1" } else { "0" }, "{changed}");
    }
}

#[test]
fn a_proxy_that_is_not_told_of_this_machine_is_warned_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let proxy = ("http_proxy", "http://proxy.example:3128");
    look(folder.path(), &["--memory"], &[proxy]).is("http_proxy", "warn", "no_proxy");
    let told = look(folder.path(), &["--memory"], &[proxy, ("no_proxy", "localhost,127.0.0.1")]);
    assert!(!told.text().contains("proxy"));
}

#[test]
fn a_token_that_has_expired_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let found = exec(
        folder.path(),
        &[],
        "curl --silent --output /dev/null $CLOUDNESTLE_URL/mock/clock --json '{\"advance_ms\": 1000000}' \
           -H \"Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN\"; \
         $0 doctor --memory --port 0 --json",
    );
    found.is("CLOUDNESTLE_TOKEN", "warn", "has expired");
    found.is("CLOUDNESTLE_URL", "ok", "whose clock is");
}

/// What hears a question and never answers costs three seconds for each, and no more.
#[test]
fn a_program_that_never_answers_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let mut child = Command::new(BINARY)
        .current_dir(&folder)
        .args(["doctor", "--memory", "--port", "0", "--json"])
        .env_clear()
        .env("CLOUDNESTLE_URL", url)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary");
    let (mut asked, _) = silent.accept().expect("a question");
    let output = child.stdout.take().map(std::io::read_to_string).expect("a pipe").expect("text");
    assert!(output.contains("no answer within"), "{output}");
    assert_eq!(child.wait().expect("an end").code(), Some(1));
    let mut question = String::new();
    asked.read_to_string(&mut question).expect("its words");
    assert!(question.starts_with("GET /healthz"), "{question}");
}
