//! What is written counts as it is written: variables, keys, marks before a text, addresses with too much in them.

use super::{gateway, told, warnings};
use harness::{Reply, Request, Upstream};
use std::process::Command;

/// The status that the panel's API answers this key with, where `env/.env` has these lines.
async fn with_key(lines: &str, key: &str) -> u16 {
    let gateway = gateway().upstream("http://127.0.0.1:9").file("env/.env", lines).start().await;
    let request = Request::get("/api/admin/config").header("Authorization", format!("Bearer {key}"));
    gateway.request(&request).await.status()
}

#[tokio::test]
async fn the_panels_key_is_the_one_in_the_dotenv_file() {
    for (lines, key) in [
        ("DASHBOARD_API_KEY=longpa$USERword", "longpa$USERword"),
        ("DASHBOARD_API_KEY=\"pa${USER}word$\"", "pa${USER}word$"),
        ("DASHBOARD_API_KEY='a # b$c' # the key", "a # b$c"),
        ("export DASHBOARD_API_KEY = two words  # the key\n", "two words"),
        ("\u{feff}DASHBOARD_API_KEY=after-a-mark\r\nPORT=\r\n", "after-a-mark"),
        ("A=1\rDASHBOARD_API_KEY=back\\slash\r", "back\\slash"),
    ] {
        assert_eq!(with_key(lines, key).await, 200, "{lines:?}");
    }
}

#[tokio::test]
async fn what_others_would_substitute_is_told_and_stays() {
    let text = "A=x\nSYSTEM_PROMPT_REPLACEMENT=${A} and $A\nB='${A}'\nC\nSYSTEM_PROMPT_TARGET=identity\n";
    let told = warnings(gateway().file("env/.env", text)).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("env/.env:2:") && told[0].contains("in SYSTEM_PROMPT_REPLACEMENT stays"), "{told:?}");
    assert!(told[1].contains("env/.env:4:") && told[1].contains("write C=value"), "{told:?}");
}

#[tokio::test]
async fn blanks_around_keys_are_no_part_of_them() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml = |api_key: &str, key: &str| {
        format!(
            "gateway:\n  upstreams:\n    - {{name: a, base_url: \"{}\", api_key: {api_key}}}\n  routes: [{{keys: {key}, \
             upstream: a}}]\n",
            upstream.url()
        )
    };
    for (api_key, key, variable) in [
        ("\"${env.K}\"", "sk-client", "sk-own\n"),
        ("\"${env.K}\"", "sk-client", "\u{feff}sk-own\r\n"),
        ("\" sk-own\\t\"", "sk-client", "x"),
        ("sk-own", "[\"env:K\"]", "sk-client\r\n"),
        ("sk-own", "[\"sk-client \"]", "x"),
        ("sk-own", "\"\\u00a0sk-client\"", "x"),
    ] {
        let gateway = gateway().yaml(&yaml(api_key, key)).env("K", variable).start().await;
        let request = Request::post("/v1/messages", "{}").header("Authorization", "Bearer sk-client");
        assert_eq!(gateway.request(&request).await.status(), 200, "{api_key} {key} {variable:?}");
        assert_eq!(upstream.last().headers.get("authorization").as_deref(), Some("Bearer sk-own"), "{api_key}");
        let wanted = "blanks or line ends around this value were cut off";
        gateway.stderr_line(0, "the warning", |line| line.contains(wanted)).await;
        assert!(!gateway.stderr().contains("sk-"), "{}", gateway.stderr());
    }
}

#[tokio::test]
async fn a_variable_in_a_rule_is_a_key_without_its_line_end() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let rule = "{name: r, headers: {set: {Authorization: \"Bearer ${env.K}\"}}}";
    let yaml = format!("gateway:\n  rules:\n    - {rule}\n");
    let gateway = gateway().upstream(upstream.url()).yaml(&yaml).env("K", "sk-own\n").start().await;
    assert_eq!(gateway.request(&Request::post("/v1/messages", "{}")).await.status(), 200);
    assert_eq!(upstream.last().headers.all("authorization"), ["Bearer sk-own"]);
    let wanted = "gateway.rules[0].headers.set.Authorization: blanks or line ends";
    gateway.stderr_line(0, wanted, |line| line.contains(wanted)).await;
}

#[tokio::test]
async fn blanks_around_other_secrets_are_told_too() {
    let mappings = r#"{"mappings":[{"target_url":"http://127.0.0.1:9/v1/messages","keys":["sk-1 "]}]}"#;
    let builder = gateway()
        .env("DASHBOARD_API_KEY", "7f3b9c2e8d1a4f60b5e97c3d2a8f1e4b\n")
        .env("HTTP_PROXY", " http://127.0.0.1:9\r\n")
        .file("env/.env.headers.json", "{\"X-App\": \"cli \"}")
        .file("env/.env.key-mappings.json", mappings);
    let told = warnings(builder).await;
    for wanted in [
        "environment DASHBOARD_API_KEY: gateway.dashboard.api_key: blanks",
        "environment HTTP_PROXY: gateway.proxy.http: blanks",
        "env/.env.headers.json:1:11: blanks or line ends around the value of \"X-App\"",
        "env/.env.key-mappings.json:1:69: keys: blanks",
        "leave /v1/messages out, and write http://127.0.0.1:9",
    ] {
        assert!(told.iter().any(|line| line.contains(wanted)), "{wanted}: {told:#?}");
    }
    assert_eq!(told.len(), 5, "{told:#?}");
    for two_lines in [
        gateway().env("DASHBOARD_API_KEY", "first-line\nsecond-line"),
        gateway().env("API_BASE_URL", "http://127.0.0.1\n:9"),
        gateway().env("HTTP_PROXY", "http://user:pa\nss@127.0.0.1:9"),
    ] {
        let output = two_lines.arg("check").run().await;
        assert!(told_of(&output, "control characters"), "{}", super::told(&output));
    }
    let two_lines =
        gateway().yaml("gateway:\n  routes: [{keys: [\"sk-1\\nsk-2\"], upstream: a}]\n").arg("check").run().await;
    assert!(told_of(&two_lines, "control characters"), "{}", super::told(&two_lines));
}

fn told_of(output: &harness::Output, what: &str) -> bool {
    output.status.code() == Some(1) && told(output).contains(what)
}

#[tokio::test]
async fn a_byte_order_mark_is_passed_over_in_every_file() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let mappings = format!("\u{feff}{{\"mappings\":[{{\"target_url\":\"{}\",\"keys\":[\"sk-1\"]}}]}}", upstream.url());
    let gateway = gateway()
        .file("env/.env", "\u{feff}DASHBOARD_API_KEY=7f3b9c2e8d1a4f60b5e97c3d2a8f1e4b\n")
        .file("env/.env.headers.json", "\u{feff}{\"X-App\": \"marked\"}")
        .file("env/.env.key-mappings.json", &mappings)
        .file("data/overlay.yaml", "\u{feff}gateway:\n  forwarded_for: 'off'\n")
        .yaml("\u{feff}gateway:\n  upstreams: [{base_url: \"http://127.0.0.1:9\", api_key: k}]\n")
        .start()
        .await;
    let request = Request::post("/v1/messages", "{}").header("Authorization", "Bearer sk-1");
    assert_eq!(gateway.request(&request).await.status(), 200);
    let received = upstream.last();
    assert_eq!(received.headers.get("x-app").as_deref(), Some("marked"));
    assert!(!received.headers.has("x-forwarded-for"), "{:?}", received.headers);
}

#[tokio::test]
async fn a_pipe_that_nobody_writes_to_does_not_hold_up_the_start() {
    for file in ["pipe.yaml", "env/.env", "env/.env.headers.json"] {
        let builder = gateway().file("env/.keep", "");
        let builder = if file == "pipe.yaml" { builder.arg("-c").arg(file) } else { builder };
        let made = Command::new("mkfifo").arg(builder.dir().join(file)).status().expect("mkfifo");
        assert!(made.success());
        let output = builder.run().await;
        assert!(told_of(&output, "nobody writes to this pipe"), "{file}: {}", told(&output));
        assert!(told(&output).contains(file), "{}", told(&output));
    }
}

/// A file of secrets is often a pipe, into which another program writes them once.
#[tokio::test]
async fn variables_come_through_a_pipe_too() {
    let builder = gateway().file("env/.keep", "").upstream("http://127.0.0.1:9").arg("check");
    let pipe = builder.dir().join("env/.env");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let write = async {
        let text = "VIA_UNKNOWN=1\nDASHBOARD_API_KEY=7f3b9c2e8d1a4f60b5e97c3d2a8f1e4b\n";
        tokio::task::spawn_blocking(move || std::fs::write(pipe, text)).await.expect("no panic").expect("written");
    };
    let (output, ()) = tokio::join!(builder.run(), write);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(output.stdout.contains("env/.env:2:19 DASHBOARD_API_KEY"), "{}", told(&output));
}
