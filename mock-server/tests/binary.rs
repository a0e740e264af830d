//! The binary: what it says when it starts, and how it ends.
#![cfg(all(unix, feature = "control"))]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

fn start(folder: &Path, arguments: &[&str]) -> (Child, Value) {
    let ready = folder.join("ready.json");
    let _ = std::fs::remove_file(&ready);
    let child = Command::new(env!("CARGO_BIN_EXE_cloudnestle-mock-server"))
        .current_dir(folder)
        .args(["--port", "0", "--ready-file", "ready.json"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let begin = Instant::now();
    while !ready.exists() {
        assert!(begin.elapsed() < Duration::from_secs(10), "it did not get ready");
        std::thread::sleep(Duration::from_millis(5));
    }
    let mode = ready.metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "keys are for their owner alone");
    let ready = std::fs::read(&ready).expect("a file");
    (child, serde_json::from_slice(&ready).expect("JSON"))
}

/// Ends the binary as the system does, and returns what it had printed.
fn terminate(child: Child) -> String {
    ask_to_end(&child);
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success(), "it ends in peace");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn it_says_where_it_is_and_keeps_its_keys_with_its_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let (child, first) = start(folder.path(), &[]);
    let banner = terminate(child);
    let url = first["url"].as_str().expect("a URL");
    let key = first["solutions"][0]["secret_key"].as_str().expect("a key");
    let token = first["control_token"].as_str().expect("a token");
    let admin_key = first["admin_key"].as_str().expect("a key");
    assert_eq!(first["solutions"][0]["holder"], "cus_ravi");
    for word in [
        url,
        key,
        admin_key,
        token,
        "as cus_ravi from another shell",
        "sol_faiss_search",
        "cloudnestle.db",
    ] {
        assert!(banner.contains(word), "{word} is not in {banner}");
    }

    let (child, second) = start(folder.path(), &[]);
    terminate(child);
    for solution in 0..3 {
        let [first, second] = [&first, &second].map(|ready| &ready["solutions"][solution]);
        assert_eq!(second["secret_key"], first["secret_key"]);
        assert_ne!(second["token_pair"], first["token_pair"]);
    }
    assert_eq!(second["admin_key"], first["admin_key"]);
    assert_ne!(second["control_token"], first["control_token"]);
}

#[test]
fn in_memory_it_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let (child, _) = start(folder.path(), &["--memory"]);
    terminate(child);
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 1, "the ready file alone");
}

#[test]
fn two_cannot_have_one_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let (child, _) = start(folder.path(), &[]);
    let second = Command::new(env!("CARGO_BIN_EXE_cloudnestle-mock-server"))
        .current_dir(folder.path())
        .args(["--port", "0"])
        .output()
        .expect("the binary");
    terminate(child);
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("in use"), "{said}");
}

/// Asks, and hears the answer to its end.
fn ask(ready: &Value, request: &str) -> std::io::Result<String> {
    let address = ready["url"].as_str().and_then(|url| url.strip_prefix("http://"));
    let mut stream = TcpStream::connect(address.expect("a URL"))?;
    stream.write_all(request.as_bytes())?;
    let mut heard = String::new();
    stream.read_to_string(&mut heard)?;
    Ok(heard)
}

fn plan(ready: &Value, fault: &str) {
    let token = ready["control_token"].as_str().expect("a token");
    let host = ready["url"].as_str().and_then(|url| url.strip_prefix("http://")).expect("a URL");
    let planned = format!(
        "POST /mock/faults HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{fault}",
        fault.len()
    );
    let planned = ask(ready, &planned).expect("an answer");
    assert!(planned.starts_with("HTTP/1.1 200"), "{planned}");
}

/// A call that takes that long is under way when this returns.
fn begin_slow_call(ready: &Value, millis: u64) -> JoinHandle<std::io::Result<String>> {
    plan(ready, &format!(r#"{{"on": "GET /.well-known/jwks.json", "delay_ms": {millis}}}"#));
    let slow = {
        let ready = ready.clone();
        let request = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        std::thread::spawn(move || ask(&ready, request))
    };
    // Two are under way: the slow one, and this question itself.
    while !ask(ready, "GET /metrics HTTP/1.0\r\n\r\n").expect("text").contains("under_way 2") {
        std::thread::sleep(Duration::from_millis(5));
    }
    slow
}

fn ask_to_end(child: &Child) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
}

#[test]
fn asked_to_end_it_finishes_what_is_under_way_and_takes_nothing_new() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut child, ready) = start(folder.path(), &[]);
    let slow = begin_slow_call(&ready, 1_000);
    ask_to_end(&child);
    while ask(&ready, "GET /healthz HTTP/1.0\r\n\r\n").is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let answer = slow.join().expect("no panic").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(child.wait().expect("an end").success());
}

#[test]
fn asked_twice_it_ends_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut child, ready) = start(folder.path(), &[]);
    let slow = begin_slow_call(&ready, 60_000);
    ask_to_end(&child);
    while ask(&ready, "GET /healthz HTTP/1.0\r\n\r\n").is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    ask_to_end(&child);
    // Asked once, it would wait five seconds and end in peace.
    assert_eq!(child.wait().expect("an end").code(), Some(130));
    assert_eq!(slow.join().expect("no panic").unwrap_or_default(), "");
}

#[test]
fn its_log_is_for_people_or_for_programs() {
    let log = |format: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let arguments = ["--memory", "--log", "debug", "--log-format", format];
        let (child, ready) = start(folder.path(), &arguments);
        ask(&ready, "GET /healthz HTTP/1.1\r\nx-request-id: mine\r\nconnection: close\r\n\r\n")
            .expect("an answer");
        ask_to_end(&child);
        let output = child.wait_with_output().expect("an end");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let text = log("text");
    let line = text.lines().find(|line| line.contains("answered")).expect(&text);
    for word in ["mine", "/healthz", "200"] {
        assert!(line.contains(word), "{word} is not in {line}");
    }
    let json = log("json");
    let lines = json.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let line = lines.into_iter().find(|line| line["message"] == "answered").expect(&json);
    assert_eq!(line["status"], 200);
    assert_eq!(line["span"]["id"], "mine");
    assert_eq!(line["span"]["path"], "/healthz");
}

/// Whoever is told the id of a failed call can be helped with the log alone.
#[test]
fn the_log_of_a_failure_has_the_call_its_id_and_the_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    let (child, ready) = start(folder.path(), &["--memory"]);
    plan(&ready, r#"{"on": "GET /.well-known/jwks.json", "status": 503}"#);
    let request = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\n\
                   connection: close\r\n\r\n";
    let refused = ask(&ready, request).expect("an answer");
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    ask_to_end(&child);
    let output = child.wait_with_output().expect("an end");
    let log = String::from_utf8(output.stderr).expect("UTF-8");
    for word in ["mine", "GET /.well-known/jwks.json", "503", "code=", "cause="] {
        assert!(log.contains(word), "{word} is not in {log}");
    }
    assert!(!log.contains('\x1b'), "colours are for terminals: {log:?}");
}

/// As many as there are file descriptors for, up to 10,000: most of a server's life is waiting.
#[test]
fn thousands_of_idle_connections_cost_little_and_hinder_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let (child, ready) = start(folder.path(), &["--memory", "--max-connections", "9000"]);
    let address = ready["url"].as_str().and_then(|url| url.strip_prefix("http://")).expect("a URL");
    let before = resident_kilobytes(&child);
    let mut idle: Vec<_> = (0..10_000).map_while(|_| TcpStream::connect(address).ok()).collect();
    idle.truncate(idle.len() - 10); // some descriptors for what follows

    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").expect("a connection");
    let mut heard = String::new();
    stream.read_to_string(&mut heard).expect("an answer");
    assert!(heard.starts_with("HTTP/1.0 200"), "{heard}");
    if let (Some(before), Some(after)) = (before, resident_kilobytes(&child)) {
        let each = (after - before) / idle.len().min(9_000);
        println!("{} connections, {before} kB before and {after} kB after", idle.len());
        assert!(each <= 16, "{each} kB for each connection");
    }
    terminate(child);
}

/// Where the system tells.
fn resident_kilobytes(child: &Child) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
