//! The paths of the admin API: which methods each takes, who may use it, and what answers.

use super::access::Needs::{self, Change, Look, Nothing, Own};
use super::call::Call;
use super::export::Export;
use super::fault::Fault;
use super::parts::Parts;
use super::refused::{Refused, json};
use super::{
    capture, configuration, conversations, dry_run, keys, limits, notify, own, recost, requests, statistics, status,
    team, upstream_test, upstreams, waste,
};
use crate::gateway::Answer;
use futures::future::BoxFuture;
use http::Method;

/// The API's description for machines.
pub(super) const OPENAPI: &str = include_str!("../../docs/openapi.yaml");

const READ: &[Method] = &[Method::GET, Method::HEAD];
/// A read without an end, or as long as the log: its length is not known beforehand.
const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const PUT: &[Method] = &[Method::PUT];
const DELETE: &[Method] = &[Method::DELETE];
const PATCH: &[Method] = &[Method::PATCH];

/// What a handler gives.
pub(super) enum Reply {
    /// All of an answer.
    Whole(Answer),
    /// All of the answer to what was to change something, and found it so.
    Same(Answer),
    /// A download.
    Rows(Box<Export>),
    /// What happens, as it happens.
    Live,
}

type Handler = for<'a> fn(&'a Parts, &'a Call) -> BoxFuture<'a, Result<Reply, Refused>>;

/// A path with methods that one handler answers.
pub(super) struct Route {
    methods: &'static [Method],
    /// The path below `/api/admin/`; a segment in braces stands for any.
    pub template: &'static str,
    /// Who may use it.
    pub needs: Needs,
    /// What answers.
    pub handler: Handler,
}

const fn route(methods: &'static [Method], template: &'static str, needs: Needs, handler: Handler) -> Route {
    Route { methods, template, needs, handler }
}

/// A handler: the work, with names for the parts and the call, gives an answer.
macro_rules! answer {
    ($parts:pat, $call:pat => $work:expr) => {
        |$parts, $call| Box::pin(async move { $work.map(Reply::Whole) })
    };
}

/// The same for work that may find everything as it is to be: it gives an answer, and whether it changed anything.
macro_rules! change {
    ($parts:pat, $call:pat => $work:expr) => {
        |$parts, $call| {
            Box::pin(async move {
                let (answer, has_changed) = $work?;
                Ok(if has_changed { Reply::Whole(answer) } else { Reply::Same(answer) })
            })
        }
    };
}

/// All of them. docs/openapi.yaml describes each.
static ROUTES: [Route; 64] = [
    route(
        READ,
        "session",
        Nothing,
        answer!(it, call => it.gate.who(call, &it.shared.panel, &it.shared.roster.load_full()).await),
    ),
    route(
        POST,
        "session",
        Nothing,
        answer!(it, call => it.gate.login(call, &it.shared.panel, &it.shared.roster.load_full()).await),
    ),
    route(DELETE, "session", Nothing, answer!(it, call => it.gate.logout(call, &it.shared.panel).await)),
    route(READ, "health", Look, answer!(it, _ => json(&status::health(&it.shared, it.log.as_ref(), &it.live).await))),
    route(READ, "openapi.yaml", Look, answer!(_, _ => Ok(Answer::new(200, "application/yaml", OPENAPI)))),
    route(
        READ,
        "stats",
        Look,
        answer!(it, call => statistics::summary(it.reader()?, call, &it.shared.roster.load()).await),
    ),
    route(
        READ,
        "stats/series",
        Look,
        answer!(it, call => {
            statistics::series(it.reader()?, call, &it.shared.snapshot.load_full().config, &it.shared.roster.load()).await
        }),
    ),
    route(
        READ,
        "stats/groups",
        Look,
        answer!(it, call => {
            statistics::groups(it.reader()?, call, &it.shared.snapshot.load_full().config, &it.shared.roster.load()).await
        }),
    ),
    route(READ, "key-names", Look, answer!(it, _ => keys::names(&it.shared.snapshot.load().config.key_names))),
    route(READ, "requests", Look, answer!(it, call => requests::page(it.reader()?, call).await)),
    route(READ, "requests/{id}", Look, answer!(it, call => requests::detail(it, &call.named).await)),
    route(READ, "sessions", Look, answer!(it, call => conversations::page(it.reader()?, &it.shared, call).await)),
    route(
        READ,
        "sessions/{id}",
        Look,
        answer!(it, call => conversations::one(it.reader()?, &it.shared, &call.named).await),
    ),
    // What it keeps may hold what people wrote: that is for those who could have all requests kept.
    route(POST, "sessions/{id}/capture", Change, answer!(it, call => capture::begin(it, call).await)),
    route(DELETE, "sessions/{id}/capture", Change, change!(it, call => capture::end(it, call))),
    route(READ, "waste", Look, answer!(it, call => waste::report(it.reader()?, call, &it.shared.roster.load()).await)),
    route(READ, "errors", Look, answer!(it, call => requests::errors(it.reader()?, call).await)),
    route(READ, "recost", Look, answer!(it, _ => recost::progress(it))),
    route(POST, "recost", Change, answer!(it, call => recost::begin(it, call))),
    route(DELETE, "recost", Change, change!(it, _ => recost::stop(it))),
    route(READ, "running", Look, answer!(it, _ => json(&status::running(&it.shared.running, usize::MAX)))),
    route(READ, "upstreams", Look, answer!(it, _ => json(&upstreams::all(&it.shared.snapshot.load())))),
    route(POST, "upstreams/{name}/test", Change, answer!(it, call => upstream_test::test(it, call).await)),
    route(POST, "upstreams/{name}/drain", Change, change!(it, call => upstreams::drain(&it.shared, &call.named, true))),
    route(
        POST,
        "upstreams/{name}/enable",
        Change,
        change!(it, call => upstreams::drain(&it.shared, &call.named, false)),
    ),
    route(POST, "upstreams/{name}/keys/{key}/rest", Change, answer!(it, call => keys::rest(&it.shared, call))),
    route(POST, "upstreams/{name}/keys/{key}/wake", Change, change!(it, call => keys::wake(&it.shared, call))),
    route(
        POST,
        "upstreams/{name}/keys/{key}/balance",
        Change,
        answer!(it, call => keys::ask_balance(&it.shared, call)),
    ),
    route(READ, "rules", Look, answer!(it, _ => json(&upstreams::rules(&it.shared)))),
    route(READ, "config", Look, answer!(it, call => configuration::current(&it.live, call).await)),
    route(PUT, "config", Change, answer!(it, call => configuration::apply(it, call).await)),
    // This runs what somebody wrote, which is for those who may put it in force.
    route(POST, "config/check", Change, answer!(it, call => configuration::check(&it.live, &it.checks, call).await)),
    // So does this.
    route(POST, "config/explain", Change, answer!(it, call => dry_run::of_draft(it, call).await)),
    route(READ, "config/history", Look, answer!(it, _ => configuration::history(&it.live).await)),
    route(READ, "config/schema", Look, answer!(_, _ => configuration::schema())),
    route(POST, "reload", Change, answer!(it, call => configuration::reload(it, call).await)),
    // This runs the rules that are in force, on a text, and changes nothing.
    route(POST, "explain", Look, answer!(it, call => dry_run::answer(it, call).await)),
    route(READ, "users", Look, answer!(it, _ => team::users(it).await)),
    route(POST, "users", Change, answer!(it, call => team::create_user(it, call).await)),
    route(PATCH, "users/{id}", Change, answer!(it, call => team::change_user(it, call).await)),
    route(READ, "groups", Look, answer!(it, _ => team::groups(it).await)),
    route(POST, "groups", Change, answer!(it, call => team::create_group(it, call).await)),
    route(READ, "tokens", Look, answer!(it, call => team::tokens(it, call).await)),
    route(POST, "tokens", Change, answer!(it, call => team::create_token(it, call).await)),
    route(READ, "tokens/{id}", Look, answer!(it, call => team::token(it, call).await)),
    route(PATCH, "tokens/{id}", Change, answer!(it, call => team::change_token(it, call).await)),
    route(DELETE, "tokens/{id}", Change, answer!(it, call => team::revoke_token(it, call).await)),
    route(POST, "tokens/{id}/rotate", Change, answer!(it, call => team::rotate_token(it, call).await)),
    route(READ, "limits", Look, answer!(it, call => limits::list(it, call).await)),
    route(PUT, "limits", Change, answer!(it, call => limits::set(it, call).await)),
    route(DELETE, "limits", Change, answer!(it, call => limits::remove(it, call).await)),
    route(READ, "usage", Look, answer!(it, call => limits::usage(it, call).await)),
    route(READ, "audit", Look, answer!(it, call => team::audit(it, call).await)),
    // What somebody with a client token may, whose user is no admin.
    route(READ, "me", Own, answer!(it, call => own::me(it, call).await)),
    route(READ, "me/usage", Own, answer!(it, call => own::usage(it, call).await)),
    route(READ, "me/stats", Own, answer!(it, call => own::stats(it, call).await)),
    route(READ, "me/stats/series", Own, answer!(it, call => own::series(it, call).await)),
    route(READ, "me/sessions", Own, answer!(it, call => own::sessions(it, call).await)),
    route(READ, "me/waste", Own, answer!(it, call => own::waste(it, call).await)),
    route(POST, "me/tokens/{id}/rotate", Own, answer!(it, call => own::rotate(it, call).await)),
    route(READ, "notify", Look, answer!(it, _ => notify::view(&it.notifier))),
    route(POST, "notify/test", Change, answer!(it, call => notify::test(it, call).await)),
    route(GET, "live", Look, |_, _| Box::pin(async { Ok(Reply::Live) })),
    route(GET, "export", Look, |it, call| {
        Box::pin(async { Ok(Reply::Rows(Box::new(Export::new(it.reader()?.clone(), &call.parameters)?))) })
    }),
];

/// The route of a request, and what its path names.
///
/// # Errors
/// When there is no such path, or it does not take this method.
pub(super) fn find<'p>(method: &Method, path: &'p [String]) -> Result<(&'static Route, [&'p str; 2]), Refused> {
    let mut others = Vec::new();
    for route in &ROUTES {
        match named(route.template, path) {
            Some(named) if route.methods.contains(method) => return Ok((route, named)),
            Some(_) => others.extend(route.methods.iter().map(Method::as_str)),
            None => {}
        }
    }
    match others.is_empty() {
        true => Err(Fault::NoPath.into()),
        false => Err(Fault::NoMethod { allowed: others.join(", ") }.into()),
    }
}

/// What a method needs that the path does not take: nothing where none of its methods needs anything. Who may not look does
/// not hear which other paths there are.
pub(super) fn needs_at_least(path: &[String]) -> Needs {
    let mut routes = ROUTES.iter().filter(|route| named(route.template, path).is_some()).peekable();
    match routes.peek().is_some() && routes.all(|route| route.needs == Nothing) {
        true => Nothing,
        false => Look,
    }
}

/// What a path names if it is one of this template, and what within that; `None` if it is another one.
fn named<'p>(template: &str, path: &'p [String]) -> Option<[&'p str; 2]> {
    if template.split('/').count() != path.len() {
        return None;
    }
    let (mut named, mut count) = ([""; 2], 0);
    for (known, segment) in template.split('/').zip(path) {
        match known.starts_with('{') {
            true => {
                *named.get_mut(count)? = segment;
                count += 1;
            }
            false if known == segment => {}
            false => return None,
        }
    }
    Some(named)
}

#[cfg(test)]
mod tests {
    use super::super::audited;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_path_and_method_is_described_and_no_other() {
        let described: serde_yaml::Value = serde_yaml::from_str(OPENAPI).expect("YAML");
        let mut in_file = BTreeSet::new();
        for (path, item) in described["paths"].as_mapping().expect("paths") {
            let Some(path) = path.as_str().expect("a path").strip_prefix("/api/admin/") else { continue };
            for (method, operation) in item.as_mapping().expect("methods") {
                let is_open =
                    operation.get("security").is_some_and(|security| security.as_sequence().is_some_and(Vec::is_empty));
                in_file.insert((path.to_owned(), method.as_str().expect("a method").to_uppercase(), is_open));
            }
        }
        // HEAD goes without saying.
        let of = |route: &Route| {
            let methods = route.methods.iter().filter(|method| *method != Method::HEAD).map(Method::to_string);
            let (template, is_open) = (route.template.to_owned(), route.needs == Nothing);
            methods.map(move |method| (template.clone(), method, is_open)).collect::<Vec<_>>()
        };
        assert_eq!(ROUTES.iter().flat_map(of).collect::<BTreeSet<_>>(), in_file);
    }

    #[test]
    fn each_change_is_in_the_audit_or_changes_nothing() {
        let (by_itself, nothing) = (
            [
                "config",
                "reload",
                "users",
                "users/{id}",
                "groups",
                "tokens",
                "tokens/{id}",
                "tokens/{id}/rotate",
                "limits",
            ],
            ["config/check", "config/explain", "upstreams/{name}/keys/{key}/balance"],
        );
        let is_told = |route: &Route| route.methods.iter().all(|it| audited::action(it, route.template).is_some());
        let is_known = |route: &Route| by_itself.contains(&route.template) || nothing.contains(&route.template);
        let untold = ROUTES.iter().filter(|route| route.needs == Change && !is_told(route) && !is_known(route));
        assert_eq!(untold.map(|route| route.template).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn a_path_is_what_its_template_says() {
        let of = |method: Method, path: &str| {
            let path: Vec<String> = path.split('/').map(str::to_owned).collect();
            match find(&method, &path) {
                Ok((route, named)) => format!("{} {}", route.template, named.join(" ")).trim_end().to_owned(),
                Err(Refused::Because(Fault::NoMethod { allowed })) => allowed,
                Err(_) => "none".to_owned(),
            }
        };
        assert_eq!(of(Method::HEAD, "requests/req_1"), "requests/{id} req_1");
        assert_eq!(of(Method::POST, "upstreams/a/drain"), "upstreams/{name}/drain a");
        assert_eq!(of(Method::POST, "upstreams/a/keys/b/wake"), "upstreams/{name}/keys/{key}/wake a b");
        assert_eq!(of(Method::GET, "explain"), "POST");
        assert_eq!(of(Method::PATCH, "config"), "GET, HEAD, PUT");
        assert_eq!(of(Method::PUT, "session"), "GET, HEAD, POST, DELETE");
        assert_eq!(of(Method::HEAD, "live"), "GET");
        for none in ["requests/a/b", "", "stats/x", "{id}"] {
            assert_eq!(of(Method::GET, none), "none", "{none}");
        }
    }
}
