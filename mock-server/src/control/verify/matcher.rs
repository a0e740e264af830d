//! What a value is expected to be like: a value, of an object only the fields that matter, and in place of
//! any value an object of conditions, `{"$gte": 1}`.

use std::fmt::Write;

use serde_json::{Map, Value};

/// Of a value that is shown to say what is wrong with it, so many characters.
const MAX_SHOWN: usize = 200;

/// The conditions there are.
const CONDITIONS: &[&str] = &["$exists", "$contains", "$gt", "$gte", "$lt", "$lte"];

/// Whether what is expected makes sense: if not, where, and why not.
pub(super) fn check(expected: &Value, place: &str) -> Result<(), (String, String)> {
    let flaw = |detail: &str| Err((place.to_owned(), detail.to_owned()));
    match expected {
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(n, item)| check(item, &format!("{place}[{n}]")))
        }
        Value::Object(fields) if !is_condition(fields) => {
            fields.iter().try_for_each(|(name, field)| check(field, &format!("{place}.{name}")))
        }
        Value::Object(conditions) => {
            conditions.iter().try_for_each(|(name, value)| match (&**name, value) {
                ("$exists", Value::Bool(_)) => Ok(()),
                ("$exists", _) => flaw("`$exists` is true or false."),
                ("$contains", value) => check(value, &format!("{place}.$contains")),
                ("$gt" | "$gte" | "$lt" | "$lte", Value::Number(_)) => Ok(()),
                ("$gt" | "$gte" | "$lt" | "$lte", _) => flaw("Only numbers are more or less."),
                _ => flaw(&format!(
                    "The conditions are {}, and fields have other names.",
                    CONDITIONS.join(", ")
                )),
            })
        }
        _ => Ok(()),
    }
}

/// In what a value is other than expected: `body.event.quantity is 2, expected 1`.
pub(super) fn differences(
    expected: &Value,
    found: Option<&Value>,
    place: &str,
    told: &mut Vec<String>,
) {
    match (expected, found) {
        (Value::Object(conditions), _) if is_condition(conditions) => {
            if !conditions.iter().all(|(name, value)| holds(name, value, found)) {
                told.push(difference(expected, found, place));
            }
        }
        (Value::Object(fields), Some(Value::Object(there))) => {
            for (name, field) in fields {
                differences(field, there.get(name), &format!("{place}.{name}"), told);
            }
        }
        (Value::Array(items), Some(Value::Array(there))) if items.len() == there.len() => {
            for (n, (item, there)) in items.iter().zip(there).enumerate() {
                differences(item, Some(there), &format!("{place}[{n}]"), told);
            }
        }
        _ if is_same(expected, found) => {}
        _ => told.push(difference(expected, found, place)),
    }
}

fn is_condition(fields: &Map<String, Value>) -> bool {
    fields.keys().any(|name| name.starts_with('$'))
}

/// 1 and 1.0 are the same number. Whole ones are not compared as floating ones, which have only 53 bits.
fn is_same(expected: &Value, found: Option<&Value>) -> bool {
    found.is_some_and(|found| {
        let as_floats = || expected.is_f64() || found.is_f64();
        expected == found
            || as_floats() && expected.is_number() && expected.as_f64() == found.as_f64()
    })
}

fn holds(condition: &str, value: &Value, found: Option<&Value>) -> bool {
    let compared = || found.and_then(Value::as_f64)?.partial_cmp(&value.as_f64()?);
    match condition {
        "$exists" => value.as_bool() == Some(found.is_some()),
        "$contains" => match found {
            Some(Value::String(text)) => value.as_str().is_some_and(|part| text.contains(part)),
            Some(Value::Array(items)) => items.iter().any(|item| fits(value, item)),
            _ => false,
        },
        "$gt" => compared().is_some_and(|it| it.is_gt()),
        "$gte" => compared().is_some_and(|it| it.is_ge()),
        "$lt" => compared().is_some_and(|it| it.is_lt()),
        _ => compared().is_some_and(|it| it.is_le()),
    }
}

fn fits(expected: &Value, found: &Value) -> bool {
    let mut told = Vec::new();
    differences(expected, Some(found), "", &mut told);
    told.is_empty()
}

fn difference(expected: &Value, found: Option<&Value>, place: &str) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = match found {
        Some(found) => write!(text, "{place} is {}", short(found)),
        None => write!(text, "{place} is not there"),
    };
    let _ = write!(text, ", expected {}", short(expected));
    text
}

fn short(value: &Value) -> String {
    let mut text = value.to_string();
    if let Some((end, _)) = text.char_indices().nth(MAX_SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(expected: Value, found: Value) -> Vec<String> {
        let mut told = Vec::new();
        check(&expected, "body").expect("sense");
        differences(&expected, Some(&found), "body", &mut told);
        told
    }

    #[test]
    fn of_an_object_only_the_fields_that_are_named_matter_and_of_a_list_every_item() {
        let found = json!({"event": {"id": "evt_1", "quantity": 2}, "tags": [1, 2]});
        for same in [
            json!({}),
            json!({"event": {"quantity": 2.0}}),
            json!({"tags": [1, 2]}),
            json!({"event": {"id": {"$exists": true}, "note": {"$exists": false}}}),
            json!({"event": {"id": {"$contains": "vt_"}, "quantity": {"$gt": 1, "$lte": 2}}}),
            json!({"tags": {"$contains": 2}}),
        ] {
            assert_eq!(told(same.clone(), found.clone()), Vec::<String>::new(), "{same}");
        }
        for (other, because) in [
            (json!({"event": {"quantity": 1}}), "body.event.quantity is 2, expected 1"),
            (json!({"event": {"note": "x"}}), "body.event.note is not there, expected \"x\""),
            (json!({"tags": [1]}), "body.tags is [1,2], expected [1]"),
            (json!({"tags": [1, 3]}), "body.tags[1] is 2, expected 3"),
            (json!({"tags": {"$contains": 3}}), "body.tags is [1,2], expected {\"$contains\":3}"),
            (
                json!({"event": {"id": {"$exists": false}}}),
                "body.event.id is \"evt_1\", expected {\"$exists\":false}",
            ),
            (
                json!({"event": {"quantity": {"$gt": 2}}}),
                "body.event.quantity is 2, expected {\"$gt\":2}",
            ),
            (
                json!({"event": {"quantity": {"$lt": 2}}}),
                "body.event.quantity is 2, expected {\"$lt\":2}",
            ),
            (
                json!({"event": {"id": {"$gte": 0}}}),
                "body.event.id is \"evt_1\", expected {\"$gte\":0}",
            ),
            (json!({"event": []}), "body.event is {\"id\":\"evt_1\",\"quantity\":2}, expected []"),
        ] {
            assert_eq!(told(other.clone(), found.clone()), [because], "{other}");
        }
    }

    #[test]
    fn large_numbers_that_differ_by_one_are_not_the_same() {
        assert_eq!(told(json!(u64::MAX), json!(u64::MAX - 1)).len(), 1);
    }

    #[test]
    fn a_condition_that_makes_no_sense_is_told_with_its_place() {
        for (expected, place) in [
            (json!({"a": {"$gtt": 1}}), "body.a"),
            (json!({"a": [{"$gt": "1"}]}), "body.a[0]"),
            (json!({"a": {"$exists": 1}}), "body.a"),
            (json!({"a": {"$exists": true, "b": 1}}), "body.a"),
            (json!({"a": {"$contains": {"$is": 1}}}), "body.a.$contains"),
        ] {
            assert_eq!(check(&expected, "body").expect_err("nonsense").0, place, "{expected}");
        }
    }
}
