//! What comes from outside, and may be anything: files, tokens, answers, ranges. proptest makes it up,
//! of noise and of the real thing with parts of it changed.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::fuzz;

/// Something done to bytes that were whole.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Cut(Index),
    Remove(Index, u8),
    Insert(Index, Vec<u8>),
    /// A piece of it comes twice.
    Repeat(Index, Index),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = || any::<Index>();
    let change = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        at().prop_map(Change::Cut),
        (at(), any::<u8>()).prop_map(|(at, len)| Change::Remove(at, len)),
        (at(), vec(any::<u8>(), 0..60)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), at()).prop_map(|(from, to)| Change::Repeat(from, to)),
    ];
    vec(change, 0..5)
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let end = bytes.len() + 1;
        match change {
            Change::Set(at, byte) => {
                let at = at.index(end);
                bytes.get_mut(at).into_iter().for_each(|place| *place = *byte);
            }
            Change::Cut(at) => bytes.truncate(at.index(end)),
            Change::Remove(at, len) => {
                let at = at.index(end);
                let to = bytes.len().min(at + usize::from(*len));
                bytes.drain(at..to);
            }
            Change::Insert(at, more) => {
                let at = at.index(end);
                bytes.splice(at..at, more.iter().copied());
            }
            Change::Repeat(from, to) => {
                let (from, to) = (from.index(end), to.index(end));
                let piece = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(from..from, piece);
            }
        }
    }
    bytes
}

const TOKEN: &str = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6ImsifQ.\
                     eyJpc3MiOiJpIiwiYXVkIjoiYSIsInN1YiI6InMiLCJqdGkiOiJqIiwiaWF0IjoxLCJleHAiOjIsInRpZXIiOiJwcm8ifQ.c2ln";

const RANGE: &str = r#"{"producer":"prd_1","epoch":0,"items":[{"number":7,"event":{"id":"evt_1",
    "customer_id":"cus_1","token_id":"tok_1","action":"search","quantity":1,
    "occurred_at":"2026-11-22T22:00:00Z"}},{"number":8,"lost":"damaged"}]}"#;

const PROBLEM: &str = r#"{"type":"https://x/y","title":"t","status":409,"detail":"d",
    "code":"sequence_gap","retryable":false,"request_id":"req_1","doc_url":"u","fence":7}"#;

/// An answer that a proxy has made of one of the marketplace's.
const HEAD: &str = "503\nretry-after: Sun, 22 Nov 2026 22:00:30 GMT\ndate: Sun, 22 Nov 2026 22:00:00 GMT\n\
                    retry-after-ms: 250\nratelimit: \"a\";r=0;t=30\nx-should-retry: true\n\n";

fn cases() -> ProptestConfig {
    let ordinary = ProptestConfig::default();
    let cases = super::number("SIM_SEEDS").map_or(ordinary.cases, |seeds| seeds as u32);
    ProptestConfig { cases, ..ordinary }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_segment_of_anything_is_read_to_its_end(bytes in vec(any::<u8>(), 0..3_000)) {
        fuzz::frames(&bytes);
    }

    #[test]
    fn of_a_folder_of_anything_what_was_written_is_found_and_nothing_else(
        recipe in vec(any::<u8>(), 0..300),
    ) {
        fuzz::folder(&recipe);
    }

    #[test]
    fn a_token_of_anything_is_refused_or_read(noise in ".{0,200}", changes in changes()) {
        fuzz::token(noise.as_bytes());
        fuzz::token(&changed(TOKEN.into(), &changes));
    }

    #[test]
    fn an_answer_of_anything_is_a_value_or_an_error(
        noise in vec(any::<u8>(), 0..200),
        changes in changes(),
    ) {
        fuzz::answer(&noise);
        for body in [PROBLEM.as_bytes(), &noise] {
            fuzz::answer(&changed([HEAD.as_bytes(), body].concat(), &changes));
        }
    }

    #[test]
    fn what_is_understood_of_anything_is_understood_again(
        noise in vec(any::<u8>(), 0..200),
        changes in changes(),
    ) {
        fuzz::wire(&noise);
        fuzz::wire(&changed(RANGE.into(), &changes));
        fuzz::wire(&changed(PROBLEM.into(), &changes));
    }
}
