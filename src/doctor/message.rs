//! The real test: one message to one upstream, as a client of the gateway would send it there, and what became of it.

use super::clean::Cleaner;
use super::detail::Detail;
use super::diagnosis;
use super::findings::{self, Finding, Severity};
use super::model::Choice;
use super::reply::{self, Verdict};
use super::sample;
use crate::config::fingerprint::KeyFingerprint;
use crate::config::secret::Secret;
use crate::gateway::{self, Field, Reply, Sent, Snapshot, Tried};
use gateway_core::language::Words;
use gateway_core::redact::{MASK, is_secret_name};
use gateway_core::usage::summary::Tokens;
use pingora::connectors::http::Connector;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// Longest time for the message and its answer: a relay that thinks for longer over one token is not well.
const WITHIN: Duration = Duration::from_secs(120);
/// Most fields of an answer that are told.
const MOST_FIELDS: usize = 64;
/// Billionths of a dollar in one.
const NANO: f64 = 1e9;

/// What is to be sent, and where.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// The configuration in force.
    pub snapshot: Arc<Snapshot>,
    /// The place of the upstream there.
    pub destination: usize,
    /// The place of the upstream's own key that it goes out with, if it has any.
    pub key: Option<usize>,
    /// The key of a client, for an upstream that has none.
    pub client_key: Option<Secret>,
    /// The model.
    pub choice: Choice,
}

/// What became of a message.
#[derive(Debug, Serialize)]
pub(crate) struct Message {
    /// The key that it went out with: its name, or else its fingerprint; `None` if rules alone give one.
    pub key: Option<String>,
    /// The model that was asked.
    pub model: String,
    /// The status of the answer.
    pub status: Option<u16>,
    /// How long it took.
    pub times: Times,
    /// What went out, without secrets.
    pub sent: Sent,
    /// What came, without secrets; `None` if nothing did.
    pub came: Option<Came>,
    /// What it means.
    pub finding: Finding,
}

/// Times from its beginning, and of its steps, in milliseconds; `None` for what was not reached, or is not known.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Times {
    /// To look its name up, as that was measured on the way before.
    pub dns_ms: Option<f64>,
    /// To connect: name, TCP and outbound proxy.
    pub connect_ms: Option<f64>,
    /// For the TLS handshake.
    pub tls_ms: Option<f64>,
    /// From the beginning to the head of the answer.
    pub first_byte_ms: Option<f64>,
    /// From the beginning to the first piece of content.
    pub first_token_ms: Option<f64>,
    /// All of it.
    pub total_ms: f64,
}

/// What came.
#[derive(Debug, Serialize)]
pub(crate) struct Came {
    /// Its fields, without those that may be secrets.
    pub headers: Vec<Field>,
    /// The type that its error has.
    pub error_type: Option<String>,
    /// What its error says, or the page that came instead.
    pub error_message: Option<String>,
    /// The model that it names.
    pub model: Option<String>,
    /// Why it ended.
    pub stop_reason: Option<String>,
    /// Its tokens, as the upstream counts them.
    pub tokens: Option<ShownTokens>,
    /// What they cost, in dollars, if the model has a price.
    pub cost: Option<f64>,
}

/// Tokens by their kind.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ShownTokens {
    pub input: u64,
    pub output: u64,
    pub cache_write: u64,
    pub cache_read: u64,
}

impl From<Tokens> for ShownTokens {
    fn from(tokens: Tokens) -> Self {
        let Tokens { input, output, cache_write, cache_read, .. } = tokens;
        Self { input, output, cache_write, cache_read }
    }
}

impl Message {
    /// Whether there was an answer.
    pub(crate) fn is_good(&self) -> bool {
        self.finding.severity != Severity::Problem
    }
}

/// Sends one; what became of it, and the same in a line.
///
/// # Errors
/// When it cannot be made.
pub(super) async fn send(
    connector: &Connector,
    question: &Question,
    cleaner: &Cleaner,
) -> Result<(Message, Detail), Words> {
    let client_key = question.client_key.as_ref().map(Secret::expose);
    let (head, body) = sample::message(&question.choice, client_key);
    let to = (question.destination, question.key);
    let tried = gateway::send(connector, Arc::clone(&question.snapshot), to, (&head, body), WITHIN).await?;
    Ok(told(question, tried, cleaner))
}

/// What is told of it.
fn told(question: &Question, tried: Tried, cleaner: &Cleaner) -> (Message, Detail) {
    let key = key_label(question);
    let (model, with) = (question.choice.name.clone(), key.clone().unwrap_or_else(|| "-".to_owned()));
    let millis = |time: Duration| (time.as_secs_f64() * 10_000.0).round() / 10.0;
    let first_token = tried.came.as_ref().ok().and_then(|reply| reply.summary.as_ref()?.first_token);
    let times = Times {
        dns_ms: None,
        connect_ms: tried.connect.map(millis),
        tls_ms: tried.tls.map(millis),
        first_byte_ms: tried.first_byte.map(millis),
        first_token_ms: first_token.map(millis),
        total_ms: millis(tried.total),
    };
    let (status, came, finding, detail) = match &tried.came {
        Ok(reply) => {
            let finding = finding(reply, &model);
            let status = u64::from(reply.status);
            let detail = match finding.severity {
                Severity::Problem => {
                    let said = cleaner.line(&reply::message(reply));
                    Detail::MessageFailed { model: model.clone(), key: with, status, said }
                }
                _ => Detail::MessageAnswered { model: model.clone(), key: with, status },
            };
            (Some(reply.status), Some(came(reply, tried.cost, &finding, cleaner)), finding, detail)
        }
        Err(fault) => {
            let detail = Detail::MessageLost { model: model.clone(), key: with, said: fault.words() };
            (None, None, diagnosis::of_fault(fault), detail)
        }
    };
    (Message { key, model, status, times, sent: tried.sent, came, finding }, detail)
}

/// What the key is called that the message goes out with.
pub(super) fn key_label(question: &Question) -> Option<String> {
    let upstream = &question.snapshot.upstreams[question.destination];
    let own = question.key.and_then(|at| upstream.keys.get(at)).map(|key| key.label.to_string());
    let of_client = || question.client_key.as_ref().map(|key| KeyFingerprint::of(key.expose().as_bytes()).to_string());
    own.or_else(of_client)
}

fn finding(reply: &Reply, asked: &str) -> Finding {
    match reply::verdict(reply) {
        Verdict::Answered => {
            let model = reply.summary.as_ref().and_then(|summary| summary.model.as_deref());
            match model.is_none_or(|model| is_same_model(model, asked)) {
                true => findings::ANSWERED,
                false => findings::OTHER_MODEL,
            }
        }
        Verdict::Cut => findings::BROKE_OFF,
        Verdict::Error(finding) | Verdict::NoMessage(finding) => finding,
    }
}

/// Whether two names are those of one model: dates, and what providers put before a name, are no difference.
fn is_same_model(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
    one.contains(&other) || other.contains(&one)
}

fn came(reply: &Reply, cost: Option<u64>, finding: &Finding, cleaner: &Cleaner) -> Came {
    let line = |text: &str| cleaner.line(text);
    let headers = reply.headers.iter().take(MOST_FIELDS).map(|(name, value)| Field {
        name: name.as_str().to_owned(),
        value: match is_secret_name(name.as_str()) {
            true => MASK.to_owned(),
            false => line(&String::from_utf8_lossy(value.as_bytes())),
        },
    });
    let is_bad = finding.severity == Severity::Problem;
    let summary = reply.summary.as_ref();
    Came {
        headers: headers.collect(),
        error_type: reply::error_type(reply).filter(|_| is_bad).as_deref().map(line),
        error_message: is_bad.then(|| line(&reply::message(reply))),
        model: summary.and_then(|summary| summary.model.as_deref()).map(line),
        stop_reason: summary.and_then(|summary| summary.stop_reason.as_deref()).map(line),
        tokens: summary.and_then(|summary| summary.tokens).map(ShownTokens::from),
        cost: cost.map(|nano| nano as f64 / NANO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_by_a_longer_name_is_the_same_one() {
        for (answered, asked, same) in [
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5", true),
            ("claude-opus-5-5", "anthropic/Claude-Opus-5-5", true),
            ("claude-haiku-4-5", "claude-opus-5-5", false),
        ] {
            assert_eq!(is_same_model(answered, asked), same, "{answered} {asked}");
        }
    }
}
