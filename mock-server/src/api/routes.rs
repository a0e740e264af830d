//! The table of routes. The router and the API page are both made of it, so neither can say what
//! the other doesn't know.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::handler::Handler;
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{self, MethodRouter};

use super::json::Json;
use super::{context, encoding, layers, page, quotas, tiers, tokens, usage, version};
use crate::market::Market;

/// One call of the API.
pub(crate) struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub callers: &'static [Credential],
    pub summary: &'static str,
    /// What to add to `curl $URL/path` to try it.
    pub example: &'static str,
    handler: MethodRouter<Arc<Market>>,
}

/// What a caller must hold. A route without any is open to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    SecretKey,
    AdminKey,
    Session,
    SolutionToken,
    #[cfg(feature = "control")]
    ControlToken,
}

impl Credential {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Credential::SecretKey => "secret key",
            Credential::AdminKey => "admin key",
            Credential::Session => "customer session",
            Credential::SolutionToken => "solution token",
            #[cfg(feature = "control")]
            Credential::ControlToken => "control token",
        }
    }
}

#[cfg(feature = "control")]
impl Route {
    /// The route's name in fault plans and journals: `POST /api/track-usage`.
    pub(crate) fn operation(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// The marketplace's own API.
#[rustfmt::skip] // a table
pub(crate) fn api() -> Vec<Route> {
    use Credential::*;
    vec![
        post("/api/generate-token", &[Session], tokens::generate,
            "A token pair for a solution the customer has subscribed to.",
            r#"-H "Authorization: Bearer $SESSION" --json '{"solution_id": "sol_faiss_search"}'"#),
        post("/api/validate-token", &[SecretKey], tokens::validate,
            "Whether a token is good, and who it speaks for. A bad token is a 200 with `valid: false`.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY" --json '{"token": "'$CLOUDNESTLE_TOKEN'"}'"#),
        post("/api/refresh-token", &[], tokens::refresh,
            "The next pair for a refresh token, which is used up by it. Holding it is the proof.",
            r#"--json "$CLOUDNESTLE_TOKEN_PAIR""#),
        delete("/api/revoke-token", &[SecretKey], tokens::revoke,
            "Ends a token and everything it can be refreshed to, at once.",
            r#"-X DELETE -H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY" --json '{"token": "'$CLOUDNESTLE_TOKEN'"}'"#),
        get("/api/user-context", &[SolutionToken], context::read,
            "Who the token speaks for: tier, entitlements, quotas.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_TOKEN""#),
        put("/api/user-tier", &[AdminKey], tiers::change,
            "Gives a subscriber another tier, at once.",
            r#"-X PUT -H "Authorization: Bearer $CLOUDNESTLE_ADMIN_KEY" --json '{"customer_id": "cus_ravi", "solution_id": "sol_faiss_search", "tier": "pro"}'"#),
        get("/api/quotas/{customer_id}/{solution_id}", &[SecretKey, SolutionToken], quotas::read,
            "What the customer may use of the solution, has used, and when it begins anew.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY""#),
        post("/api/track-usage", &[SecretKey, SolutionToken], usage::track,
            "Counts usage: one event, or a numbered range of a producer's log. Each counts once, however often it is sent. A solution token counts only what the solution lets clients report.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY" --json '{"event": {"id": "evt_'$(date +%s)'", "customer_id": "cus_ravi", "token_id": "'$TOKEN_ID'", "action": "search", "quantity": 1, "occurred_at": "'$(date -u +%FT%TZ)'"}}'"#),
        get("/.well-known/jwks.json", &[], jwks,
            "The keys that solution tokens are signed with.",
            ""),
    ]
}

/// What is neither the marketplace's API nor control over it.
#[rustfmt::skip]
pub(crate) fn about() -> Vec<Route> {
    vec![
        get("/healthz", &[], health, "Whether the server answers.", ""),
        get("/", &[], page::read, "This page.", ""),
    ]
}

/// Everything, as one service: it needs no socket.
pub(crate) fn router(market: Arc<Market>) -> Router {
    let api = collect(api()).layer(from_fn(layers::guard)).layer(from_fn(version::layer));
    #[cfg(feature = "control")]
    let api = api.layer(from_fn_with_state(market.clone(), crate::control::rehearsal::layer));
    let router = api
        .merge(collect(about()).layer(from_fn(layers::guard)))
        .layer(from_fn(encoding::layer))
        .layer(layers::cors());
    // In this order: what no route matches is answered by the router that is merged last.
    #[cfg(feature = "control")]
    let router = crate::control::router(&market).merge(router);
    router.layer(from_fn_with_state(market.clone(), layers::frame)).with_state(market)
}

pub(crate) fn collect(routes: Vec<Route>) -> Router<Arc<Market>> {
    routes.into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler))
}

async fn jwks(State(market): State<Arc<Market>>) -> impl IntoResponse {
    // Five minutes: the SDK fetches anew when it meets a key it doesn't know.
    let cached = HeaderValue::from_static("public, max-age=300");
    ([(header::CACHE_CONTROL, cached)], Json(market.keys.signing().jwks(market.world.now())))
}

async fn health() -> impl IntoResponse {
    Json(serde_json::json!({"status": "ok"}))
}

macro_rules! of_method {
    ($name:ident, $method:literal) => {
        /// A route of that method.
        pub(crate) fn $name<H, T>(
            path: &'static str,
            callers: &'static [Credential],
            handler: H,
            summary: &'static str,
            example: &'static str,
        ) -> Route
        where
            H: Handler<T, Arc<Market>>,
            T: 'static,
        {
            let handler = routing::$name(handler);
            Route { method: $method, path, callers, summary, example, handler }
        }
    };
}

of_method!(get, "GET");
of_method!(post, "POST");
of_method!(put, "PUT");
of_method!(delete, "DELETE");

#[cfg(all(test, feature = "control"))]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::MockServer;

    const CUSTOMER: &str = "cus_ravi";
    const SOLUTION: &str = "sol_faiss_search";

    #[tokio::test]
    async fn the_table_says_the_truth_about_who_may_call() {
        let server = MockServer::start().await.expect("a server");
        let router = router(server.market.clone());
        let key = server.secret_key(SOLUTION).expect("a key");
        let session = server.session(CUSTOMER).await.expect("a session");
        let token = server.token_pair(CUSTOMER, SOLUTION).await.expect("a pair").access_token;
        let credentials = [
            (Credential::SecretKey, key),
            (Credential::AdminKey, server.admin_key()),
            (Credential::Session, session),
            (Credential::SolutionToken, token),
        ];
        let ask = async |route: &Route, authorization: &str| {
            let path = route.path.replace("{customer_id}", CUSTOMER);
            let path = path.replace("{solution_id}", SOLUTION);
            let request = Request::builder().method(route.method).uri(path);
            let request = request.header("content-type", "application/json");
            let request = request.header("authorization", authorization).body(Body::from("{}"));
            let answer = router.clone().oneshot(request.expect("a request")).await;
            answer.expect("an answer").status().as_u16()
        };
        for route in api().iter().chain(&about()) {
            for (credential, secret) in &credentials {
                let status = ask(route, &format!("Bearer {}", secret.expose())).await;
                let may = route.callers.is_empty() || route.callers.contains(credential);
                // Who may call gets as far as the empty body, which most calls don't take.
                let expected: &[u16] = if may { &[200, 422] } else { &[403] };
                let operation = route.operation();
                assert!(expected.contains(&status), "{operation} by {credential:?}: {status}");
            }
            let unknown = ask(route, "Bearer garbage").await;
            assert_eq!(unknown == 401, !route.callers.is_empty(), "{}", route.operation());
        }
    }
}
