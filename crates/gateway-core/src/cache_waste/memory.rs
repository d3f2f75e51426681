//! What the requests of a session's agent left in the cache, and which of them a request goes on with.

use super::checkpoint::{Checkpoint, Prefix, Reply};
use super::loss::Loss;
use super::request::Request;
use super::why::{self, Bond};

/// Most checkpoints of an agent that are remembered.
const MOST: usize = 16;
/// Most of them whose replies are remembered.
const MOST_WITH_REPLIES: usize = 4;
/// Fewer tokens than this are no loss: the API caches none so short, and counts differ by a few.
const LEAST_TOKENS: u64 = 128;

/// What the requests of a session's agent left in the cache, the newest last; bounded.
#[derive(Clone, Debug, Default)]
pub struct Memory(Vec<Checkpoint>);

impl Memory {
    /// Whether a request lost anything, and why; what it left in the cache is remembered.
    pub fn judge(&mut self, request: &Request) -> Option<Loss> {
        let bond = self.bond(request);
        let loss = bond.and_then(|(at, bond)| loss(&self.0[at], bond, request));
        match request.left() {
            Some(left) => {
                // A summary is asked for at the end of a conversation, which then goes on without it.
                if let Some((at, _)) = bond.filter(|_| !request.is_compaction) {
                    self.0[at].is_superseded = true;
                    self.0[at].replies = None;
                }
                self.used(request);
                self.remember(left);
            }
            None => {
                if let Some((at, _)) = bond.filter(|(at, _)| self.0[*at].place != request.place) {
                    self.0[at].detour = Some(request.place.clone());
                }
            }
        }
        loss
    }

    /// Remembers what an earlier request left.
    pub fn remember(&mut self, left: Checkpoint) {
        let at = self.0.partition_point(|known| known.used_ms <= left.used_ms);
        self.0.insert(at, left);
        if self.0.len() > MOST {
            // Of what nothing went on with, something may yet.
            let oldest = self.0.iter().position(|known| known.is_superseded).unwrap_or_default();
            self.0.remove(oldest);
        }
        let with_replies = self.0.iter_mut().rev().filter(|known| known.replies.is_some());
        with_replies.skip(MOST_WITH_REPLIES).for_each(|known| known.replies = None);
    }

    /// What a request read of earlier ones lives on as if they had been made just now.
    fn used(&mut self, request: &Request) {
        let (read, sent) = (request.cache.read, request.went_out());
        for known in &mut self.0 {
            let is_read = known.tokens <= read && known.place == request.place && known.model == request.model;
            if is_read && sent.begins_with(&known.prompt.sent) {
                known.used_ms = known.used_ms.max(request.answered_ms);
            }
        }
        self.0.sort_by_key(|known| known.used_ms);
    }

    /// The checkpoint that a request is to be compared with, and how it goes on from there.
    fn bond(&self, request: &Request) -> Option<(usize, Bond)> {
        let goes_on = self.goes_on(request);
        let known_blocks = goes_on.map_or(0, |at| self.0[at].prompt.came.blocks);
        let edited = self.last(|known| is_edited(known, known_blocks, request));
        if let Some(at) = edited.filter(|at| Some(*at) != goes_on) {
            let is_by_summary = request.was_just_compacted || request.is_compacted && goes_on.is_none();
            return Some((at, if is_by_summary { Bond::Compacted } else { Bond::Edited }));
        }
        let compacted = || {
            let at = self.last(|known| !known.is_superseded && has_same_head(&known.prompt.came, &request.came.prefix));
            at.filter(|_| request.is_compacted || request.was_just_compacted).map(|at| (at, Bond::Compacted))
        };
        goes_on.map(|at| (at, Bond::GoesOn)).or_else(compacted)
    }

    /// The last one with most of the request's messages, if it is one of the same conversation: a title is asked for with the
    /// same first message.
    fn goes_on(&self, request: &Request) -> Option<usize> {
        let begun = self.0.iter().enumerate().filter(|(_, known)| request.came.begins_with(&known.prompt.came));
        let is_same = |known: &Checkpoint| {
            request.replies.are_within(known.prompt.came.blocks)
                || has_same_head(&known.prompt.came, &request.came.prefix)
        };
        begun
            .filter(|(_, known)| is_same(known))
            .max_by_key(|(at, known)| (known.prompt.came.blocks, *at))
            .map(|(at, _)| at)
    }

    fn last(&self, is_it: impl Fn(&Checkpoint) -> bool) -> Option<usize> {
        self.0.iter().rposition(is_it)
    }
}

/// Whether tools or system are the same, or there are none.
fn has_same_head(one: &Prefix, other: &Prefix) -> bool {
    let none = |prefix: &Prefix| prefix.tools == 0 && prefix.system == 0;
    let same = |one: u64, other: u64| one == other && one != 0;
    same(one.tools, other.tools) || same(one.system, other.system) || none(one) && none(other)
}

/// Whether what the model had said by then comes back in the request, behind other messages than it was said after.
fn is_edited(known: &Checkpoint, known_blocks: u32, request: &Request) -> bool {
    if known.is_superseded
        || known.prompt.came.blocks <= known_blocks
        || !has_same_head(&known.prompt.came, &request.came.prefix)
    {
        return false;
    }
    let mut further = request.replies.behind(known_blocks);
    match &known.replies {
        Some(replies) => further.any(|reply| {
            let is_the_one = |known: &Reply| known.said == reply.said;
            replies.iter().any(is_the_one) && !replies.contains(reply)
        }),
        // Nobody knows what was said: a conversation that is as long is taken for the same one.
        None => {
            known_blocks == 0
                && further.next().is_some()
                && request.came.prefix.blocks >= known.prompt.came.blocks
                && !request.is_compacted
        }
    }
}

fn loss(known: &Checkpoint, bond: Bond, request: &Request) -> Option<Loss> {
    // What is being written by another request can be read only when that one is answered.
    if request.began_ms < known.used_ms {
        return None;
    }
    let tokens = known.tokens.saturating_sub(request.cache.read).min(request.cache.written);
    let (cause, detail) = why::why(known, bond, request);
    (tokens >= LEAST_TOKENS).then_some(Loss { cause, detail, tokens })
}
