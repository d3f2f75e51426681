//! A made conversation: a client, the rules of a gateway, and upstreams with a simulated cache.

use super::prompt_cache::PromptCache;
use crate::cache_waste::{CacheUse, Checkpoint, Loss, Memory, Place, Replies, Request, Shown, without_loss};
use crate::prompt_shape::PromptShape;
use crate::rules::glob::Glob;
use crate::usage::pricing::decimal::Factor;
use crate::usage::pricing::model_name::plain;
use crate::usage::pricing::{Offer, Price, Prices};
use crate::usage::summary::{Details, Tokens};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

pub(super) const MINUTE: i64 = 60_000;

type Change = fn(&mut Value);

/// A made conversation. Its fields say how it goes on.
pub(super) struct Talk {
    pub tools: Vec<String>,
    pub system: Vec<String>,
    pub first: &'static str,
    pub further: u64,
    pub model: &'static str,
    pub answers_as: Option<&'static str>,
    pub title_model: &'static str,
    pub title_tokens: u64,
    pub thinking: Option<&'static str>,
    pub marks_tools: bool,
    pub has_attribution: bool,
    pub says_compacted: bool,
    pub is_silent: bool,
    pub tells_details: bool,
    pub gives_five_minutes: bool,
    pub account: &'static str,
    pub rules: Vec<(&'static str, Change)>,
    pub lost: Vec<(Loss, String)>,
    messages: Vec<Value>,
    marks: (Value, Value),
    upstream: &'static str,
    key: &'static str,
    agent: String,
    asked: u64,
    now_ms: i64,
    answered_after_ms: i64,
    answered_ms: i64,
    cache: PromptCache,
    memories: HashMap<String, Memory>,
    restored: Vec<(String, Checkpoint)>,
}

pub(super) fn set(body: &mut Value, pointer: &str, text: &str) {
    *body.pointer_mut(pointer).expect("a place") = text.into();
}

impl Talk {
    pub(super) fn new() -> Self {
        let five_minutes = json!({ "type": "ephemeral" });
        Self {
            tools: vec!["6000:read".into(), "4000:write".into()],
            system: vec!["1000:you are".into(), "4000:today is the 1st".into()],
            first: "2000:please",
            further: 1_000,
            model: "claude-opus-5",
            answers_as: None,
            title_model: "claude-haiku-5-5",
            title_tokens: 50,
            thinking: None,
            marks_tools: true,
            has_attribution: false,
            says_compacted: false,
            is_silent: false,
            tells_details: true,
            gives_five_minutes: false,
            account: "",
            rules: Vec::new(),
            lost: Vec::new(),
            messages: Vec::new(),
            marks: (five_minutes.clone(), five_minutes),
            upstream: "a",
            key: "first",
            agent: String::new(),
            asked: 0,
            now_ms: 1_000_000_000,
            answered_after_ms: 500,
            answered_ms: 0,
            cache: PromptCache::default(),
            memories: HashMap::new(),
            restored: Vec::new(),
        }
    }

    pub(super) fn ask(&mut self) -> &mut Self {
        self.asked += 1;
        let text = if self.messages.is_empty() {
            self.first.to_owned()
        } else {
            format!("{}:message {}", self.further, self.asked)
        };
        self.messages.push(json!({ "role": "user", "content": [{ "type": "text", "text": text }] }));
        self.send(&self.body(), |_| ());
        let reply = format!("500:reply {} {}", self.asked, "so it is ".repeat(10));
        self.messages.push(json!({ "role": "assistant", "content": [{ "type": "text", "text": reply }] }));
        self.pause(10_000)
    }

    pub(super) fn ask_times(&mut self, times: usize) -> &mut Self {
        for _ in 0..times {
            self.ask();
        }
        self
    }

    /// The last request once more.
    pub(super) fn ask_again(&mut self) -> &mut Self {
        let reply = self.messages.pop();
        self.send(&self.body(), |_| ());
        self.messages.extend(reply);
        self
    }

    /// Two requests of which the second begins before the first is answered.
    pub(super) fn ask_at_once(&mut self) {
        let body = |talk: &Self, text: &str| {
            let mut body = talk.body();
            let said = json!({ "role": "user", "content": [{ "type": "text", "text": text }] });
            body["messages"].as_array_mut().expect("messages").push(said);
            body
        };
        let (one, two) = (body(self, "9000:one"), body(self, "9000:one"));
        self.answered_after_ms = 5_000;
        self.send(&one, |_| ());
        self.cache = PromptCache::default();
        self.pause(1_000);
        self.send(&two, |_| ());
    }

    pub(super) fn pause(&mut self, ms: i64) -> &mut Self {
        self.now_ms += ms;
        self
    }

    /// So long after the last response began.
    pub(super) fn after(&mut self, ms: i64) -> &mut Self {
        self.now_ms = self.answered_ms + ms;
        self
    }

    pub(super) fn at(&mut self, upstream: &'static str) -> &mut Self {
        self.upstream = upstream;
        self
    }

    pub(super) fn with_key(&mut self, key: &'static str) -> &mut Self {
        self.key = key;
        self
    }

    pub(super) fn hour(&mut self) -> &mut Self {
        let hour = json!({ "type": "ephemeral", "ttl": "1h" });
        self.marks = (hour.clone(), hour);
        self
    }

    pub(super) fn hour_for_head(&mut self) -> &mut Self {
        self.marks.0 = json!({ "type": "ephemeral", "ttl": "1h" });
        self
    }

    pub(super) fn rule(&mut self, name: &'static str, change: Change) {
        self.rules.push((name, change));
    }

    /// What was said before, said otherwise.
    pub(super) fn edit(&mut self, message: usize, text: &str) {
        self.messages[message]["content"][0]["text"] = text.into();
    }

    /// The last messages were not said.
    pub(super) fn rewind(&mut self, messages: usize) {
        self.messages.truncate(self.messages.len() - messages);
    }

    pub(super) fn begin_anew(&mut self) {
        self.messages.clear();
        self.first = "2000:something else";
    }

    pub(super) fn fail(&mut self) -> &mut Self {
        // An upstream that fails tells no usage, and nothing of it comes here.
        self.pause(1_000)
    }

    /// A summary of the conversation is asked for with the same prompt.
    pub(super) fn ask_summary(&mut self) {
        let mut body = self.body();
        let said = json!({ "role": "user", "content": "100:summarise this" });
        body["messages"].as_array_mut().expect("messages").push(said);
        self.send(&body, |request| request.is_compaction = true);
        self.pause(10_000);
    }

    /// The same with a prompt of its own.
    pub(super) fn ask_summary_otherwise(&mut self) {
        let mut body = self.body();
        body["system"] = json!([{ "type": "text", "text": "10:you summarise", "cache_control": self.marks.0 }]);
        body["tools"] = json!([{ "name": "t0", "description": "6000:read", "cache_control": self.marks.0 }]);
        self.send(&body, |request| request.is_compaction = true);
    }

    pub(super) fn compact(&mut self) {
        self.asked += 1;
        let text = format!("This session is being continued from a previous conversation: {}", self.asked);
        let summary = json!([{ "type": "text", "text": text }, { "type": "text", "text": "2977:what was said" }]);
        self.messages = vec![json!({ "role": "user", "content": summary })];
    }

    pub(super) fn compact_but_keep(&mut self, last: usize) {
        let kept = self.messages.split_off(self.messages.len() - last);
        self.compact();
        self.messages.push(json!({ "role": "assistant", "content": "10:I see" }));
        self.messages.extend(kept);
    }

    /// A request for a title, with the first message.
    pub(super) fn title(&mut self) {
        let mark = &self.marks.0;
        let system =
            json!([{ "type": "text", "text": format!("{}:make a title", self.title_tokens), "cache_control": mark }]);
        let content = json!([{ "type": "text", "text": self.first, "cache_control": mark }]);
        let body = json!({ "model": self.title_model, "system": system, "messages": [{ "role": "user", "content": content }] });
        self.send(&body, |_| ());
        self.pause(500);
    }

    /// Sub-agents by turns, each with so many requests.
    pub(super) fn agents(&mut self, agents: usize, requests: usize) {
        self.by_turns(agents, requests, |number| format!("agent {number}"));
    }

    pub(super) fn unnamed_agents(&mut self, agents: usize, requests: usize) {
        self.by_turns(agents, requests, |_| String::new());
    }

    fn by_turns(&mut self, agents: usize, requests: usize, name: fn(usize) -> String) {
        let main = std::mem::take(&mut self.messages);
        let mut talks: Vec<Vec<Value>> = (0..agents)
            .map(|number| {
                vec![json!({ "role": "user", "content": [{ "type": "text", "text": format!("1500:task {number}") }] })]
            })
            .collect();
        for request in 0..requests {
            for (number, talk) in talks.iter_mut().enumerate() {
                self.agent = name(number);
                self.messages.clone_from(talk);
                self.send(&self.body(), |_| ());
                let reply = format!("500:agent {number} says {request} {}", "so it is ".repeat(10));
                talk.push(json!({ "role": "assistant", "content": reply }));
                talk.push(json!({ "role": "user", "content": format!("1000:result {number} {request}") }));
                self.pause(1_000);
            }
        }
        self.messages = main;
        self.agent = String::new();
    }

    pub(super) fn upstream_forgets(&mut self) {
        self.cache = PromptCache::default();
    }

    /// The gateway starts anew, and reads from its log what it knew.
    pub(super) fn restart(&mut self) -> &mut Self {
        self.memories.clear();
        for (agent, checkpoint) in self.restored.clone() {
            self.memories.entry(agent).or_default().remember(checkpoint);
        }
        self
    }

    /// The request as the client makes it.
    fn body(&self) -> Value {
        let marked = |mut parts: Vec<Value>, mark: &Value| {
            if let Some(last) = parts.last_mut() {
                last["cache_control"] = mark.clone();
            }
            parts
        };
        let tools = (0..)
            .zip(&self.tools)
            .map(|(at, tool): (usize, _)| json!({ "name": format!("t{at}"), "description": tool }));
        let tools = match self.marks_tools {
            true => marked(tools.collect(), &self.marks.0),
            false => tools.collect(),
        };
        let mut system: Vec<Value> = self.system.iter().map(|text| json!({ "type": "text", "text": text })).collect();
        system = marked(system, &self.marks.0);
        if self.has_attribution {
            let text = format!("x-anthropic-billing-header: cch={}", self.asked);
            system.insert(0, json!({ "type": "text", "text": text }));
        }
        let mut messages = self.messages.clone();
        if let Some(last) = messages.last_mut().and_then(|last| last["content"].as_array_mut()?.last_mut()) {
            last["cache_control"] = self.marks.1.clone();
        }
        let mut body = json!({ "model": self.model, "system": system, "tools": tools, "messages": messages });
        if let Some(thinking) = self.thinking {
            body["thinking"] = json!({ "type": thinking });
        }
        body
    }

    fn send(&mut self, body: &Value, also: impl Fn(&mut Request)) {
        self.answered_ms = self.now_ms + self.answered_after_ms;
        let mut sent = body.clone();
        self.rules.iter().for_each(|(_, change)| change(&mut sent));
        if self.gives_five_minutes {
            sent = serde_json::from_str(&sent.to_string().replace(r#""ttl":"1h","#, "")).expect("JSON");
        }
        let account = format!("{} {} {}", self.upstream, self.key, self.account);
        let used = self.cache.answer(&account, &sent, self.answered_ms);
        let came = PromptShape::of(body.to_string().as_bytes()).expect("a shape");
        let went = (!self.rules.is_empty()).then(|| PromptShape::of(sent.to_string().as_bytes()).expect("a shape"));
        let cache = match self.is_silent {
            true => CacheUse::default(),
            false => CacheUse {
                read: used.read,
                written: used.written_5m + used.written_1h,
                told: self.tells_details.then_some([used.written_5m, used.written_1h]),
            },
        };
        let model = self.answers_as.unwrap_or(body["model"].as_str().expect("a model"));
        let mut request = Request {
            began_ms: self.now_ms,
            answered_ms: self.answered_ms,
            place: Place { upstream: self.upstream.into(), key: self.key.into() },
            model: plain(model).into(),
            rules: self.rules.iter().map(|(name, _)| Arc::from(*name)).collect(),
            is_compaction: false,
            is_compacted: came.is_continued,
            was_just_compacted: self.says_compacted,
            came: Shown::of(&came),
            sent: went.as_ref().map(Shown::of),
            replies: Replies::of(&came),
            marks: Request::marks_of(went.as_ref().unwrap_or(&came)),
            cache,
        };
        also(&mut request);
        if let Some(left) = request.left() {
            self.restored.push((self.agent.clone(), Checkpoint { replies: None, ..left }));
        }
        if let Some(loss) = self.memories.entry(self.agent.clone()).or_default().judge(&request) {
            let dollars = self.dollars(model, &request, loss.tokens);
            self.lost.push((loss, dollars));
        }
    }

    /// What that cost more than reading would have.
    fn dollars(&self, model: &str, request: &Request, lost: u64) -> String {
        let offer = |models: &str, input: u64| {
            let price = Price::usual(input, 5 * input, None, None, None);
            Offer::new(Glob::new(models), price, "a test".into())
        };
        let prices =
            Prices::default().then(vec![offer("claude-opus-5", 5_000_000), offer("claude-sonnet-5", 2_000_000)]);
        let [_, hour] = request.cache.told.unwrap_or_default();
        let tokens = Tokens {
            cache_write: request.cache.written,
            cache_write_1h: hour,
            cache_read: request.cache.read,
            ..Tokens::default()
        };
        let cost = |tokens: &Tokens| {
            prices.cost(model, tokens, &Details::default(), UNIX_EPOCH, Factor::ONE).expect("a price")
        };
        let nano = cost(&tokens) - cost(&without_loss(&tokens, lost));
        format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000)
    }
}
