//! The schemas of the document, in words.

use serde_json::Value;

use super::html::{escape, prose};
use crate::api::openapi::DOCUMENT;

/// The largest number that every reader of JSON takes. A bound beyond it is none to tell of.
const LARGEST_TOLD: u64 = 1 << 53;

/// Every type, with an anchor.
pub(super) fn sections(schemas: &Value) -> String {
    let schemas = schemas.as_object().into_iter().flatten();
    let sections = schemas.map(|(name, schema)| {
        let description = prose(schema["description"].as_str().unwrap_or_default());
        let own = match has_fields(schema) {
            true => fields(schema),
            false => format!("<p><small>{}</small></p>\n", kind(schema)),
        };
        format!("<section id=\"type-{name}\">\n<h3><code>{name}</code></h3>\n<p>{description}</p>\n{own}</section>\n")
    });
    sections.collect()
}

/// The name that a reference ends with.
pub(super) fn name_of(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

fn resolve(schema: &Value) -> &Value {
    let place = schema["$ref"].as_str().and_then(|place| place.strip_prefix('#'));
    place.and_then(|place| DOCUMENT.pointer(place)).unwrap_or(schema)
}

fn has_fields(schema: &Value) -> bool {
    let parts = ["oneOf", "allOf"].map(|word| schema[word].as_array());
    schema["properties"].is_object()
        || parts.into_iter().flatten().flatten().any(|part| has_fields(resolve(part)))
}

/// The fields of an object; of each, where there is a choice of objects.
pub(super) fn fields(schema: &Value) -> String {
    let schema = resolve(schema);
    if let Some(choices) = schema["oneOf"].as_array().filter(|_| has_fields(schema)) {
        let choices: Vec<_> = choices.iter().map(fields).collect();
        return choices.join("<p><small>or</small></p>\n");
    }
    let parts = schema["allOf"].as_array().into_iter().flatten();
    let mut text: String = parts.map(fields).collect();
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    text += &rows(properties.map(|(name, schema)| {
        let is_required = required.iter().any(|required| *required == name);
        (name.as_str(), schema, description(schema), is_required, None)
    }));
    text
}

/// Of the field itself, or else of its type.
fn description(schema: &Value) -> Option<&str> {
    let within = || schema["oneOf"].as_array()?.iter().find_map(|it| it["description"].as_str());
    schema["description"].as_str().or_else(within)
}

/// A list of `(name, schema, description, required, place)`.
pub(super) fn rows<'a>(
    rows: impl Iterator<Item = (&'a str, &'a Value, Option<&'a str>, bool, Option<&'a str>)>,
) -> String {
    let rows: String = rows
        .map(|(name, schema, description, required, place)| {
            let mut facts = vec![kind(schema)];
            facts.extend(place.map(|place| match place {
                "header" => "a header".to_owned(),
                _ => format!("in the {place}"),
            }));
            facts.extend((!required).then(|| "optional".to_owned()));
            facts.extend(bounds(schema));
            let example = schema["examples"][0]
                .as_str()
                .map(|example| format!(" <i>Such as <code>{}</code></i>", escape(example)));
            format!(
                "<dt><code>{name}</code> <small>{}</small><dd>{}{}\n",
                facts.join(", "),
                prose(description.unwrap_or_default()),
                example.unwrap_or_default()
            )
        })
        .collect();
    if rows.is_empty() { rows } else { format!("<dl>\n{rows}</dl>\n") }
}

/// What a value is: `text`, `list of UsageEvent`, `accepted · rejected`.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(name) = name_of(schema) {
        return match name {
            "Secret" => "secret text".to_owned(),
            "Timestamp" => "time".to_owned(),
            _ => format!("<a href=\"#type-{name}\">{name}</a>"),
        };
    }
    for (word, between) in [("oneOf", " or "), ("allOf", " and ")] {
        if let Some(parts) = schema[word].as_array() {
            return parts.iter().map(kind).collect::<Vec<_>>().join(between);
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().filter_map(Value::as_str);
        return words.map(|word| format!("<code>{word}</code>")).collect::<Vec<_>>().join(" · ");
    }
    match &schema["type"] {
        Value::Array(types) => {
            let types = types.iter().filter_map(Value::as_str);
            types.map(|it| word(it, schema)).collect::<Vec<_>>().join(" or ")
        }
        it => word(it.as_str().unwrap_or_default(), schema),
    }
}

fn word(it: &str, schema: &Value) -> String {
    match it {
        "string" if schema["format"] == "password" => "secret text".to_owned(),
        "string" => "text".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => format!("list of {}", kind(&schema["items"])),
        "" => "any JSON".to_owned(),
        other => other.to_owned(),
    }
}

/// `1 to 64 characters`
fn bounds(schema: &Value) -> Vec<String> {
    let mut bounds = Vec::new();
    for (least, most, unit) in [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minProperties", "maxProperties", " entries"),
    ] {
        let most = schema[most].as_u64().filter(|most| *most <= LARGEST_TOLD);
        bounds.extend(match (schema[least].as_u64(), most) {
            (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
            (None, Some(most)) => Some(format!("at most {most}{unit}")),
            (Some(1), None) if !unit.is_empty() => Some("not empty".to_owned()),
            (Some(least @ 1..), None) => Some(format!("at least {least}{unit}")),
            _ => None,
        });
    }
    bounds.extend(schema["pattern"].as_str().map(|it| format!("as <code>{}</code>", escape(it))));
    let default = Some(&schema["default"]).filter(|it| !it.is_null());
    bounds.extend(default.map(|it| format!("{} unless given", escape(&it.to_string()))));
    bounds
}
