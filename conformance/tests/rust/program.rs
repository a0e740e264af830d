use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cloudnestle_conformance::{Answer, Deed, Given, Overflow, Step, Validation};
use cloudnestle_marketplace::{
    self as marketplace, Consumed, Durability, Error, Quota, Receipt, Secret, SpoolLimits,
    TokenPair, TokenSource, Usage, UsageFilter, UsageStats, ValidationMode,
};
use futures_util::TryStreamExt;
use futures_util::future::join_all;

use crate::customer;
use crate::face::{Face, Setup};
use crate::server::Server;

fn limits(given: &Given) -> SpoolLimits {
    let limits = SpoolLimits::default().overflow(match given.spool.overflow {
        Overflow::Reject => marketplace::Overflow::Reject,
        Overflow::DropOldest => marketplace::Overflow::DropOldest,
        Overflow::DropNewest => marketplace::Overflow::DropNewest,
    });
    given.spool.events.map_or(limits, |events| limits.events(events))
}

/// The partner's side of a scenario: a program that uses the SDK.
pub(crate) struct Program {
    setup: Setup,
    sdk: Face,
    pairs: BTreeMap<String, TokenPair>,
    sources: BTreeMap<String, TokenSource>,
    texts: BTreeMap<String, String>,
    events: BTreeMap<String, Receipt>,
    _spool: tempfile::TempDir,
}

impl Program {
    pub(crate) async fn begin(server: &Server, given: &Given) -> Result<Self> {
        let spool = tempfile::tempdir()?;
        let mode = match given.validation {
            Validation::Connected => ValidationMode::Connected,
            Validation::Online => ValidationMode::Online,
            Validation::Local => ValidationMode::Local,
        };
        let durability = match given.spool.durable {
            true => Durability::Durable,
            false => Durability::Fast,
        };
        let place = (spool.path(), limits(given), durability);
        let setup = Setup::of(server, given, place, mode)?;
        let mut pairs = BTreeMap::new();
        for (name, holder) in &given.tokens {
            pairs.insert(name.clone(), server.pair(&holder.customer, &holder.solution).await?);
        }
        let sdk = setup.build()?;
        let mut texts = given.texts.clone();
        for (name, holder) in &given.codes {
            let code = server.launch_code(&holder.customer, &holder.solution).await?;
            texts.insert(name.clone(), code.expose().to_owned());
        }
        let sources = BTreeMap::new();
        let events = BTreeMap::new();
        Ok(Program { setup, sdk, pairs, sources, texts, events, _spool: spool })
    }

    pub(crate) fn requests(&self) -> u64 {
        self.sdk.requests()
    }

    pub(crate) fn access_token(&self, step: &Step) -> Result<&Secret> {
        Ok(&self.pair(step)?.access_token)
    }

    fn pair(&self, step: &Step) -> Result<&TokenPair> {
        let name = name(step)?;
        self.pairs.get(name).with_context(|| format!("nobody was given the token {name}"))
    }

    /// Keeps a pair under the name the step gives it.
    pub(crate) fn is_given(&mut self, step: &Step, pair: TokenPair) -> Result<()> {
        let name = step.keep_as.clone().context("`keep_as` is missing")?;
        self.pairs.insert(name, pair);
        Ok(())
    }

    fn token(&self, step: &Step) -> Result<String> {
        let name = name(step)?;
        let token = match self.texts.get(name) {
            Some(text) => text,
            None => self.access_token(step)?.expose(),
        };
        Ok(if step.forged { forged(token) } else { token.to_owned() })
    }

    /// Gives a new pair the name the step has for it.
    fn keep(&mut self, step: &Step, pair: Result<TokenPair, Error>) -> Result<()> {
        if let Ok(pair) = &pair {
            let name = step.keep_as.as_ref().context("`keep_as` is missing")?;
            self.pairs.insert(name.clone(), pair.clone());
        }
        compare(step, pair.map(|_| Answer::default()))
    }

    fn event(&self, name: &str) -> Result<&Receipt> {
        self.events.get(name).with_context(|| format!("nothing was tracked as {name}"))
    }

    /// Makes the call of a step, and compares what comes of it.
    pub(crate) async fn call(&mut self, step: &Step) -> Result<()> {
        match step.deed {
            Deed::ValidateUser => {
                let token = &self.token(step)?;
                let user =
                    at_once(step, || self.sdk.validate_user(token), |a, b| **a == **b).await?;
                compare(
                    step,
                    user.map(|user| Answer {
                        customer_id: Some(user.customer_id.clone()),
                        tier: Some(user.tier),
                        verified: Some(in_words(user.verified())),
                        freshness: Some(in_words(user.freshness())),
                        ..Answer::default()
                    }),
                )
            }
            Deed::GetUserContext => {
                let token = &self.token(step)?;
                let context =
                    at_once(step, || self.sdk.get_user_context(token), |a, b| **a == **b).await?;
                compare(
                    step,
                    context.map(|context| Answer {
                        customer_id: Some(context.customer_id.clone()),
                        tier: Some(context.tier),
                        freshness: Some(in_words(context.freshness())),
                        used: used(&context.quotas),
                        remaining: remaining(&context.quotas),
                        ..Answer::default()
                    }),
                )
            }
            Deed::Consume => {
                let (token, usage) = (&self.token(step)?, usage(step)?);
                let same =
                    |one: &Consumed, other: &Consumed| one.is_overage() == other.is_overage();
                let sdk = self.sdk.backend()?;
                let consume = || sdk.consume(token, usage.clone());
                let consumed = at_once(step, consume, same).await?;
                if let (Ok(consumed), Some(name)) = (&consumed, &step.keep_as) {
                    self.events.insert(name.clone(), consumed.receipt().clone());
                }
                let denial = consumed.as_ref().err().and_then(Error::denial);
                must("resets_at", &step.resets_at, &denial.map(|denial| denial.resets_at))?;
                compare(
                    step,
                    consumed.map(|consumed| Answer {
                        overage: Some(consumed.is_overage()),
                        ..Answer::default()
                    }),
                )
            }
            Deed::TrackUsage => {
                let (token, mut usage) = (&self.token(step)?, usage(step)?);
                if let Some(name) = &step.amends {
                    usage = usage.amends(self.event(name)?.reference().await?);
                }
                if let Some(name) = &step.voids {
                    usage = usage.voids(self.event(name)?.reference().await?);
                }
                let receipt = self.sdk.track_usage(token, usage).await;
                if let (Ok(receipt), Some(name)) = (&receipt, &step.keep_as) {
                    self.events.insert(name.clone(), receipt.clone());
                }
                compare(step, receipt.map(|_| Answer::default()))
            }
            Deed::Refresh => {
                let pair = self.pair(step)?;
                let renewed = at_once(step, || self.sdk.refresh(pair), TokenPair::eq).await?;
                if let (Ok(renewed), Some(name)) =
                    (&renewed, step.keep_as.as_ref().or(step.token.as_ref()))
                {
                    ensure!(renewed != pair, "the pair is the old one");
                    self.pairs.insert(name.clone(), renewed.clone());
                }
                compare(step, renewed.map(|_| Answer::default()))
            }
            Deed::RevokeToken => {
                let revoked = self.sdk.backend()?.revoke_token(&self.token(step)?).await;
                compare(step, revoked.map(|()| Answer::default()))
            }
            Deed::ExchangeCode => {
                let pair = self.sdk.backend()?.exchange_code(&self.token(step)?, None).await;
                self.keep(step, pair)
            }
            Deed::CreateVisitor => {
                let pair = self.sdk.create_visitor().await;
                self.keep(step, pair)
            }
            Deed::KeepFresh => {
                let source = self.sdk.keep_fresh(self.pair(step)?.clone());
                self.sources.insert(name(step)?.to_owned(), source);
                compare(step, Ok(Answer::default()))
            }
            Deed::AccessToken => {
                let source = self.sources.get(name(step)?).context("nobody keeps it fresh")?;
                let token = at_once(step, || source.access_token(), Secret::eq).await?;
                self.pairs.insert(name(step)?.to_owned(), source.pair());
                compare(step, token.map(|_| Answer::default()))
            }
            Deed::Quotas => {
                let token = step.token.is_some().then(|| self.token(step)).transpose()?;
                let customer = step.customer.as_deref();
                let quotas = self.sdk.quotas(customer, token.as_deref()).await?;
                compare(
                    step,
                    quotas.map(|quotas| Answer {
                        used: used(&quotas),
                        remaining: remaining(&quotas),
                        ..Answer::default()
                    }),
                )
            }
            Deed::UsageHistory => {
                let pages = self.sdk.backend()?.usage_history(
                    customer(step)?,
                    step.bucket.unwrap_or_default(),
                    filter(step),
                );
                let buckets: Result<Vec<_>, _> = pages.try_collect().await;
                compare(
                    step,
                    buckets.map(|buckets| Answer {
                        quantities: Some(buckets.iter().map(|bucket| bucket.quantity).collect()),
                        ..Answer::default()
                    }),
                )
            }
            Deed::UsageEvents => {
                let pages = self.sdk.backend()?.usage_events(customer(step)?, filter(step));
                let events: Result<Vec<_>, _> = pages.try_collect().await;
                compare(
                    step,
                    events.map(|events| Answer {
                        counts: Some(events.iter().map(|event| event.counts).collect()),
                        left: Some(events.iter().map(|event| event.left).collect()),
                        ..Answer::default()
                    }),
                )
            }
            Deed::Flush => compare(step, self.sdk.flush().await.map(|()| Answer::default())),
            Deed::Close => {
                let deadline = Duration::from_millis(step.millis.context("`millis` is missing")?);
                let report = self.sdk.close(deadline).await;
                compare(step, Ok(accounts(report.usage)))
            }
            Deed::FlushBeforeReturn => {
                let millis = step.millis.context("`millis` is missing")?;
                let usage = self.sdk.flush_before_return(Duration::from_millis(millis)).await;
                compare(step, Ok(accounts(usage)))
            }
            Deed::Delivered => {
                let name = step.event.as_ref().context("`event` is missing")?;
                let delivered = self.event(name)?.delivered().await;
                compare(step, delivered.map(|()| Answer::default()))
            }
            Deed::RejectedUsage => {
                let rejected = self.sdk.rejected_usage().await;
                compare(step, rejected.map(|kept| how_many_rejected(kept.len() as u64)))
            }
            Deed::ReplayRejected => {
                compare(step, self.sdk.replay_rejected().await.map(how_many_rejected))
            }
            Deed::Stats => compare(step, Ok(accounts(self.sdk.usage()))),
            Deed::Diagnose => {
                let diagnosis = self.sdk.backend()?.diagnose().await;
                let codes = diagnosis.findings.iter().filter_map(|finding| finding.code);
                let (severity, codes) = (diagnosis.severity().to_string(), codes.collect());
                let (severity, codes) = (Some(severity), Some(codes));
                compare(step, Ok(Answer { severity, codes, ..Answer::default() }))
            }
            Deed::Restart => {
                // The old one goes first: a spool has one owner.
                self.sdk = self.setup.build_in_memory()?;
                self.sdk = self.setup.build()?;
                Ok(())
            }
            deed => bail!("{deed:?} is not a deed of the program"),
        }
    }
}

fn usage(step: &Step) -> Result<Usage> {
    let action = step.action.as_deref().context("`action` is missing")?;
    let usage = Usage::of(action).quantity(step.quantity.unwrap_or(1));
    Ok(match &step.idempotency_key {
        Some(key) => usage.idempotency_key(key),
        None => usage,
    })
}

fn filter(step: &Step) -> UsageFilter {
    let mut filter = UsageFilter::all();
    if let Some(action) = &step.action {
        filter = filter.action(action);
    }
    if let Some(items) = step.page_size {
        filter = filter.page_size(items);
    }
    filter
}

fn name(step: &Step) -> Result<&str> {
    step.token.as_deref().context("`token` is missing")
}

/// The token with another signature of the same form.
fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{first}{}", signature.get(1..).unwrap_or_default())
}

/// The call, by as many callers as the step asks for; they must all get the same.
async fn at_once<T, F: Future<Output = Result<T, Error>>>(
    step: &Step,
    call: impl Fn() -> F,
    same: impl Fn(&T, &T) -> bool,
) -> Result<Result<T, Error>> {
    let callers = step.callers.unwrap_or(1);
    let mut results = join_all((0..callers).map(|_| call())).await;
    let last = results.pop().context("`callers` is at least 1")?;
    let all_same = results.iter().all(|result| match (result, &last) {
        (Ok(one), Ok(other)) => same(one, other),
        (Err(one), Err(other)) => one.code() == other.code(),
        _ => false,
    });
    ensure!(all_same, "{callers} callers got different answers");
    Ok(last)
}

fn compare(step: &Step, result: Result<Answer, Error>) -> Result<()> {
    let answer = match (result, step.error) {
        (Ok(answer), None) => answer,
        (Err(error), Some(code)) if error.code() == code => return Ok(()),
        (Err(error), _) => bail!("failed with {error}"),
        (Ok(_), Some(code)) => bail!("succeeded in place of failing with {code}"),
    };
    let expected = &step.answer;
    must("customer_id", &expected.customer_id, &answer.customer_id)?;
    must("tier", &expected.tier, &answer.tier)?;
    must("verified", &expected.verified, &answer.verified)?;
    must("freshness", &expected.freshness, &answer.freshness)?;
    must("quantities", &expected.quantities, &answer.quantities)?;
    must("counts", &expected.counts, &answer.counts)?;
    must("left", &expected.left, &answer.left)?;
    must("tracked", &expected.tracked, &answer.tracked)?;
    must("delivered", &expected.delivered, &answer.delivered)?;
    must("pending", &expected.pending, &answer.pending)?;
    must("rejected", &expected.rejected, &answer.rejected)?;
    must("lost", &expected.lost, &answer.lost)?;
    must("overage", &expected.overage, &answer.overage)?;
    must("severity", &expected.severity, &answer.severity)?;
    must("codes", &expected.codes, &answer.codes)?;
    for (action, used) in &expected.used {
        must(&format!("used {action}"), &Some(*used), &answer.used.get(action).copied())?;
    }
    for (action, left) in &expected.remaining {
        must(&format!("remaining {action}"), &Some(*left), &answer.remaining.get(action).copied())?;
    }
    Ok(())
}

fn must<T: PartialEq + Debug>(what: &str, expected: &Option<T>, got: &Option<T>) -> Result<()> {
    ensure!(expected.is_none() || expected == got, "{what} is {got:?}, not {expected:?}");
    Ok(())
}

fn accounts(usage: UsageStats) -> Answer {
    Answer {
        tracked: Some(usage.tracked),
        delivered: Some(usage.delivered),
        pending: Some(usage.pending),
        rejected: Some(usage.rejected),
        lost: Some(usage.lost.total()),
        ..Answer::default()
    }
}

fn how_many_rejected(count: u64) -> Answer {
    Answer { rejected: Some(count), ..Answer::default() }
}

fn used(quotas: &[Quota]) -> BTreeMap<String, u64> {
    quotas.iter().map(|quota| (quota.action.clone(), quota.used)).collect()
}

fn remaining(quotas: &[Quota]) -> BTreeMap<String, u64> {
    quotas.iter().filter_map(|quota| Some((quota.action.clone(), quota.remaining?))).collect()
}

fn in_words(value: impl Debug) -> String {
    format!("{value:?}").to_lowercase()
}
