//! What the schemas that are derived from Rust types need to be those of the wire.

use cloudnestle_marketplace::Code;
use serde_json::{Value, json};

/// Corrects a schema and all within it.
pub(super) fn correct(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(description)) = fields.get_mut("description") {
                *description = without_rust(description);
            }
            // `Unknown` is what a reader makes of a word it does not know. Nobody sends it.
            if let Some(Value::Array(words)) = fields.get_mut("enum") {
                words.retain(|word| word != "unknown");
            }
            // `u32` and `u64` are said to be of a format that has half their numbers.
            let most = match fields.get("format").and_then(Value::as_str) {
                Some("int32") => Some(json!(u32::MAX)),
                Some("int64") => Some(json!(u64::MAX)),
                _ => None,
            };
            if let Some(most) = most.filter(|_| fields.contains_key("minimum")) {
                fields.remove("format");
                fields.entry("maximum").or_insert(most);
            }
            fields.values_mut().for_each(correct);
        }
        Value::Array(items) => items.iter_mut().for_each(correct),
        _ => {}
    }
}

/// Documentation of Rust, as a reader of the API takes it: without examples in Rust and links to
/// items, and a paragraph on one line.
fn without_rust(text: &str) -> String {
    let prose: String = text.split("```").step_by(2).collect();
    let prose = prose.replace("[`", "`").replace("`]", "`").replace("`None`", "`null`");
    let prose = Code::ALL.iter().fold(prose, |prose, code| {
        prose.replace(&format!("`Code::{code:?}`"), &format!("`{code}`"))
    });
    let paragraphs = prose.split("\n\n").map(|paragraph| paragraph.trim().replace('\n', " "));
    paragraphs.filter(|paragraph| !paragraph.is_empty()).collect::<Vec<_>>().join("\n\n")
}
