//! The API page at `/`: every call with what it takes and answers, every type, and every error. It is
//! made of the OpenAPI document and the table of routes, and shows no secret, for any web page in the
//! same browser may get hold of it.

mod calls;
mod html;
mod types;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Html;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::API_VERSION;

use super::openapi::{DOCUMENT, operation_id};
use super::routes::groups;
use crate::market::Market;
use html::escape;

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
    let (mut contents, mut calls) = (String::new(), String::new());
    for (group, routes) in groups() {
        contents += &format!("<h2>{group}</h2>\n<ul>\n");
        calls += &format!("<h2>{group}</h2>\n");
        for route in routes {
            let (id, method, path) = (operation_id(&route), route.method, route.path);
            contents += &format!(
                "<li><a href=\"#{id}\"><b class=\"{method}\">{method}</b> <span>{}</span></a>\n",
                path.trim_start_matches("/api")
            );
            calls += &calls::section(&id, &route, url);
        }
        contents += "</ul>\n";
    }
    let types = types::sections(&DOCUMENT["components"]["schemas"]);
    let codes: String = Code::ALL.iter().filter(|code| code.status() != 0).map(row).collect();
    let url = escape(url);
    format!(
        r##"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CloudNestle Marketplace API</title>
<style>{STYLE}</style>
<nav>
{contents}<h2>More</h2>
<ul>
<li><a href="#types">Types</a>
<li><a href="#errors">Errors</a>
</ul>
</nav>
<main>
<h1>CloudNestle Marketplace API</h1>
<p>Version {API_VERSION} at <code>{url}</code>. Keys and the control token are printed where the server was started.
Every error is <code>application/problem+json</code> with one of the <a href="#errors">codes below</a>.
Programs read all of this at <a href="/openapi.json"><code>/openapi.json</code></a>.</p>
{calls}<h2 id="types">Types</h2>
{types}<h2 id="errors">Errors</h2>
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

fn row(code: &Code) -> String {
    let (status, reason, advice) = (code.status(), escape(code.reason()), escape(code.advice()));
    let again = if code.is_retryable() { " <small>try again</small>" } else { "" };
    format!(
        r#"<tr id="{code}"><td><code>{code}</code><td>{status}<td>{reason}{again}<br><i>{advice}</i>"#
    ) + "\n"
}
