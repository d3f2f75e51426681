//! Secrets in all the forms in which another side may repeat them, and where those stand in a text.

use super::coded::{Code, Parts, standard};
use super::decode::Layer;
use super::length::{SHORTEST, SHORTEST_BEGINNING};
use super::pieces::{Pieces, SHORTEST_WHOLE};
use super::{Secrets, shapes};
use memchr::memmem;
use std::ops::Range;

/// Layers of escapes and codes that are taken away.
const LAYERS: usize = 5;
/// Layers of codes among them.
const CODES: usize = 2;
/// A request with more bytes of secrets, or with too many, leaves no text: to look for all of them would take too long.
const MOST_BYTES: usize = 16 * 1024;
/// A beginning in the middle of a text goes if it is at least so long.
const SHORTEST_PART: usize = 12;
/// How many bytes all layers of a text may have together, as a multiple of its own; nothing stays of a text with more.
const EFFORT: usize = 16;
/// Costs of a layer besides its bytes.
const LAYER_EFFORT: usize = 64;
/// So much a text may cost in any case.
const LEAST_EFFORT: usize = 32 * 1024;

/// Secrets in the forms that are looked for.
#[derive(Default)]
pub struct Needles {
    /// In lower case, and in the standard alphabet of Base64.
    needles: Vec<Vec<u8>>,
    /// Of the long ones among them.
    pieces: Pieces,
    is_too_many: bool,
}

impl std::fmt::Debug for Needles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} needles", self.needles.len())
    }
}

impl Needles {
    /// Those of a request, within bounds.
    pub fn of_request(secrets: &Secrets<'_>) -> Self {
        let bytes: usize = secrets.iter().map(|secret| secret.len()).sum();
        if secrets.are_too_many() || bytes > MOST_BYTES {
            return Self { is_too_many: true, ..Self::default() };
        }
        Self::new(secrets)
    }

    /// Those of the configuration, which has bounds of its own.
    pub fn new(secrets: &Secrets<'_>) -> Self {
        let mut all = Self::default();
        for secret in secrets.iter() {
            all.add(secret.to_vec());
            // As texts show bytes that are no UTF-8, and as those who take them for Latin-1 do.
            if !secret.is_ascii() {
                all.add(String::from_utf8_lossy(secret).into_owned().into_bytes());
                all.add(secret.iter().map(|&byte| char::from(byte)).collect::<String>().into_bytes());
            }
            // Behind all escapes of a text, those of the secret are gone too.
            if secret.contains(&b' ') {
                all.add(secret.iter().map(|&byte| if byte == b' ' { b'+' } else { byte }).collect());
            }
            let mut layer = Layer::of(secret);
            for _ in 0..LAYERS {
                let Some(decoded) = layer.decoded(false) else { break };
                all.add(decoded.bytes.to_vec());
                layer = decoded;
            }
        }
        all.pieces = Pieces::of(all.needles.iter().map(Vec::as_slice));
        all
    }

    fn add(&mut self, bytes: Vec<u8>) {
        let bytes = plain(&bytes);
        if bytes.len() >= SHORTEST && !self.needles.contains(&bytes) {
            self.needles.push(bytes);
        }
    }

    /// Calls `found` with each place in a text that is [`plain`]; `is_end` says that it ends where the whole text does, which
    /// goes on there if it `is_cut`.
    fn find(&self, text: &[u8], is_end: bool, is_cut: bool, mut found: impl FnMut(Range<usize>)) {
        self.pieces.find(text, &mut found);
        for needle in &self.needles {
            let is_long = needle.len() >= SHORTEST_WHOLE;
            if !is_long {
                let begins = &needle[..needle.len().min(SHORTEST_PART)];
                for at in memmem::find_iter(text, begins) {
                    found(at..at + common(&text[at..], needle));
                }
            }
            if is_end {
                let least = if is_cut { SHORTEST_BEGINNING } else { SHORTEST };
                // More of a long one is a piece.
                let most = if is_long { SHORTEST_PART } else { needle.len() } - 1;
                let ends = |length: &usize| text.last() == needle.get(length - 1) && text.ends_with(&needle[..*length]);
                let begun = (least..=most.min(text.len())).rev().find(ends);
                begun.into_iter().for_each(|length| found(text.len() - length..text.len()));
            }
        }
    }
}

/// A text as needles are: upper case and the alphabet of Base64 make no difference.
fn plain(text: &[u8]) -> Vec<u8> {
    text.iter().map(|&byte| standard(byte).to_ascii_lowercase()).collect()
}

/// The places in `text` of these secrets, and of what looks like one; `is_cut` says whether the text goes on where it ends.
/// They are in order, and none overlaps another.
///
/// The time grows with the length of the text, which all its layers together exceed no more than [`EFFORT`] times.
pub(super) fn find(text: &[u8], needles: &[&Needles], is_cut: bool) -> Vec<Range<usize>> {
    let is_too_many = needles.iter().any(|needles| needles.is_too_many);
    let left = (EFFORT * text.len()).max(LEAST_EFFORT);
    let mut search = Search { needles, is_cut, end: text.len(), left, found: Vec::new() };
    match !is_too_many && search.look(&Layer::of(text), 0, 0) {
        true => joined(search.found),
        false => std::iter::once(0..text.len()).collect(),
    }
}

/// What is looked for in all layers of a text.
struct Search<'n> {
    needles: &'n [&'n Needles],
    is_cut: bool,
    /// Where the text ends.
    end: usize,
    /// How many bytes may still be looked at.
    left: usize,
    found: Vec<Range<usize>>,
}

impl Search<'_> {
    /// Looks at a layer and at all that is behind it; `layers` and `codes` were taken away before. `false` if that would take
    /// too long.
    fn look(&mut self, layer: &Layer<'_>, layers: usize, codes: usize) -> bool {
        let Some(left) = self.left.checked_sub(layer.bytes.len() + LAYER_EFFORT) else { return false };
        self.left = left;
        let is_end = layer.end() == Some(self.end);
        let is_cut = is_end && self.is_cut;
        let found = &mut self.found;
        let mut add = |at: Range<usize>| {
            if !at.is_empty() {
                found.push(layer.place(at.start).0..layer.place(at.end - 1).1);
            }
        };
        shapes::find(&layer.bytes, &mut add);
        let text = plain(&layer.bytes);
        self.needles.iter().for_each(|needles| needles.find(&text, is_end, is_cut, &mut add));
        if layers == LAYERS {
            return true;
        }
        if layer.decoded(is_cut).is_some_and(|decoded| !self.look(&decoded, layers + 1, codes)) {
            return false;
        }
        codes == CODES
            || Code::ALL.iter().all(|&code| {
                let parts = Parts::of(layer, code, layers == 0, is_cut);
                let mut decoded = (0..code.group()).filter_map(|skipped| parts.decoded(skipped));
                decoded.all(|decoded| self.look(&decoded, layers + 1, codes + 1))
            })
    }
}

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}
