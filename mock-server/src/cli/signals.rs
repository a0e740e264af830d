//! The user, or the system, who asks for the end.

/// Heard from the moment it is made.
pub(super) struct Signals {
    #[cfg(unix)]
    terminated: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupted: tokio::signal::unix::Signal,
}

/// What asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGINT: Ctrl-C, mostly.
    Interrupt,
    /// SIGTERM: a supervisor, mostly.
    #[cfg(unix)]
    Terminate,
}

impl Signals {
    #[cfg(unix)]
    pub(super) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminated = signal(SignalKind::terminate())?;
        Ok(Signals { terminated, interrupted: signal(SignalKind::interrupt())? })
    }

    /// The next one. What is dropped before it is ready loses none.
    #[cfg(unix)]
    pub(super) async fn next(&mut self) -> std::io::Result<Signal> {
        tokio::select! {
            _ = self.interrupted.recv() => Ok(Signal::Interrupt),
            _ = self.terminated.recv() => Ok(Signal::Terminate),
        }
    }

    #[cfg(not(unix))]
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Signals {})
    }

    #[cfg(not(unix))]
    pub(super) async fn next(&mut self) -> std::io::Result<Signal> {
        tokio::signal::ctrl_c().await.map(|()| Signal::Interrupt)
    }
}

impl Signal {
    /// Sends it to a process that this one has started and not yet waited for.
    #[cfg(unix)]
    pub(super) fn send_to(self, process: u32) {
        use rustix::process::{Pid, kill_process};
        let signal = match self {
            Signal::Interrupt => rustix::process::Signal::INT,
            Signal::Terminate => rustix::process::Signal::TERM,
        };
        let process = i32::try_from(process).ok().and_then(Pid::from_raw);
        // One that has ended in the meantime needs none.
        let _ = process.map(|process| kill_process(process, signal));
    }

    /// The console tells all of its processes.
    #[cfg(not(unix))]
    pub(super) fn send_to(self, _process: u32) {}
}

/// Whether Ctrl-C reaches what we start without our doing: a terminal tells all processes of its
/// foreground.
#[cfg(unix)]
pub(super) fn terminal_tells_all() -> bool {
    use std::io::{IsTerminal, stderr, stdin, stdout};
    use std::os::fd::AsFd;

    use rustix::process::getpgrp;
    use rustix::termios::tcgetpgrp;

    let is_ours = |stream: &dyn AsFd| tcgetpgrp(stream.as_fd()).is_ok_and(|it| it == getpgrp());
    (stdin().is_terminal() && is_ours(&stdin()))
        || (stdout().is_terminal() && is_ours(&stdout()))
        || (stderr().is_terminal() && is_ours(&stderr()))
}

#[cfg(not(unix))]
pub(super) fn terminal_tells_all() -> bool {
    true
}
