//! `doctor --model`: a message to each upstream, with each of its keys.

use super::{doctor, examined, findings, told};
use harness::{Upstream, anthropic};
use serde_json::Value;

const MODEL: &str = "claude-sonnet-5-5";

fn posts(upstream: &Upstream) -> Vec<String> {
    let received = upstream.received();
    let posts = received.iter().filter(|request| request.method == "POST");
    posts.map(|request| request.headers.get("authorization").unwrap_or_default()).collect()
}

fn yaml(upstream: &Upstream, settings: &str) -> String {
    format!("gateway:\n  upstreams:\n    - {{name: relay, base_url: \"{}\"{settings}}}\n", upstream.url())
}

#[tokio::test]
async fn without_a_terminal_nothing_is_sent_unless_somebody_said_yes() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let builder = || doctor().upstream(upstream.url()).env("MY_KEY", "sk-secret-1").arg("--key-env=MY_KEY");
    let output = builder().arg("--model").arg(MODEL).run().await;
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(output.stderr.contains("nothing was sent: there is no terminal") && output.stderr.contains("--yes"));
    assert!(output.stderr.contains("this sends a message to claude-sonnet-5-5") && !told(&output).contains("secret"));
    assert!(upstream.received().is_empty(), "not even the request that costs nothing");

    let output = doctor().upstream(upstream.url()).arg("--model").arg(MODEL).arg("--yes").run().await;
    assert!(output.status.code() == Some(1) && output.stderr.contains("--model needs a key"), "{}", told(&output));
    let output = doctor().upstream(upstream.url()).arg("--yes").run().await;
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));

    let (report, ok) = examined(builder().arg("--model").arg(MODEL).arg("--yes")).await;
    assert_eq!((findings(&report, 0), ok), (vec!["reachable", "answered"], true), "{report:#}");
    assert_eq!(posts(&upstream), ["Bearer sk-secret-1"]);
}

#[tokio::test]
async fn each_key_of_a_pool_is_tried_and_the_worst_one_counts() {
    let answer = anthropic::handler();
    let upstream = Upstream::start(move |request| match request.headers.get("authorization").as_deref() {
        Some("Bearer sk-secret-bad") if request.method == "POST" => {
            anthropic::error(401, "new_api_error", "Invalid token sk-secret-bad")
        }
        _ => answer(request),
    })
    .await;
    let keys = ", api_keys: [{key: sk-secret-good, name: good}, {key: sk-secret-bad, name: bad}, \
                {key: sk-secret-off, enabled: false}]";
    let builder = || doctor().yaml(&yaml(&upstream, keys)).arg("--model=sonnet").arg("--yes");
    let (report, ok) = examined(builder()).await;
    assert_eq!((findings(&report, 0), ok), (vec!["reachable", "answered", "bad_key"], false), "{report:#}");
    assert_eq!(report["upstreams"][0]["verdict"], "problem");
    let steps = report["upstreams"][0]["ways"][0]["steps"].as_array().expect("steps").clone();
    let messages = steps.iter().filter(|step| step["step"] == "message");
    let messages: Vec<(&Value, &Value)> = messages.map(|step| (&step["message"]["key"], &step["ok"])).collect();
    assert_eq!(messages, [(&"good".into(), &true.into()), (&"bad".into(), &false.into())]);
    assert_eq!(posts(&upstream), ["Bearer sk-secret-good", "Bearer sk-secret-bad"]);

    let output = builder().run().await;
    let text = told(&output);
    for wanted in [
        "this sends 2 messages to claude-sonnet-5-5",
        "relay (good), relay (bad)",
        "claude-sonnet-5-5 answered a message with the key good: 200",
        "a message to claude-sonnet-5-5 with the key bad: 401",
        "sent: POST /v1/messages?beta=true",
        "times: dns ",
        "tokens in, 9 out; cost: $0.",
        "PROBLEM: bad_key",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
    }
    assert!(!text.contains("secret"), "{text}");
}
