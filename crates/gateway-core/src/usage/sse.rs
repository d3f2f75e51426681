//! Server-sent events in a stream of bytes, whatever the chunking
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>).
//!
//! Only what somebody wants of an event is kept, and never more than a limit: most of a stream is text that nobody here
//! looks at, and its bytes are only searched for the ends of lines. An event that is there as a whole, and written as all
//! APIs write it, is not kept at all: its name and its data are looked at where they stand ([`whole`]).

use memchr::memchr2;

/// Longest name of an event that is told apart.
pub(crate) const LONGEST_NAME: usize = 64;
/// What stays allocated between events.
const KEPT_BYTES: usize = 1024;
/// What a stream may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How far a colon is looked for: the longest field that means anything here is `event`.
const LONGEST_START: usize = BYTE_ORDER_MARK.len() + b"event:".len();

/// Who looks at the events.
pub trait Sink {
    /// Whether the data of an event with this name is wanted; the name is empty if the event has none so far.
    fn wants_data(&self, name: &[u8]) -> bool;
    /// An event is complete; `data` is `None` if it was not wanted, or larger than the limit.
    fn event(&mut self, name: &[u8], data: Option<&[u8]>);
    /// The data of an event that was wanted is larger than the limit: so many bytes.
    fn too_large(&mut self, name: &[u8], size: usize);
}

/// Where in a line the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the field's name.
    Field,
    /// In the name of the event; a blank in front of it does not count.
    Name,
    /// The same for data that is kept.
    Data,
    /// In something that nobody looks at.
    Ignored,
}

/// Takes a stream apart.
#[derive(Debug)]
pub struct Reader {
    limit: usize,
    at: At,
    /// Whether nothing of a value was read yet.
    is_value_start: bool,
    field: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// How long the data is once it is larger than the limit; 0 otherwise.
    too_large: usize,
    /// The last byte was a CR: an LF that follows belongs to it.
    is_after_cr: bool,
}

impl Reader {
    /// Keeps at most `limit` bytes of one event's data.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            at: At::Field,
            is_value_start: false,
            field: Vec::new(),
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            too_large: 0,
            is_after_cr: false,
        }
    }

    /// Reads the next bytes.
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut impl Sink) {
        if std::mem::take(&mut self.is_after_cr) && bytes.first() == Some(&b'\n') {
            bytes = &bytes[1..];
        }
        loop {
            bytes = self.whole_events(bytes, sink);
            let Some(end) = memchr2(b'\n', b'\r', bytes) else { break };
            self.part(&bytes[..end], sink);
            self.end_of_line(sink);
            let is_pair = bytes[end..].starts_with(b"\r\n");
            self.is_after_cr = bytes[end] == b'\r' && end + 1 == bytes.len();
            bytes = &bytes[end + 1 + usize::from(is_pair)..];
        }
        self.part(bytes, sink);
    }

    /// Takes the events at the beginning of `bytes` that need not be kept; the rest of these.
    fn whole_events<'b>(&self, mut bytes: &'b [u8], sink: &mut impl Sink) -> &'b [u8] {
        let is_between = self.at == At::Field && self.field.is_empty() && self.name.is_empty() && !self.has_data;
        if is_between {
            while let Some((name, data, rest)) = whole(bytes)
                && name.len() <= LONGEST_NAME
                && data.len() <= self.limit
            {
                sink.event(name, sink.wants_data(name).then_some(data));
                bytes = rest;
            }
        }
        bytes
    }

    /// A part of a line, without its end.
    fn part(&mut self, mut bytes: &[u8], sink: &impl Sink) {
        if self.at == At::Field {
            let Some(colon) = memchr::memchr(b':', &bytes[..bytes.len().min(LONGEST_START)]) else {
                self.field.extend_from_slice(&bytes[..bytes.len().min(LONGEST_START)]);
                if self.field.len() >= LONGEST_START {
                    self.at = At::Ignored;
                }
                return;
            };
            self.field.extend_from_slice(&bytes[..colon]);
            self.begin_value(sink);
            bytes = &bytes[colon + 1..];
        }
        if self.at == At::Ignored || bytes.is_empty() {
            return;
        }
        if std::mem::take(&mut self.is_value_start) {
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
        }
        match self.at {
            At::Name => self.name.extend_from_slice(&bytes[..bytes.len().min(LONGEST_NAME - self.name.len())]),
            _ => self.keep(bytes),
        }
    }

    /// The field's name is complete.
    fn begin_value(&mut self, sink: &impl Sink) {
        self.is_value_start = true;
        self.at = match self.field.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.field) {
            b"event" => {
                self.name.clear();
                At::Name
            }
            b"data" => {
                let is_first = !std::mem::replace(&mut self.has_data, true);
                match sink.wants_data(&self.name) {
                    true => {
                        if !is_first {
                            self.keep(b"\n");
                        }
                        At::Data
                    }
                    false => At::Ignored,
                }
            }
            _ => At::Ignored,
        };
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.too_large > 0 || self.data.len() + bytes.len() > self.limit {
            self.too_large += self.data.len() + bytes.len();
            self.data = Vec::new();
        } else {
            self.data.extend_from_slice(bytes);
        }
    }

    fn end_of_line(&mut self, sink: &mut impl Sink) {
        if self.at == At::Field {
            match &self.field[..] {
                b"" => self.end_of_event(sink),
                // A field without a colon has an empty value.
                _ => self.begin_value(sink),
            }
        }
        self.at = At::Field;
        self.field.clear();
    }

    fn end_of_event(&mut self, sink: &mut impl Sink) {
        if self.too_large > 0 {
            sink.too_large(&self.name, self.too_large);
        }
        if self.has_data {
            let is_whole = self.too_large == 0 && sink.wants_data(&self.name);
            sink.event(&self.name, is_whole.then_some(&self.data[..]));
        }
        self.name.clear();
        self.data.clear();
        self.data.shrink_to(KEPT_BYTES);
        self.has_data = false;
        self.too_large = 0;
    }
}

/// Name and data of the event that `bytes` begin with, and what is behind it; `None` if it is not written as usual, in
/// three lines, or not there as a whole.
fn whole(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let line = |bytes: &'_ [u8]| memchr2(b'\n', b'\r', bytes);
    let named = bytes.strip_prefix(b"event: ")?;
    let (name, rest) = named.split_at(line(named)?);
    let told = rest.strip_prefix(b"\ndata: ")?;
    let (data, rest) = told.split_at(line(told)?);
    Some((name, data, rest.strip_prefix(b"\n\n")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Remembers everything but the data of `skipped` events.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Seen(Vec<(String, Option<String>)>, usize);

    impl Sink for Seen {
        fn wants_data(&self, name: &[u8]) -> bool {
            name != b"skipped"
        }
        fn event(&mut self, name: &[u8], data: Option<&[u8]>) {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
            self.0.push((text(name), data.map(text)));
        }
        fn too_large(&mut self, name: &[u8], size: usize) {
            let name = String::from_utf8(name.to_vec()).expect("UTF-8");
            self.0.push((name, Some(format!("{size} bytes"))));
            self.1 += 1;
        }
    }

    fn read(stream: &[u8], step: usize) -> Seen {
        let (mut reader, mut seen) = (Reader::new(20), Seen::default());
        stream.chunks(step).for_each(|chunk| reader.push(chunk, &mut seen));
        seen
    }

    #[test]
    fn events_are_the_same_however_the_stream_is_cut() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = "\u{feff}event: a\ndata: one\ndata:two\n\n: comment\nid: 7\nevent:skipped\ndata: nothing\n\n\
                          data\n\nevent: nameless\n\ndata:  zwei ü\nretry: 1\n\nevent: long\ndata: 123456789012345678901\n\n\
                          dataset: x\n\nevent: cut\ndata: never"
                .replace('\n', end);
            let some = |name: &str, data: &str| (name.to_owned(), Some(data.to_owned()));
            let expected = Seen(
                vec![
                    some("a", "one\ntwo"),
                    ("skipped".to_owned(), None),
                    some("", ""),
                    some("", " zwei ü"),
                    some("long", "21 bytes"),
                    ("long".to_owned(), None),
                ],
                1,
            );
            for step in 1..=stream.len() {
                assert_eq!(read(stream.as_bytes(), step), expected, "{end:?} in steps of {step}");
            }
        }
    }

    proptest! {
        #[test]
        fn events_that_come_as_a_whole_are_those_that_come_byte_by_byte(
            lines in prop::collection::vec(
                ("(event: |event:|data: |data:|data|id: |: |\u{feff}event: |)", "( |)[a-zü\"\\\\]{0,24}|skipped|x{62,68}", "(\n|\n|\n\n|\n\n|\r\n|\r\n\r\n|\r)"),
                0..24,
            ),
            usual in prop::collection::vec(("[a-z]{0,8}|skipped", "[a-zü]{0,24}"), 0..8),
            step in 1usize..64,
        ) {
            let odd = |range: std::ops::Range<usize>| {
                let lines = lines.get(range).unwrap_or_default().iter();
                lines.map(|(field, value, end)| format!("{field}{value}{end}")).collect::<String>()
            };
            let usual: String = usual.iter().map(|(name, data)| format!("event: {name}\ndata: {data}\n\n")).collect();
            let stream = format!("{usual}{}\n\n{usual}{}", odd(0..lines.len() / 2), odd(lines.len() / 2..lines.len()));
            let slowly = read(stream.as_bytes(), 1);
            prop_assert_eq!(&read(stream.as_bytes(), stream.len()), &slowly);
            prop_assert_eq!(&read(stream.as_bytes(), step), &slowly);
        }
    }

    #[test]
    fn a_field_without_a_colon_is_one_with_an_empty_value() {
        let stream = "event: a\nevent\ndata: one\ndata\ndata: two\n\ndata\ndata\n\n";
        let event = |data: &str| (String::new(), Some(data.to_owned()));
        for step in 1..=stream.len() {
            assert_eq!(read(stream.as_bytes(), step), Seen(vec![event("one\n\ntwo"), event("\n")], 0));
        }
    }

    #[test]
    fn nothing_grows_without_end() {
        let (mut reader, mut seen) = (Reader::new(20), Seen::default());
        for piece in ["event: ", "data: ", "", "x: "] {
            reader.push(piece.as_bytes(), &mut seen);
            (0..1000).for_each(|_| reader.push(&[b'x'; 1000], &mut seen));
            reader.push(b"\n", &mut seen);
        }
        assert!(
            reader.field.capacity() <= 64 && reader.name.capacity() <= 128 && reader.data.capacity() <= 64,
            "{reader:?}"
        );
    }
}
