use super::*;

const LIMITS: Limits = Limits { header_bytes: 4096, header_count: 10, target_bytes: 100 };

fn read(head: &str) -> Result<Head, Refusal> {
    let end = Scanner::default().scan(head.as_bytes(), &LIMITS)?.expect("a whole head");
    assert_eq!(end, head.len(), "{head:?}");
    parse(head.as_bytes(), &LIMITS)
}

fn status(head: &str) -> u16 {
    read(head).expect_err(head).status
}

#[test]
fn a_body_is_delimited_by_length_or_chunks() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\ncontent-length:  42 \r\nX: y\r\n\r\n";
    let parsed = read(head).expect("valid");
    assert_eq!(parsed.framing, Framing::Length(42));
    assert_eq!(&head[parsed.framing_line], "content-length:  42 \r\n");

    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nHost: a\r\n\r\n";
    let parsed = read(head).expect("valid");
    assert_eq!(parsed.framing, Framing::Chunked);
    assert_eq!(&head[parsed.framing_line], "Transfer-Encoding: Chunked\r\n");

    assert_eq!(read("GET / HTTP/1.0\r\n\r\n").expect("valid").framing, Framing::None);
    assert_eq!(read("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").expect("valid").framing, Framing::None);
}

#[test]
fn expectations_and_upgrades_are_noticed() {
    let parsed =
        read("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n").expect("valid");
    assert!(parsed.expects_continue && !parsed.wants_upgrade);
    let parsed =
        read("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: a, Upgrade\r\n\r\n").expect("valid");
    assert!(parsed.wants_upgrade);
    let parsed = read("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").expect("valid");
    assert!(!parsed.wants_upgrade);
    let parsed = read("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").expect("valid");
    assert!(!parsed.expects_continue);
}

#[test]
fn an_absolute_target_is_served_for_its_own_host_only() {
    let head = "GET http://A:80/p?q HTTP/1.1\r\nHost: a:80\r\n\r\n";
    let target = read(head).expect("valid").absolute_target.expect("absolute");
    assert_eq!((&head[target.target], &head[target.path_and_query]), ("http://A:80/p?q", "/p?q"));
    assert_eq!(status("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    assert_eq!(status("GET http://b/ HTTP/1.0\r\n\r\n"), 400);
}

#[test]
fn a_head_that_breaks_the_rules_is_refused() {
    let cases: &[(u16, &str)] = &[
        // request lines
        (400, "GET /\r\n\r\n"),
        (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET / x HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET / http/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1x\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/11\r\nHost: a\r\n\r\n"),
        (505, "GET / HTTP/2.1\r\nHost: a\r\n\r\n"),
        (505, "GET / HTTP/3.0\r\nHost: a\r\n\r\n"),
        (400, "GET /a\x00 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET a/b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (405, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
        (405, "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
        // hosts
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a:x\r\n\r\n"),
        // field lines
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX\u{e9}: b\r\n\r\n"),
        // framing
        (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 05\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n"),
        (501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: cow, chunked\r\n\r\n"),
        (400, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (417, "POST / HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nConnection: a b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nConnection: a,b,c,d,e,f,g,h,i,j\r\n\r\n"),
    ];
    for (expected, head) in cases {
        assert_eq!(status(head), *expected, "{head:?}");
    }
}

#[test]
fn fields_are_put_last_and_the_others_keep_their_order() {
    let is_moved = |name: &[u8]| name.starts_with(b"x");
    for (fields, moved) in [
        ("x: 1\r\na: 2\r\nx2: 3\r\nb: 4\r\n", "a: 2\r\nb: 4\r\nx: 1\r\nx2: 3\r\n"),
        ("a: x: 1\r\nb:\r\n", "a: x: 1\r\nb:\r\n"),
        ("a: 1\r\nx: 2\r\n", "a: 1\r\nx: 2\r\n"),
        ("x: 1\r\n", "x: 1\r\n"),
        ("", ""),
    ] {
        let mut head = format!("GET / HTTP/1.1\r\n{fields}\r\n").into_bytes();
        super::put_last(&mut head, is_moved);
        assert_eq!(String::from_utf8_lossy(&head), format!("GET / HTTP/1.1\r\n{moved}\r\n"));
    }
}

#[test]
fn limits_have_their_own_statuses() {
    assert_eq!(status(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(100))), 414);
    // The message is true: it is the method that is too long.
    for start in ["A".repeat(65), format!("{} /{}", "A".repeat(65), "a".repeat(1000)), "A".repeat(10_000)] {
        let refusal = Scanner::default().scan(start.as_bytes(), &LIMITS).expect_err("long");
        assert_eq!(
            (refusal.status, refusal.message.to_string().as_str()),
            (501, "The request method is longer than 64 bytes.")
        );
    }
    assert_eq!(status(&format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(65))), 501);
    let longest = format!("{} /{}", "A".repeat(64), "a".repeat(LIMITS.target_bytes - 1));
    assert_eq!(Scanner::default().scan(longest.as_bytes(), &LIMITS), Ok(None));
    let endless_target = format!("GET /{}", "a".repeat(200));
    assert_eq!(Scanner::default().scan(endless_target.as_bytes(), &LIMITS).expect_err("long").status, 414);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(10));
    assert_eq!(status(&many), 431);
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(4096));
    assert_eq!(status(&large), 431);
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(4096));
    assert_eq!(Scanner::default().scan(endless.as_bytes(), &LIMITS).expect_err("large").status, 431);
}

#[test]
fn a_head_is_found_at_every_split_and_garbage_at_once() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for step in 1..head.len() {
        let mut scanner = Scanner::default();
        let mut found = None;
        for end in (step..head.len() + step).step_by(step) {
            found = scanner.scan(&head[..end.min(head.len())], &LIMITS).expect("valid");
        }
        assert_eq!(found, Some(head.len()), "step {step}");
    }
    for garbage in [&b"\x16\x03\x01"[..], b" GET", b"\0", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nHost: a\n", b"\xff"]
    {
        assert_eq!(Scanner::default().scan(garbage, &LIMITS).expect_err("garbage").status, 400, "{garbage:?}");
    }
}

#[test]
fn the_values_of_a_field_are_found_in_order() {
    let head = b"GET /x-a:0 HTTP/1.1\r\nX-A: 1\r\nx-a:2, 3 \r\nX-AB: 4\r\nx-a:\r\n\r\n";
    let values: Vec<&[u8]> = field_values(head, "X-a").collect();
    assert_eq!(values, [&b"1"[..], b"2, 3", b""]);
    assert_eq!(field_values(head, "x-b").count(), 0);
}
