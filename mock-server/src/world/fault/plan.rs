//! The fault plan: which call meets which fault, and what became of each.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloudnestle_marketplace::model::Timestamp;
use serde::Serialize;

use super::{Effect, Fault};
use crate::world::Random;

/// The most faults a plan holds, used ones included.
const MAX_FAULTS: usize = 10_000;
/// The most bytes of all the bodies in a plan: 256 of the largest.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
/// How many calls that met a fault are remembered; older ones are forgotten.
const MAX_USED: usize = 10_000;

/// The faults of one server, and whether it is out of reach altogether.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    state: Mutex<State>,
    outage: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// How many there were, forgotten ones included: no two have the same id.
    last: u64,
    /// Those that a call may meet yet, in their order.
    left: Vec<Entry>,
    /// How many are used up.
    gone: usize,
    used: VecDeque<UsedFault>,
}

#[derive(Debug)]
struct Entry {
    id: String,
    fault: Fault,
    effect: Effect,
    expires_at: Option<Timestamp>,
    /// How many more calls meet it.
    times_left: u32,
    /// How many calls could have met it so far.
    asked: u64,
}

/// A fault that a call has met, and what it does to this call.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub id: String,
    pub delay: Option<Duration>,
    pub effect: Effect,
}

/// A call that may meet a fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub operation: &'a str,
    pub solution: Option<&'a str>,
    pub test: Option<&'a str>,
    pub request_id: &'a str,
    pub now: Timestamp,
}

/// What became of a fault plan.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct FaultReport {
    /// Whether every fault was met as often as was planned: nothing is left.
    pub used_up: bool,
    /// The faults that were not met as often as was planned, in their order.
    pub left: Vec<PlannedFault>,
    /// The faults that were met, once for each call and in the order in which that happened; the last
    /// 10,000.
    pub used: Vec<UsedFault>,
}

/// A fault that calls are still to meet.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct PlannedFault {
    /// `flt_…`
    pub id: String,
    /// What was planned: the fields of a `Fault`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub fault: Fault,
    /// How many more calls meet it.
    pub times_left: u32,
    /// Whether its time is over, so that none does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub expired: bool,
}

/// A fault that a call has met.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct UsedFault {
    /// `flt_…`
    pub id: String,
    /// What was planned, without its body: the fields of a `Fault`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub fault: Fault,
    /// The call that met it.
    pub request_id: String,
}

/// Faults that no call has met: whatever they were to show, nothing has shown it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the fault plan is not used up; left: {}", Listed(.left))]
#[non_exhaustive]
pub struct UnmetFaults {
    /// What is left of the plan.
    pub left: Vec<PlannedFault>,
}

struct Listed<'a>(&'a [PlannedFault]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, left) in self.0.iter().enumerate() {
            let PlannedFault { id, fault, times_left, expired } = left;
            write!(f, "{}{id}, {}", if n == 0 { "" } else { "; " }, fault.on)?;
            if let Ok(effect) = Effect::of(fault) {
                write!(f, ", {}", effect.told(effect.delay))?;
            }
            write!(f, ", {times_left} more{}", if *expired { ", expired" } else { "" })?;
        }
        Ok(())
    }
}

/// What a journal says of it: `flt_1: delay_ms 37, status 503`.
impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delay = self.delay.map(|delay| delay.as_millis());
        write!(f, "{}: {}", self.id, self.effect.told(delay))
    }
}

impl FaultPlan {
    /// Plans more faults, after the others: all of them or none. Answers their ids.
    pub(crate) fn push(
        &self,
        faults: Vec<(Fault, Effect)>,
        now: Timestamp,
    ) -> Result<Vec<String>, &'static str> {
        let mut state = self.state();
        if state.left.len() + state.gone + faults.len() > MAX_FAULTS {
            return Err("the plan has room for 10,000 faults: clear it first");
        }
        let kept = state.left.iter().map(|entry| &entry.effect);
        let bodies = kept.chain(faults.iter().map(|(_, effect)| effect)).map(Effect::body_bytes);
        if bodies.sum::<usize>() > MAX_BODY_BYTES {
            return Err("the plan has room for 16 MiB of bodies: clear it first");
        }
        let mut ids = Vec::new();
        for (fault, effect) in faults {
            state.last += 1;
            let id = format!("flt_{}", state.last);
            ids.push(id.clone());
            let life = fault.expires_ms.map(Duration::from_millis);
            let expires_at = life.map(|life| now + life);
            let times_left = fault.times.unwrap_or(1);
            state.left.push(Entry { id, fault, effect, expires_at, times_left, asked: 0 });
        }
        Ok(ids)
    }

    /// The fault that a call meets: the first that is for such calls, unless that lets this one through.
    /// What one fault has taken, those after it don't see.
    pub(crate) fn take(&self, call: &Candidate<'_>, random: &Random) -> Option<Taken> {
        let mut state = self.state();
        let meets = |entry: &mut Entry| entry.is_for(call) && entry.strikes(random);
        let at = state.left.iter_mut().position(meets)?;
        let entry = &mut state.left[at];
        entry.times_left -= 1;
        let (id, effect) = (entry.id.clone(), entry.effect.clone());
        let delay = effect.delay.map(|delay| delay.draw(random, &entry.place()));
        let (fault, request_id) = (entry.fault.without_body(), call.request_id.to_owned());
        if entry.times_left == 0 {
            state.left.remove(at);
            state.gone += 1;
        }
        if state.used.len() == MAX_USED {
            state.used.pop_front();
        }
        state.used.push_back(UsedFault { id: id.clone(), fault, request_id });
        Some(Taken { id, delay, effect })
    }

    /// Whether any fault is for the calls of one solution.
    pub(crate) fn asks_for_solution(&self) -> bool {
        self.state().left.iter().any(|entry| entry.fault.solution.is_some())
    }

    /// What is left at this time, and what was used.
    pub(crate) fn report(&self, now: Timestamp) -> FaultReport {
        let state = self.state();
        let left = state.left.iter().map(|entry| PlannedFault {
            id: entry.id.clone(),
            fault: entry.fault.clone(),
            times_left: entry.times_left,
            expired: entry.is_over(now),
        });
        let left = left.collect::<Vec<_>>();
        FaultReport { used_up: left.is_empty(), left, used: state.used.iter().cloned().collect() }
    }

    /// Lets no more calls meet a fault. Whether there ever was one of that id.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let mut state = self.state();
        state.left.retain(|entry| entry.id != id);
        let number = id.strip_prefix("flt_").and_then(|number| number.parse().ok());
        number.is_some_and(|number| (1..=state.last).contains(&number))
    }

    /// Forgets all of it.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        *state = State { last: state.last, ..State::default() };
    }

    pub(crate) fn set_outage(&self, on: bool) {
        self.outage.store(on, Ordering::SeqCst);
    }

    pub(crate) fn is_outage(&self) -> bool {
        self.outage.load(Ordering::SeqCst)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_for(&self, call: &Candidate<'_>) -> bool {
        let Fault { solution, test, .. } = &self.fault;
        self.fault.operation().is_none_or(|operation| operation == call.operation)
            && solution.as_deref().is_none_or(|solution| call.solution == Some(solution))
            && test.as_deref().is_none_or(|test| call.test == Some(test))
            && !self.is_over(call.now)
    }

    /// Whether the next call it is for meets it.
    fn strikes(&mut self, random: &Random) -> bool {
        self.asked += 1;
        if self.asked <= u64::from(self.fault.after.unwrap_or(0)) {
            return false;
        }
        // By the fault and the call's turn, and not by what else was drawn meanwhile: calls that come at
        // the same time take nothing from each other's luck.
        let chance = || random.share(&format!("{} chance", self.place()));
        self.fault.probability.is_none_or(|probability| chance() < probability)
    }

    /// What decides what is drawn for the call that has asked last.
    fn place(&self) -> String {
        format!("{} asked {}", self.id, self.asked)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(faults: impl IntoIterator<Item = Fault>) -> FaultPlan {
        let plan = FaultPlan::default();
        let sound = faults.into_iter().map(|fault| {
            let effect = Effect::of(&fault).expect("sense");
            (fault, effect)
        });
        plan.push(sound.collect(), Timestamp::from_secs(0)).expect("room");
        plan
    }

    fn call(operation: &str) -> Candidate<'_> {
        let now = Timestamp::from_secs(0);
        Candidate { operation, solution: None, test: None, request_id: "req_1", now }
    }

    fn random() -> Random {
        Random::seeded(&[7; 32])
    }

    /// The ids of the faults that so many calls of an operation meet.
    fn met(plan: &FaultPlan, operation: &str, calls: usize) -> Vec<Option<String>> {
        let take = || Some(plan.take(&call(operation), &random())?.id);
        (0..calls).map(|_| take()).collect()
    }

    fn ids(ids: &[&str]) -> Vec<Option<String>> {
        ids.iter().map(|id| (!id.is_empty()).then(|| (*id).to_owned())).collect()
    }

    #[test]
    fn each_fault_meets_calls_of_its_operation_in_order_and_as_often_as_it_says() {
        let plan = plan([
            Fault::on("GET /a").status(500).times(2),
            Fault::on("GET /b").status(502),
            Fault::on("GET /a").status(501),
        ]);
        assert_eq!(met(&plan, "GET /a", 4), ids(&["flt_1", "flt_1", "flt_3", ""]));
        let report = plan.report(Timestamp::from_secs(0));
        assert!(!report.used_up);
        assert_eq!((report.left.len(), report.left[0].id.as_str()), (1, "flt_2"));
        assert_eq!(report.used.len(), 3);
        assert_eq!(met(&plan, "GET /b", 1), ids(&["flt_2"]));
        assert!(plan.report(Timestamp::from_secs(0)).used_up);
    }

    #[test]
    fn a_fault_that_waits_counts_the_calls_that_no_fault_before_it_took() {
        let plan =
            plan([Fault::on("GET /a").status(500).times(2), Fault::on_any().status(501).after(1)]);
        assert_eq!(met(&plan, "GET /a", 5), ids(&["flt_1", "flt_1", "", "flt_2", ""]));
    }

    #[test]
    fn a_fault_meets_the_calls_of_its_solution_and_its_test_alone() {
        let plan = plan([
            Fault::on_any().status(500).solution("sol_a"),
            Fault::on_any().status(501).test("one"),
        ]);
        let taken = |solution, test| {
            let call = Candidate { solution, test, ..call("GET /a") };
            plan.take(&call, &random()).map(|taken| taken.id)
        };
        assert_eq!(taken(None, None), None);
        assert_eq!(taken(Some("sol_b"), Some("two")), None);
        assert_eq!(taken(Some("sol_b"), Some("one")).as_deref(), Some("flt_2"));
        assert_eq!(taken(Some("sol_a"), None).as_deref(), Some("flt_1"));
    }

    #[test]
    fn a_seed_decides_which_calls_meet_a_probable_fault() {
        let flaky = || plan([Fault::on("GET /a").status(500).probability(0.3).times(1_000)]);
        let plan = flaky();
        let met_here = met(&plan, "GET /a", 1_000);
        assert_eq!(met(&flaky(), "GET /a", 1_000), met_here);
        let times = met_here.iter().flatten().count();
        assert!((240..360).contains(&times), "{times} of a thousand");
        let left = plan.report(Timestamp::from_secs(0)).left[0].times_left as usize;
        assert_eq!(left, 1_000 - times);
    }

    #[test]
    fn a_fault_whose_time_is_over_meets_nothing_and_is_told_of() {
        let life = Duration::from_secs(60);
        let plan = plan([Fault::on("GET /a").status(500).times(2).expires_after(life)]);
        let at = |secs| {
            let call = Candidate { now: Timestamp::from_secs(secs), ..call("GET /a") };
            plan.take(&call, &random()).is_some()
        };
        assert_eq!((at(59), at(60)), (true, false));
        let report = plan.report(Timestamp::from_secs(60));
        assert_eq!((report.used_up, report.left[0].expired), (false, true));
        let unmet = UnmetFaults { left: report.left }.to_string();
        assert!(unmet.ends_with("left: flt_1, GET /a, status 500, 1 more, expired"), "{unmet}");
    }

    #[test]
    fn what_is_removed_meets_nothing_and_its_id_is_not_given_again() {
        let plan = plan([Fault::on("GET /a").status(500)]);
        assert_eq!(
            [plan.remove("flt_1"), plan.remove("flt_1"), plan.remove("flt_2")],
            [true, true, false]
        );
        assert_eq!(met(&plan, "GET /a", 1), ids(&[""]));
        plan.clear();
        let fault = Fault::on("GET /a").status(500);
        let effect = Effect::of(&fault).expect("sense");
        let planned = plan.push(vec![(fault, effect)], Timestamp::from_secs(0));
        assert_eq!(planned, Ok(vec!["flt_2".to_owned()]));
    }
}
