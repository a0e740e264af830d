//! The load itself, and what is told of it.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use super::calls::{Call, Client, Load};
use super::connection::Connection;
use super::server::Server;

/// How long the server is under load before it is measured.
const WARM_UP: Duration = Duration::from_secs(1);

/// What was measured of one call at one number of connections.
pub(crate) struct Row {
    call: Call,
    connections: usize,
    time: Duration,
    /// How long each request took, in microseconds, in order.
    latencies: Vec<u32>,
    /// Of the server's processor time.
    computing: Duration,
    /// All that were acknowledged, those of the warm-up included.
    pub(crate) events: u64,
}

/// What one client saw.
#[derive(Default)]
struct Seen {
    latencies: Vec<u32>,
    acknowledged: u64,
}

/// Puts the load on the server.
pub(crate) async fn run(server: &Server, load: Load, time: Duration) -> Result<Row> {
    let Load { call, clients, interval } = load;
    let connections = clients.len();
    let begin = Instant::now() + WARM_UP;
    let end = begin + time;
    let mut tasks = JoinSet::new();
    for (place, client) in clients.into_iter().enumerate() {
        let connection = Connection::open(server.address()).await?;
        // Clients with an interval take turns.
        let turn =
            interval.map(|interval| (interval, interval * place as u32 / connections as u32));
        tasks.spawn(ask_on(call, client, connection, turn, begin, end));
    }
    tokio::time::sleep_until(begin.into()).await;
    let before = server.computing()?;
    tokio::time::sleep_until(end.into()).await;
    let computing = server.computing()? - before;

    let mut latencies = Vec::new();
    let mut acknowledged = 0;
    while let Some(seen) = tasks.join_next().await {
        let seen = seen??;
        latencies.extend(seen.latencies);
        acknowledged += seen.acknowledged;
    }
    ensure!(!latencies.is_empty(), "nothing was answered in time");
    latencies.sort_unstable();
    let events = acknowledged * call.events();
    Ok(Row { call, connections, time, latencies, computing, events })
}

/// Asks until `end`. With an interval, a request that could not be sent when it was due, because the
/// one before it was slow, took as long as it was waited for.
async fn ask_on(
    call: Call,
    mut client: Client,
    mut connection: Connection,
    turn: Option<(Duration, Duration)>,
    begin: Instant,
    end: Instant,
) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut due = Instant::now() + turn.map_or(Duration::ZERO, |(_, offset)| offset);
    loop {
        let request = client.next();
        let mut asked = Instant::now();
        if let Some((interval, _)) = turn {
            if due > asked {
                tokio::time::sleep_until(due.into()).await;
                asked = Instant::now(); // timers have milliseconds: what they are late is not the server's
            } else {
                asked = due;
            }
            due += interval;
        }
        if asked >= end {
            return Ok(seen);
        }
        let answer = connection.ask(&request).await?;
        let text = || String::from_utf8_lossy(answer.body);
        ensure!(answer.status == 200, "{} {}", answer.status, text());
        // A rejected event is a 200, too; the counters would tell, but not why.
        ensure!(!text().contains("\"rejected\""), "{}", text());
        let answered = Instant::now();
        seen.acknowledged += u64::from(call.events() > 0);
        if asked >= begin && answered <= end {
            seen.latencies.push((answered - asked).as_micros() as u32);
        }
    }
}

impl Row {
    pub(crate) const HEAD: &'static str = "call               connections  requests/s    events/s  p50 ms  \
                                    p99 ms  p99.9 ms  server µs/request";

    fn percentile(&self, of: f64) -> f64 {
        let place = (self.latencies.len() as f64 * of).ceil() as usize;
        f64::from(self.latencies[place.clamp(1, self.latencies.len()) - 1]) / 1_000.0
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = self.latencies.len() as f64;
        let rate = requests / self.time.as_secs_f64();
        write!(
            f,
            "{:<18} {:>11} {:>11.0} {:>11.0} {:>7.2} {:>7.2} {:>9.2} {:>18.1}",
            format!("{:?}", self.call),
            self.connections,
            rate,
            rate * self.call.events() as f64,
            self.percentile(0.5),
            self.percentile(0.99),
            self.percentile(0.999),
            self.computing.as_micros() as f64 / requests,
        )
    }
}
