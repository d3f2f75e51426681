//! Each mistake is told once, at its own line.

use super::*;

#[tokio::test]
async fn one_mistake_is_told_once() {
    for lines in [
        "body: {system: ¦remove}",
        "body: {system: {mode: ¦replce, text: a}}",
        "body: {system: {mode: remove, target: {¦indx: 1}}}",
    ] {
        assert_refused(&rule(lines), &[]).await;
    }
    assert_refused("gateway:\n  rules:\n    - ¦a\n", &[]).await;
    assert_refused("gateway:\n  rules:\n    - name: ¦[a]\n      api_key: keep\n", &[]).await;
    assert_refused(&format!("{UPSTREAMS}  routes:\n    - keys: ¦env:UNSET\n      upstream: other\n"), &[]).await;
    assert_refused(&format!("{UPSTREAMS}  routes:\n    - ¦sk-a\n"), &[]).await;
}

#[tokio::test]
async fn a_mistake_is_told_at_its_own_line() {
    let route = format!("{UPSTREAMS}  routes:\n    - keys: [a]\n      upstream: ¦othr\n");
    assert_refused(&route, &["did you mean \"other\"?"]).await;
    let profile = "gateway:\n  upstreams:\n    - base_url: https://anyrouter.top\n      profile_rules:\n        \
        anyrouter.compact: on\n        ¦anyrouter.bear: off\n";
    assert_refused(profile, &["did you mean \"anyrouter.bearer\"?"]).await;
    let told = refusal(&rule("match: {path: {regex: ¦\"(\"}}\napi_key: keep"), &[]).await;
    assert_eq!(told.lines().count(), 2, "one line for each mistake:\n{told}");
}

#[tokio::test]
async fn a_match_that_can_never_hold_is_refused() {
    for lines in [
        "match: {path: ¦[]}\napi_key: keep",
        "match: {path: ¦{}}\napi_key: keep",
        "match: {header: {x: ¦[]}}\napi_key: keep",
        "match: {header: {x: ¦{}}}\napi_key: keep",
        "match: {query: {x: ¦[]}}\napi_key: keep",
        "match: {not: ¦{}}\napi_key: keep",
        "match: {header: ¦{}}\napi_key: keep",
    ] {
        assert_refused(&rule(lines), &[]).await;
    }
}

#[tokio::test]
async fn an_action_that_does_nothing_is_refused() {
    for lines in [
        "headers: ¦{}",
        "headers: {set: ¦{}}",
        "query: ¦{}",
        "body: ¦{}",
        "body: {model: ¦{}}",
        "response_headers: ¦{}",
    ] {
        refusal(&rule(lines), &[]).await;
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_exist_is_refused() {
    let rule = "  rules:\n    - name: r\n      match: {upstream: [other, ¦anyroutr]}\n      api_key: keep\n";
    assert_refused(&format!("{UPSTREAMS}{rule}"), &["did you mean \"anyrouter\"?"]).await;
}

#[tokio::test]
async fn the_names_of_built_in_rules_are_reserved() {
    for name in ["anyrouter.bearer", "system-prompt", "headers-file"] {
        assert_refused(&format!("gateway:\n  rules:\n    - ¦name: {name}\n      api_key: keep\n"), &[name]).await;
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_sent_is_refused() {
    let (yaml, place) = unmarked(&rule("headers: {set: {A: ¦\"${env.BAD}\"}}"));
    let output = gateway().yaml(&yaml).env("BAD", "sk-secret\nb").arg("check").run().await;
    assert!(output.status.code() == Some(1) && output.stderr.contains(&place), "{}", told(&output));
    assert!(!told(&output).contains("sk-secret"), "{}", told(&output));
    assert_refused(&rule("headers: {list_add: {A: ¦\"b\\nc\"}}"), &["control"]).await;
    assert_refused(&rule("headers: {list_add: {A: ¦\"${env.UNSET}\"}}"), &["UNSET"]).await;
}

#[tokio::test]
async fn a_key_in_a_bad_rule_is_not_printed() {
    for lines in ["headers: {set: {x-api-key: ¦\"sk-secret${env.\"}}", "api_key: ¦sk-secret"] {
        let told = refusal(&rule(lines), &[]).await;
        assert!(!told.contains("sk-secret"), "{told}");
    }
}

#[tokio::test]
async fn variables_of_the_env_file_can_be_named() {
    let yaml = "gateway:
  upstreams:
    - name: one
      base_url: https://relay.example
      api_key: ${env.MY_KEY}
  routes:
    - keys: env:MY_KEY
      upstream: one
  rules:
    - name: r
      headers: {set: {X-A: \"${env.MY_KEY}\"}}
";
    let output = gateway().yaml(yaml).file("env/.env", "MY_KEY=sk-1\n").arg("check").run().await;
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}

#[tokio::test]
async fn check_shows_the_rules_by_name() {
    let yaml = "gateway:\n  upstreams:\n    - name: one\n      base_url: https://anyrouter.top\n      \
        profile_rules: {anyrouter.compact: on, anyrouter.beta-1m: off}\n  rules:\n    - name: my-rule\n      \
        api_key: keep\n    - name: my-other\n      enabled: false\n      api_key: keep\n";
    let output = gateway()
        .yaml(yaml)
        .env("SYSTEM_PROMPT_REPLACEMENT", "a")
        .file("env/.env.headers.json", r#"{"X-A": "b"}"#)
        .arg("check")
        .run()
        .await;
    for name in ["anyrouter.bearer", "anyrouter.compact", "my-rule", "system-prompt", "headers-file"] {
        assert!(output.stdout.contains(name), "{name} is not in:\n{}", output.stdout);
    }
}

#[tokio::test]
async fn with_routes_nothing_is_said_about_the_first_upstream() {
    let yaml = format!("{UPSTREAMS}  routes:\n    - keys: [a]\n      upstream: other\n");
    let output = gateway().yaml(&yaml).arg("check").run().await;
    assert!(!output.stdout.contains("sends everything to the first"), "{}", output.stdout);
}

#[tokio::test]
async fn a_key_in_two_routes_is_refused() {
    let yaml = format!(
        "{UPSTREAMS}  routes:\n    - keys: [a]\n      upstream: other\n    - keys: [b, ¦a]\n      upstream: anyrouter\n"
    );
    refusal(&yaml, &[]).await;
}

#[tokio::test]
async fn a_hash_has_hexadecimal_digits_only() {
    let yaml = format!("{UPSTREAMS}  routes:\n    - keys: ¦sha256:{}\n      upstream: other\n", "+a".repeat(32));
    refusal(&yaml, &["64 hexadecimal digits"]).await;
}
