//! System calls of a process, watched and tampered with by `strace`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// What becomes of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Its process is killed before it.
    Killed,
    /// It fails with this error, and does nothing.
    Fails(&'static str),
}

/// A call that meets its fate. Strace counts by thread: the first thread that comes so far meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The system call.
    pub call: &'static str,
    /// Which one: the first is 1.
    pub nth: u32,
    /// What becomes of it.
    pub fate: Fate,
}

/// What strace is to do, and where it writes what it sees.
#[derive(Clone, Debug)]
pub struct Trace {
    file: PathBuf,
    calls: String,
    /// Only calls that name one of these; without, all.
    paths: Vec<PathBuf>,
    injection: Option<Injection>,
}

/// A call that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub call: String,
    /// With its arguments, in which files have their paths.
    pub text: String,
    /// Its place among those of its name and thread: the first is 1.
    pub nth: u32,
    /// Whether it met the fate that was injected.
    pub tampered: bool,
}

impl Trace {
    /// Watches these calls, and may let one of them meet its fate.
    #[must_use]
    pub fn of(calls: &[&str], injection: Option<Injection>, file: PathBuf) -> Trace {
        Trace { file, calls: calls.join(","), paths: Vec::new(), injection }
    }

    /// Sees, and counts, calls that name one of these paths alone.
    #[must_use]
    pub fn about(self, paths: Vec<PathBuf>) -> Trace {
        Trace { paths, ..self }
    }

    /// Attaches strace to a process, from its next system call on. It ends with the process.
    pub(crate) fn attach(&self, process: u32) -> Result<Child> {
        // Not with --seccomp-bpf: with that, strace 6.1 does not deliver injected signals.
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-qq", "-e", "signal=none"]);
        command.arg(format!("--trace={}", self.calls));
        if let Some(Injection { call, nth, fate }) = self.injection {
            let fate = match fate {
                Fate::Killed => "signal=SIGKILL".to_owned(),
                Fate::Fails(error) => format!("error={error}"),
            };
            command.arg(format!("--inject={call}:{fate}:when={nth}"));
        }
        for path in &self.paths {
            command.arg("-P").arg(path);
        }
        command.stderr(Stdio::null()).arg("-o").arg(&self.file).arg("-p").arg(process.to_string());
        let mut strace =
            command.spawn().context("strace can't be started; Debian's package has that name")?;
        let give_up = Instant::now() + Duration::from_secs(30);
        while !is_traced(process)? {
            ensure!(strace.try_wait()?.is_none(), "strace may not attach to a process");
            ensure!(Instant::now() < give_up, "strace does not attach");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(strace)
    }

    /// The calls, in the order in which they began.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn seen(&self) -> Result<Vec<Seen>> {
        let bytes = std::fs::read(&self.file).context("strace wrote nothing")?;
        Ok(parse(&String::from_utf8_lossy(&bytes)))
    }
}

fn is_traced(process: u32) -> Result<bool> {
    let status =
        std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status"))?;
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    Ok(tracer.context("no TracerPid")?.trim() != "0")
}

/// A line tells of a call (`16985 rename("a", "b") = 0`), or of the end of one that a line of another
/// thread interrupted (`16985 <... rename resumed>) = ?`). A call its process did not survive has no
/// result.
fn parse(trace: &str) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let mut latest: BTreeMap<&str, usize> = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(call) = name(text) {
            let nth = counts.entry((thread, call)).or_default();
            *nth += 1;
            latest.insert(thread, seen.len());
            let (call, text) = (call.to_owned(), text.to_owned());
            seen.push(Seen { call, text, nth: *nth, tampered: false });
        }
        if (text.ends_with("= ?") || text.contains("(INJECTED)"))
            && let Some(call) = latest.get(thread).and_then(|place| seen.get_mut(*place))
        {
            call.tampered = true;
        }
    }
    seen
}

fn name(text: &str) -> Option<&str> {
    let (name, _) = text.split_once('(')?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_name && !name.is_empty()).then_some(name)
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Killed => f.write_str("killed before"),
            Fate::Fails(error) => write!(f, "{error} from"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_tells_which_call_of_which_thread_met_its_fate() {
        let trace = "\
            10 write(3</a>, \"(\", 1) = 1\n\
            11 write(4</b>, \"\", 0 <unfinished ...>\n\
            10 write(3</a>, \"\", 0) = -1 EIO (Input/output error) (INJECTED)\n\
            11 <... write resumed>) = ?\n\
            11 +++ killed by SIGKILL +++\n";
        let told: Vec<_> =
            parse(trace).into_iter().map(|seen| (seen.nth, seen.tampered, seen.text)).collect();
        assert_eq!(told.len(), 3);
        let [first, second, third] = [&told[0], &told[1], &told[2]];
        assert_eq!((first.0, first.1), (1, false));
        assert_eq!((second.0, second.1), (1, true));
        assert!(second.2.contains("/b"));
        assert_eq!((third.0, third.1), (2, true));
    }
}
