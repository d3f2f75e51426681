//! How often the gateway asks for memory while it serves a request, with everything on: the same on every machine, and less
//! than any change is allowed to add to.

use harness::{Gateway, Reply, Request, Upstream, within};
use rusqlite::{Connection, OpenFlags};
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Requests that are counted, after as many others.
const REQUESTS: u64 = 400;
const EVENTS: usize = 100;

/// A load, and how many allocations one of its requests may take. Where fewer are seen the number here is to follow.
struct Load {
    name: &'static str,
    most: f64,
}

const LOADS: [Load; 4] = [
    Load { name: "get", most: 130.0 },
    Load { name: "cli-2.1.197-title", most: 290.0 },
    Load { name: "sdk-cli-2.1.330-turn1", most: 305.0 },
    Load { name: "stream", most: 327.0 },
];

/// Counts that differ by less are the same: tables and queues grow once in a while, and once a second there is other work.
const SLACK: f64 = 12.0;

fn counted(socket: &Path) -> u64 {
    let mut text = String::new();
    UnixStream::connect(socket).expect("the socket").read_to_string(&mut text).expect("a count");
    text.parse().expect("a number")
}

fn rows(log: &Path) -> u64 {
    let log = Connection::open_with_flags(log, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the log");
    log.query_row("SELECT COUNT(*) FROM requests", [], |row| row.get(0)).expect("a count")
}

fn fixture(name: &str, ending: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    std::fs::read(folder.join(format!("{name}.{ending}"))).expect("a fixture")
}

fn request(name: &str) -> Request {
    let post = |name: &str| {
        Request::post("/v1/messages", fixture(name, "json"))
            .header("Content-Type", "application/json")
            .header("Authorization", "Bearer sk-ant-a-key")
            .header("anthropic-version", "2023-06-01")
    };
    match name {
        "get" => Request::get("/v1/models").header("Authorization", "Bearer sk-ant-a-key"),
        "stream" => post("sdk-cli-2.1.330-turn1").header("X-Stream", "1"),
        name => post(name),
    }
}

async fn upstream() -> Upstream {
    let usage = r#""usage":{"input_tokens":12,"output_tokens":4}"#;
    let message = format!(
        r#"{{"type":"message","role":"assistant","model":"claude-opus-5-5","content":[],"stop_reason":"end_turn",{usage}}}"#
    );
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"some words "}}"#;
    let mut events = format!("event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{message}}}\n\n");
    events += &format!("event: content_block_delta\ndata: {delta}\n\n").repeat(EVENTS);
    events += &format!("event: message_delta\ndata: {{\"type\":\"message_delta\",{usage}}}\n\n");
    events += "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    Upstream::start(move |request: &harness::Received| match request.headers.get("x-stream") {
        Some(_) => Reply::sse().bytes(events.clone()),
        None => Reply::json(message.clone()),
    })
    .await
}

#[tokio::test]
async fn a_request_takes_no_more_allocations_than_before() {
    let upstream = upstream().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (socket, log) = (folder.path().join("counts"), folder.path().join("log.db"));
    // Of what requests look like so many are written down in a second, however many come.
    let rest = "  log: {shapes: 0}\n";
    let yaml = format!("threads: 1\ngateway:\n  upstreams: [{{name: a, base_url: \"{}\"}}]\n{rest}", upstream.url());
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_counted-gateway"))
        .env("COUNT_SOCKET", &socket.display().to_string())
        .env("GATEWAY_DB", &log.display().to_string())
        .env("SYSTEM_PROMPT_REPLACEMENT", "You are Claude Code, and answer briefly.")
        .yaml(&yaml)
        .start()
        .await;
    let mut client = gateway.connect().await;
    let mut sent = 0;
    let mut found = Vec::new();
    for load in LOADS {
        let request = request(load.name);
        let mut before = 0;
        for turn in 0..2 {
            for _ in 0..REQUESTS {
                assert_eq!(client.request(&request).await.status(), 200);
            }
            sent += REQUESTS;
            // Not by the gateway's own figures: telling them takes allocations too.
            within("all rows are written", async {
                while rows(&log) < sent {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
            let now = counted(&socket);
            if turn == 1 {
                found.push((load.name, (now - before) as f64 / REQUESTS as f64, load.most));
            }
            before = now;
        }
    }
    println!("allocations of a request: {found:?}");
    for (name, each, most) in found {
        assert!(
            (most - SLACK..=most).contains(&each),
            "{name}: {each} allocations a request, and {most} are written here"
        );
    }
}
