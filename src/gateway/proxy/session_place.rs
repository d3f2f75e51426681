//! Where the session of a request is from now on.

use super::context::Context;
use crate::upstream::Upstream;
use crate::upstream::clock::now_ms;
use crate::upstream::sessions::SessionPlace;

/// A session that had to leave its own upstream, or its key there, and was served here, stays here from now on.
pub(super) fn keep(context: &Context, here: usize) {
    let (snapshot, sender, group) = (&context.snapshot, context.arrival.identity.together, context.group());
    let upstream = &snapshot.upstreams[here];
    let has_several = upstream.remembers_sessions();
    if group.len() < 2 && !has_several {
        return;
    }
    let Some(home) = context.routing.home else { return };
    let has_moved = !context.routing.tried.is_empty() || context.routing.is_home_down;
    let key = context.key().filter(|_| has_several);
    // Where it was at an upstream that is there no more, nothing is known of it.
    let is_there = |known: &SessionPlace| group.iter().any(|&at| snapshot.upstreams[at].seed == known.seed);
    let remembered = snapshot.affinity.place_of(sender);
    let known = remembered.filter(is_there);
    let is_elsewhere = match known {
        // Where a session is that began a while ago, says nothing of where a new one would be.
        Some(known) if upstream.steering.is_some() => known.has_moved || known.seed != upstream.seed,
        _ => home != here,
    };
    let place = SessionPlace { seed: upstream.seed, key: key.map(|key| key.seed), has_moved: is_elsewhere };
    match known {
        // One that only had no room for a moment is still its own.
        Some(known) if known.seed != place.seed && !has_moved => {}
        None if home != here && !has_moved => {}
        Some(known)
            if (known.seed, known.has_moved) == (place.seed, place.has_moved)
                && is_used(upstream, known.key, context) => {}
        _ if home == here && !has_several => {
            if remembered.is_some() {
                snapshot.affinity.move_home(sender);
            }
        }
        _ => snapshot.affinity.move_to(sender, place),
    }
}

/// Whether a session goes on with the key that this stands for: it is still there, and was not left in vain. One that only
/// had no room for a moment is still its own.
fn is_used(upstream: &Upstream, key: Option<u64>, context: &Context) -> bool {
    let Some(seed) = key else { return !upstream.config.has_key_pool() };
    let own = upstream.keys.all().iter().find(|key| key.seed == seed);
    own.is_some_and(|own| own.is_usable(now_ms())) && context.routing.keys_tried.is_empty()
}
