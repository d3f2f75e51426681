//! Secrets of requests and of the configuration stay out of everything that the gateway writes and tells, whatever an upstream
//! makes of them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use harness::{Client, Gateway, Received, Reply, Request, Upstream, within};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const DASHBOARD_KEY: &str = "dash-Board+key/0123456789";
/// Each stands at one place of the requests, or of the configuration.
const SECRETS: [&str; 15] = [
    DASHBOARD_KEY,
    "relay?Key&in+config/111",
    "header\"file<value>222",
    "query value%2F=333 end",
    "plain-client-key-444",
    "goog~key\\555-abcdef",
    "azure/key+666==ghijk",
    "cookie-one-777-lmnop",
    "cookie-two-888-qrstu",
    "basic:pass word 999",
    "token_000_vwxyz_zzz",
    "sk-ant-in-the-path-1234",
    "env-value-of-a-rule-1212",
    "url-of-a-bot-1313-abcdef",
    "secret/of+a=bot 1414",
];

fn percent(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A text in all forms in which a side may repeat it.
fn forms(text: &str) -> Vec<String> {
    let json = |text: &str| Value::from(text).to_string().trim_matches('"').to_owned();
    let unicode: String = text.chars().map(|c| format!("\\u{:04X}", u32::from(c))).collect();
    let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let numbers: String = text.chars().map(|c| format!("&#{};", u32::from(c))).collect();
    let mut forms = vec![text.to_owned(), json(text), json(&json(text)), unicode, html, numbers];
    forms.extend([percent(text), percent(text).to_lowercase(), percent(&percent(text)), text.replace(' ', "+")]);
    for before in ["", "a", "ab"] {
        forms.push(STANDARD.encode(format!("{before}{text}")));
        forms.push(URL_SAFE_NO_PAD.encode(format!("{before}{text}")));
    }
    forms.extend(rare_forms(text));
    forms
}

/// Forms that nobody comes upon by chance.
fn rare_forms(text: &str) -> Vec<String> {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let lines = |text: &str| text.as_bytes().chunks(12).map(|line| String::from_utf8_lossy(line) + "\r\n").collect();
    let each = |form: &dyn Fn(u32) -> String| text.chars().map(|c| form(u32::from(c))).collect::<String>();
    let sign = |c: char| match c {
        '-' => "&hyphen;".to_owned(),
        '_' => "&lowbar;".to_owned(),
        '/' => "&sol;".to_owned(),
        '+' => "&plus;".to_owned(),
        '=' => "&equals;".to_owned(),
        c => c.to_string(),
    };
    vec![
        hex.to_uppercase(),
        hex,
        lines(&STANDARD.encode(text)),
        STANDARD.encode(STANDARD.encode(text)),
        STANDARD.encode(percent(text)),
        each(&|code| format!("&#{code}")),
        each(&|code| format!("%u{code:04X}")),
        each(&|code| format!("\\u{{{code:x}}}")),
        text.chars().map(sign).collect(),
    ]
}

/// Parts of a text, each of which says enough of it.
fn parts(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let part = |from: usize, to: usize| characters[from..to].iter().collect::<String>();
    let length = characters.len();
    vec![part(3, length), part(length - 13, length), part(2, 2 + 12), part(0, 12)]
}

/// What must be nowhere: of each form the middle, which says as much as all of it. (The beginning and the end of a coded text
/// depend on what is around it.)
fn traces() -> Vec<String> {
    let middle = |form: &String| {
        let characters: Vec<char> = form.chars().collect();
        let quarter = characters.len() / 4;
        characters[quarter..characters.len() - quarter].iter().collect::<String>()
    };
    let mut traces: Vec<String> = SECRETS.iter().flat_map(|secret| forms(secret)).map(|form| middle(&form)).collect();
    traces.extend(SECRETS.iter().flat_map(|secret| parts(secret)));
    // As texts in JSON show them.
    let escaped: Vec<String> = traces.iter().map(|trace| Value::from(trace.as_str()).to_string()).collect();
    traces.extend(escaped.iter().map(|trace| trace.trim_matches('"').to_owned()));
    traces
}

/// All secrets in all forms, and everything that came in. Of a long body only the beginning is kept: it begins with another
/// secret for each number.
fn echo(request: &Received, number: usize) -> String {
    let secrets = SECRETS.iter().cycle().skip(number % SECRETS.len()).take(SECRETS.len());
    let told: Vec<String> = secrets.flat_map(|secret| [parts(secret), forms(secret)].concat()).collect();
    told.join(" ") + &String::from_utf8_lossy(&request.raw_head)
}

/// Answers with an error, of the kind that the path asks for.
fn answer(request: &Received) -> Reply {
    let wanted = request.target.split(['?', '/']).find(|part| part.starts_with("kind-")).unwrap_or_default();
    let number: usize = wanted.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default();
    let (secret, echo) = (SECRETS[number % SECRETS.len()], echo(request, number));
    match wanted.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-') {
        "kind-json" => Reply::status(400)
            .header("Content-Type", "application/json")
            .body(json!({"error": {"type": secret, "message": format!("{secret} {echo}")}}).to_string()),
        "kind-text" => Reply::status(401).body(echo),
        // What is kept ends within a secret.
        "kind-cut" => Reply::status(403).body("x".repeat(8192 - 6 * secret.len() / 2 - number) + &forms(secret)[3]),
        "kind-html" => Reply::status(502)
            .header("Content-Type", "text/html")
            .body(format!("<html><title>{}</title>{echo}", forms(secret)[5])),
        "kind-model" => Reply::json(
            json!({"type": "message", "model": forms(secret)[number / SECRETS.len() % forms(secret).len()],
                "stop_reason": secret, "content": []})
            .to_string(),
        ),
        "kind-first" => Reply::sse().bytes(format!(
            "event: error\ndata: {}\n\n",
            json!({"type": "error", "error": {"type": secret, "message": echo}})
        )),
        "kind-reply" => Reply::json(json!({"error": {"type": forms(secret)[2], "message": echo}}).to_string()),
        "kind-stream" => Reply::sse()
            .bytes(format!(
                "event: message_start\ndata: {}\n\n",
                json!({"type": "message_start", "message": {"model": secret}})
            ))
            .bytes(format!(
                "event: error\ndata: {}\n\n",
                json!({"type": "error", "error": {"type": forms(secret)[1], "message": echo}})
            )),
        _ => Reply::status(500).body(echo),
    }
}

fn request(kind: &str, number: usize) -> Request {
    let [_, _, _, query, client, goog, azure, one, two, basic, token, path, ..] = SECRETS;
    let target = format!("/{path}/kind-{kind}-{number}/v1/messages?{}={}&beta=true", "access_token", percent(query));
    // But for the panel's key: a request that holds it goes nowhere.
    let note: Vec<_> = SECRETS[1..].iter().flat_map(|secret| forms(secret)).collect();
    let body = json!({"model": client, "note": note});
    Request::post(&target, body.to_string())
        .header("Content-Type", "application/json")
        .header("x-api-key", client)
        .header("x-goog-api-key", goog)
        .header("api-key", azure)
        .header("Cookie", format!("theme=dark; a={one}; b=\"{two}\""))
        .header("Authorization", format!("Basic {}", STANDARD.encode(basic)))
        .header("x-my-token", token)
        .header("X-Claude-Code-Session-Id", format!("session {client}"))
}

fn look(target: &str) -> Request {
    let request = Request::get(&format!("/api/admin/{target}")).header("Host", "127.0.0.1");
    request.header("Authorization", format!("Bearer {DASHBOARD_KEY}"))
}

async fn tell(gateway: &Gateway, target: &str) -> String {
    let answer = gateway.request(&look(target)).await;
    assert_eq!(answer.status(), 200, "{target}: {}", answer.text());
    answer.text()
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).expect("a folder").filter_map(Result::ok);
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.path()) {
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.extend(std::fs::read(&path).ok().map(|bytes| (path.display().to_string(), bytes))),
        }
    }
    found
}

fn assert_clean(place: &str, bytes: &[u8], traces: &[String]) {
    let text = String::from_utf8_lossy(bytes);
    for trace in traces {
        let at = text.find(trace.as_str());
        let around =
            at.map(|at| text[..at].chars().rev().take(60).collect::<String>().chars().rev().collect::<String>());
        assert!(at.is_none(), "{place}: {trace} after {around:?}");
    }
}

/// 15 secrets, each of which an upstream repeats in 25 forms and in part at every place that it can write to.
/// A gateway that is configured with secrets, and writes to this folder.
async fn with_secrets(upstream: &Upstream, written: &Path) -> Gateway {
    let [_, relay, file, .., rule, hook, sign] = SECRETS;
    let yaml = format!(
        "gateway:\n  log: {{ capture: all }}\n  upstreams:\n    - {{ name: one, base_url: '{url}', proxy: off, \
         api_keys: [{{ key: '{relay}', name: first }}, {{ key: 'sk-of-nobody', enabled: false }}] }}\n    - {{ name: two, base_url: '{url}/two' }}\n  routes:\n    - {{ keys: ['{key}'], upstreams: [one, two] \
         }}\n  rules:\n    - {{ name: set, headers: {{ set: {{ x-extra: '${{env.EXTRA}}' }} }} }}\n  \
         notify:\n    targets: [{{ kind: feishu, url: 'http://127.0.0.1:9/hook/{hook}', secret: '{sign}', events: \
         certificate_ending }}]\n",
        url = upstream.url(),
        key = SECRETS[4],
    );
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
        .env("GATEWAY_DB", &written.join("log.db").display().to_string())
        .env("GATEWAY_STATE_DIR", &written.display().to_string())
        .env("DASHBOARD_API_KEY", DASHBOARD_KEY)
        .env("DEBUG_MODE", "true")
        .env("EXTRA", rule)
        .file("env/.env.headers.json", &json!({ "X-File-Secret": file, "X-App": "cli" }).to_string())
        .yaml(&yaml)
        .start()
        .await
}

#[tokio::test]
async fn what_an_upstream_repeats_of_secrets_is_nowhere() {
    let upstream = Upstream::start(answer).await;
    let written = tempfile::tempdir().expect("a folder");
    let gateway = with_secrets(&upstream, written.path()).await;
    let mut feed: Client = gateway.connect().await;
    feed.send(look("live").bytes()).await;
    feed.head("GET").await;

    let kinds = ["json", "text", "html", "cut", "model", "stream", "first", "reply", "retry"];
    let mut sent = 0;
    for number in 0..SECRETS.len() {
        for kind in kinds {
            // Some clients go away, and some of the answers are never read.
            let _ = gateway.connect().await.try_request(&request(kind, number + SECRETS.len() * number)).await;
            sent += 1;
        }
    }
    let last = format!("kind-retry-{}", (SECRETS.len() - 1) * (SECRETS.len() + 1));
    let heard = feed.piece_until(&last).await;
    let rows: Value = within("the rows", async {
        loop {
            let page: Value = serde_json::from_str(&tell(&gateway, "requests?limit=500").await).expect("JSON");
            if page["requests"].as_array().is_some_and(|rows| rows.len() >= sent) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;

    let traces = traces();
    assert_clean("the feed", heard.as_bytes(), &traces);
    for target in [
        "config/schema",
        "requests?limit=500",
        "errors",
        "running",
        "upstreams",
        "rules",
        "stats",
        "stats/groups?by=model",
        "stats/groups?by=path",
        "export?format=csv",
        "export?format=json",
        "config",
        "config/history",
        "health",
    ] {
        assert_clean(target, tell(&gateway, target).await.as_bytes(), &traces);
    }
    for row in rows["requests"].as_array().expect("rows") {
        let detail = tell(&gateway, &format!("requests/{}", row["id"].as_str().expect("an id"))).await;
        assert!(detail.contains("********"), "{detail}");
        assert_clean("a request's details", detail.as_bytes(), &traces);
    }
    let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    assert!(metrics.contains("gateway_requests_total"), "{metrics}");
    assert_clean("metrics", metrics.as_bytes(), &traces);
    assert_clean("the log", gateway.stderr().as_bytes(), &traces);
    let mut checked = 0;
    for (path, bytes) in files(written.path()) {
        assert_clean(&path, &bytes, &traces);
        checked += 1;
    }
    assert!(checked >= 2, "the database and its log ahead");
    // It is secrets that are gone, and nothing else.
    let message = rows["requests"].as_array().expect("rows").iter().any(|row| row["outcome"] == "upstream_error");
    assert!(message && gateway.stderr().contains("/kind-json-0/v1/messages"), "{}", gateway.stderr());
}
