//! What can go wrong, where it can, and how often each of it has, and each of what else happens.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use serde::{Serialize, Serializer};

use crate::scene::Scene;

/// Something that goes wrong, or changes at a bad time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It takes long.
    Delay,
    /// It never comes, and nobody says so.
    Loss,
    /// The connection breaks.
    Reset,
    /// It comes twice.
    Duplicate,
    /// It comes when its sender has long given it up, and behind what was sent later.
    Straggler,
    /// Half of it comes.
    Truncated,
    /// Somebody on the way says 429, and when to come again.
    TooMany,
    /// Somebody on the way says 5xx.
    GatewayError,
    /// The server's process dies.
    ServerDeath,
    /// A program dies.
    ClientDeath,
    /// The power goes, with what the disk had not synced.
    PowerLoss,
    /// A disk has no room.
    DiskFull,
    /// A disk fails to sync, and forgets what it was to sync.
    SyncFails,
    /// A program's clock is set.
    ClientClock,
    /// The server's clock is set.
    ServerClock,
    /// The marketplace signs with another key.
    SigningKey,
    /// The solution's secret key is replaced.
    SecretKey,
    /// A token is revoked.
    TokenRevoked,
    /// All tokens of a customer are.
    UserRevoked,
    /// A customer has another tier.
    TierChanged,
}

/// How far the call was that it hit, or, of what hits a process or the world, how far some call was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Where {
    /// The request is on its way.
    Request,
    /// The server works on it, and has not committed.
    BeforeCommit,
    /// It has committed.
    AfterCommit,
    /// The answer is on its way.
    Answer,
    /// There was no call.
    Idle,
}

/// What kind of time it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum When {
    /// Everything is as always.
    Steady,
    /// The marketplace can't be reached.
    Outage,
    /// It can again, for some seconds.
    Recovery,
    /// The program is being closed; of what hits others than a program, some program is.
    Close,
}

impl When {
    /// All there are: each fault can happen in each.
    pub const ALL: [When; 4] = [When::Steady, When::Outage, When::Recovery, When::Close];
}

/// Which faults there are, and where each can happen: what a campaign must have seen.
pub const REACH: &[(Fault, &[Where])] = {
    use Fault::*;
    use Where::*;
    const ANY: &[Where] = &[Request, BeforeCommit, AfterCommit, Answer];
    &[
        (Delay, ANY),
        (Loss, &[Request, Answer]),
        (Reset, ANY),
        (Duplicate, &[Request, Answer]),
        (Straggler, &[Request]),
        (Truncated, &[Answer]),
        (TooMany, &[Request]),
        (GatewayError, &[Request, Answer]),
        (ServerDeath, ANY),
        (ClientDeath, ANY),
        (PowerLoss, ANY),
        (DiskFull, ANY),
        (SyncFails, ANY),
        (ClientClock, ANY),
        (ServerClock, ANY),
        (SigningKey, ANY),
        (SecretKey, ANY),
        (TokenRevoked, ANY),
        (UserRevoked, ANY),
        (TierChanged, ANY),
    ]
};

/// How often each fault has happened where and when, and each scene.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    faults: BTreeMap<(Fault, Where, When), u64>,
    scenes: BTreeMap<Scene, u64>,
}

impl Coverage {
    pub(crate) fn count(&mut self, fault: Fault, place: Where, when: When) {
        *self.faults.entry((fault, place, when)).or_default() += 1;
    }

    pub(crate) fn happened(&mut self, scene: Scene) {
        *self.scenes.entry(scene).or_default() += 1;
    }

    /// How often each scene has happened, by its name.
    pub fn scenes(&self) -> BTreeMap<String, u64> {
        self.scenes.iter().map(|(scene, count)| (scene.to_string(), *count)).collect()
    }

    /// How often that was, at whatever time.
    pub fn of(&self, fault: Fault, place: Where) -> u64 {
        let same = self.faults.iter().filter(|((f, p, _), _)| *f == fault && *p == place);
        same.map(|(_, count)| count).sum()
    }

    /// How often that was, wherever.
    pub fn at(&self, fault: Fault, when: When) -> u64 {
        let same = self.faults.iter().filter(|((f, _, w), _)| *f == fault && *w == when);
        same.map(|(_, count)| count).sum()
    }

    /// What has not happened: a fault in a place of its [`REACH`] or at a kind of time, or a scene.
    pub fn missing(&self) -> Vec<String> {
        let never = Scene::ALL.iter().filter(|scene| !self.scenes.contains_key(scene));
        let mut missing: Vec<String> = never.map(Scene::to_string).collect();
        for (fault, places) in REACH {
            let never = places.iter().filter(|place| self.of(*fault, **place) == 0);
            missing.extend(never.map(|place| format!("{fault} at {place:?}")));
            let never = When::ALL.iter().filter(|when| self.at(*fault, **when) == 0);
            missing.extend(never.map(|when| format!("{fault} in {when:?}")));
        }
        missing
    }
}

impl AddAssign for Coverage {
    fn add_assign(&mut self, other: Coverage) {
        for (what, count) in other.faults {
            *self.faults.entry(what).or_default() += count;
        }
        for (scene, count) in other.scenes {
            *self.scenes.entry(scene).or_default() += count;
        }
    }
}

/// The faults, as `"Reset": {"Request/Steady": 5, …}`.
impl Serialize for Coverage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut by_fault: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for ((fault, place, when), count) in &self.faults {
            let of_fault = by_fault.entry(format!("{fault:?}")).or_default();
            of_fault.insert(format!("{place:?}/{when:?}"), *count);
        }
        by_fault.serialize(serializer)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
