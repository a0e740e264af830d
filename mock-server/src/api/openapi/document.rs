//! The document itself: paths from the table of routes, schemas from the types of their handlers.

use std::collections::{BTreeMap, BTreeSet};

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{API_VERSION, Problem};
use serde_json::{Map, Value, json};

use super::schema::correct;
use super::shape::Shape;
use crate::api::routes::{Credential, MARKETPLACE, Route, groups};
use crate::api::version::VERSIONS;

/// What a path may have in braces: its name, what it is, and one there is in the built-in world.
const PATH_PARAMETERS: &[(&str, &str, &str)] = &[
    ("customer_id", "The customer, `cus_…`.", "cus_ravi"),
    ("solution_id", "The solution, `sol_…`.", "sol_faiss_search"),
    ("lease_id", "The lease, `lse_…`.", "lse_example"),
    #[cfg(feature = "control")]
    ("world_id", "The world, `wld_…`.", "wld_checkout"),
    #[cfg(feature = "control")]
    ("snapshot_id", "The snapshot, `snp_…`.", "snp_subscribed"),
    ("producer_id", "The producer, `prd_…`.", "prd_example"),
    #[cfg(feature = "control")]
    ("fault_id", "The fault, `flt_…`.", "flt_1"),
    #[cfg(feature = "control")]
    ("seq", "The number of the call in the journal.", "1"),
];

/// What an answer hands to the next call: `(operation, next operation, field of its body, value)`.
const LINKS: &[(&str, &str, &str, &str)] = &[
    ("postGenerateToken", "postValidateToken", "token", "$response.body#/access_token"),
    ("postGenerateToken", "deleteRevokeToken", "token", "$response.body#/access_token"),
    ("postGenerateToken", "postRefreshToken", "refresh_token", "$response.body#/refresh_token"),
    ("postRefreshToken", "postValidateToken", "token", "$response.body#/access_token"),
    ("postRefreshToken", "deleteRevokeToken", "token", "$response.body#/access_token"),
    ("postRefreshToken", "postRefreshToken", "refresh_token", "$response.body#/refresh_token"),
];

/// A route's path with a value of the built-in world for each parameter.
pub(crate) fn concrete(path: &str) -> String {
    PATH_PARAMETERS.iter().fold(path.to_owned(), |path, (name, _, example)| {
        path.replace(&format!("{{{name}}}"), example)
    })
}

pub(super) fn document() -> Value {
    let groups = groups();
    let mut paths = Map::new();
    let mut common = Shape::default();
    common.refer::<Problem>();
    let mut schemas = common.schemas;
    let mut callers: BTreeSet<Credential> = BTreeSet::new();
    for (tag, routes) in &groups {
        for route in routes {
            let shape = route.shape();
            let path = paths.entry(route.path).or_insert_with(|| json!({}));
            path[route.method.to_ascii_lowercase()] = operation(tag, route, &shape);
            schemas.extend(shape.schemas);
            callers.extend(route.callers);
        }
    }
    let schemes = callers.into_iter().map(|caller| (scheme_id(caller), scheme(caller)));
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "CloudNestle Marketplace API",
            "summary": "Who is this user, may they do this, and note that they did it.",
            "version": API_VERSION,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": groups.iter().map(|(name, _)| json!({"name": name})).collect::<Value>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": lone_problems(),
            "securitySchemes": schemes.collect::<Map<_, _>>(),
            "headers": headers(),
        },
    });
    correct(&mut document["components"]["schemas"]);
    document
}

fn operation(tag: &str, route: &Route, shape: &Shape) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "tags": [tag],
        "summary": route.summary,
        "security": route.callers.iter().map(|it| json!({scheme_id(*it): []})).collect::<Value>(),
        "parameters": parameters(tag, route, shape),
        "responses": responses(tag, route, shape),
    });
    if let Some(media_type) = shape.file {
        let content = json!({media_type: {"schema": {"type": "string"}}});
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    if let Some(body) = &shape.body {
        let content = json!({"application/json": {"schema": body}});
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

/// `POST /api/generate-token` is `postGenerateToken`. Parameters are not part of it; but
/// `DELETE /mock/faults/{fault_id}`, beside a call about all of them, is `deleteMockFault`, and a
/// call in the journal is `getMockJournalCall`.
pub(crate) fn operation_id(route: &Route) -> String {
    let one_of = route.path.strip_prefix("/mock/").and_then(|path| path.split_once("s/{"));
    let one_of = one_of.filter(|(_, rest)| rest.ends_with('}')).map(|(path, _)| path);
    let path = one_of.map_or(route.path.to_owned(), |path| format!("/mock/{path}"));
    let path = path.replace("/journal/{seq}", "/journal/call");
    let words = path.split(['/', '-', '.']).filter(|word| !word.starts_with('{'));
    let words = words.filter(|word| !["", "api", "well", "known", "json"].contains(word));
    camel_case(std::iter::once(&*route.method.to_ascii_lowercase()).chain(words))
}

fn scheme_id(caller: Credential) -> String {
    camel_case(caller.name().split(' '))
}

pub(super) fn camel_case<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words = words.enumerate().map(|(n, word)| match word.split_at_checked(1) {
        Some((first, rest)) if n > 0 => first.to_ascii_uppercase() + rest,
        _ => word.to_owned(),
    });
    words.collect()
}

fn parameters(tag: &str, route: &Route, shape: &Shape) -> Vec<Value> {
    let in_path =
        PATH_PARAMETERS.iter().filter(|(name, ..)| route.path.contains(&format!("{{{name}}}")));
    let in_path = in_path.map(|(name, description, example)| {
        let schema = json!({"type": "string", "minLength": 1, "examples": [example]});
        json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema})
    });
    let mut parameters: Vec<Value> = in_path.collect();
    parameters.extend(shape.parameters.iter().map(|parameter| {
        let mut parameter = json!(parameter);
        correct(&mut parameter);
        parameter
    }));
    if tag == MARKETPLACE {
        parameters.push(json!({
            "name": "CloudNestle-Version", "in": "header", "required": false,
            "description": "The version of the API the caller was written for; the newest unless given.",
            "schema": {"type": "string", "enum": VERSIONS},
        }));
    }
    if route.callers.contains(&Credential::SecretKey) {
        parameters.push(json!({
            "name": "CloudNestle-Solution", "in": "header", "required": false,
            "description": "The solution the caller takes itself for; a key of another one is refused.",
            "schema": {"type": "string"},
        }));
    }
    parameters
}

fn responses(tag: &str, route: &Route, shape: &Shape) -> Value {
    let mut responses = Map::new();
    let success = &shape.answer;
    let headers = if tag == MARKETPLACE { &[EVERY, LIMITED] as &[_] } else { &[EVERY] };
    let mut answer = json!({"description": "All is well.", "headers": references(headers)});
    if let Some((media_type, schema)) = &success.content {
        answer["content"] = json!({*media_type: {"schema": schema}});
    }
    let links = links(&operation_id(route));
    if !links.is_empty() {
        answer["links"] = Value::Object(links);
    }
    responses.insert(success.status.to_string(), answer);

    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes(tag, route, shape) {
        by_status.entry(code.status()).or_default().push(code);
    }
    for (status, codes) in by_status {
        let problem = match codes[..] {
            [code] => json!({"$ref": format!("#/components/responses/{code}")}),
            _ => problem(status, &codes),
        };
        responses.insert(status.to_string(), problem);
    }
    Value::Object(responses)
}

/// Every code a call can answer with, in the order of the catalogue.
pub(super) fn codes(tag: &str, route: &Route, shape: &Shape) -> Vec<Code> {
    let mut codes =
        vec![Code::UriTooLong, Code::HeadersTooLarge, Code::Internal, Code::Unavailable];
    if tag == MARKETPLACE {
        codes.extend([Code::VersionUnknown, Code::RateLimited]);
    }
    codes.extend(&shape.codes);
    codes.extend(route.callers.iter().flat_map(|caller| caller.codes()));
    codes.extend(route.fails);
    if shape.parameters.iter().any(|parameter| parameter.name == "cursor") {
        codes.push(Code::CursorInvalid);
    }
    if route.method != "GET" {
        codes.push(Code::Conflict);
    }
    Code::ALL.iter().filter(|code| codes.contains(code)).copied().collect()
}

fn problem(status: u16, codes: &[Code]) -> Value {
    let reasons: Vec<_> =
        codes.iter().map(|code| format!("* `{code}`: {}", code.reason())).collect();
    let schema = json!({
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "properties": {
            "status": {"const": status},
            "code": {"enum": codes.iter().map(|code| code.as_str()).collect::<Vec<_>>()},
        },
    });
    let headers =
        if status == 429 { &[EVERY, LIMITED, REFUSED] as &[_] } else { &[EVERY, LIMITED] };
    json!({
        "description": reasons.join("\n"),
        "headers": references(headers),
        "content": {"application/problem+json": {"schema": schema}},
    })
}

/// The answers of those statuses that have but one code in a call.
fn lone_problems() -> Value {
    let sent = Code::ALL.iter().filter(|code| code.status() != 0);
    sent.map(|code| (code.to_string(), problem(code.status(), &[*code]))).collect()
}

fn links(operation: &str) -> Map<String, Value> {
    let links = LINKS.iter().filter(|(from, ..)| *from == operation);
    let link = |(_, to, field, value): &(&str, &str, &str, &str)| {
        let link = json!({"operationId": to, "requestBody": {*field: value}});
        ((*to).to_owned(), link)
    };
    links.map(link).collect()
}

/// The headers of every answer.
const EVERY: &[&str] = &["CloudNestle-Version", "X-Request-Id", "Date"];
/// The headers of answers to calls of the marketplace, as soon as their caller was counted.
const LIMITED: &[&str] = &["RateLimit", "RateLimit-Policy"];
/// The header of answers to who has called too often.
const REFUSED: &[&str] = &["Retry-After"];

fn headers() -> Value {
    let text = |description: &str, example: &str| json!({"description": description, "required": true, "schema": {"type": "string", "examples": [example]}});
    let told = |description: &str, example: &str| json!({"description": description, "required": false, "schema": {"type": "string", "examples": [example]}});
    json!({
        "CloudNestle-Version": text("The version of the API that answered.", API_VERSION),
        "X-Request-Id": text("The call's id: the caller's, or a new one.", "req_01KAPM6T9Z0000000000000000"),
        "Date": text("The marketplace's time, by which clients correct their clocks.", "Sun, 22 Nov 2026 10:00:00 GMT"),
        "RateLimit": told("How many calls (`r`) the caller has left, and in how many seconds (`t`) it has all of them. Absent from what was refused before its caller was counted.", r#""key";r=49;t=1"#),
        "RateLimit-Policy": told("The limit of which that is left: so many calls (`q`) in so many seconds (`w`).", r#""key";q=50;w=1"#),
        "Retry-After": {"description": "In how many seconds the call will be taken.", "required": true, "schema": {"type": "integer", "minimum": 1, "examples": [1]}},
    })
}

fn references(groups: &[&[&str]]) -> Value {
    let names = groups.iter().copied().flatten();
    let reference = |name: &&str| json!({"$ref": format!("#/components/headers/{name}")});
    names.map(|name| ((*name).to_owned(), reference(name))).collect()
}

fn scheme(caller: Credential) -> Value {
    json!({
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": caller.format(),
        "description": caller.holder(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `look` for every object of the document.
    fn walk(value: &Value, look: &mut impl FnMut(&Map<String, Value>)) {
        match value {
            Value::Object(fields) => {
                look(fields);
                fields.values().for_each(|value| walk(value, look));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, look)),
            _ => {}
        }
    }

    fn operations(document: &Value) -> Vec<(String, &Value)> {
        let paths = document["paths"].as_object().expect("paths");
        let operations = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().expect("methods").iter();
            methods.map(move |(method, operation)| (format!("{method} {path}"), operation))
        });
        operations.collect()
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut references = 0;
        walk(&document, &mut |fields| {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                references += 1;
                let place = reference.strip_prefix('#').expect("a place of this document");
                assert!(document.pointer(place).is_some(), "{reference}");
            }
        });
        assert!(references > 100, "{references}");
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_all_its_parameters() {
        let document = document();
        let mut names = BTreeSet::new();
        for (operation, described) in operations(&document) {
            let name = described["operationId"].as_str().expect("a name");
            assert!(names.insert(name), "{operation}: {name}");
            let parameters = described["parameters"].as_array().expect("parameters");
            let in_path = parameters.iter().filter(|it| it["in"] == "path").count();
            assert_eq!(in_path, operation.matches('{').count(), "{operation}");
        }
        assert_eq!(names.len(), groups().iter().map(|(_, routes)| routes.len()).sum::<usize>());
    }

    #[test]
    fn every_link_leads_to_a_body_that_has_its_field() {
        let document = document();
        let operations = operations(&document);
        let find = |name: &str| {
            let found = operations.iter().find(|(_, it)| it["operationId"] == name);
            found.map(|(_, operation)| *operation).expect(name)
        };
        for (from, to, field, _) in LINKS {
            find(from);
            let body = &find(to)["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            let body = body.as_str().and_then(|place| document.pointer(&place[1..]));
            assert!(body.expect("a body")["properties"][field].is_object(), "{to}: {field}");
        }
    }

    #[test]
    fn whoever_sends_a_number_is_told_how_large_it_may_be() {
        let document = document();
        let mut numbers = 0;
        for (operation, described) in operations(&document) {
            walk(&described["parameters"], &mut |schema| {
                if schema.get("type").is_some_and(|it| it.to_string().contains("integer")) {
                    numbers += 1;
                    assert!(schema.contains_key("maximum"), "{operation}: {schema:?}");
                }
            });
        }
        assert!(numbers > 3, "{numbers}");
    }

    #[test]
    fn what_rust_alone_has_is_not_in_the_document() {
        let text = document().to_string();
        for rust in ["[`", "```", "`None`", "Some(", "Code::", "\"unknown\""] {
            assert!(!text.contains(rust), "{rust}");
        }
    }
}
