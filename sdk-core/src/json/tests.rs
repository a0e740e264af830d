use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::tree::Tree;
use super::*;
#[cfg(not(feature = "small"))]
use crate::model::{
    Claims, EventRef, Jwks, Problem, Quotas, TokenHeader, TokenPair, TokenValidation,
    TrackUsageResult, UsageEvent, UserContext,
};

/// Any JSON, of few names so that some come twice.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-c]{0,2}", inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// A tree as `serde_json` would have it.
fn as_value(tree: &Tree<'_>) -> Value {
    match tree {
        Tree::Null => Value::Null,
        Tree::Bool(value) => (*value).into(),
        Tree::Number(number) => serde_json::from_str(number).expect("a number"),
        Tree::Text(text) => text.as_ref().into(),
        Tree::List(list) => list.iter().map(as_value).collect::<Vec<_>>().into(),
        Tree::Object(object) => {
            object.iter().map(|(name, value)| (name.to_string(), as_value(value))).collect()
        }
    }
}

fn same_tree(text: &[u8]) {
    let ours = Tree::of(text).map(|tree| as_value(&tree));
    let theirs = serde_json::from_slice::<Value>(text).ok();
    assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(text));
}

proptest! {
    #[test]
    fn any_text_is_read_as_serde_json_reads_it(value in value(), pretty: bool) {
        let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
        same_tree(&text.expect("it has a form"));
    }

    #[test]
    fn a_text_that_was_damaged_is_refused_by_both_or_by_neither(
        value in value(),
        at: prop::sample::Index,
        byte in prop_oneof![any::<u8>(), prop::sample::select(b"{}[],:\"\\0-.eEtfnu \n".to_vec())],
    ) {
        let mut text = serde_json::to_vec(&value).expect("it has a form");
        let at = at.index(text.len());
        text[at] = byte;
        // What lies beyond all numbers is one to us, and nobody's.
        prop_assume!(!String::from_utf8_lossy(&text).contains(['e', 'E']));
        same_tree(&text);
    }

    #[test]
    fn what_is_written_by_hand_is_json(name in ".{0,8}", text in ".{0,40}", number: u64) {
        let written = Object::new().text(&name, &text).number("n", number).written();
        let read: Value = serde_json::from_str(&written).expect("JSON");
        assert_eq!(read[name.as_str()], if name == "n" { json!(number) } else { json!(text) });
    }
}

#[test]
fn the_corners_of_the_grammar_are_as_everywhere() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let texts = [
        "",
        " ",
        "nul",
        "null ",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{\"a\" : 1}",
        "{a:1}",
        "01",
        "-",
        "-0",
        "1.",
        ".5",
        "1.5",
        "1e5",
        "1e",
        "1e+",
        "+1",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\"\\ud83dx\"",
        "\"\\x\"",
        "\"\t\"",
        "\"\\/\"",
        "\"a",
        "[1] 2",
        "\u{feff}1",
    ];
    texts.into_iter().for_each(|text| same_tree(text.as_bytes()));
    same_tree(b"\"\xff\"");
    same_tree(deep(127).as_bytes());
    same_tree(deep(128).as_bytes());
    assert!(Tree::of(deep(100_000).as_bytes()).is_none(), "and not by an end of the stack");
}

/// The value with each field left out, there twice, and replaced by each of a few others.
#[cfg(not(feature = "small"))]
fn disturbed(value: &Value) -> Vec<String> {
    let Value::Object(object) = value else { return vec![value.to_string()] };
    let field = |name: &str, value: &str| format!("{}:{value}", json!(name));
    let (mut texts, others) = (
        vec![value.to_string()],
        [
            "null",
            "true",
            "7",
            "-7",
            "0.5",
            "1e3",
            "300",
            "70000",
            "18446744073709551616",
            "\"\"",
            "\"pro\"",
            "[]",
            "[null]",
            "{}",
            "{\"id\":\"evt_1\"}",
            "\"2026-11-23T12:00:00Z\"",
            "\"tomorrow\"",
        ],
    );
    for name in object.keys().map(String::as_str).chain(["a_field_of_tomorrow"]) {
        let rest: Vec<String> = object
            .iter()
            .filter(|(known, _)| *known != name)
            .map(|(known, value)| field(known, &value.to_string()))
            .collect();
        let with = |more: &[String]| format!("{{{}}}", [&rest, more].concat().join(","));
        texts.push(with(&[]));
        texts.push(with(&[field(name, "7"), field(name, "7")]));
        texts.extend(others.iter().map(|other| with(&[field(name, other)])));
        if let Some(inner @ Value::Object(_)) = object.get(name) {
            texts.extend(disturbed(inner).iter().map(|inner| with(&[field(name, inner)])));
        }
        if let Some(Value::Array(list)) = object.get(name)
            && let Some(first) = list.first()
        {
            texts.extend(
                disturbed(first).iter().map(|one| with(&[field(name, &format!("[{one}]"))])),
            );
        }
    }
    texts
}

#[cfg(not(feature = "small"))]
fn same<T: DeserializeOwned + PartialEq + std::fmt::Debug>(value: Value) {
    assert!(fields::read::<T>(value.to_string().as_bytes()).is_some(), "{value}");
    for text in disturbed(&value) {
        let theirs = serde_json::from_str::<T>(&text).ok();
        assert_eq!(fields::read::<T>(text.as_bytes()), theirs, "{text}");
    }
}

#[test]
#[cfg(not(feature = "small"))] // with it, fractions are ours to read alone
fn each_type_takes_the_same_from_either_reader() {
    let at = "2026-11-23T12:00:00Z";
    let quota = json!({"action": "search", "limit": 100, "used": 3, "leased": 1, "remaining": 96, "window": "day",
        "resets_at": at, "policy": "hard"});
    let context = json!({"customer_id": "cus_1", "name": "Ravi", "solution_id": "sol_1", "tier": "pro",
        "entitlements": ["search"], "quotas": [quota], "token_id": "tok_1", "expires_at": at});
    let event = json!({"id": "evt_1", "customer_id": "cus_1", "token_id": "tok_1", "action": "search", "quantity": 1,
        "occurred_at": at, "idempotency_key": "k", "metadata": {"pages": 12, "of": 0.5, "is": true},
        "amends": {"producer": "prd_1", "number": 7}, "voids": {"id": "evt_0"}, "lease": "lse_1", "overage": true});
    same::<Quotas>(json!({"quotas": [quota]}));
    same::<UserContext>(context.clone());
    same::<TokenValidation>(json!({"valid": true, "user": context, "code": "token_expired"}));
    same::<UsageEvent>(event);
    same::<EventRef>(json!({"producer": "prd_1", "number": 7}));
    same::<Claims>(
        json!({"iss": "https://m.example", "aud": "sol_1", "sub": "cus_1", "jti": "tok_1", "iat": 1,
        "exp": 2, "nbf": 1, "tier": "registered"}),
    );
    same::<TokenHeader>(json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "k"}));
    same::<TokenPair>(json!({"access_token": "a", "refresh_token": "b", "expires_at": at}));
    same::<Jwks>(
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": "AA", "use": "sig"}],
        "issuer": "https://m.example"}),
    );
    same::<Problem>(
        json!({"type": "t", "title": "t", "status": 404, "detail": "d", "code": "not_found",
        "retryable": true, "request_id": "r", "doc_url": "u", "field": "f", "fence": 7}),
    );
    same::<TrackUsageResult>(
        json!({"fence": 7, "results": [{"number": 7, "through": 8, "status": "rejected",
        "code": "action_unknown"}], "quotas": [{"customer_id": "cus_1", "action": "search", "limit": null,
        "used": 3, "remaining": null, "window": "month", "resets_at": at, "policy": "soft"}]}),
    );
}

#[test]
fn a_number_is_read_for_what_it_says() {
    for text in ["0", "1", "0.5", "1500.25", "1e3", "2.5E-3", "-7", "1e21", "5e-324", "1e999"] {
        let (ours, theirs): (f64, f64) =
            (fields::read(text.as_bytes()).unwrap(), text.parse().unwrap());
        let most = theirs.abs() * 1e-15;
        assert!(ours == theirs || (ours - theirs).abs() <= most, "{text}: {ours}");
    }
}
