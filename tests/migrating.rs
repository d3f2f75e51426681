//! What comes along from anyrouter-transparent-proxy: its files work as they are, and what has no effect here is told.
//! docs/migrating.md says what became of everything.

use std::collections::BTreeSet;

use harness::fixtures::{self, Fixture};
use harness::{Gateway, GatewayBuilder, Output, Received, Reply, Request, Upstream, through};
use serde_json::{Value, json};

const DOTENV: &str = include_str!("fixtures/original/dotenv");
const HEADERS: &str = include_str!("fixtures/original/headers.json");
const MAPPINGS: &str = include_str!("fixtures/original/key-mappings.json");
const REPLACEMENT: &str = "You are Claude Code, Anthropic's official CLI for Claude.";
/// What it says of one connection, and so did not forward.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// Its files where it had them.
fn its_files(builder: GatewayBuilder, dotenv: &str, mappings: &str) -> GatewayBuilder {
    let builder = builder.file("env/.env", dotenv).file("env/.env.headers.json", HEADERS);
    builder.file("env/.env.key-mappings.json", mappings)
}

fn told(output: &Output) -> String {
    format!("{}{}", output.stdout, output.stderr)
}

#[tokio::test]
async fn its_files_are_valid_and_what_has_no_effect_is_named() {
    let output = its_files(gateway(), DOTENV, MAPPINGS).arg("check").run().await;
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    for (name, at, instead) in [
        ("LOG_PERSISTENCE_ENABLED", "env/.env:20:", "GATEWAY_DB"),
        ("LOG_STORAGE_PATH", "env/.env:21:", "GATEWAY_DB"),
        ("LOG_RETENTION_DAYS", "env/.env:22:", "gateway.log.keep"),
        ("LOG_DAILY_LIMIT", "env/.env:23:", "gateway.log.keep_size"),
    ] {
        let line = output.stderr.lines().find(|line| line.contains(&format!("{name} is a setting of")));
        let line = line.unwrap_or_else(|| panic!("{name} is dropped in silence: {}", output.stderr));
        assert!(line.starts_with(&format!("warning: {at}")) && line.contains(instead), "{line}");
    }
    // Each of the others is in force, from where it stands.
    for (key, place) in [
        ("gateway.upstreams[0].base_url", "env/.env:3:14 API_BASE_URL"),
        ("gateway.system_prompt.replacement", "env/.env:6:27 SYSTEM_PROMPT_REPLACEMENT"),
        ("gateway.system_prompt.insert_if_missing", "env/.env:7:41 SYSTEM_PROMPT_BLOCK_INSERT_IF_NOT_EXIST"),
        ("gateway.debug", "env/.env:12:12 DEBUG_MODE"),
        ("gateway.dashboard.enabled", "env/.env:16:18 ENABLE_DASHBOARD"),
        ("gateway.dashboard.api_key", "env/.env:17:19 DASHBOARD_API_KEY"),
        ("header User-Agent", "env/.env.headers.json:4:17"),
    ] {
        let line = output.stdout.lines().find(|line| line.starts_with(key) && line.ends_with(place));
        assert!(line.is_some(), "{key} is not from {place}: {}", output.stdout);
    }
    assert!(output.stderr.contains("gateway.dashboard.api_key: this key can be guessed"), "{}", output.stderr);
}

#[tokio::test]
async fn what_compose_sets_in_the_environment_is_named_too() {
    let builder = gateway().upstream("http://127.0.0.1:9").env("LOG_DAILY_LIMIT", "1000").env("FALLBACK_PORT", "8089");
    let output = builder.env("ENABLE_RELOAD", "").arg("check").run().await;
    let former: Vec<&str> = output.stderr.lines().filter(|line| line.contains("anyrouter-transparent-proxy")).collect();
    assert_eq!((output.status.code(), former.len()), (Some(0), 2), "{}", told(&output));
    for name in ["LOG_DAILY_LIMIT", "FALLBACK_PORT"] {
        assert!(former.iter().any(|line| line.contains(&format!("environment {name}: "))), "{former:?}");
    }
}

#[tokio::test]
async fn its_file_in_the_folder_itself_is_missed_aloud() {
    let warned = async |builder: GatewayBuilder| {
        let output = builder.arg("check").run().await;
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        output.stderr.lines().find(|line| line.contains("which is not read")).map(str::to_owned)
    };
    let line = warned(gateway().file(".env", "# 中文\nexport  PORT=8088\n")).await;
    assert_eq!(
        line.as_deref(),
        Some(
            "warning: .env:2:9: there are settings of the gateway in this file, which is not read: move it to env/.env"
        )
    );
    assert_eq!(warned(gateway().file(".env", "OTHER_PROGRAM=1\n")).await, None);
    assert_eq!(warned(gateway().file(".env", "PORT=8088\n").file("env/.env", "PORT=8088\n")).await, None);
}

/// What it documents, and what its releases and forks read besides.
#[test]
fn the_page_says_what_became_of_each_of_its_variables() {
    let documented = DOTENV.lines().filter_map(|line| line.trim_start_matches("# ").split_once('='));
    let names: Vec<&str> =
        documented.map(|(name, _)| name).chain(["PRESERVE_HOST", "ENABLE_RELOAD", "FALLBACK_PORT"]).collect();
    assert!(names.len() > 14, "{names:?}");
    for page in [include_str!("../docs/migrating.md"), include_str!("../docs/migrating.zh-CN.md")] {
        for name in &names {
            let row = page.lines().find(|line| line.starts_with("| `") && line.contains(&format!("`{name}`")));
            assert!(row.is_some(), "{name} has no row");
        }
    }
}

/// The body that the original sent on.
fn body_of_the_original(body: &[u8], insert: bool) -> Value {
    let mut body: Value = serde_json::from_slice(body).expect("JSON");
    let Some(Value::Array(blocks)) = body.get_mut("system") else { return body };
    let Some(text) = blocks.first().and_then(|block| block["text"].as_str()) else { return body };
    match insert && !text.to_lowercase().contains("claude code") {
        true => blocks.insert(0, json!({"type": "text", "text": REPLACEMENT, "cache_control": {"type": "ephemeral"}})),
        false => blocks[0]["text"] = REPLACEMENT.into(),
    }
    body
}

/// The fields that the original sent on: those of the request but for its connection's, with the upstream's `Host`, its own
/// headers over those of the same name, and the client's address.
fn fields_of_the_original(fields: &[(String, String)], upstream: &Upstream) -> BTreeSet<(String, String)> {
    let own: Value = serde_json::from_str(HEADERS).expect("JSON");
    let own = own.as_object().expect("an object").iter().filter(|(name, _)| !name.starts_with("__"));
    let own: Vec<(String, String)> =
        own.map(|(name, value)| (name.to_lowercase(), value.as_str().expect("a text").to_owned())).collect();
    let lower = fields.iter().map(|(name, value)| (name.to_lowercase(), value.clone()));
    let kept = lower.filter(|(name, _)| {
        !HOP_BY_HOP.contains(&&**name)
            && !["host", "content-length"].contains(&&**name)
            && !own.iter().any(|(own, _)| own == name)
    });
    let host = ("host".to_owned(), upstream.addr().to_string());
    kept.chain(own.clone()).chain([host, ("x-forwarded-for".to_owned(), "127.0.0.1".to_owned())]).collect()
}

fn fields(received: &Received) -> BTreeSet<(String, String)> {
    let length = ("content-length".to_owned(), received.body.len().to_string());
    let mut fields: BTreeSet<(String, String)> = received
        .headers
        .names()
        .iter()
        .map(|name| name.to_lowercase())
        .flat_map(|name| {
            let values = received.headers.all(&name);
            values.into_iter().map(|value| (name.clone(), value)).collect::<Vec<_>>()
        })
        .collect();
    assert!(fields.remove(&length), "{fields:?}");
    fields
}

fn request(fixture: &Fixture) -> Request {
    let request = Request::post(&fixture.target(), fixture.body.clone());
    let sent =
        fixture.fields().into_iter().filter(|(name, _)| !["host", "content-length"].contains(&&*name.to_lowercase()));
    sent.fold(request, |request, (name, value)| request.header(&name, value))
}

#[tokio::test]
async fn what_arrives_upstream_is_what_the_original_sent() {
    for insert in [false, true] {
        let upstream = Upstream::start(|_| Reply::ok("{}")).await;
        let dotenv = DOTENV.replace("https://anyrouter.top", &upstream.url());
        let dotenv = dotenv.replace("NOT_EXIST=false", if insert { "NOT_EXIST=yes" } else { "NOT_EXIST=false" });
        let gateway = its_files(gateway(), &dotenv, MAPPINGS).start().await;
        let mut replaced = 0;
        for fixture in fixtures::all() {
            // Behind an attribution, and not in front of it: the one difference, which docs/migrating.md tells.
            let has_attribution = String::from_utf8_lossy(&fixture.body).contains("x-anthropic-billing-header");
            if insert && has_attribution {
                continue;
            }
            let got = through(&upstream, &gateway, &request(&fixture)).await;
            let is_messages = fixture.target().split('?').next() == Some("/v1/messages");
            let want = match is_messages {
                true => body_of_the_original(&fixture.body, insert),
                false => serde_json::from_slice(&fixture.body).expect("JSON"),
            };
            let body: Value = serde_json::from_slice(&got.body).expect("JSON");
            assert!(body == want, "{}: {}", fixture.name, String::from_utf8_lossy(&got.body));
            assert_eq!(got.body.len(), want.to_string().len(), "{}: as compact as its own", fixture.name);
            assert_eq!(got.target, fixture.target(), "{}", fixture.name);
            assert_eq!(fields(&got), fields_of_the_original(&fixture.fields(), &upstream), "{}", fixture.name);
            replaced += usize::from(String::from_utf8_lossy(&got.body).contains(REPLACEMENT));
        }
        assert!(replaced > 2, "{replaced}");
    }
}

#[tokio::test]
async fn keys_of_its_mappings_go_where_it_sent_them() {
    let [default, mapped] = [Upstream::start(|_| Reply::ok("{}")).await, Upstream::start(|_| Reply::ok("{}")).await];
    let dotenv = DOTENV.replace("https://anyrouter.top", &default.url());
    let mappings = MAPPINGS.replace("https://q.quuvv.cn", &mapped.url());
    let gateway = its_files(gateway(), &dotenv, &mappings).start().await;
    let messages = || Request::post("/v1/messages", r#"{"system":[{"type":"text","text":"x"}]}"#);
    for (request, upstream) in [
        (messages().header("x-api-key", "sk-of-the-mapping-1"), &mapped),
        (messages().header("Authorization", "Bearer sk-of-the-mapping-2"), &mapped),
        (messages().header("x-api-key", "sk-of-nobody"), &default),
        (messages(), &default),
    ] {
        let before = upstream.received().len();
        assert_eq!(gateway.request(&request).await.status(), 200);
        assert_eq!(upstream.received().len(), before + 1, "{}", String::from_utf8_lossy(&request.bytes()));
        let body: Value = serde_json::from_slice(&upstream.last().body).expect("JSON");
        assert_eq!(body["system"][0]["text"], REPLACEMENT);
    }
}

#[tokio::test]
async fn its_paths_answer() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let dotenv = DOTENV.replace("https://anyrouter.top", &upstream.url());
    let gateway = its_files(gateway(), &dotenv, MAPPINGS).start().await;
    assert_eq!(gateway.request(&Request::get("/health")).await.status(), 200);
    let page = gateway.request(&Request::get("/").header("Accept", "text/html")).await;
    assert_eq!((page.status(), page.header("location").as_deref()), (307, Some("/admin")));
    // It asked for no key there, whatever DASHBOARD_API_KEY said.
    assert_eq!(gateway.request(&Request::get("/api/admin/config")).await.status(), 401);
    let key = Request::get("/api/admin/config").header("Authorization", "Bearer your-secret-api-key-change-me-please");
    assert_eq!(gateway.request(&key).await.status(), 200);
}

/// Each file's mistakes, with Chinese before them, and where they are: columns count characters.
#[tokio::test]
async fn every_refusal_of_its_files_names_line_and_column() {
    let mut others = Vec::new();
    for (file, text, place) in [
        ("env/.env", "# 网\nA=b c\n坏 x", "3:3"),
        ("env/.env", "PORT=网", "1:6"),
        ("env/.env", "A='网\n'\n  DEBUG_MODE = 也许 # 网", "3:16"),
        ("env/.env", "DASHBOARD_API_KEY=\"网\n", "1:19"),
        ("env/.env", "API_BASE_URL=网", "1:14"),
        ("env/.env", "API_BASE_URL=https://a\nHTTPS_PROXY=\"http://[网\"", "2:13"),
        ("env/.env.headers.json", "{\"__网\": 1,\n \"a 网\": \"x\"}", "2:2"),
        ("env/.env.headers.json", "{\"__网\": \"A\", \"A\": 5}", "1:19"),
        ("env/.env.headers.json", "{\"__网\": \"A\",\n\"网\": \"x\"", "2:9"),
        ("env/.env.headers.json", "{\"网\" 1}", "1:6"),
        ("env/.env.headers.json", "[\"网\"]", "1:1"),
        ("env/.env.headers.json", "{\"__网\": \"TE\", \"TE\": \"x\"}", "1:15"),
        ("env/.env.headers.json", "{\"A\": \"网\", \"a\": \"网\"}", "1:12"),
        ("env/.env.headers.json", "{\"__网\": 1, \"Host\": \"网 a\"}", "1:20"),
        ("env/.env.key-mappings.json", "{\"mappings\": [\"网\"]}", "1:15"),
        ("env/.env.key-mappings.json", "{\"mappings\": [{\"target_url\": \"网\", \"keys\": []}]}", "1:30"),
        ("env/.env.key-mappings.json", "{\"mappings\": [{\"__网\": 1, \"kyes\": []}]}", "1:26"),
        (
            "env/.env.key-mappings.json",
            "{\"__网\": 1,\n \"mappings\": [{\"target_url\": \"http://a\", \"keys\": [\"网\", 5]}]}",
            "2:56",
        ),
        ("env/.env.key-mappings.json", "{\"网\": ]", "1:7"),
        ("data/overlay.yaml", "gateway: {网: 1}", "1:11"),
        ("data/overlay.yaml", "gateway: {via: 网}", "1:16"),
        ("data/overlay.yaml", "# 网\ngateway: {watch: {", "2:19"),
    ] {
        let output = gateway().file(file, text).arg("check").run().await;
        assert_eq!(output.status.code(), Some(1), "{file} {text}: {}", told(&output));
        if !output.stderr.contains(&format!("error: {file}:{place}")) {
            others.push(format!("{file} {text:?} is not refused at {place}: {}", output.stderr));
        }
        for line in output.stderr.lines().filter(|line| line.starts_with("error: ")) {
            let rest = line.split_once(file).map_or("", |(_, rest)| rest);
            let numbers = rest.split(':').skip(1).take(2).filter(|part| {
                part.split(' ').next().is_some_and(|number| number.parse::<usize>().is_ok_and(|number| number > 0))
            });
            assert_eq!(numbers.count(), 2, "{line}");
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}
