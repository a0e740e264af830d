//! The same token, written in another way.

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::json;

use super::{Attacks, Genuine, encode};

impl Genuine<'_> {
    pub(super) fn of_spelling(&self, attacks: &mut Attacks) {
        let token = self.token();
        let parts: Vec<_> = token.split('.').collect();
        let [header, claims, signature] = parts[..] else { return };
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        for (name, text) in [
            ("nothing", String::new()),
            ("two dots", "..".to_owned()),
            ("two parts", format!("{header}.{claims}")),
            ("four parts", format!("{token}.{signature}")),
            ("five parts", format!("{header}..{claims}.{signature}.{signature}")),
            ("a dot before", format!(".{token}")),
            ("a dot after", format!("{token}.")),
            ("a dot twice", token.replacen('.', "..", 1)),
            ("no header", format!(".{claims}.{signature}")),
            ("no claims", format!("{header}..{signature}")),
            ("the parts turned around", format!("{claims}.{header}.{signature}")),
            ("a space before", format!(" {token}")),
            ("a space after", format!("{token} ")),
            ("a line after", format!("{token}\n")),
            ("a NUL after", format!("{token}\0")),
            ("spaces around the dots", token.replace('.', " . ")),
            (
                "a line within the signature",
                format!("{header}.{claims}.{}\n{}", &signature[..40], &signature[40..]),
            ),
            ("padding", format!("{header}.{claims}.{}", URL_SAFE.encode(&bytes))),
            ("padding of each part", format!("{header}=.{claims}=.{signature}=")),
            ("percent signs", token.replace('.', "%2E")),
            ("Bearer", format!("Bearer {token}")),
            ("quotes", format!("\"{token}\"")),
            ("small letters", token.to_ascii_lowercase()),
            ("twice encoded", encode(token.as_bytes())),
            ("full-width dots", token.replace('.', "\u{ff0e}")),
            (
                "JSON serialization",
                json!({"protected": header, "payload": claims, "signature": signature}).to_string(),
            ),
            (
                "more than 4,096 bytes",
                self.signed(&self.header(), &self.with_claim("x", json!("x".repeat(4_096)))),
            ),
            ("nothing but letters, 20,000 of them", "a".repeat(20_000)),
        ] {
            attacks.add(format!("spelt with {name}"), text);
        }
        // The last character of 64 bytes has four bits that mean nothing.
        let stray = signature.len() - 1;
        for last in stray_spellings(&signature[stray..]) {
            attacks.add(
                format!("stray bits: {last} at the end"),
                format!("{header}.{claims}.{}{last}", &signature[..stray]),
            );
        }
        // The other alphabet of base64, with as many of its letters as it takes.
        let (mut n, mut found) = (0, None);
        while found.is_none() && n < 1_000 {
            let token = self.signed(&self.header(), &self.with_claim("n", json!(n)));
            found = token.contains(['-', '_']).then(|| token.replace('-', "+").replace('_', "/"));
            n += 1;
        }
        attacks.add("the other alphabet of base64", found.unwrap_or_default());
    }
}

/// The other letters that stand for the same bits as `last`, where its lower four mean nothing.
fn stray_spellings(last: &str) -> Vec<char> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = ALPHABET.find(last).unwrap_or(0) & !0xf;
    let same = ALPHABET.chars().skip(place).take(16);
    same.filter(|letter| !last.starts_with(*letter)).collect()
}
