//! docs/outcomes.md says what follows from each answer of an upstream. Its rows are the cases of this test.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use harness::{Client, Gateway, GatewayBuilder, Port, Received, Reply, Request, Step, Upstream, anthropic, within};
use serde_json::Value;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// A row of the table; of one that lists several statuses, one for each of them.
#[derive(Clone, Debug)]
struct Case {
    /// What is asked, the answer, and the codes that are part of both columns.
    target: (String, String),
    answer: String,
    end: String,
    status: Option<u16>,
    outcome: String,
    cause: String,
    fault: String,
    circuit: String,
    session: String,
    next: String,
    cost: String,
}

/// Who is there beside the upstream that answers so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// Nobody.
    None,
    /// One that serves everything.
    Good,
    /// One that does the same.
    Same,
}

/// What the program made of a case.
#[derive(Debug)]
struct Found {
    outcome: String,
    cause: String,
    cost: &'static str,
    attempts: u64,
    failures_in_a_row: u64,
    good: u64,
    bad: u64,
    has_moved: bool,
}

fn table(name: &str) -> Vec<Vec<String>> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    let text = std::fs::read_to_string(path).expect("the document");
    let rows = text.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The codes in a cell.
fn codes(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn cases() -> Vec<Case> {
    table("outcomes.md").iter().flat_map(|row| cases_of(row)).collect()
}

fn cases_of(row: &[String]) -> Vec<Case> {
    let [answer, end, outcome, cause, fault, circuit, session, next, cost] = row else {
        panic!("nine columns: {row:?}")
    };
    let (target, answer) = match answer.split_once(": ") {
        Some((target, answer)) => (codes(target)[0].to_owned(), answer.to_owned()),
        None => ("POST /v1/messages".to_owned(), answer.clone()),
    };
    let (method, path) = target.split_once(' ').expect("a method and a path");
    let case = Case {
        target: (method.to_owned(), path.to_owned()),
        end: end.clone(),
        status: None,
        outcome: outcome.replace('`', ""),
        cause: cause.replace('`', ""),
        fault: fault.clone(),
        circuit: circuit.clone(),
        session: session.clone(),
        next: next.clone(),
        cost: cost.clone(),
        answer,
    };
    let statuses: Vec<u16> = codes(&case.answer).iter().filter_map(|code| code.parse().ok()).collect();
    match statuses.is_empty() {
        true => vec![case],
        false => statuses.iter().map(|&status| Case { status: Some(status), ..case.clone() }).collect(),
    }
}

impl Case {
    /// Beside whom the outcome is the row's.
    fn others(&self) -> Others {
        match self.end.as_str() {
            "another one serves it" => Others::Good,
            "all answer alike" => Others::Same,
            _ => Others::None,
        }
    }

    fn name(&self) -> String {
        let Case { target: (method, path), answer, end, status, .. } = self;
        format!("{method} {path}: {answer} ({}), {end}", status.unwrap_or_default())
    }

    /// The answer, which the first two columns describe.
    fn reply(&self) -> Reply {
        let error = |status, kind: &str| {
            let body = format!("{{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"no\"}}}}");
            Reply::status(status).header("Content-Type", "application/json").body(body)
        };
        if let Some(status) = self.status {
            let kind = codes(&self.answer).into_iter().find(|code| code.ends_with("_error")).unwrap_or("x");
            return match status {
                202 => Reply::status(status).header("Content-Type", "application/json").body("{}"),
                204 => Reply::status(status),
                300..400 => Reply::status(status).header("Location", "https://relay.example/login"),
                _ => error(status, kind),
            };
        }
        match (self.answer.as_str(), self.end.as_str()) {
            ("event stream", end) => stream(end),
            ("JSON reply", "complete") if self.target.1.ends_with("count_tokens") => {
                Reply::json(r#"{"input_tokens":9}"#)
            }
            ("JSON reply", "complete") => Reply::json(message()),
            ("JSON reply", "cut off") => Reply::json(&message()[..60]).length(4096).step(Step::Close),
            ("reply in an unknown coding", "complete") => Reply::json(message()).header("Content-Encoding", "compress"),
            ("error `overloaded_error` with status 200", "complete") => error(200, "overloaded_error"),
            ("empty body", "complete") => Reply::status(200).header("Content-Type", "application/json"),
            ("web page with status 200", "complete") => {
                Reply::ok("<!doctype html><title>wait</title>").header("Content-Type", "text/html")
            }
            ("no connection", "refused") => Reply::close(),
            ("no response", "closed") => Reply::close(),
            ("no response", "silence") => Reply::stall(),
            unknown => panic!("docs/outcomes.md has an answer that this test cannot make: {unknown:?}"),
        }
    }

    /// What else its upstream is configured with.
    fn settings(&self) -> &'static str {
        match (self.answer.as_str(), self.end.as_str()) {
            (answer, _) if answer.contains("`api_key`") => ", api_key: sk-own",
            ("event stream", "silence") => ", read_timeout: 500ms",
            ("event stream", end) if end.contains("`first_event_timeout`") => ", first_event_timeout: 500ms",
            ("no response", "silence") => ", first_byte_timeout: 500ms",
            _ => "",
        }
    }

    /// What is wrong with what was found beside whom.
    fn mistakes(&self, others: Others, found: &Found) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |what: &str, is: String, wanted: String| {
            if is != wanted {
                wrong.push(format!("{} beside {others:?}: {what} is {is:?}, not {wanted:?}", self.name()));
            }
        };
        if others == self.others() {
            check("outcome", found.outcome.clone(), self.outcome.clone());
            check("cause", found.cause.clone(), self.cause.clone());
            check("cost", found.cost.to_owned(), self.cost.clone());
            let (failures, good) = match self.circuit.as_str() {
                "failure" => (1, 0),
                "success" => (0, 1),
                // The second session's is there too.
                "second session" => (2, 0),
                "none" => (0, u64::from(self.outcome == "completed")),
                other => panic!("no such effect on a circuit: {other}"),
            };
            check("failures in a row", found.failures_in_a_row.to_string(), failures.to_string());
            check("good", found.good.to_string(), good.to_string());
            let is_charged = matches!(self.fault.as_str(), "upstream" | "unknown");
            check("charged to the upstream", (found.bad > 0).to_string(), is_charged.to_string());
        }
        if others == Others::Same && self.others() == Others::Same || others == Others::Good && self.end != "alone" {
            let is_next = found.attempts == 2;
            check("the next upstream", is_next.to_string(), (self.next == "yes").to_string());
        }
        if others == Others::Good && self.others() != Others::Same && self.end != "alone" {
            check("moved", found.has_moved.to_string(), (self.session == "moves").to_string());
        }
        wrong
    }
}

fn message() -> String {
    let usage = r#"{"input_tokens":42,"output_tokens":9}"#;
    format!("{{\"type\":\"message\",\"model\":\"claude-sonnet-4-5\",\"content\":[],\"usage\":{usage}}}")
}

/// A stream that ends so.
fn stream(end: &str) -> Reply {
    let events = anthropic::events("claude-sonnet-4-5");
    let send = |events: &[String]| events.iter().fold(Reply::sse(), |reply, event| reply.bytes(event.as_str()));
    let begun = send(&events[..4]);
    match (end.split('`').next().unwrap_or_default().trim(), codes(end).first()) {
        ("complete", _) => send(&events),
        ("complete, then cut off", _) => send(&events).step(Step::Close),
        ("cut off", _) => begun.step(Step::Close),
        ("without", Some(&"message_stop")) => send(&events[..events.len() - 1]),
        ("before its first event", _) => Reply::sse().bytes(": hello\n\nevent: ping\ndata: {}\n\n"),
        ("no event within", _) => Reply::sse().bytes(": hello\n\n").step(Step::Stall),
        ("cut off before its first event", _) => Reply::sse().bytes(": hello\n\n").step(Step::Close),
        ("silence" | "the client leaves", _) => begun.step(Step::Stall),
        ("error", Some(kind)) => {
            let error = format!("{{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"no\"}}}}");
            let begun = if end.ends_with("first") { Reply::sse() } else { begun };
            begun.bytes(format!("event: error\ndata: {error}\n\n"))
        }
        unknown => panic!("docs/outcomes.md has an end of a stream that this test cannot make: {unknown:?}"),
    }
}

/// A gateway with two upstreams of its own for each case, a mock that answers as the cases say, and a dead port.
struct Setup {
    gateway: Gateway,
    _folder: tempfile::TempDir,
    _mock: Upstream,
    _dead: Port,
}

impl Setup {
    async fn start(cases: &[Case], others: Others) -> Self {
        let answers = cases.to_vec();
        let mock = Upstream::start(move |request| answer(request, &answers)).await;
        let dead = Port::free();
        let (mut upstreams, mut routes) = (String::new(), String::new());
        for (at, case) in cases.iter().enumerate() {
            let url = match case.answer.as_str() {
                "no connection" => format!("http://{}", dead.addr()),
                _ => format!("{}/{at}", mock.url()),
            };
            let _ = writeln!(upstreams, "    - {{ name: a{at}, base_url: \"{url}\"{} }}", case.settings());
            let second = match others {
                Others::None => None,
                Others::Good => Some(format!("{}/good", mock.url())),
                Others::Same => Some(url),
            };
            let names = if second.is_some() { format!("a{at}, b{at}") } else { format!("a{at}") };
            let _ = writeln!(routes, "    - {{ keys: [sk-case-{at}], upstreams: [{names}] }}");
            if let Some(url) = second {
                let settings = case.settings();
                let _ = writeln!(upstreams, "    - {{ name: b{at}, base_url: \"{url}\", priority: 1{settings} }}");
            }
        }
        let health = "health: { failures: 1000, error_rate: 100%, min_requests: 1000000 }";
        let failover = "failover: { retry_budget: 100%, retry_budget_min: 1000 }";
        let yaml = format!("gateway:\n  upstreams:\n{upstreams}  routes:\n{routes}  {health}\n  {failover}\n");
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("log.db").display().to_string();
        let gateway = gateway().env("GATEWAY_DB", &database).yaml(&yaml).start().await;
        Self { gateway, _folder: folder, _mock: mock, _dead: dead }
    }

    /// Sends what the case asks for; `is_well`: the upstream answers as it should this time.
    async fn ask(&self, at: usize, case: &Case, session: &str, is_well: bool) -> (Option<String>, Option<String>) {
        let (method, path) = if is_well { ("POST", "/v1/messages") } else { (&*case.target.0, &*case.target.1) };
        let request = match method {
            "POST" => {
                let is_stream = case.answer == "event stream" && !is_well;
                let fields = r#""model":"claude-sonnet-4-5","max_tokens":9,"messages":[]"#;
                Request::post(path, format!("{{{fields},\"stream\":{is_stream}}}"))
            }
            _ => Request::new(method, path),
        };
        let request = request
            .header("x-api-key", format!("sk-case-{at}"))
            .header("X-Claude-Code-Session-Id", session)
            .header("x-well", if is_well { "yes" } else { "no" });
        let mut client = self.gateway.connect().await;
        if case.end == "the client leaves" && !is_well {
            client.send(request.bytes()).await;
            let head = client.head(method).await;
            return (head.headers.get("x-gateway-upstream"), head.headers.get("x-gateway-attempts"));
        }
        // One that is cut off has no end.
        match client.try_request(&request).await {
            Ok(answer) => (answer.header("x-gateway-upstream"), answer.header("x-gateway-attempts")),
            Err(_) => (None, None),
        }
    }

    async fn admin(&self, path: &str) -> Value {
        let request = self.gateway.as_admin(Request::get(path));
        Client::connect(self.gateway.admin_addr()).await.request(&request).await.json()
    }

    /// The rows of these sessions, once all are there.
    async fn rows(&self, sessions: usize) -> HashMap<String, Value> {
        within("the rows", async {
            loop {
                let rows = self.admin("/api/admin/requests?limit=500").await;
                let rows = rows["requests"].as_array().cloned().unwrap_or_default();
                let named = rows.into_iter().map(|row| (row["session"].as_str().unwrap_or_default().to_owned(), row));
                let rows: HashMap<String, Value> = named.collect();
                if rows.len() >= sessions {
                    return rows;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await
    }
}

fn answer(request: &Received, cases: &[Case]) -> Reply {
    let number = request.target.split('/').nth(1).unwrap_or_default();
    let is_well = request.headers.get("x-well").as_deref() == Some("yes");
    match number.parse::<usize>().ok().filter(|_| !is_well) {
        Some(at) => cases[at].reply(),
        None => Reply::json(message()),
    }
}

/// What becomes of all cases beside these others.
async fn find(cases: &[Case], others: Others) -> Vec<Found> {
    let setup = Setup::start(cases, others).await;
    for (at, case) in cases.iter().enumerate() {
        setup.ask(at, case, &format!("session-{at}"), false).await;
        if case.circuit == "second session" {
            setup.ask(at, case, &format!("second-{at}"), false).await;
        }
    }
    let second = cases.iter().filter(|case| case.circuit == "second session").count();
    let rows = setup.rows(cases.len() + second).await;
    let upstreams = setup.admin("/api/admin/upstreams").await;
    let upstreams = upstreams["upstreams"].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        let row = &rows[&format!("session-{at}")];
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let upstream = upstreams.iter().find(|upstream| upstream["name"] == format!("a{at}")).expect("an upstream");
        let number = |name: &str| upstream[name].as_u64().expect("a number");
        let again = setup.ask(at, case, &format!("session-{at}"), true).await;
        found.push(Found {
            outcome: text("outcome"),
            cause: text("cause"),
            cost: match (row["cost_usd"].is_null(), row["estimated"] == true) {
                (true, _) => "none",
                (false, true) => "estimated",
                (false, false) => "whole",
            },
            attempts: row["attempts"].as_u64().unwrap_or_default(),
            failures_in_a_row: number("failures_in_a_row"),
            good: number("good"),
            bad: number("bad"),
            has_moved: again == (Some(format!("b{at}")), Some("1".to_owned())),
        });
    }
    found
}

async fn check(others: Others) {
    let cases = cases();
    assert!(cases.len() > 40, "{} cases", cases.len());
    let found = find(&cases, others).await;
    let wrong: Vec<String> = cases.iter().zip(&found).flat_map(|(case, found)| case.mistakes(others, found)).collect();
    assert!(wrong.is_empty(), "docs/outcomes.md says otherwise:\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn an_upstream_alone_does_what_the_table_says() {
    check(Others::None).await;
}

#[tokio::test]
async fn beside_a_good_one_it_does_what_the_table_says() {
    check(Others::Good).await;
}

#[tokio::test]
async fn when_all_answer_alike_they_do_what_the_table_says() {
    check(Others::Same).await;
}

#[test]
fn both_languages_have_the_same_rows() {
    let [english, chinese] = ["outcomes.md", "outcomes.zh-CN.md"].map(table);
    assert_eq!(english.len(), chinese.len());
    let codes_of = |row: &[String]| row.iter().map(|cell| codes(cell).join(" ")).collect::<Vec<_>>();
    let mut words = [HashMap::new(), HashMap::new()];
    for (english, chinese) in english.iter().zip(&chinese) {
        assert_eq!(codes_of(english), codes_of(chinese), "{english:?}");
        // A word of one language is one of the other, and of no other word.
        for column in 4..9 {
            for (words, [one, other]) in words.iter_mut().zip([[english, chinese], [chinese, english]]) {
                let known = words.entry((column, one[column].clone())).or_insert_with(|| other[column].clone());
                assert_eq!(*known, other[column], "{english:?}");
            }
        }
    }
}
