//! Reads one HTTP/1.1 response as it arrives and compares its body with the expected one; no IO.

/// What a reply turned out to be so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More bytes are needed.
    Open,
    /// The whole reply was read and it is the expected one.
    Complete,
}

/// A push parser for one reply: a 200 whose body is the expected bytes, framed by length or in chunks.
pub(crate) struct Reply<'a> {
    expected: &'a [u8],
    received: usize,
    head: Vec<u8>,
    part: Part,
}

enum Part {
    Head,
    Length(usize),
    ChunkSize(Vec<u8>),
    ChunkData(usize),
    Trailer(Vec<u8>),
}

impl<'a> Reply<'a> {
    /// A reader for a reply whose body must be `expected`.
    pub(crate) fn new(expected: &'a [u8]) -> Self {
        Reply { expected, received: 0, head: Vec::with_capacity(1024), part: Part::Head }
    }

    /// Body bytes received and found right.
    pub(crate) fn received(&self) -> usize {
        self.received
    }

    /// Takes the next bytes; the error says what is wrong with the reply.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<Progress, String> {
        while !bytes.is_empty() {
            match &mut self.part {
                Part::Head => {
                    let before = self.head.len();
                    self.head.extend_from_slice(bytes);
                    let Some(end) = memchr::memmem::find(&self.head, b"\r\n\r\n") else { return Ok(Progress::Open) };
                    bytes = &bytes[end + 4 - before..];
                    self.head.truncate(end + 2);
                    self.part = self.framing(bytes)?;
                }
                Part::Length(left) => {
                    if bytes.len() > *left {
                        return Err("bytes after the end of the reply".into());
                    }
                    *left -= bytes.len();
                    let done = *left == 0;
                    self.body(bytes)?;
                    return if done { self.whole() } else { Ok(Progress::Open) };
                }
                Part::ChunkSize(line) => {
                    line.push(bytes[0]);
                    bytes = &bytes[1..];
                    if line.ends_with(b"\r\n") {
                        let text = std::str::from_utf8(&line[..line.len() - 2]).unwrap_or("?");
                        let size = usize::from_str_radix(text, 16).map_err(|_| format!("chunk size {text:?}"))?;
                        self.part = if size == 0 { Part::Trailer(Vec::new()) } else { Part::ChunkData(size + 2) };
                    }
                }
                Part::ChunkData(left) => {
                    let taken = bytes.len().min(*left);
                    let data = taken.min(left.saturating_sub(2));
                    *left -= taken;
                    if *left == 0 {
                        self.part = Part::ChunkSize(Vec::with_capacity(8));
                    }
                    self.body(&bytes[..data])?;
                    bytes = &bytes[taken..];
                }
                Part::Trailer(end) => {
                    end.extend_from_slice(bytes);
                    return match end.as_slice() {
                        b"\r" => Ok(Progress::Open),
                        b"\r\n" => self.whole(),
                        _ => Err("a trailer or bytes after the last chunk".into()),
                    };
                }
            }
        }
        Ok(Progress::Open)
    }

    fn framing(&self, rest: &[u8]) -> Result<Part, String> {
        let head = String::from_utf8_lossy(&self.head);
        if !head.starts_with("HTTP/1.1 200") {
            return Err(format!("{head}{}", String::from_utf8_lossy(&rest[..rest.len().min(300)])));
        }
        let field = |name: &str| {
            let is_it = |line: &&str| line.split(':').next().is_some_and(|found| found.eq_ignore_ascii_case(name));
            head.lines().find(is_it).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
        };
        match (field("content-length"), field("transfer-encoding")) {
            (Some(length), None) => length.parse().map(Part::Length).map_err(|_| format!("content-length {length}")),
            (None, Some("chunked")) => Ok(Part::ChunkSize(Vec::with_capacity(8))),
            _ => Err(format!("a reply without clear framing: {head}")),
        }
    }

    fn body(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.expected.get(self.received..self.received + bytes.len()) != Some(bytes) {
            return Err(format!("another body than expected, after {} bytes", self.received));
        }
        self.received += bytes.len();
        Ok(())
    }

    fn whole(&self) -> Result<Progress, String> {
        if self.received != self.expected.len() {
            return Err(format!("body ended after {} of {} bytes", self.received, self.expected.len()));
        }
        Ok(Progress::Complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";

    #[test]
    fn every_split_of_a_right_reply_is_accepted() {
        for reply in [SIZED, CHUNKED] {
            for split in 1..reply.len() {
                let mut reader = Reply::new(b"hello");
                assert_eq!(reader.push(&reply[..split]), Ok(Progress::Open), "split at {split}");
                assert_eq!(reader.push(&reply[split..]), Ok(Progress::Complete), "split at {split}");
            }
        }
    }

    #[test]
    fn wrong_replies_are_named() {
        assert!(Reply::new(b"hallo").push(SIZED).unwrap_err().contains("another body"));
        assert!(Reply::new(b"hello!").push(SIZED).unwrap_err().contains("ended after 5 of 6"));
        assert!(Reply::new(b"").push(b"HTTP/1.1 502 Bad\r\n\r\nwhy").unwrap_err().contains("502"));
    }
}
