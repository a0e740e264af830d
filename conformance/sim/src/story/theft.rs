//! Thieves, who have a copy of somebody's token pair. Both use theirs, in programs, as if nothing had happened, until
//! one of them comes with a refresh token behind what the other has made of it.

use std::time::Duration;

use cloudnestle_marketplace::model::TokenValidation;
use serde_json::json;

use super::Story;
use super::console::request;
use crate::people::Person;
use crate::scene::Scene;
use crate::work::token_id;

/// At the earliest so long after a pair was renewed it is renewed again.
const RESTS: Duration = Duration::from_millis(8_100);

/// Who comes so long behind another's renewal is noticed.
const NOTICED: Duration = Duration::from_millis(10_500);

/// As long as a theft takes that is to be noticed.
pub(super) const THEFT: Duration = Duration::from_secs(21);

impl Story {
    /// Somebody who uses the solution of a program has their pair copied.
    pub(super) fn steal(&self) {
        let world = &self.world;
        let Some(program) = self.some_program() else { return };
        let mut people = world.people();
        let of_solution = people.of(&program.settings.solution_id);
        let which = world.between(0, of_solution.len().max(1) as u64);
        let Some(owner) = of_solution.get(which as usize).copied() else { return };
        let thief = people.all[owner].thief();
        let Person { customer_id, pair, .. } = &thief;
        let Some(token_id) = token_id(pair.access_token.expose()) else { return };
        world.oracle().copied(&token_id);
        let soon = world.now() + Duration::from_millis(world.between(0, 2_000));
        let later = soon + NOTICED + Duration::from_millis(world.between(0, 3_000));
        let (first, second) = (owner, people.all.len());
        let (first, second) = if world.one_in(2) { (first, second) } else { (second, first) };
        world.note(
            "story",
            format_args!("{token_id} of {customer_id} is copied; the first to renew it is {first}"),
        );
        people.all.push(thief);
        people.appoint(first, soon);
        people.appoint(first, soon + RESTS);
        // Who comes at once gets what the first one got: only what follows from it shows that there are two.
        let at_once = world.one_in(6);
        people.appoint(second, if at_once { soon } else { later });
    }

    /// Whether those whose family ended because of a theft are refused, the thief and the owner.
    pub(super) async fn judge_thefts(&self) {
        let world = &self.world;
        let pairs = world.oracle().locked_out();
        for pair in pairs {
            let token = pair.access_token.expose();
            let solution_id = crate::work::solution_id(token).unwrap_or_default();
            let Some(key) = world.people().secret_keys.get(&solution_id).cloned() else { continue };
            let body = json!({ "token": token });
            let answer = self.console(request("POST", "/api/validate-token", &key, &body)).await;
            let answer = answer.and_then(|it| serde_json::from_slice(&it.body).ok());
            let is_refused = matches!(answer, Some(TokenValidation { valid: false, .. }));
            // That it is not renewed either is judged where it is served.
            let body = json!({ "refresh_token": pair.refresh_token.expose() });
            self.console(request("POST", "/api/refresh-token", &key, &body)).await;
            let token_id = token_id(token).unwrap_or_default();
            match is_refused {
                true => world.happened(Scene::LockedOut, format_args!("{token_id}")),
                false => world.violated(format!("{token_id} is good, and its family has ended")),
            }
        }
    }
}
