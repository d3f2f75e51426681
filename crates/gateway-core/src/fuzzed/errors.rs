//! What errors say.

use super::Choices;
use crate::usage::decode::Decoder;
use crate::usage::error_body::{ERROR_BODY_BYTES, ErrorBody, ErrorText};
use crate::usage::summary::{LONGEST_MESSAGE, LONGEST_WORD};

/// An error's body says the same however it is cut, and nothing that is kept of it is longer than it may be.
pub(super) fn body(input: &[u8]) {
    let mut choices = Choices::new(input);
    let (step, fill) = (1 + choices.below(64), choices.below(4) * 3_000);
    let body = [choices.rest(), &b" ".repeat(fill)].concat();
    let read = |step: usize| {
        let mut reader = ErrorBody::new(Decoder::new([]));
        body.chunks(step).for_each(|chunk| reader.push(chunk));
        assert!(reader.beginning().len() <= ERROR_BODY_BYTES && !reader.is_unread());
        assert_eq!(reader.beginning(), &body[..body.len().min(ERROR_BODY_BYTES)]);
        (reader.whole(), reader.text(), reader.finish())
    };
    let said = read(body.len().max(1));
    assert_eq!(said, read(step));
    let (whole, text, finished) = said;
    assert_eq!(text, finished);
    let is_short = |text: &Option<String>, most: usize| text.as_ref().is_none_or(|text| text.chars().count() <= most);
    assert!(text.body.chars().count() <= ERROR_BODY_BYTES);
    assert!(is_short(&text.kind, LONGEST_WORD) && is_short(&text.code, LONGEST_WORD), "{text:?}");
    assert!(is_short(&text.message, LONGEST_MESSAGE), "{text:?}");
    let ErrorText { kind, code, is_page, .. } = whole;
    assert_eq!((kind, code, is_page), (text.kind, text.code, text.is_page));
}
