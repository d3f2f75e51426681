//! Secrets in texts.

use super::Choices;
use crate::redact::masking::{Known, Masking};
use crate::redact::{MASK, Needles, Secrets, places, shapes, text};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use std::sync::Arc;

const WORD: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// A secret of ten to 41 characters.
fn secret(choices: &mut Choices<'_>) -> String {
    let length = 10 + choices.below(32);
    (0..length).map(|at| char::from(WORD[(usize::from(choices.byte()) + 7 * at) % 64])).collect()
}

/// A secret that is known does not survive in a text, in whatever form it is there and whatever is around it.
pub(super) fn redaction(input: &[u8]) {
    let mut choices = Choices::new(input);
    let secret = secret(&mut choices);
    let (form, length, is_cut) = (choices.below(7), choices.below(64), choices.below(2) == 1);
    let before = String::from_utf8_lossy(choices.bytes(length)).into_owned();
    let after = String::from_utf8_lossy(choices.rest()).into_owned();
    let mut secrets = Secrets::default();
    secrets.add(secret.as_bytes());
    let needles = Needles::new(&secrets);
    let told: String = match form {
        0 => secret.clone(),
        1 => STANDARD.encode(&secret),
        2 => URL_SAFE_NO_PAD.encode(&secret),
        3 => secret.bytes().map(|byte| format!("{byte:02x}")).collect(),
        4 => secret.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        5 => secret.bytes().map(|byte| format!("\\u{byte:04x}")).collect(),
        _ => secret.bytes().map(|byte| format!("&#{byte};")).collect(),
    };
    // Backslashes in front of an escape make another text of it; brackets are part of no form.
    let all = format!("{before}<{told}>{after}");
    let masked = text(&all, &[&needles], is_cut);
    assert!(masked.contains(MASK) && !masked.contains(&told), "form {form}: {all:?} became {masked:?}");
    let mut from = 0;
    for at in places(&all, &[&needles], is_cut) {
        assert!(from <= at.end && all.is_char_boundary(at.start) && all.is_char_boundary(at.end));
        from = at.start;
    }
    let again = text(&masked, &[&needles], is_cut);
    assert!(!again.contains(&told), "{again:?}");
    let _ = shapes(&all);
}

/// Keys in a body that goes by: the same are masked however it is cut, all lengths stay, and nothing else changes.
pub(super) fn masking(input: &[u8]) {
    let mut choices = Choices::new(input);
    let secrets = [secret(&mut choices), secret(&mut choices)];
    let step = 1 + choices.below(64);
    let mut body: Vec<u8> = Vec::new();
    for _ in 0..choices.below(6) {
        let length = choices.below(40);
        body.extend(choices.bytes(length));
        let part = choices.one(&secrets).clone();
        let kept = part.len() - choices.below(3);
        body.extend(part[..kept].bytes());
    }
    body.extend(choices.rest());
    let known = Arc::new(Known::new(secrets.iter().map(String::as_bytes)));
    let mut masking = Masking::new(Arc::clone(&known), usize::MAX);
    let mut out: Vec<u8> = Vec::new();
    for chunk in body.chunks(step) {
        out.extend(masking.piece(Bytes::copy_from_slice(chunk), false));
    }
    out.extend(masking.rest().unwrap_or_default());
    let whole = known.masked(&body).map_or_else(|| body.clone(), |masked| masked.to_vec());
    assert_eq!(out.len(), body.len());
    assert!(!known.is_in(&out), "{:?}", String::from_utf8_lossy(&out));
    assert!(
        out == whole,
        "{:?} in steps of {step}: {:?}",
        String::from_utf8_lossy(&body),
        String::from_utf8_lossy(&out)
    );
    assert!(out.iter().zip(&body).all(|(now, before)| now == before || *now == b'*'));
}
