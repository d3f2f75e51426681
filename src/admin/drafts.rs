//! Configurations that are only tried: made of an edit of the overlay as the one in force was of the files, and dropped
//! afterwards.

use super::fault::Fault;
use super::parts::Parts;
use super::refused::Refused;
use crate::gateway::Snapshot;
use std::sync::Arc;

/// What requests would be handled with if this overlay were in force. What is known of upstreams and clients is known to it too.
pub(super) async fn snapshot(parts: &Parts, overlay: String) -> Result<Arc<Snapshot>, Refused> {
    let (live, present) = (Arc::clone(&parts.live), parts.shared.snapshot.load_full());
    let prepared = parts.checks.run(move || {
        let config = live.draft(&overlay).map_err(Refused::Wrong)?;
        Snapshot::after(config, Some(&present)).map_err(|said| Fault::DraftUnusable { said }.into())
    });
    prepared.await?.map(Arc::new)
}
