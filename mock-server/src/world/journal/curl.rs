//! A recorded call as a command that makes it again.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::redaction::{FINGERPRINT_DIGITS, KINDS, URL_VARIABLE};
use super::{JournalCall, RecordedRequest};

/// Headers that curl makes of what it is told, or that tell of a body as it was before it was decoded.
const LEFT_TO_CURL: [&str; 4] = ["accept", "accept-encoding", "content-encoding", "user-agent"];

/// What is not encoded in a part of a URL: no piece of one could be taken for more than it is.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &PART.remove(b'/').remove(b':').remove(b'@');

impl JournalCall {
    /// The call as a command of `curl` for a shell. In the place of what is not shown are variables, named as what
    /// it is: `$CLOUDNESTLE_SECRET_KEY`, `$CLOUDNESTLE_TOKEN`, `$CLOUDNESTLE_EMAIL`; `cloudnestle-mock-server exec` sets
    /// those of its marketplace. `None` if the journal has not all of its body.
    pub fn to_curl(&self) -> Option<String> {
        let RecordedRequest { method, path, query, headers, body, not_shown } = &self.request;
        if not_shown.is_some() {
            return None;
        }
        let encoded = |text: &str, set| utf8_percent_encode(text, set).to_string();
        let mut url = format!("\"{URL_VARIABLE}\"{}", quoted(path, |text| encoded(text, PATH)));
        for (n, (name, value)) in query.iter().enumerate() {
            let mark = if n == 0 { '?' } else { '&' };
            let pair =
                [quoted(name, |it| encoded(it, PART)), quoted(value, |it| encoded(it, PART))];
            url += &format!("'{mark}'{}", pair.join("'='"));
        }
        // Quotes within are encoded: these two end a part and begin the next.
        let mut lines = vec![format!("curl -X {method} {}", url.replace("''", ""))];
        for (name, value) in headers.iter().filter(|(name, _)| !LEFT_TO_CURL.contains(&&***name)) {
            lines.push(format!("-H {}", quoted(&format!("{name}: {value}"), str::to_owned)));
        }
        if let Some(body) = body {
            let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
            lines.push(format!("--data-raw {}", quoted(&text, str::to_owned)));
        }
        Some(lines.join(" \\\n  ") + "\n")
    }
}

/// A text as one word of a shell, `'Bearer '"$CLOUDNESTLE_TOKEN"`: what was taken out of it is a variable, and
/// what else there is stands for nothing but itself.
fn quoted(text: &str, encode: impl Fn(&str) -> String) -> String {
    let mut word = String::new();
    let plain = |text: &str, word: &mut String| {
        if !text.is_empty() {
            *word += &format!("'{}'", encode(text).replace('\'', r"'\''"));
        }
    };
    let (mut rest, mut looked_at) = (text, 0);
    while let Some(at) = rest[looked_at..].find(['[', '$']).map(|at| at + looked_at) {
        match taken_out(&rest[at..]) {
            Some((variable, length)) => {
                plain(&rest[..at], &mut word);
                word += &format!("\"${variable}\"");
                (rest, looked_at) = (&rest[at + length..], 0);
            }
            None => looked_at = at + 1,
        }
    }
    plain(rest, &mut word);
    if word.is_empty() { "''".to_owned() } else { word }
}

/// What a text begins with, if that was put in the place of something: the variable for it, and its length.
fn taken_out(text: &str) -> Option<(String, usize)> {
    if text.starts_with(URL_VARIABLE) {
        return Some((URL_VARIABLE[1..].to_owned(), URL_VARIABLE.len()));
    }
    let (inside, _) = text.strip_prefix('[')?.split_once(']')?;
    let (kind, fingerprint) = inside.rsplit_once(' ')?;
    let is_one = KINDS.contains(&kind)
        && fingerprint.len() == FINGERPRINT_DIGITS
        && fingerprint.bytes().all(|digit| digit.is_ascii_hexdigit());
    let variable = format!("CLOUDNESTLE_{}", kind.to_ascii_uppercase().replace(' ', "_"));
    is_one.then_some((variable, inside.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_out_is_a_variable_and_all_else_stands_for_itself() {
        for (text, word) in [
            ("Bearer [secret key 3f9a1c]", r#"'Bearer '"$CLOUDNESTLE_SECRET_KEY""#),
            ("[email 000000], [it's $HOME]", r#""$CLOUDNESTLE_EMAIL"', [it'\''s $HOME]'"#),
            ("$CLOUDNESTLE_URL/x", r#""$CLOUDNESTLE_URL"'/x'"#),
            ("[secret key 3f9a1]", "'[secret key 3f9a1]'"),
            ("[`id` 3f9a1c]", "'[`id` 3f9a1c]'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(text, str::to_owned), word);
        }
    }
}
