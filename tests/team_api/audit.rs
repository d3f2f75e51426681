//! The audit of changes that are none of the team: of the configuration, upstreams, keys, and by signals and commands.

use super::{ask, builder, fine, issue, text};
use harness::{Gateway, Request, Upstream, anthropic, within};
use serde_json::{Value, json};
use std::time::Duration;

async fn changes(gateway: &Gateway) -> Vec<Value> {
    let audit = fine(ask(gateway, "GET", "audit", Value::Null).await);
    audit["changes"].as_array().cloned().expect("changes")
}

/// The newest change, once it is this one.
async fn newest(gateway: &Gateway, action: &str) -> Value {
    within(action, async {
        loop {
            match changes(gateway).await.into_iter().next() {
                Some(change) if change["action"] == action => return change,
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    })
    .await
}

#[tokio::test]
async fn every_change_is_in_the_audit_whoever_makes_it() {
    const SECRET: &str = "sk-another-key-of-the-relay";
    let upstream = Upstream::start(anthropic::handler()).await;
    let gateway = builder(&upstream).start().await;
    // Changes of nothing, and what is refused, leave no row.
    assert_eq!(ask(&gateway, "POST", "upstreams/none/drain", json!({})).await.0, 404);
    fine(ask(&gateway, "POST", "config/check", json!({"overlay": ""})).await);
    assert_eq!(changes(&gateway).await, [Value::Null; 0]);
    for (path, body, action, target) in [
        ("upstreams/relay/drain", json!({}), "upstream.drain", "relay"),
        ("upstreams/relay/enable", json!({}), "upstream.enable", "relay"),
        ("upstreams/relay/test", json!({}), "upstream.test", "relay"),
    ] {
        fine(ask(&gateway, "POST", path, body).await);
        let change = newest(&gateway, action).await;
        assert_eq!((text(&change, "target"), text(&change, "actor")), (target.into(), "the panel's key".into()));
        assert_eq!(change["address"], "127.0.0.1");
    }
    let shown = fine(ask(&gateway, "GET", "upstreams", Value::Null).await).to_string();
    let fingerprint = shown.split("\"fingerprint\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a key");
    let key = format!("upstreams/relay/keys/{fingerprint}");
    fine(ask(&gateway, "POST", &format!("{key}/rest"), json!({"for": "10m"})).await);
    let rest = newest(&gateway, "key.rest").await;
    assert_eq!((text(&rest, "target"), &rest["after"]), (format!("relay/{fingerprint}"), &json!({"for": "10m"})));
    fine(ask(&gateway, "POST", &format!("{key}/wake"), json!({})).await);
    newest(&gateway, "key.wake").await;
    fine(ask(&gateway, "POST", &format!("{key}/wake"), json!({})).await);
    assert_eq!(changes(&gateway).await.len(), 5, "it was awake");
    // By an admin's token the name is the user's.
    let (id, token) = issue(&gateway, "root", "admin").await;
    let version = text(&fine(ask(&gateway, "GET", "config", Value::Null).await), "version");
    let overlay = format!(
        "gateway:\n  upstreams: [{{name: relay, base_url: \"{}\", api_key: {SECRET}}}]\n  log: {{capture: errors}}\n",
        upstream.url()
    );
    let edit =
        Request::new("PUT", "/api/admin/config").body(json!({"base_version": version, "overlay": overlay}).to_string());
    let edit = edit.header("content-type", "application/json").header("authorization", format!("Bearer {token}"));
    let answer = gateway.request(&edit).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let change = newest(&gateway, "config.change").await;
    assert_eq!((text(&change, "actor"), text(&change["before"], "version")), (format!("root ({id})"), version));
    assert_eq!(change["after"]["version"], answer.json()["version"]);
    let changed = change["after"]["changed"].to_string();
    assert!(
        changed.contains("gateway.upstreams: changed relay") && changed.contains("gateway.log.capture"),
        "{changed}"
    );
    // What is as it is to be already is no change, and there is no name of any length.
    let before = changes(&gateway).await;
    let long = format!("sessions/{}/capture", "x".repeat(4_000));
    for (method, path) in [("POST", "upstreams/relay/enable"), ("DELETE", long.as_str()), ("POST", "reload")] {
        fine(ask(&gateway, method, path, json!({})).await);
        assert_eq!(changes(&gateway).await, before, "{method} {path}");
    }
    let path = gateway.dir().join("gateway.yaml");
    let whole = std::fs::read_to_string(&path).expect("a text");
    std::fs::write(&path, format!("{whole}\n# Another text.\n")).expect("written");
    fine(ask(&gateway, "POST", "reload", json!({})).await);
    assert_eq!(text(&newest(&gateway, "config.reload").await, "actor"), "the panel's key");
    // Commands and signals.
    for (line, action, actor) in [
        (&["panel", "--new-key"][..], "panel.key", "command line, user "),
        (&["reload"], "config.reload", "command line, user "),
    ] {
        let before = changes(&gateway).await.len();
        let output = gateway.command(line).await;
        assert!(output.status.success(), "{output:?}");
        let change = newest(&gateway, action).await;
        assert!(text(&change, "actor").starts_with(actor), "{change}");
        assert_eq!(changes(&gateway).await.len(), before + 1);
    }
    gateway.signal(gateway.pid(), "HUP");
    within("the signal's row", async {
        while changes(&gateway).await[0]["actor"] != "SIGHUP" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let all = json!(changes(&gateway).await).to_string();
    assert!(![SECRET, "sk-relay-0123456789", &token].iter().any(|secret| all.contains(*secret)), "{all}");
}
