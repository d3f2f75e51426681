//! Heads, chunked bodies, paths and queries.

use super::Choices;
use crate::http1::chunked::Decoder;
use crate::http1::head::{Framing, Limits, Scanner, field_values, fields, parse, put_last};
use crate::http1::{is_at_or_below, is_token, split_query};
use crate::rules::query::{QueryOp, values};

/// What a head is taken for: the same however it is cut, what its own fields say, and what httparse reads in it, which
/// Pingora parses it with a second time.
pub(super) fn head(input: &[u8]) {
    let mut choices = Choices::new(input);
    let limits = Limits {
        header_bytes: *choices.one(&[64, 512, 65_536]),
        header_count: *choices.one(&[2, 8, 100]),
        target_bytes: *choices.one(&[16, 100, 8_192]),
    };
    let step = 1 + choices.below(32);
    let bytes = choices.rest();
    let accepted = |scanned: Option<usize>| scanned.and_then(|end| Some((end, parse(&bytes[..end], &limits).ok()?)));
    let whole = Scanner::default().scan(bytes, &limits).ok().and_then(accepted);
    let mut scanner = Scanner::default();
    let ends = (step..bytes.len()).step_by(step).chain([bytes.len()]);
    let stepped = ends.map(|end| scanner.scan(&bytes[..end], &limits)).find(|scanned| !matches!(scanned, Ok(None)));
    let stepped = stepped.and_then(Result::ok).and_then(accepted);
    assert_eq!(whole, stepped, "in steps of {step}");

    let Some((end, head)) = whole else { return };
    let text = &bytes[..end];
    assert!(end <= limits.header_bytes && text.ends_with(b"\r\n\r\n"));
    assert!(text.iter().enumerate().all(|(at, &byte)| match byte {
        b'\r' => text.get(at + 1) == Some(&b'\n'),
        b'\n' => text[at - 1] == b'\r',
        byte => byte == b'\t' || byte >= b' ' && byte != 0x7f,
    }));
    let found: Vec<(&[u8], &[u8])> = fields(text).collect();
    assert!(found.len() <= limits.header_count && found.iter().all(|(name, _)| is_token(name)));
    let of = |name: &str| -> Vec<&[u8]> {
        let of_name = found.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        let of_name: Vec<&[u8]> = of_name.map(|(_, value)| *value).collect();
        assert_eq!(field_values(text, name).collect::<Vec<_>>(), of_name);
        of_name
    };
    let line = &text[head.framing_line.clone()];
    let (lengths, codings) = (of("content-length"), of("transfer-encoding"));
    assert!(of("host").len() <= 1 && lengths.len() + codings.len() <= 1);
    match head.framing {
        Framing::None => assert!(codings.is_empty() && line.is_empty() && lengths.iter().all(|length| *length == b"0")),
        Framing::Length(length) => {
            assert_eq!(lengths, [length.to_string().as_bytes()]);
            assert!(line.to_ascii_lowercase().starts_with(b"content-length:") && line.ends_with(b"\r\n"));
        }
        Framing::Chunked => {
            assert!(codings[0].eq_ignore_ascii_case(b"chunked"));
            assert!(line.to_ascii_lowercase().starts_with(b"transfer-encoding:") && line.ends_with(b"\r\n"));
        }
    }
    if let Some(absolute) = &head.absolute_target {
        let forwarded = absolute.forwarded(text);
        assert!(forwarded.starts_with(b"/") || &*forwarded == b"*", "{absolute:?}");
    }
    read_again(text, &found);
    check_put_last(text, &found);
}

/// What Pingora's parser reads in a head that was found good.
fn read_again(text: &[u8], found: &[(&[u8], &[u8])]) {
    let mut text = text.to_vec();
    // It knows no later minor version than 1.1.
    let line_end = memchr::memchr(b'\n', &text).expect("a line");
    let minor = &mut text[line_end - 2];
    *minor = (*minor).min(b'1');
    let mut room = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut room);
    assert_eq!(
        request.parse(&text),
        Ok(httparse::Status::Complete(text.len())),
        "{:?}",
        String::from_utf8_lossy(&text)
    );
    let read: Vec<(&[u8], &[u8])> = request.headers.iter().map(|field| (field.name.as_bytes(), field.value)).collect();
    assert_eq!(read, found);
    let line = &text[..line_end - 1];
    let said = format!("{} {} HTTP/1.", request.method.expect("a method"), request.path.expect("a target"));
    assert!(line.starts_with(said.as_bytes()));
}

fn check_put_last(text: &[u8], found: &[(&[u8], &[u8])]) {
    let is_moved = |name: &[u8]| name.len() % 2 == 1;
    let mut moved = text.to_vec();
    put_last(&mut moved, is_moved);
    let (last, first): (Vec<_>, Vec<_>) = found.iter().partition(|(name, _)| is_moved(name));
    let now: Vec<_> = fields(&moved).collect();
    assert_eq!(now[..first.len()], first[..]);
    // Those that were moved stand in any order.
    let sorted = |mut fields: Vec<(Vec<u8>, Vec<u8>)>| {
        fields.sort();
        fields
    };
    let owned =
        |fields: &[(&[u8], &[u8])]| fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    assert_eq!(sorted(owned(&now[first.len()..])), sorted(owned(&last)));
    assert_eq!(moved.len(), text.len());
}

/// A chunked body: the same however it is cut, and what a plain decoder makes of it; and any body that was put into chunks
/// comes out again.
pub(super) fn chunked(input: &[u8]) {
    let mut choices = Choices::new(input);
    let (step, sizes, extension) = (1 + choices.below(64), 1 + choices.below(64), choices.below(4));
    let bytes = choices.rest();
    let decode = |input: &[u8], step: usize| {
        let (mut decoder, mut body, mut taken) = (Decoder::default(), Vec::new(), 0);
        for piece in input.chunks(step) {
            let read = decoder.push(piece, &mut body).ok()?;
            taken += read;
            if read < piece.len() {
                assert!(decoder.is_done());
                break;
            }
        }
        Some((body, taken, decoder.is_done()))
    };
    let whole = decode(bytes, bytes.len().max(1));
    assert_eq!(whole, decode(bytes, step), "in steps of {step}");
    if let Some((body, taken, true)) = &whole {
        assert_eq!(plainly(bytes), Some((body.clone(), *taken)));
    }

    let extension = ["", ";a", " ; a=b", ";a=\"b\\\"\";c"][extension];
    let mut coded: Vec<u8> = Vec::new();
    for chunk in bytes.chunks(sizes) {
        coded.extend(format!("{:x}{extension}\r\n", chunk.len()).bytes());
        coded.extend(chunk);
        coded.extend(b"\r\n");
    }
    coded.extend(b"0\r\nX-T: v\r\n\r\n");
    let length = coded.len();
    coded.extend(b"GET / HTTP/1.1\r\n");
    assert_eq!(decode(&coded, step), Some((bytes.to_vec(), length, true)));
}

/// A whole chunked body, of which only the sizes are looked at.
fn plainly(mut input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, all) = (Vec::new(), input.len());
    let line = |input: &mut &[u8]| {
        let (line, rest) = input.split_at(memchr::memmem::find(input, b"\r\n")?);
        *input = &rest[2..];
        Some(line.to_vec())
    };
    loop {
        let line = line(&mut input)?;
        let size = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next()?;
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        body.extend(input.get(..size)?);
        input = input.get(size..)?.strip_prefix(b"\r\n")?;
    }
    while !line(&mut input)?.is_empty() {}
    Some((body, all - input.len()))
}

/// A path that some server may take for a place is so too with more of it percent-encoded, in another case, with segments
/// that mean nothing, or with something behind it.
pub(super) fn path(input: &[u8]) {
    const PLACE: [&str; 2] = ["api", "admin"];
    let mut choices = Choices::new(input);
    let (which, way) = (choices.byte(), choices.below(6));
    let path = [b"/", choices.rest()].concat();
    let is_place = is_at_or_below(&path, &PLACE);
    if !is_place {
        return;
    }
    let varied: Vec<u8> = match way {
        0 => path.iter().enumerate().flat_map(|(at, byte)| encoded(*byte, which >> (at % 8) & 1 == 1)).collect(),
        1 => path.to_ascii_uppercase(),
        2 => [b"/.", &path[..]].concat(),
        3 => [b"/", &path[..]].concat(),
        4 => [b"/x/..", &path[..]].concat(),
        _ => [&path[..], b"/x"].concat(),
    };
    let (before, after) = (String::from_utf8_lossy(&path), String::from_utf8_lossy(&varied));
    assert!(is_at_or_below(&varied, &PLACE), "{before:?} is, {after:?} is not");
}

fn encoded(byte: u8, is_coded: bool) -> Vec<u8> {
    if is_coded && byte != b'/' { format!("%{byte:02x}").into_bytes() } else { vec![byte] }
}

/// Changes of a query: what is set is there once, what is removed is gone, and all else keeps its bytes and its order.
pub(super) fn query(input: &[u8]) {
    let mut choices = Choices::new(input);
    let is_set = choices.below(2) == 0;
    let name = choices.below(4);
    let name = String::from_utf8_lossy(choices.bytes(name)).into_owned();
    let value = choices.below(9);
    let value = String::from_utf8_lossy(choices.bytes(value)).into_owned();
    let target = [b"/", choices.rest()].concat();
    let op = if is_set { QueryOp::Set(name.clone(), value.clone()) } else { QueryOp::Remove(name.clone()) };
    let changed = op.apply(&target);
    assert_eq!(op.apply(&changed), changed, "twice is once");
    let ((path, before), (path_now, after)) = (split_query(&target), split_query(&changed));
    assert_eq!(path, path_now);
    let found: Vec<_> = values(after.unwrap_or_default(), &name).collect();
    if is_set {
        assert_eq!(found, [value.as_bytes()]);
    } else if after.is_some() && !name.is_empty() {
        assert!(found.is_empty());
    }
    let others = |query: Option<&[u8]>| -> Vec<Vec<u8>> {
        let all = query.unwrap_or_default().split(|byte| *byte == b'&').filter(|parameter| !parameter.is_empty());
        all.filter(|parameter| values(parameter, &name).next().is_none()).map(<[u8]>::to_vec).collect()
    };
    assert_eq!(others(before), others(after));
    assert_eq!(QueryOp::Set(name, value).apply(b"*"), b"*");
}
