//! Customers: they register, or go on as one when they were a visitor.

use std::sync::Arc;

use axum::extract::State;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{self, RegisterUser, Tier, Timestamp};

use super::caller::SolutionToken;
use super::idempotency::{IdempotencyKey, Registering};
use super::json::{Created, Json};
use super::problem::Failure;
use super::revocations::publish_tier;
use crate::domain::account::{Account, Email, MAX_NAME_CHARS};
use crate::domain::catalogue::{Customer, Solution, Subscription};
use crate::domain::password::{self, PasswordHash};
use crate::facts;
use crate::market::Market;
use crate::store::Transaction;

/// `POST /api/users`
pub(crate) async fn register(
    State(market): State<Arc<Market>>,
    key: IdempotencyKey,
    Json(request): Json<RegisterUser>,
) -> Result<Created<model::Customer>, Failure> {
    let registration = Registration::of(&market, &request).await?;
    let id = market.world.id("cus");
    let customer = key
        .once(&market, &Registering(&registration.email), "POST /api/users", &request, async |tx| {
            registration.claim_address(tx, &id).await?;
            let customer = registration.customer(&id);
            tx.create(&facts::customer(&id), &customer)?;
            shown(&customer)
        })
        .await?;
    Ok(Created(customer))
}

/// `POST /api/users/convert`
///
/// The visitor proves to be one by a token of theirs, and stays the same customer: what they have
/// used stays used. The free tier of the solutions they know becomes the one of registered customers.
pub(crate) async fn convert(
    State(market): State<Arc<Market>>,
    visitor: SolutionToken,
    key: IdempotencyKey,
    Json(request): Json<RegisterUser>,
) -> Result<Json<model::Customer>, Failure> {
    let registration = Registration::of(&market, &request).await?;
    let id = &visitor.claims.sub;
    let customer = key
        .once(&market, &visitor, "POST /api/users/convert", &request, async |tx| {
            let known: Option<Customer> = tx.get(&facts::customer(id)).await?;
            if known.ok_or(Code::NotFound)?.registered_at.is_some() {
                return Err(Code::AlreadyRegistered.into());
            }
            registration.claim_address(tx, id).await?;
            let customer = registration.customer(id);
            tx.put(&facts::customer(id), &customer)?;
            leave_anonymity(tx, id, registration.now).await?;
            shown(&customer)
        })
        .await?;
    Ok(Json(customer))
}

/// As many as a visitor's conversion changes at once: a visitor has one for each solution that has
/// minted a token for it, which is one.
const MAX_SUBSCRIPTIONS: usize = 50;

/// The tiers of a visitor who has registered.
async fn leave_anonymity(
    tx: &mut Transaction<'_>,
    customer_id: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let all = facts::subscriptions(customer_id, "", MAX_SUBSCRIPTIONS);
    for (key, _) in tx.query::<Subscription>(all).await? {
        let Some(mut subscription) = tx.get::<Subscription>(&key).await? else { continue };
        let solution: Option<Solution> =
            tx.peek(&facts::solution(&subscription.solution_id)).await?;
        let is_offered = solution.is_some_and(|it| it.plan(Tier::Registered).is_some());
        if subscription.tier == Tier::Anonymous && is_offered {
            subscription.tier = Tier::Registered;
            tx.put(&key, &subscription)?;
            publish_tier(tx, &subscription, now).await?;
        }
    }
    Ok(())
}

/// A registration that has the form of one.
struct Registration {
    email: Email,
    name: Option<String>,
    password: PasswordHash,
    now: Timestamp,
}

impl Registration {
    async fn of(market: &Market, request: &RegisterUser) -> Result<Registration, Failure> {
        let email = Email::parse(&request.email)
            .ok_or_else(|| Failure::field("email", "An address looks like name@host."))?;
        if !password::has_length(&request.password) {
            return Err(Failure::field("password", "A password has 8 to 256 characters."));
        }
        let name = request.name.clone();
        let fits = |name: &String| (1..=MAX_NAME_CHARS).contains(&name.chars().count());
        if !name.as_ref().is_none_or(fits) {
            return Err(Failure::field("name", "A name has 1 to 200 characters."));
        }
        let password = market.passwords.hash(&request.password, market.world.random.bytes());
        let password = password.await.ok_or(Code::Internal)?;
        Ok(Registration { email, name, password, now: market.world.now() })
    }

    fn customer(&self, id: &str) -> Customer {
        Customer {
            id: id.to_owned(),
            name: self.name.clone(),
            email: Some(self.email.clone()),
            registered_at: Some(self.now),
        }
    }

    async fn claim_address(&self, tx: &mut Transaction<'_>, id: &str) -> Result<(), Failure> {
        let key = facts::account(&self.email);
        if tx.get::<Account>(&key).await?.is_some() {
            return Err(Code::EmailTaken.into());
        }
        let account = Account { customer_id: id.to_owned(), password: self.password.clone() };
        Ok(tx.put(&key, &account)?)
    }
}

/// A registered customer as the customer sees it.
fn shown(customer: &Customer) -> Result<model::Customer, Failure> {
    let (Some(email), Some(registered_at)) = (&customer.email, customer.registered_at) else {
        return Err(Code::Internal.into());
    };
    Ok(model::Customer {
        customer_id: customer.id.clone(),
        email: email.as_str().to_owned(),
        name: customer.name.clone(),
        registered_at,
    })
}
