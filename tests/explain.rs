//! The dry run: what it says of each fixture stands in `tests/golden/explain/`. `UPDATE_GOLDEN=1` writes it anew.

use harness::{Gateway, GatewayBuilder, Reply, Request, Upstream, fixtures};
use std::path::Path;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

const RULES: &str = "gateway:
  upstreams:
    - name: anyrouter
      base_url: https://anyrouter.top
  rules:
    - name: map-haiku
      match: {path: /v1/messages, model: \"claude-haiku-*\"}
      body: {model: {\"claude-haiku-*\": claude-haiku-4-5}}
    - name: greet-the-agent
      match: {header: {user-agent: {glob: \"*sdk-cli*\"}}}
      headers: {set: {X-Agent: \"${header.x-app}\"}}
      body: {system: {mode: append, target: identity, text: Be brief.}}
";

#[tokio::test]
async fn each_fixture_is_explained_as_written_down() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/explain");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut found = 0;
    for fixture in fixtures::all() {
        let output = gateway()
            .yaml(RULES)
            .file("head", &String::from_utf8_lossy(&fixture.head))
            .file("body", std::str::from_utf8(&fixture.body).expect("UTF-8"))
            .arg("explain")
            .arg("--head")
            .arg("head")
            .arg("body")
            .run()
            .await;
        assert_eq!(output.status.code(), Some(0), "{}: {}", fixture.name, output.stderr);
        assert!(!output.stdout.contains("sk-test"), "{}: a key is shown", fixture.name);
        let file = golden.join(format!("{}.txt", fixture.name));
        if update {
            std::fs::write(&file, &output.stdout).expect("written");
        }
        let expected = std::fs::read_to_string(&file).expect("the golden file");
        assert!(output.stdout == expected, "{}:\n{}", fixture.name, output.stdout);
        found += 1;
    }
    assert!(found >= 8, "{found} fixtures");
}

#[tokio::test]
async fn why_a_rule_does_not_match_and_what_it_would_change_is_told() {
    let yaml = "gateway:\n  upstreams: [{name: up, base_url: \"http://127.0.0.1:9\"}]\n  rules:\n    \
                - {name: other-path, match: {path: /x}, api_key: bearer}\n    \
                - {name: cut, body: {remove: [/system/0]}}\n    \
                - {name: refuse, match: {method: DELETE}, respond: {status: 403, body: no}}\n";
    let body =
        r#"{"system":[{"type":"text","text":"a"},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}]}"#;
    let run = |arguments: &[&str]| {
        let builder =
            gateway().yaml(yaml).file("body", body).file("head", "DELETE /y HTTP/1.1\nHost: a\n").arg("explain");
        arguments.iter().fold(builder, |builder, argument| builder.arg(argument))
    };
    let told = run(&["body"]).run().await.stdout;
    for line in
        ["- other-path: does not hold: path is \"/x\"", "+ cut (body: removed)", "touches the cached prefix: yes"]
    {
        assert!(told.contains(line), "{line} is not in:\n{told}");
    }
    let json: serde_json::Value = serde_json::from_str(&run(&["--json", "body"]).run().await.stdout).expect("JSON");
    assert_eq!(
        (json["touches_cached_prefix"].as_bool(), json["rules"][1]["matches"].as_bool()),
        (Some(true), Some(true))
    );
    let told = run(&["--head", "head", "body"]).run().await.stdout;
    assert!(told.contains("is answered by the gateway itself, with status 403"), "{told}");
    let output = run(&["none.json"]).run().await;
    assert!(!output.status.success() && output.stderr.contains("none.json"), "{}", output.stderr);
}

#[tokio::test]
async fn what_becomes_of_thinking_where_a_conversation_moves_is_told() {
    let body = |model: &str, kind: &str| {
        let messages = format!(r#"[{{"role":"assistant","content":[{{"type":"{kind}","signature":"x"}}]}}]"#);
        format!(r#"{{"model":"{model}","messages":{messages},"thinking":{{"type":"adaptive"}}}}"#)
    };
    for (model, kind, on_move, words) in [
        ("claude-opus-5-5", "thinking", Some("asked_to_drop"), "the API is asked to drop thinking"),
        ("claude-opus-4-5", "thinking", Some("kept"), "its thinking goes as it is"),
        ("claude-opus-5-5", "text", None, "touches the cached prefix: no"),
    ] {
        let yaml = "gateway:\n  upstreams: [{name: up, base_url: \"http://127.0.0.1:9\"}]\n";
        let run = || gateway().yaml(yaml).file("body", &body(model, kind)).arg("explain");
        let told = run().arg("body").run().await.stdout;
        assert!(told.contains(words), "{told}");
        let json: serde_json::Value =
            serde_json::from_str(&run().arg("--json").arg("body").run().await.stdout).expect("JSON");
        assert_eq!(json["on_move"].as_str(), on_move, "{json}");
    }
}

#[tokio::test]
async fn what_a_name_makes_a_secret_is_not_shown() {
    let yaml = "gateway:\n  upstreams: [{name: up, base_url: \"http://127.0.0.1:9\"}]\n  rules:\n    \
                - {name: key, body: {set: {/metadata/api_key: literal-of-a-rule}}, query: {set: {token: of-a-query-rule}}}\n";
    let body = r#"{"metadata":{"api_key":"of-the-client","note":"kept"}}"#;
    let output = gateway().yaml(yaml).file("body", body).arg("explain").arg("body").run().await;
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    for secret in ["literal-of-a-rule", "of-the-client", "of-a-query-rule"] {
        assert!(!output.stdout.contains(secret), "{secret}: {}", output.stdout);
    }
    for shown in ["+    \"api_key\": \"********\"", "\"note\": \"kept\"", "token=********"] {
        assert!(output.stdout.contains(shown), "{shown}: {}", output.stdout);
    }
}

#[tokio::test]
async fn the_admin_api_explains_to_those_who_may_look() {
    let question = r#"{"body":"{\"system\":\"a\"}"}"#;
    let gateway = gateway().upstream("http://127.0.0.1:9").start().await;
    let ask = |body: &str| Request::post("/api/admin/explain", body).header("Host", "panel.example");
    let answer = gateway.request(&gateway.as_admin(ask(question))).await;
    assert_eq!((answer.status(), answer.json()["upstream"].as_str()), (200, Some("127.0.0.1")), "{}", answer.text());
    assert_eq!(gateway.request(&gateway.as_admin(ask("{}"))).await.status(), 400);
    assert_eq!(gateway.request(&ask(question)).await.status(), 401);
}

#[tokio::test]
async fn without_a_file_the_last_request_that_was_kept_is_explained_or_else_a_sample() {
    let rules = "gateway:\n  log: {capture: all}\n  upstreams: [{name: up, base_url: \"URL\", profile: anyrouter}]\n";
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway =
        gateway().env("GATEWAY_DB", "data/gateway.db").yaml(&rules.replace("URL", &upstream.url())).start().await;
    let output = gateway.command(&["explain"]).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert!(output.stdout.starts_with("this is about a sample, built in"), "{}", output.stdout);
    assert!(
        output.stdout.contains("goes to the upstream \"up\"") && output.stdout.contains("  + anyrouter."),
        "{}",
        output.stdout
    );
    let body = r#"{"model":"claude-a","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}"#;
    let kept = Request::post("/v1/messages", body).header("anthropic-version", "2023-06-01").header("X-Mine", "abc");
    assert_eq!(gateway.request(&kept.header("x-api-key", "sk-secret")).await.status(), 200);
    harness::within("the request is kept", async {
        while !gateway
            .command(&["explain"])
            .await
            .stdout
            .starts_with("this is about the last request that was kept: req_")
        {}
    })
    .await;
    let output = gateway.command(&["explain"]).await;
    assert!(output.stdout.contains("x-mine: abc"), "{}", output.stdout);
    let json = gateway.command(&["explain", "--json"]).await;
    let read: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(read["bytes_before"].as_u64(), Some(body.len() as u64));
    assert!(json.stderr.contains("the last request that was kept"), "{}", json.stderr);
}

#[tokio::test]
async fn values_of_headers_are_shown_to_who_asks_for_them() {
    let yaml = "gateway:\n  upstreams: [{name: up, base_url: \"http://127.0.0.1:9\", api_key: sk-own-secret}]\n  \
                routes: [{keys: sk-client, upstream: up}]\n";
    let run = |argument: &'static str| {
        let builder =
            gateway().yaml(yaml).file("env/.env.headers.json", r#"{"X-App": "cli-mine", "Cookie": "s=secret1"}"#);
        let head = "POST /v1/messages HTTP/1.1\nHost: a\nx-api-key: sk-client\n";
        let builder =
            builder.file("head", head).file("body", "{}").arg("explain").arg("--head").arg("head").arg("body");
        if argument.is_empty() { builder.run() } else { builder.arg(argument).run() }
    };
    let masked = run("").await;
    for secret in ["sk-own-secret", "secret1", "sk-client"] {
        assert!(!masked.stdout.contains(secret), "{}", masked.stdout);
    }
    let shown = run("--show-values").await;
    for value in ["sk-own-secret", "X-App: cli-mine", "Cookie: s=secret1", "sk-client"] {
        assert!(shown.stdout.contains(value), "{value}: {}", shown.stdout);
    }
    assert!(shown.stderr.contains("do not pass this on"), "{}", shown.stderr);
}
