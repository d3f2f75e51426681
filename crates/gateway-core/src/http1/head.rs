//! The head of a request (RFC 9112 sections 2 to 7), read strictly from its raw bytes.

use super::target::{Target, is_host};
use super::{Refusal, is_field_value, is_token, is_token_byte, list_members, trim_ows};
use crate::language::both;
use crate::reason::Reason;
use std::borrow::Cow;
use std::ops::Range;

/// Upper bounds of a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole head, request line included.
    pub header_bytes: usize,
    /// Number of field lines.
    pub header_count: usize,
    /// Bytes of the request target.
    pub target_bytes: usize,
}

/// Longest method: those that are registered have up to 17 bytes.
pub const METHOD_BYTES: usize = 64;

/// Most field lines that `header_count` may allow.
pub const MOST_FIELDS: usize = 250;

/// How the body of a request is delimited (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// What the gateway has to know of a head before Pingora parses it. Ranges are offsets into the head's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// How the body is delimited.
    pub framing: Framing,
    /// The field line that says so, CRLF included; empty for [`Framing::None`].
    pub framing_line: Range<usize>,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Whether the client asks for another protocol on this connection.
    pub wants_upgrade: bool,
    /// An absolute-form target, of which only path and query are to be forwarded. `None` for all other forms.
    pub absolute_target: Option<AbsoluteTarget>,
}

/// A target in absolute form, and what of it is to be forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsoluteTarget {
    /// The whole target.
    pub target: Range<usize>,
    path_and_query: Range<usize>,
}

impl AbsoluteTarget {
    /// The target as it is forwarded from this head: path and query. `OPTIONS` without both asks about the server as a
    /// whole (RFC 9112 section 3.2.4).
    pub fn forwarded<'h>(&self, head: &'h [u8]) -> Cow<'h, [u8]> {
        match &head[self.path_and_query.clone()] {
            path @ [b'/', ..] => path.into(),
            [] if head.starts_with(b"OPTIONS ") => b"*".into(),
            query => [b"/", query].concat().into(),
        }
    }
}

/// Finds the end of a head in a growing buffer, refusing what can never become one.
#[derive(Debug, Default)]
pub struct Scanner {
    line_start: usize,
    lines: usize,
}

impl Scanner {
    /// The length of the head, its final blank line included, or `None` if it is not whole yet. `bytes` must
    /// begin with the head's first byte and only grow between calls.
    ///
    /// # Errors
    /// 400 for lines that do not end in CR LF and for bytes that no request begins with; 414 and 431 beyond the limits.
    pub fn scan(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        if let Some(&first) = bytes.first()
            && !is_token_byte(first)
        {
            return Err(not_http(bytes));
        }
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.line_start..]) {
            let end = self.line_start + found;
            if end == self.line_start || bytes[end - 1] != b'\r' {
                return Err(Refusal::bad(
                    Reason::LineEnd,
                    both!("A line of the request head ends without CR LF.", "请求头中有一行没有以 CR LF 结尾。"),
                ));
            }
            let is_blank = end - 1 == self.line_start;
            self.line_start = end + 1;
            if end + 1 > limits.header_bytes {
                break;
            }
            if is_blank {
                return Ok(Some(end + 1));
            }
            self.lines += 1;
            if self.lines > limits.header_count + 1 {
                return Err(Refusal::new(
                    431,
                    Reason::HeaderCount,
                    both!(
                        "The request has more than {most} header fields.",
                        "请求头超过 {most} 个。",
                        most = limits.header_count
                    ),
                ));
            }
        }
        if self.lines == 0 {
            check_line(bytes, limits)?;
        }
        if bytes.len() > limits.header_bytes || self.line_start > limits.header_bytes {
            return Err(Refusal::new(
                431,
                Reason::HeaderBytes,
                both!(
                    "The request head is larger than {most} bytes.",
                    "请求头总共超过 {most} 字节。",
                    most = limits.header_bytes
                ),
            ));
        }
        Ok(None)
    }
}

fn not_http(bytes: &[u8]) -> Refusal {
    let message = match bytes {
        [0x16, ..] => both!(
            "This port speaks plain HTTP, but a TLS handshake came in: use http:// instead of https://.",
            "此端口只支持明文 HTTP，收到的却是 TLS 握手：请把 https:// 改为 http://。"
        ),
        _ => both!("This is not an HTTP request.", "这不是 HTTP 请求。"),
    };
    Refusal::bad(Reason::NotHttp, message)
}

/// Looks at the beginning of a request line.
///
/// # Errors
/// When its method or its target is too long already.
fn check_line(bytes: &[u8], limits: &Limits) -> Result<(), Refusal> {
    const BEHIND_TARGET: usize = b" HTTP/1.1\r".len();
    match memchr::memchr(b' ', &bytes[..bytes.len().min(METHOD_BYTES + 1)]) {
        None if bytes.len() > METHOD_BYTES => Err(method_too_long()),
        Some(method) if bytes.len() - (method + 1) > limits.target_bytes + BEHIND_TARGET => {
            Err(target_too_long(limits))
        }
        _ => Ok(()),
    }
}

fn method_too_long() -> Refusal {
    let message =
        both!("The request method is longer than {METHOD_BYTES} bytes.", "请求方法超过 {METHOD_BYTES} 字节。");
    Refusal::new(501, Reason::Method, message)
}

fn target_too_long(limits: &Limits) -> Refusal {
    Refusal::new(
        414,
        Reason::TargetBytes,
        both!(
            "The request target is longer than {most} bytes.",
            "请求目标超过 {most} 字节。",
            most = limits.target_bytes
        ),
    )
}

/// Reads a whole head, its final blank line included, as [`Scanner`] found it.
///
/// # Errors
/// The refusal of the first rule that the head breaks.
pub fn parse(head: &[u8], limits: &Limits) -> Result<Head, Refusal> {
    let line_end = memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1);
    let line = RequestLine::parse(head[..line_end].strip_suffix(b"\r\n").unwrap_or(&head[..line_end]), limits)?;

    let mut fields = Fields::default();
    let mut at = line_end;
    while at < head.len() {
        let end = memchr::memchr(b'\n', &head[at..]).map_or(head.len(), |found| at + found + 1);
        let content = head[at..end].strip_suffix(b"\r\n").unwrap_or(&head[at..end]);
        if !content.is_empty() {
            fields.read(content, at..end)?;
        }
        at = end;
    }
    fields.finish(line)
}

/// The fields of a head that [`parse`] found good: names and values, in order.
pub fn fields(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = head;
    let lines = std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        Some(line)
    });
    // The first line is the request's.
    lines.skip(1).filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        Some((&line[..colon], trim_ows(&line[colon + 1..])))
    })
}

/// Moves the fields of these names to the end of a head that [`parse`] found good; the others keep their order.
pub fn put_last(head: &mut [u8], is_moved: impl Fn(&[u8]) -> bool) {
    // The blank line stays the last; before it stand those that were moved.
    let blank = head.len().saturating_sub(2);
    let mut end = blank;
    let mut at = memchr::memchr(b'\n', head).map_or(end, |found| found + 1);
    while let Some(length) = head.get(at..end).and_then(|rest| memchr::memchr(b'\n', rest)).map(|found| found + 1) {
        let name = memchr::memchr(b':', &head[at..at + length]).map_or(0, |colon| colon);
        if is_moved(&head[at..at + name]) {
            head[at..blank].rotate_left(length);
            end -= length;
        } else {
            at += length;
        }
    }
}

/// The values of a field in a head that [`parse`] found good, in order.
pub fn field_values<'h>(head: &'h [u8], name: &'h str) -> impl DoubleEndedIterator<Item = &'h [u8]> {
    head.split(|&byte| byte == b'\n').filter_map(move |line| {
        let colon = memchr::memchr(b':', line)?;
        let is_it = line[..colon].eq_ignore_ascii_case(name.as_bytes());
        is_it.then(|| line[colon + 1..].trim_ascii())
    })
}

struct RequestLine<'a> {
    target: &'a [u8],
    /// Offset of the target in the head.
    target_at: usize,
    form: Target<'a>,
    is_http10: bool,
}

impl<'a> RequestLine<'a> {
    fn parse(line: &'a [u8], limits: &Limits) -> Result<Self, Refusal> {
        let malformed = || {
            Refusal::bad(
                Reason::RequestLine,
                both!("The request line is not 'METHOD TARGET HTTP/1.1'.", "请求行不是“方法 目标 HTTP/1.1”的格式。"),
            )
        };
        let method_end = memchr::memchr(b' ', line).ok_or_else(malformed)?;
        let version_at = memchr::memrchr(b' ', line).ok_or_else(malformed)?;
        if method_end == version_at {
            return Err(malformed());
        }
        let (method, target, version) =
            (&line[..method_end], &line[method_end + 1..version_at], &line[version_at + 1..]);
        if !is_token(method) {
            return Err(Refusal::bad(
                Reason::Method,
                both!("The request method is not a token.", "请求方法中有不允许的字符。"),
            ));
        }
        let is_http10 = match version {
            b"HTTP/1.0" => true,
            // A later minor version is understood as the latest that is known (RFC 9110 section 2.5).
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => false,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
                return Err(Refusal::new(
                    505,
                    Reason::Version,
                    both!(
                        "Only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here.",
                        "这里只支持 HTTP/1.0、HTTP/1.1 和 HTTP/2。"
                    ),
                ));
            }
            _ => return Err(malformed()),
        };
        check_method(method)?;
        if target.len() > limits.target_bytes {
            return Err(target_too_long(limits));
        }
        let form = Target::parse(method, target)?;
        Ok(Self { target, target_at: method_end + 1, form, is_http10 })
    }
}

/// Refuses the methods that a gateway must not pass on.
///
/// # Errors
/// 405 for CONNECT, which would make a tunnel, and TRACE, which would show a client the injected credentials; 501 for one
/// that nobody knows, because it is too long.
pub fn check_method(method: &[u8]) -> Result<(), Refusal> {
    match method {
        b"CONNECT" | b"TRACE" => Err(Refusal::new(
            405,
            Reason::Method,
            both!("CONNECT and TRACE are not served by this gateway.", "网关不支持 CONNECT 和 TRACE。"),
        )),
        long if long.len() > METHOD_BYTES => Err(method_too_long()),
        _ => Ok(()),
    }
}

/// Refuses an `Expect` value that nobody here can meet.
///
/// # Errors
/// 417 for everything but `100-continue`.
pub fn check_expect(value: &[u8]) -> Result<(), Refusal> {
    if value.eq_ignore_ascii_case(b"100-continue") {
        Ok(())
    } else {
        Err(Refusal::new(
            417,
            Reason::Expect,
            both!("The only expectation that can be met is 100-continue.", "Expect 只支持 100-continue。"),
        ))
    }
}

/// Refuses `Connection` options that would remove fields the gateway depends on, or that are no tokens. `nominated`
/// counts over all `Connection` lines of a request: Pingora takes at most nine.
///
/// # Errors
/// 400, as Pingora would answer, but before a connection to an upstream is used.
pub fn check_connection(value: &[u8], nominated: &mut usize) -> Result<(), Refusal> {
    for option in list_members(value) {
        *nominated += 1;
        let protected = ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]
            .iter()
            .any(|name| option.eq_ignore_ascii_case(name.as_bytes()));
        if !is_token(option) || protected || *nominated > 9 {
            return Err(Refusal::bad(
                Reason::Connection,
                both!(
                    "The Connection header names a field that may not be removed, is malformed, or has over 9 options.",
                    "Connection 请求头中写了不能去掉的请求头，或格式有误，或超过 9 项。"
                ),
            ));
        }
    }
    Ok(())
}

/// What the field lines add up to.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<(u64, Range<usize>)>,
    transfer_encoding: Option<Range<usize>>,
    expects_continue: bool,
    upgrade: bool,
    connection_upgrade: bool,
    connection_options: usize,
}

impl<'a> Fields<'a> {
    /// Takes in one field line without its CRLF; `whole` is its place in the head, CRLF included.
    fn read(&mut self, line: &'a [u8], whole: Range<usize>) -> Result<(), Refusal> {
        let malformed = || {
            Refusal::bad(
                Reason::Header,
                both!(
                    "A header line is malformed: 'name: value' is expected, on one line.",
                    "有一行请求头格式有误：每行应为“名称: 值”。"
                ),
            )
        };
        let colon = memchr::memchr(b':', line).ok_or_else(malformed)?;
        let (name, value) = (&line[..colon], trim_ows(&line[colon + 1..]));
        if !is_token(name) {
            return Err(malformed());
        }
        if !is_field_value(value) {
            return Err(Refusal::bad(
                Reason::Header,
                both!("A header value has control characters in it.", "有请求头的值中含有控制字符。"),
            ));
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.read_host(value),
            6 if name.eq_ignore_ascii_case(b"expect") => {
                check_expect(value)?;
                self.expects_continue = true;
                Ok(())
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade = true;
                Ok(())
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.connection_upgrade |= list_members(value).any(|option| option.eq_ignore_ascii_case(b"upgrade"));
                check_connection(value, &mut self.connection_options)
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.read_content_length(value, whole),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.read_transfer_encoding(value, whole),
            _ => Ok(()),
        }
    }

    fn read_host(&mut self, value: &'a [u8]) -> Result<(), Refusal> {
        if self.host.is_some() {
            return Err(Refusal::bad(
                Reason::Host,
                both!("The Host header is there more than once.", "Host 请求头出现了多次。"),
            ));
        }
        if !is_host(value) {
            return Err(Refusal::bad(
                Reason::Host,
                both!(
                    "The Host header is not a host name or address with an optional port.",
                    "Host 请求头不是主机名或地址（可带端口）。"
                ),
            ));
        }
        self.host = Some(value);
        Ok(())
    }

    fn read_content_length(&mut self, value: &[u8], whole: Range<usize>) -> Result<(), Refusal> {
        let bad = |message| Err(Refusal::bad(Reason::ContentLength, message));
        if self.content_length.is_some() {
            return bad(both!(
                "The Content-Length header is there more than once.",
                "Content-Length 请求头出现了多次。"
            ));
        }
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return bad(both!("The Content-Length header is not a number.", "Content-Length 请求头不是数字。"));
        }
        if value.len() > 1 && value[0] == b'0' {
            return bad(both!(
                "The Content-Length header has leading zeros.",
                "Content-Length 请求头的数字以 0 开头。"
            ));
        }
        let length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
        let Some(length) = length else {
            return bad(both!("The Content-Length header is too large a number.", "Content-Length 请求头的数字太大。"));
        };
        self.content_length = Some((length, whole));
        Ok(())
    }

    fn read_transfer_encoding(&mut self, value: &[u8], whole: Range<usize>) -> Result<(), Refusal> {
        if self.transfer_encoding.is_some() {
            return Err(Refusal::bad(
                Reason::TransferEncoding,
                both!("The Transfer-Encoding header is there more than once.", "Transfer-Encoding 请求头出现了多次。"),
            ));
        }
        let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
        let mut codings: Vec<&[u8]> = list_members(value).collect();
        match codings.pop() {
            Some(last) if is_chunked(last) && codings.is_empty() && value.eq_ignore_ascii_case(b"chunked") => {}
            Some(last)
                if is_chunked(last) && !codings.is_empty() && !codings.iter().any(|coding| is_chunked(coding)) =>
            {
                return Err(Refusal::new(
                    501,
                    Reason::TransferEncoding,
                    both!("The only transfer coding spoken here is chunked.", "Transfer-Encoding 只支持 chunked。"),
                ));
            }
            _ => {
                return Err(Refusal::bad(
                    Reason::TransferEncoding,
                    both!(
                        "The Transfer-Encoding of a request must be 'chunked'.",
                        "请求的 Transfer-Encoding 只能是 chunked。"
                    ),
                ));
            }
        }
        self.transfer_encoding = Some(whole);
        Ok(())
    }

    /// The rules that need more than one field.
    fn finish(self, line: RequestLine<'_>) -> Result<Head, Refusal> {
        if self.host.is_none() && !line.is_http10 {
            return Err(Refusal::bad(Reason::Host, both!("The Host header is missing.", "缺少 Host 请求头。")));
        }
        let absolute_target = match line.form {
            Target::Absolute { authority, path_and_query } => {
                if !self.host.is_some_and(|host| authority.eq_ignore_ascii_case(host)) {
                    return Err(Refusal::bad(
                        Reason::Target,
                        both!(
                            "The request target names another host than the Host header: this gateway is no open proxy.",
                            "请求目标中的主机与 Host 请求头不同：网关不是开放代理。"
                        ),
                    ));
                }
                let target = line.target_at..line.target_at + line.target.len();
                Some(AbsoluteTarget { path_and_query: target.end - path_and_query.len()..target.end, target })
            }
            Target::Origin | Target::Asterisk => None,
        };
        let (framing, framing_line) = match (self.content_length, self.transfer_encoding) {
            (Some(_), Some(_)) => {
                return Err(Refusal::bad(
                    Reason::Framing,
                    both!(
                        "Content-Length and Transfer-Encoding are both there: the body's end is ambiguous.",
                        "Content-Length 和 Transfer-Encoding 同时出现，无法确定请求体在哪里结束。"
                    ),
                ));
            }
            (None, Some(_)) if line.is_http10 => {
                return Err(Refusal::bad(
                    Reason::Framing,
                    both!(
                        "HTTP/1.0 requests cannot use Transfer-Encoding.",
                        "HTTP/1.0 请求不能使用 Transfer-Encoding。"
                    ),
                ));
            }
            (None, Some(whole)) => (Framing::Chunked, whole),
            (Some((0, _)), None) | (None, None) => (Framing::None, 0..0),
            (Some((length, whole)), None) => (Framing::Length(length), whole),
        };
        Ok(Head {
            framing,
            framing_line,
            expects_continue: self.expects_continue && !line.is_http10,
            wants_upgrade: self.upgrade && self.connection_upgrade && !line.is_http10,
            absolute_target,
        })
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
