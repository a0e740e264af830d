//! The table of routes. The router, the OpenAPI document and the API page are all made of it, so none
//! can say what the others don't know.
//!
//! The types of a handler describe its call: bodies derive `ToSchema`, a new kind of argument or
//! answer implements [`openapi::Argument`] or [`openapi::Answer`]. What the types can't say, the codes
//! the call itself answers with, is named in the table by [`Route::fails`].

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::handler::Handler;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{self, MethodRouter};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::Jwks;
use serde::Serialize;
use utoipa::ToSchema;

use super::json::Json;
use super::openapi::{self, Described, Shape};
use super::{
    context, encoding, launches, layers, leases, limits, metrics, page, quotas, revocations,
    secret_keys, sessions, tiers, tokens, usage, user_solutions, users, version,
};
use crate::market::Market;

/// One call of the API.
pub(crate) struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub callers: &'static [Credential],
    pub summary: &'static str,
    /// What to add to `curl $URL/path` to try it.
    pub example: &'static str,
    /// The codes the call itself answers with, beside those of its arguments and callers.
    pub fails: &'static [Code],
    shape: fn() -> Shape,
    handler: MethodRouter<Arc<Market>>,
}

/// What a caller must hold. A route without any is open to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Credential {
    SecretKey,
    PublishableKey,
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
            Credential::PublishableKey => "publishable key",
            Credential::AdminKey => "admin key",
            Credential::Session => "customer session",
            Credential::SolutionToken => "solution token",
            #[cfg(feature = "control")]
            Credential::ControlToken => "control token",
        }
    }

    /// How a token of this kind looks.
    pub(crate) fn format(self) -> &'static str {
        match self {
            Credential::SecretKey => "cnsk_test_…",
            Credential::PublishableKey => "cnpk_test_…",
            Credential::AdminKey => "cnak_test_…",
            Credential::Session | Credential::SolutionToken => "JWT",
            #[cfg(feature = "control")]
            Credential::ControlToken => "cnct_test_…",
        }
    }

    /// Who holds it.
    pub(crate) fn holder(self) -> &'static str {
        match self {
            Credential::SecretKey => "A solution's backend. Never in a browser.",
            Credential::PublishableKey => {
                "A solution's page in a browser, of an origin the solution has registered."
            }
            Credential::AdminKey => "The marketplace's own people and programs.",
            Credential::Session => "A customer, signed in to the marketplace.",
            Credential::SolutionToken => {
                "A customer, for one solution: the access token of a pair."
            }
            #[cfg(feature = "control")]
            Credential::ControlToken => "Who started this server; it is printed there.",
        }
    }

    /// What a caller who does not hold a good one is answered.
    pub(crate) fn codes(self) -> &'static [Code] {
        use Code::*;
        match self {
            Credential::SecretKey => &[
                CredentialMissing,
                CredentialInvalid,
                CredentialWrongSolution,
                CredentialLive,
                Forbidden,
            ],
            Credential::AdminKey | Credential::Session => {
                &[CredentialMissing, CredentialInvalid, CredentialLive, Forbidden]
            }
            Credential::PublishableKey => {
                &[CredentialMissing, CredentialInvalid, CredentialLive, OriginNotAllowed, Forbidden]
            }
            Credential::SolutionToken => &[
                CredentialMissing,
                CredentialInvalid,
                CredentialLive,
                TokenMalformed,
                TokenSignatureInvalid,
                TokenKeyUnknown,
                TokenWrongIssuer,
                TokenNotYetValid,
                TokenExpired,
                TokenRevoked,
                Forbidden,
            ],
            #[cfg(feature = "control")]
            Credential::ControlToken => &[CredentialMissing, CredentialInvalid, Forbidden],
        }
    }
}

impl Route {
    /// The route's name in fault plans and journals: `POST /api/track-usage`.
    #[cfg(feature = "control")]
    pub(crate) fn operation(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// What the types of the handler say of the call.
    pub(crate) fn shape(&self) -> Shape {
        (self.shape)()
    }

    /// Names the codes the call itself answers with.
    pub(crate) fn fails(self, fails: &'static [Code]) -> Route {
        Route { fails, ..self }
    }
}

/// The marketplace's own API.
#[rustfmt::skip] // a table
pub(crate) fn api() -> Vec<Route> {
    use Credential::*;
    vec![
        post("/api/users", &[], users::register,
            "Registers a customer.",
            r#"--json '{"email": "kavya'$(date +%s)'@example.com", "password": "correct horse", "name": "Kavya Rao"}'"#)
            .fails(&[Code::EmailTaken]),
        post("/api/users/convert", &[SolutionToken], users::convert,
            "Registers an anonymous visitor, who stays the same customer: usage and quotas go on.",
            r#"-H "Authorization: Bearer $VISITOR_TOKEN" --json '{"email": "'$(date +%s)'@example.com", "password": "correct horse"}'"#)
            .fails(&[Code::EmailTaken, Code::AlreadyRegistered]),
        post("/api/sessions", &[], sessions::sign_in,
            "Signs a customer in. The answer is a pair for the marketplace itself; `POST /api/refresh-token` renews it. It takes no `Idempotency-Key`: made again, it begins another session, and one whose pair was lost ends by itself.",
            r#"--json '{"email": "ravi@example.com", "password": "cloudnestle-test"}'"#)
            .fails(&[Code::SignInRefused]),
        delete("/api/sessions", &[Session], sessions::sign_out,
            "Ends the session and everything it can be refreshed to. Made again with the session that has ended, it says so again.",
            r#"-X DELETE -H "Authorization: Bearer $SESSION""#),
        get("/api/user-solutions", &[Session], user_solutions::list,
            "What the customer may open, with tier and state.",
            r#"-H "Authorization: Bearer $SESSION""#),
        post("/api/user-solutions", &[Session], user_solutions::add,
            "Takes up the free tier of a solution.",
            r#"-H "Authorization: Bearer $SESSION" --json '{"solution_id": "sol_invoice_ocr"}'"#)
            .fails(&[Code::NotFound, Code::TierNotOffered]),
        post("/api/launches", &[Session], launches::start,
            "Opens a solution: the answer is where to send the customer's browser, with a one-time code.",
            r#"-H "Authorization: Bearer $SESSION" --json '{"solution_id": "sol_faiss_search"}'"#)
            .fails(&[Code::Forbidden, Code::NotFound]),
        post("/api/exchange-code", &[SecretKey, PublishableKey], launches::exchange,
            "The token pair for a launch code, once and within a minute.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY" --json '{"code": "'$CODE'"}'"#)
            .fails(&[Code::LaunchCodeInvalid, Code::Forbidden]),
        post("/api/secret-keys/rotate", &[SecretKey], secret_keys::rotate,
            "A new secret key; the one of this call stays good for a day, or as long as `overlap_secs` says.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY" --json '{"overlap_secs": 3600}'"#),
        post("/api/generate-token", &[Session, SecretKey, PublishableKey], tokens::generate,
            "A token pair for a solution: a customer's own, or a new anonymous visitor's for a key of the solution.",
            r#"-H "Authorization: Bearer $SESSION" --json '{"solution_id": "sol_faiss_search"}'"#)
            .fails(&[Code::Forbidden, Code::NotFound, Code::TierNotOffered]),
        post("/api/validate-token", &[SecretKey], tokens::validate,
            "Whether a token is good, and who it speaks for. A bad token is a 200 with `valid: false`.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY" --json '{"token": "'$CLOUDNESTLE_TOKEN'"}'"#),
        post("/api/refresh-token", &[], tokens::refresh,
            "The next pair for a refresh token, which is used up by it. Holding it is the proof.",
            r#"--json "$CLOUDNESTLE_TOKEN_PAIR""#)
            .fails(&[Code::RefreshTokenInvalid, Code::RefreshTokenReused, Code::Forbidden]),
        delete("/api/revoke-token", &[SecretKey], tokens::revoke,
            "Ends a token and everything it can be refreshed to, at once.",
            r#"-X DELETE -H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY" --json '{"token": "'$CLOUDNESTLE_TOKEN'"}'"#),
        delete("/api/revoke-user", &[SecretKey], revocations::revoke_user,
            "Ends every token that a customer has for the solution, at once.",
            r#"-X DELETE -H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY" --json '{"customer_id": "cus_visitor"}'"#)
            .fails(&[Code::NotFound]),
        get("/api/revocations", &[SecretKey], revocations::read,
            "What has changed about the solution's tokens `after` a cursor: revoked ones, other tiers. For programs that judge tokens by themselves.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY""#),
        get("/api/user-context", &[SolutionToken], context::read,
            "Who the token speaks for: tier, entitlements, quotas.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_TOKEN""#),
        put("/api/user-tier", &[AdminKey], tiers::change,
            "Gives a subscriber another tier: at once here, and by the revocation feed elsewhere.",
            r#"-X PUT -H "Authorization: Bearer $CLOUDNESTLE_ADMIN_KEY" --json '{"customer_id": "cus_ravi", "solution_id": "sol_faiss_search", "tier": "pro"}'"#)
            .fails(&[Code::NotFound, Code::SubscriptionMissing, Code::TierNotOffered]),
        get("/api/quotas/{customer_id}/{solution_id}", &[SecretKey, Session, SolutionToken], quotas::read,
            "What the customer may use of the solution, has used, and when it begins anew.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY""#)
            .fails(&[Code::NotFound]),
        post("/api/quotas/{customer_id}/{solution_id}/consume", &[SecretKey], usage::consume,
            "May they do this, and if so note that they did it: checks and counts in one call. That they may not is a 200 with `allowed: false`.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY" -H "Idempotency-Key: $(date +%s)" --json '{"token_id": "'$TOKEN_ID'", "action": "export"}'"#)
            .fails(&[Code::Forbidden, Code::NotFound, Code::ActionUnknown, Code::QuantityInvalid, Code::OccurredOutOfRange, Code::MetadataInvalid, Code::IdempotencyMismatch]),
        post("/api/quotas/{customer_id}/{solution_id}/leases", &[SecretKey], leases::take,
            "Sets a block of a customer's quota aside for a producer, which then allows and counts without asking. That there is too little left is a 200 without a lease.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY" --json '{"id": "lse_example", "producer": "prd_example", "token_id": "'$TOKEN_ID'", "action": "export", "least": 1, "wanted": 20}'"#)
            .fails(&[Code::Forbidden, Code::NotFound, Code::ActionUnknown, Code::EpochSuperseded, Code::LeasesTooMany, Code::IdempotencyMismatch]),
        delete("/api/quotas/{customer_id}/{solution_id}/leases/{lease_id}", &[SecretKey], leases::give_back,
            "Gives back what was not used of a lease, when the usage that it allowed has been reported.",
            r#"-X DELETE -G -d producer=prd_example -d through=0 -H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY""#)
            .fails(&[Code::Forbidden, Code::LeaseUnsettled]),
        post("/api/producers/{producer_id}/end", &[SecretKey], leases::end,
            "Nothing more comes of a producer whose log is delivered: gives back what was not used of all its leases.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY" --json '{"through": 0}'"#)
            .fails(&[Code::LeaseUnsettled, Code::EpochSuperseded]),
        post("/api/reset-quota", &[AdminKey], quotas::reset,
            "Nothing is used of a customer's quotas any more, in the windows of now. The ledger stays as it is.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_ADMIN_KEY" --json '{"customer_id": "cus_ravi", "solution_id": "sol_faiss_search", "action": "export"}'"#)
            .fails(&[Code::Forbidden, Code::NotFound, Code::ActionUnknown]),
        post("/api/track-usage", &[SecretKey, SolutionToken], usage::track,
            "Counts usage: one event, or a numbered range of a producer's log. Each counts once, however often it is sent. A solution token counts only what the solution lets clients report.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY" --json '{"event": {"id": "evt_'$(date +%s)'", "customer_id": "cus_ravi", "token_id": "'$TOKEN_ID'", "action": "search", "quantity": 1, "occurred_at": "'$(date -u +%FT%TZ)'"}}'"#)
            .fails(&[Code::SequenceGap, Code::EpochSuperseded, Code::IdempotencyMismatch]),
        get("/api/usage/{customer_id}", &[SecretKey, Session, SolutionToken], usage::history::read,
            "What a customer has used of a solution, by hour, day or month in the solution's time zone.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY""#)
            .fails(&[Code::NotFound, Code::ActionUnknown]),
        get("/api/usage/{customer_id}/events", &[SecretKey, Session, SolutionToken], usage::events::list,
            "The events of which that is the sum, newest first: by the hour they count in, and in it as they came.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY""#)
            .fails(&[Code::NotFound, Code::ActionUnknown]),
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
        get("/metrics", &[], metrics::read,
            "How many calls there were, how they ended and how long they took, for Prometheus.", ""),
        get("/openapi.json", &[], openapi::read, "This API as an OpenAPI 3.1 document.", ""),
        get("/", &[], page::read, "This page.", ""),
    ]
}

/// The group of those calls that have versions.
pub(crate) const MARKETPLACE: &str = "Marketplace";

/// All calls, by what they are for.
pub(crate) fn groups() -> Vec<(&'static str, Vec<Route>)> {
    vec![
        (MARKETPLACE, api()),
        #[cfg(feature = "control")]
        ("Control", crate::control::routes()),
        ("Server", about()),
    ]
}

/// Everything, as one service: it needs no socket.
pub(crate) fn router(market: Arc<Market>) -> Router {
    let api = collect(api())
        .layer(from_fn(layers::guard))
        .layer(from_fn(version::layer))
        .layer(from_fn_with_state(market.clone(), limits::layer));
    // A call that a fault holds up is not under way yet, or not any more.
    #[cfg(feature = "control")]
    let api = api
        .layer(from_fn_with_state(market.clone(), crate::control::snapshots::layer))
        .layer(from_fn_with_state(market.clone(), crate::control::fault_injection::layer));
    let router = api
        .merge(collect(about()).layer(from_fn(layers::guard)))
        .layer(from_fn(encoding::layer))
        .layer(layers::cors());
    // In this order: what no route matches is answered by the router that is merged last.
    #[cfg(feature = "control")]
    let router = crate::control::router(&market).merge(router);
    let router = router.layer(from_fn_with_state(market.clone(), layers::frame));
    // Around all of it: what is recorded is what was sent and what was answered.
    #[cfg(feature = "control")]
    let router = router.layer(from_fn_with_state(market.clone(), crate::control::recording::layer));
    router.with_state(market)
}

pub(crate) fn collect(routes: Vec<Route>) -> Router<Arc<Market>> {
    routes.into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler))
}

async fn jwks(State(market): State<Arc<Market>>) -> ([(HeaderName, HeaderValue); 1], Json<Jwks>) {
    // Five minutes: the SDK fetches anew when it meets a key it doesn't know.
    let cached = HeaderValue::from_static("public, max-age=300");
    let jwks = market.keys.signing().jwks(&market.url, market.world.now());
    ([(header::CACHE_CONTROL, cached)], Json(jwks))
}

/// That the server answers.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
}

async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
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
            H: Handler<T, Arc<Market>> + Described<T>,
            T: 'static,
        {
            let handler = routing::$name(handler);
            let (fails, shape) = (&[] as &[Code], H::shape as fn() -> Shape);
            Route { method: $method, path, callers, summary, example, fails, shape, handler }
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
        let solution = server.solutions().into_iter().find(|it| it.id == SOLUTION).expect("it");
        let token = server.token_pair(CUSTOMER, SOLUTION).await.expect("a pair").access_token;
        let ask = async |route: &Route, authorization: &str| {
            let path = route.path.replace("{customer_id}", CUSTOMER);
            let path = path.replace("{solution_id}", SOLUTION);
            let path = path.replace("{lease_id}", "lse_a").replace("{producer_id}", "prd_a");
            let request = Request::builder().method(route.method).uri(path);
            let request = request.header("content-type", "application/json");
            let request = request.header("authorization", authorization).body(Body::from("{}"));
            let answer = router.clone().oneshot(request.expect("a request")).await;
            answer.expect("an answer").status().as_u16()
        };
        for route in api().iter().chain(&about()) {
            // Another for each call: one of them ends it.
            let session = server.session(CUSTOMER).await.expect("a session");
            for (credential, secret) in [
                (Credential::SecretKey, &solution.secret_key),
                (Credential::PublishableKey, &solution.publishable_key),
                (Credential::AdminKey, &server.admin_key()),
                (Credential::Session, &session),
                (Credential::SolutionToken, &token),
            ] {
                let status = ask(route, &format!("Bearer {}", secret.expose())).await;
                let may = route.callers.is_empty() || route.callers.contains(&credential);
                // Who may call gets as far as the empty body, which most calls don't take.
                let expected: &[u16] = if may { &[200, 204, 422] } else { &[403] };
                let operation = route.operation();
                assert!(expected.contains(&status), "{operation} by {credential:?}: {status}");
            }
            let unknown = ask(route, "Bearer garbage").await;
            assert_eq!(unknown == 401, !route.callers.is_empty(), "{}", route.operation());
        }
    }
}
