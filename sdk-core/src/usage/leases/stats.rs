/// What became of leases, the blocks of hard limits that [`consume`](crate::MarketplaceSdk::consume)
/// spends without asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseStats {
    /// Granted to this process.
    pub taken: u64,
    /// That may be used now, or ended a moment ago.
    pub held: u64,
    /// Given back one by one, of those that were taken. Those that were used up need not be, and
    /// [`close`](crate::MarketplaceSdk::close) gives back all others.
    pub returned: u64,
    /// Of this process's log, those that only [`close`](crate::MarketplaceSdk::close) gives back: the
    /// marketplace would not have them one by one, nobody knows what became of what they allowed, or
    /// too many were waiting.
    pub given_up: u64,
}
