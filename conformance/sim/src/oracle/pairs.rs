//! What who watches knows of launch codes and token pairs: what each call presents, which pair somebody got for it,
//! and what the marketplace has committed. By that a code is exchanged once, and in its time; what has ended is
//! renewed no more; and a family ends when a copy of its tokens shows, and only then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloudnestle_marketplace::TokenPair;
use cloudnestle_marketplace::host::{Request, Response};
use cloudnestle_marketplace::model::Timestamp;
use cloudnestle_mock_server::store::Write;
use serde::Deserialize;

use super::Oracle;
use crate::call::Call;
use crate::scene::Scene;
use crate::work::token_id;

/// How long a used refresh token is answered with its successor, whatever became of that.
const REPEATED_WITHIN: Duration = Duration::from_secs(10);

/// How long a launch code is good.
const CODE_LIFE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Pairs {
    /// Every pair that somebody got, by its refresh token.
    given: BTreeMap<String, Given>,
    /// The places of refresh tokens in their families, by the ids of the access tokens beside them.
    places: BTreeMap<String, Place>,
    /// When refresh tokens were used up, by the marketplace's clock.
    used: BTreeMap<Place, Timestamp>,
    /// The launch codes there are.
    codes: BTreeMap<String, LaunchCode>,
    /// Which code or refresh token a call presents.
    presented: BTreeMap<u64, String>,
    /// The families of which somebody has a copy.
    copied: BTreeSet<String>,
    /// Those that ended because of that.
    reused: BTreeSet<String>,
}

/// A pair, and the id of its access token.
struct Given {
    token_id: String,
    pair: TokenPair,
}

/// A family, and which of its refresh tokens.
type Place = (String, u64);

struct LaunchCode {
    expires_at: Timestamp,
    /// The token it was exchanged for, and the idempotency key of the call.
    exchanged: Option<(String, Option<String>)>,
}

/// What a call presents, and what was known of that when it came.
pub(crate) enum Presented {
    RefreshToken {
        has_ended: bool,
        is_used: bool,
        is_copy: bool,
    },
    /// What it was exchanged for before, by another call.
    Code {
        exchanged: Option<String>,
        is_late: bool,
    },
}

#[derive(Deserialize)]
struct Renewing {
    refresh_token: String,
}

#[derive(Deserialize)]
struct Exchanging {
    code: String,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
}

#[derive(Deserialize)]
struct RefreshFact {
    family_id: String,
    generation: u64,
    access: Access,
    #[serde(default)]
    renewed_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Access {
    jti: String,
}

#[derive(Deserialize)]
struct CodeFact {
    #[serde(default)]
    exchanged_for: Option<String>,
}

#[derive(Deserialize)]
struct TokenIssued {
    issued_at: Timestamp,
}

impl Pairs {
    fn knows(&mut self, pair: TokenPair) {
        let Some(token_id) = token_id(pair.access_token.expose()) else { return };
        let refresh_token = pair.refresh_token.expose().to_owned();
        self.given.insert(refresh_token, Given { token_id, pair });
    }

    fn place(&self, refresh_token: &str) -> Option<&Place> {
        self.places.get(&self.given.get(refresh_token)?.token_id)
    }

    /// Whether a refresh token that comes at that time shows that there are copies of it.
    fn is_copy(&self, refresh_token: &str, at: Timestamp) -> bool {
        let Some(place @ (family, generation)) = self.place(refresh_token) else { return false };
        let successor_is_used = self.used.contains_key(&(family.clone(), generation + 1));
        let is_late = |used: &Timestamp| at.since(*used) > REPEATED_WITHIN;
        successor_is_used && self.used.get(place).is_some_and(is_late)
    }
}

impl Oracle {
    /// Somebody got a pair.
    pub(crate) fn gave(&mut self, pair: &TokenPair) {
        self.pairs.knows(pair.clone());
    }

    /// Somebody got a launch code, at that time of the marketplace's clock.
    pub(crate) fn gave_code(&mut self, code: &str, at: Timestamp) {
        let code_is = LaunchCode { expires_at: at + CODE_LIFE, exchanged: None };
        self.pairs.codes.insert(code.to_owned(), code_is);
    }

    /// Somebody copies a pair.
    pub(crate) fn copied(&mut self, token_id: &str) {
        self.pairs.copied.extend(self.tokens.get(token_id).map(|token| token.family.clone()));
    }

    /// Whether somebody has a copy of a pair of that token's family.
    pub(crate) fn was_copied(&self, token_id: &str) -> bool {
        self.tokens.get(token_id).is_some_and(|token| self.pairs.copied.contains(&token.family))
    }

    /// The pairs of the families that ended because copies of their tokens showed.
    pub(crate) fn locked_out(&self) -> Vec<TokenPair> {
        let all = self.pairs.given.values();
        let is_over = |it: &&Given| {
            let family = self.tokens.get(&it.token_id).map(|token| &token.family);
            family.is_some_and(|family| self.pairs.reused.contains(family))
        };
        all.filter(is_over).map(|it| it.pair.clone()).collect()
    }

    /// A call reaches the marketplace, at that time of its clock. What it presents, if it does.
    pub(crate) fn presents(
        &mut self,
        call: &Call,
        request: &Request,
        now: Timestamp,
    ) -> Option<Presented> {
        match call.operation.as_str() {
            "POST /api/refresh-token" => {
                let Renewing { refresh_token } = serde_json::from_slice(&request.body).ok()?;
                let given = self.pairs.given.get(&refresh_token)?;
                let has_ended = self.revoked(&given.token_id).is_some();
                let place = self.pairs.place(&refresh_token);
                let is_used = place.is_some_and(|place| self.pairs.used.contains_key(place));
                let is_copy = self.pairs.is_copy(&refresh_token, now);
                self.pairs.presented.insert(call.id, refresh_token);
                Some(Presented::RefreshToken { has_ended, is_used, is_copy })
            }
            "POST /api/exchange-code" => {
                let Exchanging { code } = serde_json::from_slice(&request.body).ok()?;
                let known = self.pairs.codes.get(&code)?;
                let own = self.keys.get(&call.id);
                let others = known.exchanged.as_ref().filter(|(_, key)| key.as_ref() != own);
                let exchanged = others.map(|(token_id, _)| token_id.clone());
                let is_own = known.exchanged.is_some() && exchanged.is_none();
                let is_late = now >= known.expires_at && !is_own;
                self.pairs.presented.insert(call.id, code);
                Some(Presented::Code { exchanged, is_late })
            }
            _ => None,
        }
    }

    /// What the marketplace's answer to a call makes of what it presented: what is wrong with that, or what
    /// has happened.
    pub(crate) fn answered(
        &mut self,
        presented: Option<Presented>,
        response: &Response,
    ) -> Result<Option<Scene>, &'static str> {
        let pair = serde_json::from_slice::<TokenPair>(&response.body).ok();
        let is_given = response.status == 200 && pair.is_some();
        if is_given {
            pair.into_iter().for_each(|pair| self.pairs.knows(pair));
        }
        let problem = serde_json::from_slice::<Problem>(&response.body).ok();
        let is_refused = problem.is_some_and(|problem| problem.code == "launch_code_invalid");
        match presented {
            Some(Presented::RefreshToken { has_ended: true, .. }) if is_given => {
                Err("a pair is renewed whose family has ended")
            }
            Some(Presented::RefreshToken { is_copy: true, .. }) if is_given => {
                Err("a copy of a refresh token is renewed, and nobody notices")
            }
            Some(Presented::RefreshToken { is_used: true, .. }) if is_given => {
                Ok(Some(Scene::RenewedOnceMore))
            }
            Some(Presented::Code { exchanged: Some(_), .. }) if is_given => {
                Err("a launch code is exchanged twice")
            }
            Some(Presented::Code { is_late: true, .. }) if is_given => {
                Err("a launch code is exchanged when its time is over")
            }
            Some(Presented::Code { .. }) if is_given => Ok(Some(Scene::CodeExchanged)),
            Some(Presented::Code { is_late: true, .. }) if is_refused => {
                Ok(Some(Scene::CodeComesLate))
            }
            Some(Presented::Code { exchanged: Some(token_id), .. }) if is_refused => {
                match self.revoked(&token_id) {
                    Some(_) => Ok(Some(Scene::CodeComesTwice)),
                    None => Err("a launch code comes twice, and what it was exchanged for is good"),
                }
            }
            _ => Ok(None),
        }
    }

    /// A refresh token is kept, or used up.
    pub(super) fn saw_refresh_token(&mut self, value: &[u8]) {
        let Ok(fact) = serde_json::from_slice::<RefreshFact>(value) else { return };
        let place = (fact.family_id, fact.generation);
        if let Some(at) = fact.renewed_at {
            self.pairs.used.entry(place.clone()).or_insert(at);
        }
        self.pairs.places.insert(fact.access.jti, place);
    }

    /// A call ends a family: why?
    pub(super) fn saw_family_end(&mut self, call: u64, family: &str, at: Timestamp) {
        let Some(presented) = self.pairs.presented.get(&call) else { return };
        let is_code = self.pairs.codes.get(presented);
        let is_right = match is_code {
            Some(code) => code.exchanged.is_some(),
            None => self.pairs.is_copy(presented, at),
        };
        match (is_code.is_some(), is_right) {
            (false, true) => drop(self.pairs.reused.insert(family.to_owned())),
            (true, true) => {}
            (_, false) => {
                self.violations.push(format!("{family} ends, and nothing was used twice"))
            }
        }
    }

    /// A call exchanges a launch code, unless it has just been kept.
    pub(super) fn saw_code(&mut self, call: Option<u64>, value: &[u8], writes: &[Write]) {
        let Ok(CodeFact { exchanged_for: Some(token_id) }) = serde_json::from_slice(value) else {
            return;
        };
        let Some(call) = call else { return };
        let presented = self.pairs.presented.get(&call);
        let Some(code) = presented.and_then(|code| self.pairs.codes.get_mut(code)) else { return };
        let issued = writes.iter().find_map(|write| match write {
            Write::Put { key, value, .. } if key.partition == token_id && key.sort == "token" => {
                serde_json::from_slice::<TokenIssued>(value).ok()
            }
            _ => None,
        });
        if code.exchanged.is_some() {
            self.violations.push(format!("{token_id} comes of a launch code that was exchanged"));
        } else if issued.is_none_or(|token| token.issued_at >= code.expires_at) {
            self.violations.push(format!("{token_id} comes of a launch code that is over"));
        }
        code.exchanged = Some((token_id, self.keys.get(&call).cloned()));
    }
}
