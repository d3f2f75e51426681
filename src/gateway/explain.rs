//! A dry run: what the rules would make of a request, and why. It goes the way of a real request, up to the upstream.

mod diff;
mod past;
mod prefix;
mod unmet;

use super::answer::new_request_id;
use super::clean::Cleaner;
use super::client::body_budget::HeldBody;
use super::identity;
use super::proxy::begin::admit_token;
use super::proxy::context::Context;
use super::proxy::{apply_rules, repair, request_head};
use super::snapshot::Snapshot;
use super::tokens;
use crate::language;
use bytes::Bytes;
use gateway_core::both;
use gateway_core::http1::Refusal;
use gateway_core::http1::head::MOST_FIELDS;
use gateway_core::language::{Language, Words};
use gateway_core::record::ThinkingAction;
use gateway_core::redact::{MASK, is_secret_name};
use gateway_core::rules::body::touches_cached_prefix;
use gateway_core::rules::document::Document;
use gateway_core::rules::plan::Body;
use gateway_core::rules::rule::Rule;
use gateway_core::team::roster::Roster;
use http::header::{CONNECTION, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, Version};
pub(crate) use past::Past;
use past::Source;
use pingora::http::RequestHeader;
use pingora_prometheus::prometheus::IntGauge;
use prefix::Prefix;
use serde::Serialize;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use unmet::Unmet;

/// The request that is assumed when no head is given.
const USUAL_HEAD: &str = "POST /v1/messages?beta=true HTTP/1.1\r\nHost: 127.0.0.1:8088\r\n\
    Content-Type: application/json\r\nanthropic-version: 2023-06-01\r\n\r\n";

/// A request of Claude Code (2.1.330, November 2026), in short: its head and its body.
pub(crate) const SAMPLE: (&str, &str) = (include_str!("explain/sample.head"), include_str!("explain/sample.json"));

/// What is told of the values of headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// None that may be a key.
    Masked,
    /// All, for who may read the configuration anyway.
    Shown,
}

/// What would happen to a request.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    /// Name of the upstream that it would go to; `None` if the gateway would answer by itself.
    pub upstream: Option<String>,
    /// The status that the gateway would answer with by itself.
    pub answered: Option<u16>,
    /// Every rule for that upstream, in order.
    pub rules: Vec<RuleReport>,
    /// Unified diff of the head, secrets masked; empty if nothing changes.
    pub head_diff: String,
    /// Unified diff of the body, laid out over lines, secrets masked; empty if it stays as it is.
    pub body_diff: String,
    /// Why the body is not JSON: rules change nothing in it then. `None` if it is, or there is none.
    pub not_json: Option<String>,
    /// Bytes of the body as it came.
    pub bytes_before: usize,
    /// Bytes of the body as it would go out.
    pub bytes_after: usize,
    /// What would be done about thinking that comes back, if the conversation moved to this upstream: `asked_to_drop`, or
    /// `kept`; `None` if none comes back.
    pub on_move: Option<&'static str>,
    /// Whether the change touches what the API caches: all before the last `cache_control` of `tools` and `system`.
    pub touches_cached_prefix: bool,
    /// Whether thinking that comes back stays valid.
    pub prefix: Prefix,
    /// What the request was made of, if it is one of the log; `None` if it was given.
    pub source: Option<Source>,
}

/// One rule and what it would do.
#[derive(Debug, Serialize)]
pub(crate) struct RuleReport {
    /// Its name.
    pub name: String,
    /// Whether it is for this request.
    pub matches: bool,
    /// The first condition that does not hold, in English.
    pub unmet: Option<String>,
    /// The same in both languages.
    #[serde(skip)]
    pub unmet_words: Option<Words>,
    /// The same in parts.
    pub condition: Option<Unmet>,
    /// What each of its changes of the body does, or why nothing, in English.
    pub body: Vec<String>,
    /// The same in both languages.
    #[serde(skip)]
    pub body_words: Vec<Words>,
    /// The same as codes.
    pub outcomes: Vec<BodyOutcome>,
}

/// What a change of the body does.
#[derive(Debug, Serialize)]
pub(crate) struct BodyOutcome {
    /// What it does, or why nothing.
    pub code: &'static str,
    /// Whether it changes the body.
    pub changed: bool,
}

/// Explains what would happen to the request with this head (without one, a usual Messages request) and body; `past` is what
/// else is known of one of the log; `roster` has the client tokens.
///
/// # Errors
/// When the head cannot be read.
pub(crate) fn explain(
    snapshot: Arc<Snapshot>,
    roster: &Roster,
    head: Option<&str>,
    body: &[u8],
    values: Values,
    past: Option<&Past>,
) -> Result<Explanation, Words> {
    let mut client = parse_head(head.unwrap_or(USUAL_HEAD))?;
    let gauge = || IntGauge::new("explain", "Not shown.").map_err(|error| Words::said(error.to_string()));
    let mut context = Context::new(snapshot, new_request_id(), &gauge()?);
    let peer = past.and_then(|past| past.client).unwrap_or([127, 0, 0, 1].into());
    context.arrival.came_from(context.snapshot.origin(Some(peer), &client.headers));
    context.arrival.body = (!body.is_empty()).then(|| HeldBody { bytes: Bytes::copy_from_slice(body), hold: None });
    let mut explanation = Explanation {
        upstream: None,
        answered: None,
        rules: Vec::new(),
        head_diff: String::new(),
        body_diff: String::new(),
        not_json: Document::parse(body).err().filter(|_| !body.is_empty()).map(|error| error.to_string()),
        bytes_before: body.len(),
        bytes_after: body.len(),
        on_move: None,
        touches_cached_prefix: false,
        prefix: Prefix::default(),
        source: None,
    };
    let cannot = |error: Box<pingora::Error>| {
        let why = error.etype().as_str().to_owned();
        both!("the request cannot be made: {why}", "无法生成要发出的请求：{why}")
    };
    let respond = match admit(&mut client, roster, past, &mut context).map_err(cannot)? {
        Ok(()) => apply_rules::respond(&client, &mut context).map(|answer| answer.status),
        Err(refusal) => Some(refusal.status),
    };
    match &context.arrival.identity.group {
        Ok(_) => context.routing.destination = context.group().first().copied(),
        Err(refusal) => explanation.answered = Some(refusal.status),
    }
    explanation.rules = rule_reports(&client, &context);
    let meant = context.chosen().or(context.snapshot.answering());
    explanation.source = past.map(|past| Source::of(past, &client.headers, client.raw_path(), meant));
    let cleaner_of = client.clone();
    let snapshot = Arc::clone(&context.snapshot);
    let cleaner = Cleaner::new(&cleaner_of, &snapshot.secrets);
    for report in &mut explanation.rules {
        report.unmet_words = report.unmet_words.take().map(|unmet| {
            let [english, chinese] =
                [Language::English, Language::Chinese].map(|language| cleaner.text(unmet.text(language), false));
            Words::new(format_args!("{english}"), format_args!("{chinese}"))
        });
        report.unmet = report.unmet_words.as_ref().map(ToString::to_string);
        if let Some(condition) = &mut report.condition {
            condition.clean(&|text| cleaner.text(text, false));
        }
    }
    explanation.answered = respond.or(explanation.answered);
    if explanation.answered.is_some() {
        return Ok(explanation);
    }
    explanation.upstream = Some(context.destination().map_err(cannot)?.upstream.config.name.clone());
    let mut outgoing = client.clone();
    remove_hop_by_hop(&mut outgoing);
    request_head::head(&mut outgoing, Version::HTTP_11, &context).map_err(cannot)?;
    apply_rules::request(&mut outgoing, &client, &mut context).map_err(cannot)?;
    request_head::length(&mut outgoing, &context).map_err(cannot)?;
    explanation.prefix = Prefix::of(&client, context.destination().map_err(cannot)?, &context);
    explanation.head_diff = head_diff(&client, &outgoing, values, &cleaner);
    explanation.on_move = repair::on_move(&context).map(|action| action.map_or("kept", ThinkingAction::code));
    if let Some(changed) = &context.attempt.body {
        explanation.bytes_after = changed.len();
        explanation.body_diff = body_diff(body, changed, &cleaner);
        explanation.touches_cached_prefix = touches_cache(body, &context);
    }
    Ok(explanation)
}

/// Finds out who sends the request; whether the client token lets it in, if it has or needs one.
fn admit(
    client: &mut RequestHeader,
    roster: &Roster,
    past: Option<&Past>,
    context: &mut Context,
) -> pingora::Result<Result<(), Refusal>> {
    context.arrival.identity = match past {
        Some(Past { key, token, .. }) => {
            let token = token.as_deref().and_then(|id| roster.with_id(id));
            identity::identify_kept(&client.headers, key.as_deref(), token, &context.snapshot)
        }
        None => identity::look(&client.headers, None, context.arrival.client, roster, &context.snapshot),
    };
    if context.arrival.identity.shows_token {
        tokens::conceal(client)?;
    }
    Ok(admit_token(client, roster, context))
}

/// What differs between the heads of a request as it came and as it goes out.
pub(super) fn head_diff(
    client: &RequestHeader,
    outgoing: &RequestHeader,
    values: Values,
    cleaner: &Cleaner<'_>,
) -> String {
    let heads = diff::of_texts(&head_text(client, values), &head_text(outgoing, values));
    match values {
        Values::Masked => cleaner.text(&heads, false),
        Values::Shown => heads,
    }
}

/// The same of its bodies, laid out over lines and without secrets.
pub(super) fn body_diff(before: &[u8], after: &[u8], cleaner: &Cleaner<'_>) -> String {
    cleaner.text(&diff::of_bodies(before, after), false)
}

fn rule_reports(client: &RequestHeader, context: &Context) -> Vec<RuleReport> {
    // One that goes nowhere meets the rules that might have answered it.
    let Some(destination) = context.chosen().or(context.snapshot.answering()) else { return Vec::new() };
    let body = Body { bytes: apply_rules::readable_body(client, context), ..Body::default() };
    let plan = apply_rules::plan(client, destination, context, body, None);
    let facts = context.facts(client, destination, plan.model.as_deref());
    let report = |(index, rule): (usize, &Arc<Rule>)| {
        let first = rule.matcher.first_unmet(&facts);
        let condition = first.map(Unmet::of);
        let texts = first.map(|it| [Language::English, Language::Chinese].map(|language| it.text(language)));
        let unmet_words =
            texts.map(|[english, chinese]| Words::new(format_args!("{english}"), format_args!("{chinese}")));
        let outcomes = plan.outcomes.iter().filter(|(of, _)| *of == index);
        let (body_words, outcomes): (Vec<Words>, _) = outcomes
            .map(|(_, outcome)| match outcome {
                Ok(change) => (change.words(), BodyOutcome { code: change.name(), changed: true }),
                Err(unchanged) => (unchanged.words(), BodyOutcome { code: unchanged.name(), changed: false }),
            })
            .unzip();
        RuleReport {
            name: rule.name.to_string(),
            matches: first.is_none(),
            unmet: None,
            unmet_words,
            condition,
            body: body_words.iter().map(ToString::to_string).collect(),
            body_words,
            outcomes,
        }
    };
    destination.rules.rules().iter().enumerate().map(report).collect()
}

fn touches_cache(body: &[u8], context: &Context) -> bool {
    let (Ok(mut document), Some(destination)) = (Document::parse(body), context.chosen()) else { return false };
    let rules = destination.rules.rules();
    for action in context.attempt.rules.iter().flat_map(|&index| &rules[index].body) {
        // What it leaves undone was left undone before too.
        let _ = action.apply(&mut document);
    }
    touches_cached_prefix(&document)
}

/// Reads a request head with CR LF or LF, as it stands in a file.
///
/// # Errors
/// When it cannot be read.
pub(super) fn parse_head(text: &str) -> Result<RequestHeader, Words> {
    // A head that was kept says by which version it came; the fields are the same.
    let text = text.trim_start_matches('\u{feff}').replacen(" HTTP/2.0\n", " HTTP/1.1\n", 1);
    let normal = format!("{}\r\n\r\n", text.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\r\n"));
    let mut fields = vec![httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    let bad = |what: &str| both!("the head cannot be read: {what}", "无法读取请求头：{what}");
    match parsed.parse(normal.as_bytes()) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => {
            return Err(both!("the head cannot be read: it is not complete", "请求头不完整"));
        }
        Err(error) => return Err(bad(&error.to_string())),
    }
    let method = parsed.method.unwrap_or_default();
    let target = parsed.path.unwrap_or_default();
    let mut head = RequestHeader::build(method, target.as_bytes(), Some(parsed.headers.len())).map_err(|_| {
        both!("the head cannot be read: its first line is no request line", "无法读取请求头：第一行不是请求行")
    })?;
    for field in parsed.headers.iter() {
        let value = HeaderValue::from_bytes(field.value).map_err(|_| bad(field.name))?;
        head.append_header(field.name.to_owned(), value).map_err(|_| bad(field.name))?;
    }
    Ok(head)
}

/// What Pingora removes before it asks the gateway.
fn remove_hop_by_hop(head: &mut RequestHeader) {
    for name in [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, PROXY_AUTHORIZATION] {
        head.remove_header(&name);
    }
    head.remove_header("keep-alive");
    head.remove_header("proxy-connection");
}

fn head_text(head: &RequestHeader, values: Values) -> String {
    let mut text = format!("{} {} HTTP/1.1\n", head.method, String::from_utf8_lossy(head.raw_path()));
    for (name, value) in head.case_header_iter() {
        let name = String::from_utf8_lossy(name.as_slice());
        let shown = match values == Values::Masked && (value.is_sensitive() || is_secret_name(&name)) {
            true => MASK.into(),
            false => String::from_utf8_lossy(value.as_bytes()),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: {shown}");
    }
    text
}

/// The explanation for a terminal, in the language that is spoken there.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let language = language::here();
        let of = |words: Words| words.text(language).to_owned();
        match (&self.upstream, self.answered) {
            (Some(upstream), _) => {
                writeln!(f, "{}", of(both!("goes to the upstream \"{upstream}\"", "发往上游“{upstream}”")))?;
            }
            (None, Some(status)) => {
                let words =
                    both!("is answered by the gateway itself, with status {status}", "由网关自己响应，状态码 {status}");
                writeln!(f, "{}", of(words))?;
            }
            (None, None) => {}
        }
        writeln!(f, "\n{}", of(both!("rules, in order:", "各条规则（按顺序）：")))?;
        if self.rules.is_empty() {
            writeln!(f, "  {}", of(both!("none", "无")))?;
        }
        self.rules.iter().try_for_each(|rule| writeln!(f, "  {}", of(rule.words(language))))?;
        if self.upstream.is_none() {
            return Ok(());
        }
        let unchanged = of(both!("  unchanged\n", "  没有变化\n"));
        let head = if self.head_diff.is_empty() { &unchanged } else { &self.head_diff };
        writeln!(f, "\n{}\n{head}", of(both!("head:", "请求头：")))?;
        let (before, after) = (self.bytes_before, self.bytes_after);
        writeln!(f, "{}", of(both!("body, {before} -> {after} bytes:", "请求体，{before} -> {after} 字节：")))?;
        if let Some(error) = &self.not_json {
            let words = both!(
                "it is not JSON, so no rule changes anything in it: {error}",
                "不是 JSON，规则不会改动它：{error}"
            );
            writeln!(f, "  {}", of(words))?;
        }
        f.write_str(if self.body_diff.is_empty() { &unchanged } else { &self.body_diff })?;
        self.write_thinking(f, language)
    }
}

impl Explanation {
    /// What it means for a conversation.
    fn write_thinking(&self, f: &mut fmt::Formatter<'_>, language: Language) -> fmt::Result {
        let on_move = self.on_move.map(|action| match action {
            "kept" => {
                both!("if the conversation moved here: its thinking goes as it is", "如果对话转到这里：思考块原样发送")
            }
            _ => both!(
                "if the conversation moved here: the API is asked to drop thinking that does not fit",
                "如果对话转到这里：请求 API 丢弃不再适用的思考块"
            ),
        });
        if let Some(words) = on_move {
            writeln!(f, "\n{}", words.text(language))?;
        }
        let touched = match self.touches_cached_prefix {
            true => both!(
                "touches the cached prefix: yes: what was cached without it is not used",
                "改动了缓存前缀：是，此前的缓存不会命中"
            ),
            false => both!("touches the cached prefix: no", "改动了缓存前缀：否"),
        };
        writeln!(f, "\n{}", touched.text(language))?;
        f.write_str(&self.prefix.text(language))
    }
}

impl RuleReport {
    /// The rule in one line.
    fn words(&self, language: Language) -> Words {
        let name = &self.name;
        let told = match &self.unmet_words {
            None => Words::said(format!("+ {name}")),
            Some(unmet) => {
                both!("- {name}: does not hold: {why}", "- {name}：不满足：{why}", why = unmet.text(language))
            }
        };
        if self.body.is_empty() {
            return told;
        }
        let body: Vec<&str> = self.body_words.iter().map(|words| words.text(language)).collect();
        let (told, english, chinese) = (told.text(language), body.join("; "), body.join("；"));
        Words::new(format_args!("{told} (body: {english})"), format_args!("{told}（请求体：{chinese}）"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_with_either_line_end() {
        for text in ["GET /a?b HTTP/1.1\nHost: x\nX-A: 1\n", "GET /a?b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n\r\n"] {
            let head = parse_head(text).expect("valid");
            assert_eq!(head_text(&head, Values::Masked), "GET /a?b HTTP/1.1\nHost: x\nX-A: 1\n");
        }
        assert!(parse_head("nonsense").is_err() && parse_head("").is_err());
    }

    #[test]
    fn secrets_are_masked() {
        let head =
            parse_head("GET / HTTP/1.1\nAuthorization: Bearer sk-1\nX-Api-Key: sk-2\nCookie: sk-3\n").expect("valid");
        let masked = head_text(&head, Values::Masked);
        assert!(!masked.contains("sk-"), "{masked}");
        assert!(head_text(&head, Values::Shown).contains("Authorization: Bearer sk-1\n"));
    }
}
