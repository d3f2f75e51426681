//! What rules change on the wire, and that nothing else changes.

use harness::{Framing, Gateway, GatewayBuilder, Headers, Reply, Request, Response, Upstream, fixtures, gzip, through};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// A gateway with these rules (items of `gateway.rules`, each line indented by four) in front of a mock.
async fn with_rules(rules: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway()
        .upstream(upstream.url())
        .env("TOKEN", "sk-from-env")
        .yaml(&format!("gateway:\n  rules:\n{rules}"))
        .start()
        .await;
    (upstream, gateway)
}

/// One rule of this one action, for all requests.
async fn with_action(action: &str) -> (Upstream, Gateway) {
    with_rules(&format!("    - name: r\n      {action}\n")).await
}

/// Fields in one order for comparison; repeats of a name stay in theirs.
fn sorted(headers: &Headers) -> Vec<(String, String)> {
    let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
    let mut fields: Vec<_> = headers.0.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    fields.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    fields
}

fn post(target: &str, body: &str) -> Request {
    Request::post(target, body)
}

// --- match ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn each_kind_of_match_decides_by_the_clients_request() {
    let request = || {
        Request::post("/v1/messages/a%2Fb?beta=true&x=%20&y", r#"{"model":"claude-opus-4-8","messages":[]}"#)
            .header("X-A", "one")
            .header("x-a", "Two")
            .header("User-Agent", "claude-cli/2.1.330 (external, cli)")
    };
    let rows: &[(&str, bool)] = &[
        ("{}", true),
        ("{method: POST}", true),
        ("{method: post}", true),
        ("{method: [GET, HEAD]}", false),
        ("{path: /v1/messages/a%2Fb}", true),
        ("{path: /v1/messages/a/b}", false),
        ("{path: \"/v1/messages/a%2Fb?beta=true\"}", false),
        ("{path: /v1/*}", true),
        ("{path: \"*/a%2F?\"}", true),
        ("{path: {glob: \"/v?/messages/a%2Fb\"}}", true),
        ("{path: /V1/*}", false),
        ("{path: {prefix: /v1/mess}}", true),
        ("{path: {prefix: v1}}", false),
        ("{path: {regex: \"^/v[0-9]+/messages\"}}", true),
        ("{path: {regex: \"b$\"}}", true),
        ("{path: {regex: \"true\"}}", false),
        ("{path: [/a, {equals: /v1/messages/a%2Fb}]}", true),
        ("{path: {equals: /v1/*}}", false),
        ("{header: {x-a: one}}", true),
        ("{header: {X-A: Two}}", true),
        ("{header: {x-a: two}}", false),
        ("{header: {x-a: {present: true}}}", true),
        ("{header: {x-b: {present: true}}}", false),
        ("{header: {user-agent: claude-cli/*}}", true),
        ("{header: {user-agent: {regex: \"cli/2\\\\.1\\\\.\"}}}", true),
        ("{header: {x-a: one, user-agent: curl/*}}", false),
        ("{header: {x-a: [three, Two]}}", true),
        ("{query: {beta: \"true\"}}", true),
        ("{query: {x: {equals: \" \"}}}", true),
        ("{query: {y: {present: true}}}", true),
        ("{query: {z: {present: true}}}", false),
        ("{query: {beta: [\"1\", {regex: \"^t\"}]}}", true),
        ("{client: 127.0.0.1}", true),
        ("{client: [10.0.0.0/8, 127.0.0.0/8]}", true),
        ("{client: \"::1\"}", false),
        ("{model: claude-opus-4-8}", true),
        ("{model: [\"*haiku*\", claude-opus-*]}", true),
        ("{model: claude-opus}", false),
        ("{upstream: 127.0.0.1}", true),
        ("{upstream: other}", false),
        ("{not: {method: GET}}", true),
        ("{not: {method: POST}}", false),
        ("{not: {method: POST, model: \"*haiku*\"}}", true),
        ("{not: {not: {method: POST}}}", true),
        ("{not: {header: {x-b: {present: true}}}}", true),
        ("{method: POST, path: /v1/*, model: claude-*, client: 127.0.0.0/8}", true),
        ("{method: POST, path: /v1/*, model: claude-*, client: 10.0.0.0/8}", false),
    ];
    // All in one gateway: rule N says so by a header of its own.
    let rules: String = rows
        .iter()
        .enumerate()
        .map(|(n, (test, _))| {
            format!("    - name: r{n}\n      match: {test}\n      headers: {{set: {{X-Hit-{n}: a}}}}\n")
        })
        .collect();
    let (upstream, gateway) = with_rules(&rules).await;
    let got = through(&upstream, &gateway, &request()).await;
    for (n, (test, expected)) in rows.iter().enumerate() {
        assert_eq!(got.headers.has(&format!("x-hit-{n}")), *expected, "{test}");
    }
}

#[tokio::test]
async fn a_request_without_a_readable_model_matches_no_model() {
    let rules = "    - name: yes\n      match: {model: \"*\"}\n      headers: {set: {X-Yes: a}}
    - name: no\n      match: {not: {model: \"*\"}}\n      headers: {set: {X-No: a}}\n";
    let (upstream, gateway) = with_rules(rules).await;
    let json = r#"{"messages":[{"model":"inner"}],"model":"outer"}"#;
    let zipped = gzip(json.as_bytes());
    let rows: [(Request, &str); 7] = [
        (post("/", json), "x-yes"),
        (post("/", r#" {"m":1, "mod\u0065l" : "a"} "#), "x-yes"),
        (post("/", r#"{"model":3}"#), "x-no"),
        (post("/", r#"{"a":{"model":"inner"}}"#), "x-no"),
        (post("/", "model"), "x-no"),
        (Request::post("/", zipped).header("Content-Encoding", "gzip"), "x-no"),
        (Request::get("/"), "x-no"),
    ];
    for (request, wanted) in rows {
        let got = through(&upstream, &gateway, &request).await;
        let hits: Vec<_> = ["x-yes", "x-no"].into_iter().filter(|name| got.headers.has(name)).collect();
        assert_eq!(hits, [wanted], "{request:?}");
    }
}

// --- request headers -----------------------------------------------------------------------------------------------

#[tokio::test]
async fn each_change_of_the_head_changes_its_fields_alone() {
    /// Action, fields sent, fields that arrive.
    type Row = (&'static str, &'static [(&'static str, &'static str)], &'static [(&'static str, &'static str)]);
    let rows: &[Row] = &[
        ("headers: {set: {X-New: b}}", &[("X-A", "1")], &[("X-A", "1"), ("X-New", "b")]),
        ("headers: {set: {x-A: b}}", &[("X-A", "1"), ("x-a", "2")], &[("x-A", "b")]),
        ("headers: {add: {x-a: b}}", &[("X-A", "1")], &[("X-A", "1"), ("x-a", "b")]),
        ("headers: {default: {X-A: b}}", &[("x-a", "")], &[("x-a", "")]),
        ("headers: {default: {X-A: b}}", &[], &[("X-A", "b")]),
        ("headers: {remove: x-a}", &[("X-A", "1"), ("x-a", "2"), ("X-B", "3")], &[("X-B", "3")]),
        ("headers: {remove: [x-a, X-B]}", &[("X-A", "1"), ("X-B", "3")], &[]),
        ("headers: {rename: {x-a: X-B}}", &[("X-A", "1"), ("x-a", "2"), ("x-b", "3")], &[("X-B", "1"), ("X-B", "2")]),
        ("headers: {rename: {x-a: X-B}}", &[("x-b", "3")], &[("x-b", "3")]),
        ("headers: {list_add: {Beta: [b, c]}}", &[("beta", "a, b")], &[("Beta", "a, b,c")]),
        ("headers: {list_add: {Beta: b}}", &[("beta", "b,a")], &[("beta", "b,a")]),
        ("headers: {list_add: {Beta: c}}", &[("beta", "a"), ("BETA", "b")], &[("Beta", "a,b,c")]),
        ("headers: {list_add: {Beta: b}}", &[("beta", "a"), ("beta", "b")], &[("Beta", "a,b")]),
        ("headers: {list_add: {Beta: b}}", &[], &[("Beta", "b")]),
        ("headers: {list_remove: {beta: [b, d]}}", &[("Beta", "a, b ,c")], &[("beta", "a,c")]),
        ("headers: {list_remove: {beta: b}}", &[("Beta", "a"), ("beta", "b")], &[("beta", "a")]),
        ("headers: {list_remove: {beta: b}}", &[("Beta", "b")], &[]),
        ("headers: {list_remove: {beta: b}}", &[("Beta", "a ,c")], &[("Beta", "a ,c")]),
        ("api_key: bearer", &[("X-Api-Key", "k")], &[("Authorization", "Bearer k")]),
        ("api_key: bearer", &[("authorization", "bearer k")], &[("Authorization", "Bearer k")]),
        ("api_key: bearer", &[("x-api-key", "k"), ("Authorization", "Bearer l")], &[("Authorization", "Bearer l")]),
        ("api_key: bearer", &[], &[]),
        ("api_key: x-api-key", &[("Authorization", "Bearer k")], &[("x-api-key", "k")]),
        ("api_key: x-api-key", &[("Authorization", "Bearer k"), ("X-API-Key", "l")], &[("X-API-Key", "l")]),
        ("api_key: x-api-key", &[("Authorization", "Basic k")], &[("Authorization", "Basic k")]),
        (
            "api_key: keep",
            &[("x-api-key", "k"), ("Authorization", "Bearer l")],
            &[("x-api-key", "k"), ("Authorization", "Bearer l")],
        ),
        (
            "headers: {set: {X-A: \"<${header.X-B}|${env.TOKEN}|${client.ip}|${header.none}>\"}}",
            &[("x-b", "网关")],
            &[("x-b", "网关"), ("X-A", "<网关|sk-from-env|127.0.0.1|>")],
        ),
        ("headers: {add: {X-A: \"$${env.TOKEN} $5\"}}", &[], &[("X-A", "${env.TOKEN} $5")]),
        ("headers: {set: {X-A: \"${header.x-a}!\"}}", &[("X-A", "1"), ("X-A", "2")], &[("X-A", "1!")]),
        // In the order in which they are written, and in one rule.
        ("headers: {set: {X-A: b}, remove: X-A, add: {X-A: c}}", &[("X-A", "1")], &[("X-A", "c")]),
        ("headers: {remove: X-A, default: {X-A: b}}", &[("X-A", "1")], &[("X-A", "b")]),
        ("headers: {default: {X-A: b}, remove: X-A}", &[], &[]),
        // Host and X-Forwarded-For stand there already.
        ("headers: {remove: [x-forwarded-for]}", &[("X-Forwarded-For", "10.0.0.1")], &[]),
    ];
    const BODY: &str = "{ \"a\" : 1 }";
    for (action, sent, wanted) in rows {
        let (upstream, gateway) = with_action(action).await;
        let request = sent.iter().fold(post("/p?q", BODY), |request, (name, value)| request.header(name, value));
        let got = through(&upstream, &gateway, &request).await;
        assert_eq!((got.method.as_str(), got.target.as_str(), got.body.as_slice()), ("POST", "/p?q", BODY.as_bytes()));
        let ours: &[&str] = match action.contains("forwarded") {
            true => &["host", "content-length", "connection"],
            false => &["host", "content-length", "connection", "x-forwarded-for"],
        };
        let wanted =
            Headers(wanted.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect());
        assert_eq!(sorted(&got.headers.without(ours)), sorted(&wanted), "{action} of {sent:?}");
    }
}

#[tokio::test]
async fn a_request_id_in_a_header_is_the_one_that_the_client_gets() {
    let (upstream, gateway) = with_action("headers: {set: {X-Id: \"${request.id}\"}}").await;
    let answer = gateway.request(&Request::get("/x")).await;
    assert_eq!(answer.header("x-request-id"), upstream.last().headers.get("x-id"));
    assert!(answer.header("x-request-id").is_some_and(|id| id.starts_with("req_")));
}

#[tokio::test]
async fn host_can_be_set() {
    let (upstream, gateway) = with_action("headers: {set: {Host: relay.example}}").await;
    assert_eq!(through(&upstream, &gateway, &Request::get("/")).await.headers.all("host"), ["relay.example"]);
}

// --- query ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn parameters_are_set_and_removed_and_the_others_keep_their_bytes() {
    let rows = [
        ("query: {set: {beta: \"true\"}}", "/p", "/p?beta=true"),
        ("query: {set: {beta: \"true\"}}", "/p?", "/p?beta=true"),
        ("query: {set: {beta: \"true\"}}", "/p?a=%2f&&b=+", "/p?a=%2f&&b=+&beta=true"),
        ("query: {set: {beta: \"true\"}}", "/p?x&beta=false&y&b%65ta=1", "/p?x&beta=true&y"),
        ("query: {set: {beta: \"true\"}}", "/p?beta=true", "/p?beta=true"),
        ("query: {set: {a b: ü&=}}", "/p", "/p?a%20b=%C3%BC%26%3D"),
        ("query: {set: {a: \"\"}}", "/p?b", "/p?b&a="),
        ("query: {remove: beta}", "/p?beta=true", "/p"),
        ("query: {remove: [beta, x]}", "/p?a=%2f&beta&beta=1&&x=2", "/p?a=%2f&"),
        ("query: {remove: beta}", "//p/../a%2F?Beta=true", "//p/../a%2F?Beta=true"),
        ("query: {remove: a, set: {a: \"2\"}}", "/p?a=1&b", "/p?b&a=2"),
    ];
    for (action, sent, wanted) in rows {
        let (upstream, gateway) = with_action(action).await;
        assert_eq!(through(&upstream, &gateway, &post(sent, "{}")).await.target, wanted, "{action} of {sent}");
    }
}

#[tokio::test]
async fn the_query_changes_behind_a_path_prefix_and_match_sees_the_clients_path() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml =
        "gateway:\n  rules:\n    - name: r\n      match: {path: /v1/messages}\n      query: {set: {beta: \"true\"}}\n";
    let gateway = gateway().upstream(format!("{}/relay", upstream.url())).yaml(yaml).start().await;
    let got = through(&upstream, &gateway, &post("/v1/messages?a", "{}")).await;
    assert_eq!(got.target, "/relay/v1/messages?a&beta=true");
}

// --- body ----------------------------------------------------------------------------------------------------------

const BODY: &str = "{ \"model\":\"claude-opus-4-8\" ,\r\n \"messages\" : [ {\"content\":\"\\u7f51关 }] \\\"system\\\":[\"} ],\
    \t\"system\":[{\"type\":\"text\",\"text\":\"x-anthropic-billing-header: cc\"}, \
    {\"text\":\"You are Claude Code, Anthropic's official CLI for Claude.\",\"cache_control\":{\"type\":\"ephemeral\"}} ,\
    {\"type\":\"text\",\"text\":\"last \\u00e9\"} ],\"max_tokens\":1.0e+2,\"metadata\":{\"user_id\":\"u\" },\"stream\" :true }";
const IDENTITY: &str = "\"You are Claude Code, Anthropic's official CLI for Claude.\"";

/// Each action, what it replaces, and by what; the replaced text is in the body once.
const SPLICES: &[(&str, &[(&str, &str)])] = &[
    ("model: {claude-opus-*: \"new\\\"\"}", &[("\"claude-opus-4-8\"", "\"new\\\"\"")]),
    ("model: {\"*haiku*\": a, \"*\": b, claude-*: c}", &[("\"claude-opus-4-8\"", "\"b\"")]),
    ("model: {\"*haiku*\": a}", &[]),
    ("set: {/max_tokens: 7}", &[("1.0e+2", "7")]),
    ("set: {/stream: null}", &[("\"stream\" :true", "\"stream\" :null")]),
    ("set: {/metadata/user_id: 网关}", &[("\"u\"", "\"网关\"")]),
    ("set: {/metadata/a~1b/~0c: [1, {d: true}]}", &[("\"u\" }", "\"u\",\"a/b\":{\"~c\":[1,{\"d\":true}]} }")]),
    ("set: {/system/1/cache_control: {type: none}}", &[("{\"type\":\"ephemeral\"}", "{\"type\":\"none\"}")]),
    ("set: {/system/9/text: a, /messages/x: a, /model/x: a}", &[]),
    ("default: {/max_tokens: 7, /model: a}", &[]),
    ("default: {/top_k: 7}", &[("\"stream\" :true", "\"stream\" :true,\"top_k\":7")]),
    ("remove: /metadata", &[(",\"metadata\":{\"user_id\":\"u\" }", "")]),
    ("remove: [/model, /nothing, /system/7]", &[(" \"model\":\"claude-opus-4-8\" ,", "")]),
    ("remove: /stream", &[(",\"stream\" :true", "")]),
    ("remove: /system/0", &[("{\"type\":\"text\",\"text\":\"x-anthropic-billing-header: cc\"},", "")]),
    ("system: {mode: replace, text: a}", &[("\"x-anthropic-billing-header: cc\"", "\"a\"")]),
    ("system: {mode: replace, target: identity, text: \"a\\n\\\"b\"}", &[(IDENTITY, "\"a\\n\\\"b\"")]),
    ("system: {mode: replace, target: last, text: a}", &[("\"last \\u00e9\"", "\"a\"")]),
    ("system: {mode: replace, target: {index: 1}, text: a}", &[(IDENTITY, "\"a\"")]),
    ("system: {mode: replace, target: {index: 3}, text: a}", &[]),
    ("system: {mode: replace, target: {matching: \"^last é$\"}, text: a}", &[("\"last \\u00e9\"", "\"a\"")]),
    ("system: {mode: replace, target: {matching: nothing}, text: a}", &[]),
    ("system: {mode: prepend, target: last, text: a}", &[("\"last \\u00e9\"", "\"a\\n\\nlast \\u00e9\"")]),
    ("system: {mode: append, target: last, text: a}", &[("\"last \\u00e9\"", "\"last \\u00e9\\n\\na\"")]),
    ("system: {mode: insert_if_missing, target: identity, text: a}", &[]),
    ("system: {mode: ensure_list, text: a}", &[]),
    (
        "system: {mode: remove, target: identity}",
        &[(
            ", {\"text\":\"You are Claude Code, Anthropic's official CLI for Claude.\",\
            \"cache_control\":{\"type\":\"ephemeral\"}}",
            "",
        )],
    ),
    (
        "system: {mode: insert_if_missing, target: {matching: ours}, text: ours}",
        &[(
            "\"x-anthropic-billing-header: cc\"}",
            "\"x-anthropic-billing-header: cc\"},\
            {\"type\":\"text\",\"text\":\"ours\",\"cache_control\":{\"type\":\"ephemeral\"}}",
        )],
    ),
    (
        "{system: [{mode: append, target: last, text: a}, {mode: append, target: last, text: b}], \
        set: {/max_tokens: 7}, remove: /stream}",
        &[("\"last \\u00e9\"", "\"last \\u00e9\\n\\na\\n\\nb\""), ("1.0e+2", "7"), (",\"stream\" :true", "")],
    ),
    ("{set: {/model: a}, model: {a: b}}", &[("\"claude-opus-4-8\"", "\"b\"")]),
    ("{model: {a: b}, set: {/model: a}}", &[("\"claude-opus-4-8\"", "\"a\"")]),
];

fn spliced(replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(BODY.to_owned(), |body, (old, new)| {
        assert_eq!(body.matches(old).count(), 1, "{old} is there once");
        body.replacen(old, new, 1)
    })
}

fn body_action(action: &str) -> String {
    if action.starts_with('{') { format!("body: {action}") } else { format!("body: {{{action}}}") }
}

#[tokio::test]
async fn each_change_of_the_body_changes_its_bytes_alone() {
    for (action, replacements) in SPLICES {
        let (upstream, gateway) = with_action(&body_action(action)).await;
        let got = through(&upstream, &gateway, &post("/v1/messages", BODY)).await;
        let wanted = spliced(replacements);
        assert_eq!(String::from_utf8_lossy(&got.body), wanted, "{action}");
        assert_eq!(got.target, "/v1/messages");
    }
}

#[tokio::test]
async fn http_2_clients_get_the_same_changes() {
    let rows = [SPLICES[0], SPLICES[6], SPLICES[28], ("compact: true", &[])];
    for (action, replacements) in rows {
        let rule = format!(
            "    - name: r\n      match: {{method: POST, path: /v1/*, header: {{x-a: one}}, model: claude-*}}\n      \
            {}\n      headers: {{set: {{X-New: \"${{header.x-a}}\"}}, list_add: {{Beta: c}}, remove: X-Gone}}\n      \
            query: {{set: {{beta: \"true\"}}}}\n      api_key: bearer\n      response_headers: {{set: {{X-Answer: \"1\"}}}}\n",
            body_action(action)
        );
        let (upstream, gateway) = with_rules(&rule).await;
        let client = gateway.connect_h2().await;
        for declared in [true, false] {
            let mut request = http::Request::builder()
                .method("POST")
                .uri("http://gateway.test/v1/messages?a")
                .header("x-a", "one")
                .header("beta", "a")
                .header("beta", "b")
                .header("x-gone", "1")
                .header("x-api-key", "sk-1");
            if declared {
                request = request.header("content-length", BODY.len());
            }
            let pieces: Vec<&[u8]> = BODY.as_bytes().chunks(100).collect();
            let answer = client.send(request.body(()).expect("a request"), &pieces).await;
            assert_eq!((answer.status, answer.headers["x-answer"].as_bytes()), (200, &b"1"[..]));
            let got = upstream.last();
            let mut wanted = spliced(replacements);
            if action.starts_with("compact") {
                wanted = compacted(&wanted);
            }
            assert_eq!(String::from_utf8_lossy(&got.body), wanted, "{action}");
            assert_eq!(got.framing, Framing::Length(wanted.len() as u64));
            assert_eq!(got.target, "/v1/messages?a&beta=true");
            for (name, values) in
                [("x-new", &["one"][..]), ("beta", &["a,b,c"]), ("x-gone", &[]), ("authorization", &["Bearer sk-1"])]
            {
                assert_eq!(got.headers.all(name), values, "{name}");
            }
            assert!(!got.headers.has("x-api-key"));
        }
    }
}

/// The body without its blanks; none of its strings holds a quote that would mislead this.
fn compacted(json: &str) -> String {
    let (mut out, mut in_string, mut escaped) = (String::new(), false, false);
    for c in json.chars() {
        if in_string || !c.is_ascii_whitespace() {
            out.push(c);
        }
        in_string ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
    }
    out
}

#[tokio::test]
async fn compact_drops_blanks_between_tokens_and_nothing_else() {
    let (upstream, gateway) = with_action("body: {compact: true}").await;
    let got = through(&upstream, &gateway, &post("/v1/messages", BODY)).await;
    assert_eq!(String::from_utf8_lossy(&got.body), compacted(BODY));
    for fixture in fixtures::all() {
        let got = through(&upstream, &gateway, &Request::post("/v1/messages", fixture.body.clone())).await;
        assert!(got.body == fixture.body, "{} is compact already", fixture.name);
    }
}

#[tokio::test]
async fn a_system_that_is_no_list_becomes_one() {
    let block = |text: &str| format!(r#"{{"type":"text","text":"{text}"}}"#);
    let rows: &[(&str, &str, String)] = &[
        (
            r#"{"system":"old \u0041", "a":1}"#,
            "ensure_list",
            format!(r#"{{"system":[{}], "a":1}}"#, block("old \\u0041")),
        ),
        (r#"{"system":""}"#, "ensure_list", r#"{"system":[]}"#.to_owned()),
        (r#"{"system":null}"#, "ensure_list, text: t", format!(r#"{{"system":[{}]}}"#, block("t"))),
        (r#"{"system":[ ]}"#, "ensure_list, text: t", format!(r#"{{"system":[{}]}}"#, block("t"))),
        (r#"{"a":1}"#, "ensure_list, text: t", format!(r#"{{"a":1,"system":[{}]}}"#, block("t"))),
        (r#"{"a":1}"#, "ensure_list", r#"{"a":1}"#.to_owned()),
        (r#"{"system":[3]}"#, "ensure_list, text: t", r#"{"system":[3]}"#.to_owned()),
        (r#"{"system":{"a":1}}"#, "ensure_list, text: t", r#"{"system":{"a":1}}"#.to_owned()),
        (r#"{"system":"old"}"#, "replace, text: t", r#"{"system":"old"}"#.to_owned()),
    ];
    for (sent, mode, wanted) in rows {
        let (upstream, gateway) = with_action(&format!("body: {{system: {{mode: {mode}}}}}")).await;
        let got = through(&upstream, &gateway, &post("/v1/messages", sent)).await;
        assert_eq!(String::from_utf8_lossy(&got.body), *wanted, "{mode} of {sent}");
    }
}

#[tokio::test]
async fn bodies_that_are_encoded_or_no_json_go_through_as_they_are() {
    let action = "body: {set: {/a: 1}, system: {mode: ensure_list, text: t}, compact: true}";
    let (upstream, gateway) = with_action(action).await;
    let zipped = gzip(BODY.as_bytes());
    let encoded = Request::post("/v1/messages", zipped.clone()).header("Content-Encoding", "gzip");
    assert_eq!(through(&upstream, &gateway, &encoded).await.body, zipped);
    for encoding in ["gzip", "br", "zstd", "deflate", "x-unknown", "identity, gzip"] {
        let request = post("/v1/messages", BODY).header("content-encoding", encoding);
        let got = through(&upstream, &gateway, &request).await;
        assert_eq!(got.body, BODY.as_bytes(), "{encoding}");
        assert_eq!(got.headers.all("content-encoding"), [encoding]);
    }
    let bodies: [&[u8]; 8] =
        [b"no", b"[ 1 ]x", b"{\"a\": 1", b"{\"a\": \"\xff\"}", b"{ } { }", b"\xef\xbb\xbf{ }", b"{\"a\": 01}", b" "];
    for body in bodies {
        let got = through(&upstream, &gateway, &Request::post("/v1/messages", body)).await;
        assert_eq!(got.body, body, "{}", String::from_utf8_lossy(body));
    }
    // What is JSON but no object has no members, and blanks.
    for (body, wanted) in [("[ 1 ]", "[1]"), ("null", "null"), ("\"a b\" ", "\"a b\"")] {
        let got = through(&upstream, &gateway, &post("/v1/messages", body)).await;
        assert_eq!(String::from_utf8_lossy(&got.body), wanted);
    }
    let identity = post("/v1/messages", "{\"a\": 2}").header("Content-Encoding", "identity");
    let got = through(&upstream, &gateway, &identity).await;
    assert_eq!(String::from_utf8_lossy(&got.body), "{\"a\":1,\"system\":[{\"type\":\"text\",\"text\":\"t\"}]}");
    assert_eq!(gateway.request(&Request::get("/v1/messages")).await.status(), 200);
    assert!(upstream.last().body.is_empty() && !upstream.last().headers.has("content-length"));
}

#[tokio::test]
async fn chunked_bodies_and_kept_connections_are_rewritten_with_exact_lengths() {
    let (upstream, gateway) = with_action("body: {model: {\"*\": a-much-longer-name-than-before}}").await;
    let mut client = gateway.connect().await;
    for (sent, wanted) in [("m", "a-much-longer-name-than-before"), ("n", "a-much-longer-name-than-before")] {
        let body = format!(r#"{{"model":"{sent}"}}"#);
        let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let head = "POST /v1/messages HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}{chunked}")).await;
        assert_eq!(client.response("POST").await.status(), 200);
        let wanted = format!(r#"{{"model":"{wanted}"}}"#);
        assert_eq!(String::from_utf8_lossy(&upstream.last().body), wanted);
        assert_eq!(upstream.last().framing, Framing::Length(wanted.len() as u64));
    }
}

// --- order ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn all_matching_rules_apply_in_order_to_what_those_before_them_left() {
    let rules = "    - name: one
      match: {header: {x-a: client}}
      headers: {set: {X-A: one, X-Seen-1: \"${header.x-a}\"}}
      query: {set: {n: \"1\"}}
      body: {model: {m: n}, set: {/list: []}}
    - name: off
      enabled: false
      headers: {set: {X-A: off}}
    - name: not-for-this
      match: {header: {x-a: one}}
      headers: {set: {X-A: never}}
    - name: two
      match: {model: m, query: {n: \"0\"}}
      headers: {add: {X-A: two}, set: {X-Seen-2: \"${header.x-a}\"}}
      query: {set: {m: \"2\"}}
      body: {model: {n: o}, set: {/list/-: 2}}
    - name: three
      headers: {rename: {X-A: X-B}}
      query: {remove: n}
      body: {set: {/list/-: 3}}
";
    let (upstream, gateway) = with_rules(rules).await;
    let request = post("/p?n=0", r#"{"model":"m"}"#).header("X-A", "client");
    let got = through(&upstream, &gateway, &request).await;
    assert_eq!(got.headers.all("x-b"), ["one", "two"]);
    assert_eq!(
        (got.headers.get("x-seen-1"), got.headers.get("x-seen-2")),
        (Some("client".into()), Some("client".into()))
    );
    assert_eq!(got.target, "/p?m=2");
    assert_eq!(String::from_utf8_lossy(&got.body), r#"{"model":"o","list":[2,3]}"#);
}

#[tokio::test]
async fn the_prompt_of_the_environment_comes_before_the_rules_and_the_headers_file_after() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml = "gateway:
  rules:
    - name: r
      headers: {set: {X-A: rule, X-B: rule}}
      body: {system: {mode: replace, target: first, text: from the rule}, set: {/max_tokens: 1}}
";
    let gateway = gateway()
        .upstream(upstream.url())
        .yaml(yaml)
        .env("SYSTEM_PROMPT_REPLACEMENT", "from the environment")
        .file("env/.env.headers.json", r#"{"x-a": "file"}"#)
        .start()
        .await;
    let body = r#"{"system":[{"text":"a"}],"max_tokens":2}"#;
    let got = through(&upstream, &gateway, &post("/v1/messages", body).header("X-A", "client")).await;
    assert_eq!(String::from_utf8_lossy(&got.body), r#"{"system":[{"text":"from the rule"}],"max_tokens":1}"#);
    assert_eq!((got.headers.all("x-a"), got.headers.all("x-b")), (vec!["file".into()], vec!["rule".to_owned()]));
    let got = through(&upstream, &gateway, &post("/v1/other", body)).await;
    assert_eq!(String::from_utf8_lossy(&got.body), r#"{"system":[{"text":"from the rule"}],"max_tokens":1}"#);
}

// --- answers -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn the_answers_head_is_changed_and_its_body_is_not() {
    let upstream = Upstream::start(|_| {
        Reply::sse()
            .header("Server", "relay")
            .header("Set-Cookie", "a=1")
            .header("Set-Cookie", "b=2")
            .header("X-Old", "1")
            .bytes("data: 1\n\n")
            .bytes("data: 2\n\n")
    })
    .await;
    let yaml = "gateway:
  rules:
    - name: r
      match: {path: /yes}
      response_headers:
        set: {X-Old: new, X-Of: \"${header.x-client} ${client.ip}\"}
        add: {X-Added: \"1\", Set-Cookie: c=3}
        remove: [server]
";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let answer = gateway.request(&Request::get("/yes").header("X-Client", "me")).await;
    assert_eq!(answer.text(), "data: 1\n\ndata: 2\n\n");
    let headers = &answer.head.headers;
    assert_eq!(headers.all("set-cookie"), ["a=1", "b=2", "c=3"]);
    assert_eq!((headers.all("x-old"), headers.all("x-added")), (vec!["new".into()], vec!["1".to_owned()]));
    assert_eq!(headers.all("x-of"), ["me 127.0.0.1"]);
    assert!(!headers.has("server") && headers.names().contains(&"X-Of"), "{headers:?}");
    let answer = gateway.request(&Request::get("/no")).await;
    assert_eq!(answer.header("server").as_deref(), Some("relay"));
    assert_eq!(answer.head.headers.all("x-old"), ["1"]);
    let h2 = gateway.connect_h2().await;
    let request = http::Request::get("http://gateway.test/yes").body(()).expect("a request");
    let answer = h2.send(request, &[]).await;
    assert_eq!((answer.headers["x-old"].as_bytes(), answer.text().as_str()), (&b"new"[..], "data: 1\n\ndata: 2\n\n"));
    assert!(!answer.headers.contains_key("server"));
}

fn assert_answer(answer: &Response, status: u16, content_type: Option<&str>, body: &str) {
    assert_eq!(
        (answer.status(), answer.header("content-type").as_deref()),
        (status, content_type),
        "{}",
        answer.text()
    );
    assert_eq!(answer.text(), body);
    assert!(answer.header("x-request-id").is_some());
}

#[tokio::test]
async fn a_rule_can_answer_by_itself() {
    let rules = r#"    - name: changes-nothing-then
      headers: {set: {X-A: a}}
      response_headers: {set: {X-B: b}}
    - name: warm-up
      match: {method: HEAD, path: [/, /api/hello]}
      respond: {status: 200}
    - name: text
      match: {path: /text}
      respond: {body: "no, 不\n"}
    - name: later
      match: {path: /text}
      respond: {status: 500}
    - name: json
      match: {path: /json, model: "*haiku*"}
      respond: {status: 403, headers: {X-Why: rule, x-why: again}, body: {type: error, error: {type: permission_error, message: "no"}}}
    - name: html
      match: {path: /html}
      respond: {status: 418, headers: {content-type: text/html}, body: <p>}
    - name: json-in-a-text
      match: {path: /number}
      respond: {status: 429, body: '{"a":1}', headers: {Retry-After: "7"}}
"#;
    let (upstream, gateway) = with_rules(rules).await;
    let mut client = gateway.connect().await;
    // On one connection, which stays open.
    assert_answer(&client.request(&Request::new("HEAD", "/api/hello")).await, 200, None, "");
    assert_answer(&client.request(&Request::new("HEAD", "/")).await, 200, None, "");
    let answer = client.request(&post("/text", "ignored")).await;
    assert_answer(&answer, 200, Some("text/plain; charset=utf-8"), "no, 不\n");
    assert!(!answer.head.headers.has("x-b"), "{:?}", answer.head.headers);
    let answer = client.request(&post("/json", r#"{"model":"claude-haiku-4-5"}"#)).await;
    assert_eq!((answer.status(), answer.header("content-type").as_deref()), (403, Some("application/json")));
    assert_eq!(answer.json()["error"]["type"], "permission_error");
    assert_eq!(answer.head.headers.all("x-why"), ["rule", "again"]);
    assert_answer(&client.request(&Request::get("/html")).await, 418, Some("text/html"), "<p>");
    let answer = client.request(&Request::get("/number")).await;
    assert_answer(&answer, 429, Some("application/json"), r#"{"a":1}"#);
    assert_eq!(answer.header("retry-after").as_deref(), Some("7"));
    let answer = client.request(&Request::new("HEAD", "/number")).await;
    assert_eq!((answer.status(), answer.header("content-length").as_deref()), (429, Some("7")));
    assert!(upstream.received().is_empty(), "the upstream heard of it");

    assert_eq!(client.request(&post("/json", r#"{"model":"claude-opus-4-8"}"#)).await.status(), 200);
    assert_eq!(client.request(&Request::get("/api/hello")).await.status(), 200);
    assert_eq!(upstream.received().len(), 2);
    assert_eq!(upstream.last().headers.all("x-a"), ["a"]);
    // Its own pages come first.
    assert_eq!(client.request(&Request::get("/health")).await.json()["status"], "ok");

    let h2 = gateway.connect_h2().await;
    let request = http::Request::get("http://gateway.test/number").body(()).expect("a request");
    let answer = h2.send(request, &[]).await;
    assert_eq!((answer.status, answer.text().as_str()), (429, r#"{"a":1}"#));
    let line = gateway.stderr_line(0, "the refusal", |line| line.contains("/json") && line.contains("403")).await;
    assert!(line.contains("rejected"), "{line}");
}

// --- values, hosts and heads of other kinds ----------------------------------------------------------------------------

#[tokio::test]

async fn in_quotes_a_value_is_a_text() {
    for (action, wanted) in [
        ("set: {/a: \"7\"}", r#"{"a":"7"}"#),
        ("set: {/a: 'true', /b: \"null\"}", r#"{"a":"true","b":"null"}"#),
        ("set: {/a: [\"1\", {b: \"2\"}]}", r#"{"a":["1",{"b":"2"}]}"#),
        ("set: {/a: \"\"}", r#"{"a":""}"#),
        ("system: {mode: ensure_list, text: \"null\"}", r#"{"system":[{"type":"text","text":"null"}]}"#),
    ] {
        let (upstream, gateway) = with_action(&body_action(action)).await;
        let got = through(&upstream, &gateway, &post("/v1/messages", "{}")).await;
        assert_eq!(String::from_utf8_lossy(&got.body), wanted, "{action}");
    }
}

#[tokio::test]

async fn a_plain_value_is_what_yaml_says() {
    for (value, wanted) in
        [("True", "true"), ("FALSE", "false"), ("Null", "null"), ("NULL", "null"), ("+1", "1"), ("0x10", "16")]
    {
        let (upstream, gateway) = with_action(&format!("body: {{set: {{/a: {value}}}}}")).await;
        let got = through(&upstream, &gateway, &post("/v1/messages", "{}")).await;
        assert_eq!(String::from_utf8_lossy(&got.body), format!("{{\"a\":{wanted}}}"), "{value}");
    }
}

#[tokio::test]

async fn members_keep_the_operators_order() {
    let (upstream, gateway) = with_action("body: {set: {/thinking: {type: enabled, budget_tokens: 1}}}").await;
    let got = through(&upstream, &gateway, &post("/v1/messages", "{}")).await;
    assert_eq!(String::from_utf8_lossy(&got.body), r#"{"thinking":{"type":"enabled","budget_tokens":1}}"#);
}

#[tokio::test]

async fn keys_of_one_test_are_all_of() {
    let rules = "    - name: r\n      match: {path: {prefix: /v1/, regex: count}}\n      headers: {set: {X-Hit: a}}\n";
    let (upstream, gateway) = with_rules(rules).await;
    assert!(through(&upstream, &gateway, &Request::get("/v1/count")).await.headers.has("x-hit"));
    assert!(!through(&upstream, &gateway, &Request::get("/v1/models")).await.headers.has("x-hit"));
}

#[tokio::test]

async fn a_request_has_one_valid_host_whatever_rules_do() {
    let mut broken = Vec::new();
    for action in [
        "headers: {add: {Host: other.example}}",
        "headers: {remove: Host}",
        "headers: {rename: {X-Host: Host}}",
        "headers: {rename: {Host: X-Host}}",
        "headers: {set: {Host: \"a b\"}}",
        "headers: {set: {Host: \"${header.x-host}\"}}",
        "headers: {list_add: {Host: other.example}}",
    ] {
        let upstream = Upstream::builder().allow_malformed().start(|_| Reply::ok("{}")).await;
        let yaml = format!("gateway:\n  rules:\n    - name: r\n      {action}\n");
        // Refusing it at load is as good.
        let Ok(gateway) = gateway().upstream(upstream.url()).yaml(&yaml).try_start().await else { continue };
        let request = Request::get("/x").header("X-Host", "a b").header("X-Host", "c");
        let status = gateway.request(&request).await.status();
        for got in upstream.received() {
            if let Some(why) = &got.malformed {
                broken.push(format!("{action}: {status}, {why}, {:?}", got.headers));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test]

async fn the_target_of_the_whole_server_stays() {
    let (upstream, gateway) = with_action("query: {set: {beta: \"true\"}}").await;
    assert_eq!(through(&upstream, &gateway, &Request::new("OPTIONS", "*")).await.target, "*");
}

#[tokio::test]

async fn an_answer_that_has_no_body_has_none() {
    for status in [204, 205, 304] {
        let yaml = format!("gateway:\n  rules:\n    - name: r\n      respond: {{status: {status}, body: text}}\n");
        let upstream = Upstream::start(|_| Reply::ok("{}")).await;
        let Ok(gateway) = gateway().upstream(upstream.url()).yaml(&yaml).try_start().await else { continue };
        let mut client = gateway.connect().await;
        for _ in 0..2 {
            let answer = client.request(&Request::get("/x")).await;
            assert_eq!((answer.status(), answer.text().as_str()), (status, ""));
            assert!(!answer.head.headers.has("content-length") || status == 304, "{:?}", answer.head.headers);
        }
    }
}

#[tokio::test]
async fn the_headers_of_an_answer_may_hold_any_text() {
    let (_upstream, gateway) = with_action("respond: {headers: {X-Why: 网关}}").await;
    assert_eq!(gateway.request(&Request::get("/x")).await.header("x-why").as_deref(), Some("网关"));
}

#[tokio::test]

async fn interim_answers_are_left_alone() {
    let upstream = Upstream::start(|_| Reply::ok("hi").interim(103, &[("Link", "</a>")])).await;
    let yaml = "gateway:\n  rules:\n    - name: r\n      response_headers: {add: {X-A: b}}\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let answer = gateway.request(&Request::get("/x")).await;
    assert_eq!(answer.head.headers.all("x-a"), ["b"]);
    assert!(answer.head.interim.iter().all(|(_, headers)| !headers.has("x-a")), "{:?}", answer.head.interim);
}

#[tokio::test]

async fn the_key_arrives_once_however_it_was_sent() {
    let mut wrong = Vec::new();
    for (sent, wanted) in [
        // Credentials of another scheme are no key; the key is in the other field.
        (&[("Authorization", "Basic abc"), ("x-api-key", "k")][..], "Bearer k"),
        (&[("Authorization", ""), ("x-api-key", "k")], "Bearer k"),
        (&[("Authorization", "k")], "Bearer k"),
        (&[("Authorization", "Bearer k"), ("Authorization", "Bearer k")], "Bearer k"),
    ] {
        let (upstream, gateway) = with_action("api_key: bearer").await;
        let request = sent.iter().fold(Request::get("/x"), |request, (name, value)| request.header(name, value));
        let got = through(&upstream, &gateway, &request).await;
        if got.headers.all("authorization") != [wanted] || got.headers.has("x-api-key") {
            wrong.push(format!("{sent:?}: {:?}", got.headers));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]

async fn members_of_lists_are_values_too() {
    let (upstream, gateway) = with_action("headers: {list_add: {Beta: [\"a,b\", \"${env.TOKEN}\"]}}").await;
    let got = through(&upstream, &gateway, &Request::get("/x").header("beta", "b")).await;
    assert_eq!(got.headers.all("beta"), ["b,a,sk-from-env"]);
}
