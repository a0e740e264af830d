//! `cloudnestle-mock-server exec`: a command beside a server of its own, with real processes.
#![cfg(all(unix, feature = "control"))]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_cloudnestle-mock-server");

/// Runs a line of shell beside a server.
fn exec(options: &[&str], script: &str) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("exec").args(options).args(["--", "sh", "-c", script]);
    command.output().expect("the binary")
}

fn printed(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8").trim()
}

fn said(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

/// A line of shell that plans this for the next call of an operation.
fn plan(operation: &str) -> String {
    format!(
        "curl --silent --output /dev/null $CLOUDNESTLE_URL/mock/faults \
           -H \"Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN\" \
           --json '{{\"on\": \"{operation}\", \"status\": 503}}'"
    )
}

#[test]
fn the_command_finds_a_server_that_knows_its_keys() {
    let ran = exec(
        &[],
        r#"curl --silent --fail "$CLOUDNESTLE_URL/api/validate-token" \
             -H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY" -H "CloudNestle-Solution: $CLOUDNESTLE_SOLUTION" \
             --json '{"token": "'$CLOUDNESTLE_TOKEN'"}'"#,
    );
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
    let answer: Value = serde_json::from_str(printed(&ran)).expect("nothing else is printed");
    assert_eq!(answer["valid"], true);
    assert_eq!(said(&ran), "");
}

#[test]
fn what_the_banner_exports_is_in_the_environment() {
    let banner = {
        let mut child = Command::new(BINARY)
            .args(["--memory", "--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let lines = lines.map_while(Result::ok).take_while(|line| !line.starts_with("Ctrl-C"));
        let names = lines.filter_map(|line| {
            let name = line.trim().strip_prefix("export ")?.split('=').next()?;
            Some(name.to_owned())
        });
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        child.kill().and_then(|()| child.wait()).expect("an end");
        names
    };
    let ran = exec(&[], "env | sed -n 's/^\\(CLOUDNESTLE_[A-Z_]*\\)=..*/\\1/p' | sort");
    assert_eq!(printed(&ran).lines().collect::<Vec<_>>(), banner);
    for name in ["URL", "SOLUTION", "SECRET_KEY", "PUBLISHABLE_KEY", "ADMIN_KEY", "CONTROL_TOKEN"] {
        assert!(banner.contains(&format!("CLOUDNESTLE_{name}")), "{name}: {banner:?}");
    }
}

#[test]
fn the_command_can_be_another_solution() {
    let ran = exec(&["--solution", "sol_invoice_ocr"], "echo $CLOUDNESTLE_SOLUTION");
    assert_eq!(printed(&ran), "sol_invoice_ocr");
    let none = exec(&["--solution", "sol_none"], "echo ran");
    assert_eq!(none.status.code(), Some(125));
    assert!(said(&none).contains("no sol_none, but sol_faiss_search"), "{}", said(&none));
    assert_eq!(printed(&none), "");
}

/// A token of another marketplace would be refused here, and nobody would see why.
#[test]
fn what_the_server_has_not_is_not_left_of_another_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let seed = folder.path().join("world.yaml");
    let world = "solutions:\n  - { id: sol_lonely, name: Lonely, actions: [], plans: [] }\n";
    fs::write(&seed, world).expect("a file");
    let ran = Command::new(BINARY)
        .args(["exec", "--seed", seed.to_str().expect("UTF-8"), "--"])
        .args(["sh", "-c", "echo $CLOUDNESTLE_SOLUTION ${CLOUDNESTLE_TOKEN-none}"])
        .env("CLOUDNESTLE_TOKEN", "another's")
        .output()
        .expect("the binary");
    assert_eq!(printed(&ran), "sol_lonely none", "{}", said(&ran));
}

#[test]
fn it_ends_as_the_command_ended() {
    for (script, code) in [("true", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill $$", 143)] {
        let ran = exec(&[], script);
        assert_eq!(ran.status.code(), Some(code), "{script}: {}", said(&ran));
    }
}

#[test]
fn a_command_that_cannot_be_run_is_told_from_one_that_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("notes.txt");
    fs::write(&file, "no program").expect("a file");
    for (command, code) in [("there-is-no-such-command", 127), (file.to_str().expect("UTF-8"), 126)]
    {
        let ran = Command::new(BINARY).args(["exec", "--", command]).output().expect("the binary");
        assert_eq!(ran.status.code(), Some(code), "{command}");
        assert!(said(&ran).contains(command), "{}", said(&ran));
    }
}

#[test]
fn without_a_server_there_is_no_command() {
    let ran = exec(&["--seed", "/nowhere.yaml"], "echo ran");
    assert_eq!(ran.status.code(), Some(125));
    assert_eq!(printed(&ran), "");
    assert!(said(&ran).contains("nowhere.yaml"), "{}", said(&ran));

    let nothing = Command::new(BINARY).arg("exec").output().expect("the binary");
    assert_eq!(nothing.status.code(), Some(2));
}

#[test]
fn nothing_is_kept_unless_there_is_a_file_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |options: &[&str]| {
        let mut command = Command::new(BINARY);
        command.current_dir(folder.path()).arg("exec").args(options);
        let ran = command.args(["--", "sh", "-c", "echo $CLOUDNESTLE_SECRET_KEY"]).output();
        printed(&ran.expect("the binary")).to_owned()
    };
    assert_ne!(run(&[]), run(&[]));
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    assert_eq!(run(&["--db", "kept.db"]), run(&["--db", "kept.db"]));
}

#[test]
fn the_command_has_standard_input_and_arguments_as_they_are() {
    let mut child = Command::new(BINARY)
        .args(["exec", "--", "sh", "-c", "cat; echo \"$1\"", "sh", "--port 'x'"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), b"heard\n")
        .expect("a pipe");
    let output = child.wait_with_output().expect("an end");
    assert_eq!(printed(&output), "heard\n--port 'x'");
}

/// Starts a command, and returns the words of its first line.
fn start(script: &str) -> (Child, BufReader<ChildStdout>, Vec<String>) {
    let mut child = Command::new(BINARY)
        .args(["exec", "--", "sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    (child, out, line.split_whitespace().map(str::to_owned).collect())
}

fn kill(signal: &str, id: u32) {
    let killed = Command::new("kill").args([signal, &id.to_string()]).status();
    assert!(killed.expect("kill").success());
}

#[test]
fn a_signal_reaches_the_command_and_its_answer_is_the_end() {
    for (signal, name) in [("-INT", "INT"), ("-TERM", "TERM")] {
        // Reads in a loop, because a shell lets a trap wait for what it runs.
        let script = format!(
            "trap 'echo heard; n=$((n+1))' {name}; n=0; echo ready $$;
             while [ $n -lt 1 ]; do sleep 0.01; done; sleep 0.2; exit $((40 + n))"
        );
        let (mut child, mut out, first) = start(&script);
        assert_eq!(first[0], "ready");
        kill(signal, child.id());
        assert_eq!(child.wait().expect("an end").code(), Some(41), "{signal}");
        let mut rest = String::new();
        out.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "heard\n");
    }
}

#[test]
fn a_command_that_a_signal_ends_says_so_and_no_process_is_left() {
    let (mut child, _out, first) = start("echo $CLOUDNESTLE_URL $$; exec sleep 60");
    let address = first[0].strip_prefix("http://").expect("a URL").to_owned();
    assert!(TcpStream::connect(&address).is_ok(), "the server answers while the command runs");
    kill("-TERM", child.id());
    assert_eq!(child.wait().expect("an end").code(), Some(143));
    assert!(TcpStream::connect(&address).is_err(), "the server is gone");
    let begin = Instant::now();
    while Path::new("/proc").join(&first[1]).exists() {
        assert!(begin.elapsed() < Duration::from_secs(10), "the command is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_fault_that_no_call_met_is_told_and_strictly_it_is_a_failure() {
    let planned = plan("GET /.well-known/jwks.json");
    let met = format!("{planned}; curl --silent $CLOUDNESTLE_URL/.well-known/jwks.json");
    for (options, script, code, told) in [
        (&[] as &[&str], planned.clone(), 0, true),
        (&["--strict-faults"], planned.clone(), 3, true),
        // What the command says of itself is told first.
        (&["--strict-faults"], format!("{planned}; exit 9"), 9, true),
        (&["--strict-faults"], met, 0, false),
    ] {
        let ran = exec(options, &script);
        assert_eq!(ran.status.code(), Some(code), "{options:?} {script}");
        let tells = said(&ran).contains("no call met the planned fault");
        assert_eq!(tells, told, "{options:?} {script}: {}", said(&ran));
    }
}

#[test]
fn the_ready_file_can_be_a_line_of_standard_output() {
    let mut child = Command::new(BINARY)
        .args(["--memory", "--port", "0", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.read_line(&mut line).expect("a line");
    kill("-TERM", child.id());
    assert!(child.wait().expect("an end").success());
    let ready: Value = serde_json::from_str(&line).expect("JSON");
    assert!(ready["solutions"][0]["secret_key"].is_string());
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "");
}

#[test]
fn each_shell_is_told_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = Command::new(BINARY).args(["completions", shell]).output().expect("the binary");
        assert!(ran.status.success(), "{shell}");
        for word in ["exec", "completions", "strict-faults"] {
            assert!(printed(&ran).contains(word), "{shell}: {word}");
        }
    }
    let syntax =
        Command::new("bash").args(["-c", &format!("{BINARY} completions bash | bash -n")]).status();
    assert!(syntax.expect("bash").success());
}

#[test]
fn help_and_guide_tell_the_same_ends() {
    let help = Command::new(BINARY).arg("--help").output().expect("the binary");
    let table = printed(&help).split("How it ends:\n").nth(1).expect("the table").to_owned();
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/testing/cli.md");
    let guide = fs::read_to_string(guide).expect("the guide");
    for line in table.lines() {
        let (code, meaning) = line.trim().split_once("  ").expect("a code");
        assert!(guide.contains(&format!("| {code} | {meaning}")), "{code} | {meaning}");
    }
}

/// A terminal tells every process of its foreground; told again by `exec`, many a program would not wait for
/// its own end.
#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_in_a_terminal_reaches_the_command_once() {
    let script = "trap 'n=$((n+1))' INT; n=0; echo ready; \
                  while [ $n -lt 1 ]; do sleep 0.01; done; \
                  i=0; while [ $i -lt 30 ]; do sleep 0.01; i=$((i+1)); done; echo heard $n; exit 5";
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("waits.sh"), script).expect("a file");
    let mut terminal = Command::new("script")
        // A shell that stayed between the two would end by the signal itself.
        .args(["--quiet", "--return", "--command", &format!("exec {BINARY} exec -- sh waits.sh")])
        .env("SHELL", "/bin/sh")
        .arg("/dev/null")
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script, of bsdutils");
    let mut keys = terminal.stdin.take().expect("a pipe");
    let mut out = BufReader::new(terminal.stdout.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    assert_eq!(line.trim(), "ready");
    std::io::Write::write_all(&mut keys, b"\x03").expect("a terminal");
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("text");
    assert!(rest.contains("heard 1"), "{rest:?}");
    assert_eq!(terminal.wait().expect("an end").code(), Some(5));
}
