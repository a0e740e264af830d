//! What the TypeScript face takes from the core: the catalogue of errors, and the words of the wire.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use cloudnestle_marketplace::Code;
use serde_json::Value;

/// What calls of the SDK answer with, and what those are made of.
const MODEL: [&str; 12] = [
    "Bucket",
    "CountedEvent",
    "EventRef",
    "LossReason",
    "Quota",
    "QuotaPolicy",
    "Tier",
    "TokenPair",
    "UsageBucket",
    "UsageEvent",
    "UserContext",
    "Window",
];

/// Every error there is. Prose need not be in the WebAssembly, too.
pub(crate) fn catalogue() -> Result<String> {
    let mut file = String::from(
        "// Made of sdk-core/src/model/code.rs by `cargo xtask generate`.\n\n\
         /** Every error there is: what it means and what to do about it. */\n\
         export const CATALOGUE = {\n",
    );
    for code in Code::ALL {
        write!(
            file,
            "  {code}: {{\n    reason: {},\n    advice: {},\n    retryable: {},\n    refusesUser: {},\n  }},\n",
            quoted(code.reason())?,
            quoted(code.advice())?,
            code.is_retryable(),
            code.refuses_user(),
        )?;
    }
    file.push_str(
        "} as const;\n\n/** The catalogue's stable names. */\nexport type Code = keyof typeof CATALOGUE;\n",
    );
    Ok(file)
}

/// The types of the model, of the schemas that the server gives out, with JavaScript's names.
pub(crate) fn model(openapi: &str) -> Result<String> {
    let document: Value = serde_json::from_str(openapi)?;
    let mut file = String::from(
        "// Made of sdk-core/src/model by `cargo xtask generate`, by way of docs/openapi.json.\n",
    );
    for name in MODEL {
        let schema = match name {
            // The one that is but a parameter.
            "Bucket" => {
                file.push_str(
                    "\n/** How long the buckets of a usage history are, by the clocks of the solution's time zone. */\n\
                     export type Bucket = 'hour' | 'day' | 'month';\n",
                );
                continue;
            }
            name => &document["components"]["schemas"][name],
        };
        write!(file, "\n{}", comment(schema, ""))?;
        if schema["type"] == "object" {
            writeln!(file, "export interface {name} {}", object(schema, "")?)?;
        } else {
            let is_open = schema["enum"].is_array();
            // A newer marketplace may have more words than this release.
            let more = if is_open { " | 'unknown'" } else { "" };
            writeln!(file, "export type {name} = {}{more};", of(schema, "")?)?;
        }
    }
    Ok(file)
}

fn object(schema: &Value, indent: &str) -> Result<String> {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut text = String::from("{\n");
    let inner = format!("{indent}  ");
    for (name, property) in schema["properties"].as_object().context("an object's properties")? {
        let absent = if required.contains(&name.as_str()) { "" } else { "?" };
        let (camel, of) = (camel(name), of(property, &inner)?);
        // What may be absent is never `null` instead: the model leaves it out.
        let of = if absent == "?" { of.trim_end_matches(" | null") } else { &of };
        writeln!(text, "{}{inner}readonly {camel}{absent}: {of};", comment(property, &inner))?;
    }
    write!(text, "{indent}}}")?;
    Ok(text)
}

fn of(schema: &Value, indent: &str) -> Result<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return Ok(match name {
            "Timestamp" | "Secret" => "string".to_owned(),
            name if MODEL.contains(&name) => name.to_owned(),
            name => bail!("{name} is used by the model of TypeScript, and not in it"),
        });
    }
    if let Some(variants) = schema["oneOf"].as_array() {
        let variants: Result<Vec<String>> = variants.iter().map(|it| of(it, indent)).collect();
        return Ok(variants?.join(" | "));
    }
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().filter_map(Value::as_str).map(|word| format!("'{word}'"));
        return Ok(words.collect::<Vec<_>>().join(" | "));
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => vec![one.as_str().context("a schema has a type")?],
    };
    let types: Result<Vec<String>> =
        types.into_iter().map(|it| primitive(it, schema, indent)).collect();
    Ok(types?.join(" | "))
}

fn primitive(name: &str, schema: &Value, indent: &str) -> Result<String> {
    Ok(match name {
        "string" => "string".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "boolean".to_owned(),
        "null" => "null".to_owned(),
        "array" => match of(&schema["items"], indent)? {
            item if item.contains(' ') => format!("readonly ({item})[]"),
            item => format!("readonly {item}[]"),
        },
        "object" if schema["properties"].is_object() => object(schema, indent)?,
        "object" => {
            let values = of(&schema["additionalProperties"], indent)?;
            format!("Readonly<Record<string, {values}>>")
        }
        name => bail!("no type of TypeScript for {name}"),
    })
}

/// What a schema says of itself, its first paragraph.
fn comment(schema: &Value, indent: &str) -> String {
    let words =
        schema["description"].as_str().or_else(|| schema["oneOf"][0]["description"].as_str());
    let words = words.unwrap_or_default().split("\n\n").next().unwrap_or_default();
    match words {
        "" => String::new(),
        words => format!("{indent}/** {} */\n", words.replace('\n', " ")),
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(1.min(word.len()));
        name + &head.to_uppercase() + tail
    })
}

/// A text as TypeScript writes it.
fn quoted(text: &str) -> Result<String> {
    Ok(serde_json::to_string(text)?)
}
