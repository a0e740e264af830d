/// What became of leases, the blocks of hard limits that [`consume`](crate::MarketplaceSdk::consume)
/// spends without asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseStats {
    /// Granted to this process.
    pub taken: u64,
    /// That may be used now.
    pub held: u64,
    /// Given back one by one. Those that were used up need not be, and [`close`](crate::MarketplaceSdk::close)
    /// gives back all others at once.
    pub returned: u64,
}
