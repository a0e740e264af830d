//! The binary: what it says when it starts, and how it ends.
#![cfg(all(unix, feature = "control"))]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
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
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
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
    for word in [url, key, admin_key, token, "cus_ravi", "sol_faiss_search", "cloudnestle.db"] {
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
