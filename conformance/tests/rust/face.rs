//! The SDK as a scenario sees it: a solution's backend, or a client with its users' tokens alone.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use cloudnestle_conformance::Given;
use cloudnestle_marketplace::{
    Answer, Builder, ClientBuilder, ClientSdk, CloseReport, Durability, Error, MarketplaceSdk,
    Quota, Receipt, RejectedUsage, SpoolLimits, TokenPair, TokenSource, Usage, UsageStats, User,
    UserContext, ValidationMode,
};

use crate::server::Server;

/// How a program sets its SDK up.
pub(crate) enum Setup {
    Backend(Builder),
    Client(ClientBuilder),
}

pub(crate) enum Face {
    Backend(MarketplaceSdk),
    Client(ClientSdk),
}

impl Setup {
    pub(crate) fn of(
        server: &Server,
        given: &Given,
        (spool, limits, durability): (&Path, SpoolLimits, Durability),
        mode: ValidationMode,
    ) -> Result<Setup> {
        Ok(match given.client {
            true => Setup::Client(
                server
                    .client_builder()?
                    .spool_dir(spool)
                    .spool_limits(limits)
                    .durability(durability),
            ),
            false => Setup::Backend(
                server
                    .sdk_builder(given)?
                    .validation(mode)
                    .spool_dir(spool)
                    .spool_limits(limits)
                    .durability(durability),
            ),
        })
    }

    pub(crate) fn build(&self) -> Result<Face, Error> {
        match self {
            Setup::Backend(builder) => builder.clone().build().map(Face::Backend),
            Setup::Client(builder) => builder.clone().build().map(Face::Client),
        }
    }

    /// One that leaves the spool alone.
    pub(crate) fn build_in_memory(&self) -> Result<Face, Error> {
        match self {
            Setup::Backend(builder) => builder.clone().spool_in_memory().build().map(Face::Backend),
            Setup::Client(builder) => builder.clone().spool_in_memory().build().map(Face::Client),
        }
    }
}

impl Face {
    /// For what a client can't do.
    pub(crate) fn backend(&self) -> Result<&MarketplaceSdk> {
        match self {
            Face::Backend(sdk) => Some(sdk),
            Face::Client(_) => None,
        }
        .context("only a backend can do this")
    }

    pub(crate) fn requests(&self) -> u64 {
        match self {
            Face::Backend(sdk) => sdk.stats().requests,
            Face::Client(client) => client.stats().requests,
        }
    }

    pub(crate) fn usage(&self) -> UsageStats {
        match self {
            Face::Backend(sdk) => sdk.stats().usage,
            Face::Client(client) => client.stats().usage,
        }
    }

    pub(crate) async fn validate_user(&self, token: &str) -> Result<Answer<User>, Error> {
        match self {
            Face::Backend(sdk) => sdk.validate_user(token).await,
            Face::Client(client) => client.validate_user(token).await,
        }
    }

    pub(crate) async fn get_user_context(&self, token: &str) -> Result<Answer<UserContext>, Error> {
        match self {
            Face::Backend(sdk) => sdk.get_user_context(token).await,
            Face::Client(client) => client.get_user_context(token).await,
        }
    }

    /// A backend asks for a customer's, and a client for those of whose token it has.
    pub(crate) async fn quotas(
        &self,
        customer: Option<&str>,
        token: Option<&str>,
    ) -> Result<Result<Vec<Quota>, Error>> {
        Ok(match self {
            Face::Backend(sdk) => sdk.quotas(customer.context("`customer` is missing")?).await,
            Face::Client(client) => client.quotas(token.context("`token` is missing")?).await,
        })
    }

    pub(crate) async fn track_usage(&self, token: &str, usage: Usage) -> Result<Receipt, Error> {
        match self {
            Face::Backend(sdk) => sdk.track_usage(token, usage).await,
            Face::Client(client) => client.track_usage(token, usage).await,
        }
    }

    pub(crate) async fn refresh(&self, pair: &TokenPair) -> Result<TokenPair, Error> {
        match self {
            Face::Backend(sdk) => sdk.refresh(pair).await,
            Face::Client(client) => client.refresh(pair).await,
        }
    }

    pub(crate) fn keep_fresh(&self, pair: TokenPair) -> TokenSource {
        match self {
            Face::Backend(sdk) => sdk.keep_fresh(pair),
            Face::Client(client) => client.keep_fresh(pair),
        }
    }

    pub(crate) async fn create_visitor(&self) -> Result<TokenPair, Error> {
        match self {
            Face::Backend(sdk) => sdk.create_visitor().await,
            Face::Client(client) => client.create_visitor().await,
        }
    }

    pub(crate) async fn flush(&self) -> Result<(), Error> {
        match self {
            Face::Backend(sdk) => sdk.flush().await,
            Face::Client(client) => client.flush().await,
        }
    }

    pub(crate) async fn flush_before_return(&self, deadline: Duration) -> UsageStats {
        match self {
            Face::Backend(sdk) => sdk.flush_before_return(deadline).await,
            Face::Client(client) => client.flush_before_return(deadline).await,
        }
    }

    pub(crate) async fn close(&self, deadline: Duration) -> CloseReport {
        match self {
            Face::Backend(sdk) => sdk.close(deadline).await,
            Face::Client(client) => client.close(deadline).await,
        }
    }

    pub(crate) async fn rejected_usage(&self) -> Result<Vec<RejectedUsage>, Error> {
        match self {
            Face::Backend(sdk) => sdk.rejected_usage().await,
            Face::Client(client) => client.rejected_usage().await,
        }
    }

    pub(crate) async fn replay_rejected(&self) -> Result<u64, Error> {
        match self {
            Face::Backend(sdk) => sdk.replay_rejected().await,
            Face::Client(client) => client.replay_rejected().await,
        }
    }
}
