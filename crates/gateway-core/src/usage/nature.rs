//! What a response is, by how its bytes begin: relays send event streams as JSON, JSON as event streams, and both under
//! no type at all.

/// What a response is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nature {
    /// Nothing: no byte, or nothing but blanks.
    #[default]
    Empty,
    /// A stream of events.
    Stream,
    /// A JSON object or list.
    Reply,
    /// A web page.
    Page,
    /// A text that is none of these, where one of them was announced.
    Text,
    /// Something else, of which nothing was announced that anybody here could judge.
    Unknown,
}

/// The fields of an event stream. A stream may begin with any, and with a comment.
const FIELDS: [&[u8]; 4] = [b"event", b"data", b"id", b"retry"];
/// Longest name of a field that nobody knows.
const LONGEST_FIELD: usize = 64;
/// What a text in UTF-8 may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a response was announced as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// A stream of events.
    Stream,
    /// JSON, or a text.
    Text,
    /// Anything else, or nothing.
    Other,
}

impl Announced {
    /// By `Content-Type`.
    pub(super) fn of(content_type: &[u8]) -> Self {
        let is = |name: &[u8]| content_type.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        match () {
            () if is(b"text/event-stream") => Self::Stream,
            () if is(b"application/json") || is(b"text/") || is(b"application/x-ndjson") => Self::Text,
            () => Self::Other,
        }
    }

    /// What a text is that looks like nothing that is known.
    pub(super) fn of_text(self) -> Nature {
        if self == Self::Other { Nature::Unknown } else { Nature::Text }
    }
}

/// What a response is that begins with `bytes` and was announced so; `None` if too little is there to tell.
pub(super) fn sniff(bytes: &[u8], announced: Announced) -> Option<Nature> {
    let text = without_mark(bytes)?.trim_ascii_start();
    Some(match text.first()? {
        b'{' | b'[' => Nature::Reply,
        b'<' => Nature::Page,
        b':' => Nature::Stream,
        _ if FIELDS.iter().any(|field| is_field(text, field)) => Nature::Stream,
        _ if FIELDS.iter().any(|field| field.starts_with(text)) => return None,
        _ if announced == Announced::Stream => return unknown_field(text),
        _ => announced.of_text(),
    })
}

/// How much of `bytes` stands before anything that tells what they are: blanks only, so that they need not be kept.
pub(super) fn blanks(bytes: &[u8]) -> usize {
    bytes.len() - bytes.trim_ascii_start().len()
}

/// What is to be kept of bytes that do not tell yet: no blanks, behind a byte order mark neither.
pub(super) fn undecided(bytes: &[u8]) -> Vec<u8> {
    match bytes.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => [BYTE_ORDER_MARK, rest.trim_ascii_start()].concat(),
        None => bytes.to_vec(),
    }
}

/// The bytes without a byte order mark; `None` if they may be the beginning of one.
pub(super) fn without_mark(bytes: &[u8]) -> Option<&[u8]> {
    match bytes.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => Some(rest),
        None if BYTE_ORDER_MARK.starts_with(bytes) => None,
        None => Some(bytes),
    }
}

fn is_field(text: &[u8], field: &[u8]) -> bool {
    text.strip_prefix(field).and_then(<[u8]>::first).is_some_and(|next| b":\r\n".contains(next))
}

/// What was announced as a stream, and begins with none of its fields. It may have some that nobody knows.
fn unknown_field(text: &[u8]) -> Option<Nature> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    // No further, however much is there: it is the same when less comes at a time.
    let begin = &text[..text.len().min(LONGEST_FIELD)];
    match begin.iter().position(|byte| !is_name(byte)) {
        Some(end) if end > 0 && begin[end] == b':' => Some(Nature::Stream),
        None if text.len() < LONGEST_FIELD => None,
        _ => Some(Nature::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_what_it_begins_like() {
        use Nature::*;
        for (bytes, content_type, nature) in [
            ("event: ping\n", "application/json", Some(Stream)),
            ("data:{}", "", Some(Stream)),
            ("data\n", "", Some(Stream)),
            ("\r\n\n id: 1", "text/plain", Some(Stream)),
            (": a comment", "", Some(Stream)),
            ("\u{feff}\nretry: 1", "", Some(Stream)),
            ("ev", "text/event-stream", None),
            ("event", "", None),
            ("\u{feff}", "", None),
            ("  ", "", None),
            ("", "", None),
            ("{", "text/event-stream", Some(Reply)),
            ("\u{feff} [", "", Some(Reply)),
            ("\n<!doctype html>", "application/json", Some(Page)),
            ("evening", "application/json; charset=utf-8", Some(Text)),
            ("upstream connect error", "text/plain", Some(Text)),
            ("unknown: field", "text/event-stream", Some(Stream)),
            ("unknown", "text/event-stream", None),
            ("upstream connect error: no", "text/event-stream", Some(Text)),
            ("hello", "", Some(Unknown)),
            ("database", "application/octet-stream", Some(Unknown)),
        ] {
            let announced = Announced::of(content_type.as_bytes());
            assert_eq!(sniff(bytes.as_bytes(), announced), nature, "{bytes:?} as {content_type:?}");
        }
        assert_eq!(sniff(b"\xef\xbb", Announced::Other), None);
        for length in [LONGEST_FIELD - 1, LONGEST_FIELD, LONGEST_FIELD + 1] {
            let name = "x".repeat(length);
            let natures = [&name, &format!("{name}: y")].map(|text| sniff(text.as_bytes(), Announced::Stream));
            let is_short = length < LONGEST_FIELD;
            assert_eq!(natures, if is_short { [None, Some(Stream)] } else { [Some(Text); 2] }, "{length} bytes");
        }
    }
}
