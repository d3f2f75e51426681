//! The head of a request, to be written down without its secrets when there is time.

use super::{KeptShape, MOST_BYTES, kept};
use crate::prompt_shape::PromptShape;
use crate::redact::{self, MASK, Needles, Secrets, is_secret_name};
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use http::{HeaderMap, Method, Version};
use once_cell::sync::Lazy;
use std::borrow::Cow;
use std::sync::Arc;

/// Longest value that is kept, in bytes.
const LONGEST_VALUE: usize = 1_024;
/// Parts of the names of fields that hold digests of bodies, or say who somebody is.
static IDENTIFYING: Lazy<Option<AhoCorasick>> = Lazy::new(|| {
    let parts = ["digest", "md5", "sha256", "principal", "client-cert"];
    AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(parts).ok()
});

/// The head of a request as it came, with its secrets: nothing of it may be shown but [`KeptHead::kept`].
#[derive(Clone)]
pub struct KeptHead {
    method: Method,
    target: Box<[u8]>,
    version: Version,
    headers: HeaderMap,
    of_config: Arc<Needles>,
}

impl std::fmt::Debug for KeptHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a head of {} bytes", self.bytes())
    }
}

impl KeptHead {
    /// That of a request; `of_config` are the secrets of the configuration. The values are shared, not copied.
    pub fn new(method: &Method, target: &[u8], version: Version, headers: &HeaderMap, of_config: Arc<Needles>) -> Self {
        Self { method: method.clone(), target: target.into(), version, headers: headers.clone(), of_config }
    }

    /// About how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let fields = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64);
        size_of::<Self>() + self.target.len() + fields.sum::<usize>()
    }

    /// What is kept of the request, without secrets; `None` if that is too long, as it can be where very many are masked.
    pub fn kept(&self, shape: &PromptShape) -> Option<String> {
        let head = head_text(&self.method, &self.target, self.version, &self.headers, Some(LONGEST_VALUE));
        let text = kept(&head, shape)?;
        let secrets = Secrets::of_request(&self.headers, &self.target);
        let text = match redact::text(&text, &[&self.of_config, &Needles::of_request(&secrets)], false) {
            Cow::Borrowed(_) => text,
            // Where very much is masked, no dry run can read it.
            Cow::Owned(masked) => Some(masked).filter(|masked| KeptShape::read(masked).is_some())?,
        };
        (text.len() <= MOST_BYTES).then_some(text)
    }
}

/// A head, as a dry run reads it: masks stand for the values of fields with the name of a secret, and of the query; of one
/// that is kept for long also for values that are longer than that, and for those that stand for the prompt or for somebody.
pub fn head_text(
    method: &Method,
    target: &[u8],
    version: Version,
    headers: &HeaderMap,
    longest: Option<usize>,
) -> String {
    let target = String::from_utf8_lossy(target);
    let mut head = format!("{method} {} {version:?}", redact::target(&target));
    for (name, value) in headers {
        let is_kept_out =
            |longest| value.len() > longest || IDENTIFYING.as_ref().is_none_or(|parts| parts.is_match(name.as_str()));
        let is_masked = is_secret_name(name.as_str()) || longest.is_some_and(is_kept_out);
        let value = if is_masked { MASK.into() } else { String::from_utf8_lossy(value.as_bytes()) };
        for part in ["\n", name.as_str(), ": ", &value] {
            head.push_str(part);
        }
    }
    head
}
