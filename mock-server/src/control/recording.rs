//! The layer in which calls of the API get into the journal: around all others, so that it sees what the
//! client sent and what the client is answered.
//!
//! It reads nothing that the call does not read: a body is copied as it passes by. Only where a planned fault
//! has answered in the call's place is the rest of a body read, because a test wants to know of such a call
//! above all what it was.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::future::poll_fn;
use hyper::body::{Frame, SizeHint};

use super::fault_injection::{Met, TEST};
use super::spoiling;
use crate::api::layers::{RequestId, id_of, name_of};
use crate::api::problem::code_of;
use crate::domain::credential::looks_secret;
use crate::market::Market;
use crate::server::BrokenOff;
use crate::world::{JournalEntry, KeptBody, MAX_BODY_BYTES, Message, Recorded, Unanswered};

/// The longest name of a test.
const MAX_TEST_BYTES: usize = 128;
/// How long to wait for the rest of a body that a fault has left unread.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) async fn layer(
    State(market): State<Arc<Market>>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    // What a browser asks before a call is no call of anybody's program.
    let is_call = request.method() != Method::OPTIONS;
    let Some(path) = path.filter(|path| is_call && is_of_the_api(path.as_str())) else {
        return next.run(request).await;
    };
    let id = id_of(&market, &request);
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut recording = Recording::begin(market, &path, &request, id);
    let (parts, body) = request.into_parts();
    let (passing, tap) = tap(body);
    recording.tap = Some(tap.clone());

    let mut response = next.run(Request::from_parts(parts, passing)).await;
    spoiling::put_date_off(&mut response, recording.market.world.now());

    let met = response.extensions().get::<Met>().map(|Met(fault)| fault.clone());
    if met.is_some() && !recording.waits_for_a_word {
        // Beyond that the client is slow, or has gone.
        let _ = tokio::time::timeout(PATIENCE, tap.drain()).await;
    }
    let (response, answer) = match response.extensions().get::<BrokenOff>() {
        Some(_) => (response, None),
        None => keep(response).await,
    };
    recording.ends(&response, met, answer);
    spoiling::spoil(response).await
}

fn is_of_the_api(path: &str) -> bool {
    path.starts_with("/api/") || path.starts_with("/.well-known/")
}

/// A call that is being recorded. One that is dropped before it ends was given up by its client.
struct Recording {
    market: Arc<Market>,
    /// Taken when it ends.
    call: Option<Recorded>,
    tap: Option<Tap>,
    /// How long the body is, as its headers say.
    announced: u64,
    /// The client sends its body when it is asked to, and not before.
    waits_for_a_word: bool,
}

impl Recording {
    fn begin(market: Arc<Market>, path: &MatchedPath, request: &Request, id: String) -> Recording {
        let method = name_of(request.method());
        let entry = JournalEntry {
            seq: 0, // the journal counts
            at: market.world.now(),
            operation: format!("{method} {}", path.as_str()),
            status: None,
            code: None,
            request_id: id,
            fault: None,
            unanswered: None,
            test: test_of(request.headers()),
        };
        let uri = request.uri().path_and_query().map_or("", |uri| uri.as_str()).to_owned();
        let sent = Message { headers: lines(request.headers()), body: KeptBody::default() };
        let call = Some(Recorded { entry, method, uri, request: sent, answer: None });
        let waits_for_a_word = request.headers().contains_key(header::EXPECT);
        let announced = request.body().size_hint().exact().unwrap_or_default();
        Recording { market, call, tap: None, announced, waits_for_a_word }
    }

    fn ends(mut self, response: &Response, fault: Option<String>, answer: Option<Message>) {
        let Some(mut call) = self.call.take() else { return };
        call.entry.fault = fault;
        match answer {
            Some(answer) => {
                call.entry.status = Some(response.status().as_u16());
                call.entry.code = code_of(response);
                call.answer = Some(answer);
            }
            None => {
                call.entry.unanswered =
                    response.extensions().get().map(|broken_off| match broken_off {
                        BrokenOff::Reset => Unanswered::Reset,
                        BrokenOff::Closed => Unanswered::Closed,
                        BrokenOff::Garbled => Unanswered::Garbled,
                    });
            }
        }
        self.push(call);
    }

    fn push(&mut self, mut call: Recorded) {
        call.entry.at = self.market.world.now();
        if let Some(tap) = &self.tap {
            call.request.body = tap.take(self.announced);
        }
        self.market.world.journal.push(call);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(mut call) = self.call.take() {
            call.entry.unanswered = Some(Unanswered::ClientLeft);
            self.push(call);
        }
    }
}

/// A body on its way to whoever reads it, and a copy of its beginning.
#[derive(Clone)]
struct Tap(Arc<Mutex<Flow>>);

struct Flow {
    body: Body,
    kept: KeptBody,
}

/// A body that can be looked at while it is read.
fn tap(body: Body) -> (Body, Tap) {
    let tap = Tap(Arc::new(Mutex::new(Flow { body, kept: KeptBody::default() })));
    (Body::new(Passing(tap.clone())), tap)
}

impl Flow {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.kept.append(data);
                }
            }
            Poll::Ready(None) => self.kept.has_ended = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        frame
    }
}

impl Tap {
    fn flow(&self) -> MutexGuard<'_, Flow> {
        // A body that panicked is read no further than it came.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what nobody has read.
    async fn drain(&self) {
        while let Some(Ok(_)) = poll_fn(|cx| self.flow().poll(cx)).await {
            if self.flow().kept.bytes > MAX_BODY_BYTES as u64 {
                return;
            }
        }
    }

    /// What is kept of the body, which was announced to be so long.
    fn take(&self, announced: u64) -> KeptBody {
        let mut flow = self.flow();
        let mut kept = std::mem::take(&mut flow.kept);
        kept.has_ended |= flow.body.is_end_stream();
        if !kept.has_ended {
            kept.bytes = kept.bytes.max(announced);
        }
        kept
    }
}

struct Passing(Tap);

impl HttpBody for Passing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.0.flow().poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.flow().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.flow().body.size_hint()
    }
}

/// The answer, and what is kept of it.
async fn keep(response: Response) -> (Response, Option<Message>) {
    let headers = lines(response.headers());
    let kept = KeptBody::default();
    // What has no length yet is a stream, which is not held up to be looked at.
    let Some(length) = response.body().size_hint().exact() else {
        return (response, Some(Message { headers, body: kept }));
    };
    if length == 0 {
        return (response, Some(Message { headers, body: KeptBody { has_ended: true, ..kept } }));
    }
    let (parts, body) = response.into_parts();
    // Its length is known, so it is in memory already: this neither waits nor fails.
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut kept = KeptBody { has_ended: true, ..kept };
    kept.append(&bytes);
    (Response::from_parts(parts, Body::from(bytes)), Some(Message { headers, body: kept }))
}

/// Headers, a line for each.
fn lines(headers: &HeaderMap) -> String {
    let mut lines =
        String::with_capacity(headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 3).sum());
    for (name, value) in headers {
        lines.push_str(name.as_str());
        lines.push_str(": ");
        lines.push_str(&String::from_utf8_lossy(value.as_bytes()));
        lines.push('\n');
    }
    lines
}

/// The name of a test, unless it may be something else that nobody should see.
fn test_of(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(TEST)?.to_str().ok()?;
    let is_name = (1..=MAX_TEST_BYTES).contains(&name.len()) && !name.contains(['@', '%']);
    let is_secret = name.match_indices("cn").any(|(at, _)| looks_secret(&name[at..]));
    let is_secret = is_secret || name.contains("eyJ") || name.contains("whsec_");
    (is_name && !is_secret).then(|| name.to_owned())
}
