//! `env/.env.headers.json`: its headers override those of each request, and cannot break a message.

use harness::{Gateway, GatewayBuilder, Headers, Reply, Request, Upstream};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

const FILE: &str = "env/.env.headers.json";

#[tokio::test]
async fn its_headers_replace_all_of_that_name_and_add_what_is_missing() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let headers = r#"{
        "__comment": "not a header",
        "__X-Off": "off",
        "User-Agent": "claude-cli/2.0.76 (external, cli)",
        "AUTHORIZATION": "Bearer sk-from-file",
        "X-New-One": "网关",
        "x-empty": "",
        "anthropic-beta": "only,this"
    }"#;
    let gateway = gateway().upstream(upstream.url()).file(FILE, headers).start().await;
    let request = Request::post("/v1/messages", "{}")
        .header("user-agent", "other/1.0")
        .header("Authorization", "Bearer sk-client")
        .header("anthropic-beta", "a")
        .header("Anthropic-Beta", "b")
        .header("X-Stays", "1");
    assert_eq!(gateway.request(&request).await.status(), 200);
    let got = upstream.last();
    let want: [(&str, &[&str]); 8] = [
        ("user-agent", &["claude-cli/2.0.76 (external, cli)"]),
        ("authorization", &["Bearer sk-from-file"]),
        ("x-new-one", &["网关"]),
        ("x-empty", &[""]),
        ("anthropic-beta", &["only,this"]),
        ("x-stays", &["1"]),
        ("content-length", &["2"]),
        ("x-off", &[]),
    ];
    for (name, values) in want {
        assert_eq!(got.headers.all(name), values, "{name}");
    }
    assert!(got.headers.names().contains(&"X-New-One"), "the file's case: {:?}", got.headers.names());
    assert!(!got.headers.names().iter().any(|name| name.starts_with("__")), "{:?}", got.headers.names());
}

#[tokio::test]
async fn an_empty_or_absent_file_changes_nothing() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let mut seen: Vec<Headers> = Vec::new();
    for text in [None, Some("{}"), Some(r#"{"__only": "comments"}"#)] {
        let builder = gateway().upstream(upstream.url());
        let builder = text.into_iter().fold(builder, |builder, text| builder.file(FILE, text));
        let gateway = builder.start().await;
        assert_eq!(gateway.request(&Request::get("/x").header("X-A", "1")).await.status(), 200);
        seen.push(upstream.last().headers.clone());
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

#[tokio::test]
async fn connection_cannot_name_away_what_the_file_sets() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).file(FILE, r#"{"Authorization": "Bearer sk-file"}"#).start().await;
    let request = Request::get("/x").header("Connection", "authorization").header("Authorization", "Bearer sk-client");
    assert_eq!(gateway.request(&request).await.status(), 200);
    assert_eq!(upstream.last().headers.all("authorization"), ["Bearer sk-file"]);
}

#[tokio::test]
async fn another_file_can_be_named_in_the_yaml() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway()
        .upstream(upstream.url())
        .file("other.json", r#"{"X-Other": "1"}"#)
        .file(FILE, r#"{"X-Default": "1"}"#)
        .yaml("gateway:\n  headers_file: other.json\n")
        .start()
        .await;
    assert_eq!(gateway.request(&Request::get("/x")).await.status(), 200);
    assert_eq!(upstream.last().headers.all("x-other"), ["1"]);
    assert!(!upstream.last().headers.has("x-default"));
}

#[tokio::test]
async fn framing_and_hop_by_hop_names_are_refused_at_load_all_at_once() {
    let names = [
        "Content-Length",
        "transfer-encoding",
        "Connection",
        "KEEP-ALIVE",
        "Upgrade",
        "TE",
        "Trailer",
        "Proxy-Connection",
    ];
    let members: Vec<String> = names.iter().map(|name| format!(r#""{name}": "1""#)).collect();
    let text = format!("{{{}}}", members.join(",\n"));
    for command in [&["check"][..], &[]] {
        let builder = command.iter().fold(gateway().file(FILE, &text), |builder, arg| builder.arg(arg));
        let output = builder.run().await;
        assert!(!output.status.success(), "{output:?}");
        let told = format!("{}{}", output.stdout, output.stderr);
        for name in names {
            assert!(told.contains(name), "{name} is not named:\n{told}");
        }
        assert!(told.contains(".env.headers.json"), "{told}");
    }
}

#[tokio::test]
async fn what_is_no_header_is_refused_without_repeating_its_value() {
    for text in [
        r#"{"X A": "sk-secret-value"}"#,
        r#"{"": "sk-secret-value"}"#,
        r#"{"X-A": "sk-secret-value\r\nX-B: 1"}"#,
        r#"{"X-A": "sk-secret-value\u0000"}"#,
        r#"{"X-A": ["sk-secret-value"]}"#,
        r#"{"X-A": {"sk-secret-value": 1}}"#,
        r#"["sk-secret-value"]"#,
        r#"{"X-A": "sk-secret-value""#,
        "sk-secret-value",
    ] {
        let output = gateway().file(FILE, text).arg("check").run().await;
        let told = format!("{}{}", output.stdout, output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}: {told}");
        assert!(told.contains(".env.headers.json"), "{text}: {told}");
        assert!(!told.contains("sk-secret-value"), "{text}: {told}");
    }
}
