//! What the partner's and the marketplace's people do meanwhile: at the console, where everything is done
//! until it is answered.

use std::sync::Arc;
use std::time::Duration;

use cloudnestle_marketplace::host::{Request, Response};
use cloudnestle_marketplace::model::{RotatedSecretKey, UserTier};
use cloudnestle_marketplace::{Secret, Tier, TokenPair};
use serde_json::json;

use super::{SOLUTIONS, Story, a_solution, settings};
use crate::fault::Fault;
use crate::people::{Person, Rush};
use crate::program::{Program, Settings};
use crate::server::URL;
use crate::work::{UNDECLARED, customer_id};
use crate::world::locked;

impl Story {
    /// A call of the partner's or the marketplace's people, made until it is answered: they are patient.
    pub(super) async fn console(&self, request: Request) -> Option<Response> {
        let world = &self.world;
        let key = format!("console-{}", world.between(0, u64::MAX));
        for _ in 0..100 {
            let mut request = request.clone();
            request.headers.push(("idempotency-key", key.clone()));
            request.headers.push(("content-type", "application/json".to_owned()));
            let call = world.begin_call("console", crate::network::operation(&request), None);
            let (id, operation) = (call.id, &call.operation);
            world.note("console", format_args!("{id} {operation}"));
            let served = world.server.serve(&call, request).await;
            world.end_call(&call);
            match served {
                Ok(response) if response.status < 500 && response.status != 429 => {
                    return Some(response);
                }
                _ => world.sleep_ms(500).await,
            }
        }
        None
    }

    pub(super) async fn replace_secret_key(&self) {
        let world = &self.world;
        let solution_id = a_solution(world);
        let Some(key) = world.people().secret_keys.get(solution_id).cloned() else { return };
        world.fired_at(Fault::SecretKey);
        // Longer than a server that dies over it is away: with the old key its answer is asked for again.
        let overlap = world.between(6, 12);
        let body = json!({ "overlap_secs": overlap });
        let answer = self.console(request("POST", "/api/secret-keys/rotate", &key, &body)).await;
        let answer = answer.map(|answer| serde_json::from_slice::<RotatedSecretKey>(&answer.body));
        let Some(Ok(RotatedSecretKey { secret_key, .. })) = answer else {
            return world
                .violated(format!("the key of {solution_id} can't be replaced: {answer:?}"));
        };
        world.people().secret_keys.insert(solution_id.to_owned(), secret_key);
        world.note(
            "story",
            format_args!("{solution_id} has another key, the old one for {overlap} s"),
        );
    }

    /// The partner declares what programs have done all along: it counts from now on, and what was rejected does
    /// when it is replayed.
    pub(super) async fn declare(&self, solution_id: &str) {
        let world = &self.world;
        let Some(market) = world.server.market() else { return };
        world.note("story", format_args!("{solution_id} declares {UNDECLARED}"));
        if let Err(error) = market.declare_action(solution_id, UNDECLARED).await {
            world.violated(format!("{solution_id} can't declare an action: {error}"));
        }
    }

    /// Somebody among all who use the solutions and are not in the middle of a theft: who holds that token, if there
    /// is one.
    fn somebody(&self, token: Option<String>) -> Option<Person> {
        let people = self.world.people();
        if let Some(place) = token.and_then(|token| people.who_holds(&token)) {
            return people.all.get(place).cloned();
        }
        let which = self.world.between(0, people.all.len().max(1) as u64);
        people.all.get(which as usize).filter(|person| !people.is_awaited(person)).cloned()
    }

    pub(super) async fn change_tier(&self, token: Option<String>) {
        let (world, Some(person)) = (&self.world, self.somebody(token)) else { return };
        let Person { customer_id, solution_id, .. } = person;
        let Some(admin) = world.people().admin_key.clone() else { return };
        let tiers = [Tier::Registered, Tier::Pro, Tier::Enterprise];
        let tier = tiers[world.between(0, 3) as usize];
        world.fired_at(Fault::TierChanged);
        let body = json!(UserTier { customer_id, solution_id, tier });
        self.console(request("PUT", "/api/user-tier", &admin, &body)).await;
    }

    /// A new customer has a limit of which nothing is used, and all programs come for it at once.
    pub(super) async fn announce_a_rush(&self) {
        let world = &self.world;
        let (key, admin) = {
            let people = world.people();
            (people.secret_keys.get(SOLUTIONS[0]).cloned(), people.admin_key.clone())
        };
        let (Some(key), Some(admin)) = (key, admin) else { return };
        let body = json!({ "solution_id": SOLUTIONS[0] });
        let answer = self.console(request("POST", "/api/generate-token", &key, &body)).await;
        let pair = answer.and_then(|it| serde_json::from_slice::<TokenPair>(&it.body).ok());
        let Some(pair) = pair else { return }; // the key may have been replaced meanwhile
        let Some(customer_id) = customer_id(pair.access_token.expose()) else { return };
        let (solution_id, tier) = (SOLUTIONS[0].to_owned(), Tier::Registered);
        let tiered = UserTier { customer_id: customer_id.clone(), solution_id, tier };
        if world.one_in(4) {
            self.set_the_servers_clock(-(world.between(1_000, 2_000) as i64));
        }
        self.console(request("PUT", "/api/user-tier", &admin, &json!(tiered))).await;
        let person = Person::new(customer_id, tiered.solution_id, pair);
        let is_in_it = |program: &&Arc<Program>| {
            program.settings.solution_id == SOLUTIONS[0] && !program.is_dead()
        };
        let many = locked(&self.programs).iter().filter(is_in_it).count();
        for _ in many..2 {
            let settings = Settings { solution_id: SOLUTIONS[0].to_owned(), ..settings(world) };
            self.start_somewhere(settings);
        }
        let at = world.now() + Duration::from_millis(2_500);
        world.note("story", format_args!("everybody comes for {} at {at:?}", person.customer_id));
        world.weather().rush = Some((at, at + Duration::from_millis(100)));
        let mut people = world.people();
        people.all.push(person.clone());
        people.rush = Some(Rush { person, at });
    }

    pub(super) async fn revoke_user(&self, token: Option<String>) {
        let (world, Some(person)) = (&self.world, self.somebody(token)) else { return };
        let Person { customer_id, solution_id, .. } = person;
        let Some(key) = world.people().secret_keys.get(&solution_id).cloned() else { return };
        world.fired_at(Fault::UserRevoked);
        let body = json!({ "customer_id": customer_id });
        self.console(request("DELETE", "/api/revoke-user", &key, &body)).await;
    }

    pub(super) async fn revoke_token(&self, token: Option<String>) {
        let (world, Some(person)) = (&self.world, self.somebody(token)) else { return };
        let Some(key) = world.people().secret_keys.get(&person.solution_id).cloned() else {
            return;
        };
        world.fired_at(Fault::TokenRevoked);
        let body = json!({ "token": person.pair.access_token.expose() });
        self.console(request("DELETE", "/api/revoke-token", &key, &body)).await;
    }
}

pub(super) fn request(
    method: &'static str,
    path: &str,
    key: &Secret,
    body: &serde_json::Value,
) -> Request {
    let headers = vec![("authorization", format!("Bearer {}", key.expose()))];
    Request { method, url: format!("{URL}{path}"), headers, body: body.to_string().into_bytes() }
}
