//! Where requests are sent: the upstreams of the configuration, ready to connect to, and what is known of them.

pub(crate) mod balance;
pub(crate) mod budget;
pub(crate) mod circuit;
pub mod clock;
mod dial;
mod elsewhere;
pub(crate) mod first_events;
pub(crate) mod key_balance;
pub(crate) mod key_state;
pub(crate) mod keys;
pub(crate) mod lesson;
mod like_with_like;
pub(crate) mod line;
mod line_choice;
pub(crate) mod line_times;
pub(crate) mod lines;
pub(crate) mod pool;
pub(crate) mod probe;
mod question;
mod rendezvous;
mod resolve;
pub(crate) mod sessions;
mod share_choice;
pub(crate) mod slots;
pub(crate) mod stats;
pub(crate) mod steering;
pub(crate) mod tls;
pub(crate) mod tunnel;
mod turns;
pub(crate) mod window;

use crate::config::Config;
use crate::config::health::HealthSettings;
use crate::config::proxy::OutboundProxy;
use crate::config::resilience::{BalanceBy, Queue};
use crate::config::upstream::UpstreamConfig;
use circuit::{Circuit, Trial};
use gateway_core::again::Again;
use gateway_core::both;
use gateway_core::language::{Language, Words};
use http::HeaderValue;
use keys::{KeyPlace, Keys, Standing, Wish};
use line::Line;
use lines::Lines;
use sessions::Owner;
use slots::{NoPlace, Place, Slots};
use stats::Stats;
use std::iter;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use steering::Steering;

pub(crate) use dial::{NotConnected, PROXY, PROXY_TIMEOUT, RESOLVE};
pub(crate) use elsewhere::{Duplex, Elsewhere};
pub(crate) use resolve::{resolver, unknown_name};

/// How long an upstream is not asked to drop thinking that did not know the field for it.
const UNKNOWN_CONTROLS: Duration = Duration::from_secs(6 * 60 * 60);

/// One upstream with everything that a request to it needs, computed once.
#[derive(Debug)]
pub struct Upstream {
    /// What the operator wrote.
    pub config: UpstreamConfig,
    /// Its name, for records.
    pub name: Arc<str>,
    /// The addresses that lead to it: that of `base_url`, then those of `lines`.
    pub lines: Lines,
    /// Its name, for an answer's head.
    pub label: HeaderValue,
    /// Whether it is healthy.
    pub circuit: Arc<Circuit>,
    /// Its places for requests.
    pub slots: Arc<Slots>,
    /// Its keys, of which one goes out in place of the client's; empty if that goes on.
    pub keys: Keys,
    /// What was counted of it.
    pub stats: Arc<Stats>,
    /// What steers new sessions away from it; `None` if only weights do (`failover.balance_by`).
    pub steering: Option<Arc<Steering>>,
    /// Stands for its name in hashes.
    pub seed: u64,
    /// Whether somebody took it out of service.
    is_drained: AtomicBool,
    /// Until when it is not asked to drop thinking: it did not know the field (`upstreams[].thinking_controls: auto`).
    unknown_controls_until: AtomicU64,
    /// What it was made with besides its own configuration.
    made_with: MadeWith,
}

/// What of the whole configuration an upstream depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MadeWith {
    health: HealthSettings,
    balance_by: BalanceBy,
    queue: Queue,
    write_timeout: Duration,
    pool_idle_timeout: Duration,
    dns_servers: Vec<SocketAddr>,
}

impl MadeWith {
    fn of(config: &Config) -> Self {
        Self {
            health: config.health.clone(),
            balance_by: config.failover.balance_by,
            queue: config.queue.clone(),
            write_timeout: config.upstream_write_timeout,
            pool_idle_timeout: config.pool_idle_timeout,
            dns_servers: config.dns_servers.clone(),
        }
    }
}

impl Upstream {
    /// Prepares an upstream. What is known of the `former` one of its name stays true as far as nothing changed that
    /// it depends on.
    ///
    /// # Errors
    /// When its host cannot stand in a header, or its proxy cannot be used.
    fn new(
        upstream: &UpstreamConfig,
        config: &Config,
        resolver: &Arc<hickory_resolver::TokioResolver>,
        former: Option<&Self>,
    ) -> Result<Self, Words> {
        let made_with = MadeWith::of(config);
        let same_place = former.filter(|former| former.is_at(upstream));
        let same_way = same_place
            .filter(|former| former.connects_like(upstream) && former.made_with.dns_servers == made_with.dns_servers);
        let same_room = same_place.filter(|former| {
            former.config.max_in_flight == upstream.max_in_flight && former.made_with.queue == made_with.queue
        });
        let stats = same_place.map_or_else(Arc::default, |former| Arc::clone(&former.stats));
        let times = (made_with.write_timeout, made_with.pool_idle_timeout);
        let common = line::Common { upstream, times, resolver, stats: &stats };
        let lines = iter::once(&upstream.base_url).chain(&upstream.lines).map(|url| {
            let same = same_way.and_then(|former| former.lines.iter().find(|line| line.authority() == url.authority));
            Line::new(url, &common, same)
        });
        let lines = lines.collect::<Result<Vec<_>, Words>>()?;
        let name: Arc<str> = Arc::from(upstream.name.as_str());
        let former_keys = same_place.map(|former| (&former.keys, &former.made_with.queue));
        let keys = Keys::new(&name, &upstream.api_keys, &config.queue, former_keys);
        Ok(Self {
            keys,
            name,
            label: HeaderValue::from_str(public_name(&upstream.name).unwrap_or("upstream"))
                .map_err(|_| both!("its name cannot stand in a head", "它的名称不能用在响应头中"))?,
            circuit: match same_place.filter(|former| former.made_with.health == made_with.health) {
                Some(former) => Arc::clone(&former.circuit),
                None => Arc::new(Circuit::new(config.health.clone())),
            },
            slots: match same_room {
                Some(former) => Arc::clone(&former.slots),
                None => Arc::new(Slots::new(upstream.max_in_flight, config.queue.length, config.queue.timeout)),
            },
            steering: (made_with.balance_by == BalanceBy::Latency).then(|| {
                let former = same_place.and_then(|former| former.steering.as_ref());
                former.map_or_else(Arc::default, Arc::clone)
            }),
            seed: sessions::hash(upstream.name.as_bytes()),
            is_drained: AtomicBool::new(former.is_some_and(|former| former.is_drained.load(Ordering::Relaxed))),
            unknown_controls_until: AtomicU64::new(0),
            lines: Lines::new(lines, same_way.map(|former| &former.lines)),
            stats,
            made_with,
            config: upstream.clone(),
        })
    }

    /// Requests are sent with it from here on, after the `former` one of its name: what was read of balances for another wish
    /// says nothing any more.
    pub(crate) fn put_in_force(&self, former: &Self) {
        if self.config.balance != former.config.balance {
            self.keys.all().iter().for_each(|key| match &self.config.balance {
                None => key.state.forget_balance(),
                Some(_) => key.state.balance.ask(),
            });
        }
    }

    /// Whether it can be asked to drop thinking, as far as it has shown.
    pub fn may_know_controls(&self, now: u64) -> bool {
        self.unknown_controls_until.load(Ordering::Relaxed) <= now
    }

    /// It did not know the field for that: it is not asked again for some hours, or until the configuration is loaded anew.
    pub fn knows_no_controls(&self, now: u64) {
        self.unknown_controls_until.store(now + clock::millis(UNKNOWN_CONTROLS), Ordering::Relaxed);
    }

    /// Whether this is the place of another configuration, so that what was seen of it holds there too.
    fn is_at(&self, other: &UpstreamConfig) -> bool {
        self.config.base_url == other.base_url && self.config.proxy == other.proxy
    }

    /// Whether connections made for this one may be used for another configuration of the same place.
    fn connects_like(&self, other: &UpstreamConfig) -> bool {
        let UpstreamConfig { http, authorities, sni, insecure, connect_timeout, .. } = &self.config;
        (*http, authorities, sni, *insecure, *connect_timeout)
            == (other.http, &other.authorities, &other.sni, other.insecure, other.connect_timeout)
    }

    /// Whether it is out of service: somebody drained it, or its entry says so (`enabled: false`).
    pub fn is_drained(&self) -> bool {
        !self.config.is_enabled || self.is_drained.load(Ordering::Relaxed)
    }

    /// Takes it out of service, or puts it back: while it is out, requests go there only if there is no other. Whether it was
    /// not there until now.
    pub fn drain(&self, is_drained: bool) -> bool {
        let has_changed = self.is_drained.swap(is_drained, Ordering::Relaxed) != is_drained;
        let what = if is_drained { "is out of service" } else { "is in service" };
        log::info!("upstream \"{}\" {what}, as somebody asked for in the panel", self.config.name);
        has_changed
    }

    /// Whether a request may be served here that was not sent here: one that fails all the time, and is left alone for
    /// that, says so by its last failure.
    pub fn again(&self, now_ms: u64) -> Again {
        let last = self.stats.last_failure.load();
        let is_left_alone = !self.circuit.is_ready(now_ms);
        last.as_ref().filter(|_| is_left_alone).map_or(Again::Freely, |failure| failure.fault.again())
    }

    /// Whether it is in service and healthy, and has a key that is used.
    pub fn is_usable(&self, now_ms: u64) -> bool {
        !self.is_drained() && self.circuit.is_ready(now_ms) && self.keys.standing(now_ms) != Standing::Out
    }

    /// Its weight for new sessions.
    pub fn weight(&self) -> f64 {
        f64::from(self.config.weight) * self.steering.as_ref().map_or(1.0, |steering| steering.share())
    }

    /// Whether it is remembered which sessions are here, and with which key, though they did not move: whoever is new would
    /// not find them again, or would be sent elsewhere while they stay.
    pub fn remembers_sessions(&self) -> bool {
        let may_be_low = || self.config.balance.as_ref().is_some_and(|balance| balance.rest_below.is_some());
        self.config.has_key_pool() || self.steering.is_some() || may_be_low()
    }

    /// Its name for clients, if it has one: one that nobody named is called by its host, and addresses are not told.
    pub fn public_name(&self) -> Option<&str> {
        public_name(&self.config.name)
    }

    /// Its URL without the path, for messages to the operator.
    pub fn origin(&self) -> String {
        let url = &self.config.base_url;
        format!("{}://{}", if url.tls { "https" } else { "http" }, url.authority)
    }

    /// The proxy that gets requests with absolute targets, if this is the way to it.
    pub fn forwarding_proxy(&self) -> Option<&OutboundProxy> {
        self.lines.used().forwarding_proxy()
    }

    /// Lets a request in, if there is a place, and nobody else is trying a half-open circuit.
    pub fn enter(self: &Arc<Self>, wish: &Wish<'_>, now_ms: u64) -> Option<Ticket> {
        let place = self.slots.take()?;
        let key = self.keys.take(wish, now_ms).ok()?;
        let trial = match self.circuit.state(now_ms) {
            circuit::State::HalfOpen => Some(self.circuit.take_trial(now_ms)?),
            _ => None,
        };
        Some(Ticket { upstream: Arc::clone(self), trial, entered_ms: now_ms, key, _place: place })
    }

    /// Lets a request in, whatever its health, as soon as there is a place and it is its sender's turn.
    ///
    /// # Errors
    /// When there is none in time, or no key to go out with.
    pub async fn enter_in_turn(self: &Arc<Self>, wish: &Wish<'_>, sender: Owner) -> Result<Ticket, NoPlace> {
        let key = self.keys.take_in_turn(wish, sender).await?;
        let place = match self.slots.take() {
            Some(place) => place,
            None => self.slots.wait(sender).await?,
        };
        Ok(Ticket { upstream: Arc::clone(self), trial: None, entered_ms: clock::now_ms(), key, _place: place })
    }
}

/// A request's place at an upstream, free again when it is dropped.
#[derive(Debug)]
pub struct Ticket {
    upstream: Arc<Upstream>,
    /// If it tries a half-open circuit.
    trial: Option<Trial>,
    entered_ms: u64,
    /// The key that it goes out with.
    key: Option<KeyPlace>,
    _place: Place,
}

impl Ticket {
    /// When the request got its place.
    pub fn entered_ms(&self) -> u64 {
        self.entered_ms
    }

    /// The place of the key that the request goes out with, if the upstream has any.
    pub fn key(&self) -> Option<usize> {
        self.key.as_ref().map(|key| key.at)
    }

    /// Goes on at the same upstream with another key, if there is one that has room now. Whether it does.
    pub fn change_key(&mut self, wish: &Wish<'_>, now_ms: u64) -> bool {
        let Ok(Some(key)) = self.upstream.keys.take(wish, now_ms) else { return false };
        self.key = Some(key);
        self.entered_ms = now_ms;
        true
    }

    /// The request's answer has begun: if it is a trial, it does not keep others from trying to its end.
    pub fn answers(&mut self) {
        self.trial = self.trial.map(|trial| self.upstream.circuit.trial_answers(trial, clock::now_ms()));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(trial) = self.trial {
            self.upstream.circuit.end_trial(trial);
        }
    }
}

/// All upstreams of a configuration, preferred ones first. Those of `former` whose configuration is still the same are
/// taken over as they are.
///
/// # Errors
/// The first upstream that cannot be prepared, and why.
pub fn prepare(config: &Config, former: &[Arc<Upstream>]) -> Result<Vec<Arc<Upstream>>, Words> {
    let resolver = resolver(&config.dns_servers).map_err(|error| unresolving(&error))?;
    let resolver = Arc::new(resolver);
    let made_with = MadeWith::of(config);
    let prepared = config.upstreams.iter().map(|upstream| {
        let former = former.iter().find(|former| former.config.name == upstream.name);
        if let Some(same) = former.filter(|former| former.config == *upstream && former.made_with == made_with) {
            return Ok(Arc::clone(same));
        }
        Upstream::new(upstream, config, &resolver, former.map(Arc::as_ref)).map(Arc::new).map_err(|error| {
            let (name, chinese) = (&upstream.name, error.text(Language::Chinese));
            Words::new(format_args!("upstream \"{name}\": {error}"), format_args!("上游“{name}”：{chinese}"))
        })
    });
    prepared.collect()
}

/// That names cannot be looked up.
pub(crate) fn unresolving(error: &impl std::fmt::Display) -> Words {
    both!("the DNS resolver: {error}", "DNS 解析器无法使用：{error}")
}

fn public_name(name: &str) -> Option<&str> {
    Some(name).filter(|name| name.parse::<std::net::IpAddr>().is_err())
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod reload_tests;
