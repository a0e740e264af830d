//! The beginning of a JSON text that was cut off.

use serde_json::Value;

/// As much of it as is complete: `[1, {"a": 2, "b": 3` is `[1, {"a": 2}]`. What comes last may be the
/// beginning of something longer, and of a secret.
pub(super) fn beginning(cut: &[u8]) -> Option<Value> {
    let (mut open, mut in_text, mut is_escaped) = (Vec::new(), false, false);
    // Where it may end, and what has to be closed there.
    let mut end = (0, Vec::new());
    for (at, byte) in cut.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                open.push(if *byte == b'[' { b']' } else { b'}' });
                end = (at + 1, open.clone());
            }
            b']' | b'}' => {
                open.pop();
                end = (at + 1, open.clone());
            }
            b',' => end = (at, open.clone()),
            _ => {}
        }
    }
    let (length, still_open) = end;
    let mut text = cut[..length].to_vec();
    text.extend(still_open.iter().rev());
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_complete_is_read_wherever_it_is_cut() {
        let whole = json!({"a": [1, {"b": "x,]}\"\\"}, [], null], "c": {"d": -2.5e3}, "e": true});
        let text = whole.to_string();
        assert_eq!(beginning(text.as_bytes()), Some(whole));
        for end in 1..text.len() {
            assert!(beginning(&text.as_bytes()[..end]).is_some(), "{}", &text[..end]);
        }
        assert_eq!(beginning(br#"[1, {"a": 2, "b": 3"#), Some(json!([1, {"a": 2}])));
        assert_eq!(
            beginning(br#"{"items": [{"number": 1}, {"numb"#),
            Some(json!({"items": [{"number": 1}, {}]}))
        );
    }

    #[test]
    fn what_is_no_json_has_no_beginning() {
        for text in ["", "123", "\"cut", "}", "[}", "a,b"] {
            assert_eq!(beginning(text.as_bytes()), None, "{text}");
        }
    }
}
