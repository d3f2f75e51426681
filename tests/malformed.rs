//! What could be read in two ways is refused before any upstream sees a byte of it.

use std::collections::BTreeSet;

use harness::{Gateway, GatewayBuilder, Reply, Request, Response, Upstream};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n";

/// One hostile message and the statuses that may answer it.
struct Row {
    name: String,
    bytes: Vec<u8>,
    statuses: &'static [u16],
}

fn row(name: impl Into<String>, bytes: impl AsRef<[u8]>, statuses: &'static [u16]) -> Row {
    Row { name: name.into(), bytes: bytes.as_ref().to_vec(), statuses }
}

/// Rows that differ in the request line.
fn request_lines() -> Vec<Row> {
    let table: [(&[u8], &[u16]); 44] = [
        (b"A-METHOD-OF-SIXTY-FIVE-BYTES-THAT-NOBODY-KNOWS-AND-NOBODY-NEEDS-1 / HTTP/1.1", &[501]),
        (b"GET  / HTTP/1.1", &[400]),
        (b"GET /  HTTP/1.1", &[400]),
        (b"GET\t/ HTTP/1.1", &[400]),
        (b"GET /\tHTTP/1.1", &[400]),
        (b"GET / HTTP/1.1 ", &[400]),
        (b" GET / HTTP/1.1", &[400]),
        (b" / HTTP/1.1", &[400]),
        (b"GET", &[400]),
        (b"GET /", &[400]),
        (b"GET /\r", &[400]),
        (b"GET / HTTP/1.1\r", &[400]),
        (b"GET / HTTP/2.0", &[505]),
        (b"GET / HTTP/3.0", &[505]),
        (b"GET / HTTP/0.9", &[505, 400]),
        (b"GET / HTTP/1", &[400]),
        (b"GET / http/1.1", &[400]),
        (b"GET / HTTP/1.1x", &[400]),
        (b"GET / HTTP/01.1", &[400]),
        (b"GET / HTTP/1,1", &[400]),
        (b"GET / HTTP /1.1", &[400]),
        (b"GET / HTTPS/1.1", &[400]),
        (b"GE(T / HTTP/1.1", &[400]),
        (b"GE\x00T / HTTP/1.1", &[400]),
        (b"G\xc3\x89T / HTTP/1.1", &[400]),
        (b"GET index.html HTTP/1.1", &[400]),
        (b"GET * HTTP/1.1", &[400]),
        (b"GET ?query HTTP/1.1", &[400]),
        (b"GET \\path HTTP/1.1", &[400]),
        (b"GET /a b HTTP/1.1", &[400]),
        (b"GET /\x01 HTTP/1.1", &[400]),
        (b"GET /\x00 HTTP/1.1", &[400]),
        (b"GET /\x7f HTTP/1.1", &[400]),
        (b"GET /\xe7\xbd\x91 HTTP/1.1", &[400]),
        (b"GET /#fragment HTTP/1.1", &[400]),
        (b"GET /\"quoted\" HTTP/1.1", &[400]),
        (b"GET http://other.example/ HTTP/1.1", &[400, 421]),
        (b"GET http://user@gateway.test/ HTTP/1.1", &[400]),
        (b"GET http:///path HTTP/1.1", &[400]),
        (b"GET ftp://gateway.test/ HTTP/1.1", &[400]),
        (b"GET gateway.test:80 HTTP/1.1", &[400]),
        (b"CONNECT gateway.test:443 HTTP/1.1", &[405, 400]),
        (b"CONNECT / HTTP/1.1", &[405, 400]),
        (b"TRACE / HTTP/1.1", &[405]),
    ];
    let whole = |line: &[u8]| [line, b"\r\nHost: gateway.test\r\n\r\n"].concat();
    table.into_iter().map(|(line, statuses)| row(line.escape_ascii().to_string(), whole(line), statuses)).collect()
}

/// Rows that differ in one or more field lines; `Host: gateway.test` is there unless the row brings its own.
fn field_lines() -> Vec<Row> {
    let table: [(&[u8], &[u16]); 64] = [
        (b"Host:", &[400]),
        (b"Host: ", &[400]),
        (b"Host: gateway.test\r\nHost: gateway.test", &[400]),
        (b"Host: gateway.test\r\nhost: other.example", &[400]),
        (b"Host: gateway.test, other.example", &[400]),
        (b"Host: a b", &[400]),
        (b"Host: gateway.test/path", &[400]),
        (b"Host: user@gateway.test", &[400]),
        (b"Host: gateway.test:port", &[400]),
        (b"Host: gateway.test:99999", &[400]),
        (b"Host: http://gateway.test", &[400]),
        (b"Host: [::1", &[400]),
        (b"Host: gateway.test?x", &[400]),
        (b"Host: gateway.test#x", &[400]),
        (b"Host : gateway.test", &[400]),
        (b"No colon here", &[400]),
        (b": no name", &[400]),
        (b"Bad Name: x", &[400]),
        (b"Bad\"Name: x", &[400]),
        (b"B\xc3\xa4d: x", &[400]),
        (b"X-A : x", &[400]),
        (b"X-A\t: x", &[400]),
        (b"X-A: x\r\n folded", &[400]),
        (b"X-A: x\r\n\tfolded", &[400]),
        (b"X-A: a\x00b", &[400]),
        (b"X-A: a\rb", &[400]),
        (b"X-A: a\x0bb", &[400]),
        (b"X-A: a\x01b", &[400]),
        (b"X-A: a\x7fb", &[400]),
        (b"X-A: a\nX-B: b", &[400]),
        (b"X-A: a\n", &[400]),
        (b" ", &[400]),
        (b"Content-Length:", &[400]),
        (b"Content-Length: abc", &[400]),
        (b"Content-Length: -1", &[400]),
        (b"Content-Length: +5", &[400]),
        (b"Content-Length: 5, 5", &[400]),
        (b"Content-Length: 5, 6", &[400]),
        (b"Content-Length: 05", &[400]),
        (b"Content-Length: 5 5", &[400]),
        (b"Content-Length: 0x5", &[400]),
        (b"Content-Length: 5;", &[400]),
        (b"Content-Length: 5.0", &[400]),
        (b"Content-Length: 5\x0b", &[400]),
        (b"Content-Length : 5", &[400]),
        (b"Content-Length: 5\r\nContent-Length: 5", &[400]),
        (b"Content-Length: 5\r\ncontent-length: 6", &[400]),
        (b"Content-Length: 99999999999999999999", &[400, 413]),
        (b"Content-Length: 9223372036854775808", &[400, 413]),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked", &[400]),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5", &[400]),
        (b"Content-Length: 0\r\nTransfer-Encoding: identity", &[400, 501]),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", &[400]),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow", &[400, 501]),
        (b"Transfer-Encoding: chunked, chunked", &[400]),
        (b"Transfer-Encoding: cow, chunked", &[501, 400]),
        (b"Transfer-Encoding: gzip, chunked", &[501]),
        (b"Transfer-Encoding: chunked, gzip", &[400, 501]),
        (b"Transfer-Encoding: cow", &[400, 501]),
        (b"Transfer-Encoding:", &[400]),
        (b"Transfer-Encoding: xchunked", &[400, 501]),
        (b"Transfer-Encoding: \x0bchunked", &[400, 501]),
        (b"Transfer-Encoding : chunked", &[400]),
        (b"Transfer-Encoding:\r\n chunked", &[400]),
    ];
    let whole = |lines: &[u8]| {
        let host = if lines.to_ascii_lowercase().starts_with(b"host") { "" } else { "Host: gateway.test\r\n" };
        [b"POST / HTTP/1.1\r\n", host.as_bytes(), lines, b"\r\n\r\n"].concat()
    };
    table.into_iter().map(|(lines, statuses)| row(lines.escape_ascii().to_string(), whole(lines), statuses)).collect()
}

/// Rows of their own shape.
fn whole_messages() -> Vec<Row> {
    vec![
        row("no Host", "GET / HTTP/1.1\r\n\r\n", &[400]),
        row("bare LF lines", "GET / HTTP/1.1\nHost: gateway.test\n\n", &[400]),
        row("bare LF at the end", "GET / HTTP/1.1\r\nHost: gateway.test\r\n\n", &[400]),
        row("bare CR lines", "GET / HTTP/1.1\rHost: gateway.test\r\r\n\r\n", &[400]),
        row("fold before any field", "GET / HTTP/1.1\r\n X-A: b\r\nHost: gateway.test\r\n\r\n", &[400]),
        row(
            "chunks in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        row(
            "chunks and a length in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        row("two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", &[400]),
        row("an unknown expectation", "GET / HTTP/1.1\r\nHost: gateway.test\r\nExpect: 200-maybe\r\n\r\n", &[417]),
        row("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", &[400]),
        row("zeros", [0; 64], &[400]),
        row("SSH", "SSH-2.0-OpenSSH_9.2\r\n\r\n", &[400]),
        row("a mangled HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", &[400, 505]),
    ]
}

/// Bodies in chunks that are none.
fn chunked_bodies() -> Vec<Row> {
    let table: [&[u8]; 30] = [
        b"x\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5\t\r\nhello\r\n0\r\n\r\n",
        b"5,5\r\nhello\r\n0\r\n\r\n",
        b"5_\r\nhello\r\n0\r\n\r\n",
        b"FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"6\r\nhello\r\n0\r\n\r\n",
        b"5;\r\nhello\r\n0\r\n\r\n",
        b"5;a=\r\nhello\r\n0\r\n\r\n",
        b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5;a\nhello\r\n0\r\n\r\n",
        b"5;a=\"b\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\n",
        b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX-A : b\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX-A: b\x00\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX-A: b\n\r\n",
    ];
    let head = b"POST /v1/messages HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice();
    table.into_iter().map(|body| row(body.escape_ascii().to_string(), [head, body].concat(), &[400])).collect()
}

fn complaint(row: &Row, answer: &Response) -> Option<String> {
    if !row.statuses.contains(&answer.status()) {
        return Some(format!("{} instead of {:?}", answer.status(), row.statuses));
    }
    let error: serde_json::Value = match serde_json::from_slice(&answer.body) {
        Ok(error) => error,
        Err(_) => return Some(format!("{} with a body that is no JSON: {:?}", answer.status(), answer.text())),
    };
    let id = answer.header("x-request-id");
    if error["type"] != "error" || error["error"]["message"].as_str().is_none_or(str::is_empty) {
        return Some(format!("not in Anthropic's shape: {error}"));
    }
    if id.is_none() || error["request_id"].as_str() != id.as_deref() {
        return Some(format!("request_id {} and x-request-id {id:?}", error["request_id"]));
    }
    None
}

/// Sends each row on a connection of its own with another request behind it. Collects every complaint, so that
/// one run shows them all.
async fn all_are_refused(rows: Vec<Row>) {
    let upstream = Upstream::builder().allow_malformed().start(|_| Reply::ok("good")).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), rows.len(), "rows are named apart");
    let mut complaints = Vec::new();
    for row in &rows {
        let before = (upstream.received().len(), upstream.connections());
        let mut client = gateway.connect().await;
        client.send([row.bytes.as_slice(), SMUGGLED].concat()).await;
        let complaint = match client.try_response("POST").await {
            Ok(answer) => complaint(row, &answer),
            Err(error) => Some(format!("no answer: {error}")),
        };
        let rest = client.closed().await;
        let seen = upstream.received()[before.0..].iter().map(|got| format!("{} {}", got.method, got.target)).collect();
        let seen: Vec<String> = seen;
        complaints.extend(complaint.map(|complaint| format!("{}: {complaint}", row.name)));
        if !rest.is_empty() {
            complaints.push(format!("{}: answered what came behind it: {}", row.name, rest.escape_ascii()));
        }
        if !seen.is_empty() || upstream.connections() != before.1 {
            complaints.push(format!("{}: the upstream was touched: {seen:?}", row.name));
        }
        let good = gateway.connect().await.try_request(&Request::get("/good").header("Connection", "close")).await;
        if !good.as_ref().is_ok_and(|answer| answer.status() == 200) {
            complaints.push(format!("{}: a good request after it failed: {good:?}", row.name));
        }
    }
    for request in upstream.received() {
        complaints.extend(request.malformed.as_ref().map(|why| format!("malformed at the upstream: {why}")));
    }
    assert!(complaints.is_empty(), "{} of {} rows:\n{}", complaints.len(), rows.len(), complaints.join("\n"));
}

#[tokio::test]
async fn bad_request_lines_are_refused() {
    all_are_refused(request_lines()).await;
}

#[tokio::test]
async fn bad_fields_and_conflicting_framings_are_refused() {
    all_are_refused(field_lines()).await;
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    all_are_refused(whole_messages()).await;
}

#[tokio::test]
async fn bad_chunks_are_refused() {
    all_are_refused(chunked_bodies()).await;
}

#[tokio::test]
async fn unusual_but_correct_requests_are_not_refused() {
    let upstream = Upstream::start(|request| Reply::ok(request.body.clone())).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    let rows: [(&str, &str); 16] = [
        ("GET / HTTP/1.0\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nhost:gateway.test\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: \t gateway.test:8088 \t \r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: [::1]:8088\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHOST: 127.0.0.1\r\nX-Empty:\r\n\r\n", ""),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:5\r\n\r\nhello", "hello"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 \t\r\n\r\nhello", "hello"),
        ("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        ("POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a;b=c\r\nhello\r\n0\r\n\r\n", "hello"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b;\\\"c\"\r\nhello\r\n0\r\n\r\n",
            "hello",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", "hello"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00005\r\nhello\r\n0000\r\n\r\n", "hello"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        // RFC 9112 2.2: an empty line before a request line is skipped.
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Tab: a\tb\r\n\r\n", ""),
    ];
    let mut complaints = Vec::new();
    for (bytes, body) in rows {
        let mut client = gateway.connect().await;
        client.send(bytes).await;
        match client.try_response("POST").await {
            Ok(answer) if answer.status() == 200 && answer.text() == body => {}
            other => complaints.push(format!("{bytes:?}: {other:?}")),
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
