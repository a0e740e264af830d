//! What an answer says, made fit for errors and logs: of bounded length, in one line, and without the
//! secrets of the call it answers. A proxy that explains a refusal by repeating the request must not
//! put a key into a log.
//!
//! Secrets are known by their value, or a piece of it; one that was encoded anew is not recognised.

use crate::model::{Problem, Secret};

/// The most that is kept of what an answer says, in characters: the marketplace's own explanations have
/// less than half.
const MOST_CHARS: usize = 500;

/// So many characters of a secret in a row give it away. The prefix `cnsk_test_` has ten.
const PIECE: usize = 12;

/// What is shorter is no secret of the marketplace, but a word that was taken for one.
const SHORTEST: usize = 8;

const REDACTED: &str = "[redacted]";

/// The problem, in words that may be printed.
pub(super) fn redacted(problem: Problem, secrets: &[&Secret]) -> Problem {
    let fit = |text: String| printable(&text, secrets);
    Problem {
        kind: fit(problem.kind),
        title: fit(problem.title),
        detail: fit(problem.detail),
        request_id: fit(problem.request_id),
        doc_url: fit(problem.doc_url),
        field: problem.field.map(fit),
        ..problem
    }
}

fn printable(text: &str, secrets: &[&Secret]) -> String {
    // A little more than is kept, so that no secret is cut to where it is not recognised.
    let text: Vec<char> = text.chars().take(MOST_CHARS + PIECE).map(plain).collect();
    let mut is_secret = vec![false; text.len()];
    for secret in secrets {
        let secret: Vec<char> = secret.expose().chars().map(plain).collect();
        if secret.len() < SHORTEST {
            continue;
        }
        let length = PIECE.min(secret.len());
        for (at, piece) in text.windows(length).enumerate() {
            if secret.windows(length).any(|of_secret| of_secret == piece) {
                is_secret[at..at + length].fill(true);
            }
        }
    }
    let mut words = String::new();
    let mut within = false;
    for (c, secret) in text.into_iter().zip(is_secret).take(MOST_CHARS) {
        match secret {
            true if !within => words.push_str(REDACTED),
            true => {}
            false => words.push(c),
        }
        within = secret;
    }
    words
}

/// A character that neither ends a line of a log nor turns it around.
fn plain(c: char) -> char {
    match c {
        '\u{2028}' | '\u{2029}' => ' ', // separators of lines
        '\u{200e}' | '\u{200f}' => ' ', // marks of direction
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ' ', // overrides of direction
        c if c.is_control() => ' ',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "cnsk_test_0123456789abcdefghij";

    fn said(text: &str) -> String {
        let secrets = [Secret::new(KEY), Secret::new("no"), Secret::new("a token")];
        printable(text, &secrets.each_ref())
    }

    #[test]
    fn a_secret_is_taken_out_whole_or_in_pieces() {
        assert_eq!(
            said(&format!("Bearer {KEY}, twice: {KEY}")),
            "Bearer [redacted], twice: [redacted]"
        );
        assert_eq!(said("Bearer cnsk_test_0123…"), "Bearer [redacted]…");
        assert_eq!(said("…89abcdefghij is no key"), "…[redacted] is no key");
        assert_eq!(said("a key looks like cnsk_test_…"), "a key looks like cnsk_test_…");
        assert_eq!(said("no, it is not a token"), "no, it is not a token", "those are but words");
    }

    #[test]
    fn what_is_said_is_short_and_of_one_line_wherever_it_is_cut() {
        assert_eq!(said("red: \u{1b}[31m\r\nERROR\u{202e}"), "red:  [31m  ERROR ");
        for before in MOST_CHARS - KEY.len()..=MOST_CHARS {
            let words = said(&format!("{}{KEY}{}", "ü".repeat(before), "x".repeat(9_000_000)));
            assert!(
                words.chars().count() <= MOST_CHARS + REDACTED.len() && !words.contains("cnsk"),
                "{words}"
            );
        }
    }
}
