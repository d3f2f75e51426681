//! `anyrouter-gateway healthcheck`: one request to the gateway's own port.

use super::reachable::reachable;
use crate::language::say;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Time to connect, and between any two bytes.
const TIME: Duration = Duration::from_secs(3);

/// Asks `/health`. Returns what to tell.
///
/// # Errors
/// When the answer is not a good one, or does not come.
pub(crate) fn check(listen: Option<SocketAddr>) -> Result<String, String> {
    let address = reachable(listen.ok_or_else(|| {
        say!(
            "gateway.listen is no address; `anyrouter-gateway check` says more",
            "gateway.listen 不是地址；详情请运行 `anyrouter-gateway check`"
        )
    })?);
    let asked = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, TIME)?;
        stream.set_read_timeout(Some(TIME))?;
        stream.set_write_timeout(Some(TIME))?;
        stream.write_all(format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.take(64 * 1024).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = asked().map_err(|error| {
        say!("http://{address}/health cannot be asked: {error}", "无法访问 http://{address}/health：{error}")
    })?;
    let line = answer.lines().next().unwrap_or_default();
    match line.split(' ').nth(1) {
        Some("200") => Ok(say!("healthy", "正常")),
        _ => Err(say!("http://{address}/health answered \"{line}\"", "http://{address}/health 返回了“{line}”")),
    }
}
