//! A call: who may make it, how to try it, what it takes, answers and refuses.

use serde_json::Value;

use super::html::{escape, prose};
use super::types::{fields, kind, name_of, rows};
use crate::api::openapi::{DOCUMENT, concrete};
use crate::api::routes::Route;

pub(super) fn section(id: &str, route: &Route, url: &str) -> String {
    let Route { method, path, summary, example, .. } = route;
    let described = &DOCUMENT["paths"][*path][method.to_ascii_lowercase()];
    let callers = match route.callers {
        [] => "open".to_owned(),
        some => some.iter().map(|caller| caller.name()).collect::<Vec<_>>().join(" or "),
    };
    // curl takes braces for a pattern.
    let example = format!("curl {url}{} {example}", concrete(path));
    format!(
        r##"<section id="{id}">
<h3><a href="#{id}"><b class="{method}">{method}</b> <code>{path}</code></a> <small>{callers}</small></h3>
<p>{}</p>
<pre>{}</pre>
<details>
<summary>What it takes, answers and refuses</summary>
{}{}{}{}</details>
</section>
"##,
        prose(summary),
        escape(example.trim_end()),
        parameters(&described["parameters"]),
        body(&described["requestBody"]),
        answer(&described["responses"]),
        refusals(&described["responses"]),
    )
}

fn parameters(parameters: &Value) -> String {
    let parameters = parameters.as_array().into_iter().flatten();
    let rows = rows(parameters.map(|parameter| {
        let name = parameter["name"].as_str().unwrap_or_default();
        let place = parameter["in"].as_str().unwrap_or_default();
        let required = parameter["required"] == true;
        (name, &parameter["schema"], parameter["description"].as_str(), required, Some(place))
    }));
    if rows.is_empty() { rows } else { format!("<h4>Parameters</h4>\n{rows}") }
}

fn body(body: &Value) -> String {
    let schema = &body["content"]["application/json"]["schema"];
    match schema.is_object() {
        true => format!("<h4>Body <small>{}</small></h4>\n{}", kind(schema), fields(schema)),
        false => String::new(),
    }
}

/// The answers that are none of an error.
fn answer(responses: &Value) -> String {
    let responses = responses.as_object().into_iter().flatten();
    let good = responses.filter(|(status, _)| status.starts_with(['2', '3']));
    let sections = good.map(|(status, response)| {
        let content = response["content"].as_object().and_then(|content| content.values().next());
        match content.map(|content| &content["schema"]) {
            Some(schema) => format!(
                "<h4>Answer {status} <small>{}</small></h4>\n{}",
                kind(schema),
                fields(schema)
            ),
            None => format!("<h4>Answer {status} <small>empty</small></h4>\n"),
        }
    });
    sections.collect()
}

/// The codes of each status.
fn refusals(responses: &Value) -> String {
    let responses = responses.as_object().into_iter().flatten();
    let lines =
        responses.filter(|(status, _)| status.starts_with(['4', '5'])).map(|(status, response)| {
            let codes = codes(response).into_iter();
            let links = codes.map(|code| format!("<a href=\"#{code}\"><code>{code}</code></a>"));
            format!("<dt>{status}<dd>{}\n", links.collect::<Vec<_>>().join(" "))
        });
    format!("<h4>Refusals</h4>\n<dl class=\"refusals\">\n{}</dl>\n", lines.collect::<String>())
}

/// A problem of one code is referred to by it; others list theirs.
fn codes(response: &Value) -> Vec<&str> {
    if let Some(code) = name_of(response) {
        return vec![code];
    }
    let schema = &response["content"]["application/problem+json"]["schema"];
    let codes = schema["properties"]["code"]["enum"].as_array().into_iter().flatten();
    codes.filter_map(Value::as_str).collect()
}
