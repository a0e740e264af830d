//! Takes secrets out of what was recorded, and puts in their place what they are and a fingerprint:
//! `[secret key 3f9a1c]`.
//!
//! A secret is known by its form, wherever it is, and by the name of what holds it, whatever its form. The
//! fingerprint is made with a key of the world's: within a world the same secret has the same one, so that
//! it can be followed from call to call; outside it tells nothing.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Map, Value};

use crate::domain::credential::{Kind, looks_secret};
use crate::world::Random;

/// What stands for the server's URL, which may have another port at each start.
pub(super) const URL_VARIABLE: &str = "$CLOUDNESTLE_URL";

/// Shorter than this, `eyJ` is no token: its header alone is longer.
const MIN_TOKEN_CHARS: usize = 20;
/// How many hexadecimal digits a fingerprint has: enough to tell a few hundred secrets apart.
pub(super) const FINGERPRINT_DIGITS: usize = 6;

/// What secrets are.
pub(super) const KINDS: [&str; 13] = [
    "secret key",
    "publishable key",
    "launch code",
    "admin key",
    "refresh token",
    "control token",
    "token",
    "session",
    "webhook secret",
    "password",
    "secret",
    "cookie",
    "email",
];

/// Takes secrets out.
pub(crate) struct Redactor<'m> {
    key: hmac::Key,
    url: &'m str,
}

impl<'m> Redactor<'m> {
    /// For what was recorded in a world, of a market with that URL.
    pub(crate) fn new(random: &Random, url: &'m str) -> Redactor<'m> {
        let key = random.derived(b"journal fingerprints");
        Redactor { key: hmac::Key::new(hmac::HMAC_SHA256, &key), url }
    }

    /// A text without the secrets that are known by their form.
    pub(crate) fn text(&self, text: &str) -> String {
        let text = match text.contains(self.url) {
            true => Cow::Owned(text.replace(self.url, URL_VARIABLE)),
            false => Cow::Borrowed(text),
        };
        self.without_emails(&self.without_secrets(&text))
    }

    /// Whether there is something in a text that would be taken out.
    pub(crate) fn is_harmless(&self, text: &str) -> bool {
        self.text(text) == text
    }

    /// What is in a field, a header or a parameter of that name.
    pub(crate) fn field(&self, name: &str, text: &str) -> String {
        let by_form = self.text(text);
        // What its form tells is more than what its field does.
        let is_known = by_form != text && labels(&by_form).first() == Some(&(0..by_form.len()));
        match kind_of_field(name, text) {
            Some(kind) if !text.is_empty() && !is_known => self.label(kind, text),
            _ => by_form,
        }
    }

    /// A header, which may say by which scheme it proves something.
    pub(crate) fn header(&self, name: &str, text: &str) -> String {
        match (name.ends_with("authorization"), text.split_once(' ')) {
            (true, Some((scheme, credential))) if is_scheme(scheme) => {
                format!("{scheme} {}", self.field("token", credential.trim_start()))
            }
            (true, _) => self.field("token", text),
            (false, _) => self.field(name, text),
        }
    }

    /// JSON, in a field of that name or in none.
    pub(crate) fn json(&self, name: &str, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.field(name, &text)),
            Value::Null | Value::Bool(_) => value,
            _ if let Some(kind) = kind_of_field(name, "") => {
                Value::String(self.label(kind, &value.to_string()))
            }
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.json("", item)).collect())
            }
            Value::Object(fields) => {
                let fields = fields.into_iter();
                let fields =
                    fields.map(|(name, value)| (self.text(&name), self.json(&name, value)));
                Value::Object(fields.collect())
            }
            Value::Number(_) => value,
        }
    }

    fn label(&self, kind: &str, secret: &str) -> String {
        let tag = hmac::sign(&self.key, secret.as_bytes());
        let digits = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("[{kind} {}]", &digits[..FINGERPRINT_DIGITS])
    }

    fn without_secrets(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let secret = secret_at(rest);
            if secret.is_empty() {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            } else {
                out.push_str(&self.named(secret));
                rest = &rest[secret.len()..];
            }
        }
        out
    }

    fn named(&self, secret: &str) -> String {
        if secret.starts_with("eyJ") {
            let (kind, identity) = self.token(secret);
            return self.label(kind, &identity);
        }
        let kinds = [
            (Kind::SecretKey, "secret key"),
            (Kind::PublishableKey, "publishable key"),
            (Kind::LaunchCode, "launch code"),
            (Kind::AdminKey, "admin key"),
            (Kind::RefreshToken, "refresh token"),
            (Kind::ControlToken, "control token"),
        ];
        let of_kind = |(kind, _): &&(Kind, _)| secret.get(..4) == kind.prefix().get(..4);
        let otherwise = if secret.starts_with("whsec_") { "webhook secret" } else { "secret" };
        let kind = kinds.iter().find(of_kind).map_or(otherwise, |(_, name)| *name);
        self.label(kind, secret)
    }

    /// What a JWT is, and what tells it from others but not one server's URL from another's: the token of a
    /// seeded world is the same in each of its lives.
    fn token(&self, token: &str) -> (&'static str, String) {
        let mut parts = token.splitn(3, '.');
        let (header, payload) = (parts.next().unwrap_or_default(), parts.next());
        let payload = payload.and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
        let claims = payload.and_then(|it| serde_json::from_slice::<Map<String, Value>>(&it).ok());
        let Some(mut claims) = claims else {
            return ("token", token.to_owned());
        };
        let is_ours = |claim: Option<&Value>| claim.and_then(Value::as_str) == Some(self.url);
        let kind = if is_ours(claims.get("aud")) { "session" } else { "token" };
        for claim in ["iss", "aud"] {
            if is_ours(claims.get(claim)) {
                claims.remove(claim);
            }
        }
        (kind, format!("{header}.{}", Value::Object(claims)))
    }

    fn without_emails(&self, text: &str) -> String {
        if !text.contains('@') && !text.contains("%40") {
            return text.to_owned();
        }
        let is_of_address = |c: char| c.is_alphanumeric() || "._+-%@'".contains(c);
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c| !is_of_address(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let sides = word.split_once('@').or_else(|| word.split_once("%40"));
            match sides {
                Some((user, host)) if !user.is_empty() && !host.is_empty() => {
                    out.push_str(&self.label("email", word));
                }
                _ => out.push_str(word),
            }
            let next = after.chars().next().map_or(0, char::len_utf8);
            out.push_str(&after[..next]);
            rest = &after[next..];
        }
        out
    }
}

/// The secret that a text begins with, as far as its form tells.
fn secret_at(text: &str) -> &str {
    let while_in = |extra: &str| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !extra.contains(c));
        &text[..end.unwrap_or(text.len())]
    };
    match text.as_bytes() {
        [b'c', b'n', ..] if looks_secret(text) => while_in("_-.").trim_end_matches(['.', '-']),
        [b'e', b'y', b'J', ..] => {
            let token = while_in("_-.").trim_end_matches('.');
            if token.len() < MIN_TOKEN_CHARS { "" } else { token }
        }
        [b'w', b'h', b's', ..] if text.starts_with("whsec_") => while_in("_-+/="),
        _ => "",
    }
}

/// What a field of that name holds, if that is a secret: as far as possible for names nobody has
/// thought of.
fn kind_of_field(name: &str, text: &str) -> Option<&'static str> {
    let name: String =
        name.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let is_error = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    match name.as_str() {
        "email" => Some("email"),
        // An answer's says why it is an error.
        "code" if !is_error(text) => Some("launch code"),
        "xapikey" | "apikey" | "secretkey" => Some("secret key"),
        _ if ends(&["password", "passwd", "passphrase"]) => Some("password"),
        _ if ends(&["refreshtoken"]) => Some("refresh token"),
        _ if ends(&["token", "jwt", "authorization"]) => Some("token"),
        _ if ends(&["cookie"]) => Some("cookie"),
        _ if ends(&["secret", "apikey", "secretkey", "privatekey", "adminkey"]) => Some("secret"),
        _ if ends(&["verifier", "credential", "credentials"]) => Some("secret"),
        _ => None,
    }
}

/// `Bearer`, and not a credential that has a space in it.
fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "dpop", "digest"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// Where in a text something stands in place of a secret: `[secret key 3f9a1c]`.
fn labels(text: &str) -> Vec<Range<usize>> {
    let begins = text.match_indices('[').map(|(begin, _)| begin);
    begins.filter_map(|begin| Some(begin..begin + label_length(&text[begin + 1..])? + 2)).collect()
}

/// How long what is in brackets is, if it is a label.
fn label_length(inside: &str) -> Option<usize> {
    let (inside, _) = inside.split_once(']')?;
    let (kind, fingerprint) = inside.rsplit_once(' ')?;
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_fingerprint =
        fingerprint.len() == FINGERPRINT_DIGITS && fingerprint.bytes().all(is_digit);
    (KINDS.contains(&kind) && is_fingerprint).then_some(inside.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::jwt;
    use crate::domain::keys::test_keys;

    const URL: &str = "http://127.0.0.1:4242";

    fn redactor(seed: u8) -> Redactor<'static> {
        Redactor::new(&Random::seeded(&[seed; 32]), URL)
    }

    fn token(issuer: &str) -> String {
        let claims = serde_json::from_value(json!({
            "iss": issuer, "aud": "sol_a", "sub": "cus_a", "jti": "tok_a",
            "iat": 1_800_000_000, "exp": 1_900_000_000, "tier": "pro",
        }));
        jwt::sign(&test_keys(), &claims.expect("claims")).expose().to_owned()
    }

    /// A text with each fingerprint as `#`.
    fn told(text: &str) -> String {
        let mut told = text.to_owned();
        for label in labels(text).iter().rev() {
            let digits = label.end - 1 - FINGERPRINT_DIGITS..label.end - 1;
            told.replace_range(digits, "#");
        }
        told
    }

    #[test]
    fn a_secret_is_known_by_its_form_wherever_it_is() {
        let redactor = redactor(1);
        let key = Kind::SecretKey.secret([7; 32]);
        let (key, token) = (key.expose(), token(URL));
        for (text, expected) in [
            (key.to_owned(), "[secret key #]"),
            (format!("Look: {key}."), "Look: [secret key #]."),
            (
                format!("https://a.test/?code=cnlc_test_abc&x={key}"),
                "https://a.test/?code=[launch code #]&x=[secret key #]",
            ),
            (format!("x{token}"), "x[token #]"),
            ("cnsk_live_short".to_owned(), "[secret key #]"),
            ("cnzz_test_unheard_of".to_owned(), "[secret #]"),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw+/==".to_owned(), "[webhook secret #]"),
            ("ravi@example.com, or <asha+1@a.test>".to_owned(), "[email #], or <[email #]>"),
            ("mailto:ravi%40example.com".to_owned(), "mailto:[email #]"),
            ("eyJust words".to_owned(), "eyJust words"),
            ("नमस्ते @ cn".to_owned(), "नमस्ते @ cn"),
            (format!("{URL}/#not_found"), "$CLOUDNESTLE_URL/#not_found"),
        ] {
            assert_eq!(told(&redactor.text(&text)), expected);
            assert_eq!(redactor.is_harmless(&text), text == expected, "{text}");
        }
    }

    #[test]
    fn a_secret_without_a_form_is_known_by_what_holds_it() {
        let sent = json!({
            "email": "no address", "password": "correct horse", "newPassword": 7, "code": "Ab3",
            "refresh_token": "made up", "token": "eyJ", "client_secret": {"a": ["b"]}, "token_id": "tok_1",
            "nested": [{"api-key": "x", "idempotency_key": "order 7"}], "access_token": null, "password_hint": "",
        });
        let shown = redactor(1).json("", sent).to_string();
        let expected = json!({
            "email": "[email #]", "password": "[password #]", "newPassword": "[password #]", "code": "[launch code #]",
            "refresh_token": "[refresh token #]", "token": "[token #]", "client_secret": "[secret #]", "token_id": "tok_1",
            "nested": [{"api-key": "[secret key #]", "idempotency_key": "order 7"}], "access_token": null, "password_hint": "",
        });
        assert_eq!(told(&shown), expected.to_string());
        let error = json!({"code": "token_expired"});
        assert_eq!(redactor(1).json("", error.clone()), error);
    }

    #[test]
    fn a_secret_as_the_name_of_a_field_is_taken_out_too() {
        let shown = redactor(1).json("", json!({"cnrt_test_a": {"cnrt_test_b": 1}})).to_string();
        assert_eq!(told(&shown), r##"{"[refresh token #]":{"[refresh token #]":1}}"##);
    }

    #[test]
    fn a_header_keeps_the_scheme_and_no_credential() {
        let redactor = redactor(1);
        let header = |name, value: &str| told(&redactor.header(name, value));
        assert_eq!(header("authorization", "Bearer cnsk_test_a"), "Bearer [secret key #]");
        assert_eq!(header("authorization", "bearer  made up"), "bearer [token #]");
        assert_eq!(header("proxy-authorization", "correct horse"), "[token #]");
        assert_eq!(header("cookie", "a=b"), "[cookie #]");
        assert_eq!(header("accept", "*/*"), "*/*");
    }

    #[test]
    fn a_fingerprint_follows_a_secret_through_a_world_and_tells_nothing_in_another() {
        let of = |seed, text: &str| redactor(seed).text(text);
        assert_eq!(of(1, "cnsk_test_a"), of(1, "cnsk_test_a"));
        assert_ne!(of(1, "cnsk_test_a"), of(1, "cnsk_test_b"));
        assert_ne!(of(1, "cnsk_test_a"), of(2, "cnsk_test_a"));
        let in_a_field = redactor(1).field("password", "cnsk_test_a");
        assert_eq!(in_a_field, of(1, "cnsk_test_a"), "its form tells more");
    }

    #[test]
    fn a_token_has_the_same_fingerprint_at_whatever_port_it_was_issued() {
        let elsewhere = "http://127.0.0.1:53211";
        let other = Redactor::new(&Random::seeded(&[1; 32]), elsewhere);
        assert_eq!(redactor(1).text(&token(URL)), other.text(&token(elsewhere)));
        assert_ne!(redactor(1).text(&token(URL)), redactor(1).text(&token("http://forged.test")));
    }

    #[test]
    fn what_only_looks_like_a_label_is_text_of_the_clients() {
        for text in
            ["[secret key 12345]", "[secret key 12345g]", "[key 123456]", "[", "[secret key 123456"]
        {
            assert_eq!(labels(text), []);
        }
        let password = redactor(1).field("password", "[secret key 123456]");
        assert_eq!(told(&password), "[password #]");
    }
}
