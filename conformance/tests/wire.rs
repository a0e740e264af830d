//! The words on the wire, pinned: what these files say is read and written to the letter, by every
//! face and by the server. What a newer marketplace adds is survived.

use cloudnestle_marketplace::model::{
    Bucket, Consume, Consumption, CountedEvent, EndProducer, EndedProducer, Entry, EventStatus,
    FeedChange, FeedEntry, Jwks, LeaseAnswer, Page, Problem, QuotaPolicy, ResetQuota,
    ReturnedLease, Revocations, RevokeUser, TakeLease, TokenPair, TokenValidation, TrackUsage,
    TrackUsageResult, UsageBucket, UserTier, WhenOffline, Window,
};
use cloudnestle_marketplace::{Code, Tier};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn read<T: DeserializeOwned + Serialize>(name: &str) -> T {
    let path = format!("{}/wire/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let fixture: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let read: T = serde_json::from_value(fixture.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), fixture, "{name}");
    read
}

#[test]
fn what_is_written_is_what_was_read() {
    read::<TokenPair>("token_pair");
    read::<Jwks>("jwks");
    read::<UserTier>("user_tier");
    read::<RevokeUser>("revoke_user");
    assert_eq!(read::<Revocations>("revocations").changes.len(), 3);
    read::<Consume>("consume");
    assert_eq!(read::<Consumption>("consumption").code, Some(Code::QuotaExceeded));
    read::<ResetQuota>("reset_quota");
    read::<TakeLease>("take_lease");
    let granted = read::<LeaseAnswer>("lease_granted");
    assert_eq!(granted.lease.and_then(|lease| lease.granted), Some(20));
    assert_eq!(read::<LeaseAnswer>("lease_unlimited").lease.expect("a lease").granted, None);
    let refused = read::<LeaseAnswer>("lease_refused");
    assert_eq!((refused.lease, refused.code), (None, Some(Code::QuotaExceeded)));
    assert_eq!(read::<ReturnedLease>("returned_lease").returned, 12);
    read::<EndProducer>("end_producer");
    assert_eq!(read::<EndedProducer>("ended_producer").retry_after_ms, Some(212_000));
    read::<TrackUsage>("usage_event");
    read::<TrackUsage>("usage_correction");
    read::<TrackUsageResult>("track_usage_result");
    assert_eq!(read::<Page<UsageBucket>>("usage_history").items[0].quantity, 42);
    let [amendment, original] = &read::<Page<CountedEvent>>("usage_events").items[..] else {
        panic!("two events")
    };
    assert_eq!((amendment.amends.as_ref(), original.left), (Some(&original.reference), Some(4)));
    assert!(read::<TokenValidation>("token_validation").user.is_some());
    let refused = read::<TokenValidation>("token_validation_refused");
    assert_eq!(refused.code, Some(Code::TokenRevoked));
    assert_eq!(read::<Problem>("problem").fence, Some(6));
    assert!(read::<Page<u64>>("page").next_cursor.is_some());
    let TrackUsage::Range(range) = read("usage_range") else { panic!("a range") };
    let numbers = range.items.iter().map(|entry| (entry.number(), entry.through()));
    assert_eq!(numbers.collect::<Vec<_>>(), [(7, 7), (8, 8), (9, 900)]);
    let TrackUsage::Range(range) = read("usage_by_lease") else { panic!("a range") };
    let [Entry::Event { event: leased, .. }, Entry::Event { event: overage, .. }] =
        &range.items[..]
    else {
        panic!("two events")
    };
    assert_eq!((leased.lease.is_some(), overage.overage), (true, true));
}

#[test]
fn every_file_of_the_folder_is_read_here() {
    let source = include_str!("wire.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/wire")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(source.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn what_a_newer_marketplace_says_is_survived() {
    fn parse<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }
    assert_eq!(parse::<Tier>(json!("galactic")), Tier::Unknown);
    assert_eq!(parse::<Window>(json!("fortnight")), Window::Unknown);
    assert_eq!(parse::<Bucket>(json!("fortnight")), Bucket::Unknown);
    assert_eq!(parse::<QuotaPolicy>(json!("elastic")), QuotaPolicy::Unknown);
    assert_eq!(parse::<WhenOffline>(json!("ponder")), WhenOffline::Unknown);
    assert_eq!(parse::<EventStatus>(json!("pondered")), EventStatus::Unknown);
    assert_eq!(parse::<Code>(json!("token_bored")), Code::Unknown);
    let change = json!({ "version": 1, "expires_at": "2026-11-22T22:15:00Z", "type": "moved", "to": "Pune" });
    assert_eq!(parse::<FeedEntry>(change).change, FeedChange::Unknown);
    let more = json!({ "valid": false, "code": "token_expired", "since": "yesterday" });
    assert_eq!(parse::<TokenValidation>(more).code, Some(Code::TokenExpired));
}

#[test]
fn a_range_that_is_neither_fish_nor_flesh_says_so() {
    let both = json!({ "event": {}, "producer": "prd_1" });
    assert!(serde_json::from_value::<TrackUsage>(both).is_err());
    let neither = json!({ "producer": "prd_1", "epoch": 0, "items": [{ "number": 1 }] });
    let error = serde_json::from_value::<TrackUsage>(neither).unwrap_err().to_string();
    assert!(error.contains("either `event` or `lost`"), "{error}");
    let backwards = json!({ "number": 2, "through": 1, "lost": "damaged" });
    assert!(serde_json::from_value::<Entry>(backwards).is_err());
    let event = json!({ "number": 1, "through": 2, "event": {
        "id": "evt_1", "customer_id": "cus_ravi", "token_id": "tok_1", "action": "search", "quantity": 1,
        "occurred_at": "2026-11-22T22:00:00Z",
    }});
    let error = serde_json::from_value::<Entry>(event).unwrap_err().to_string();
    assert!(error.contains("goes with `lost`"), "{error}");
}
