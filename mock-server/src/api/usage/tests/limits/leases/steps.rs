//! What random lives are made of.

use cloudnestle_marketplace::model::Tier;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{CUSTOMERS, PRODUCERS};

/// Something that is done under a name, so that it can be done again when its answer was lost.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Take { producer: usize, customer: usize, least: u64, more: u64 },
    Range { producer: usize, exports: Vec<Export>, again: bool },
    Void { producer: usize, event: usize },
    GiveBack(usize),
    End(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Export {
    pub(super) customer: usize,
    pub(super) quantity: i64,
    /// A clock may be a few minutes ahead.
    pub(super) minutes_ago: i64,
    pub(super) lease: Option<usize>,
    pub(super) overage: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The deed, by a process that dies before its first commit (`Some(false)`) or after it, and then
    /// again.
    Do(Deed, Option<bool>),
    /// Another process has the log from now on.
    TakeOver(usize),
    Reset(usize),
    Change(usize, Tier),
    /// So many minutes pass.
    Wait(u64),
}

pub(super) fn any_delay() -> impl Strategy<Value = i64> {
    prop_oneof![-4..2_i64, 0..180_i64]
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let export = (0..CUSTOMERS, 1..12_i64, any_delay(), prop::option::weighted(0.7, 0..64_usize));
    let export = (export, prop::bool::weighted(0.1)).prop_map(
        |((customer, quantity, minutes_ago, lease), overage)| Export {
            customer,
            quantity,
            minutes_ago,
            lease,
            overage,
        },
    );
    let deed = prop_oneof![
        6 => (0..PRODUCERS, 0..CUSTOMERS, 1..12_u64, 0..30_u64)
            .prop_map(|(producer, customer, least, more)| Deed::Take { producer, customer, least, more }),
        6 => (0..PRODUCERS, vec(export, 1..6), prop::bool::weighted(0.2))
            .prop_map(|(producer, exports, again)| Deed::Range { producer, exports, again }),
        3 => (0..PRODUCERS, 0..64_usize).prop_map(|(producer, event)| Deed::Void { producer, event }),
        2 => (0..64_usize).prop_map(Deed::GiveBack),
        1 => (0..PRODUCERS).prop_map(Deed::End),
    ];
    let tier = prop_oneof![
        3 => Just(Tier::Registered), 3 => Just(Tier::Pro), 2 => Just(Tier::Enterprise)
    ];
    let minutes = prop_oneof![4 => 1..8_u64, 1 => 60..1_800_u64];
    prop_oneof![
        12 => (deed, prop::option::weighted(0.3, any::<bool>()))
            .prop_map(|(deed, dies)| Step::Do(deed, dies)),
        1 => (0..PRODUCERS).prop_map(Step::TakeOver),
        2 => (0..CUSTOMERS).prop_map(Step::Reset),
        1 => (0..CUSTOMERS, tier).prop_map(|(customer, tier)| Step::Change(customer, tier)),
        2 => minutes.prop_map(Step::Wait),
    ]
}
