//! What comes from outside and may be anything: files, tokens, answers. Each function takes bytes that
//! somebody made up, and panics where a promise about them is broken. The folder `fuzz` of the repository drives them by
//! what they reach in the code; the tests by chance.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::ready;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::events::Announcer;
use crate::host::Response;
use crate::host::sim::{SimHost, Simulation};
use crate::http::{Call, Clock, HttpClient, RetryPolicy};
use crate::model::{
    Claims, CountedEvent, Customer, EndedProducer, Jwks, Launch, LeaseAnswer, Page, Problem,
    Quotas, Revocations, TokenPair, TokenValidation, TrackUsage, TrackUsageResult, UnverifiedToken,
    UsageBucket, UserContext,
};

/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// The frames of a segment of the spool.
pub fn frames(bytes: &[u8]) {
    crate::usage::fuzz::frames(bytes);
}

/// A folder of segments that a process has left: a recipe of what is in it.
pub fn folder(recipe: &[u8]) {
    crate::usage::fuzz::folder(recipe);
}

/// A token: refused, or taken apart into what it is made of.
pub fn token(bytes: &[u8]) {
    let Ok(token) = str::from_utf8(bytes) else { return };
    let Ok(unverified) = UnverifiedToken::parse(token, UnverifiedToken::ACCESS) else { return };
    assert!(token.len() <= UnverifiedToken::MAX_BYTES);
    assert!(token.as_bytes().starts_with(unverified.signed()));
    assert!(unverified.clone().claims(false).is_err(), "a forged token was read");
    if let Ok(claims) = unverified.claims(true) {
        survives(&claims);
        let now = SimHost::new(&Simulation::new(1), None, crate::host::sim::no_network());
        let now = crate::host::Host::wall(&*now);
        if claims.check(&claims.iss, Some(&claims.aud), now).is_ok() {
            assert!(claims.exp > now.numeric_date(), "a token that has ended");
        }
    }
}

/// An answer: its status, its headers a line each, an empty line, its body. It is a value or an error, by
/// the call's deadline.
pub fn answer(bytes: &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = bytes.split_at(end);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.trim().parse().ok()).unwrap_or(200);
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let body = body.get(2..).unwrap_or_default().to_vec();
    let response = Response { status, headers: headers.collect(), body };
    let network = Arc::new(move |_| ready(Ok(response.clone())).boxed());
    let simulation = Simulation::new(1);
    let host = SimHost::new(&simulation, None, network);
    for cap in [None, Some(Duration::from_secs(600))] {
        let clock = Arc::new(Clock::new(host.clone(), cap));
        let (url, solution) = ("http://sim".to_owned(), "sol_x".to_owned());
        let announcer = Arc::new(Announcer::default());
        let policy = RetryPolicy::CALL;
        let http = HttpClient::new(host.clone(), clock.clone(), announcer, url, solution, policy);
        for _twice in 0..2 {
            let began = simulation.now();
            let call = http.call::<TrackUsageResult>(Call::get("/api/anything"), DEADLINE);
            let result = simulation.run(call);
            assert!(result.is_err() || (200..300).contains(&status));
            assert!(simulation.now() - began <= DEADLINE, "a call keeps its deadline");
            let error = result.err().map(|error| (error.to_string(), error.retry_after()));
            assert!(error.is_none_or(|(words, _)| !words.is_empty()));
            clock.now(); // whatever it was told
        }
    }
}

/// JSON off the wire: what is understood is understood again when it is written.
pub fn wire(bytes: &[u8]) {
    understood::<Claims>(bytes);
    understood::<Customer>(bytes);
    understood::<EndedProducer>(bytes);
    understood::<Jwks>(bytes);
    understood::<Launch>(bytes);
    understood::<LeaseAnswer>(bytes);
    understood::<Page<CountedEvent>>(bytes);
    understood::<Page<UsageBucket>>(bytes);
    understood::<Problem>(bytes);
    understood::<Quotas>(bytes);
    understood::<Revocations>(bytes);
    understood::<TokenPair>(bytes);
    understood::<TokenValidation>(bytes);
    understood::<TrackUsage>(bytes);
    understood::<TrackUsageResult>(bytes);
    understood::<UserContext>(bytes);
}

fn understood<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        survives(&value);
    }
}

fn survives<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let written = serde_json::to_vec(value).expect("it has a form in JSON");
    let read = serde_json::from_slice::<T>(&written).expect("what was written can be read");
    assert_eq!(read, *value);
}
