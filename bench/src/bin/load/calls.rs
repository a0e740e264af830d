//! The calls that are measured, and the requests they are made of.

use std::time::Duration;

use clap::ValueEnum;
use cloudnestle_marketplace::model::{
    Entry, Timestamp, TrackUsage, UsageEvent, UsageRange, new_id,
};
use serde_json::json;

use super::connection::request;
use super::server::{Customer, NOON, Server};

/// What is asked, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Call {
    /// `POST /api/track-usage` with one event: what a shell script does.
    Event,
    /// `POST /api/track-usage` with a range of 500: what the SDKs do.
    Range,
    /// `POST /api/validate-token`, as fast as it goes.
    Validate,
    /// `POST /api/validate-token`, 5,000 times a second.
    ValidateAtRate,
    /// `GET /api/user-context`, as fast as it goes.
    Context,
}

/// What a call does to a server.
pub(crate) struct Load {
    pub(crate) call: Call,
    pub(crate) clients: Vec<Client>,
    /// How long a client waits from one request to the next; without, none.
    pub(crate) interval: Option<Duration>,
}

/// One client, which knows its next request.
pub(crate) struct Client {
    number: u64,
    host: String,
    key: String,
    customer_id: &'static str,
    token_id: String,
    kind: Kind,
    sent: u64,
}

enum Kind {
    Same(Vec<u8>),
    Event,
    Range,
}

impl Call {
    pub(crate) const ALL: [Call; 5] =
        [Call::Event, Call::Range, Call::Validate, Call::ValidateAtRate, Call::Context];

    /// At how many connections it is measured.
    pub(crate) fn curve(self, curve: &[usize]) -> &[usize] {
        // A fixed rate needs as many as never wait for each other.
        const POOL: &[usize] = &[32];
        if self == Call::ValidateAtRate { POOL } else { curve }
    }

    /// How many events one request brings.
    pub(crate) fn events(self) -> u64 {
        match self {
            Call::Event => 1,
            Call::Range => UsageRange::MAX_ITEMS as u64,
            Call::Validate | Call::ValidateAtRate | Call::Context => 0,
        }
    }

    pub(crate) fn load(self, server: &Server, customers: &[Customer], connections: usize) -> Load {
        const RATE: u32 = 5_000;
        let client = |(number, customer): (usize, &Customer)| {
            let host = server.address();
            let key = server.secret_key();
            let kind = match self {
                Call::Event => Kind::Event,
                Call::Range => Kind::Range,
                Call::Validate | Call::ValidateAtRate => {
                    let body = json!({"token": customer.token}).to_string();
                    Kind::Same(request("POST", host, "/api/validate-token", key, &body))
                }
                Call::Context => {
                    Kind::Same(request("GET", host, "/api/user-context", &customer.token, ""))
                }
            };
            Client {
                number: number as u64,
                host: host.to_owned(),
                key: key.to_owned(),
                customer_id: customer.id,
                token_id: customer.token_id.clone(),
                kind,
                sent: 0,
            }
        };
        let clients = customers.iter().cycle().take(connections).enumerate().map(client).collect();
        let interval =
            (self == Call::ValidateAtRate).then(|| Duration::from_secs(connections as u64) / RATE);
        Load { call: self, clients, interval }
    }
}

impl Client {
    /// The next request. No two events are the same.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let usage = match &self.kind {
            Kind::Same(request) => return request.clone(),
            Kind::Event => TrackUsage::Event(self.event()),
            Kind::Range => {
                let first = self.sent + 1;
                let items = (first..first + UsageRange::MAX_ITEMS as u64)
                    .map(|number| Entry::Event { number, event: self.event() })
                    .collect();
                let producer = format!("prd_{:026}", self.number);
                TrackUsage::Range(UsageRange { producer, epoch: 0, items })
            }
        };
        let body = serde_json::to_string(&usage).unwrap_or_default();
        request("POST", &self.host, "/api/track-usage", &self.key, &body)
    }

    /// An event as the SDK makes them: a search, just now.
    fn event(&mut self) -> UsageEvent {
        self.sent += 1;
        // Ids carry the real time; the clock of the server under test stands at a noon.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = Timestamp::from_millis(now.unwrap_or_default().as_millis() as i64);
        let distinct = (u128::from(self.number) << 48 | u128::from(self.sent)).to_be_bytes();
        let mut random = [0; 10];
        random.copy_from_slice(&distinct[6..]);
        UsageEvent {
            id: new_id("evt", now, random),
            customer_id: self.customer_id.to_owned(),
            token_id: self.token_id.clone(),
            action: "search".to_owned(),
            quantity: 1,
            occurred_at: NOON,
            idempotency_key: None,
            metadata: None,
            amends: None,
            voids: None,
            lease: None,
            overage: false,
        }
    }
}
