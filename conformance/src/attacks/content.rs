//! A header or claims that are not what they must be, or not to everybody the same.

use serde_json::{Map, Value, json};

use super::{Attacks, Genuine};

/// An object's names and values as text, so that a name may come twice.
type Fields = Vec<(String, String)>;

impl Genuine<'_> {
    pub(super) fn of_headers(&self, attacks: &mut Attacks) {
        for typ in [
            "JWT",
            "jwt",
            "AT+JWT",
            "application/at+jwt",
            "at+jwt ",
            "session+jwt",
            "at+jwt",
            "refresh",
            "logout+jwt",
            "dpop+jwt",
            "JOSE",
            "",
        ] {
            if typ != self.typ {
                attacks.add(format!("typ {typ:?}"), self.with_header("typ", json!(typ)));
            }
        }
        for crit in [
            json!([]),
            json!(["exp"]),
            json!(["b64"]),
            json!(["x"]),
            json!(null),
            json!(""),
            json!({}),
            json!(false),
            json!(0),
        ] {
            attacks.add(format!("crit {crit}"), self.with_header("crit", crit));
        }
        for name in ["typ", "alg", "kid"] {
            let mut header = self.header();
            header.as_object_mut().map(|header| header.remove(name));
            attacks.add(format!("no {name}"), self.signed(&header, &self.claims));
            for value in [
                json!(null),
                json!(true),
                json!(0),
                json!(1.5),
                json!([]),
                json!({}),
                json!([self.header()[name].clone()]),
            ] {
                attacks.add(format!("{name} is {value}"), self.with_header(name, value));
            }
        }
    }

    pub(super) fn of_claims(&self, attacks: &mut Attacks) {
        let claims = self.claims.as_object().cloned().unwrap_or_default();
        for (name, good) in &claims {
            let mut without = claims.clone();
            without.remove(name);
            attacks.add(format!("no {name}"), self.signed(&self.header(), &json!(without)));
            for value in [
                "null",
                "true",
                "false",
                "[]",
                "{}",
                "-1",
                "1.5",
                "1e2",
                "-0.0",
                "1e400",
                "18446744073709551616",
                "\"\"",
                "\" \"",
                "\"9999999999\"",
                "\"NaN\"",
            ] {
                let is_text = value.starts_with('"');
                // What a claim of this type may be, however odd: whether it is the right one is
                // asked below.
                if is_text && ["jti", "sub", "tier"].contains(&name.as_str()) {
                    continue;
                }
                let mut fields = fields(&claims);
                for (field, text) in &mut fields {
                    if field == name {
                        value.clone_into(text);
                    }
                }
                attacks.add(
                    format!("{name} is {value}"),
                    self.signed_text(&self.header().to_string(), &object(&fields)),
                );
            }
            let listed = self.with_claim(name, json!([good]));
            attacks.add(format!("{name} is a list of it"), self.signed(&self.header(), &listed));
            let nested = self.with_claim(name, json!({"value": good}));
            attacks
                .add(format!("{name} is an object with it"), self.signed(&self.header(), &nested));
        }
        if self.typ == "at+jwt" {
            // `nbf` need not be there, and must not be taken for absent where it is wrong.
            for value in [
                "null",
                "true",
                "[]",
                "{}",
                "-1",
                "1.5",
                "1e2",
                "1e400",
                "\"0\"",
                "\"\"",
                "4102444800",
            ] {
                let mut fields = fields(&claims);
                fields.push(("nbf".to_owned(), value.to_owned()));
                attacks.add(
                    format!("nbf is {value}"),
                    self.signed_text(&self.header().to_string(), &object(&fields)),
                );
            }
        }
        for (name, value) in [
            ("exp", json!(0)),
            ("exp", json!(1)),
            ("exp", claims.get("iat").cloned().unwrap_or_default()),
            ("iss", json!("http://attacker.test")),
            ("iss", json!(format!("{}/", claims["iss"].as_str().unwrap_or_default()))),
            ("iss", json!(claims["iss"].as_str().unwrap_or_default().to_ascii_uppercase())),
            ("aud", json!("sol_chat_notes")),
            ("aud", json!(format!("{} ", claims["aud"].as_str().unwrap_or_default()))),
            ("aud", json!("*")),
        ] {
            if value != claims[name] {
                attacks.add(
                    format!("{name} is another: {value}"),
                    self.signed(&self.header(), &self.with_claim(name, value)),
                );
            }
        }
    }

    /// What two readers may read differently.
    pub(super) fn of_json(&self, attacks: &mut Attacks) {
        let (header, claims) = (self.header().to_string(), self.claims.to_string());
        for (part, good) in [("header", self.header()), ("claims", self.claims.clone())] {
            let fields = fields(good.as_object().unwrap_or(&Map::new()));
            let sign = |text: String| match part {
                "header" => self.signed_text(&text, &claims),
                _ => self.signed_text(&header, &text),
            };
            for (name, value) in &fields {
                let doubled = |first: bool, other: &str| {
                    let mut doubled = fields.clone();
                    let place = if first { 0 } else { doubled.len() };
                    doubled.insert(place, (name.clone(), other.to_owned()));
                    object(&doubled)
                };
                attacks.add(format!("{part}: {name} twice, the same"), sign(doubled(false, value)));
                attacks
                    .add(format!("{part}: {name} twice, null first"), sign(doubled(true, "null")));
                attacks.add(
                    format!("{part}: {name} twice, another first"),
                    sign(doubled(true, "\"none\"")),
                );
                attacks.add(
                    format!("{part}: {name} twice, another last"),
                    sign(doubled(false, "\"none\"")),
                );
                let escaped = format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..]);
                let mut twice = fields.clone();
                twice.push((escaped, value.clone()));
                attacks
                    .add(format!("{part}: {name} twice, once in disguise"), sign(object(&twice)));
                let mut renamed = fields.clone();
                for (field, _) in &mut renamed {
                    if field == name {
                        *field = name.to_ascii_uppercase();
                    }
                }
                attacks.add(format!("{part}: {name} in capitals"), sign(object(&renamed)));
            }
            // In the order in which RFC 9068 names them, which is that of many a reader's struct.
            let order =
                ["typ", "alg", "kid", "iss", "aud", "sub", "jti", "iat", "exp", "nbf", "tier"];
            let values = order.iter().filter_map(|name| match *name {
                "nbf" if part == "claims" => Some("0".to_owned()),
                name => good.get(name).map(Value::to_string),
            });
            let values: Vec<_> = values.collect();
            let good = good.to_string();
            for (name, text) in [
                ("a list of its values", format!("[{}]", values.join(","))),
                ("a list with it", format!("[{good}]")),
                ("text", json!(good).to_string()),
                ("null", "null".to_owned()),
                ("a number", "1".to_owned()),
                ("nothing", String::new()),
                ("an empty object", "{}".to_owned()),
                ("followed by another", format!("{good}{good}")),
                ("followed by a NUL", format!("{good}\0")),
                ("after a byte order mark", format!("\u{feff}{good}")),
                ("with a comment", good.replacen('{', "{/**/", 1)),
                ("with a comma at its end", good.replace('}', ",}")),
                ("in single quotes", good.replace('"', "'")),
                ("cut", good[..good.len() - 1].to_owned()),
                ("deeply nested", "[".repeat(1_000)),
            ] {
                attacks.add(format!("{part}: {name}"), sign(text));
            }
        }
        let mut latin = claims.clone().into_bytes();
        latin.insert(2, 0xff);
        attacks.add("claims: not UTF-8", self.signed_bytes(header.as_bytes(), &latin));
        let mut latin = header.clone().into_bytes();
        latin.insert(2, 0xff);
        attacks.add("header: not UTF-8", self.signed_bytes(&latin, claims.as_bytes()));
    }
}

fn fields(object: &Map<String, Value>) -> Fields {
    object.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
}

fn object(fields: &Fields) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}
