//! What the documentation shows is run, and what it links to is there.
//!
//! The shell blocks of a guide are run from top to bottom, in one shell, against a server that has
//! just been started as the guide says. What a block prints must agree with the block of `json` or
//! `text` beneath it; a block without one prints nothing.
#![cfg(all(unix, feature = "control"))]

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Between what one block prints and what the next one does.
const MARK: &str = "---- the next block ----";

#[test]
fn the_api_guide_shows_what_happens() {
    run("docs/guides/api.md");
}

#[test]
fn the_authentication_guide_shows_what_happens() {
    run("docs/guides/authentication.md");
}

#[test]
fn the_guide_to_the_command_line_shows_what_happens() {
    run("docs/testing/cli.md");
}

#[test]
fn the_guide_to_faults_shows_what_happens() {
    run("docs/testing/faults.md");
}

#[test]
fn the_recipes_provoke_what_they_say() {
    run("docs/testing/recipes.md");
}

#[test]
fn the_guide_to_the_journal_shows_what_happens() {
    run("docs/testing/journal.md");
}

#[test]
fn the_guide_to_snapshots_shows_what_happens() {
    run("docs/testing/snapshots.md");
}

#[test]
fn the_guide_to_worlds_shows_what_happens() {
    run("docs/testing/worlds.md");
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let mut dead = Vec::new();
    for page in pages() {
        let text = read(&page);
        for (label, target) in links(&text) {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = page.parent().expect("a folder");
            let file = if file.is_empty() { page.clone() } else { folder.join(file) };
            if let Some(reason) = dead_end(&file, anchor, label) {
                dead.push(format!("{}: [{label}]({target}): {reason}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn an_answer_agrees_with_what_is_shown_of_it() {
    let answer = r#"{"id": "cus_1", "at": "2026-11-22T10:00:00Z", "list": [{"n": 1, "m": 2}, 3]}"#;
    for (shown, agrees) in [
        (r#"{"id": "cus_1"}"#, true),
        (r#"{"id": "cus_…", "list": [{"m": 2}]}"#, true),
        (r#"{"at": "2030-01-01T00:00:00Z"}"#, true),
        (r#"{"id": "cus_2"}"#, false),
        (r#"{"id": "tok_…"}"#, false),
        (r#"{"id": 1}"#, false),
        (r#"{"at": "soon"}"#, false),
        (r#"{"name": "Asha"}"#, false),
        (r#"{"list": [{"n": 2}]}"#, false),
        (r#"{"list": [{}, 3, 4]}"#, false),
        (r#"{"list": []}"#, false),
    ] {
        assert_eq!(Shown::Json(shown).disagreement(answer).is_none(), agrees, "{shown}");
    }
    let head = "HTTP/1.1 200 OK\r\nratelimit: \"key\";r=49;t=1\r\n";
    assert_eq!(Shown::Text("ratelimit: \"key\";r=…;t=…").disagreement(head), None);
    assert!(Shown::Text("ratelimit: \"token\";…").disagreement(head).is_some());
    assert!(Shown::Nothing.disagreement(head).is_some());
}

/// A block of shell, and what the guide says it prints.
struct Step<'t> {
    line: usize,
    script: &'t str,
    shown: Shown<'t>,
}

enum Shown<'t> {
    Nothing,
    /// The answer has these fields, and perhaps others; a list begins with these items, and is empty if
    /// there are none. A time stands for any time, and `…` within a text for any text.
    Json(&'t str),
    /// Each of these lines is printed, in any order. `…` stands for any text.
    Text(&'t str),
}

impl Shown<'_> {
    /// Where what was printed is not what is shown.
    fn disagreement(&self, printed: &str) -> Option<String> {
        match self {
            Shown::Nothing => {
                (!printed.trim().is_empty()).then(|| "it should print nothing".to_owned())
            }
            Shown::Json(shown) => {
                let shown = serde_json::from_str(shown).expect("what is shown is JSON");
                match serde_json::from_str(printed) {
                    Ok(answer) => differs("", &shown, &answer),
                    Err(error) => Some(format!("it is no JSON: {error}")),
                }
            }
            Shown::Text(shown) => {
                let is_there = |line: &&str| printed.lines().any(|it| fits(line, it.trim_end()));
                shown.lines().find(|line| !is_there(line)).map(|line| format!("without {line}"))
            }
        }
    }
}

fn differs(place: &str, shown: &Value, answer: &Value) -> Option<String> {
    match (shown, answer) {
        (Value::Object(shown), Value::Object(answer)) => shown.iter().find_map(|(name, shown)| {
            let place = format!("{place}.{name}");
            match answer.get(name) {
                Some(answer) => differs(&place, shown, answer),
                None => Some(format!("{place} is not there")),
            }
        }),
        (Value::Array(shown), Value::Array(answer)) if !shown.is_empty() => {
            shown.iter().enumerate().find_map(|(n, shown)| match answer.get(n) {
                Some(answer) => differs(&format!("{place}[{n}]"), shown, answer),
                None => Some(format!("{place}[{n}] is not there")),
            })
        }
        (Value::String(shown), Value::String(answer)) if fits(shown, answer) => None,
        _ => (shown != answer).then(|| format!("{place} is {answer}, and not {shown}")),
    }
}

fn fits(shown: &str, text: &str) -> bool {
    let is_time = |text: &str| text.parse::<jiff::Timestamp>().is_ok();
    if shown == text || is_time(shown) && is_time(text) {
        return true;
    }
    let parts: Vec<&str> = shown.split('…').collect();
    let [first, middle @ .., last] = &parts[..] else {
        return false;
    };
    let Some(mut rest) = text.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

/// The steps of a guide. Blocks of other languages are for reading.
fn steps(guide: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut awaits_answer = false;
    let mut fences = fences(guide).into_iter();
    while let (Some((line, language)), Some((end, _))) = (fences.next(), fences.next()) {
        let block = lines(guide, line + 1, end);
        match (language, steps.last_mut()) {
            ("sh", _) => {
                steps.push(Step { line: line + 1, script: block, shown: Shown::Nothing });
            }
            ("json", Some(step)) if awaits_answer => step.shown = Shown::Json(block),
            ("text", Some(step)) if awaits_answer => step.shown = Shown::Text(block),
            ("json" | "text", _) => panic!("line {}: an answer to nothing", line + 1),
            _ => {}
        }
        awaits_answer = language == "sh";
    }
    steps
}

/// The lines that begin and end blocks, counted from zero, and what comes after the fence.
fn fences(page: &str) -> Vec<(usize, &str)> {
    let numbered = page.lines().enumerate();
    numbered.filter_map(|(n, line)| Some((n, line.strip_prefix("```")?))).collect()
}

/// The lines from `begin` until before `end`.
fn lines(page: &str, begin: usize, end: usize) -> &str {
    let at = |n| page.split_inclusive('\n').take(n).map(str::len).sum::<usize>();
    &page[at(begin)..at(end)]
}

fn run(guide: &str) {
    let text = read(&root().join(guide));
    let steps = steps(&text);
    assert!(!steps.is_empty(), "{guide} shows nothing");
    let (_server, exports) = start();

    let mut script = format!("set -eu\n{exports}");
    for step in &steps {
        script.push_str(&format!("{}\nprintf '\\n%s\\n' '{MARK}'\n", step.script));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ran = Command::new("sh")
        .args(["-c", &script])
        .env("PATH", path_with_binary())
        .current_dir(&folder)
        .output()
        .expect("a shell");
    let printed = String::from_utf8_lossy(&ran.stdout);
    let mut printed = printed.split(MARK).peekable();
    for Step { line, script, shown } in &steps {
        let printed_here = printed.next().unwrap_or_default();
        let failed = printed.peek().is_none().then(|| "it fails".to_owned());
        if let Some(reason) = failed.or_else(|| shown.disagreement(printed_here)) {
            let stderr = String::from_utf8_lossy(&ran.stderr);
            panic!("{guide}:{line}: {reason}\n{script}\n{printed_here}\n{stderr}");
        }
    }
}

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server as the guides start it, and the exports its banner prints.
fn start() -> (Server, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cloudnestle-mock-server"))
        .args(["--port", "0", "--memory"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary");
    let banner = BufReader::new(child.stdout.take().expect("a pipe"));
    let server = Server(child);
    let lines = banner.lines().map_while(Result::ok);
    let lines = lines.take_while(|line| !line.starts_with("Ctrl-C"));
    let exports = lines.filter(|line| line.starts_with("  export ")).collect::<Vec<_>>();
    assert!(!exports.is_empty(), "the banner has exports");
    (server, exports.join("\n") + "\n")
}

/// Where a shell looks for programs, the binary's folder before the others.
fn path_with_binary() -> OsString {
    let binary = Path::new(env!("CARGO_BIN_EXE_cloudnestle-mock-server"));
    let own = binary.parent().expect("a folder").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(own).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).expect("folders that a PATH can hold")
}

/// Every page of the repository that people read.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_ours = !name.starts_with('.') && name != "target" && name != "node_modules";
            match path.is_dir() {
                true if is_ours => folders.push(path),
                false if name.ends_with(".md") => pages.push(path),
                _ => {}
            }
        }
    }
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

/// The label and the target of each link outside of blocks.
fn links(page: &str) -> Vec<(&str, &str)> {
    let fences: Vec<usize> = fences(page).into_iter().map(|(line, _)| line).collect();
    let is_text = |n: &usize| fences.iter().filter(|fence| *fence <= n).count() % 2 == 0;
    let text = page.lines().enumerate().filter(|(n, _)| is_text(n)).map(|(_, line)| line);
    let parts =
        text.flat_map(|line| line.match_indices("](").map(move |(at, _)| line.split_at(at)));
    parts
        .filter_map(|(before, after)| {
            let label = &before[before.rfind('[')? + 1..];
            Some((label, after[2..].split_once(')')?.0))
        })
        .collect()
}

/// Why a link leads nowhere. One whose label is the name of a test must lead to it.
fn dead_end(file: &Path, anchor: &str, label: &str) -> Option<String> {
    if !file.exists() {
        return Some("there is no such file".to_owned());
    }
    let name = label.trim_matches('`');
    let is_test = name != label && name.matches('_').count() >= 3 && !name.contains(['.', '/']);
    if is_test && file.extension().is_some_and(|it| it == "rs") {
        let test = format!("fn {name}(");
        return (!read(file).contains(&test)).then(|| "there is no such test".to_owned());
    }
    if is_test && file.extension().is_some_and(|it| it == "yaml") {
        let stem = file.file_stem().and_then(|stem| stem.to_str());
        return (stem != Some(name)).then(|| "the scenario is another".to_owned());
    }
    if anchor.is_empty() || file.extension().is_none_or(|it| it != "md") {
        return None;
    }
    let page = read(file);
    let is_there = page.lines().any(|line| line.starts_with('#') && slug(line) == anchor);
    let is_there = is_there || page.contains(&format!(r#"id="{anchor}""#));
    (!is_there).then(|| "there is no such heading".to_owned())
}

/// The anchor of a heading, as GitHub makes it.
fn slug(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let keeps = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.chars().filter(keeps).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
