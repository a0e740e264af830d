//! `cargo xtask sim` runs this.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use cloudnestle_sim::{Coverage, Options, tell};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "SDKs and the marketplace in worlds in which everything fails")]
struct Arguments {
    /// Tells one story, line by line
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// How many stories
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of their seeds
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Plants bugs, one after the other, and says how many stories it takes to find each
    #[cfg(feature = "planted")]
    #[arg(long)]
    planted: bool,
    /// Nothing fails
    #[arg(long)]
    calm: bool,
    /// Where to write the totals, as JSON
    #[arg(long)]
    totals: Option<std::path::PathBuf>,
}

/// Whether every bug that is planted is found.
#[cfg(feature = "planted")]
fn find_planted() -> ExitCode {
    use cloudnestle_sim::planted::{ALL, find};

    let mut blind = false;
    for (bug, most) in ALL {
        let found = find(*bug, *most);
        match &found {
            Some(found) => println!("{bug:?} | {} of {most} | {}", found.after, found.by),
            None => println!("{bug:?} | NOT FOUND in {most} stories"),
        }
        blind |= found.is_none();
    }
    if blind { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[cfg(feature = "planted")]
    if arguments.planted {
        return find_planted();
    }
    let options = Options { faults: !arguments.calm, show: arguments.seed.is_some() };
    let seeds = match arguments.seed {
        Some(seed) => seed..seed + 1,
        None => arguments.from..arguments.from + arguments.seeds,
    };
    let began = Instant::now();
    let (mut stories, mut seconds, mut acknowledged, mut counted) = (0_u64, 0.0, 0, 0);
    let mut coverage = Coverage::default();
    let mut broken = Vec::new();
    for seed in seeds {
        stories += 1;
        match tell(seed, options) {
            Ok(told) => {
                seconds += told.lasted.as_secs_f64();
                acknowledged += told.acknowledged;
                counted += told.counted;
                coverage += told.coverage;
                if options.show {
                    println!("seed {seed}: every promise was kept; hash {:016x}", told.hash);
                }
            }
            Err(error) => {
                println!("seed {seed}: {}", error.promises.join("\n    "));
                broken.push(seed);
            }
        }
    }
    let took = began.elapsed().as_secs_f64();
    let totals = json!({
        "stories": stories,
        "broken": broken,
        "virtual_hours": seconds / 3_600.0,
        "acknowledged": acknowledged,
        "counted": counted,
        "stories_a_second": stories as f64 / took,
        "faults": coverage,
        "scenes": coverage.scenes(),
        "never_happened": coverage.missing(),
    });
    if let Some(file) = arguments.totals
        && let Err(error) = std::fs::write(&file, totals.to_string())
    {
        eprintln!("{}: {error}", file.display());
        return ExitCode::FAILURE;
    }
    if !options.show {
        println!("{totals:#}");
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
