//! `anyrouter-gateway try`: one message through a gateway that runs, and each place where it can end.

use harness::anthropic::{self, Options, TEXT};
use harness::{Authority, Gateway, GatewayBuilder, Output, Pool, Received, Reply, Step, Upstream};

/// It looks like no key: only who has it can know it again.
const KEY: &str = "my-secret-1234567890";

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("ANTHROPIC_AUTH_TOKEN", KEY)
}

/// What the command says, and whether it says that there was an answer. No key is in it.
async fn tried(gateway: &Gateway, arguments: &[&str]) -> (bool, String) {
    let output = gateway.command(&[&["try"], arguments].concat()).await;
    all_of(output)
}

fn all_of(output: Output) -> (bool, String) {
    let text = format!("{}\n{}", output.stderr, output.stdout);
    assert!(!text.contains("secret"), "{text}");
    assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}: {text}", output.status);
    let is_answered = output.status.code() == Some(0);
    assert_eq!(is_answered, !output.stdout.is_empty(), "what went well goes to standard output: {text}");
    (is_answered, text)
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "\"{part}\" is not in:\n{text}");
    }
}

/// What the command says of a gateway whose only upstream answers so.
async fn ended(reply: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> (bool, String) {
    let upstream = Upstream::builder().allow_malformed().start(reply).await;
    let gateway = gateway().yaml(&Pool::new().add("relay", upstream.url()).yaml()).start().await;
    tried(&gateway, &["--model", "claude-opus-5-5"]).await
}

fn error(status: u16, kind: &str, message: &str) -> Reply {
    let body = format!("{{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"{message}\"}}}}");
    Reply::status(status).header("Content-Type", "application/json").body(body)
}

#[tokio::test]
async fn an_answer_is_told_with_what_it_took_and_where_to_look() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let gateway =
        gateway().env("GATEWAY_DB", "data/log.db").yaml(&Pool::new().add("relay", upstream.url()).yaml()).start().await;
    let (is_answered, text) = tried(&gateway, &["--model", "claude-opus-5-5"]).await;
    assert!(is_answered, "{text}");
    let got = upstream.last();
    let session = got.headers.all("x-claude-code-session-id").pop().expect("a session");
    let address = gateway.addr();
    assert_says(
        &text,
        &[
            &format!("gateway: http://{address} (process {}, version ", gateway.pid()),
            "model: claude-opus-5-5\n",
            &format!("answered by the upstream \"relay\", claude-opus-5-5: \"{TEXT}\""),
            " in, ",
            "cost: $0.0",
            "time to first token: ",
            "request: ",
            &format!("http://{address}/admin/requests?session={session}"),
        ],
    );
    assert_eq!(got.headers.all("authorization"), [format!("Bearer {KEY}")]);
    assert_eq!(upstream.received().len(), 1, "a model that was named is not looked up");
    let body: serde_json::Value = serde_json::from_slice(&got.body).expect("JSON");
    assert!(body["max_tokens"].as_u64().is_some_and(|most| most <= 64) && body["stream"] == true, "{body}");
}

#[tokio::test]
async fn anyrouter_takes_it_for_claude_code() {
    let strict = Options { strict_anyrouter: true, ..Options::default() };
    let upstream = Upstream::start(anthropic::handler_with(strict)).await;
    let pool = Pool::new().add_with("relay", upstream.url(), "profile: anyrouter");
    for variable in ["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"] {
        let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env(variable, KEY);
        let gateway = gateway.yaml(&pool.yaml()).start().await;
        for model in ["claude-opus-5-5", "claude-haiku-5-5", "claude-sonnet-5-5[1m]"] {
            let (is_answered, text) = tried(&gateway, &["--model", model]).await;
            assert!(is_answered, "{variable} {model}: {text}");
        }
    }
}

#[tokio::test]
async fn without_a_name_it_is_the_newest_sonnet_that_is_listed() {
    let list = "{\"data\":[{\"id\":\"claude-opus-5-5\"},{\"id\":\"claude-sonnet-4-5-20250929\"},{\"id\":\"claude-sonnet-9\"},\
                {\"id\":\"claude-haiku-4-5\"}]}";
    let answers = anthropic::handler();
    let upstream = Upstream::start(move |request| match request.target.starts_with("/v1/models") {
        true => Reply::json(list),
        false => answers(request),
    })
    .await;
    let plain = gateway().yaml(&Pool::new().add("relay", upstream.url()).yaml()).start().await;
    for (arguments, model) in [
        (&[][..], "claude-sonnet-9"),
        (&["--model", "opus"], "claude-opus-5-5"),
        (&["--model", "haiku"], "claude-haiku-4-5"),
    ] {
        let (is_answered, text) = tried(&plain, arguments).await;
        assert!(is_answered, "{text}");
        assert_says(&text, &[&format!("model: {model} (the newest of its kind that the gateway lists")]);
    }
    let named = gateway().env("ANTHROPIC_MODEL", "claude-mine[1m]");
    let named = named.yaml(&Pool::new().add("relay", upstream.url()).yaml()).start().await;
    assert_says(&tried(&named, &[]).await.1, &["model: claude-mine\n"]);
    assert_says(&upstream.last().headers.all("anthropic-beta").join(","), &["context-1m-2025-08-07"]);
    for bad in ["a b", "", "x\"y"] {
        let (is_answered, text) = tried(&plain, &["--model", bad]).await;
        assert!(!is_answered && text.starts_with("error: --model is no name of a model"), "{text}");
    }
}

#[tokio::test]
async fn where_no_upstream_has_a_list_a_model_with_a_price_is_asked() {
    let answers = anthropic::handler();
    let upstream = Upstream::start(move |request| match request.target.starts_with("/v1/models") {
        true => Reply::status(404),
        false => answers(request),
    })
    .await;
    let gateway = gateway().yaml(&Pool::new().add("relay", upstream.url()).yaml()).start().await;
    let (is_answered, text) = tried(&gateway, &[]).await;
    assert!(is_answered, "{text}");
    assert_says(&text, &["model: claude-sonnet-5-5 (the gateway has no list"]);
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_said_to_be_not_there() {
    let (is_answered, text) = all_of(gateway().arg("try").run().await);
    assert!(!is_answered);
    assert_says(&text, &["the gateway was not reached"]);
}

#[tokio::test]
async fn what_the_gateway_refuses_is_told_in_its_words() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let routes = |key: &str| format!("routes: [{{keys: [{key}], upstream: a}}]");
    let yaml = |key: &str| Pool::new().add_with("a", upstream.url(), "api_key: sk-own").setting(&routes(key)).yaml();
    let refusing = gateway().yaml(&yaml("sk-another")).start().await;
    let (is_answered, text) = tried(&refusing, &["--model", "claude-opus-5-5"]).await;
    assert!(!is_answered, "{text}");
    assert_says(&text, &["refused: the gateway itself answered 401, and no upstream was asked", "gateway.routes"]);

    let keyless = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("OTHER_KEY", KEY);
    let keyless = keyless.yaml(&yaml(KEY)).start().await;
    let (is_answered, text) = tried(&keyless, &["--model", "claude-opus-5-5"]).await;
    assert!(!is_answered, "{text}");
    assert_says(&text, &["key: none", "answered 401", "-> put your key into ANTHROPIC_AUTH_TOKEN"]);
    // Who types sudo has set it, and does not see that sudo keeps it to itself.
    for (language, told) in [
        ("en_US.UTF-8", "-> sudo did not pass the variable: run `anyrouter-gateway try` without sudo"),
        ("zh_CN.UTF-8", "-> sudo 没有传递这个变量：请不加 sudo，直接运行 `anyrouter-gateway try`"),
    ] {
        let by_sudo = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("SUDO_USER", "somebody");
        let by_sudo = by_sudo.env("LANG", language).yaml(&yaml(KEY)).start().await;
        let (is_answered, text) = tried(&by_sudo, &["--model", "claude-opus-5-5"]).await;
        assert!(!is_answered, "{text}");
        assert_eq!(text.matches(told).count(), 2, "at once, and behind what came of it: {text}");
        assert!(!text.contains("read -rs"), "{text}");
    }
    assert_eq!(upstream.received().len(), 0);
    let (is_answered, text) = tried(&keyless, &["--model", "claude-opus-5-5", "--key-env", "OTHER_KEY"]).await;
    assert!(is_answered, "{text}");
    for (name, told) in [("NO_SUCH_VARIABLE", "NO_SUCH_VARIABLE is not set"), (KEY, "with this name")] {
        let (is_answered, text) = tried(&keyless, &["--key-env", name]).await;
        assert!(!is_answered && text.contains(told), "{text}");
    }
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_told_with_cause_and_cure() {
    let authority = Authority::new();
    let expired = Upstream::builder().tls(&authority.leaf_valid(&["127.0.0.1"], 2000..2001));
    let expired = expired.start(|_| Reply::ok("{}")).await;
    let trusted = format!("ca_file: \"{}\"", authority.ca_file().display());
    let one = Pool::new().add_with("relay", expired.url(), &trusted);
    let gateway_ = gateway().yaml(&one.clone().yaml()).start().await;
    let (is_answered, text) = tried(&gateway_, &["--model", "claude-opus-5-5"]).await;
    assert!(!is_answered, "{text}");
    assert_says(
        &text,
        &[
            "no answer: the request went to the upstream \"relay\", and the gateway answered 502: ",
            "its certificate has expired",
            "\n  relay: The certificate has expired, or the clock of this machine is wrong.\n  -> Check date and time",
        ],
    );

    let dead = harness::Port::free();
    let two = one.add("second", format!("http://{}", dead.addr())).generous();
    let gateway_ = gateway().yaml(&two.yaml()).start().await;
    let (is_answered, text) = tried(&gateway_, &["--model", "claude-opus-5-5"]).await;
    assert!(!is_answered, "{text}");
    assert_says(
        &text,
        &["2 upstreams were tried", "\n  relay: The certificate", "\n  second: The connection was refused"],
    );
}

#[tokio::test]
async fn what_an_upstream_answers_is_told_with_cause_and_cure() {
    for (reply, said, cause) in [
        (error(401, "authentication_error", "bad key"), "401: bad key", "does not accept the key (401)"),
        (error(429, "rate_limit_error", "slow down"), "429: slow down", "The quota is used up"),
        (error(404, "not_found_error", "no such model"), "404: no such model", "knows no such model"),
        (error(400, "invalid_request_error", "field x"), "400: field x", "refused the request"),
        (error(500, "new_api_error", "oops"), "500: oops", "new-api"),
        (Reply::status(503).body("busy"), "503: busy", "no account to serve this"),
        (Reply::json("{\"hello\":1}"), "200: ", "no message"),
    ] {
        let (is_answered, text) = ended(move |_| reply.clone()).await;
        assert!(!is_answered, "{text}");
        assert_says(&text, &["no answer: the upstream \"relay\" answered ", said, cause, "\n  -> "]);
    }
}

/// [`tried`] looks for the keys.
#[tokio::test]
async fn keys_that_a_relay_repeats_are_not_told() {
    let event = |text: &str| {
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\
             \"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
        )
    };
    let pieces = KEY.split_at(5);
    for (reply, told) in [
        (
            error(401, "authentication_error", &format!("bad key {KEY}, and own-secret-key")),
            "401: bad key ********, and",
        ),
        (Reply::status(403).body(format!("{}{KEY}", "x ".repeat(142))), "x ********"),
        (Reply::sse().bytes(event(pieces.0)).bytes(event(pieces.1)), "after \"********\""),
    ] {
        let upstream = Upstream::start(move |_| reply.clone()).await;
        let pool = Pool::new().add_with("relay", upstream.url(), "api_key: own-secret-key");
        let pool = pool.setting(&format!("routes: [{{keys: [{KEY}], upstream: relay}}]"));
        let gateway = gateway().yaml(&pool.yaml()).start().await;
        let (is_answered, text) = tried(&gateway, &["--model", "claude-opus-5-5"]).await;
        assert!(!is_answered, "{text}");
        assert_says(&text, &[told]);
    }
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{}}}\n\n\
                 event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
                 \"delta\":{\"type\":\"text_delta\",\"text\":\"it wo\"}}\n\n";
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"too much\"}}\n\n";
    for (reply, told) in [
        (Reply::sse().bytes(start), &["ended it too early, after \"it wo\""][..]),
        (Reply::sse().bytes(start).step(Step::Reset), &["after \"it wo\""]),
        (Reply::sse().bytes(start).bytes(error), &["sent an error after \"it wo\": too much", "overloaded (529)"]),
    ] {
        let (is_answered, text) = ended(move |_| reply.clone()).await;
        assert!(!is_answered, "{text}");
        assert_says(&text, &["half an answer: the upstream \"relay\" "]);
        assert_says(&text, told);
    }
}

#[tokio::test]
async fn it_speaks_chinese_to_who_reads_it() {
    let upstream = Upstream::start(|_| error(401, "authentication_error", "bad key")).await;
    let gateway =
        gateway().env("LANG", "zh_CN.UTF-8").yaml(&Pool::new().add("relay", upstream.url()).yaml()).start().await;
    let (is_answered, text) = tried(&gateway, &["--model", "claude-opus-5-5"]).await;
    assert!(!is_answered);
    assert_says(&text, &["网关：http://", "没有得到响应：上游“relay”返回了 401：bad key", "上游不接受该密钥（401）"]);
    assert_eq!(upstream.last().headers.all("accept-language"), ["zh-CN"], "the gateway's words are to be Chinese too");
    let nobody = harness::Port::free();
    let gateway =
        self::gateway().env("LANG", "zh_CN.UTF-8").upstream(format!("http://{}", nobody.addr())).start().await;
    let (is_answered, text) = tried(&gateway, &["--model", "claude-opus-5-5"]).await;
    assert!(!is_answered);
    assert_says(&text, &["没有得到响应：请求发往上游", "拒绝了连接：请确认它正在运行"]);
}

#[tokio::test]
async fn a_key_that_no_relay_gave_is_refused_before_anything_is_sent() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let yaml = Pool::new().add("relay", upstream.url()).yaml();
    for (key, told) in [
        ("sk-your-key", "the key in ANTHROPIC_AUTH_TOKEN is sk-your-key, which stands for yours"),
        ("sk-ｓecret-1234567890", "character 4 of the key in ANTHROPIC_AUTH_TOKEN is ｓ (U+FF53)"),
    ] {
        let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("ANTHROPIC_AUTH_TOKEN", key);
        let gateway = gateway.yaml(&yaml).start().await;
        let (is_answered, text) = tried(&gateway, &["--model", "claude-opus-5-5"]).await;
        assert!(!is_answered && text.contains(told) && !text.contains("ecret"), "{text}");
    }
    assert_eq!(upstream.received().len(), 0);
}
