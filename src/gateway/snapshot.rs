//! The configuration in the form that requests use: built once per load, swapped as a whole.

use super::conversations::Conversations;
use super::cross_site;
use crate::config::Config;
use crate::config::fingerprint::KeyFingerprint;
use crate::config::routes::{Route, digest};
use crate::config::upstream::{HttpVersion, UpstreamConfig};
use crate::upstream::budget::RetryBudget;
use crate::upstream::sessions::{AffinityTable, hash};
use crate::upstream::{self, Upstream, steering};
use gateway_core::addresses::Origin;
use gateway_core::both;
use gateway_core::http1::Refusal;
use gateway_core::language::{Language, Words};
use gateway_core::reason::Reason;
use gateway_core::redact::Needles;
use gateway_core::redact::masking::Known;
use gateway_core::rules::prefix::PrefixRules;
use gateway_core::rules::rule::{Rule, RuleSet};
use gateway_core::thinking::edition::Edition;
use http::{HeaderMap, HeaderName};
use pingora::protocols::l4::socket::SocketAddr;
use std::iter;
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The field in which reverse proxies say who sent a request to them.
pub(super) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// An upstream with all rules for requests to it.
#[derive(Debug)]
pub(crate) struct Destination {
    /// Where it is.
    pub upstream: Arc<Upstream>,
    /// `system-prompt`, the profile's rules, the operator's, and `headers-file`, in this order.
    pub rules: RuleSet,
    /// What of them changes `system` and `tools`.
    pub prefix: Arc<PrefixRules>,
}

/// A list of upstreams that a request may go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Group {
    /// Those for keys without a route.
    #[default]
    Open,
    /// Those of the route with this number.
    Route(usize),
    /// Those that a client token may use, by their places.
    OfToken(Arc<[usize]>),
}

/// What requests are handled with.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The validated configuration.
    pub config: Config,
    /// Where requests can go, preferred ones first.
    pub destinations: Vec<Destination>,
    /// The upstreams of the destinations, in the same order.
    pub upstreams: Vec<Arc<Upstream>>,
    /// What is remembered of clients.
    pub affinity: Arc<AffinityTable>,
    /// What the rules of all destinations do to `system` and `tools`.
    pub edition: Arc<Edition>,
    /// The conversations whose thinking may come back.
    pub conversations: Arc<Conversations>,
    /// How many retries there may be.
    pub budget: Arc<RetryBudget>,
    /// The secrets of the configuration, which are kept nowhere.
    pub secrets: Arc<Needles>,
    /// The same, as they are masked in errors.
    pub known: Arc<Known>,
    /// Whether Pingora must see that there is a body: with an HTTP/2 upstream it ends the stream with the head if not.
    pub must_see_bodies: bool,
    /// The places of the upstreams that have keys of their own: those for client tokens.
    pub keyed: Arc<[usize]>,
    open: Vec<usize>,
    routed: Vec<Vec<usize>>,
    /// What stands for each route that takes only some requests of its keys.
    partial: Vec<Option<u64>>,
    /// Whether a key is added to requests for the upstream in this place: its own, the headers file's, or a rule's.
    adds_key: Vec<bool>,
}

impl Snapshot {
    /// Prepares a configuration.
    ///
    /// # Errors
    /// When an upstream cannot be prepared.
    pub(crate) fn new(config: Config) -> Result<Self, Words> {
        let snapshot = Self::after(config, None)?;
        snapshot.put_in_force(None);
        Ok(snapshot)
    }

    /// Requests are handled with it from here on, after the `former` one. Until then nothing of it is to be seen: it may be
    /// a draft that is only checked.
    pub(crate) fn put_in_force(&self, former: Option<&Self>) {
        self.conversations.put_in_force(&self.edition, former.map(|former| &*former.conversations));
        for upstream in &self.upstreams {
            if let Some(former) = former.and_then(|former| former.upstream(&upstream.name)) {
                upstream.put_in_force(former);
            }
        }
    }

    /// Prepares a configuration that comes after another one: what was seen of upstreams and clients stays known, as
    /// far as the settings that it depends on are the same.
    ///
    /// # Errors
    /// When an upstream cannot be prepared.
    pub(crate) fn after(config: Config, former: Option<&Self>) -> Result<Self, Words> {
        let upstreams = upstream::prepare(&config, former.map_or(&[], |former| &former.upstreams))?;
        if upstreams.is_empty() {
            return Err(both!("there is no upstream", "没有上游"));
        }
        let shared = |rules: &[Rule]| rules.iter().cloned().map(Arc::new).collect::<Vec<_>>();
        let (first, own, last) = (shared(&config.first_rules), shared(&config.rules), shared(&config.last_rules));
        let destinations = upstreams.iter().map(|upstream| {
            let profile = upstream.config.rules_of_profile().map_err(|message| {
                let [english, chinese] = [Language::English, Language::Chinese].map(|language| message.text(language));
                Words::new(format_args!("{english}"), format_args!("{chinese}"))
            })?;
            let profile = shared(&profile);
            let rules = first.iter().chain(&profile).chain(&own).chain(&last).cloned();
            Ok((upstream, RuleSet::new(rules.collect())))
        });
        let destinations = destinations.collect::<Result<Vec<_>, Words>>()?;
        let edition = Arc::new(Edition::of(destinations.iter().map(|(upstream, rules)| (&upstream.name, rules))));
        let destinations = destinations.into_iter().map(|(upstream, rules)| {
            let prefix = edition.part(&upstream.name).cloned().unwrap_or_default();
            Destination { upstream: Arc::clone(upstream), rules, prefix }
        });
        let destinations: Vec<Destination> = destinations.collect();
        let adds_key = destinations.iter().map(|destination| {
            !destination.upstream.config.api_keys.is_empty()
                || destination.rules.rules().iter().any(|rule| cross_site::adds_key(rule))
        });
        let places = |is_member: &dyn Fn(&UpstreamConfig) -> bool| {
            (0..upstreams.len()).filter(|&at| is_member(&upstreams[at].config)).collect::<Vec<_>>()
        };
        let failover = &config.failover;
        let budget = (failover.retry_budget_percent, failover.retry_budget_min_per_second);
        let same_budget = former.filter(|former| {
            let failover = &former.config.failover;
            (failover.retry_budget_percent, failover.retry_budget_min_per_second) == budget
        });
        let same_affinity = former.filter(|former| former.config.affinity == config.affinity);
        Ok(Self {
            adds_key: adds_key.collect(),
            destinations,
            affinity: same_affinity
                .map_or_else(|| Arc::new(AffinityTable::new(&config.affinity)), |former| Arc::clone(&former.affinity)),
            conversations: Conversations::after(&config.affinity, former.map(|former| &former.conversations)),
            edition,
            budget: same_budget
                .map_or_else(|| Arc::new(RetryBudget::new(budget.0, budget.1)), |former| Arc::clone(&former.budget)),
            secrets: Arc::new(config.secrets()),
            known: Arc::new(config.known_secrets()),
            must_see_bodies: upstreams.iter().any(|upstream| upstream.config.http != HttpVersion::One),
            keyed: places(&|upstream| !upstream.api_keys.is_empty()).into(),
            open: places(&|upstream| !upstream.is_reserved),
            routed: config.routes.iter().map(|route| places(&|u| route.upstreams.contains(&u.name))).collect(),
            partial: config.routes.iter().map(partial).collect(),
            upstreams,
            config,
        })
    }

    /// Where a request with these headers comes from that `peer` sent; `None` where connections have no addresses.
    pub(crate) fn origin(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<Origin> {
        let lines = headers.get_all(&X_FORWARDED_FOR).iter().map(|line| line.as_bytes());
        Some(self.config.trusted_proxies.origin(peer?, lines))
    }

    /// The upstream with this name.
    pub(crate) fn upstream(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.config.name == name)
    }

    /// The names of the models that have a price of their own.
    pub(crate) fn priced_models(&self) -> Vec<String> {
        self.config.prices.written().map(|offer| offer.models.to_string()).collect()
    }

    /// The places of the upstreams in a group.
    pub(crate) fn group<'g>(&'g self, group: &'g Group) -> &'g [usize] {
        match group {
            Group::Open => &self.open,
            Group::Route(number) => &self.routed[*number],
            Group::OfToken(places) => places,
        }
    }

    /// The places of the upstreams that share new sessions with each other.
    pub(crate) fn peers(&self) -> Vec<Vec<usize>> {
        let of_tokens = self.config.team.require_token.then_some(&*self.keyed);
        let groups = iter::once(&self.open).chain(&self.routed).map(Vec::as_slice);
        let groups: Vec<&[usize]> = groups.chain(of_tokens).collect();
        steering::peers(&groups, |at| self.upstreams[at].config.priority)
    }

    /// Whether the gateway may add a key to requests of this group.
    pub(crate) fn adds_key(&self, group: &Group) -> bool {
        self.group(group).iter().any(|&at| self.adds_key[at])
    }

    /// Whether it may add one to requests for this destination.
    pub(crate) fn adds_key_at(&self, destination: usize) -> bool {
        self.adds_key[destination]
    }

    /// The destination whose rules may answer a request at once, before it is known where it goes.
    pub(crate) fn answering(&self) -> Option<&Destination> {
        self.destinations.first()
    }

    /// Where a request of this route may go: one without a route to the upstreams that are not reserved for routed keys.
    ///
    /// # Errors
    /// 401 if there is no such upstream.
    pub(crate) fn find_group(&self, route: Option<usize>) -> Result<Group, Refusal> {
        let group = route.map_or(Group::Open, Group::Route);
        if self.group(&group).is_empty() {
            return Err(Refusal::new(
                401,
                Reason::UnknownKey,
                both!(
                    "This gateway serves only the keys that are listed in its routes (gateway.routes), and this one is not.",
                    "此网关只接受路由（gateway.routes）中列出的密钥，而这个密钥不在其中。"
                ),
            ));
        }
        Ok(group)
    }

    /// What stands for this route, if it takes only some requests of its keys.
    pub(crate) fn partial(&self, route: usize) -> Option<u64> {
        self.partial[route]
    }

    /// Whether any route goes by what requests are for.
    pub(crate) fn routes_by_class(&self) -> bool {
        self.partial.iter().any(Option::is_some)
    }

    /// The route that lists the key with this fingerprint for requests of this class, as [`Self::routed`] finds it.
    pub(super) fn routed_by_fingerprint(&self, fingerprint: &str, class: Option<&str>) -> Option<usize> {
        let mut routes = self.config.routes.iter().enumerate().filter(|(_, route)| {
            route.keys.iter().any(|key| KeyFingerprint::of_digest(key).to_string() == fingerprint)
        });
        let of_class = routes.clone().find(|(_, route)| class.is_some_and(|class| route.classes.contains(&class)));
        of_class.or_else(|| routes.find(|(_, route)| route.classes.is_empty())).map(|(number, _)| number)
    }

    /// The first of these keys that a route lists for requests of this class, and the number of that route: one that
    /// names the class before one for all. Every key is compared, in constant time.
    pub(crate) fn routed<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]>,
        class: Option<&str>,
    ) -> Option<(usize, &'k [u8])> {
        let routes = &self.config.routes;
        if routes.is_empty() {
            return None;
        }
        let mut found = None;
        for key in keys {
            let given = digest(key);
            let (mut of_class, mut of_all) = (None, None);
            for (number, route) in routes.iter().enumerate() {
                let is_listed = route.keys.iter().fold(0, |any, key| any | key.ct_eq(&given).unwrap_u8());
                if is_listed == 1 && route.classes.is_empty() {
                    of_all = Some(number);
                } else if is_listed == 1 && class.is_some_and(|class| route.classes.contains(&class)) {
                    of_class = Some(number);
                }
            }
            found = found.or(of_class.or(of_all).map(|number| (number, key)));
        }
        found
    }
}

/// What stands for a route that takes only some requests of its keys: the same as long as it is for the same.
fn partial(route: &Route) -> Option<u64> {
    (!route.classes.is_empty()).then(|| hash(route.classes.join(",").as_bytes()))
}

/// Who is at the other end of a connection.
pub(crate) fn peer(address: Option<&SocketAddr>) -> Option<IpAddr> {
    Some(address?.as_inet()?.ip())
}
