//! Two promises about tokens, counted over many: nobody is let in more than 5 s after a revocation, and
//! nobody is logged out because answers are late or lost.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cloudnestle_marketplace::{Code, MarketplaceSdk, TokenPair};
use cloudnestle_mock_server::{Fault, MockServer, When};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::SOLUTION;

const CUSTOMER: &str = "cus_asha";
const REFRESH: &str = "POST /api/refresh-token";

/// How long verifiers rest between two looks: they are not to starve the server.
const REST: Duration = Duration::from_millis(5);

/// How many tokens verifiers look at: those that were revoked last, and those that will be next.
const BEHIND: usize = 400;
const AHEAD: usize = 100;

/// What came of revoking tokens while others validate them.
#[derive(Debug, Serialize)]
pub struct Revoked {
    /// How many tokens were revoked, one after the other.
    pub revocations: u64,
    /// Tasks that validated tokens in turns, half of them by another SDK than the other half.
    pub verifiers: u64,
    /// Validations that let a user in, before and after.
    pub accepted: u64,
    /// Validations that refused.
    pub refused: u64,
    /// The longest time from the answer to a revocation to the end of a validation that let its user
    /// in all the same.
    pub most_stale_ms: u64,
    /// Tokens that a verifier let in at least once after their revocation.
    pub let_in_late: u64,
}

/// Revokes tokens while `verifiers` validate them.
pub async fn revoke(revocations: usize, verifiers: usize) -> Result<Revoked> {
    let server = MockServer::start().await?;
    let mut tokens = Vec::with_capacity(revocations);
    for _ in 0..revocations {
        let pair = server.token_pair(CUSTOMER, SOLUTION).await?;
        tokens.push(Token::of(&pair));
    }
    let tokens = Arc::new(tokens);
    let sdks = [sdk(&server)?, sdk(&server)?];
    let revoked = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for sdk in sdks.iter().cycle().take(verifiers) {
        tasks.spawn(verify(sdk.clone(), tokens.clone(), revoked.clone()));
    }
    let revoker = sdk(&server)?;
    for token in tokens.iter() {
        revoker.revoke_token(&token.text).await?;
        let _ = token.revoked.set(Instant::now());
        revoked.fetch_add(1, Ordering::Release);
    }

    let mut sum = Seen::default();
    while let Some(seen) = tasks.join_next().await {
        let seen = seen??;
        sum.accepted += seen.accepted;
        sum.refused += seen.refused;
        sum.most_stale = sum.most_stale.max(seen.most_stale);
    }
    Ok(Revoked {
        revocations: revocations as u64,
        verifiers: verifiers as u64,
        accepted: sum.accepted,
        refused: sum.refused,
        most_stale_ms: sum.most_stale.as_millis() as u64,
        let_in_late: tokens.iter().map(|token| token.let_in_late.load(Ordering::Relaxed)).sum(),
    })
}

struct Token {
    text: String,
    /// When the answer to its revocation came.
    revoked: OnceLock<Instant>,
    /// 1 once somebody let its user in after that.
    let_in_late: AtomicU64,
}

impl Token {
    fn of(pair: &TokenPair) -> Token {
        let text = pair.access_token.expose().to_owned();
        Token { text, revoked: OnceLock::new(), let_in_late: AtomicU64::new(0) }
    }
}

#[derive(Default)]
struct Seen {
    accepted: u64,
    refused: u64,
    most_stale: Duration,
}

/// Validates the tokens around the one that is being revoked, in turns; at the end all of them, until
/// none is let in any more.
async fn verify(
    sdk: MarketplaceSdk,
    tokens: Arc<Vec<Token>>,
    revoked: Arc<AtomicUsize>,
) -> Result<Seen> {
    let mut seen = Seen::default();
    loop {
        let done = revoked.load(Ordering::Acquire);
        let is_over = done == tokens.len();
        let from = if is_over { 0 } else { done.saturating_sub(BEHIND) };
        let mut let_in = 0;
        for token in &tokens[from..tokens.len().min(done + AHEAD)] {
            let revoked = token.revoked.get().copied();
            match sdk.validate_user(&token.text).await {
                Ok(_) => {
                    let_in += 1;
                    if let Some(revoked) = revoked {
                        seen.most_stale = seen.most_stale.max(revoked.elapsed());
                        token.let_in_late.store(1, Ordering::Relaxed);
                    }
                }
                Err(error) if error.code() == Code::TokenRevoked => seen.refused += 1,
                Err(error) => return Err(error).context("a validation failed"),
            }
        }
        seen.accepted += let_in;
        if is_over && let_in == 0 {
            return Ok(seen);
        }
        tokio::time::sleep(REST).await;
    }
}

/// What came of refreshing pairs while answers are late and lost.
#[derive(Debug, Serialize)]
pub struct Refreshed {
    /// How many tasks refreshed the same pair at the same time, half of them by another SDK.
    pub refreshers: u64,
    /// How often they did, each time with the pair that came of the last.
    pub rounds: u64,
    /// Calls that had to be made again because no answer came in time.
    pub repeated: u64,
    /// Faults that calls have met.
    pub faults: u64,
    /// Users who would have had to sign in again.
    pub logged_out: u64,
    /// Whether a stolen token of long ago ended everything that came of it.
    pub theft_ends_the_family: bool,
}

/// Has `refreshers` renew one pair together, `rounds` times, drawing faults from `seed`.
pub async fn refresh(refreshers: usize, rounds: u64, seed: u64) -> Result<Refreshed> {
    let server = MockServer::start().await?;
    let sdks = [sdk(&server)?, sdk(&server)?];
    let first = server.token_pair(CUSTOMER, SOLUTION).await?;
    let mut pair = first.clone();
    let mut report = Refreshed {
        refreshers: refreshers as u64,
        rounds,
        repeated: 0,
        faults: 0,
        logged_out: 0,
        theft_ends_the_family: false,
    };
    let mut dice = Dice(seed);
    for _ in 0..rounds {
        for _ in 0..dice.roll(4) {
            server.inject(fault(&mut dice))?;
        }
        let mut tasks = JoinSet::new();
        for sdk in sdks.iter().cycle().take(refreshers) {
            tasks.spawn(renew(sdk.clone(), pair.clone()));
        }
        let mut renewed: Option<TokenPair> = None;
        while let Some(outcome) = tasks.join_next().await {
            match outcome?? {
                Renewal::Pair(new, repeated) => {
                    report.repeated += repeated;
                    let same = renewed.get_or_insert(new.clone());
                    ensure!(*same == new, "one token was renewed to two different pairs");
                }
                Renewal::LoggedOut => report.logged_out += 1,
            }
        }
        report.faults += server.faults().used.len() as u64;
        server.clear_faults();
        let Some(renewed) = renewed else { break };
        sdks[0].validate_user(renewed.access_token.expose()).await?;
        pair = renewed;
    }
    report.theft_ends_the_family = theft_ends_the_family(&server, &sdks, &first, &pair).await?;
    Ok(report)
}

enum Renewal {
    Pair(TokenPair, u64),
    LoggedOut,
}

/// As a program does it: again while the failure is a passing one.
async fn renew(sdk: MarketplaceSdk, pair: TokenPair) -> Result<Renewal> {
    let mut repeated = 0;
    loop {
        match sdk.refresh(&pair).await {
            Ok(renewed) => return Ok(Renewal::Pair(renewed, repeated)),
            Err(error) if error.is_retryable() => repeated += 1,
            Err(_) => return Ok(Renewal::LoggedOut),
        }
    }
}

async fn theft_ends_the_family(
    server: &MockServer,
    sdks: &[MarketplaceSdk; 2],
    stolen: &TokenPair,
    current: &TokenPair,
) -> Result<bool> {
    server.advance_clock(Duration::from_secs(60)).await?; // beyond the time for lost answers
    let thief = sdk(server)?;
    let for_the_thief = thief.refresh(stolen).await;
    let is_reuse = |result: cloudnestle_marketplace::Result<TokenPair>| {
        result.is_err_and(|error| error.code() == Code::RefreshTokenReused)
    };
    Ok(is_reuse(for_the_thief) && sdks[1].refresh(current).await.is_err())
}

fn fault(dice: &mut Dice) -> Fault {
    let fault = Fault::on(REFRESH);
    match dice.roll(4) {
        0 => fault.delay(Duration::from_millis(dice.roll(40))),
        1 => fault.reset(When::BeforeCommit),
        2 => fault.status(503),
        _ => fault.reset(When::AfterCommit),
    }
}

/// Numbers from a seed (splitmix64, Steele, Lea and Flood 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % below
    }
}

fn sdk(server: &MockServer) -> Result<MarketplaceSdk> {
    let key = server.secret_key(SOLUTION).context("the built-in world has the solution")?;
    let builder = MarketplaceSdk::builder().url(server.url()).secret_key(key).solution(SOLUTION);
    Ok(builder.spool_in_memory().build()?)
}
