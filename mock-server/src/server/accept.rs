//! Who gets a connection: as many as there is room for. Where there is none left, those go that have
//! been idle, the oldest first.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::converse::Host;
use super::wire::Phase;
use crate::api::limits::Peer;

/// How long calls under way may go on when the server is stopped.
const FAREWELL: Duration = Duration::from_secs(5);
/// How many may wait to be accepted: what Linux allows. Of more than that some would try again only
/// after a second.
const BACKLOG: u32 = 4096;
/// How long to wait when the process has no file descriptor left.
const BREATHER: Duration = Duration::from_millis(50);

/// Begins to listen, as [`TcpListener::bind`] does, but lets more wait.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that is started again need not wait for the last one's connections to be forgotten.
    // (On Windows it would mean that two may have the port.)
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts and serves connections until the host has ended.
pub(super) async fn serve(listener: TcpListener, host: Host, max_connections: usize) {
    let mut ended = host.ended.clone();
    let mut connections = Connections::default();
    loop {
        if connections.tasks.len() >= max_connections {
            connections.make_room().await;
        }
        host.market.world.metrics.set_connections(connections.tasks.len());
        let is_full = connections.tasks.len() >= max_connections; // and all of them are busy
        tokio::select! {
            accepted = listener.accept(), if !is_full => match accepted {
                Ok((stream, address)) => connections.begin(&host, stream, Peer(address.ip())),
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    connections.make_room().await;
                    tokio::time::sleep(BREATHER).await;
                }
            },
            Some(_) = connections.tasks.join_next() => {} // or the set would grow with each connection
            _ = ended.changed() => break,
        }
    }
    drop(listener);
    let Connections { mut tasks, .. } = connections;
    let all_done = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(FAREWELL, all_done).await;
    tasks.shutdown().await;
}

#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    /// The oldest first; among them some that have ended.
    by_age: VecDeque<(AbortHandle, Arc<Phase>)>,
}

impl Connections {
    fn begin(&mut self, host: &Host, stream: TcpStream, peer: Peer) {
        let phase = Arc::new(Phase::default());
        let task = self.tasks.spawn(host.clone().converse(stream, peer, phase.clone()));
        self.by_age.push_back((task, phase));
        if self.by_age.len() > 2 * self.tasks.len() {
            self.by_age.retain(|(task, _)| !task.is_finished());
        }
    }

    /// Closes the older half of the connections that are idle.
    async fn make_room(&mut self) {
        self.by_age.retain(|(task, _)| !task.is_finished());
        let idle = self.by_age.iter().filter(|(_, phase)| phase.is_idle());
        let older_half: Vec<_> = idle.clone().take(idle.count().div_ceil(2)).collect();
        for (task, _) in &older_half {
            task.abort();
        }
        // Each of them ends as soon as it gets its turn; others that end make room just as well.
        for _ in 0..older_half.len() {
            let _ended = self.tasks.join_next().await;
        }
    }
}
