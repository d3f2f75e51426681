//! What was written to the prompt cache although it had been there is found in rows, by session, and in metrics: with an
//! upstream that keeps a cache as the API does, by a clock that the test holds.

use harness::prompt_cache::PromptCache;
use harness::{Client, Gateway, GatewayBuilder, Received, Reply, Request, Upstream, metrics, within};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const KEYS: &str = "api_keys: [{key: sk-first-key-1, name: first}, {key: sk-second-key-2, name: second}]";
/// What a token of Opus 5 costs more to write than to read: 6.25 and 0.50 dollars per million.
const USD_PER_TOKEN: f64 = 5.75e-6;

/// What all upstreams have in their caches, and their clock.
#[derive(Default)]
struct World {
    cache: PromptCache,
    now_ms: i64,
}

type Shared = Arc<Mutex<World>>;

fn answer(name: &'static str, world: &Shared, request: &Received) -> Reply {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    if request.headers.get("x-fail").is_some() {
        return Reply::status(400).header("Content-Type", "application/json").body(r#"{"type":"error"}"#);
    }
    let key = request.headers.get("authorization").or(request.headers.get("x-api-key")).unwrap_or_default();
    let mut world = world.lock().expect("the world");
    world.now_ms += 1_000;
    let now = world.now_ms;
    let mut usage = world.cache.answer(&format!("{name} {key}"), &body, now).usage(9);
    if name == "silent" {
        usage = json!({ "input_tokens": 17_000, "output_tokens": 9 });
    }
    let message = json!({
        "type": "message", "role": "assistant", "model": body["model"], "content": [{"type": "text", "text": "yes"}],
        "stop_reason": "end_turn", "usage": usage,
    });
    if body["stream"] != true {
        return Reply::json(message.to_string());
    }
    let event = |kind: &str, data: Value| format!("event: {kind}\ndata: {data}\n\n");
    Reply::sse()
        .bytes(event("message_start", json!({ "type": "message_start", "message": message })))
        .bytes(event("message_delta", json!({ "type": "message_delta", "usage": { "output_tokens": 9 } })))
        .bytes(event("message_stop", json!({ "type": "message_stop" })))
}

async fn upstream(name: &'static str, world: &Shared) -> Upstream {
    let world = Arc::clone(world);
    Upstream::start(move |request: &Received| answer(name, &world, request)).await
}

fn yaml(upstreams: &[(&str, &Upstream)], rest: &str) -> String {
    let list = upstreams.iter().map(|(name, upstream)| {
        let keys = if *name == "a" { KEYS } else { "priority: 2" };
        format!("{{name: {name}, base_url: \"{}\", {keys}}}", upstream.url())
    });
    let names: Vec<&str> = upstreams.iter().map(|(name, _)| *name).collect();
    let list = list.collect::<Vec<_>>().join(", ");
    // Only clients that are let in go out with the keys of an upstream.
    let routes = format!("  routes: [{{keys: sk-client, upstreams: [{}]}}]\n", names.join(", "));
    format!("gateway:\n  upstreams: [{list}]\n{routes}{rest}")
}

fn builder(folder: &Path) -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
        .env("DASHBOARD_API_KEY", "the-key")
        .env("GATEWAY_DB", &folder.join("log.db").display().to_string())
}

async fn started(builder: GatewayBuilder, yaml: &str) -> Gateway {
    let gateway = builder.yaml(yaml).start().await;
    within("commands are taken", async {
        while !gateway.dir().join("data/run/gateway.pid").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    gateway
}

async fn reload(gateway: &Gateway, text: &str) {
    std::fs::write(gateway.dir().join("gateway.yaml"), text).expect("written");
    let output = gateway.command(&["reload"]).await;
    assert!(output.status.success(), "{output:?}");
}

async fn get(gateway: &Gateway, target: &str) -> Value {
    let request = Request::get(&format!("/api/admin/{target}")).header("Host", "127.0.0.1");
    let answer = gateway.request(&request.header("Authorization", "Bearer the-key")).await;
    assert_eq!(answer.status(), 200, "{target}: {}", answer.text());
    answer.json()
}

async fn change(gateway: &Gateway, target: &str, body: &str) {
    let request = Request::post(&format!("/api/admin/{target}"), body).header("Host", "127.0.0.1");
    let request = request.header("Authorization", "Bearer the-key").header("Content-Type", "application/json");
    let answer = gateway.request(&request).await;
    assert_eq!(answer.status(), 200, "{target}: {}", answer.text());
}

/// The rows of a session, the oldest first, once there are so many.
async fn rows(gateway: &Gateway, session: &str, count: usize) -> Vec<Value> {
    within("the rows", async {
        loop {
            let page = get(gateway, &format!("requests?limit=500&session={session}")).await;
            let mut rows = page["requests"].as_array().expect("rows").clone();
            if rows.len() >= count {
                rows.reverse();
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// A conversation as Claude Code has it: tools of 10,000 tokens, a system prompt of 5,000, and messages.
#[derive(Clone)]
struct Talk {
    session: String,
    headers: Vec<(&'static str, &'static str)>,
    model: &'static str,
    key: &'static str,
    tools: Vec<String>,
    system: &'static str,
    messages: Vec<Value>,
    asked: usize,
}

impl Talk {
    fn new(session: &str) -> Self {
        Self {
            session: session.to_owned(),
            headers: Vec::new(),
            model: "claude-opus-5",
            key: "sk-client",
            // No session finds in the cache what another one wrote.
            tools: vec![format!("6000:read {session}"), "4000:write".to_owned()],
            system: "5000:you are",
            messages: Vec::new(),
            asked: 0,
        }
    }

    fn body(&self) -> Value {
        let mark = json!({ "type": "ephemeral" });
        let tools = (0..)
            .zip(&self.tools)
            .map(|(at, text): (usize, _)| json!({ "name": format!("t{at}"), "description": text }));
        let mut tools: Vec<Value> = tools.collect();
        if let Some(last) = tools.last_mut() {
            last["cache_control"] = mark.clone();
        }
        let mut messages = self.messages.clone();
        if let Some(last) = messages.last_mut() {
            last["content"][0]["cache_control"] = mark.clone();
        }
        let attribution = format!("x-anthropic-billing-header: cch={}", self.asked);
        json!({
            "model": self.model, "max_tokens": 100, "messages": messages,
            "system": [{"type": "text", "text": attribution}, {"type": "text", "text": self.system, "cache_control": mark}],
            "tools": tools, "stream": self.asked.is_multiple_of(2),
        })
    }

    /// Says something, and takes the reply into the conversation.
    async fn ask(&mut self, gateway: &Gateway) {
        self.asked += 1;
        let tokens = if self.messages.is_empty() { 2_000 } else { 1_000 };
        self.messages.push(said("user", &format!("{tokens}:message {}", self.asked)));
        assert_eq!(self.send(gateway, &self.body(), &[]).await, 200);
        let reply = format!("500:reply {} {}", self.asked, "so it is ".repeat(10));
        self.messages.push(said("assistant", &reply));
    }

    async fn send(&self, gateway: &Gateway, body: &Value, more: &[(&str, &str)]) -> u16 {
        let mut request = Request::post("/v1/messages?beta=true", body.to_string())
            .header("Content-Type", "application/json")
            .header("Authorization", format!("Bearer {}", self.key))
            .header("X-Claude-Code-Session-Id", &self.session);
        for (name, value) in self.headers.iter().chain(more) {
            request = request.header(name, value);
        }
        gateway.request(&request).await.status()
    }
}

fn said(role: &str, text: &str) -> Value {
    json!({ "role": role, "content": [{ "type": "text", "text": text }] })
}

/// What was lost: cause and tokens of each row that lost something; the dollars must follow from them.
fn lost(rows: &[Value]) -> Vec<(String, u64)> {
    let lost = rows.iter().filter(|row| !row["waste"].is_null()).map(|row| {
        let waste = &row["waste"];
        let tokens = waste["tokens"].as_u64().expect("tokens");
        let usd = waste["usd"].as_f64().expect("dollars");
        if row["model"] == "claude-opus-5" {
            assert!((usd - tokens as f64 * USD_PER_TOKEN).abs() < 1e-9, "{waste}");
        }
        (waste["cause"].as_str().expect("a cause").to_owned(), tokens)
    });
    lost.collect()
}

/// A session, how many requests it made, and what it lost: causes and tokens.
type Told = (&'static str, usize, Vec<(&'static str, u64)>);

const PROMPT_RULE: &str = "  rules:\n  - name: house\n    body: {set: {/system/1/text: \"5000:by rule\"}}\n";

#[tokio::test]
async fn what_a_conversation_lost_is_in_its_rows_and_by_session_and_in_metrics() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = Shared::default();
    let (a, b) = (upstream("a", &world).await, upstream("b", &world).await);
    let plain = yaml(&[("a", &a), ("b", &b)], "");
    let gateway = started(builder(folder.path()), &plain).await;
    let mut wanted: Vec<Told> = Vec::new();

    let mut talk = Talk::new("goes-on");
    for _ in 0..4 {
        talk.ask(&gateway).await;
    }
    wanted.push(("goes-on", 4, vec![]));

    let mut talk = Talk::new("tools");
    talk.ask(&gateway).await;
    talk.tools.insert(0, "100:new".to_owned());
    talk.ask(&gateway).await;
    talk.ask(&gateway).await;
    wanted.push(("tools", 3, vec![("tools_changed", 17_000)]));

    let mut talk = Talk::new("system");
    talk.ask(&gateway).await;
    talk.system = "5000:today is the 2nd";
    talk.ask(&gateway).await;
    wanted.push(("system", 2, vec![("system_changed", 7_000)]));

    let mut talk = Talk::new("history");
    for _ in 0..3 {
        talk.ask(&gateway).await;
    }
    talk.messages[0] = said("user", "2000:otherwise");
    talk.ask(&gateway).await;
    wanted.push(("history", 4, vec![("history_changed", 5_000)]));

    let mut talk = Talk::new("model");
    talk.ask(&gateway).await;
    talk.model = "claude-sonnet-5";
    talk.ask(&gateway).await;
    wanted.push(("model", 2, vec![("model_changed", 17_000)]));

    let mut talk = Talk::new("title");
    talk.ask(&gateway).await;
    let title = json!({
        "model": "claude-haiku-5-5", "max_tokens": 9,
        "system": [{"type": "text", "text": "3000:make a title", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "2000:message 1"}],
    });
    assert_eq!(talk.send(&gateway, &title, &[]).await, 200);
    talk.ask(&gateway).await;
    wanted.push(("title", 3, vec![]));

    let mut talk = Talk::new("agents");
    talk.ask(&gateway).await;
    for agent in ["one", "two"] {
        let mut of_agent = Talk { messages: Vec::new(), ..talk.clone() };
        of_agent.headers.push(("x-claude-code-agent-id", agent));
        of_agent.ask(&gateway).await;
        of_agent.ask(&gateway).await;
    }
    talk.ask(&gateway).await;
    wanted.push(("agents", 6, vec![]));

    let mut talk = Talk::new("failed");
    talk.ask(&gateway).await;
    assert_eq!(talk.send(&gateway, &talk.body(), &[("x-fail", "yes")]).await, 400);
    talk.ask(&gateway).await;
    wanted.push(("failed", 3, vec![]));

    let mut talk = Talk::new("compacted");
    for _ in 0..4 {
        talk.ask(&gateway).await;
    }
    let mut summary = talk.body();
    summary["messages"].as_array_mut().expect("messages").push(said("user", "100:summarise"));
    let class = [("x-claude-code-request-class", "compaction"), ("x-claude-code-compaction", "manual")];
    assert_eq!(talk.send(&gateway, &summary, &class).await, 200);
    talk.messages =
        vec![said("user", "This session is being continued from a previous conversation"), said("user", "3000:sum")];
    talk.headers = vec![("x-claude-code-context-compacted", "manual")];
    talk.ask(&gateway).await;
    talk.headers.clear();
    talk.ask(&gateway).await;
    wanted.push(("compacted", 7, vec![("compaction", 4_022)]));

    let mut talk = Talk::new("forgotten");
    talk.ask(&gateway).await;
    world.lock().expect("the world").cache = PromptCache::default();
    talk.ask(&gateway).await;
    wanted.push(("forgotten", 2, vec![("unexplained", 17_000)]));

    let mut talk = Talk::new("upstream");
    talk.ask(&gateway).await;
    change(&gateway, "upstreams/a/drain", "{}").await;
    talk.ask(&gateway).await;
    change(&gateway, "upstreams/a/enable", "{}").await;
    wanted.push(("upstream", 2, vec![("upstream_changed", 17_000)]));

    let mut talk = Talk::new("key");
    talk.ask(&gateway).await;
    let key = rows(&gateway, "key", 1).await[0]["upstream_key"].as_str().expect("a key").to_owned();
    change(&gateway, &format!("upstreams/a/keys/{key}/rest"), r#"{"for": "10m"}"#).await;
    talk.ask(&gateway).await;
    change(&gateway, &format!("upstreams/a/keys/{key}/wake"), "{}").await;
    wanted.push(("key", 2, vec![("key_changed", 17_000)]));

    let mut talk = Talk::new("rule");
    talk.ask(&gateway).await;
    reload(&gateway, &yaml(&[("a", &a), ("b", &b)], PROMPT_RULE)).await;
    talk.ask(&gateway).await;
    reload(&gateway, &plain).await;
    wanted.push(("rule", 2, vec![("rules_changed", 7_000)]));

    for (session, count, wanted) in &wanted {
        let found = lost(&rows(&gateway, session, *count).await);
        let found: Vec<(&str, u64)> = found.iter().map(|(cause, tokens)| (cause.as_str(), *tokens)).collect();
        assert_eq!(found, *wanted, "{session}");
    }
    assert_reports(&gateway, &wanted).await;
}

/// The report, the sessions and the metrics say what the rows do.
async fn assert_reports(gateway: &Gateway, wanted: &[Told]) {
    let report = get(gateway, "waste?sort=tokens").await;
    let all: Vec<(&str, u64)> = wanted.iter().flat_map(|(_, _, lost)| lost.iter().copied()).collect();
    assert_eq!(report["total"]["tokens"], all.iter().map(|(_, tokens)| tokens).sum::<u64>());
    assert_eq!(report["total"]["requests"], all.len());
    let mut admin = Client::connect(gateway.admin_addr()).await;
    let shown = admin.request(&Request::get("/metrics")).await.text();
    for cause in report["causes"].as_array().expect("causes") {
        let name = cause["cause"].as_str().expect("a cause");
        let tokens: u64 = all.iter().filter(|(cause, _)| *cause == name).map(|(_, tokens)| tokens).sum();
        assert_eq!(cause["tokens"], tokens, "{cause}");
        let counted = metrics::sum(&shown, "gateway_cache_wasted_tokens_total", &[("cause", name)]);
        assert!((counted - tokens as f64).abs() < 0.5, "{name}: {counted}");
    }
    assert!(shown.contains("gateway_cache_wasted_tokens_total{cause=\"idle\"} 0"), "{shown}");
    let sessions = report["sessions"].as_array().expect("sessions");
    assert_eq!(sessions.len(), wanted.iter().filter(|(_, _, lost)| !lost.is_empty()).count());
    for session in sessions {
        let name = session["session"].as_str().expect("a session");
        let (_, _, lost) = wanted.iter().find(|(session, _, _)| *session == name).expect("a session that lost");
        assert_eq!((session["tokens"].as_u64(), session["main_cause"].as_str()), (Some(lost[0].1), Some(lost[0].0)));
        let one = get(gateway, &format!("sessions/{name}")).await;
        assert_eq!((&one["waste"][0]["cause"], &one["wasted_tokens"]), (&json!(lost[0].0), &json!(lost[0].1)));
    }
    let dearest = get(gateway, "sessions?sort=waste&limit=1").await["sessions"][0].clone();
    assert!(dearest["wasted_usd"].as_f64().is_some_and(|usd| usd > 0.09), "{dearest}");
    let of = async |session: &str| get(gateway, &format!("sessions/{session}")).await;
    assert_eq!(of("upstream").await["waste"][0]["detail"], "a>b");
    assert_eq!(of("rule").await["waste"][0]["detail"], "+house");
    assert_eq!(of("goes-on").await["waste"], json!([]));
}

#[tokio::test]
async fn an_upstream_that_tells_nothing_of_caches_is_not_accused() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = Shared::default();
    let silent = upstream("silent", &world).await;
    let gateway = started(builder(folder.path()), &yaml(&[("silent", &silent)], "")).await;
    let mut talk = Talk::new("s");
    talk.ask(&gateway).await;
    talk.system = "5000:another";
    talk.ask(&gateway).await;
    assert_eq!(lost(&rows(&gateway, "s", 2).await), []);
    assert_eq!(get(&gateway, "waste").await["total"], json!({ "requests": 0, "tokens": 0, "usd": 0.0 }));
}

/// So much earlier, and the caches of upstreams know it too.
async fn make_older(log: &Path, world: &Shared, minutes: i64) {
    world.lock().expect("the world").now_ms += minutes * 60_000;
    let options = SqliteConnectOptions::new().filename(log);
    let mut log = options.connect().await.expect("the log");
    let sql = "UPDATE requests SET started_ms = started_ms - ?";
    sqlx::query(sql).bind(minutes * 60_000).execute(&mut log).await.expect("older");
    log.close().await.expect("closed");
}

#[tokio::test]
async fn what_was_known_before_a_restart_is_known_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = Shared::default();
    let a = upstream("a", &world).await;
    let yaml = yaml(&[("a", &a)], "");
    let mut talks = ["goes-on", "idle", "edited", "changed"].map(Talk::new);
    let gateway = started(builder(folder.path()), &yaml).await;
    for talk in &mut talks {
        talk.ask(&gateway).await;
        talk.ask(&gateway).await;
        rows(&gateway, &talk.session, 2).await;
    }
    drop(gateway);
    let gateway = started(builder(folder.path()), &yaml).await;
    let [goes_on, idle, edited, changed] = &mut talks;
    goes_on.ask(&gateway).await;
    edited.messages[0] = said("user", "2000:otherwise");
    edited.ask(&gateway).await;
    changed.tools.pop();
    changed.ask(&gateway).await;
    for (talk, wanted) in
        [(&*goes_on, vec![]), (edited, vec![("history_changed", 3_500)]), (changed, vec![("tools_changed", 16_000)])]
    {
        let found = lost(&rows(&gateway, &talk.session, 3).await);
        let found: Vec<(&str, u64)> = found.iter().map(|(cause, tokens)| (cause.as_str(), *tokens)).collect();
        assert_eq!(found, wanted, "{}", talk.session);
    }
    drop(gateway);
    make_older(&folder.path().join("log.db"), &world, 6).await;
    let gateway = started(builder(folder.path()), &yaml).await;
    idle.ask(&gateway).await;
    let found = lost(&rows(&gateway, "idle", 3).await);
    assert_eq!(found, [("idle".to_owned(), 18_500)]);
}
