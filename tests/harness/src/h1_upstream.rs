//! The mock upstream's HTTP/1.1 side.

use crate::received::{Answering, Received, Shared};
use crate::reply::{Reply, Step};
use crate::wire::{self, BodyReader, Framing, Wire, WireError, malformed, show};

/// Serves one connection to its end.
pub(crate) async fn serve(wire: &mut Wire, number: usize, shared: &Shared) {
    while let Ok(true) = exchange(wire, number, shared).await {}
}

/// One request and its answer; whether the connection can carry another.
async fn exchange(wire: &mut Wire, connection: usize, shared: &Shared) -> Result<bool, WireError> {
    let mut request = Received::on(connection);
    let outcome = read_head(wire, &mut request).await;
    if let Ok(false) = outcome {
        return Ok(false);
    }
    if outcome.is_ok()
        && let Some(reply) = shared.early.as_ref().and_then(|early| early(&request))
    {
        let head_request = request.method == "HEAD";
        shared.record(request);
        return send(wire, &reply, head_request).await.map(|_| false);
    }
    let outcome = match outcome {
        Ok(_) => read_body(wire, &mut request).await,
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        request.malformed = Some(error.to_string());
        shared.record(request);
        let refusal = Reply::status(400).header("Connection", "close");
        return send(wire, &refusal, false).await.map(|_| false);
    }
    let request = shared.record(request);
    let reply = (shared.handler)(&request);
    let _answering = Answering::new(shared);
    let stays = send(wire, &reply, request.method == "HEAD").await?;
    let asked = request.headers.all("connection").join(",").to_ascii_lowercase();
    Ok(stays && !asked.split(',').any(|option| option.trim() == "close"))
}

/// False: the connection ended between requests.
async fn read_head(wire: &mut Wire, request: &mut Received) -> Result<bool, WireError> {
    let raw = match wire.head().await {
        Ok(Some(raw)) => raw,
        // A reset between requests is how many a pool drops a connection.
        Ok(None) => return Ok(false),
        Err(WireError::Io(_)) if wire.buf.is_empty() => return Ok(false),
        Err(error) => {
            request.raw_head = wire.buf.clone();
            return Err(error);
        }
    };
    request.raw_head = raw.clone();
    let lines = wire::lines(&raw)?;
    let parts: Vec<&[u8]> = lines[0].split(|&byte| byte == b' ').collect();
    let [method, target, version] = parts.as_slice() else {
        return malformed(format!("request line {}", show(lines[0])));
    };
    request.method = String::from_utf8_lossy(method).into_owned();
    request.target = String::from_utf8_lossy(target).into_owned();
    if method.is_empty() || !method.iter().all(|&byte| wire::is_token(byte)) {
        return malformed(format!("method {}", show(method)));
    }
    let visible = target.iter().all(|&byte| (0x21..0x7f).contains(&byte) && byte != b'#');
    let form = target.starts_with(b"/") || (*target == b"*" && *method == b"OPTIONS");
    if !visible || !form {
        return malformed(format!("target {}", show(target)));
    }
    if *version != b"HTTP/1.1" {
        return malformed(format!("version {}", show(version)));
    }
    request.headers = wire::fields(lines[1..].iter().copied())?;
    match request.headers.all("host").as_slice() {
        [host] if !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:[]".contains(&b)) => {}
        hosts => return malformed(format!("Host {hosts:?}")),
    }
    request.framing = wire::declared_framing(&request.headers)?.unwrap_or(Framing::None);
    Ok(true)
}

async fn read_body(wire: &mut Wire, request: &mut Received) -> Result<(), WireError> {
    let mut reader = BodyReader::new(request.framing);
    while let Some(piece) = reader.next(wire).await? {
        request.body.extend(piece);
    }
    request.trailers = reader.trailers;
    Ok(())
}

/// Sends an answer; whether the connection can carry another request after it.
async fn send(wire: &mut Wire, reply: &Reply, to_head_request: bool) -> Result<bool, WireError> {
    if !reply.raw {
        let mut head = Vec::new();
        for (status, fields) in &reply.interim {
            head.extend(format!("HTTP/1.1 {status} {}\r\n", reason(*status)).bytes());
            for (name, value) in fields {
                head.extend(format!("{name}: {value}\r\n").bytes());
            }
            head.extend(b"\r\n");
        }
        head.extend(format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status)).bytes());
        for (name, value) in &reply.headers {
            head.extend(name.bytes());
            head.extend(b": ");
            head.extend(value);
            head.extend(b"\r\n");
        }
        match reply.framing {
            Framing::None => {}
            Framing::Length(n) => head.extend(format!("Content-Length: {n}\r\n").bytes()),
            Framing::Chunked => head.extend(b"Transfer-Encoding: chunked\r\n"),
            Framing::Close => head.extend(b"Connection: close\r\n"),
        }
        head.extend(b"\r\n");
        wire.write(&head).await?;
    }
    let bodiless = !reply.raw && (to_head_request || reply.status == 204 || reply.status == 304);
    for step in if bodiless { &[] } else { reply.steps.as_slice() } {
        match step {
            Step::Bytes(bytes) if reply.framing == Framing::Chunked => {
                if !bytes.is_empty() {
                    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
                    chunk.extend(bytes);
                    chunk.extend(b"\r\n");
                    wire.write(&chunk).await?;
                }
            }
            Step::Bytes(bytes) | Step::Raw(bytes) => wire.write(bytes).await?,
            Step::Shared(bytes) => wire.write(bytes).await?,
            Step::Sleep(time) => or_gone(wire, tokio::time::sleep(*time)).await?,
            Step::Wait(gate) => or_gone(wire, gate.pass()).await?,
            Step::Stall => or_gone(wire, std::future::pending()).await?,
            Step::Close => return Ok(false),
            Step::Reset => {
                wire.socket.reset_on_close();
                return Ok(false);
            }
            Step::Echo => loop {
                if wire.buf.is_empty() && wire.fill().await? == 0 {
                    return Ok(false);
                }
                let bytes = std::mem::take(&mut wire.buf);
                wire.write(&bytes).await?;
            },
        }
    }
    if reply.framing == Framing::Chunked && !bodiless {
        wire.write(b"0\r\n\r\n").await?;
    }
    let asked_to_close = reply
        .headers
        .iter()
        .any(|(name, value)| name.eq_ignore_ascii_case("connection") && value.to_ascii_lowercase().ends_with(b"close"));
    Ok(!reply.raw && reply.framing != Framing::Close && !asked_to_close)
}

/// Waits for `event`, or fails when the other side goes away first.
async fn or_gone(wire: &mut Wire, event: impl Future<Output = ()>) -> Result<(), WireError> {
    tokio::pin!(event);
    loop {
        tokio::select! {
            () = &mut event => return Ok(()),
            read = wire.fill() => if read? == 0 {
                return Err(WireError::Cut("the other side went away".into()));
            }
        }
    }
}

fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unknown")
}
