//! Customers who open a solution: their browser brings a launch code, and the program exchanges it. Some come with one
//! that was used before, or whose time is over.

use std::time::Duration;

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::host::Host;

use super::customer_id;
use crate::people::{LaunchCode, Person};
use crate::program::Running;

/// How old a code is that is over, and one that is not, whatever is on its way and whoever sets the clock.
const OVER: Duration = Duration::from_secs(65);
const GOOD: Duration = Duration::from_secs(50);

impl Running {
    pub(super) async fn launch(&self) {
        let which = match self.code_from_before() {
            Some(which) => Some(which),
            None => self.new_code().await,
        };
        if let Some(which) = which {
            self.exchange(which).await;
        }
    }

    /// A code that somebody had before: one that was tried, or one that is over.
    fn code_from_before(&self) -> Option<usize> {
        let now = self.world.now();
        let (tried, over) = match self.world.between(0, 4) {
            0 => (true, false),
            1 => (false, true),
            _ => return None,
        };
        let people = self.world.people();
        people.codes.iter().position(|it| {
            let age = now - it.given;
            let is_old = if over { age > OVER } else { age < GOOD };
            it.solution_id == self.settings.solution_id && is_old && tried == (it.tries > 0)
        })
    }

    /// A code for somebody who comes at once, unless they take their time.
    async fn new_code(&self) -> Option<usize> {
        let (_, Person { customer_id, solution_id, .. }) = self.somebody()?;
        let market = self.world.server.market()?;
        let (given, at) = (self.world.now(), self.world.server.machine.wall());
        let code = market.launch_code(&customer_id, &solution_id).await.ok()?;
        self.world.oracle().gave_code(code.expose(), at);
        let takes_their_time = self.world.one_in(3);
        let mut people = self.world.people();
        people.codes.push(LaunchCode { code, customer_id, solution_id, given, tries: 0 });
        (!takes_their_time).then(|| people.codes.len() - 1)
    }

    async fn exchange(&self, which: usize) {
        let (world, name) = (&self.world, &self.link.name);
        let code = {
            let mut people = world.people();
            people.codes[which].tries += 1;
            people.codes[which].clone()
        };
        let who = &code.customer_id;
        let began = world.now();
        let exchanged = self.sdk.exchange_code(code.code.expose(), None).await;
        self.took("exchange_code", began, self.settings.deadline);
        match exchanged {
            Ok(pair) => {
                world.note(name, format_args!("{who} has a pair for a launch code"));
                let whose = customer_id(pair.access_token.expose());
                if whose.as_ref() != Some(who) {
                    world.violated(format!("{name}: a code of {who} is exchanged for {whose:?}"));
                }
                let person = Person::new(code.customer_id, code.solution_id, pair);
                world.people().all.push(person);
            }
            Err(error) => {
                world.note(name, format_args!("{who} has nothing for a launch code: {error}"));
                let was_tried = world.people().codes[which].tries > 1;
                let is_old = began - code.given >= GOOD;
                if error.code() == Code::LaunchCodeInvalid && !was_tried && !is_old {
                    world.violated(format!("{name}: a code of {who} is refused: {error}"));
                }
            }
        }
    }
}
