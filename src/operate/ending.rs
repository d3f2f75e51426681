//! How the process ends, and what tells Pingora that it does.

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use std::sync::mpsc::SyncSender;
use tokio::sync::Mutex;
use tokio::sync::oneshot::Receiver;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was told to, and all is done.
    InOrder,
    /// What serves has ended by itself.
    Fault,
}

/// See [`Supervisor::end_guard`](super::Supervisor::end_guard).
pub(crate) struct EndGuard(pub(super) SyncSender<End>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        let _ = self.0.try_send(End::Fault);
    }
}

/// What Pingora asks; nobody answers a second time.
pub(super) struct Asked(pub(super) Mutex<Option<Receiver<ShutdownSignal>>>);

#[async_trait]
impl ShutdownSignalWatch for Asked {
    async fn recv(&self) -> ShutdownSignal {
        let mut asked = self.0.lock().await;
        match &mut *asked {
            Some(asked) => asked.await.unwrap_or(ShutdownSignal::FastShutdown),
            None => std::future::pending().await,
        }
    }
}
