//! Reads the balance of a key at its relay: through the upstream's own proxy and TLS, within a bound of bytes and time.

use super::Upstream;
use super::clock;
use super::dial::NotConnected;
use super::key_balance::Reading;
use super::keys::Key;
use super::question::{Field, Question, bearer};
use crate::config::balance::{BalanceSource, Custom, Kind};
use gateway_core::balance::{Balance, Subscription, TokenUsage, Units, Unread};
use gateway_core::both;
use gateway_core::language::Words;
use http::{HeaderValue, Method};
use pingora::connectors::http::Connector;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// Time for an answer, to its last byte.
const TIME: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const MOST_BYTES: usize = 64 * 1024;
/// The same of new-api's `/api/status`, which has whatever its operator shows on the first page, such as pictures.
const MOST_STATUS_BYTES: usize = 512 * 1024;
/// By how much the time between two readings varies, so that not all gateways ask at the same moment.
const JITTER: f64 = 0.1;

/// Whether a key of the upstream is to be read now.
pub(crate) fn is_due(upstream: &Upstream, now_ms: u64) -> bool {
    upstream.config.balance.is_some() && due(upstream, now_ms).next().is_some()
}

fn due(upstream: &Upstream, now_ms: u64) -> impl Iterator<Item = &Key> {
    upstream.keys.all().iter().filter(move |key| key.config.is_enabled && key.state.balance.is_due(now_ms))
}

/// Reads the keys of an upstream whose time has come, one after the other.
pub(crate) async fn read_due(connector: &Connector, upstream: &Upstream) {
    let Some(source) = &upstream.config.balance else { return };
    let mut relay = Relay { connector, upstream, units: None };
    let mut silence: Option<Unread> = None;
    for key in due(upstream, clock::now_ms()) {
        let wishes = key.state.balance.wishes();
        // Where nobody answers, not each key waits for that.
        let found = match &silence {
            Some(silence) => Err(silence.clone()),
            None => relay.read(&source.kind, key.config.key.expose()).await,
        };
        silence = silence.or_else(|| found.as_ref().err().filter(|fault| fault.is_silence()).cloned());
        let next_ms = clock::now_ms().saturating_add(clock::millis(pause(source, fastrand::f64())));
        let rest_below = source.rest_below.map(|bound| bound.get());
        key.learn_balance(Reading { found, rest_below, next_ms, wishes });
    }
}

/// The time to the next reading; `chance` is from 0 to 1.
fn pause(source: &BalanceSource, chance: f64) -> Duration {
    source.interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * chance)
}

/// A relay that is asked.
struct Relay<'a> {
    connector: &'a Connector,
    upstream: &'a Upstream,
    /// What it counts in, if it was asked for that.
    units: Option<Units>,
}

impl Relay<'_> {
    async fn read(&mut self, kind: &Kind, key: &str) -> Result<Balance, Unread> {
        match kind {
            Kind::NewApi => self.new_api(key).await,
            Kind::OpenAiBilling => {
                let (subscription, usage) = self.billing(key).await?;
                subscription.balance(&usage)
            }
            Kind::Custom(custom) => self.custom(custom, key).await,
        }
    }

    /// The token's own quota; of one without, and where nobody tells it, what the billing endpoints say.
    async fn new_api(&mut self, key: &str) -> Result<Balance, Unread> {
        let units = match self.units {
            Some(units) => units,
            None => *self.units.insert(Units::read(&self.get("/api/status", &[], MOST_STATUS_BYTES).await?)?),
        };
        let field = credentials(key)?;
        let usage = self.get("/api/usage/token/", std::slice::from_ref(&field), MOST_BYTES).await;
        let unlimited = match usage.and_then(|usage| TokenUsage::read(&usage, units)) {
            Ok(TokenUsage::Limited(balance)) => return Ok(balance),
            Ok(TokenUsage::Unlimited(balance)) => Ok(balance),
            Err(fault) if fault.is_unknown_there() => Err(fault),
            Err(fault) => return Err(fault),
        };
        let billed = self.billing(key).await.and_then(|(known, usage)| known.balance_in(&usage, units));
        billed.or(unlimited)
    }

    async fn billing(&self, key: &str) -> Result<(Subscription, Vec<u8>), Unread> {
        let field = [credentials(key)?];
        let subscription = self.get("/v1/dashboard/billing/subscription", &field, MOST_BYTES).await?;
        let subscription = Subscription::read(&subscription)?;
        let path = format!("/v1/dashboard/billing/usage?{}", subscription.usage_query(SystemTime::now()));
        Ok((subscription, self.get(&path, &field, MOST_BYTES).await?))
    }

    async fn custom(&self, custom: &Custom, key: &str) -> Result<Balance, Unread> {
        let mut fields = Vec::new();
        for (name, value) in &custom.headers {
            let mut value = HeaderValue::from_str(&value.with(key)).map_err(|_| unsendable())?;
            value.set_sensitive(true);
            fields.push((name.clone(), value));
        }
        if !custom.brings_credentials() {
            fields.push(credentials(key)?);
        }
        let body = self.ask(&custom.method, &custom.path, &fields, MOST_BYTES).await?;
        custom.pointers.read(&body)
    }

    async fn get(&self, path: &str, fields: &[Field], most: usize) -> Result<Vec<u8>, Unread> {
        self.ask(&Method::GET, path, fields, most).await
    }

    async fn ask(&self, method: &Method, path: &str, headers: &[Field], most: usize) -> Result<Vec<u8>, Unread> {
        let question = Question { method, path, name: "balance", headers };
        let line = self.upstream.lines.used();
        let asked = timeout(TIME, async {
            let answer = question.ask(self.connector, self.upstream, line).await;
            let answer = answer.map_err(|error| no_response(&error))?;
            if answer.status != 200 {
                return Err(Unread::Status { status: answer.status });
            }
            let body = answer.body(most).await.map_err(|error| no_response(&error))?;
            body.map(Vec::from).ok_or(Unread::TooLarge { most })
        });
        asked.await.unwrap_or(Err(Unread::Late { within: TIME }))
    }
}

fn credentials(key: &str) -> Result<Field, Unread> {
    bearer(key).ok_or_else(unsendable)
}

/// The configuration refuses what no header can hold.
fn unsendable() -> Unread {
    Unread::NoResponse {
        said: both!("a header cannot hold what is to be sent", "请求头不能包含要发送的内容")
    }
}

fn no_response(error: &pingora::Error) -> Unread {
    let said = || Words::said(error.root_cause().to_string());
    Unread::NoResponse { said: NotConnected::in_error(error).map_or_else(said, NotConnected::words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_about_an_interval_apart() {
        let source = BalanceSource { kind: Kind::NewApi, interval: Duration::from_secs(600), rest_below: None };
        let pauses = [0.0, 0.5, 1.0].map(|chance| pause(&source, chance).as_secs_f64().round());
        assert_eq!(pauses, [540.0, 600.0, 660.0]);
    }
}
