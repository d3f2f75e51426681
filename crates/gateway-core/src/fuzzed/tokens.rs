//! Client tokens: their text, and where one stands in other texts.

use super::Choices;
use crate::team::{found, text};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// A token is one, and none with one character changed, left out or doubled; in a text it is found in every form in which
/// programs put one there, whatever is around it.
pub(super) fn tokens(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut random = [0; 32];
    random.iter_mut().for_each(|byte| *byte = choices.byte());
    let token = text::of(random);
    let digest = text::digest(token.as_bytes());
    assert!(digest.is_some() && token.len() == text::LENGTH && text::is_meant(token.as_bytes()));
    assert!(!text::hint(&token).contains(&token[8..token.len() - 4]));

    let (at, slip) = (choices.below(token.len()), choices.byte());
    let mut changed = token.clone().into_bytes();
    changed[at] = slip;
    assert_eq!(text::digest(&changed).is_some(), changed == token.as_bytes());
    let mut shorter = token.clone().into_bytes();
    shorter.remove(at);
    let mut longer = token.clone().into_bytes();
    longer.insert(at, slip);
    assert_eq!((text::digest(&shorter), text::digest(&longer)), (None, None));

    let (form, length, escapes) = (choices.below(9), choices.below(64), choices.byte());
    let before = choices.bytes(length);
    let after = choices.rest();
    let escaped = |is_here: fn(usize, u8) -> bool, escape: fn(u8) -> String| -> Vec<u8> {
        let letters = token.bytes().enumerate();
        letters
            .flat_map(|(at, byte)| {
                if is_here(at, escapes) { escape(byte) } else { char::from(byte).into() }.into_bytes()
            })
            .collect()
    };
    let is_chosen: fn(usize, u8) -> bool = |at, escapes| escapes >> (at % 8) & 1 == 1;
    let inner = [before, token.as_bytes(), after].concat();
    let hexadecimal = |upper: bool| -> Vec<u8> {
        token
            .bytes()
            .flat_map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }.into_bytes())
            .collect()
    };
    let told = match form {
        0 => token.clone().into_bytes(),
        1 => escaped(is_chosen, |byte| format!("\\u{byte:04x}")),
        2 => escaped(|at, _| at == 3, |byte| format!("%{byte:02x}")),
        3 => STANDARD.encode(&inner).into_bytes(),
        4 => URL_SAFE_NO_PAD.encode(&inner).into_bytes(),
        5 => hexadecimal(false),
        6 => hexadecimal(true),
        7 => token.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        _ => token.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    };
    let text = match form {
        // What a coding holds is in it already; and a blank is no part of anything, nor are two of them in UTF-16.
        3 | 4 => [&b"Basic "[..], &told, b"\""].concat(),
        _ => [before, b"  ", &told, b"  ", after].concat(),
    };
    assert!(found::find(&text).any(|found| Some(found) == digest), "form {form}: {:?}", String::from_utf8_lossy(&text));
}
