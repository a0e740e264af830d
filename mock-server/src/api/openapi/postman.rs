//! The marketplace's calls as a Postman collection, made of the table of routes: a request an example.
//!
//! Its format: <https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html>.

use serde_json::{Value, json};

use super::document::concrete;
use crate::api::routes::{Route, api};

const FORMAT: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";

const ABOUT: &str = "\
Every call of the marketplace, as it is made to `cloudnestle-mock-server`. Set `secretKey` and `adminKey` \
to what the server prints when it starts. Before a request a script fetches the session and the tokens \
that the request speaks of, as a customer of the built-in world, so each request can be sent by itself.";

const VARIABLES: &[(&str, &str)] = &[
    ("baseUrl", "http://127.0.0.1:4242"),
    ("secretKey", ""),
    ("adminKey", ""),
    ("solution", "sol_faiss_search"),
    ("email", "ravi@example.com"),
    ("password", "cloudnestle-test"),
];

/// What an example has a shell make up, and what Postman makes up in its place.
const MADE_UP: &[(&str, &str)] =
    &[("$(date +%s)", "{{$guid}}"), ("$(date -u +%FT%TZ)", "{{$isoTimestamp}}")];

pub(super) fn collection() -> Value {
    let variables = VARIABLES.iter().map(|(name, value)| json!({"key": name, "value": value}));
    json!({
        "info": {"name": "CloudNestle Marketplace", "description": ABOUT, "schema": FORMAT},
        "variable": variables.collect::<Value>(),
        "event": [script("prerequest", include_str!("postman.js"))],
        "item": api().iter().map(item).collect::<Value>(),
    })
}

fn item(route: &Route) -> Value {
    let status = route.shape().answer.status;
    let test = format!("pm.test('answers {status}', () => pm.response.to.have.status({status}));");
    json!({
        "name": format!("{} {}", route.method, route.path),
        "event": [script("test", &test)],
        "request": request(route),
    })
}

fn script(event: &str, text: &str) -> Value {
    let lines: Vec<_> = text.lines().collect();
    json!({"listen": event, "script": {"type": "text/javascript", "exec": lines}})
}

fn request(route: &Route) -> Value {
    let curl = Curl::read(&with_variables(route.example));
    let path = concrete(route.path);
    let (url, query) = (format!("{{{{baseUrl}}}}{path}"), curl.query.join("&"));
    let separator = if query.is_empty() { "" } else { "?" };
    let mut request = json!({
        "method": route.method,
        "description": route.summary,
        "auth": {"type": "noauth"},
        "header": curl.headers.iter().map(|(name, value)| json!({"key": name, "value": value})).collect::<Value>(),
        "url": {
            "raw": format!("{url}{separator}{query}"),
            "host": ["{{baseUrl}}"],
            "path": path.split('/').skip(1).collect::<Value>(),
            "query": curl.query.iter().filter_map(|it| it.split_once('=')).map(|(name, value)| json!({"key": name, "value": value})).collect::<Value>(),
        },
    });
    if let Some(token) = curl.bearer {
        let bearer = json!([{"key": "token", "value": token, "type": "string"}]);
        request["auth"] = json!({"type": "bearer", "bearer": bearer});
    }
    if let Some(body) = curl.body {
        let options = json!({"raw": {"language": "json"}});
        request["body"] = json!({"mode": "raw", "raw": body, "options": options});
    }
    request
}

/// A shell's variables as Postman's: `$CLOUDNESTLE_SECRET_KEY` is `{{secretKey}}`.
fn with_variables(example: &str) -> String {
    let example = MADE_UP.iter().fold(example.to_owned(), |it, (from, to)| it.replace(from, to));
    let mut parts = example.split("$").peekable();
    // `{{$guid}}` has a dollar of its own, and small letters behind it.
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(part.len());
        match part.split_at(end) {
            ("", rest) => text += &format!("${rest}"),
            (name, rest) => {
                let name = name.trim_start_matches("CLOUDNESTLE_").to_ascii_lowercase();
                text += &format!("{{{{{}}}}}{rest}", super::document::camel_case(name.split('_')));
            }
        }
    }
    text
}

/// What an example adds to `curl`, as far as the table of routes makes use of it.
#[derive(Default)]
struct Curl {
    bearer: Option<String>,
    headers: Vec<(String, String)>,
    query: Vec<String>,
    body: Option<String>,
}

impl Curl {
    fn read(example: &str) -> Curl {
        let mut curl = Curl::default();
        let mut words = words(example).into_iter();
        while let Some(option) = words.next() {
            // What `-d` gives is the query, that is what `-G` says.
            if option == "-G" {
                continue;
            }
            let value = words.next().unwrap_or_default();
            match (&*option, value.strip_prefix("Authorization: Bearer ")) {
                // The table of routes says the method.
                ("-X", _) => {}
                ("-d", _) => curl.query.push(value),
                ("--json", _) => curl.body = Some(value),
                ("-H", Some(token)) => curl.bearer = Some(token.to_owned()),
                ("-H", None) => {
                    let (name, value) = value.split_once(": ").unwrap_or((&value, ""));
                    curl.headers.push((name.to_owned(), value.to_owned()));
                }
                _ => debug_assert!(false, "{option} is not known here"),
            }
        }
        curl
    }
}

/// The words of a line, as a shell takes it: quotes hold a word together, and go.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match quote {
            Some(mark) if c == mark => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == ' ' => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_of_curl_is_the_same_request_in_postman() {
        let example = r#"-X DELETE -G -d producer=prd_1 -d through=0 -H "Authorization: Bearer $CLOUDNESTLE_SECRET_KEY" -H "Idempotency-Key: $(date +%s)" --json '{"token_id": "'$TOKEN_ID'"}'"#;
        let curl = Curl::read(&with_variables(example));
        assert_eq!(curl.query, ["producer=prd_1", "through=0"]);
        assert_eq!(curl.bearer.as_deref(), Some("{{secretKey}}"));
        assert_eq!(curl.headers, [("Idempotency-Key".to_owned(), "{{$guid}}".to_owned())]);
        assert_eq!(curl.body.as_deref(), Some(r#"{"token_id": "{{tokenId}}"}"#));
    }

    #[test]
    fn every_variable_of_the_collection_has_a_value_or_is_fetched() {
        let collection = collection().to_string();
        let used = collection.split("{{").skip(1).filter_map(|it| it.split_once("}}"));
        let made_up = MADE_UP.iter().map(|(_, to)| to.trim_matches(['{', '}']));
        let known: Vec<_> = VARIABLES.iter().map(|(name, _)| *name).chain(made_up).collect();
        let prepared = include_str!("postman.js");
        for (name, _) in used {
            let fetched = prepared.contains(&format!("'{name}'"));
            assert!(known.contains(&name) || fetched || name.starts_with('$'), "{name}");
        }
    }
}
