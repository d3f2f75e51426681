//! Secrets in all the forms in which another side may repeat them, and where those stand in a text.

use super::decode::Layer;
use super::{SHORTEST, Secrets, shapes, standard};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem;
use std::ops::Range;

/// Layers of escapes that are taken away.
const LAYERS: usize = 4;
/// A request with more secrets, or with more bytes of them, leaves no text: to look for all of them would take too long.
const MOST: usize = 128;
const MOST_BYTES: usize = 16 * 1024;
/// What was cut off may have begun with a secret: from this length on its beginning goes.
const SHORTEST_BEGINNING: usize = 3;
/// A beginning in the middle of a text goes if it is at least so long, and half of the secret.
const SHORTEST_PART: usize = 12;
/// How often a text may be compared with secrets, as a multiple of its length.
const EFFORT: usize = 256;

/// Secrets in the forms that are looked for.
#[derive(Debug, Default)]
pub struct Needles {
    needles: Vec<Needle>,
    is_too_many: bool,
}

struct Needle {
    /// In the standard alphabet of Base64; one that is not coded in lower case.
    bytes: Vec<u8>,
    /// A coded secret shares its outermost characters with its neighbours, and upper and lower case differ in it.
    is_coded: bool,
}

impl std::fmt::Debug for Needle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Needle")
    }
}

impl Needles {
    /// Those of a request, within bounds.
    pub fn of_request(secrets: &Secrets<'_>) -> Self {
        let bytes: usize = secrets.iter().map(|secret| secret.len()).sum();
        if secrets.iter().len() > MOST || bytes > MOST_BYTES {
            return Self { needles: Vec::new(), is_too_many: true };
        }
        Self::new(secrets)
    }

    /// Those of the configuration, which has bounds of its own.
    pub fn new(secrets: &Secrets<'_>) -> Self {
        let mut all = Self::default();
        for secret in secrets.iter() {
            all.add(secret.to_vec(), false);
            // As texts show bytes that are no UTF-8, and as those who take them for Latin-1 do.
            if !secret.is_ascii() {
                all.add(String::from_utf8_lossy(secret).into_owned().into_bytes(), false);
                all.add(secret.iter().map(|&byte| char::from(byte)).collect::<String>().into_bytes(), false);
            }
            // Behind all escapes of a text, those of the secret are gone too.
            if secret.contains(&b' ') {
                all.add(secret.iter().map(|&byte| if byte == b' ' { b'+' } else { byte }).collect(), false);
            }
            let mut layer = Layer::of(secret);
            for _ in 0..LAYERS {
                let Some(decoded) = layer.decoded() else { break };
                layer = decoded;
                all.add(layer.bytes.clone(), false);
            }
            for offset in 0..3 {
                all.add(coded(secret, offset), true);
            }
        }
        all
    }

    fn add(&mut self, bytes: Vec<u8>, is_coded: bool) {
        let mut bytes: Vec<u8> = bytes.into_iter().map(standard).collect();
        if !is_coded {
            bytes.make_ascii_lowercase();
        }
        if bytes.len() >= SHORTEST && !self.needles.iter().any(|known| known.bytes == bytes) {
            self.needles.push(Needle { bytes, is_coded });
        }
    }
}

/// The characters that stand for a secret in Base64, whatever is before and behind it, when `offset` bytes of the group of
/// three are before it.
fn coded(secret: &[u8], offset: usize) -> Vec<u8> {
    let padded: Vec<u8> = std::iter::repeat_n(0, offset).chain(secret.iter().copied()).collect();
    let text = STANDARD_NO_PAD.encode(&padded);
    let (first, end) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
    text.as_bytes().get(first..end).unwrap_or_default().to_vec()
}

/// The places in `text` of these secrets, and of what looks like one; `is_cut` says whether the text goes on where it ends.
/// They are in order, and none overlaps another.
pub fn find(text: &[u8], needles: &[&Needles], is_cut: bool) -> Vec<Range<usize>> {
    if needles.iter().any(|needles| needles.is_too_many) {
        return whole(text);
    }
    let mut effort = EFFORT * (text.len() + 1024);
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut layer = Layer::of(text);
    for _ in 0..=LAYERS {
        let place = |at: Range<usize>, places: &[(usize, usize)]| places[at.start].0..places[at.end - 1].1;
        shapes::find(&layer.bytes, |at| {
            if !at.is_empty() {
                found.push(place(at, &layer.places));
            }
        });
        let cased: Vec<u8> = layer.bytes.iter().copied().map(standard).collect();
        let lower = cased.to_ascii_lowercase();
        for needle in needles.iter().flat_map(|needles| &needles.needles) {
            let haystack = if needle.is_coded { &cased } else { &lower };
            let is_done = needle.find(haystack, is_cut, &mut effort, |at| found.push(place(at, &layer.places)));
            if !is_done {
                return whole(text);
            }
        }
        match layer.decoded() {
            Some(decoded) => layer = decoded,
            None => break,
        }
    }
    joined(found)
}

impl Needle {
    /// Calls `found` with each place; `false` if that would take too long.
    fn find(&self, haystack: &[u8], is_cut: bool, effort: &mut usize, mut found: impl FnMut(Range<usize>)) -> bool {
        let whole = self.bytes.len();
        let begins = if whole <= SHORTEST_PART { whole } else { SHORTEST_PART.max(whole / 2) };
        let finder = memmem::Finder::new(&self.bytes[..begins]);
        let mut from = 0;
        while let Some(at) = finder.find(&haystack[from..]) {
            let at = from + at;
            let same = common(&haystack[at..], &self.bytes);
            found(self.with_edges(haystack, at..at + same));
            *effort = effort.saturating_sub(same);
            if *effort == 0 {
                return false;
            }
            from = at + 1;
        }
        let least = match (is_cut, self.is_coded) {
            (true, _) => SHORTEST_BEGINNING,
            (false, false) => SHORTEST,
            (false, true) => SHORTEST_PART,
        };
        let most = (whole - 1).min(haystack.len());
        let begun = (least..=most).rev().find(|&length| haystack.ends_with(&self.bytes[..length]));
        if let Some(length) = begun {
            found(self.with_edges(haystack, haystack.len() - length..haystack.len()));
        }
        true
    }

    /// A coded secret goes with the characters that it shares.
    fn with_edges(&self, haystack: &[u8], at: Range<usize>) -> Range<usize> {
        let is_code =
            |at: usize| haystack.get(at).is_some_and(|&byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        if !self.is_coded {
            return at;
        }
        let start = at.start.checked_sub(1).filter(|&before| is_code(before)).unwrap_or(at.start);
        start..if is_code(at.end) { at.end + 1 } else { at.end }
    }
}

/// All of a text.
fn whole(text: &[u8]) -> Vec<Range<usize>> {
    std::iter::once(0..text.len()).collect()
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
