//! Which world a request is for: the one its path begins with, or else its header names, or else its
//! credential belongs to, or else the server's own.

use axum::Router;
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, HeaderValue, Uri, header};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::Secret;

use super::{Hosted, Standing, Worlds};
use crate::api::caller::bearer;
use crate::api::problem::Failure;
use crate::domain::credential::{Hash, Kind};
use crate::domain::jwt;
use crate::facts;
use crate::market::Market;

/// What the path of a world's call begins with; its id follows.
pub(super) const PREFIX: &str = "/worlds/";
/// Names a world where the path does not.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("cloudnestle-world");

/// Who answers a request, unless it is the server's own world. The path is left as that world knows it.
pub(crate) async fn world_of(
    server: &Market,
    request: &mut Request,
) -> Result<Option<Router>, Failure> {
    let Standing::Server(worlds) = &server.standing else {
        return Ok(None);
    };
    if let Some((id, rest)) = split(request.uri()) {
        let router = worlds.router(&id)?;
        *request.uri_mut() = rest;
        return Ok(Some(router));
    }
    if let Some(id) = request.headers().get(HEADER) {
        return worlds.router(id.to_str().unwrap_or_default()).map(Some);
    }
    if worlds.read().is_empty() {
        return Ok(None);
    }
    let credential = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    match credential.and_then(bearer) {
        Some(credential) => worlds.of_credential(server, credential).await,
        None => Ok(None),
    }
}

/// The world's id that a path begins with, and what follows.
fn split(uri: &Uri) -> Option<(String, Uri)> {
    let rest = uri.path().strip_prefix(PREFIX)?;
    let (id, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = PathAndQuery::try_from(format!("{path}{query}")).ok()?;
    Some((id.to_owned(), Uri::from(path)))
}

impl Worlds {
    fn router(&self, id: &str) -> Result<Router, Failure> {
        let worlds = self.read();
        let hosted = worlds.get(id).ok_or_else(|| {
            Failure::new(
                Code::NotFound,
                "There is no world of that id: it was never made, or removed.",
            )
        })?;
        Ok(hosted.router.clone())
    }

    /// A credential that two worlds know, because one began as a copy of the other, is the older
    /// one's: `server`'s, or else that whose id comes first.
    async fn of_credential(
        &self,
        server: &Market,
        credential: &str,
    ) -> Result<Option<Router>, Failure> {
        let issuer = jwt::claimed_issuer(credential);
        let credential = Secret::new(credential);
        if issuer.is_none() && knows(server, &credential).await? {
            return Ok(None);
        }
        let hosted: Vec<Hosted> = self.read().values().cloned().collect();
        for Hosted { market, router } in hosted {
            let is_its = match &issuer {
                Some(issuer) => *issuer == market.url,
                None => knows(&market, &credential).await?,
            };
            if is_its {
                return Ok(Some(router));
            }
        }
        Ok(None)
    }
}

/// Whether a key is one of this world, good or ended.
async fn knows(market: &Market, credential: &Secret) -> Result<bool, Failure> {
    let is = |kind: Kind| credential.expose().starts_with(kind.prefix());
    let hash = Hash::of(credential);
    if is(Kind::ControlToken) {
        return Ok(hash.matches(&Hash::of(&market.control_token)));
    }
    if is(Kind::AdminKey) {
        return Ok(hash.matches(&Hash::of(&market.keys.test_admin_key())));
    }
    if is(Kind::SecretKey) || is(Kind::PublishableKey) {
        return Ok(market.store.get(facts::api_key(&hash)).await?.is_some());
    }
    Ok(false)
}
