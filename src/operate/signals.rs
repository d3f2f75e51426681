//! The signals that the gateway obeys.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that the gateway obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// SIGHUP
    Reload,
    /// SIGQUIT
    HandOver,
    /// SIGTERM
    Stop,
    /// SIGINT
    StopNow,
    /// SIGUSR1
    Reopen,
}

/// All of them; from its making on they have no other effect.
pub(super) struct Signals([(Told, Signal); 5]);

impl Signals {
    /// Begins to listen, on the present runtime.
    ///
    /// # Errors
    /// When one of them cannot be listened to.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self([
            (Told::Reload, signal(SignalKind::hangup())?),
            (Told::HandOver, signal(SignalKind::quit())?),
            (Told::Stop, signal(SignalKind::terminate())?),
            (Told::StopNow, signal(SignalKind::interrupt())?),
            (Told::Reopen, signal(SignalKind::user_defined1())?),
        ]))
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Told {
        std::future::poll_fn(|context| {
            for (told, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*told);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}
