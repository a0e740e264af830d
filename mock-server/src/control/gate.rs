//! Who gets to `/mock`.
//!
//! Being on loopback protects nothing: any web page in a browser on this machine can send requests
//! here, and with DNS rebinding read the answers. So a request must name this server in `Host`, must
//! not come from another origin, and must carry the control token, which is printed where the server
//! was started. There are no CORS headers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::Secret;

use super::worlds::Standing;
use crate::api::caller::bearer;
use crate::api::problem::Failure;
use crate::domain::credential::Hash;
use crate::market::Market;

pub(super) async fn layer(
    State(market): State<Arc<Market>>,
    request: Request,
    next: Next,
) -> Response {
    match admit(&market, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

fn admit(market: &Market, headers: &HeaderMap) -> Result<(), Failure> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !names_us(market, host) {
        return Err(Failure::new(Code::Forbidden, "The Host header names another server."));
    }
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    if origin.is_some_and(|origin| !is_ours(market, origin, host)) {
        return Err(Failure::new(Code::Forbidden, "Requests of other origins are refused."));
    }
    let credential = headers.get(header::AUTHORIZATION).ok_or(Code::CredentialMissing)?;
    let presented = bearer(credential.as_bytes()).unwrap_or_default();
    let presented = Hash::of(&Secret::new(presented));
    let rules = |token: &Secret| presented.matches(&Hash::of(token));
    let is_good = match &market.standing {
        Standing::Server(_) => rules(&market.control_token),
        Standing::Hosted { control_token, server_token, .. } => {
            rules(control_token) | rules(server_token)
        }
    };
    match is_good {
        true => Ok(()),
        false => Err(Failure::new(Code::CredentialInvalid, "This takes the control token.")),
    }
}

/// Whether a host is the address we listen on, this machine's own name, or our public name.
fn names_us(market: &Market, host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    if Some(&authority) == authority_of(&market.url).as_ref() {
        return true;
    }
    let address = market.address;
    let is_address = authority.host().trim_matches(['[', ']']) == address.ip().to_string();
    let is_local = matches!(authority.host(), "localhost" | "127.0.0.1" | "[::1]");
    authority.port_u16() == Some(address.port()) && (is_address || is_local)
}

fn is_ours(market: &Market, origin: &str, host: &str) -> bool {
    origin == origin_of(&market.url) || origin == format!("http://{host}")
}

/// A URL without its path.
fn origin_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + "://".len());
    let path = url[authority..].find('/');
    path.map_or(url, |path| &url[..authority + path])
}

fn authority_of(url: &str) -> Option<Authority> {
    url.parse::<Uri>().ok()?.into_parts().authority
}
