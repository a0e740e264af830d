use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::BoxFuture;

/// Everything that happens in one run, on one thread. Which of the tasks that can go on goes on next
/// is left to chance; time passes only when none can.
pub struct Simulation(Arc<World>);

impl Simulation {
    /// A world in which nothing has happened yet.
    pub fn new(seed: u64) -> Self {
        Simulation(Arc::new(World {
            state: Mutex::new(State {
                now: Duration::ZERO,
                chance: Rng::with_seed(seed),
                tasks: BTreeMap::new(),
                timers: BTreeMap::new(),
                names: MAIN,
                processes: 0,
                doomed: BTreeMap::new(),
            }),
            ready: Mutex::default(),
        }))
    }

    /// Runs until `main` is done, and whatever was spawned along with it.
    ///
    /// # Panics
    /// When `main` waits for something that will never happen: nothing can go on, and nobody sleeps.
    pub fn run<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        let waker = self.0.waker(MAIN);
        waker.wake_by_ref();
        loop {
            match self.0.next_ready() {
                Some(ready) if ready.task == MAIN => {
                    let polled = main.as_mut().poll(&mut Context::from_waker(&waker));
                    if let Poll::Ready(value) = polled {
                        return value;
                    }
                }
                Some(ready) => self.0.poll(ready.task),
                None => assert!(self.0.pass_time(), "everybody waits, and nothing will happen"),
            }
        }
    }

    /// How much time has passed in it.
    pub fn now(&self) -> Duration {
        self.0.now()
    }

    /// How many tasks have not ended.
    #[cfg(test)]
    pub(crate) fn tasks(&self) -> usize {
        self.0.state().tasks.len()
    }

    pub(super) fn world(&self) -> Arc<World> {
        self.0.clone()
    }
}

impl Drop for Simulation {
    /// Tasks hold their host, which holds the world, which holds the tasks.
    fn drop(&mut self) {
        let mut state = self.0.state();
        let ended = (std::mem::take(&mut state.tasks), std::mem::take(&mut state.doomed));
        drop(state);
        drop(ended);
    }
}

type TaskId = u64;

/// The future that is run.
const MAIN: TaskId = 0;

pub(super) struct World {
    state: Mutex<State>,
    /// What was woken and not polled since.
    ready: Mutex<Vec<Arc<Ready>>>,
}

struct State {
    now: Duration,
    chance: Rng,
    tasks: BTreeMap<TaskId, Task>,
    /// By when they end, and in which order they were set.
    timers: BTreeMap<Timer, Waker>,
    /// The last name that was given to a task or timer.
    names: u64,
    /// How many processes there have been.
    processes: u32,
    /// Those that die when they have been polled so many more times, and what comes before.
    doomed: BTreeMap<u32, Doom>,
}

struct Doom {
    polls_left: u64,
    first: Box<dyn FnOnce() + Send>,
}

type Timer = (Duration, u64);

struct Task {
    process: u32,
    /// None while it is polled.
    future: Option<BoxFuture<'static, ()>>,
    waker: Waker,
}

/// A task's turn.
struct Ready {
    task: TaskId,
    world: Weak<World>,
    queued: AtomicBool,
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        if let Some(world) = self.world.upgrade()
            && !self.queued.swap(true, Ordering::Relaxed)
        {
            world.ready().push(self);
        }
    }
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(&self) -> MutexGuard<'_, Vec<Arc<Ready>>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waker(self: &Arc<Self>, task: TaskId) -> Waker {
        let world = Arc::downgrade(self);
        Arc::new(Ready { task, world, queued: AtomicBool::new(false) }).into()
    }

    pub(super) fn now(&self) -> Duration {
        self.state().now
    }

    pub(super) fn random(&self, bytes: &mut [u8]) {
        self.state().chance.fill(bytes);
    }

    pub(super) fn begin_process(&self) -> u32 {
        let mut state = self.state();
        state.processes += 1;
        state.processes
    }

    pub(super) fn end_process(&self, process: u32) {
        let mut state = self.state();
        let doom = state.doomed.remove(&process);
        let of_process = |_: &TaskId, task: &mut Task| task.process == process;
        let ended: Vec<Task> = state.tasks.extract_if(.., of_process).map(|e| e.1).collect();
        drop(state);
        drop((doom, ended)); // not while the world is held: a task's end may ask it for something
    }

    /// Ends the process when one of its tasks has been polled so many more times.
    pub(super) fn doom(&self, process: u32, polls: u64, first: Box<dyn FnOnce() + Send>) {
        self.state().doomed.insert(process, Doom { polls_left: polls, first });
    }

    /// What comes before the end of a process whose last poll this was.
    fn last_poll(&self, process: u32) -> Option<Box<dyn FnOnce() + Send>> {
        let mut state = self.state();
        let doom = state.doomed.get_mut(&process)?;
        doom.polls_left = doom.polls_left.saturating_sub(1);
        if doom.polls_left > 0 {
            return None;
        }
        state.doomed.remove(&process).map(|doom| doom.first)
    }

    pub(super) fn spawn(self: &Arc<Self>, process: u32, future: BoxFuture<'static, ()>) {
        let mut state = self.state();
        let id = state.name();
        let waker = self.waker(id);
        let task = Task { process, future: Some(future), waker: waker.clone() };
        state.tasks.insert(id, task);
        drop(state);
        waker.wake();
    }

    fn next_ready(&self) -> Option<Arc<Ready>> {
        let mut ready = self.ready();
        if ready.is_empty() {
            return None;
        }
        let next = self.state().chance.usize(..ready.len());
        let next = ready.swap_remove(next);
        next.queued.store(false, Ordering::Relaxed);
        Some(next)
    }

    fn poll(&self, id: TaskId) {
        let taken = self
            .state()
            .tasks
            .get_mut(&id)
            .and_then(|task| Some((task.future.take()?, task.waker.clone(), task.process)));
        let Some((mut future, waker, process)) = taken else { return };
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let mut state = self.state();
        let ended = match state.tasks.get_mut(&id) {
            Some(task) if polled.is_pending() => {
                task.future = Some(future);
                None
            }
            // It is done, or has ended its own process.
            _ => Some((state.tasks.remove(&id), future)),
        };
        drop(state);
        drop(ended);
        if let Some(first) = self.last_poll(process) {
            first();
            self.end_process(process);
        }
    }

    /// Goes to when the next sleepers wake up, if there are any.
    fn pass_time(&self) -> bool {
        let mut state = self.state();
        let Some((&(next, _), _)) = state.timers.first_key_value() else { return false };
        // Who was set to sleep, and begins when that time is over, sleeps no more: time does not go back.
        state.now = state.now.max(next);
        let later = state.timers.split_off(&(next, u64::MAX));
        let awake = std::mem::replace(&mut state.timers, later);
        drop(state);
        awake.into_values().for_each(Waker::wake);
        true
    }
}

impl State {
    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }
}

/// Ends when so much time has passed; at the next turn, if that is none.
pub(super) fn sleep(world: &Arc<World>, duration: Duration) -> Sleep {
    let until = world.now().saturating_add(duration);
    Sleep { world: world.clone(), until, timer: None }
}

pub(super) struct Sleep {
    world: Arc<World>,
    until: Duration,
    timer: Option<Timer>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let world = self.world.clone();
        let mut state = world.state();
        match self.timer {
            // What sleeps has been polled for another reason.
            Some(timer) if state.timers.contains_key(&timer) => {
                state.timers.insert(timer, context.waker().clone());
                Poll::Pending
            }
            Some(_) => Poll::Ready(()),
            None => {
                let timer = (self.until, state.name());
                state.timers.insert(timer, context.waker().clone());
                self.timer = Some(timer);
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.world.state().timers.remove(&timer);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::{join, pending, select};

    use super::super::{SimHost, no_network};
    use super::*;
    use crate::host::Host;

    /// What three tasks do that wait for different times, as it happens.
    fn story(seed: u64) -> Vec<(u64, Duration)> {
        let simulation = Simulation::new(seed);
        let host = SimHost::new(&simulation, None, no_network());
        let told = Arc::new(Mutex::new(Vec::new()));
        for task in 1..=3 {
            let (host, told) = (host.clone(), told.clone());
            let work = async move {
                for round in 0..3 {
                    host.sleep(Duration::from_secs(round * task % 4)).await;
                    told.lock().unwrap().push((task, host.monotonic()));
                }
            };
            let spawner = SimHost::new(&simulation, None, no_network());
            spawner.spawn(work.boxed());
        }
        simulation.run(host.sleep(Duration::from_secs(60)));
        assert_eq!(host.monotonic(), Duration::from_secs(60));
        told.lock().unwrap().clone()
    }

    #[test]
    fn one_seed_is_one_story_and_others_are_others() {
        assert_eq!(story(1), story(1));
        let stories: std::collections::BTreeSet<_> = (0..50).map(story).collect();
        assert!(stories.len() > 10, "{}", stories.len());
        assert!(stories.iter().all(|told| told.is_sorted_by_key(|(_, at)| *at)));
    }

    #[test]
    #[should_panic(expected = "nothing will happen")]
    fn a_wait_that_never_ends_is_found_out() {
        Simulation::new(1).run(pending::<()>());
    }

    #[test]
    fn the_tasks_of_a_process_end_with_it_and_those_of_others_do_not() {
        let simulation = Simulation::new(1);
        let (first, second) = (
            SimHost::new(&simulation, None, no_network()),
            SimHost::new(&simulation, None, no_network()),
        );
        let counted = Arc::new(Mutex::new((0, 0)));
        let count = |host: &Arc<SimHost>, which: fn(&mut (u32, u32)) -> &mut u32| {
            let (own, counted) = (host.clone(), counted.clone());
            host.spawn(Box::pin(async move {
                loop {
                    own.sleep(Duration::from_secs(1)).await;
                    *which(&mut counted.lock().unwrap()) += 1;
                }
            }));
        };
        count(&first, |(first, _)| first);
        count(&second, |(_, second)| second);
        let half = Duration::from_millis(500);
        simulation.run(second.sleep(Duration::from_secs(2) + half));
        first.kill();
        simulation.run(second.sleep(Duration::from_secs(2)));
        assert_eq!(*counted.lock().unwrap(), (2, 4));
    }

    #[test]
    fn a_process_dies_at_the_await_that_it_was_told_and_no_other_does() {
        for polls in 1..10 {
            let simulation = Simulation::new(polls);
            let doomed = SimHost::new(&simulation, None, no_network());
            let other = doomed.another(0, None, no_network());
            let turns = Arc::new(Mutex::new((0, 0, false)));
            for (host, is_doomed) in [(doomed.clone(), true), (other.clone(), false)] {
                let (own, turns) = (host.clone(), turns.clone());
                host.spawn(Box::pin(async move {
                    loop {
                        match is_doomed {
                            true => turns.lock().unwrap().0 += 1,
                            false => turns.lock().unwrap().1 += 1,
                        }
                        own.sleep(Duration::from_secs(1)).await;
                    }
                }));
            }
            let told = turns.clone();
            doomed.kill_after(polls, move || told.lock().unwrap().2 = true);
            simulation.run(other.sleep(Duration::from_millis(20_500)));
            assert_eq!(*turns.lock().unwrap(), (polls, 21, true));
        }
    }

    #[test]
    fn time_does_not_go_back_for_a_sleep_that_begins_late() {
        let simulation = Simulation::new(1);
        let host = SimHost::new(&simulation, None, no_network());
        let late = host.sleep(Duration::from_secs(1));
        simulation.run(host.sleep(Duration::from_secs(5)));
        simulation.run(late);
        assert_eq!(host.monotonic(), Duration::from_secs(5));
    }

    #[test]
    fn a_sleep_that_is_given_up_keeps_nobody_waiting() {
        let simulation = Simulation::new(1);
        let host = SimHost::new(&simulation, None, no_network());
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(100));
        simulation.run(select(host.sleep(short), host.sleep(long)));
        simulation.run(join(host.sleep(short), host.sleep(Duration::ZERO)));
        assert_eq!(host.monotonic(), 2 * short);
        assert!(simulation.world().state().timers.is_empty());
    }
}
