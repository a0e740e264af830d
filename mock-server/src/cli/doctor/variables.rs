//! The variables by which programs find a marketplace: whether they agree with each other, and with the one
//! that answers. Values are looked at and not shown.

use std::path::Path;

use axum::http::{Method, Request, StatusCode, Uri, header};
use cloudnestle_marketplace::model::API_VERSION;
use serde_json::{Value, json};

use super::Finding;
use super::ask::{Answer, ask};

const URL: &str = "CLOUDNESTLE_URL";
const SOLUTION: &str = "CLOUDNESTLE_SOLUTION";
const TOKEN: &str = "CLOUDNESTLE_TOKEN";
const SECRET_KEY: &str = "CLOUDNESTLE_SECRET_KEY";
const CONTROL_TOKEN: &str = "CLOUDNESTLE_CONTROL_TOKEN";
const BINARY: &str = "CLOUDNESTLE_MOCK_SERVER";

/// A credential, and a call that tells whether it is known and has no effect either way.
struct Credential {
    variable: &'static str,
    prefix: &'static str,
    method: Method,
    path: &'static str,
}

const CREDENTIALS: [Credential; 4] = [
    Credential {
        variable: SECRET_KEY,
        prefix: "cnsk_",
        method: Method::POST,
        path: "/api/validate-token",
    },
    // An empty body is refused to those who may call.
    Credential {
        variable: "CLOUDNESTLE_PUBLISHABLE_KEY",
        prefix: "cnpk_",
        method: Method::POST,
        path: "/api/exchange-code",
    },
    Credential {
        variable: "CLOUDNESTLE_ADMIN_KEY",
        prefix: "cnak_",
        method: Method::PUT,
        path: "/api/user-tier",
    },
    Credential {
        variable: CONTROL_TOKEN,
        prefix: "cnct_",
        method: Method::GET,
        path: "/mock/clock",
    },
];

pub(super) async fn look() -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(CREDENTIALS.iter().filter_map(Credential::form));
    findings.extend(binary());
    findings.extend(proxy());
    let Some(url) = variable(URL) else {
        let others = CREDENTIALS.iter().map(|it| it.variable).chain([SOLUTION, TOKEN]);
        let set: Vec<_> = others.filter(|name| variable(name).is_some()).collect();
        findings.push(match set.is_empty() {
            true => Finding::ok(URL, "is not set, and neither are keys"),
            false => Finding::warn(URL, format!("is not set, but {}", set.join(", ")))
                .advice("set it to the marketplace they are of; `exec` sets all of them"),
        });
        return findings;
    };
    match reach(&url).await {
        Err(finding) => findings.push(finding),
        Ok((url, finding)) => {
            findings.push(finding);
            for credential in &CREDENTIALS {
                findings.extend(credential.is_known(&url).await);
            }
        }
    }
    findings
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether a marketplace answers there.
async fn reach(url: &str) -> Result<(Uri, Finding), Finding> {
    let parsed: Option<Uri> = url.parse().ok().filter(|uri: &Uri| uri.authority().is_some());
    let Some(parsed) = parsed.filter(|uri| uri.path().len() <= 1 && uri.query().is_none()) else {
        return Err(Finding::fail(URL, "is not the URL of a host alone")
            .advice("such as http://127.0.0.1:4242"));
    };
    match parsed.scheme_str() {
        Some("http") => {}
        Some("https") => {
            return Err(Finding::warn(URL, "is https, which the doctor does not speak")
                .advice("`diagnose` of the SDK does"));
        }
        _ => return Err(Finding::fail(URL, "begins with neither http:// nor https://")),
    }
    let start = "start it there (--port), or run the program by `exec`, which sets the variables";
    match ask(&parsed, Request::get("/healthz"), Value::Null).await {
        Err(reason) => Err(Finding::fail(URL, format!("nobody answers: {reason}")).advice(start)),
        Ok(answer) if !answer.is_of_marketplace() => {
            Err(Finding::fail(URL, "who answers is no marketplace").advice(start))
        }
        Ok(answer) => {
            let version = answer.headers.get("cloudnestle-version").map(|it| it.as_bytes());
            let finding = match version {
                Some(version) if version != API_VERSION.as_bytes() => {
                    Finding::warn(URL, "who answers has another version of the API")
                        .advice(format!("this program has {API_VERSION}"))
                }
                _ => Finding::ok(URL, format!("a marketplace answers{}", clock_of(&answer))),
            };
            Ok((parsed, finding))
        }
    }
}

/// Tests move its clock, and forget that they did.
fn clock_of(answer: &Answer) -> String {
    let date = answer.headers.get(header::DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let ahead = date.map(|date| date.timestamp().as_second() - jiff::Timestamp::now().as_second());
    match ahead {
        Some(ahead) if ahead.abs() > 60 => format!(", whose clock is {ahead} s ahead of this one"),
        _ => String::new(),
    }
}

impl Credential {
    /// What can be told without asking anybody.
    fn form(&self) -> Option<Finding> {
        let value = variable(self.variable)?;
        if value.starts_with(&format!("{}live_", self.prefix)) {
            let says = "is a live key, which no marketplace for tests takes";
            return Some(Finding::fail(self.variable, says).advice(
                "keep live keys off this machine; take a test key from what the server prints",
            ));
        }
        let wanted = format!("{}test_", self.prefix);
        (!value.starts_with(&wanted)).then(|| {
            Finding::fail(self.variable, format!("does not begin with {wanted}"))
                .advice("is it another variable's value?")
        })
    }

    /// What the marketplace says of it.
    async fn is_known(&self, url: &Uri) -> Option<Finding> {
        let value = variable(self.variable).filter(|_| self.form().is_none())?;
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.path)
            .header(header::AUTHORIZATION, format!("Bearer {value}"));
        let mut body = json!({});
        if self.variable == SECRET_KEY {
            if let Some(solution) = variable(SOLUTION) {
                request = request.header("cloudnestle-solution", solution);
            }
            // Without one to ask for, whatever the answer says of this one.
            body = json!({"token": variable(TOKEN).unwrap_or_else(|| "none".to_owned())});
        }
        let answer = match ask(url, request, body).await {
            Ok(answer) => answer,
            Err(reason) => {
                return Some(Finding::fail(self.variable, format!("not asked: {reason}")));
            }
        };
        Some(self.judge(&answer))
    }

    fn judge(&self, answer: &Answer) -> Finding {
        match answer.status {
            StatusCode::NOT_FOUND if self.variable == CONTROL_TOKEN => {
                Finding::warn(self.variable, "the marketplace has no /mock")
                    .advice("it was built without the feature `control`")
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
                if answer.code() == "credential_wrong_solution" =>
            {
                Finding::fail(self.variable, format!("is of another solution than {SOLUTION}"))
                    .advice("set both from the same solution")
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let says = format!("is not known there ({})", answer.code());
                Finding::fail(self.variable, says).advice(match self.variable {
                    CONTROL_TOKEN => "it is another one at each start: take it from what the server printed",
                    _ => "in memory, and with another file, keys are others: take them from what the server printed",
                })
            }
            status if status.is_server_error() => {
                Finding::warn(self.variable, format!("not known: {status}, {}", answer.code()))
                    .advice("is a fault planned?")
            }
            _ if self.variable == SECRET_KEY && variable(TOKEN).is_some() => token(answer),
            _ => Finding::ok(self.variable, "is known"),
        }
    }
}

/// What a known secret key was told of the token.
fn token(answer: &Answer) -> Finding {
    if answer.body["valid"] == true {
        return Finding::ok(SECRET_KEY, format!("is known, and {TOKEN} is good"));
    }
    match answer.code() {
        "token_expired" => {
            Finding::warn(TOKEN, "has expired").advice("tokens are good for 15 minutes: refresh it")
        }
        code => Finding::fail(TOKEN, format!("is not good there ({code})"))
            .advice("take one from what the server printed; `exec` sets one"),
    }
}

/// The npm package and the wheel start what this names.
fn binary() -> Option<Finding> {
    let named = variable(BINARY)?;
    Some(match Path::new(&named).is_file() {
        true => Finding::ok(BINARY, "is a file"),
        false => Finding::fail(BINARY, format!("names {named}, and there is nothing"))
            .advice("unset it, or name the binary"),
    })
}

/// Many an HTTP client sends even what is for this machine to a proxy.
fn proxy() -> Option<Finding> {
    let name = ["http_proxy", "HTTP_PROXY"].into_iter().find(|name| variable(name).is_some())?;
    let except = ["no_proxy", "NO_PROXY"].into_iter().find_map(variable).unwrap_or_default();
    let spares = |host: &str| except.split(',').any(|it| it.trim() == host || it.trim() == "*");
    (!spares("127.0.0.1") && !spares("localhost")).then(|| {
        Finding::warn(name, "is set, and no_proxy does not except this machine")
            .advice("export no_proxy=127.0.0.1,localhost")
    })
}
