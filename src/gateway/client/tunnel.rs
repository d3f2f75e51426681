//! A connection that was upgraded: its bytes go straight through, and only this ends it before its two sides do.

use gateway_core::http1::Refusal;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

/// How often it is asked whether it may go on.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// Whether whoever opened it may still use it.
pub(crate) struct Leave {
    look: Box<dyn Fn() -> Result<(), Refusal> + Send + Sync>,
    ended: OnceLock<Refusal>,
}

impl fmt::Debug for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leave")
    }
}

impl Leave {
    /// As `look` says, which is asked every few seconds.
    pub(crate) fn new(look: impl Fn() -> Result<(), Refusal> + Send + Sync + 'static) -> Self {
        Self { look: Box::new(look), ended: OnceLock::new() }
    }

    /// Asks whether it may go on.
    pub(super) fn is_given(&self) -> bool {
        match (self.look)() {
            Ok(()) => true,
            Err(refusal) => {
                // Only the first time says why.
                let _ = self.ended.set(refusal);
                false
            }
        }
    }

    /// Why it ended, if it was for that.
    pub(crate) fn ended(&self) -> Option<&Refusal> {
        self.ended.get()
    }
}
