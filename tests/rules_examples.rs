//! The examples of docs/rules.md do what the text beside them says.

use harness::{Gateway, GatewayBuilder, Reply, Request, Upstream, through};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// The example of docs/rules.md that holds the rule of this name.
fn example(rule: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let text = std::fs::read_to_string(path).expect("docs/rules.md");
    let mut fences = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let name = format!("- name: {rule}\n");
    fences.find(|yaml| yaml.contains(&name)).unwrap_or_else(|| panic!("no example {rule}")).to_owned()
}

async fn with_example(rule: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start(|_| Reply::ok("{}").header("Server", "relay").header("Set-Cookie", "a=1")).await;
    let builder = gateway().upstream(upstream.url()).env("RELAY_TOKEN", "sk-relay").yaml(&example(rule));
    let gateway = builder.start().await;
    (upstream, gateway)
}

#[tokio::test]
async fn the_examples_about_heads_do_what_they_say() {
    let (upstream, gateway) = with_example("every-kind-of-match").await;
    let request = Request::post("/v1/messages?beta=true", r#"{"model":"claude-opus-4-8"}"#)
        .header("User-Agent", "claude-cli/2.1")
        .header("X-Team", "a");
    assert_eq!(through(&upstream, &gateway, &request).await.headers.all("x-matched"), ["yes"]);
    let again = request.header("X-Stainless-Retry-Count", "1");
    assert!(!through(&upstream, &gateway, &again).await.headers.has("x-matched"));

    let (upstream, gateway) = with_example("long-context-for-sonnet").await;
    for (model, wanted) in [("claude-sonnet-4-5", "a,context-1m-2025-08-07"), ("claude-haiku-4-5", "a")] {
        let request = Request::post("/v1/messages", format!(r#"{{"model":"{model}"}}"#)).header("anthropic-beta", "a");
        assert_eq!(through(&upstream, &gateway, &request).await.headers.all("anthropic-beta"), [wanted]);
    }

    let (upstream, gateway) = with_example("tell-the-origin").await;
    let request = Request::get("/x")
        .header("User-Agent", "me")
        .header("X-Claude-Code-Session-Id", "s")
        .header("X-Stainless-OS", "Linux")
        .header("anthropic-beta", "a,redact-thinking-2026-02-12,b");
    let got = through(&upstream, &gateway, &request).await;
    for (name, value) in [
        ("x-relay-token", "sk-relay"),
        ("x-origin", "127.0.0.1 me"),
        ("anthropic-version", "2023-06-01"),
        ("x-session-id", "s"),
        ("anthropic-beta", "a,b"),
    ] {
        assert_eq!(got.headers.all(name), [value], "{name}");
    }
    assert!(!got.headers.has("x-claude-code-session-id") && !got.headers.has("x-stainless-os"));

    let (upstream, gateway) = with_example("key-as-x-api-key").await;
    let got = through(&upstream, &gateway, &Request::get("/x").header("Authorization", "Bearer sk-1")).await;
    assert_eq!((got.headers.all("x-api-key"), got.headers.has("authorization")), (vec!["sk-1".to_owned()], false));

    let (upstream, gateway) = with_example("beta-query").await;
    assert_eq!(
        through(&upstream, &gateway, &Request::post("/v1/messages?debug=1&a", "{}")).await.target,
        "/v1/messages?a&beta=true"
    );

    let (_upstream, gateway) = with_example("answer-headers").await;
    let answer = gateway.request(&Request::get("/x")).await;
    assert!(!answer.head.headers.has("server") && !answer.head.headers.has("set-cookie"));
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(answer.header("x-served-by").as_deref(), Some("anyrouter-gateway"));
}

#[tokio::test]
async fn the_examples_about_bodies_do_what_they_say() {
    let (upstream, gateway) = with_example("map-models").await;
    for (sent, wanted) in [
        ("claude-3-5-haiku-20241022", "claude-haiku-4-5"),
        ("claude-opus-5-5", "claude-opus-4-8"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
    ] {
        let got =
            through(&upstream, &gateway, &Request::post("/v1/messages", format!(r#"{{"model":"{sent}"}}"#))).await;
        assert_eq!(String::from_utf8_lossy(&got.body), format!(r#"{{"model":"{wanted}"}}"#));
    }

    let (upstream, gateway) = with_example("members").await;
    let sent = r#"{"max_tokens":1,"context_management":{},"output_config":{"effort":"low","a":1}}"#;
    let got = through(&upstream, &gateway, &Request::post("/v1/messages", sent)).await;
    let got: serde_json::Value = serde_json::from_slice(&got.body).expect("JSON");
    let wanted = serde_json::json!({
        "max_tokens": 1, "output_config": {"a": 1}, "metadata": {"user_id": "team-platform"},
        "thinking": {"type": "enabled", "budget_tokens": 4096},
    });
    assert_eq!(got, wanted);

    let (upstream, gateway) = with_example("our-identity").await;
    let identity = "\"You are Claude Code, Anthropic's official CLI for Claude.\"";
    let ours = "\"You are Claude Code, Anthropic's official CLI for Claude. You work for the platform team.\"";
    let body = |identity: &str| {
        format!(r#"{{"system":[{{"text":"x-anthropic-billing-header: a"}}, {{"text":{identity}}}, {{"text":"b"}}]}}"#)
    };
    let got = through(&upstream, &gateway, &Request::post("/v1/messages", body(identity))).await;
    assert_eq!(String::from_utf8_lossy(&got.body), body(ours));

    let (upstream, gateway) = with_example("complete-the-system-prompt").await;
    let got = through(&upstream, &gateway, &Request::post("/v1/messages", r#"{"system":"Be brief."}"#)).await;
    let got: serde_json::Value = serde_json::from_slice(&got.body).expect("JSON");
    assert_eq!(got["system"][0]["text"], "You are Claude Code, Anthropic's official CLI for Claude.");
    assert_eq!(got["system"][1]["text"], "Be brief.\n\nHouse rules:\n- British English.");
}

#[tokio::test]
async fn the_examples_that_answer_do_what_they_say() {
    let (upstream, gateway) = with_example("warm-up").await;
    for path in ["/", "/api/hello"] {
        assert_eq!(gateway.request(&Request::new("HEAD", path)).await.status(), 200);
    }
    let (other, gateway) = with_example("no-batches").await;
    let answer = gateway.request(&Request::post("/v1/messages/batches/1", "{}")).await;
    assert_eq!((answer.status(), answer.header("x-refused-by").as_deref()), (403, Some("anyrouter-gateway")));
    assert_eq!(answer.json()["error"]["type"], "permission_error");
    let (third, gateway) = with_example("only-from-here").await;
    assert_eq!(gateway.request(&Request::get("/other")).await.json()["error"]["type"], "not_found_error");
    for upstream in [upstream, other, third] {
        assert!(upstream.received().is_empty());
    }
}

#[tokio::test]
async fn the_examples_by_what_a_request_is_for_do_what_they_say() {
    let (upstream, gateway) = with_example("cheaper-explorers").await;
    for (class, agent, model) in [
        ("subagent", "Explore", "claude-haiku-5-5"),
        ("workflow", "Plan", "claude-haiku-5-5"),
        ("subagent", "general-purpose", "claude-opus-5-5"),
        ("main", "", "claude-opus-5-5"),
        ("compaction", "", "claude-opus-5-5"),
        ("auxiliary", "", "claude-haiku-5-5"),
        ("", "", "claude-opus-5-5"),
    ] {
        let sent = r#"{"model":"claude-opus-5-5","thinking":{"type":"adaptive"},"max_tokens":9}"#;
        let mut request = Request::post("/v1/messages", sent);
        for (name, value) in [("x-claude-code-request-class", class), ("x-claude-code-agent-type", agent)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let got: serde_json::Value =
            serde_json::from_slice(&through(&upstream, &gateway, &request).await.body).expect("JSON");
        assert_eq!(got["model"], model, "{class} {agent}");
        assert_eq!(got.get("thinking").is_none(), class == "auxiliary", "{class}");
    }
}

#[tokio::test]
async fn the_example_of_an_upstream_for_sub_agents_does_what_it_says() {
    let (best, cheap) = (Upstream::start(|_| Reply::ok("{}")).await, Upstream::start(|_| Reply::ok("{}")).await);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let text = std::fs::read_to_string(path).expect("docs/rules.md");
    let yaml = text.split("```yaml\n").find(|yaml| yaml.contains("request_class: [subagent")).expect("the example");
    let yaml = yaml.split("```").next().expect("its end");
    let yaml = yaml.replace("https://anyrouter.top", &best.url()).replace("https://relay.example", &cheap.url());
    let gateway = gateway().yaml(&yaml).env("BEST_KEY", "sk-best").env("CHEAP_KEY", "sk-cheap").start().await;
    let class = |class: &'static str| Some(("x-claude-code-request-class", class));
    for (field, upstream, key) in [
        (None, &best, "sk-best"),
        (class("main"), &best, "sk-best"),
        (class("compaction"), &best, "sk-best"),
        (class("subagent"), &cheap, "sk-cheap"),
        (class("auxiliary"), &cheap, "sk-cheap"),
        (Some(("x-claude-code-agent-id", "a1")), &cheap, "sk-cheap"),
    ] {
        // Over HTTP/1 the fields are read before the body, and the session is the same for all.
        let mut request = Request::post("/v1/messages", r#"{"model":"claude-opus-5-5"}"#)
            .header("x-api-key", "sk-alice")
            .header("X-Claude-Code-Session-Id", "s");
        if let Some((name, value)) = field {
            request = request.header(name, value);
        }
        let before = upstream.received().len();
        assert_eq!(gateway.request(&request).await.status(), 200, "{field:?}");
        assert_eq!(upstream.received().len(), before + 1, "{field:?}");
        assert_eq!(upstream.last().headers.all("x-api-key"), [key], "{field:?}");
    }
    let stranger = Request::post("/v1/messages", "{}").header("x-api-key", "sk-bob");
    let stranger = stranger.header("x-claude-code-request-class", "subagent");
    assert_eq!(gateway.request(&stranger).await.status(), 401, "a class is no key");
}
