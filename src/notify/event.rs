//! What is told: troubles that begin, grow or end, and their words.

use crate::config::notify_target::EventKind;
use gateway_core::both;
use gateway_core::language::{Language, Spelled, Words};
use gateway_core::team::measure::Measure;
use gateway_core::team::notice::Notice;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a trouble is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Subject {
    /// An upstream.
    Upstream(Arc<str>),
    /// All of them.
    AllUpstreams,
    /// A key: the upstream, and what the key is called.
    Key(Arc<str>, Arc<str>),
    /// The balance of a key.
    Balance(Arc<str>, Arc<str>),
    /// What the requests of 24 hours cost.
    Cost,
    /// The prompt cache of a model.
    CacheOfModel(String),
    /// The prompt cache of a session.
    CacheOfSession(String),
    /// The configuration.
    Config,
    /// The request log.
    Log,
    /// The certificate of the TLS listener.
    Certificate,
}

impl Subject {
    /// What its beginning is called.
    pub(super) fn begins(&self) -> EventKind {
        match self {
            Self::Upstream(_) => EventKind::UpstreamDown,
            Self::AllUpstreams => EventKind::AllDown,
            Self::Key(..) => EventKind::KeyDown,
            Self::Balance(..) => EventKind::BalanceLow,
            Self::Cost => EventKind::CostAbove,
            Self::CacheOfModel(_) | Self::CacheOfSession(_) => EventKind::CacheFell,
            Self::Config => EventKind::ConfigRefused,
            Self::Log => EventKind::LogFailing,
            Self::Certificate => EventKind::CertificateEnding,
        }
    }

    /// What its end is called, if that is told, and its words; `lasted` is how long it went on.
    pub(super) fn ends(&self, lasted: Duration) -> Option<(EventKind, Words)> {
        let after = Spelled(Duration::from_secs(lasted.as_secs()));
        Some(match self {
            Self::Upstream(name) => (
                EventKind::UpstreamUp,
                both!("upstream \"{name}\" works again, after {after}", "上游“{name}”已恢复（历时 {after:#}）"),
            ),
            Self::AllUpstreams => (
                EventKind::AllUp,
                both!("requests have an upstream again, after {after}", "又有可用的上游了（历时 {after:#}）"),
            ),
            Self::Key(upstream, key) => (
                EventKind::KeyUp,
                both!(
                    "the key {key} of the upstream \"{upstream}\" is used again, after {after}",
                    "上游“{upstream}”的密钥 {key} 已恢复使用（历时 {after:#}）"
                ),
            ),
            Self::Log => (
                EventKind::LogBack,
                both!("the request log is written again, after {after}", "请求日志已恢复写入（历时 {after:#}）"),
            ),
            Self::Balance(..)
            | Self::Cost
            | Self::CacheOfModel(_)
            | Self::CacheOfSession(_)
            | Self::Config
            | Self::Certificate => {
                return None;
            }
        })
    }

    /// What it names, for programs.
    fn names(&self) -> Map<String, Value> {
        let (key, name) = match self {
            Self::Upstream(name) => ("upstream", &**name),
            Self::CacheOfModel(model) => ("model", model.as_str()),
            Self::CacheOfSession(session) => ("session", session.as_str()),
            Self::Key(upstream, key) | Self::Balance(upstream, key) => {
                let names = [("upstream", upstream), ("key", key)];
                return names.into_iter().map(|(name, value)| (name.to_owned(), (&**value).into())).collect();
            }
            Self::AllUpstreams | Self::Cost | Self::Config | Self::Log | Self::Certificate => return Map::new(),
        };
        Map::from_iter([(key.to_owned(), name.into())])
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trouble {
    /// How bad it is: somebody is told again when it grows.
    pub stage: u64,
    /// What is to be told.
    pub words: Words,
    /// The same for programs.
    pub facts: Map<String, Value>,
}

impl Trouble {
    /// One that does not grow.
    pub(super) fn new(words: Words) -> Self {
        Self { stage: 0, words, facts: Map::new() }
    }

    /// With something for programs.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

/// Something that is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    /// What kind of thing.
    pub kind: EventKind,
    /// When it was seen.
    pub at: SystemTime,
    /// What is told.
    pub words: Words,
    /// The same for programs.
    facts: Map<String, Value>,
}

impl Event {
    /// A trouble that began or grew.
    pub(super) fn beginning(subject: &Subject, trouble: &Trouble, at: SystemTime) -> Self {
        let mut facts = subject.names();
        facts.extend(trouble.facts.clone());
        Self { kind: subject.begins(), at, words: trouble.words.clone(), facts }
    }

    /// One that ended; `None` if that is not told.
    pub(super) fn end(subject: &Subject, lasted: Duration, at: SystemTime) -> Option<Self> {
        let (kind, words) = subject.ends(lasted)?;
        let mut facts = subject.names();
        facts.insert("lasted_ms".to_owned(), u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX).into());
        Some(Self { kind, at, words, facts })
    }

    /// Much of a limit is used.
    pub(super) fn of_limit(notice: &Notice, at: SystemTime) -> Self {
        let Notice { whose, percent, spent, resets } = notice;
        let measure = whose.limit.measure;
        let resets = resets
            .as_ref()
            .and_then(|resets| u64::try_from(resets.at).ok())
            .map(|at| humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(at)).to_string());
        let facts = [
            ("subject", whose.subject.code().into()),
            ("name", whose.name.as_str().into()),
            ("limit", whose.limit.to_string().into()),
            ("percent", (*percent).into()),
            ("used", number(measure, *spent)),
            ("amount", number(measure, i64::try_from(whose.limit.amount).unwrap_or(i64::MAX))),
            ("resets_at", resets.into()),
        ];
        let facts = facts.into_iter().map(|(name, value): (&str, Value)| (name.to_owned(), value));
        Self { kind: EventKind::LimitSpent, at, words: notice.words(), facts: facts.collect() }
    }

    /// For programs.
    pub(super) fn json(&self, language: Language) -> Value {
        let mut json = Map::from_iter([
            ("event".to_owned(), self.kind.name().into()),
            ("at".to_owned(), humantime::format_rfc3339_millis(self.at).to_string().into()),
            ("text".to_owned(), self.words.text(language).into()),
        ]);
        json.extend(self.facts.clone());
        json.into()
    }
}

/// An amount in its measure's own unit: dollars as such.
fn number(measure: Measure, amount: i64) -> Value {
    match measure {
        Measure::Usd => (amount as f64 / 1e9).into(),
        _ => amount.into(),
    }
}
