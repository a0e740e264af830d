//! The API page at `/`: every call, who may make it and how, and every error code. It shows no
//! secret, for any web page in the same browser may get hold of it.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Html;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::API_VERSION;

use super::openapi::concrete;
use super::routes::{Route, groups};
use crate::market::Market;

const STYLE: &str = include_str!("page.css");
/// Nothing on the page runs, and it loads nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// `GET /`
pub(crate) async fn read(
    State(market): State<Arc<Market>>,
) -> ([(HeaderName, HeaderValue); 1], Html<String>) {
    let policy = HeaderValue::from_static(POLICY);
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(render(&market.url)))
}

fn render(url: &str) -> String {
    let groups = groups();
    let routes = groups.iter().flat_map(|(_, routes)| routes);
    let calls: String = routes.map(|route| call(route, url)).collect();
    let codes: String = Code::ALL.iter().filter(|code| code.status() != 0).map(row).collect();
    let url = escape(url);
    format!(
        r##"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CloudNestle Marketplace API</title>
<style>{STYLE}</style>
<main>
<h1>CloudNestle Marketplace API</h1>
<p>Version {API_VERSION} at <code>{url}</code>. Keys and the control token are printed where the server was started.
Every error is <code>application/problem+json</code> with one of the <a href="#errors">codes below</a>.</p>
<h2>Calls</h2>
{calls}<h2 id="errors">Errors</h2>
<table>
<thead><tr><th>Code<th>Status<th>What it means, and what to do</thead>
<tbody>
{codes}</tbody>
</table>
</main>
</html>
"##
    )
}

fn call(route: &Route, url: &str) -> String {
    let Route { method, path, summary, example, .. } = route;
    let callers = match route.callers {
        [] => "open".to_owned(),
        some => some.iter().map(|caller| caller.name()).collect::<Vec<_>>().join(" or "),
    };
    // curl takes braces for a pattern.
    let concrete = concrete(path);
    let mut call = String::new();
    // Writing to a string can't fail.
    let _ = write!(
        call,
        r#"<section>
<h3><b class="{method}">{method}</b> <code>{path}</code> <small>{callers}</small></h3>
<p>{}</p>
<pre>{}</pre>
</section>
"#,
        code_marks(&escape(summary)),
        escape(format!("curl {url}{concrete} {example}").trim_end()),
    );
    call
}

fn row(code: &Code) -> String {
    let (status, reason, advice) = (code.status(), escape(code.reason()), escape(code.advice()));
    let again = if code.is_retryable() { " <small>try again</small>" } else { "" };
    format!(
        r#"<tr id="{code}"><td><code>{code}</code><td>{status}<td>{reason}{again}<br><i>{advice}</i>"#
    ) + "\n"
}

/// `` `code` `` as HTML.
fn code_marks(escaped: &str) -> String {
    let parts = escaped.split('`').enumerate();
    parts
        .map(|(n, part)| if n % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() })
        .collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
