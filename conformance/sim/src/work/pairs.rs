//! Token pairs in the hands of programs: got, renewed, revoked, and lost for a reason or for none.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cloudnestle_marketplace::host::Host;
use cloudnestle_marketplace::{Code, Error, ValidationMode};
use futures_util::FutureExt;
use futures_util::future::{Either, select};

use super::{customer_id, token_id};
use crate::people::Person;
use crate::program::Running;
use crate::scene::Scene;

impl Running {
    /// Somebody renews their pair at the time that was made out, or tries until they have.
    pub(super) async fn keep_appointment(&self, place: usize, person: &Person) {
        if !self.refresh(place, person).await {
            let soon = self.world.now() + Duration::from_millis(500);
            self.world.people().appoint(place, soon);
        }
    }

    /// Whether they have another pair now, or must sign in.
    pub(super) async fn refresh(&self, place: usize, person: &Person) -> bool {
        let began = self.world.now();
        if !self.world.people().begin_renewal(place, self.life, began) {
            return false;
        }
        let renewal = self.sdk.refresh(&person.pair).boxed();
        let patience = match self.world.one_in(5) {
            true => self.world.between(0, 300),
            false => 60_000,
        };
        let patience = self.host.sleep(Duration::from_millis(patience));
        let renewed = match select(renewal, patience).await {
            Either::Left((renewed, _)) => renewed,
            Either::Right((_, renewal)) => {
                self.link.gives_up.store(true, Ordering::Relaxed);
                drop(renewal);
                self.link.gives_up.store(false, Ordering::Relaxed);
                return false;
            }
        };
        self.took("refresh", began, self.settings.deadline);
        match renewed {
            Ok(pair) => {
                let Person { customer_id, .. } = person;
                let whose = if person.is_thief { "'s copy" } else { "" };
                self.world.note(&self.link.name, format_args!("{customer_id}{whose} is renewed"));
                let now = self.world.now();
                let wrong = self.world.people().renewed(place, &person.pair, pair, now);
                if let Some(wrong) = wrong {
                    self.world.violated(wrong);
                }
                true
            }
            Err(error) => {
                let ended =
                    matches!(error.code(), Code::RefreshTokenInvalid | Code::RefreshTokenReused);
                if ended {
                    self.logged_out(place, person, &error).await;
                }
                ended
            }
        }
    }

    /// Somebody has to sign in again: for a reason?
    async fn logged_out(&self, place: usize, person: &Person, error: &Error) {
        let token_id = token_id(person.pair.access_token.expose()).unwrap_or_default();
        let (revoked, was_copied) = {
            let oracle = self.world.oracle();
            (oracle.revoked(&token_id).is_some(), oracle.was_copied(&token_id))
        };
        let is_reused = error.code() == Code::RefreshTokenReused;
        let (name, who) = (&self.link.name, &person.customer_id);
        if !revoked || is_reused && !was_copied {
            self.world.violated(format!("{name}: {who} is logged out for no reason: {error}"));
        }
        if is_reused {
            let scene = match person.is_thief {
                true => Scene::ThiefComesSecond,
                false => Scene::OwnerComesSecond,
            };
            self.world.happened(scene, format_args!("{name}: {who}, {token_id}"));
        }
        if person.is_thief {
            return; // and goes on trying
        }
        let Some(market) = self.world.server.market() else { return };
        let pair = market.token_pair(&person.customer_id, &person.solution_id).await;
        if let Ok(pair) = pair {
            self.world.oracle().gave(&pair);
            let mut people = self.world.people();
            if people.all[place].pair == person.pair {
                people.all[place].pair = pair;
            }
        }
    }

    pub(super) async fn welcome(&self) {
        if self.settings.solution_id != "sol_faiss_search" {
            return; // the others are for registered customers
        }
        let began = self.world.now();
        let welcomed = self.sdk.create_visitor().await;
        self.took("create_visitor", began, self.settings.deadline);
        let Ok(pair) = welcomed else { return };
        let Some(customer_id) = customer_id(pair.access_token.expose()) else { return };
        let solution_id = self.settings.solution_id.clone();
        self.world.people().all.push(Person::new(customer_id, solution_id, pair));
    }

    pub(super) async fn revoke(&self, person: &Person) {
        let token = person.pair.access_token.expose();
        let began = self.world.now();
        let revoked = self.sdk.revoke_token(token).await;
        self.took("revoke_token", began, self.settings.deadline);
        if revoked.is_err() {
            return;
        }
        let good = self.sdk.validate_user(token).now_or_never();
        let online = self.settings.validation == ValidationMode::Online;
        if !online && !matches!(good, Some(Err(_))) {
            self.world.violated(format!("{}: believes what it has revoked", self.link.name));
        }
    }
}
