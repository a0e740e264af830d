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

impl Running {
    pub(super) async fn refresh(&self, place: usize, person: &Person) {
        let began = self.world.now();
        if !self.world.people().begin_renewal(place, self.life, began) {
            return;
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
                return;
            }
        };
        self.took("refresh", began, self.settings.deadline);
        match renewed {
            Ok(pair) => {
                self.world.note(&self.link.name, format_args!("{} is renewed", person.customer_id));
                let now = self.world.now();
                let wrong = self.world.people().renewed(place, &person.pair, pair, now);
                if let Some(wrong) = wrong {
                    self.world.violated(wrong);
                }
            }
            Err(error) => {
                let ended =
                    matches!(error.code(), Code::RefreshTokenInvalid | Code::RefreshTokenReused);
                if ended {
                    self.logged_out(place, person, &error).await;
                }
            }
        }
    }

    /// Somebody has to sign in again: for a reason?
    async fn logged_out(&self, place: usize, person: &Person, error: &Error) {
        let token_id = token_id(person.pair.access_token.expose());
        let revoked = token_id.and_then(|id| self.world.oracle().revoked(&id)).is_some();
        if !revoked || error.code() == Code::RefreshTokenReused {
            let name = &self.link.name;
            let who = &person.customer_id;
            self.world.violated(format!("{name}: {who} is logged out for no reason: {error}"));
        }
        let Some(market) = self.world.server.market() else { return };
        let pair = market.token_pair(&person.customer_id, &person.solution_id).await;
        if let Ok(pair) = pair {
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
