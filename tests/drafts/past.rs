//! Dry runs of past requests with default settings: what is kept of each is its head and its shape.

use super::{get, logged, post};
use harness::{Gateway, GatewayBuilder, Reply, Request, Upstream, anthropic, fixtures};
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use std::path::Path;

/// A gateway as it comes, with these settings, whose request log is in this folder.
fn builder(relay: &Upstream, folder: &Path, settings: &str) -> GatewayBuilder {
    let yaml = format!("gateway:\n  upstreams: [{{name: relay, base_url: \"{}\"}}]\n{settings}", relay.url());
    let log = folder.join("log.db");
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
        .env("GATEWAY_DB", log.to_str().expect("a path"))
        .yaml(&yaml)
}

/// Sends a request; its id.
async fn sent(gateway: &Gateway, request: &Request) -> String {
    gateway.request(request).await.header("x-request-id").expect("an id")
}

/// What the rules in force make of a request of the log.
async fn explained(gateway: &Gateway, id: &str) -> Value {
    let response = post(gateway, "explain", &json!({ "request_id": id })).await;
    assert_eq!(response.status(), 200, "{}", response.text());
    response.json()
}

async fn refusal(gateway: &Gateway, id: &str) -> (u16, String) {
    let response = post(gateway, "explain", &json!({ "request_id": id })).await;
    (response.status(), response.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

/// What a dry run says that rules decide by.
fn decided(explanation: &Value) -> Value {
    let same = ["upstream", "answered", "rules", "not_json", "on_move", "touches_cached_prefix", "prefix"];
    same.iter().map(|name| ((*name).to_owned(), explanation[*name].clone())).collect::<serde_json::Map<_, _>>().into()
}

const RULES: &str = "  rules:
    - {name: on-a-header, match: {header: {user-agent: {glob: \"*sdk-cli*\"}}}, headers: {set: {X-Agent: \"1\"}}}
    - {name: on-a-list, match: {header: {anthropic-beta: \"*interleaved*\"}}, headers: {remove: anthropic-beta}}
    - {name: on-a-key, match: {header: {x-api-key: {present: true}}}, api_key: bearer}
    - {name: on-a-model, match: {model: \"claude-opus-*\"}, body: {model: {\"*\": claude-a}}}
    - {name: on-a-path, match: {path: /v1/messages, query: {beta: \"true\"}}, query: {remove: [beta]}}
    - {name: on-the-stream, body: {set: {/stream: true}}}
    - {name: on-tools, body: {remove: [/tools/0]}}
    - {name: on-the-17th-tool, body: {remove: [/tools/17]}}
    - {name: on-the-second-message, body: {remove: [/messages/1]}}
    - {name: on-members, body: {default: {/max_tokens: 9, /temperature: 1}, remove: [/output_config/effort, /metadata/user_id]}}
    - {name: on-thinking, body: {set: {/thinking/type: adaptive}}}
    - {name: on-who-asks, body: {system: {mode: append, target: identity, text: Be brief.}}}
    - {name: on-the-first, body: {system: {mode: insert_if_missing, text: You are ours.}}}
    - {name: on-the-last, body: {system: {mode: prepend, target: last, text: Hello.}}}
    - {name: on-a-list-of-texts, body: {system: {mode: ensure_list, text: Something.}}}
    - {name: compact, enabled: false, body: {compact: true}}
";

/// With a key: what anybody can send leaves nothing.
fn keyed(request: Request) -> Request {
    request.header("Authorization", "Bearer sk-of-somebody")
}

#[tokio::test]
async fn rules_decide_on_the_shape_of_a_request_as_on_itself_after_a_restart_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Upstream::start(anthropic::handler()).await;
    let replacement = "  system_prompt: {replacement: We are here., target: identity}\n";
    for settings in [RULES.to_owned(), format!("{replacement}{RULES}").replace("enabled: false", "enabled: true")] {
        let gateway = builder(&relay, folder.path(), &settings).start().await;
        let before = rows(&gateway).await.len();
        let all = fixtures::all();
        let mut ids = Vec::new();
        for fixture in &all {
            let response = gateway.exchange(fixture.bytes(), "POST").await;
            ids.push(response.header("x-request-id").expect("an id"));
        }
        logged(&gateway, before + all.len()).await;
        drop(gateway);
        let gateway = builder(&relay, folder.path(), &settings).start().await;
        for (fixture, id) in all.iter().zip(&ids) {
            let on_shape = explained(&gateway, id).await;
            assert_eq!(on_shape["source"]["kind"], "shape", "{on_shape:#}");
            assert_eq!(on_shape["source"]["unsure"], json!([]), "{}", fixture.name);
            let question = json!({
                "head": String::from_utf8_lossy(&fixture.head), "body": String::from_utf8_lossy(&fixture.body),
            });
            let on_itself: Value = post(&gateway, "explain", &question).await.json();
            assert_eq!(on_itself["source"], Value::Null);
            assert_eq!(decided(&on_shape), decided(&on_itself), "{}", fixture.name);
            let bytes = |explanation: &Value| explanation["bytes_before"].as_u64().expect("a size");
            let (made, came) = (bytes(&on_shape), bytes(&on_itself));
            assert!(made.abs_diff(came) <= came / 20 + 100, "{}: {made} for {came}", fixture.name);
        }
    }
}

/// The newest rows.
async fn rows(gateway: &Gateway) -> Vec<Value> {
    get(gateway, "requests").await["requests"].as_array().expect("rows").clone()
}

#[tokio::test]
async fn no_text_of_a_prompt_and_no_key_is_in_the_log_or_in_a_copy_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Upstream::start(anthropic::handler()).await;
    let gateway = builder(&relay, folder.path(), "").start().await;
    let body = json!({
        "model": "claude-opus-5-5", "max_tokens": 5, "stream": true,
        "metadata": {"user_id": "SAID-0"},
        "stop_sequences": ["SAID-1"],
        "system": [{"type": "text", "text": "SAID-2"}, {"type": "text", "text": "SAID-3", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "Bash", "description": "SAID-4", "input_schema": {"type": "object", "properties": {"SAID-5": {"const": "SAID-6"}}}}],
        "messages": [
            {"role": "user", "content": "SAID-7"},
            {"role": "assistant", "content": [{"type": "text", "text": "SAID-8"},
                {"type": "tool_use", "id": "toolu_SAID-9", "name": "Bash", "input": {"command": "SAID-10"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_SAID-9", "content": "SAID-11"}]},
        ],
        "SAID-12 is no name": "SAID-13",
    });
    let request = Request::post("/v1/messages?beta=true&key=KEPT-NOT-1", body.to_string())
        .header("Authorization", "Bearer KEPT-NOT-2")
        .header("X-Api-Key", "KEPT-NOT-3")
        .header("Cookie", "session=KEPT-NOT-4")
        .header("Proxy-Authorization", "Basic KEPT-NOT-5")
        .header("X-Again", "the key is KEPT-NOT-2, says the client")
        .header("User-Agent", "claude-cli/2.1.330 (external, cli)");
    let id = sent(&gateway, &request).await;
    logged(&gateway, 1).await;
    assert_eq!(explained(&gateway, &id).await["source"]["kind"], "shape");
    let copy = folder.path().join("copy.db");
    let mut log = SqliteConnectOptions::new().filename(folder.path().join("log.db")).connect().await.expect("the log");
    let vacuum = sqlx::query("VACUUM INTO ?").bind(copy.to_str().expect("a path"));
    vacuum.execute(&mut log).await.expect("a copy");
    let files = std::fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("a file").path());
    let files: Vec<_> = files.collect();
    let all: Vec<u8> = files.iter().flat_map(|file| std::fs::read(file).expect("a file")).collect();
    let has = |text: &str| all.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(files.len() >= 3 && files.iter().any(|file| file.ends_with("log.db-wal")), "{files:?}");
    for text in ["SAID-", "KEPT-NOT"] {
        assert!(!has(text), "{text} is in one of {files:?}");
    }
    for text in
        ["claude-cli/2.1.330 (external, cli)", "authorization: ********", "cookie: ********", "Bash", "\"user_id\":~8"]
    {
        assert!(has(text), "{text} is in none of {files:?}");
    }
    // A digest of a short text can be guessed: none is there beside those that find lost caches, which are chained.
    let shape: String = sqlx::query_scalar("SELECT shape FROM shapes").fetch_one(&mut log).await.expect("a shape");
    let is_digest = |word: &&str| word.len() >= 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = shape.split(|c: char| !c.is_ascii_alphanumeric());
    assert_eq!(words.clone().find(is_digest), None, "{shape}");
}

#[tokio::test]
async fn a_conversation_of_two_megabytes_leaves_four_kilobytes_and_is_tried_as_one_of_its_length() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Upstream::start(anthropic::handler()).await;
    let rules =
        "  rules: [{name: many, body: {remove: [/messages/1999]}}, {name: more, body: {remove: [/messages/2000]}}]\n";
    let gateway = builder(&relay, folder.path(), rules).start().await;
    let said = "0123456789".repeat(100);
    let turn = |number: usize| {
        let role = if number.is_multiple_of(2) { "user" } else { "assistant" };
        json!({ "role": role, "content": [{ "type": "text", "text": said }] })
    };
    let messages: Vec<Value> = (0..2_000).map(turn).collect();
    let body = json!({ "model": "claude-opus-5-5", "max_tokens": 5, "messages": messages }).to_string();
    assert!(body.len() > 2_000_000);
    let id = sent(&gateway, &keyed(Request::post("/v1/messages", body.clone()))).await;
    logged(&gateway, 1).await;
    let tried = explained(&gateway, &id).await;
    assert!(tried["source"]["left_out_messages"].as_u64() > Some(1_000), "{}", tried["source"]);
    let outcomes: Vec<&Value> = (0..2).map(|rule| &tried["rules"][rule]["outcomes"][0]["code"]).collect();
    assert_eq!(outcomes, ["removed", "absent"], "it has as many messages: {}", tried["rules"]);
    let made = usize::try_from(tried["bytes_before"].as_u64().expect("a size")).expect("a size");
    assert!(made.abs_diff(body.len()) < body.len() / 20, "{made} for {}", body.len());
    let mut log = SqliteConnectOptions::new().filename(folder.path().join("log.db")).connect().await.expect("the log");
    let longest: i64 =
        sqlx::query_scalar("SELECT MAX(LENGTH(shape)) FROM shapes").fetch_one(&mut log).await.expect("a length");
    assert!((500..=4_096).contains(&longest), "{longest}");
}

#[tokio::test]
async fn a_key_that_was_not_kept_leads_where_it_led_and_rules_that_ask_for_it_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let (relay, second) = (Upstream::start(anthropic::handler()).await, Upstream::start(anthropic::handler()).await);
    let yaml = format!(
        "gateway:\n  upstreams:\n    - {{name: first, base_url: \"{}\"}}\n    - {{name: second, base_url: \"{}\", api_key: sk-of-the-second}}\n  \
         routes: [{{keys: sk-second, upstreams: [second]}}]\n  rules:\n    \
         - {{name: by-key, match: {{header: {{authorization: \"Bearer sk-s*\"}}}}, headers: {{set: {{X-A: b}}}}}}\n    \
         - {{name: by-text, body: {{system: {{mode: remove, target: {{matching: secret}}}}}}}}\n    \
         - {{name: in-blocks, body: {{remove: [/messages/0/content/0/text]}}}}\n    \
         - {{name: by-query, match: {{query: {{team: a}}}}, headers: {{set: {{X-A: b}}}}}}\n    \
         - {{name: sure, match: {{query: {{team: {{present: true}}}}}}, headers: {{set: {{X-B: b}}}}}}\n",
        relay.url(),
        second.url()
    );
    let log = folder.path().join("log.db");
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
        .env("GATEWAY_DB", log.to_str().expect("a path"))
        .yaml(&yaml)
        .start()
        .await;
    let body = r#"{"model":"claude-a","system":[{"type":"text","text":"a secret"}],"messages":[{"role":"user","content":[{"type":"text","text":"b"}]}]}"#;
    let mut ids = Vec::new();
    for key in ["sk-second", "sk-first"] {
        let request = Request::post("/v1/messages?team=a", body).header("Authorization", format!("Bearer {key}"));
        ids.push(sent(&gateway, &request).await);
    }
    logged(&gateway, 2).await;
    assert_eq!(explained(&gateway, &ids[1]).await["upstream"], "first");
    let tried = explained(&gateway, &ids[0]).await;
    assert_eq!((&tried["upstream"], &tried["answered"]), (&json!("second"), &Value::Null), "{tried:#}");
    let unsure = [("by-key", "header"), ("by-text", "text"), ("in-blocks", "structure"), ("by-query", "query")];
    let unsure: Vec<Value> = unsure.iter().map(|(rule, code)| json!({ "rule": rule, "code": code })).collect();
    assert_eq!(tried["source"]["unsure"], json!(unsure));
}

#[tokio::test]
async fn only_usable_requests_are_listed_and_why_others_are_not_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Upstream::start(|request| match request.target.contains("models") {
        true => Reply::ok(r#"{"data":[]}"#),
        false => anthropic::handler()(request),
    })
    .await;
    let gateway = builder(&relay, folder.path(), "").start().await;
    let body = r#"{"model":"claude-a","max_tokens":5,"messages":[{"role":"user","content":"hello"}]}"#;
    let message = keyed(Request::post("/v1/messages", body));
    let usable = sent(&gateway, &message).await;
    let models = sent(&gateway, &Request::get("/v1/models")).await;
    let odd = sent(&gateway, &Request::post("/v1/messages", "no JSON")).await;
    let coded = sent(&gateway, &Request::post("/v1/messages", "???").header("Content-Encoding", "gzip")).await;
    let anybody = sent(&gateway, &Request::post("/v1/messages", body)).await;
    logged(&gateway, 5).await;
    let listed = get(&gateway, "requests?usable=1").await;
    let found: Vec<(&str, &str)> = listed["requests"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (row["id"].as_str().expect("an id"), row["dry_run"].as_str().expect("what is kept")))
        .collect();
    assert_eq!(found, [(usable.as_str(), "shape")]);
    for (id, code) in [(&models, "no_prompt"), (&odd, "no_shape"), (&coded, "no_shape"), (&anybody, "no_shape")] {
        assert_eq!(refusal(&gateway, id).await, (400, code.to_owned()));
        let detail = get(&gateway, &format!("requests/{id}")).await;
        assert_eq!((&detail["dry_run"], &detail["no_dry_run"]), (&Value::Null, &json!(code)));
    }
    let detail = get(&gateway, &format!("requests/{usable}")).await;
    assert_eq!((&detail["dry_run"], &detail["no_dry_run"]), (&json!("shape"), &Value::Null));
    assert_eq!(refusal(&gateway, "nobody").await, (404, "no_request".to_owned()));
    drop(gateway);

    // With whole requests as well those are taken; without shapes none is left.
    let gateway = builder(&relay, folder.path(), "  log: {capture: all, shapes: 1}\n").start().await;
    let whole = sent(&gateway, &message).await;
    logged(&gateway, 6).await;
    let tried = explained(&gateway, &whole).await;
    assert_eq!((&tried["source"]["kind"], &tried["bytes_before"]), (&json!("capture"), &json!(body.len())));
    drop(gateway);
    let gateway = builder(&relay, folder.path(), "  log: {shapes: 1}\n").start().await;
    let last = sent(&gateway, &message).await;
    logged(&gateway, 7).await;
    harness::within("older shapes are gone", async {
        while refusal(&gateway, &usable).await != (400, "shape_gone".to_owned()) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(explained(&gateway, &last).await["source"]["kind"], "shape");
    drop(gateway);
    let gateway = builder(&relay, folder.path(), "  log: {shapes: 0}\n").start().await;
    let off = sent(&gateway, &message).await;
    logged(&gateway, 8).await;
    assert_eq!(refusal(&gateway, &off).await, (400, "shapes_off".to_owned()));
    assert_eq!(get(&gateway, &format!("requests/{off}")).await["no_dry_run"], "shapes_off");
}
