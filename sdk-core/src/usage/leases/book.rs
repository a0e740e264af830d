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
use crate::host::Moment;
use crate::model::{Lease, TakeLease};
use crate::usage::log::Ticket;

/// How long a lease may lie about unused: others may need it.
const IDLE: Duration = Duration::from_secs(60);

/// The most leases of an account that may pay.
const MOST_LIVE: usize = 2;

/// The most customers there are accounts of, not counting those that hold a part of a limit: of these the
/// marketplace says how many there may be.
const MOST_CUSTOMERS: usize = 100_000;

/// How many are looked at to find one that can be forgotten.
const LOOKED_AT: usize = 100;

#[derive(Default)]
pub(super) struct Book {
    customers: HashMap<Arc<str>, Vec<Account>>,
    /// Which account is to be looked at, and when.
    agenda: BTreeSet<Look>,
    /// What is to be given back.
    over: Vec<Over>,
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

/// A lease that nobody uses any more, to be given back when what was allowed by it is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Over {
    pub(super) customer_id: Arc<str>,
    pub(super) lease_id: Arc<str>,
    /// The last record that was allowed by it.
    pub(super) last: Option<Ticket>,
}

/// The lease that allows an event.
pub(super) struct Payer<'a> {
    account: &'a mut Account,
    over: &'a mut Vec<Over>,
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
        Some(Payer { account, over: &mut self.over, place })
    }

    /// How much to ask for where `least` is needed.
    pub(super) fn wanted(&self, customer_id: &str, action: &str, least: u64, now: Moment) -> u64 {
        let accounts = self.customers.get(customer_id).into_iter().flatten();
        let account = accounts.into_iter().find(|account| *account.action == *action);
        let by_rule = account.map_or(0, |account| match account.blocks.last() {
            Some(newest) => newest.next_size(now),
            None => account.next_size,
        });
        by_rule.clamp(least, *TakeLease::AMOUNT.end())
    }

    /// Adds a lease, which was asked for at the moment `sent`. What an account has beyond two is over: too
    /// little is left of it for what is done.
    pub(super) fn add(&mut self, customer_id: &str, action: &str, lease: Lease, sent: Moment) {
        if self.customers.len() >= MOST_CUSTOMERS && !self.customers.contains_key(customer_id) {
            self.forget_somebody();
        }
        let block = Block::new(lease, sent);
        let known = self.customers.get_key_value(customer_id).map(|(known, _)| known.clone());
        let customer_id = known.unwrap_or_else(|| customer_id.into());
        let accounts = self.customers.entry(customer_id.clone()).or_default();
        let account = match of_action(accounts, action).is_some() {
            true => of_action(accounts, action),
            false => {
                accounts.push(Account::new(customer_id, action.into(), sent.monotonic));
                accounts.last_mut()
            }
        };
        let Some(account) = account else { return }; // it was found, or made
        account.blocks.push(block);
        let too_many = account.blocks.len().saturating_sub(MOST_LIVE);
        let gone = account.blocks.drain(..too_many);
        self.over.extend(gone.filter_map(|block| over(&account.customer_id, &block)));
        self.agenda.remove(&account.look());
        account.look_at = account.next_look();
        self.agenda.insert(account.look());
    }

    /// Notes a lease that the marketplace may have granted without being heard.
    pub(super) fn add_unheard(&mut self, customer_id: &str, lease_id: &str) {
        let (customer_id, lease_id) = (customer_id.into(), lease_id.into());
        self.put_back(Over { customer_id, lease_id, last: None });
    }

    /// Notes that a lease still has to be given back.
    pub(super) fn put_back(&mut self, over: Over) {
        self.over.push(over);
    }

    /// When there is something to do: at once, if a lease is over.
    pub(super) fn next_look(&self) -> Option<Duration> {
        match self.over.is_empty() {
            true => self.agenda.first().map(|look| look.at),
            false => Some(Duration::ZERO),
        }
    }

    /// Looks at the accounts whose time has come, and hands out the leases that are over.
    pub(super) fn look(&mut self, now: Moment) -> Vec<Over> {
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
                self.over.extend(over(&account.customer_id, &block));
            }
            if is_idle {
                self.forget(&look);
            } else {
                account.look_at = account.next_look();
                self.agenda.insert(account.look());
            }
        }
        std::mem::take(&mut self.over)
    }

    /// Forgets an account that holds nothing of a limit: whoever was not there for the longest, if one of
    /// those does.
    fn forget_somebody(&mut self) {
        let holds_nothing = |look: &&Look| {
            let accounts = self.customers.get(&look.customer_id).into_iter().flatten();
            let mut blocks = accounts.into_iter().flat_map(|account| &account.blocks);
            !blocks.any(Block::is_to_be_returned)
        };
        let Some(look) = self.agenda.iter().take(LOOKED_AT).find(holds_nothing).cloned() else {
            return;
        };
        self.agenda.remove(&look);
        self.forget(&look);
    }

    fn forget(&mut self, look: &Look) {
        let Some(accounts) = self.customers.get_mut(&look.customer_id) else { return };
        accounts.retain(|account| account.action != look.action);
        if accounts.is_empty() {
            self.customers.remove(&look.customer_id);
        }
    }

    /// How many leases there are that may pay.
    pub(super) fn held(&self) -> u64 {
        let accounts = self.customers.values().flatten();
        accounts.map(|account| account.blocks.len() as u64).sum()
    }
}

impl Payer<'_> {
    pub(super) fn lease_id(&self) -> &str {
        &self.account.blocks[self.place].id
    }

    /// Takes so much of the lease, for the record that `ticket` stands for; `uncertain` where that may not
    /// count. Whether to ask for the next lease.
    pub(super) fn draw(self, quantity: u64, ticket: Ticket, uncertain: bool, now: Moment) -> bool {
        let Payer { account, over: all_over, place } = self;
        account.used_at = now.monotonic;
        let is_newest = place + 1 == account.blocks.len();
        let block = &mut account.blocks[place];
        block.draw(quantity, ticket, uncertain);
        let is_to_be_renewed = is_newest && block.is_to_be_renewed(now);
        if block.is_used_up() {
            account.next_size = block.next_size(now);
            all_over.extend(over(&account.customer_id, block));
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

fn over(customer_id: &Arc<str>, block: &Block) -> Option<Over> {
    let (customer_id, lease_id) = (customer_id.clone(), block.id.clone());
    block.is_to_be_returned().then_some(Over { customer_id, lease_id, last: block.last() })
}
