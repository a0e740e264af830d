//! What happens in stories that is nobody's failure, and has to go well whatever fails meanwhile. Each is counted, as
//! the faults are.

use std::fmt;

/// Something that happened, and was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scene {
    /// A launch code is exchanged for a pair.
    CodeExchanged,
    /// A launch code comes a second time: it is refused, and what it was exchanged for ends.
    CodeComesTwice,
    /// A launch code comes when its minute is over: it is refused.
    CodeComesLate,
    /// A used refresh token comes again, soon or while nobody has used its successor: that is given once more.
    RenewedOnceMore,
    /// A thief's copy of a refresh token comes behind what its owner made of it: the family ends.
    ThiefComesSecond,
    /// The owner of a refresh token comes behind what a thief made of a copy: the family ends.
    OwnerComesSecond,
    /// A token of a family that ended because it was copied is refused.
    LockedOut,
    /// Usage that was rejected is replayed, and counts.
    ReplayCounts,
    /// Usage that was rejected is replayed, and is rejected again.
    ReplayRejected,
    /// Usage that was rejected is replayed twice, and counts once.
    ReplayedTwice,
}

impl Scene {
    /// All there are: what a campaign must have seen.
    pub const ALL: [Scene; 10] = [
        Scene::CodeExchanged,
        Scene::CodeComesTwice,
        Scene::CodeComesLate,
        Scene::RenewedOnceMore,
        Scene::ThiefComesSecond,
        Scene::OwnerComesSecond,
        Scene::LockedOut,
        Scene::ReplayCounts,
        Scene::ReplayRejected,
        Scene::ReplayedTwice,
    ];
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
