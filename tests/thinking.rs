//! Thinking that comes back is bound to `system` and `tools`: they stay the same as long as a conversation goes on,
//! whatever becomes of the configuration, and where they cannot, that is told.

use harness::{Client, Gateway, GatewayBuilder, Received, Reply, Request, Upstream, within};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

const SYSTEM: &str = "You are Claude Code, Anthropic's official CLI for Claude.";

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("GATEWAY_DB", "data/gateway.db")
}

/// It takes commands from here on.
async fn started(builder: GatewayBuilder) -> Gateway {
    let gateway = builder.start().await;
    within("commands are taken", async {
        while !gateway.dir().join("data/run/gateway.pid").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    gateway
}

/// A reply with thinking in it.
fn thoughtful(_: &Received) -> Reply {
    message(&json!([{"type": "thinking", "thinking": "so", "signature": "Eq=="}, {"type": "text", "text": "yes"}]))
}

/// One without.
fn thoughtless(_: &Received) -> Reply {
    message(&json!([{"type": "text", "text": "yes"}]))
}

fn message(content: &Value) -> Reply {
    let body = json!({
        "type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": content, "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    });
    Reply::ok(body.to_string()).header("Content-Type", "application/json")
}

/// A rule that changes the prompt and the tools.
fn rules(text: &str) -> String {
    format!(
        "  rules:\n  - name: prompt\n    match: {{model: \"claude-*\"}}\n    body:\n      system: {{mode: append, target: last, \
         text: \"{text}\"}}\n      set: {{/tools/0/description: \"{text}\", /metadata/user_id: \"{text}\"}}\n"
    )
}

fn yaml(upstreams: &[(&str, &Upstream)], rest: &str) -> String {
    let list = upstreams.iter().map(|(name, upstream)| format!("{{name: {name}, base_url: \"{}\"}}", upstream.url()));
    format!("gateway:\n  upstreams: [{}]\n{rest}", list.collect::<Vec<_>>().join(", "))
}

async fn reload(gateway: &Gateway, text: &str) {
    std::fs::write(gateway.dir().join("gateway.yaml"), text).expect("written");
    let output = gateway.command(&["reload"]).await;
    assert!(output.status.success(), "{output:?}");
}

/// A conversation as a client has it.
#[derive(Clone)]
struct Talk {
    session: Option<&'static str>,
    agent: Option<&'static str>,
    key: &'static str,
    system: Value,
    messages: Vec<Value>,
}

impl Talk {
    fn new(session: &'static str) -> Self {
        let system = json!([
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330; cch=1;"},
            {"type": "text", "text": SYSTEM},
        ]);
        let messages = vec![json!({"role": "user", "content": "hi"})];
        Self { session: Some(session), agent: None, key: "sk-client", system, messages }
    }

    fn of_agent(self, agent: &'static str) -> Self {
        Self { agent: Some(agent), ..self }
    }

    /// One that the gateway does not know, in which thinking comes back.
    fn resumed(session: &'static str) -> Self {
        let mut talk = Self::new(session);
        talk.messages.push(json!({"role": "assistant", "content": [{"type": "redacted_thinking", "data": "Eq=="}]}));
        talk.messages.push(json!({"role": "user", "content": "and?"}));
        talk
    }

    fn request(&self) -> Request {
        let body = json!({
            "model": "claude-opus-5-5", "max_tokens": 100, "thinking": {"type": "adaptive"}, "system": self.system,
            "tools": [{"name": "Bash", "description": "", "input_schema": {"type": "object"}}], "messages": self.messages,
        });
        let request = Request::post("/v1/messages?beta=true", body.to_string())
            .header("Content-Type", "application/json")
            .header("x-api-key", self.key);
        let named = |request: Request, name: &str, value: Option<&str>| match value {
            Some(value) => request.header(name, value),
            None => request,
        };
        let request = named(request, "X-Claude-Code-Session-Id", self.session);
        named(request, "x-claude-code-agent-id", self.agent)
    }

    /// Asks, and takes the answer's content into the next request.
    async fn turn(&mut self, gateway: &Gateway) {
        let response = gateway.request(&self.request()).await;
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        assert_eq!(response.status(), 200, "{answer}");
        self.messages.push(json!({"role": "assistant", "content": answer["content"]}));
        self.messages.push(json!({"role": "user", "content": "and?"}));
    }
}

/// What thinking is bound to, byte for byte.
#[derive(Debug, PartialEq)]
struct Prefix(String, String);

#[derive(Deserialize)]
struct Body<'b> {
    #[serde(borrow)]
    system: &'b RawValue,
    #[serde(borrow)]
    tools: &'b RawValue,
}

fn prefix(request: &Received) -> Prefix {
    let body: Body<'_> = serde_json::from_slice(&request.body).expect("a body");
    Prefix(body.system.get().to_owned(), body.tools.get().to_owned())
}

fn user_id(request: &Received) -> Value {
    serde_json::from_slice::<Value>(&request.body).expect("JSON")["metadata"]["user_id"].clone()
}

/// What the request log says of the newest request: why its thinking may not be valid.
async fn moved(gateway: &Gateway, requests: usize) -> (Option<String>, Option<String>) {
    within("the row", async {
        loop {
            let page = gateway.as_admin(Request::get("/api/admin/requests?path=/v1/messages&limit=500"));
            let page = Client::connect(gateway.admin_addr()).await.request(&page).await.json();
            let rows = page["requests"].as_array().cloned().unwrap_or_default();
            if rows.len() == requests {
                let text = |name: &str| rows[0][name].as_str().map(str::to_owned);
                return (text("moved"), text("moved_by"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

#[tokio::test]
async fn the_prompt_stays_the_same_whatever_is_reloaded() {
    for reply in [thoughtful, thoughtless] {
        let upstream = Upstream::start(reply).await;
        let text = |number: usize| yaml(&[("a", &upstream)], &rules(&format!("rules {number}")));
        let gateway = started(gateway().yaml(&text(0))).await;
        let mut talk = Talk::new("one");
        talk.turn(&gateway).await;
        if talk.messages[1]["content"][0]["type"] != "thinking" {
            // Thinking of other clients and upstreams may come back too.
            talk.messages[1]["content"] = json!([{"type": "redacted_thinking", "data": "Eq=="}]);
        }
        let first = prefix(&upstream.last());
        assert!(first.0.contains("rules 0") && first.1.contains("rules 0"), "{first:?}");
        for number in 1..=10 {
            reload(&gateway, &text(number)).await;
            // The title of the session, and another session: they have the rules of today.
            let mut side = Talk { system: json!([{"type": "text", "text": "Make a title."}]), ..Talk::new("one") };
            side.turn(&gateway).await;
            assert!(prefix(&upstream.last()).0.contains(&format!("rules {number}")));
            Talk::new("two").turn(&gateway).await;
            talk.system[0]["text"] = format!("x-anthropic-billing-header: cch={number};").into();
            talk.turn(&gateway).await;
            let last = upstream.last();
            assert_eq!(prefix(&last).1, first.1, "after reload {number}");
            assert_eq!(prefix(&last).0.replace(&format!("cch={number};"), "cc_version=2.1.330; cch=1;"), first.0);
            assert_eq!(user_id(&last), format!("rules {number}"), "all else is as it is today");
        }
        assert_eq!(moved(&gateway, 31).await, (None, None));
    }
}

#[tokio::test]
async fn an_upgrade_and_a_restart_know_the_conversations() {
    let upstream = Upstream::start(thoughtful).await;
    let text = |rule: &str| yaml(&[("a", &upstream)], &rules(rule));
    let mut gateway = started(gateway().yaml(&text("one"))).await;
    let mut talk = Talk::new("one");
    talk.turn(&gateway).await;
    let first = prefix(&upstream.last());
    for rule in ["two", "three"] {
        std::fs::write(gateway.dir().join("gateway.yaml"), text(rule)).expect("written");
        let output = gateway.command(&["upgrade"]).await;
        assert!(output.status.success(), "{output:?}");
        talk.turn(&gateway).await;
        assert_eq!(prefix(&upstream.last()), first);
        assert_eq!(user_id(&upstream.last()), rule);
    }
    gateway.wait_processes(1).await;
    let path = gateway.dir().join("data/conversations.json");
    let mode = std::fs::metadata(&path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_client_that_changes_its_prompt_begins_anew_with_the_rules_of_today() {
    let upstream = Upstream::start(thoughtful).await;
    let text = |rule: &str| yaml(&[("a", &upstream)], &rules(rule));
    let gateway = started(gateway().yaml(&text("before"))).await;
    let mut talk = Talk::new("one");
    talk.turn(&gateway).await;
    talk.turn(&gateway).await;
    reload(&gateway, &text("after")).await;
    talk.turn(&gateway).await;
    assert!(prefix(&upstream.last()).0.contains("before"));
    talk.system[1]["text"] = "You are somebody else.".into();
    talk.turn(&gateway).await;
    assert!(prefix(&upstream.last()).0.contains("after"));
    assert_eq!(moved(&gateway, 4).await, (Some("client".into()), None));
    reload(&gateway, &text("later")).await;
    talk.turn(&gateway).await;
    assert!(prefix(&upstream.last()).0.contains("after"));
    assert_eq!(moved(&gateway, 5).await, (None, None));
}

#[tokio::test]
async fn agents_of_a_session_have_conversations_of_their_own() {
    let upstream = Upstream::start(thoughtful).await;
    let text = |rule: &str| yaml(&[("a", &upstream)], &rules(rule));
    let gateway = started(gateway().yaml(&text("one"))).await;
    let mut main = Talk::new("s");
    main.turn(&gateway).await;
    reload(&gateway, &text("two")).await;
    let mut agent = Talk::new("s").of_agent("agent-1");
    agent.turn(&gateway).await;
    reload(&gateway, &text("three")).await;
    for (talk, rule) in [(&mut main, "one"), (&mut agent, "two"), (&mut Talk::new("s").of_agent("agent-2"), "three")] {
        talk.turn(&gateway).await;
        assert!(prefix(&upstream.last()).0.contains(rule), "{rule}");
    }
}

#[tokio::test]
async fn a_conversation_without_a_name_is_known_by_its_key_and_its_first_message() {
    let upstream = Upstream::start(thoughtful).await;
    let text = |rule: &str| yaml(&[("a", &upstream)], &rules(rule));
    let gateway = started(gateway().yaml(&text("one"))).await;
    let mut talk = Talk { session: None, ..Talk::new("") };
    talk.messages[0] = json!({"role": "user", "content": [{"type": "text", "text": "hi",
        "cache_control": {"type": "ephemeral"}}]});
    let mut other = Talk { session: None, ..Talk::new("") };
    other.messages[0] = json!({"role": "user", "content": "another"});
    talk.turn(&gateway).await;
    reload(&gateway, &text("two")).await;
    other.turn(&gateway).await;
    reload(&gateway, &text("three")).await;
    talk.messages[0] = json!({"role": "user", "content": [{"type": "text", "text": "hi"}]});
    for (talk, rule) in [(&mut talk, "one"), (&mut other, "two")] {
        talk.turn(&gateway).await;
        assert!(prefix(&upstream.last()).0.contains(rule), "{rule}");
    }
}

#[tokio::test]
async fn conversations_that_are_idle_or_too_many_are_forgotten() {
    let upstream = Upstream::start(thoughtful).await;
    let text =
        |affinity: &str, rule: &str| yaml(&[("a", &upstream)], &format!("  affinity: {{{affinity}}}\n{}", rules(rule)));
    let affinity = "sessions: 10, idle: 1s";
    let gateway = started(gateway().yaml(&text(affinity, "one"))).await;
    let mut talk = Talk::new("idle");
    talk.turn(&gateway).await;
    reload(&gateway, &text(affinity, "two")).await;
    talk.turn(&gateway).await;
    assert!(prefix(&upstream.last()).0.contains("one"));
    within("it is forgotten", async {
        let mut pause = Duration::from_millis(1100);
        loop {
            tokio::time::sleep(pause).await;
            talk.turn(&gateway).await;
            if prefix(&upstream.last()).0.contains("two") {
                break;
            }
            pause += Duration::from_millis(500);
        }
    })
    .await;
    assert_eq!(moved(&gateway, upstream.received().len()).await.0.as_deref(), Some("unseen"));
}

#[tokio::test]
async fn what_moves_is_told_before_it_is_sent() {
    let answer = |refuses: &'static str| {
        move |request: &Received| match String::from_utf8_lossy(&request.body).contains(refuses) {
            true => Reply::status(503),
            false => thoughtful(request),
        }
    };
    let (a, b) = (Upstream::start(answer("and?")).await, Upstream::start(answer("never")).await);
    let both = [("a", &a), ("b", &b)];
    let at_b =
        "  rules: [{name: only-b, match: {upstream: b}, body: {system: {mode: append, target: last, text: b}}}]\n";
    for (rules, by) in [("", "a>b"), (at_b, "a>b:only-b")] {
        let gateway = started(gateway().yaml(&yaml(&both, rules))).await;
        let mut talk = Talk::new("one");
        talk.turn(&gateway).await;
        assert_eq!(moved(&gateway, 1).await, (None, None));
        talk.turn(&gateway).await;
        assert_eq!(moved(&gateway, 2).await, (Some("upstream".into()), Some(by.into())));
        gateway
            .stderr_line(0, "the log says so", |line| line.contains(&format!("may not be valid: upstream {by}")))
            .await;
        talk.turn(&gateway).await;
        assert_eq!(moved(&gateway, 3).await, (Some("earlier".into()), None));
        let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
        assert!(metrics.contains("gateway_thinking_moves_total{what=\"upstream\"} 1"), "{metrics}");
    }
}

#[tokio::test]
async fn another_key_is_another_account() {
    let upstream = Upstream::start(thoughtful).await;
    let with = |key: &str| {
        format!(
            "gateway:\n  upstreams: [{{name: a, base_url: \"{}\", api_key: {key}}}]\n  routes: [{{keys: sk-client, upstreams: [a]}}]\n",
            upstream.url()
        )
    };
    let gateway = started(gateway().yaml(&with("sk-one"))).await;
    let mut talk = Talk::new("one");
    talk.turn(&gateway).await;
    talk.turn(&gateway).await;
    assert_eq!(moved(&gateway, 2).await, (None, None));
    reload(&gateway, &with("sk-two")).await;
    talk.turn(&gateway).await;
    assert_eq!(upstream.last().headers.get("x-api-key").as_deref(), Some("sk-two"));
    assert_eq!(moved(&gateway, 3).await, (Some("account".into()), Some("a".into())));
}

#[tokio::test]
async fn another_key_of_a_pool_is_another_account() {
    use std::sync::Mutex;
    // The key that is used up.
    let used_up: &'static Mutex<Option<String>> = Box::leak(Box::default());
    let key = |request: &Received| request.headers.get("x-api-key").unwrap_or_default();
    let upstream = Upstream::start(move |request| match used_up.lock().expect("no panic").as_deref() {
        Some(used_up) if used_up == key(request) => Reply::status(429).header("Retry-After", "600"),
        _ => thoughtful(request),
    })
    .await;
    let pool = format!(
        "gateway:\n  upstreams: [{{name: a, base_url: \"{}\", api_keys: [{{key: sk-one}}, {{key: sk-two}}]}}]\n  \
         routes: [{{keys: sk-client, upstreams: [a]}}]\n",
        upstream.url()
    );
    let gateway = started(gateway().yaml(&pool)).await;
    let mut talk = Talk::new("one");
    talk.turn(&gateway).await;
    talk.turn(&gateway).await;
    assert_eq!(moved(&gateway, 2).await, (None, None));
    *used_up.lock().expect("no panic") = Some(key(&upstream.last()));
    talk.turn(&gateway).await;
    assert_eq!(upstream.received().len(), 4, "the used-up key was asked once more");
    assert_eq!(moved(&gateway, 3).await, (Some("account".into()), Some("a".into())));
}

#[tokio::test]
async fn explain_says_whether_the_prompt_stays_the_same() {
    let yaml = "gateway:\n  upstreams: [{name: a, base_url: \"http://127.0.0.1:8\"}, {name: b, base_url: \"http://127.0.0.1:9\"}]\n";
    let append = "body: {system: {mode: append, target: last, text: x}}";
    let explained = async |rules: &str| {
        let body = json!({"model": "claude-opus-5-5", "system": [{"type": "text", "text": SYSTEM}], "messages": []});
        let gateway = gateway().yaml(&format!("{yaml}  rules: [{rules}]\n")).file("body", &body.to_string());
        gateway.arg("explain").arg("body").run().await.stdout
    };
    let same = explained(&format!("{{name: all, {append}}}")).await;
    assert!(same.ends_with("system and tools of a conversation: the same in each turn\n"), "{same}");
    let varies = explained(&format!("{{name: some, match: {{header: {{x-turn: \"1\"}}}}, {append}}}")).await;
    assert!(varies.contains("may differ from turn to turn\n  some depends on header x-turn\n"), "{varies}");
    let elsewhere = explained(&format!("{{name: at-b, match: {{upstream: b}}, {append}}}")).await;
    assert!(elsewhere.contains("they are others at the upstream \"b\": at-b\n"), "{elsewhere}");
}

#[tokio::test]
async fn check_warns_of_rules_that_make_another_prompt_from_turn_to_turn() {
    let rule = |name: &str, condition: &str, body: &str| {
        format!("  - {{name: {name}, match: {{{condition}}}, body: {{{body}}}}}\n")
    };
    let append = "system: {mode: append, target: last, text: x}";
    let rules = [
        rule("by-class", "header: {x-claude-code-request-class: main}", append),
        rule("by-address", "not: {client: 127.0.0.1}", "set: {/tools/0/name: x}"),
        rule("first", "path: /v1/messages", "system: {mode: replace, target: first, text: x}"),
        rule("fine", "header: {user-agent: \"claude-cli/*\"}, model: \"claude-*\"", append),
        rule("elsewhere", "header: {x-turn: \"1\"}", "set: {/metadata/user_id: x}"),
    ];
    let yaml =
        format!("gateway:\n  upstreams: [{{name: a, base_url: \"http://127.0.0.1:9\"}}]\n  rules:\n{}", rules.concat());
    let output = gateway().yaml(&yaml).arg("check").run().await;
    let warnings: Vec<&str> =
        output.stderr.lines().chain(output.stdout.lines()).filter(|line| line.contains("the rule ")).collect();
    assert_eq!(warnings.len(), 3, "{output:?}");
    for (warning, name, what) in [
        (warnings[0], "by-class", "depends on header x-claude-code-request-class"),
        (warnings[1], "by-address", "depends on client"),
        (warnings[2], "first", "must stay first"),
    ] {
        assert!(warning.contains(&format!("\"{name}\"")) && warning.contains(what), "{warning}");
    }
}

#[tokio::test]
async fn a_compaction_that_a_route_sends_elsewhere_moves_its_conversation_and_a_sub_agent_does_not() {
    let (a, b) = (Upstream::start(thoughtful).await, Upstream::start(thoughtful).await);
    let routes = "  routes:\n  - {keys: sk-client, upstream: a}\n  - {keys: sk-client, request_class: [compaction, subagent], \
                  upstream: b}\n";
    let gateway = started(gateway().yaml(&yaml(&[("a", &a), ("b", &b)], routes))).await;
    let (mut main, mut agent) = (Talk::new("s"), Talk::new("s").of_agent("explore"));
    for _ in 0..2 {
        main.turn(&gateway).await;
        agent.turn(&gateway).await;
    }
    assert_eq!((a.received().len(), b.received().len()), (2, 2));
    assert_eq!(moved(&gateway, 4).await, (None, None), "a sub-agent is a conversation of its own");
    let compaction = main.request().header("x-claude-code-request-class", "compaction");
    assert_eq!(gateway.request(&compaction).await.status(), 200);
    assert_eq!(b.received().len(), 3);
    assert_eq!(moved(&gateway, 5).await, (Some("upstream".to_owned()), Some("a>b".to_owned())));
}

#[tokio::test]
async fn drafts_that_are_only_checked_push_out_no_rules_in_use() {
    let upstream = Upstream::start(thoughtful).await;
    let text = |rule: &str| yaml(&[("a", &upstream)], &rules(rule));
    let gateway = started(gateway().yaml(&text("one"))).await;
    let mut talk = Talk::new("one");
    talk.turn(&gateway).await;
    reload(&gateway, &text("two")).await;
    for number in 0..70 {
        let draft = json!({"overlay": format!("gateway:\n{}", rules(&format!("draft {number}")))}).to_string();
        let check = gateway.as_admin(Request::post("/api/admin/config/check", draft));
        let check = check.header("Content-Type", "application/json");
        let answer = Client::connect(gateway.admin_addr()).await.request(&check).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
    talk.turn(&gateway).await;
    assert!(prefix(&upstream.last()).0.contains("one"), "{:?}", prefix(&upstream.last()));
    assert_eq!(moved(&gateway, 2).await, (None, None));
}

#[tokio::test]
async fn a_conversation_that_nobody_knows_moves_when_it_is_taken_over() {
    let (a, b) = (Upstream::start(|_: &Received| Reply::status(503)).await, Upstream::start(thoughtful).await);
    let gateway = started(gateway().yaml(&yaml(&[("a", &a), ("b", &b)], ""))).await;
    let mut talk = Talk::resumed("one");
    talk.turn(&gateway).await;
    assert_eq!((a.received().len(), b.received().len()), (1, 1));
    assert_eq!(moved(&gateway, 1).await, (Some("upstream".into()), Some("a>b".into())));
    talk.turn(&gateway).await;
    assert_eq!(moved(&gateway, 2).await.0.as_deref(), Some("earlier"));
}

#[tokio::test]
async fn a_rule_that_is_gone_may_be_why_thinking_is_not_valid() {
    let upstream = Upstream::start(thoughtful).await;
    let plain = yaml(&[("a", &upstream)], "");
    let gateway = started(gateway().yaml(&plain)).await;
    Talk::resumed("never any rule").turn(&gateway).await;
    assert_eq!(moved(&gateway, 1).await, (None, None));
    let mut talk = Talk::new("known without rules");
    talk.turn(&gateway).await;
    reload(&gateway, &yaml(&[("a", &upstream)], &rules("before"))).await;
    let mut ruled = Talk::new("known with rules");
    ruled.turn(&gateway).await;
    reload(&gateway, &plain).await;
    Talk::resumed("not known").turn(&gateway).await;
    assert_eq!(moved(&gateway, 4).await.0.as_deref(), Some("unseen"));
    // The rules of both are forgotten.
    for number in 0..65 {
        reload(&gateway, &yaml(&[("a", &upstream)], &rules(&format!("rules {number}")))).await;
    }
    reload(&gateway, &plain).await;
    talk.turn(&gateway).await;
    assert_eq!(moved(&gateway, 5).await, (None, None), "it is as it was");
    ruled.turn(&gateway).await;
    assert_eq!(moved(&gateway, 6).await.0.as_deref(), Some("rules"));
}

#[tokio::test]
async fn conversations_of_different_keys_are_different_ones() {
    let upstream = Upstream::start(thoughtful).await;
    let text = |rule: &str| yaml(&[("a", &upstream)], &rules(rule));
    let gateway = started(gateway().yaml(&text("one"))).await;
    let mut talk = Talk::new("s");
    talk.turn(&gateway).await;
    reload(&gateway, &text("two")).await;
    let mut other = Talk { key: "sk-other", ..Talk::new("s") };
    other.turn(&gateway).await;
    reload(&gateway, &text("three")).await;
    for (talk, rule) in [(&mut talk, "one"), (&mut other, "two")] {
        talk.turn(&gateway).await;
        assert!(prefix(&upstream.last()).0.contains(rule), "{rule}");
    }
}

#[tokio::test]
async fn marks_for_caching_may_move() {
    let upstream = Upstream::start(thoughtful).await;
    let text = |rule: &str| yaml(&[("a", &upstream)], &rules(rule));
    let gateway = started(gateway().yaml(&text("one"))).await;
    let mut talk = Talk::new("s");
    talk.system[1]["cache_control"] = json!({"type": "ephemeral"});
    talk.turn(&gateway).await;
    talk.turn(&gateway).await;
    reload(&gateway, &text("two")).await;
    for mark in [json!({"type": "ephemeral", "ttl": "1h"}), Value::Null] {
        talk.system[1]["cache_control"] = mark;
        talk.turn(&gateway).await;
        assert!(prefix(&upstream.last()).0.contains("one"));
    }
    talk.system[1].as_object_mut().expect("a block").remove("cache_control");
    talk.turn(&gateway).await;
    assert!(prefix(&upstream.last()).0.contains("one"));
    assert_eq!(moved(&gateway, 5).await, (None, None));
}
