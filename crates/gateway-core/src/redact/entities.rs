//! Character references of HTML, as far as they may stand for a part of a secret: numbers, and the names of signs in ASCII.

use super::escape::{Escape, hex};

/// Longest reference that is looked for, with `&` and `;`.
const LONGEST: usize = 19;
/// Those that browsers know without `;` too, whatever follows.
const WITHOUT_END: [(&str, char); 8] =
    [("amp", '&'), ("AMP", '&'), ("lt", '<'), ("LT", '<'), ("gt", '>'), ("GT", '>'), ("quot", '"'), ("QUOT", '"')];
/// The others. What looks like a sign of ASCII counts as that sign.
const NAMES: [(&str, char); 52] = [
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("nbsp", ' '),
    ("excl", '!'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("apos", '\''),
    ("lpar", '('),
    ("rpar", ')'),
    ("ast", '*'),
    ("midast", '*'),
    ("plus", '+'),
    ("comma", ','),
    ("hyphen", '-'),
    ("dash", '-'),
    ("minus", '-'),
    ("ndash", '-'),
    ("period", '.'),
    ("sol", '/'),
    ("colon", ':'),
    ("semi", ';'),
    ("equals", '='),
    ("quest", '?'),
    ("commat", '@'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("bsol", '\\'),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("Hat", '^'),
    ("lowbar", '_'),
    ("UnderBar", '_'),
    ("grave", '`'),
    ("DiacriticalGrave", '`'),
    ("lcub", '{'),
    ("lbrace", '{'),
    ("verbar", '|'),
    ("vert", '|'),
    ("VerticalLine", '|'),
    ("rcub", '}'),
    ("rbrace", '}'),
    ("tilde", '~'),
    ("sim", '~'),
    ("auml", 'ä'),
    ("Auml", 'Ä'),
    ("ouml", 'ö'),
    ("Ouml", 'Ö'),
    ("uuml", 'ü'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("eacute", 'é'),
];

/// The reference at the beginning of `bytes`, which begin with `&`; the `;` may be missing.
pub(super) fn entity(bytes: &[u8], is_cut: bool) -> Escape {
    let window = &bytes[1..bytes.len().min(LONGEST)];
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'#';
    let length = window.iter().take_while(is_part).count();
    let (name, after) = (&window[..length], window.get(length).copied());
    if after.is_none() && is_cut && bytes.len() < LONGEST {
        return Escape::Cut;
    }
    let with_end = |character: char| Escape::Char(length + if after == Some(b';') { 2 } else { 1 }, character);
    match name {
        [b'#', digits @ ..] => number(digits, after),
        name => {
            let named = |known: &[(&str, char)]| known.iter().find(|(of, _)| of.as_bytes() == name).map(|&(_, is)| is);
            // A query has parameters of these names.
            let is_parameter = after == Some(b'=');
            if let Some(character) = named(&WITHOUT_END).or_else(|| named(&NAMES).filter(|_| !is_parameter)) {
                return with_end(character);
            }
            let begun = WITHOUT_END.iter().find(|(known, _)| name.starts_with(known.as_bytes()));
            begun.map_or(Escape::None, |&(known, character)| Escape::Char(1 + known.len(), character))
        }
    }
}

/// `&#45;` and `&#x2d;`; `digits` are what stands behind `#`, `after` is what follows them.
fn number(digits: &[u8], after: Option<u8>) -> Escape {
    let (digits, is_digit, marks): (_, fn(&u8) -> bool, _) = match digits {
        [b'x' | b'X', digits @ ..] => (digits, u8::is_ascii_hexdigit, 3),
        digits => (digits, u8::is_ascii_digit, 2),
    };
    let length = digits.iter().take_while(|byte| is_digit(byte)).count();
    let text = std::str::from_utf8(&digits[..length]).unwrap_or_default();
    let code = if marks == 3 { hex(&digits[..length]) } else { text.parse().ok() };
    let has_end = after == Some(b';') && length == digits.len();
    match code.and_then(char::from_u32) {
        Some(character) => Escape::Char(marks + length + usize::from(has_end), character),
        None => Escape::None,
    }
}
