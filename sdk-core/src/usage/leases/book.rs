//! Which lease pays, when to ask for the next, how large it should be and when one is over: the rules, and
//! the table they go by. No I/O.
//!
//! A customer has an *account* for each action, with at most two leases. The older one pays while it has
//! enough; the newer one was asked for before the older was used up. What an account holds that nobody
//! has used for a minute is given back.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::block::Block;
use super::returns::{Over, Rest, Returns};
use crate::host::Moment;
use crate::model::{Lease, TakeLease};
use crate::usage::log::Ticket;

/// How long a lease may lie about unused: others may need it.
const IDLE: Duration = Duration::from_secs(60);

/// The most leases of an account that may pay.
const MOST_LIVE: usize = 2;

/// The most accounts. With two leases each they hold what the marketplace lets one producer hold.
pub(super) const MOST_ACCOUNTS: usize = 100_000;

/// How many are looked at to find one that has nothing to give back.
const LOOKED_AT: usize = 100;

#[derive(Default)]
pub(super) struct Book {
    customers: HashMap<Arc<str>, Vec<Account>>,
    accounts: usize,
    /// Which account is to be looked at, and when.
    agenda: BTreeSet<Look>,
    pub(super) returns: Returns,
}

/// What a customer may do of an action without asking.
struct Account {
    customer_id: Arc<str>,
    action: Arc<str>,
    /// The oldest first.
    blocks: Vec<Block>,
    /// How large the next one should be, by the last that is gone.
    next_size: u64,
    used_at: Duration,
    look_at: Duration,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Look {
    at: Duration,
    customer_id: Arc<str>,
    action: Arc<str>,
}

/// The lease that allows an event.
pub(super) struct Payer<'a> {
    account: &'a mut Account,
    returns: &'a mut Returns,
    place: usize,
}

impl Book {
    /// The oldest lease that may be used and has enough left.
    pub(super) fn payer(
        &mut self,
        customer_id: &str,
        action: &str,
        quantity: u64,
        now: Moment,
    ) -> Option<Payer<'_>> {
        let account = of_action(self.customers.get_mut(customer_id)?, action)?;
        let pays = |block: &Block| block.is_live(now) && block.has(quantity);
        let place = account.blocks.iter().position(pays)?;
        Some(Payer { account, returns: &mut self.returns, place })
    }

    /// How much to ask for where `least` is needed.
    pub(super) fn wanted(&self, customer_id: &str, action: &str, least: u64, now: Moment) -> u64 {
        let by_rule = self.account(customer_id, action).map_or(0, |account| {
            let newest = account.blocks.last();
            newest.map_or(account.next_size, |newest| newest.next_size(now))
        });
        by_rule.clamp(least, *TakeLease::AMOUNT.end())
    }

    /// Adds a lease, which was asked for at the moment `sent`. What an account has beyond two is over: too
    /// little is left of it for what is done.
    pub(super) fn add(&mut self, customer_id: &str, action: &str, lease: Lease, sent: Moment) {
        let is_known = self.account(customer_id, action).is_some();
        if !is_known && self.accounts >= MOST_ACCOUNTS {
            self.forget_somebody();
        }
        let known = self.customers.get_key_value(customer_id).map(|(known, _)| known.clone());
        let customer_id = known.unwrap_or_else(|| customer_id.into());
        let accounts = self.customers.entry(customer_id.clone()).or_default();
        if !is_known {
            accounts.push(Account::new(customer_id, action.into(), sent.monotonic));
            self.accounts += 1;
        }
        let Some(account) = of_action(accounts, action) else { return }; // it was found, or made
        account.blocks.push(Block::new(lease, sent));
        let too_many = account.blocks.len().saturating_sub(MOST_LIVE);
        for block in account.blocks.drain(..too_many) {
            give_back(&mut self.returns, &account.customer_id, &account.action, &block);
        }
        self.agenda.remove(&account.look());
        account.look_at = account.next_look();
        self.agenda.insert(account.look());
    }

    /// Notes a lease that the marketplace may have granted without being heard.
    pub(super) fn add_unheard(&mut self, customer_id: &str, action: &str, lease_id: &str) {
        let (customer_id, action) = (customer_id.into(), action.into());
        let (lease_id, rest) = (lease_id.into(), Rest::Unheard { once_more: true });
        self.returns.push(Over { customer_id, action, lease_id, allowed: None, rest });
    }

    /// How much an account has itself that the marketplace keeps: of its leases, and of those that are on
    /// their way back.
    pub(super) fn own(&self, customer_id: &str, action: &str) -> u64 {
        let blocks = self.account(customer_id, action).map_or(&[][..], |account| &account.blocks);
        let left = |block: &Block| match block.rest() {
            Some(Rest::Left(left)) => left,
            _ => 0,
        };
        blocks.iter().map(left).sum::<u64>() + self.returns.owed(customer_id, action)
    }

    /// Ends the leases of an account.
    pub(super) fn surrender(&mut self, customer_id: &str, action: &str, now: Moment) {
        let Some(accounts) = self.customers.get_mut(customer_id) else { return };
        let Some(account) = of_action(accounts, action) else { return };
        for block in std::mem::take(&mut account.blocks) {
            account.next_size = block.next_size(now);
            give_back(&mut self.returns, &account.customer_id, &account.action, &block);
        }
    }

    /// When an account is to be looked at.
    pub(super) fn next_look(&self) -> Option<Duration> {
        self.agenda.first().map(|look| look.at)
    }

    /// Looks at the accounts whose time has come, and ends what is over.
    pub(super) fn look(&mut self, now: Moment) {
        while let Some(look) = self.agenda.first().filter(|look| look.at <= now.monotonic).cloned()
        {
            self.agenda.remove(&look);
            let accounts = self.customers.get_mut(&look.customer_id);
            let Some(account) = accounts.and_then(|list| of_action(list, &look.action)) else {
                continue;
            };
            let is_idle = now.monotonic >= account.used_at + IDLE;
            let is_over = |block: &mut Block| is_idle || !block.is_live(now);
            for block in account.blocks.extract_if(.., is_over) {
                account.next_size = block.next_size(now);
                give_back(&mut self.returns, &look.customer_id, &look.action, &block);
            }
            if is_idle {
                self.forget(&look);
            } else {
                account.look_at = account.next_look();
                self.agenda.insert(account.look());
            }
        }
    }

    /// Forgets an account that has nothing to give back, if one of those does that were not there for the
    /// longest; else the first of those, which has to ask when it comes again.
    fn forget_somebody(&mut self) {
        let has_nothing = |look: &&Look| self.own(&look.customer_id, &look.action) == 0;
        let found = self.agenda.iter().take(LOOKED_AT).find(has_nothing);
        let Some(look) = found.or(self.agenda.first()).cloned() else { return };
        self.agenda.remove(&look);
        self.forget(&look);
    }

    fn forget(&mut self, look: &Look) {
        let Some(accounts) = self.customers.get_mut(&look.customer_id) else { return };
        for account in accounts.extract_if(.., |account| account.action == look.action) {
            self.accounts -= 1;
            for block in &account.blocks {
                give_back(&mut self.returns, &look.customer_id, &look.action, block);
            }
        }
        if accounts.is_empty() {
            self.customers.remove(&look.customer_id);
        }
    }

    /// How many leases there are that may pay.
    pub(super) fn held(&self) -> u64 {
        let accounts = self.customers.values().flatten();
        accounts.map(|account| account.blocks.len() as u64).sum()
    }

    fn account(&self, customer_id: &str, action: &str) -> Option<&Account> {
        self.customers.get(customer_id)?.iter().find(|account| *account.action == *action)
    }
}

impl Payer<'_> {
    pub(super) fn lease_id(&self) -> &str {
        &self.account.blocks[self.place].id
    }

    /// Takes so much of the lease, for the record that `ticket` stands for, which may have a name that counts
    /// once. Whether to ask for the next lease.
    pub(super) fn draw(self, quantity: u64, ticket: Ticket, is_named: bool, now: Moment) -> bool {
        let Payer { account, returns, place } = self;
        account.used_at = now.monotonic;
        let is_newest = place + 1 == account.blocks.len();
        let block = &mut account.blocks[place];
        block.draw(quantity, ticket, is_named);
        let is_to_be_renewed = is_newest && block.is_to_be_renewed(now);
        if block.is_used_up() {
            account.next_size = block.next_size(now);
            give_back(returns, &account.customer_id, &account.action, block);
            account.blocks.remove(place);
        }
        is_to_be_renewed
    }
}

impl Account {
    fn new(customer_id: Arc<str>, action: Arc<str>, now: Duration) -> Self {
        let (blocks, next_size, used_at, look_at) = (Vec::new(), 0, now, now);
        Account { customer_id, action, blocks, next_size, used_at, look_at }
    }

    fn next_look(&self) -> Duration {
        let ends = self.blocks.iter().map(Block::ends_at);
        ends.fold(self.used_at + IDLE, Duration::min)
    }

    fn look(&self) -> Look {
        let (customer_id, action) = (self.customer_id.clone(), self.action.clone());
        Look { at: self.look_at, customer_id, action }
    }
}

fn of_action<'a>(accounts: &'a mut [Account], action: &str) -> Option<&'a mut Account> {
    accounts.iter_mut().find(|account| *account.action == *action)
}

/// Has a lease given back that nobody uses any more, if the marketplace keeps it.
fn give_back(returns: &mut Returns, customer_id: &Arc<str>, action: &Arc<str>, block: &Block) {
    let Some(rest) = block.rest() else { return };
    let (customer_id, action) = (customer_id.clone(), action.clone());
    let (lease_id, allowed) = (block.id.clone(), block.allowed());
    returns.push(Over { customer_id, action, lease_id, allowed, rest });
}
