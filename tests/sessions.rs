//! What requests cost by whom and what for, sessions, names of keys, and their downloads: every number as SQL has it.

use harness::{Client, Gateway, Reply, Request, Upstream, within};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// A request of the traffic: session, agent with its kind, class, model, key, client, size.
type Sent =
    (Option<&'static str>, Option<(&'static str, &'static str)>, &'static str, &'static str, &'static str, u8, u64);

/// With this size the upstream fails.
const FAILS: u64 = 13;
const TRAFFIC: [Sent; 12] = [
    (Some("s-1"), None, "main", "opus-x", "sk-a", 1, 101),
    (Some("s-1"), None, "main", "opus-x", "sk-a", 1, 7),
    (Some("s-1"), Some(("agent-1", "Explore")), "subagent", "haiku-x", "sk-a", 1, 53),
    (Some("s-1"), Some(("agent-1", "Explore")), "subagent", "haiku-x", "sk-a", 1, FAILS),
    (Some("s-1"), Some(("agent-2", "Plan")), "subagent", "opus-x", "sk-a", 1, 11),
    (Some("s-2"), None, "main", "haiku-x", "sk-b", 2, 9_001),
    (Some("s-2"), None, "auxiliary", "haiku-x", "sk-b", 2, 3),
    (Some("s-3"), None, "main", "nobody-sells-it", "sk-a", 3, 20),
    (Some("s-3"), None, "main", "nobody-sells-it", "sk-a", 3, 21),
    (Some("s_4"), None, "something-new", "opus-x", "sk-b", 1, 1),
    (None, None, "main", "opus-x", "sk-b", 2, 2),
    (None, None, "main", "haiku-x", "sk-a", 3, FAILS),
];

/// So many tokens of each kind as the request says.
fn answer(request: &harness::Received) -> Reply {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let size = body["max_tokens"].as_u64().expect("a size");
    if size == FAILS {
        let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "too much"}});
        return Reply::status(529).header("Content-Type", "application/json").body(error.to_string());
    }
    if body["messages"][0]["content"] == "wait" {
        return Reply::stall();
    }
    let usage = json!({"input_tokens": size, "output_tokens": 2 * size, "cache_creation_input_tokens": 3 * size,
        "cache_read_input_tokens": 4 * size});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "usage": usage,
        "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn", "stop_sequence": null});
    Reply::json(message.to_string())
}

struct Place {
    folder: tempfile::TempDir,
    gateway: Gateway,
    _upstreams: [Upstream; 2],
}

impl Place {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let upstreams = [Upstream::start(answer).await, Upstream::start(answer).await];
        let yaml = format!(
            "grace_period_seconds: 1
gateway:
  upstreams:
    - {{name: left, base_url: \"{}\"}}
    - {{name: right, base_url: \"{}\"}}
  routes:
    - {{keys: sk-a, upstream: left}}
    - {{keys: sk-b, upstream: right}}
  prices:
    - {{models: opus-x, input: 5.001, output: 25.003, cache_write: 6.25, cache_read: 0.5}}
    - {{models: haiku-x, input: 0.1, output: 0.507, cache_write: 0.125, cache_read: 0.013}}
",
            upstreams[0].url(),
            upstreams[1].url()
        );
        let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).yaml(&yaml);
        let file = folder.path().join("log.db").display().to_string();
        let gateway = gateway.env("DASHBOARD_API_KEY", "the-key").env("GATEWAY_DB", &file).start().await;
        Self { folder, gateway, _upstreams: upstreams }
    }

    /// With all of the traffic, and what is in the file.
    async fn with_traffic() -> (Self, SqliteConnection) {
        let place = Self::start().await;
        for sent in TRAFFIC {
            let client = Client::connect_from(sent.5, place.gateway.addr()).await;
            send(client, &request(sent, "hi")).await;
        }
        let log = place.wait_rows(TRAFFIC.len() as i64).await;
        (place, log)
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("log.db")
    }

    async fn wait_rows(&self, count: i64) -> SqliteConnection {
        within("the rows", async {
            loop {
                if let Some(mut log) = open(&self.file()).await
                    && numbers(&mut log, "SELECT COUNT(*) FROM requests").await == [count]
                {
                    return log;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }

    async fn ask(&self, target: &str) -> harness::Response {
        let request = Request::get(&format!("/api/admin/{target}")).header("Host", "127.0.0.1");
        self.gateway.request(&request.header("Authorization", "Bearer the-key")).await
    }

    async fn get(&self, target: &str) -> Value {
        let answer = self.ask(target).await;
        assert_eq!(answer.status(), 200, "{target}: {}", answer.text());
        answer.json()
    }
}

async fn open(file: &Path) -> Option<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(10));
    let mut log = options.connect().await.ok()?;
    sqlx::query("SELECT 1 FROM requests").fetch_optional(&mut log).await.ok()?;
    Some(log)
}

fn request((session, agent, class, model, key, _, size): Sent, text: &str) -> Request {
    let body = json!({"model": model, "max_tokens": size, "messages": [{"role": "user", "content": text}]});
    let mut request = Request::post("/v1/messages", body.to_string()).header("Content-Type", "application/json");
    request = request.header("anthropic-version", "2023-06-01").header("x-api-key", key);
    request = request.header("X-Claude-Code-Request-Class", class);
    if let Some(session) = session {
        request = request.header("X-Claude-Code-Session-Id", session);
    }
    if let Some((agent, kind)) = agent {
        request = request.header("X-Claude-Code-Agent-Id", agent).header("X-Claude-Code-Agent-Type", kind);
    }
    request
}

async fn send(mut client: Client, request: &Request) {
    let status = client.request(request).await.status();
    assert!(matches!(status, 200 | 529), "{status}");
}

/// The numbers of one row; what is null is 0.
async fn numbers(log: &mut SqliteConnection, sql: &str) -> Vec<i64> {
    let row = sqlx::query(sql).fetch_one(log).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    (0..row.len()).map(|at| row.get::<Option<i64>, _>(at).unwrap_or_default()).collect()
}

async fn texts(log: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let rows = sqlx::query(sql).fetch_all(log).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter().map(|row| row.get::<Option<String>, _>(0).unwrap_or_default()).collect()
}

const SUMS: &str = "SELECT COUNT(*), SUM(outcome = 'completed'), SUM(outcome = 'upstream_error'), SUM(input_tokens), \
    SUM(output_tokens), SUM(cache_write_tokens), SUM(cache_read_tokens), SUM(cost_nano), \
    SUM(input_tokens IS NOT NULL AND cost_nano IS NULL) FROM requests";

/// What the API says of these requests, in the order of [`SUMS`].
fn told(of: &Value) -> Vec<i64> {
    let count = |value: &Value| value.as_i64().unwrap_or_else(|| panic!("{of}"));
    let mut told = vec![count(&of["requests"])];
    match of.get("outcomes") {
        Some(outcomes) => told.extend(["completed", "upstream_error"].map(|name| count(&outcomes[name]))),
        None => told.extend(["completed", "failed"].map(|name| count(&of[name]))),
    }
    told.extend(["input", "output", "cache_write", "cache_read"].map(|kind| count(&of["tokens"][kind])));
    told.extend([nano(&of["cost_usd"]), count(&of["unpriced_requests"])]);
    told
}

/// Dollars in billionths.
fn nano(dollars: &Value) -> i64 {
    (dollars.as_f64().unwrap_or_default() * 1e9).round() as i64
}

fn list<'v>(of: &'v Value, name: &str) -> &'v Vec<Value> {
    of[name].as_array().unwrap_or_else(|| panic!("{name}: {of}"))
}

const DIMENSIONS: [(&str, &str); 9] = [
    ("model", "COALESCE(model, model_asked)"),
    ("upstream", "upstream"),
    ("path", "path"),
    ("key", "key_fingerprint"),
    ("request_class", "IIF(request_class = 'something-new', 'other', request_class)"),
    ("upstream_key", "upstream_key"),
    ("session", "session"),
    ("agent_type", "agent_type"),
    ("client", "client"),
];

#[tokio::test]
async fn what_requests_cost_is_what_sql_says_by_whatever_they_are_grouped() {
    let (place, mut log) = Place::with_traffic().await;
    let all = numbers(&mut log, SUMS).await;
    assert_eq!(told(&place.get("stats").await), all);
    // By hand, of prices per million: opus 122 x (5.001 + 50.006 + 18.75 + 2), haiku 9,057 x (0.1 + 1.014 + 0.375 + 0.052).
    assert_eq!((all[7], all[8]), (122 * 75_757 + 9_057 * 1_541, 2));
    for (by, column) in DIMENSIONS {
        for sort in ["requests", "cost"] {
            let found = place.get(&format!("stats/groups?by={by}&sort={sort}")).await;
            let is_of_rows = matches!(by, "session" | "agent_type" | "client");
            assert_eq!((&found["by"], found["rows_from_ms"].is_i64()), (&json!(by), is_of_rows), "{found}");
            let groups = list(&found, "groups");
            let mut sum = vec![0; all.len()];
            for group in groups {
                let sql = match group["name"].as_str() {
                    Some(name) => format!("{SUMS} WHERE {column} = '{name}'"),
                    None => format!("{SUMS} WHERE {column} IS NULL"),
                };
                assert_eq!(told(group), numbers(&mut log, &sql).await, "{by}: {group}");
                sum.iter_mut().zip(told(group)).for_each(|(sum, more)| *sum += more);
            }
            assert_eq!(sum, all, "{by}: each request is in one group");
            let rank = |group: &Value| if sort == "cost" { nano(&group["cost_usd"]) } else { told(group)[0] };
            assert!(groups.is_sorted_by_key(|group| -rank(group)), "{by} by {sort}: {groups:#?}");
            let of_years = place.get(&format!("stats/groups?by={by}&sort={sort}&from=2020-01-01T00:00:00Z")).await;
            assert_eq!(list(&of_years, "groups"), groups, "{by}: however long the time is");
            let first = place.get(&format!("stats/groups?by={by}&sort={sort}&limit=1")).await;
            assert_eq!(list(&first, "groups"), &groups[..1]);
        }
    }
}

#[tokio::test]
async fn what_the_dearest_cost_step_by_step_adds_up_to_what_all_cost() {
    let (place, mut log) = Place::with_traffic().await;
    let all = numbers(&mut log, SUMS).await[7];
    for (by, column) in DIMENSIONS {
        let series = place.get(&format!("stats/series?by={by}&top=2")).await;
        let points = list(&series, "points").len();
        let groups = list(&series, "groups");
        let sum = |points: &Vec<Value>| points.iter().map(nano).sum::<i64>();
        let mut costs = sum(list(&series, "others"));
        assert_eq!(list(&series, "others").len(), points);
        for group in groups {
            let is = group["name"].as_str().map_or("IS NULL".to_owned(), |name| format!("= '{name}'"));
            let wanted = numbers(&mut log, &format!("SELECT SUM(cost_nano) FROM requests WHERE {column} {is}")).await;
            assert_eq!((sum(list(group, "points")), list(group, "points").len()), (wanted[0], points), "{by}: {group}");
            costs += wanted[0];
        }
        assert_eq!(costs, all, "{by}: {series}");
        let dearest: Vec<_> = groups.iter().map(|group| sum(list(group, "points"))).collect();
        assert!(dearest.len() <= 2 && dearest.is_sorted_by_key(|cost| -cost), "{by}: {dearest:?}");
        let of_none = place.get(&format!("stats/series?by={by}&model=nobody-asked-for-this")).await;
        assert_eq!((list(&of_none, "groups").len(), list(&of_none, "others").len()), (0, points), "{by}");
    }
    let plain = place.get("stats/series").await;
    assert!(plain.get("groups").is_none() && plain["rows_from_ms"].is_null(), "{plain}");
    let wrong = place.ask("stats/series?by=weather").await;
    assert_eq!((wrong.status(), &wrong.json()["error"]["code"]), (400, &json!("not_a_choice")));
}

#[tokio::test]
async fn statistics_of_a_session_a_kind_of_agent_and_a_client_are_what_sql_says() {
    let (place, mut log) = Place::with_traffic().await;
    for (filter, condition) in [
        ("session=s-1", "session = 's-1'"),
        ("agent_type=Explore", "agent_type = 'Explore'"),
        ("client=127.0.0.3", "client = '127.0.0.3'"),
        (
            "client=127.0.0.1&upstream=left&model=haiku-x",
            "client = '127.0.0.1' AND upstream = 'left' AND model_asked = 'haiku-x'",
        ),
        ("session=s_4&request_class=other&path=/v1/messages", "session = 's_4'"),
        ("session=none", "session = 'none'"),
    ] {
        let wanted = numbers(&mut log, &format!("{SUMS} WHERE {condition}")).await;
        let stats = place.get(&format!("stats?{filter}")).await;
        assert_eq!(told(&stats), wanted, "{filter}");
        assert!(stats["rows_from_ms"].is_i64() && stats["duration_ms"]["p50"].is_null(), "{stats}");
        let series = place.get(&format!("stats/series?{filter}")).await;
        let cost: i64 = list(&series, "points").iter().map(|point| nano(&point["cost_usd"])).sum();
        assert_eq!(cost, wanted[7], "{filter}");
        for (by, column) in DIMENSIONS {
            let groups = place.get(&format!("stats/groups?by={by}&{filter}")).await;
            for group in list(&groups, "groups") {
                let is = group["name"].as_str().map_or("IS NULL".to_owned(), |name| format!("= '{name}'"));
                let sql = format!("{SUMS} WHERE {condition} AND {column} {is}");
                assert_eq!(told(group), numbers(&mut log, &sql).await, "{filter} by {by}: {group}");
            }
            let requests: i64 = list(&groups, "groups").iter().map(|group| told(group)[0]).sum();
            assert_eq!(requests, wanted[0], "{filter} by {by}");
        }
    }
}

#[tokio::test]
async fn the_sessions_of_a_time_are_those_of_sql_in_every_order() {
    let (place, mut log) = Place::with_traffic().await;
    let all = place.get("sessions").await;
    assert_eq!(all["total"], 4);
    assert_eq!(told(&all["sum"]), numbers(&mut log, &format!("{SUMS} WHERE session IS NOT NULL")).await);
    for session in list(&all, "sessions") {
        let of = format!("WHERE session = '{}'", session["session"].as_str().expect("a name"));
        assert_eq!(told(session), numbers(&mut log, &format!("{SUMS} {of}")).await, "{session}");
        let times =
            ["first_at_ms", "last_at_ms", "duration_ms", "agents", "running"].map(|name| session[name].as_i64());
        let sql = format!(
            "SELECT MIN(started_ms), MAX(started_ms), MAX(started_ms + duration_ms) - MIN(started_ms), \
             COUNT(DISTINCT agent), 0 FROM requests {of}"
        );
        assert_eq!(times.map(Option::unwrap_or_default).to_vec(), numbers(&mut log, &sql).await, "{session}");
        for (name, column) in
            [("models", "COALESCE(model, model_asked)"), ("upstreams", "upstream"), ("keys", "key_fingerprint")]
        {
            let names: Vec<_> =
                list(session, name).iter().map(|name| name.as_str().expect("a name").to_owned()).collect();
            assert_eq!(
                names,
                texts(&mut log, &format!("SELECT DISTINCT {column} FROM requests {of} ORDER BY 1")).await
            );
        }
        let rate = session["cache_hit_rate"].as_f64().expect("a share");
        assert!((rate - 0.5).abs() < 1e-12, "4 of 8: {session}");
    }
    let names = |page: &Value| -> Vec<String> {
        list(page, "sessions").iter().map(|row| row["session"].as_str().expect("a name").to_owned()).collect()
    };
    for (sort, value) in [
        ("last", "MAX(started_ms)"),
        ("cost", "COALESCE(SUM(cost_nano), 0)"),
        ("requests", "COUNT(*)"),
        ("duration", "MAX(started_ms + duration_ms) - MIN(started_ms)"),
        ("errors", "SUM(outcome = 'upstream_error')"),
        ("waste", "MIN(0)"),
    ] {
        let sql = format!(
            "SELECT session FROM requests WHERE session IS NOT NULL GROUP BY session ORDER BY {value} DESC, session DESC"
        );
        let wanted = texts(&mut log, &sql).await;
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = place.get(&format!("sessions?sort={sort}&limit=3&cursor={cursor}")).await;
            assert_eq!((&page["total"], &page["sum"]), (&json!(4), &all["sum"]), "of all pages");
            found.extend(names(&page));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(found, wanted, "by {sort}");
    }
    for (query, wanted) in [
        ("model=haiku-x&sort=cost", vec!["s-2", "s-1"]),
        ("upstream=right&sort=cost", vec!["s-2", "s_4"]),
        ("model=opus-x&upstream=left", vec!["s-1"]),
        ("q=s_", vec!["s_4"]),
        ("q=-3", vec!["s-3"]),
        ("to=1", vec![]),
    ] {
        assert_eq!(names(&place.get(&format!("sessions?{query}&from=0")).await), wanted, "{query}");
    }
    let key = texts(&mut log, "SELECT DISTINCT key_fingerprint FROM requests WHERE session = 's-2'").await.remove(0);
    for part in [&key[..], &key[..8]] {
        assert_eq!(names(&place.get(&format!("sessions?key={part}&sort=cost")).await), ["s-2", "s_4"]);
    }
    for wrong in ["sort=best", "cursor=x", "from=2&to=1", "limit=0"] {
        assert_eq!(place.ask(&format!("sessions?{wrong}")).await.status(), 400, "{wrong}");
    }
}

#[tokio::test]
async fn sessions_that_are_being_served_come_first_with_their_first_request_already() {
    let (place, _) = Place::with_traffic().await;
    let mut waiting = Vec::new();
    for (session, size) in [("s-1", 5), ("s-1", 6), ("s-new", 5)] {
        let sent = (Some(session), None, "main", "opus-x", "sk-a", 1, size);
        let mut client = place.gateway.connect().await;
        client.send(request(sent, "wait").bytes()).await;
        waiting.push(client);
    }
    let page = within("the requests", async {
        loop {
            let page = place.get("sessions").await;
            let running = list(&page, "sessions").iter().filter_map(|row| row["running"].as_u64()).sum::<u64>();
            if running == 3 {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let first: Vec<_> =
        list(&page, "sessions").iter().map(|row| (row["session"].as_str(), row["running"].as_u64())).collect();
    assert_eq!(first[..3], [(Some("s-new"), Some(1)), (Some("s-1"), Some(2)), (Some("s_4"), Some(0))]);
    assert_eq!((&page["total"], &list(&page, "sessions")[0]["requests"]), (&json!(5), &json!(0)));
    assert_eq!(place.get("sessions/s-1").await["running"], 2);
    let pages = place.get("sessions?limit=2").await;
    assert_eq!(list(&pages, "sessions").len(), 2);
    let next = place.get(&format!("sessions?limit=9&cursor={}", pages["next_cursor"].as_str().expect("more"))).await;
    let rest: Vec<_> = list(&next, "sessions").iter().map(|row| row["session"].as_str().expect("a name")).collect();
    assert_eq!(rest, ["s_4", "s-3", "s-2"]);
    drop(waiting);
}

#[tokio::test]
async fn a_session_of_any_length_is_there_as_a_whole() {
    const MORE: u64 = 250;
    let (place, _) = Place::with_traffic().await;
    let mut client = Client::connect_from(1, place.gateway.addr()).await;
    for size in 0..MORE {
        let agent = ["agent-1", "agent-2", "agent-3"][size as usize % 3];
        let sent = (Some("s-1"), Some((agent, "Explore")), "subagent", "haiku-x", "sk-a", 1, 1_000 + size);
        assert_eq!(client.request(&request(sent, "hi")).await.status(), 200);
    }
    let mut log = place.wait_rows(TRAFFIC.len() as i64 + MORE as i64).await;
    let of = "WHERE session = 's-1'";
    let all = numbers(&mut log, &format!("{SUMS} {of}")).await;
    let session = place.get("sessions/s-1").await;
    assert_eq!((told(&session["total"]), &session["requests_total"]), (all.clone(), &json!(all[0])));
    let mut sum = vec![0; all.len()];
    for agent in list(&session, "agents") {
        let is = agent["name"].as_str().map_or("IS NULL".to_owned(), |name| format!("= '{name}'"));
        assert_eq!(told(agent), numbers(&mut log, &format!("{SUMS} {of} AND agent {is}")).await, "{agent}");
        let sql = format!("SELECT MIN(started_ms), MAX(started_ms) FROM requests {of} AND agent {is}");
        let times = ["first_at_ms", "last_at_ms"].map(|name| agent[name].as_i64().expect("a time"));
        assert_eq!(times.to_vec(), numbers(&mut log, &sql).await, "{agent}");
        sum.iter_mut().zip(told(agent)).for_each(|(sum, more)| *sum += more);
    }
    assert_eq!((sum, &session["agents_total"], list(&session, "agents").len()), (all.clone(), &json!(4), 4));

    let timeline = &session["timeline"];
    let (from, step) = (timeline["from_ms"].as_i64().expect("a time"), timeline["step_ms"].as_i64().expect("a step"));
    let mut drawn = [0; 3];
    for course in list(timeline, "agents") {
        let is = course["name"].as_str().map_or("IS NULL".to_owned(), |name| format!("= '{name}'"));
        for bucket in list(course, "buckets") {
            let [at, requests, failed, cost] = [0, 1, 2, 3].map(|part| bucket[part].as_i64().unwrap_or_default());
            let (begin, end) = (from + at * step, from + (at + 1) * step);
            let sql = format!(
                "SELECT COUNT(*), SUM(outcome = 'upstream_error'), SUM(cost_nano) FROM requests {of} AND agent {is} \
                 AND started_ms >= {begin} AND started_ms < {end}"
            );
            assert_eq!(vec![requests, failed, cost], numbers(&mut log, &sql).await, "{course}");
            assert!(at < timeline["steps"].as_i64().expect("a count"), "{timeline}");
            drawn.iter_mut().zip([requests, failed, cost]).for_each(|(sum, more)| *sum += more);
        }
    }
    assert_eq!(drawn, [all[0], all[2], all[7]], "the whole is in view");

    let mut seen: Vec<String> = Vec::new();
    let ids = |page: &Value| -> Vec<String> {
        list(page, "requests").iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
    };
    seen.extend(ids(&session));
    assert_eq!(seen.len(), 200);
    let rest =
        place.get(&format!("requests?session=s-1&cursor={}", session["next_cursor"].as_str().expect("more"))).await;
    seen.extend(ids(&rest));
    let distinct: BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (all[0] as usize, all[0] as usize));
}

/// The lines of CSV, by the names of their columns.
fn table(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = text.split("\r\n").filter(|line| !line.is_empty()).map(|line| line.split(',').map(str::to_owned));
    let head: Vec<String> = lines.next().expect("a head").collect();
    lines.map(|cells| head.iter().cloned().zip(cells).collect()).collect()
}

#[tokio::test]
async fn downloads_have_what_is_seen_with_times_that_people_read() {
    let (place, mut log) = Place::with_traffic().await;
    let span = "from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z";
    let file_of = |answer: &harness::Response| answer.header("content-disposition").expect("a file");
    let rows = place.ask(&format!("export?{span}&zone=Asia/Shanghai&bom=1&session=s-1")).await;
    assert_eq!(
        file_of(&rows),
        "attachment; filename=\"requests_2020-01-01T0800_2100-01-01T0800_session-s-1.csv\"".to_owned()
    );
    let text = rows.text();
    let text = text.strip_prefix('\u{feff}').expect("a byte order mark");
    assert!(text.starts_with("id,started_at_ms,started_at,duration_ms,"), "{text}");
    let lines = table(text);
    assert_eq!(lines.len(), 5);
    for line in &lines {
        let wanted =
            numbers(&mut log, &format!("SELECT started_ms FROM requests WHERE id = '{}'", line["id"])).await[0];
        let (date, rest) = line["started_at"].split_once('T').expect("a time");
        assert!(date.len() == 10 && rest.ends_with("+08:00") && rest.contains('.'), "{line:?}");
        assert_eq!(line["started_at_ms"], wanted.to_string());
        assert_eq!(rest[9..12], format!("{:03}", wanted % 1_000), "the same moment");
    }
    let plain = place.ask("export").await;
    assert!(plain.text().starts_with("id,started_at_ms,duration_ms,"), "programs get no mark and their columns");
    assert_eq!(file_of(&plain), "attachment; filename=\"requests.csv\"");
    assert!(table(&plain.text())[0]["started_at"].ends_with('Z'));

    let groups = place.ask("stats/groups?by=session&sort=cost&format=csv&bom=1").await;
    assert!(file_of(&groups).starts_with("attachment; filename=\"costs_20"), "{}", file_of(&groups));
    assert!(file_of(&groups).ends_with("_by-session_sort-cost.csv\""), "{}", file_of(&groups));
    let lines = table(groups.text().strip_prefix('\u{feff}').expect("a mark"));
    assert_eq!(lines.iter().map(|line| line["session"].as_str()).collect::<Vec<_>>()[..2], ["s-2", "s-1"]);
    let cost: i64 = lines.iter().map(|line| nano(&json!(line["cost_usd"].parse::<f64>().unwrap_or_default()))).sum();
    assert_eq!(cost, numbers(&mut log, SUMS).await[7]);

    let sessions = place.ask("sessions?sort=cost&format=csv&zone=%2B08:00").await;
    assert_eq!(sessions.header("content-type").as_deref(), Some("text/csv; charset=utf-8"));
    let lines = table(&sessions.text());
    assert_eq!(lines.iter().map(|line| line["session"].as_str()).collect::<Vec<_>>(), ["s-2", "s-1", "s_4", "s-3"]);
    for line in &lines {
        let sql = format!("{SUMS} WHERE session = '{}'", line["session"]);
        let wanted = numbers(&mut log, &sql).await;
        let count = |name: &str| line[name].parse::<i64>().expect("a count");
        assert_eq!(
            (count("requests"), count("output_tokens"), count("unpriced_requests")),
            (wanted[0], wanted[4], wanted[8])
        );
        assert!(line["first_at"].ends_with("+08:00"), "{line:?}");
    }
    for wrong in ["export?zone=Nowhere", "sessions?format=xml", "stats/groups?by=model&bom=2"] {
        assert_eq!(place.ask(wrong).await.status(), 400, "{wrong}");
    }
}

#[tokio::test]
async fn keys_have_the_names_that_the_operator_gives_them() {
    let (place, mut log) = Place::with_traffic().await;
    let keys =
        texts(&mut log, "SELECT key_fingerprint FROM requests WHERE session IN ('s-1', 's-2') GROUP BY session").await;
    let put = async |names: Value| {
        let base = place.get("config").await["version"].clone();
        let overlay = json!({"gateway": {"key_names": names}}).to_string();
        let body = json!({"base_version": base, "overlay": overlay}).to_string();
        let request = Request::new("PUT", "/api/admin/config").header("Host", "127.0.0.1");
        let request = request.header("Content-Type", "application/json").header("Authorization", "Bearer the-key");
        place.gateway.request(&request.body(body)).await
    };
    assert_eq!(place.get("key-names").await, json!({"names": {}}));
    let names = json!({keys[0].as_str(): "alice", &keys[1][..8]: "小王"});
    assert_eq!(put(names.clone()).await.status(), 200);
    assert_eq!(place.get("key-names").await, json!({"names": names}));
    let name_of = |groups: &Value, key: &str| {
        list(groups, "groups").iter().find(|group| group["name"] == key).expect("the key")["key_name"].clone()
    };
    for target in ["stats/groups?by=key", "stats/series?by=key"] {
        let groups = place.get(target).await;
        assert_eq!([name_of(&groups, &keys[0]), name_of(&groups, &keys[1])], ["alice", "小王"], "{target}");
    }
    let csv = place.ask("stats/groups?by=key&format=csv").await.text();
    assert!(csv.contains(&format!("{},alice,", keys[0])), "{csv}");
    let overlay = place.get("config").await["overlay"].as_str().expect("a text").to_owned();
    assert!(overlay.contains("alice") && overlay.contains("小王"), "a name is no secret: {overlay}");
    for (wrong, code) in [
        (json!({"0a1b": "short"}), "not_a_fingerprint"),
        (json!({keys[0].as_str(): ""}), "value_missing"),
        (json!({keys[0].as_str(): "x".repeat(61)}), "not_a_key_name"),
    ] {
        let refused = put(wrong).await;
        assert_eq!(
            (refused.status(), &refused.json()["problems"][0]["code"]),
            (422, &json!(code)),
            "{}",
            refused.text()
        );
    }
    assert_eq!(put(json!({})).await.status(), 200);
    assert_eq!(place.get("key-names").await, json!({"names": {}}));
}
