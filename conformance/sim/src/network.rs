//! What is between a program and the marketplace: time, and everything that can happen to a request and to
//! its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloudnestle_marketplace::host::sim::Network;
use cloudnestle_marketplace::host::{Host, Request, Response, SendError, SendStage};
use futures_util::FutureExt;
use futures_util::future::pending;
use serde::Deserialize;

use crate::call::Call;
use crate::fault::{Fault, When, Where};
use crate::server::NoServer;
use crate::world::{Outage, World};

/// A program's connection to the marketplace, and what who watches knows of the program.
pub(crate) struct Link {
    /// Such as `sdk-3`.
    pub(crate) name: String,
    pub(crate) is_closing: AtomicBool,
    /// It has died: what is dropped from now on is not given up.
    pub(crate) is_dead: AtomicBool,
    /// A caller gives up its renewal of a pair at this very moment.
    pub(crate) gives_up: AtomicBool,
}

impl Link {
    pub(crate) fn new(name: String) -> Arc<Link> {
        Arc::new(Link {
            name,
            is_closing: AtomicBool::new(false),
            is_dead: AtomicBool::new(false),
            gives_up: AtomicBool::new(false),
        })
    }

    /// Whether the program is being closed.
    pub(crate) fn closes(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed) && !self.is_dead.load(Ordering::Relaxed)
    }

    fn when(&self, world: &World) -> When {
        match self.closes() {
            true => When::Close,
            false => world.weather().when,
        }
    }
}

/// The network of a program.
pub(crate) fn network(world: &Arc<World>, link: &Arc<Link>) -> Network {
    let (world, link) = (world.clone(), link.clone());
    Arc::new(move |request| send(world.clone(), link.clone(), request).boxed())
}

/// The kind of a call: method and path, without ids and questions.
pub(crate) fn operation(request: &Request) -> String {
    let path = request.url.split_once("://").and_then(|(_, rest)| Some(&rest[rest.find('/')?..]));
    let path = path.unwrap_or_default().split('?').next().unwrap_or_default();
    let named = path.split('/').take(3).collect::<Vec<_>>().join("/");
    format!("{} {named}", request.method)
}

/// The token that a call asks about.
fn about(operation: &str, request: &Request) -> Option<String> {
    #[derive(Deserialize)]
    struct Asked {
        token: String,
    }

    match operation {
        "POST /api/validate-token" => {
            let Asked { token } = serde_json::from_slice(&request.body).ok()?;
            Some(token)
        }
        "GET /api/user-context" => {
            let of = request.headers.iter().find(|(name, _)| *name == "authorization");
            Some(of?.1.strip_prefix("Bearer ")?.to_owned())
        }
        _ => None,
    }
}

async fn send(world: Arc<World>, link: Arc<Link>, request: Request) -> Result<Response, SendError> {
    let operation = operation(&request);
    let about = about(&operation, &request);
    let call = world.begin_call(&link.name, operation, about);
    world.oracle().keyed(call.id, &request);
    let asked = world.oracle().saw_request(world.now(), &link, &call.operation, &request);
    for wrong in asked {
        world.violated(format!("{}: {wrong}", link.name));
    }
    let (id, operation) = (call.id, &call.operation);
    world.note(&link.name, format_args!("{id} {operation} ({} bytes)", request.body.len()));
    let mut waiting = Waiting { world: &world, link: &link, call: &call, is_over: false };
    let answer = travel(&world, &link, &call, request.clone()).await;
    waiting.is_over = true;
    match &answer {
        Ok(response) => {
            let (status, bytes) = (response.status, response.body.len());
            world.note(&link.name, format_args!("{id} is answered {status} ({bytes} bytes)"));
            world.oracle().saw_answer(world.now(), &link, operation, &request, response);
        }
        Err(error) => world.note(&link.name, format_args!("{id} has no answer: {error}")),
    }
    answer
}

/// There and back.
async fn travel(
    world: &Arc<World>,
    link: &Arc<Link>,
    call: &Arc<Call>,
    request: Request,
) -> Result<Response, SendError> {
    let fired = |fault, place| world.fired_on(call, fault, place, link.when(world));
    let outage = world.weather().outage;
    if let Some(outage) = outage
        && (outage != Outage::Patchy || !world.one_in(3))
    {
        world.sleep_ms(1).await;
        return no_answer(outage).await;
    }
    let planned = plan(world, link, call);
    world.passes(call, Where::Request).await;
    world.sleep_ms(way(world)).await;
    match planned {
        None => {}
        Some((Fault::Delay, Where::Request)) => {
            fired(Fault::Delay, Where::Request);
            world.sleep_ms(world.between(300, 8_000)).await;
        }
        Some((fault @ Fault::Loss, Where::Request)) => {
            fired(fault, Where::Request);
            return pending().await;
        }
        Some((fault @ Fault::Reset, Where::Request)) => {
            fired(fault, Where::Request);
            let stages = [SendStage::Connect, SendStage::StaleConnection, SendStage::Answer];
            let stage = stages[world.between(0, 3) as usize];
            return Err(SendError::new(stage, "the connection broke"));
        }
        Some((fault @ Fault::TooMany, Where::Request)) => {
            fired(fault, Where::Request);
            return Ok(too_many(world.between(1, 6)));
        }
        Some((fault @ Fault::GatewayError, Where::Request)) => {
            fired(fault, Where::Request);
            return Ok(gateway_error(world));
        }
        Some((fault @ Fault::Duplicate, Where::Request)) => {
            fired(fault, Where::Request);
            deliver_later(world, call, request.clone(), 2_000);
        }
        Some((fault @ Fault::Straggler, Where::Request)) => {
            fired(fault, Where::Request);
            // A pair is renewed again within ten seconds, whatever became of it; nobody is granted more.
            let most = if call.operation == "POST /api/refresh-token" { 2_000 } else { 20_000 };
            deliver_later(world, call, request, most);
            return match world.one_in(2) {
                true => pending().await,
                false => Err(SendError::new(SendStage::Answer, "the connection broke")),
            };
        }
        Some((fault, place)) => call.plan(fault, place),
    }
    let response = match world.server.serve(call, request).await {
        Ok(response) => response,
        Err(NoServer::Down) => return no_answer(Outage::Refused).await,
        Err(NoServer::Broken) => {
            return Err(SendError::new(SendStage::Answer, "the connection broke"));
        }
    };
    judge(world, call, &response);
    call.is_at(Where::Answer);
    world.passes(call, Where::Answer).await;
    world.sleep_ms(way(world)).await;
    answer(world, link, call, planned, response).await
}

/// What becomes of an answer on its way.
async fn answer(
    world: &Arc<World>,
    link: &Arc<Link>,
    call: &Arc<Call>,
    planned: Option<(Fault, Where)>,
    mut response: Response,
) -> Result<Response, SendError> {
    let Some((fault, Where::Answer)) = planned else { return Ok(response) };
    world.fired_on(call, fault, Where::Answer, link.when(world));
    match fault {
        Fault::Delay => world.sleep_ms(world.between(300, 8_000)).await,
        Fault::Loss => return pending().await,
        Fault::Reset => {
            return Err(SendError::new(SendStage::Answer, "the connection broke"));
        }
        Fault::GatewayError => return Ok(gateway_error(world)),
        Fault::Truncated => {
            let kept = world.between(0, response.body.len().max(1) as u64);
            response.body.truncate(kept as usize);
        }
        Fault::Duplicate => response.body.extend_from_within(..),
        Fault::ServerDeath => {
            world.server_dies();
            return Err(SendError::new(SendStage::Answer, "the connection broke"));
        }
        _ => {}
    }
    Ok(response)
}

/// Of a thousand calls that are made while a program closes or an outage is patchy, so many are hit, as
/// there are few; unless nothing fails.
const ROUGH: u32 = 400;

/// What is to happen to a call, if anything is.
fn plan(world: &World, link: &Link, call: &Call) -> Option<(Fault, Where)> {
    let (rough, storm_until) = {
        let weather = world.weather();
        let is_rare = link.closes() || weather.outage.is_some();
        let rough = if is_rare && weather.rough > 0 { ROUGH } else { weather.rough };
        (rough, weather.storm_until)
    };
    if world.now() < storm_until && !world.one_in(4) {
        return Some((Fault::TooMany, Where::Request));
    }
    let hit = world.between(0, 1_000) < u64::from(rough);
    if !hit {
        return None;
    }
    use Fault::*;
    use Where::*;
    let commits = call.operation != "GET /api/revocations";
    let mut hits = vec![
        (Delay, Request),
        (Delay, Answer),
        (Loss, Request),
        (Loss, Answer),
        (Reset, Request),
        (Reset, Answer),
        (Duplicate, Request),
        (Duplicate, Answer),
        (Straggler, Request),
        (Truncated, Answer),
        (TooMany, Request),
        (GatewayError, Request),
        (GatewayError, Answer),
    ];
    if commits {
        hits.extend([
            (Delay, BeforeCommit),
            (Delay, AfterCommit),
            (Reset, BeforeCommit),
            (Reset, AfterCommit),
            (Reset, AfterCommit),
        ]);
        if world.one_in(3) {
            let deaths = [(ServerDeath, BeforeCommit), (ServerDeath, AfterCommit)];
            hits.extend(deaths);
            hits.push((ServerDeath, Answer));
        }
    }
    let which = world.between(0, hits.len() as u64);
    hits.get(which as usize).copied()
}

/// A second copy of a request, which comes when it comes, and whose answer nobody hears.
fn deliver_later(world: &Arc<World>, call: &Arc<Call>, request: Request, most_ms: u64) {
    let later = world.between(1, most_ms);
    let (carrier, id) = (world.clone(), call.id);
    let copy = world.begin_call(&call.from, call.operation.clone(), None);
    world.oracle().keyed(copy.id, &request);
    let delivering = async move {
        carrier.sleep_ms(later).await;
        carrier.note("network", format_args!("{} is {id} once more", copy.id));
        let served = carrier.server.serve(&copy, request).await;
        if let Ok(response) = served {
            judge(&carrier, &copy, &response);
        }
        carrier.end_call(&copy);
    };
    world.ether.spawn(delivering.boxed());
}

/// An answer as the server gives it: there is no reason for an error of its own.
fn judge(world: &World, call: &Call, response: &Response) {
    if response.status >= 500 {
        let body = String::from_utf8_lossy(&response.body);
        let Call { id, operation, .. } = call;
        world.violated(format!("{id} {operation} is answered {}: {body}", response.status));
    }
}

async fn no_answer(outage: Outage) -> Result<Response, SendError> {
    match outage {
        Outage::Refused => Err(SendError::new(SendStage::Connect, "nobody listens")),
        Outage::Broken | Outage::Patchy => {
            Err(SendError::new(SendStage::Answer, "the connection broke"))
        }
        Outage::Silent => pending().await,
    }
}

fn too_many(seconds: u64) -> Response {
    let headers = vec![("retry-after".to_owned(), seconds.to_string())];
    Response { status: 429, headers, body: b"slow down".to_vec() }
}

fn gateway_error(world: &World) -> Response {
    let status = [500, 502, 503, 504][world.between(0, 4) as usize];
    Response { status, headers: Vec::new(), body: b"<html>an error</html>".to_vec() }
}

/// How long one way takes, in milliseconds.
fn way(world: &World) -> u64 {
    if world.is_rushed() {
        return 1;
    }
    match world.one_in(20) {
        true => world.between(50, 400),
        false => world.between(1, 30),
    }
}

/// Somebody who waits for an answer.
struct Waiting<'a> {
    world: &'a Arc<World>,
    link: &'a Link,
    call: &'a Call,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Waiting { world, link, call, is_over } = self;
        world.end_call(call);
        if *is_over {
            return;
        }
        let Call { id, operation, .. } = call;
        world.note(&link.name, format_args!("{id} is given up"));
        let is_alive = !link.is_dead.load(Ordering::Relaxed);
        if is_alive
            && link.gives_up.load(Ordering::Relaxed)
            && *operation == "POST /api/refresh-token"
        {
            world.violated(format!("{}: a renewal ends with its caller", link.name));
        }
        // Some servers notice that a connection is closed, and some too late.
        if !world.weather().is_over && world.one_in(2) {
            call.abort();
        }
    }
}

/// How long a request that was refused with 429 has to wait.
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.header("retry-after")?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
