//! Customers who sign in, and what they sign in with.

use serde::{Deserialize, Serialize};

use super::password::PasswordHash;

/// The longest address, in bytes (RFC 5321, 4.5.3.1.3, without the angle brackets).
const MAX_EMAIL_BYTES: usize = 254;
/// The longest name, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 200;

/// Whose an address is, and the password that goes with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub customer_id: String,
    pub password: PasswordHash,
}

/// An address in the one spelling under which it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Email(String);

impl Email {
    /// `None` for what can't be an address. Whether it is one only a letter would tell.
    pub(crate) fn parse(text: &str) -> Option<Email> {
        let (name, host) = text.split_once('@')?;
        let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '@';
        let parts = [name, host];
        let has_form = parts.iter().all(|part| !part.is_empty() && part.chars().all(is_plain));
        (has_form && text.len() <= MAX_EMAIL_BYTES).then(|| Email(text.to_lowercase()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        assert_eq!(Email::parse("Asha@Example.com"), Email::parse("asha@example.COM"));
    }

    #[test]
    fn what_can_be_no_address_is_none() {
        let long = format!("{}@b", "a".repeat(MAX_EMAIL_BYTES));
        for text in ["", "@", "a@", "@b", "a b@c", "a@b@c", "a@b\n", &long] {
            assert_eq!(Email::parse(text), None, "{text}");
        }
    }
}
