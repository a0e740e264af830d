//! `doctor`: what on this machine, and in what this program is told, keeps a server from starting or a program
//! from finding it.
//!
//! It changes nothing. A marketplace that answers is asked a few questions, which are in its journal.

mod ask;
mod database;
mod machine;
mod variables;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::print;
use super::server::{Colours, DATABASE, PORT, ServerOptions};

#[derive(Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    server: ServerOptions,

    #[command(flatten)]
    colours: Colours,

    /// Print what was found as JSON, in a line
    #[arg(long)]
    json: bool,
}

/// What was found about one thing.
#[derive(Serialize)]
struct Finding {
    verdict: Verdict,
    /// What was looked at.
    about: &'static str,
    /// What it is like.
    says: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    /// It works, and somebody may be surprised.
    Warn,
    /// It keeps a server from starting, or a program from finding it.
    Fail,
}

#[derive(Serialize)]
struct Report {
    /// The worst of them.
    verdict: Verdict,
    findings: Vec<Finding>,
}

impl Doctor {
    pub(super) async fn run(self) -> ExitCode {
        let report = self.look().await;
        let text = match self.json {
            // A report has nothing that JSON has not.
            true => serde_json::to_string(&report).unwrap_or_default() + "\n",
            false => report.text(self.colours.are_for(&std::io::stdout())),
        };
        match (print(&text), report.verdict) {
            (Ok(()), Verdict::Ok | Verdict::Warn) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }

    async fn look(&self) -> Report {
        let options = &self.server;
        let default = (!options.memory).then_some(Path::new(DATABASE));
        let path = options.db.as_deref().or(default);
        let mut findings = vec![
            machine::port(options.listen, options.port.unwrap_or(PORT)).await,
            machine::clock(path),
            machine::descriptors(options.max_connections),
            founding(options).await,
        ];
        if let Some(path) = path {
            findings.extend([database::file(path), machine::space(path)]);
        }
        findings.extend(variables::look().await);
        let verdict = findings.iter().map(|it| it.verdict).max().unwrap_or(Verdict::Ok);
        Report { verdict, findings }
    }
}

/// Whether a server as it is told begins at all: with this seed, this URL, and random numbers.
async fn founding(options: &ServerOptions) -> Finding {
    match options.builder(0, None).start().await {
        Ok(server) => {
            let of_what = server.solutions().len();
            server.stop().await;
            Finding::ok("world", format!("founded in memory, with {of_what} solutions"))
        }
        Err(error) => Finding::fail("world", error.to_string())
            .advice("correct what it names: --seed, --public-url or --listen"),
    }
}

impl Finding {
    fn new(verdict: Verdict, about: &'static str, says: impl Into<String>) -> Finding {
        Finding { verdict, about, says: says.into(), advice: None }
    }

    fn ok(about: &'static str, says: impl Into<String>) -> Finding {
        Finding::new(Verdict::Ok, about, says)
    }

    fn warn(about: &'static str, says: impl Into<String>) -> Finding {
        Finding::new(Verdict::Warn, about, says)
    }

    fn fail(about: &'static str, says: impl Into<String>) -> Finding {
        Finding::new(Verdict::Fail, about, says)
    }

    fn advice(self, advice: impl Into<String>) -> Finding {
        Finding { advice: Some(advice.into()), ..self }
    }
}

impl Report {
    /// For people: a line for each, and beneath it what to do.
    fn text(&self, colours: bool) -> String {
        let mut text = String::new();
        for Finding { verdict, about, says, advice } in &self.findings {
            let (word, colour) = match verdict {
                Verdict::Ok => ("ok", "32"),
                Verdict::Warn => ("warn", "33"),
                Verdict::Fail => ("fail", "31"),
            };
            let word = match colours {
                true => format!("\x1b[{colour}m{word:4}\x1b[0m"),
                false => format!("{word:4}"),
            };
            // Writing to a string can't fail.
            let _ = writeln!(text, "{word}  {about:28} {says}");
            if let Some(advice) = advice {
                let _ = writeln!(text, "{:35}{advice}", "");
            }
        }
        text
    }
}
