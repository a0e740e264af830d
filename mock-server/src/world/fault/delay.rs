//! How much longer a call takes: by the same time each time, or by one that is drawn.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::world::Random;

/// The longest delay: no client of ours waits longer for anything.
pub(super) const MAX_MS: u64 = 10 * 60 * 1000;
/// The widest spread: one call in forty takes four hundred times as long as half of them.
const MAX_SIGMA: f64 = 3.0;

/// Milliseconds, or what they are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged, expecting = "expected milliseconds, `uniform` or `lognormal`")]
pub(crate) enum Delay {
    Fixed(u64),
    Drawn(Distribution),
}

/// What the milliseconds of a delay are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Distribution {
    /// Any of these bounds and between them, equally often.
    Uniform([u64; 2]),
    /// As networks are: half of the calls take no longer than the median, and a few take very long.
    Lognormal {
        /// Milliseconds.
        median: u64,
        /// How wide it is: at 0.5, one call in forty takes 2.7 times the median or more.
        sigma: f64,
    },
}

impl Delay {
    /// What is wrong with it.
    pub(super) fn check(self) -> Result<(), &'static str> {
        match self {
            Delay::Fixed(millis) if millis > MAX_MS => Err("`delay_ms` is at most ten minutes"),
            Delay::Drawn(Distribution::Uniform([from, to])) if from > to || to > MAX_MS => {
                Err("`uniform` has the shortest and the longest delay, at most ten minutes")
            }
            Delay::Drawn(Distribution::Lognormal { median, sigma })
                if !((1..=MAX_MS).contains(&median) && sigma > 0.0 && sigma <= MAX_SIGMA) =>
            {
                Err("`lognormal` has a `median` of 1 to 600000 and a `sigma` above 0 and up to 3")
            }
            _ => Ok(()),
        }
    }

    /// The delay of one call, whose place in the plan decides what is drawn.
    pub(super) fn draw(self, random: &Random, place: &str) -> Duration {
        let share = |what| random.share(&format!("{place} {what}"));
        let millis = match self {
            Delay::Fixed(millis) => millis as f64,
            Delay::Drawn(Distribution::Uniform([from, to])) => {
                from as f64 + ((to - from + 1) as f64 * share("delay")).floor()
            }
            Delay::Drawn(Distribution::Lognormal { median, sigma }) => {
                // Box and Muller's normal number, of two uniform ones, neither of which is 0 here.
                let radius = (-2.0 * (1.0 - share("radius")).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * share("angle")).cos();
                median as f64 * (sigma * normal).exp()
            }
        };
        Duration::from_secs_f64(millis.min(MAX_MS as f64) / 1000.0)
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Delay::Fixed(millis) => write!(f, "{millis}"),
            Delay::Drawn(Distribution::Uniform([from, to])) => write!(f, "{from} to {to}"),
            Delay::Drawn(Distribution::Lognormal { median, .. }) => write!(f, "about {median}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand delays in milliseconds, the shortest first.
    fn drawn(delay: Delay) -> Vec<f64> {
        let random = Random::seeded(&[7; 32]);
        let mut drawn: Vec<_> = (0..1_000)
            .map(|n| delay.draw(&random, &format!("call {n}")).as_secs_f64() * 1000.0)
            .collect();
        drawn.sort_by(f64::total_cmp);
        drawn
    }

    #[test]
    fn a_uniform_delay_is_anywhere_between_its_bounds() {
        let drawn = drawn(Delay::Drawn(Distribution::Uniform([20, 80])));
        assert!(drawn[0] >= 20.0 && drawn[0] < 22.0, "{}", drawn[0]);
        assert!(drawn[999] <= 80.0 && drawn[999] > 78.0, "{}", drawn[999]);
        assert!((45.0..55.0).contains(&drawn[500]), "{}", drawn[500]);
    }

    #[test]
    fn a_lognormal_delay_has_its_median_and_a_long_tail() {
        let drawn = drawn(Delay::Drawn(Distribution::Lognormal { median: 100, sigma: 0.5 }));
        assert!((92.0..108.0).contains(&drawn[500]), "{}", drawn[500]);
        // One call in forty: e^(2 * 0.5) times the median.
        assert!((230.0..320.0).contains(&drawn[975]), "{}", drawn[975]);
    }

    #[test]
    fn a_seed_decides_what_is_drawn() {
        let delay = Delay::Drawn(Distribution::Uniform([0, 600_000]));
        let at = |seed, place| delay.draw(&Random::seeded(&[seed; 32]), place);
        assert_eq!(at(1, "flt_1"), at(1, "flt_1"));
        assert_ne!(at(1, "flt_1"), at(2, "flt_1"));
        assert_ne!(at(1, "flt_1"), at(1, "flt_2"));
    }
}
