//! Which promise is put to which test of fortune: the table of the README, made of the scenarios, so that
//! an empty cell is seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::{Deed, Scenario};

const BEGIN: &str = "<!-- Made of the scenarios by `cargo xtask generate`. -->\n";
const END: &str = "<!-- The end of what is made. -->\n";

/// What may go wrong, or change behind the program's back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misfortune {
    Outage,
    LostAnswer,
    Refusal,
    Delay,
    Clock,
    ProgramEnds,
    ServerRestarts,
    Revoked,
    Forged,
    AtOnce,
    Full,
}

const COLUMNS: [(Misfortune, &str); 11] = [
    (Misfortune::Outage, "outage"),
    (Misfortune::LostAnswer, "reset"),
    (Misfortune::Refusal, "error"),
    (Misfortune::Delay, "delay"),
    (Misfortune::Clock, "clock"),
    (Misfortune::ProgramEnds, "program ends"),
    (Misfortune::ServerRestarts, "server restarts"),
    (Misfortune::Revoked, "revoked, re-tiered"),
    (Misfortune::Forged, "no token"),
    (Misfortune::AtOnce, "at once"),
    (Misfortune::Full, "full"),
];

impl Scenario {
    fn meets(&self, misfortune: Misfortune) -> bool {
        let does = |deeds: &[Deed]| self.steps.iter().any(|step| deeds.contains(&step.deed));
        let plans = |what: &str| {
            self.steps.iter().flat_map(|step| &step.plan).any(|fault| fault.contains_key(what))
        };
        match misfortune {
            Misfortune::Outage => does(&[Deed::GoOffline]),
            Misfortune::LostAnswer => plans("reset"),
            Misfortune::Refusal => plans("status"),
            Misfortune::Delay => plans("delay_ms"),
            Misfortune::Clock => does(&[Deed::AdvanceClock, Deed::TurnClockBack]),
            Misfortune::ProgramEnds => does(&[Deed::Restart]),
            Misfortune::ServerRestarts => does(&[Deed::RestartServer]),
            Misfortune::Revoked => does(&[Deed::Revoke, Deed::RevokeUser, Deed::ChangeTier]),
            Misfortune::Forged => {
                !self.given.texts.is_empty() || self.steps.iter().any(|step| step.forged)
            }
            Misfortune::AtOnce => self.steps.iter().any(|step| step.callers.is_some()),
            Misfortune::Full => self.given.spool.events.is_some(),
        }
    }
}

/// The README with the table as it is now.
///
/// # Errors
/// In words, when the README has no place for it.
pub fn in_readme(
    readme: &str,
    scenarios: &BTreeMap<String, Scenario>,
) -> Result<String, &'static str> {
    let (before, rest) = readme.split_once(BEGIN).ok_or("the README has no place for the table")?;
    let (_, after) = rest.split_once(END).ok_or("the table of the README has no end")?;
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", table(scenarios)))
}

fn table(scenarios: &BTreeMap<String, Scenario>) -> String {
    let mut table = String::from("| promise |");
    for (_, name) in COLUMNS {
        table += &format!(" {name} |");
    }
    table += "\n|---|";
    table += &":-:|".repeat(COLUMNS.len());
    table.push('\n');
    for (file, scenario) in scenarios {
        // Writing to a string can't fail.
        let _ = write!(table, "| [{}](scenarios/{file}.yaml) |", scenario.promise);
        for (misfortune, _) in COLUMNS {
            table += if scenario.meets(misfortune) { " ● |" } else { " |" };
        }
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_readme_is_that_of_the_scenarios() {
        let readme = include_str!("../README.md");
        let now = in_readme(readme, &crate::scenarios().unwrap()).unwrap();
        assert!(readme == now, "run `cargo xtask generate`");
    }

    #[test]
    fn a_scenario_is_marked_where_its_steps_or_its_plan_bring_misfortune() {
        let scenario = Scenario::read(
            "promise: A promise.\nneeds: []\nsteps:\n  - { do: faults, plan: [{ on: POST /a, reset: after_commit }] }\n  - { do: go_offline }\n",
        );
        let scenario = scenario.unwrap();
        let met = COLUMNS.into_iter().filter(|(it, _)| scenario.meets(*it)).map(|(_, name)| name);
        assert_eq!(met.collect::<Vec<_>>(), ["outage", "reset"]);
    }
}
