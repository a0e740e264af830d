//! The marketplace's machine: its process dies and is started again, its facts stay.

use std::sync::{Arc, Mutex, Weak};

use cloudnestle_marketplace::host::sim::{SimHost, no_network};
use cloudnestle_marketplace::host::{Host, Request, Response};
use cloudnestle_mock_server::sim::SimMarket;
use fastrand::Rng;
use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::abortable;

use crate::call::{Call, Working};
use crate::fault::Where;
use crate::store::SimStore;
use crate::world::{World, locked};

/// The URL the marketplace is known by.
pub(crate) const URL: &str = "https://market.test";

pub(crate) struct Server {
    world: Weak<World>,
    pub(crate) store: Arc<SimStore>,
    /// Its clock, which goes on when a process dies.
    pub(crate) machine: Arc<SimHost>,
    process: Mutex<Process>,
    seed: [u8; 24],
}

#[derive(Default)]
struct Process {
    host: Option<Arc<SimHost>>,
    /// When it answers.
    market: Option<SimMarket>,
    openings: u64,
}

/// Why there is no answer of the server's.
pub(crate) enum NoServer {
    /// Nobody listens.
    Down,
    /// The connection broke while the call was served.
    Broken,
}

impl Server {
    pub(crate) fn new(
        world: Weak<World>,
        ether: &SimHost,
        ahead_ms: i64,
        chance: &mut Rng,
    ) -> Server {
        let machine = ether.another(chance.i32(-200..=200), None, no_network());
        machine.move_clock(ahead_ms);
        let mut seed = [0; 24];
        chance.fill(&mut seed);
        Server {
            store: Arc::new(SimStore::new(world.clone())),
            world,
            machine,
            process: Mutex::default(),
            seed,
        }
    }

    /// The marketplace, if it answers.
    pub(crate) fn market(&self) -> Option<SimMarket> {
        locked(&self.process).market.clone()
    }

    /// Starts a process, and waits until it answers; it may die before.
    pub(crate) async fn start(&self) {
        let host = self.machine.another(0, None, no_network());
        let mut seed = [0; 32];
        {
            let mut process = locked(&self.process);
            if process.host.is_some() {
                return; // somebody else was faster
            }
            process.openings += 1;
            process.host = Some(host.clone());
            seed[..24].copy_from_slice(&self.seed);
            seed[24..].copy_from_slice(&process.openings.to_be_bytes());
        }
        let (store, machine) = (self.store.clone(), self.machine.clone());
        let (opened, is_open) = oneshot::channel();
        let opening = async move {
            let market = SimMarket::open(store, URL, move || machine.wall(), seed).await;
            // Nobody waits for it any more if the story is over.
            let _ = opened.send(market);
        };
        host.spawn(opening.boxed());
        match is_open.await {
            Ok(Ok(market)) => {
                if let Some(world) = self.world.upgrade() {
                    world.note("server", format_args!("answers"));
                }
                locked(&self.process).market = Some(market);
            }
            Ok(Err(error)) => {
                if let Some(world) = self.world.upgrade() {
                    world.violated(format!("the marketplace can't be opened: {error}"));
                }
            }
            Err(_died) => {}
        }
    }

    /// Ends the process, and what it was doing.
    pub(crate) fn stop(&self) {
        let Process { host, market, .. } = {
            let mut process = locked(&self.process);
            let openings = process.openings;
            std::mem::replace(&mut *process, Process { openings, ..Process::default() })
        };
        drop(market);
        if let Some(host) = host {
            host.kill();
        }
    }

    /// Ends it without a word; another is started after a while.
    pub(crate) fn die(&self) {
        let Some(world) = self.world.upgrade() else { return };
        world.note("server", format_args!("dies"));
        self.stop();
        let later = world.between(100, 4_000);
        let restarting = world.clone();
        let restart = async move {
            restarting.sleep_ms(later).await;
            restarting.server.start().await;
        };
        world.ether.spawn(restart.boxed());
    }

    /// Has a call served, by a task of the server's own: whoever waits for it may go.
    pub(crate) async fn serve(
        &self,
        call: &Arc<Call>,
        request: Request,
    ) -> Result<Response, NoServer> {
        let up = {
            let process = locked(&self.process);
            process.host.clone().zip(process.market.clone())
        };
        let (Some((host, market)), Some(world)) = (up, self.world.upgrade()) else {
            return Err(NoServer::Down);
        };
        call.is_at(Where::BeforeCommit);
        let presented = world.oracle().presents(call, &request, self.machine.wall());
        let work = Box::pin(market.call(request));
        let (work, handle) = abortable(Working { world: world.clone(), call: call.clone(), work });
        call.is_served_by(handle);
        let (answer, answered) = oneshot::channel();
        let serving = async move {
            if let Ok(response) = work.await {
                // Nobody may wait for it any more.
                let _ = answer.send(response);
            }
        };
        host.spawn(serving.boxed());
        let response = answered.await.map_err(|_| NoServer::Broken)?;
        let happened = world.oracle().answered(presented, &response);
        let Call { id, operation, .. } = &**call;
        match happened {
            Ok(Some(scene)) => world.happened(scene, format_args!("{id} {operation}")),
            Ok(None) => {}
            Err(wrong) => world.violated(format!("{id} {operation}: {wrong}")),
        }
        Ok(response)
    }
}
