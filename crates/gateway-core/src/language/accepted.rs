//! `Accept-Language` (RFC 9110 section 12.5.4): which of the two languages a client would rather read.

use super::Language;

/// Longest part of the field, and most of its ranges, that are looked at: more only makes the look longer.
const MOST_BYTES: usize = 1024;
const MOST_RANGES: usize = 32;

/// What a client says of one language: how much it wants it, and which range said so first.
#[derive(Clone, Copy)]
struct Wish {
    rank: u16,
    position: usize,
}

impl Wish {
    /// Said of neither this language nor all: better than one that is refused.
    const NONE: Self = Self { rank: 1, position: usize::MAX };

    /// One with a weight in thousandths; 0 refuses.
    fn new(weight: u16, position: usize) -> Self {
        Self { rank: weight * 2, position }
    }
}

/// The language of a response to a client with these lines of `Accept-Language`: the one it would rather read, or
/// `default` if it does not say. Any Chinese and any English counts (`zh-TW`, `en-GB`); nothing is allocated.
pub fn accepted<'l>(lines: impl Iterator<Item = &'l [u8]>, default: Language) -> Language {
    let (mut english, mut chinese, mut any) = (None, None, None);
    let ranges = lines.flat_map(|line| line.get(..MOST_BYTES).unwrap_or(line).split(|&byte| byte == b','));
    for (position, range) in ranges.take(MOST_RANGES).enumerate() {
        let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let wish = match name.split(|&byte| byte == b'-').next().unwrap_or_default() {
            primary if primary.eq_ignore_ascii_case(b"zh") => &mut chinese,
            primary if primary.eq_ignore_ascii_case(b"en") => &mut english,
            b"*" => &mut any,
            _ => continue,
        };
        // What has a weight that is none says nothing.
        let Some(weight) = parts.next().map_or(Some(1000), weight) else { continue };
        let said = Wish::new(weight, position);
        if wish.is_none_or(|wish: Wish| said.rank > wish.rank) {
            *wish = Some(said);
        }
    }
    let [english, chinese] = [english, chinese].map(|wish| wish.or(any).unwrap_or(Wish::NONE));
    let is_before =
        |one: Wish, other: Wish| one.rank > other.rank || one.rank == other.rank && one.position < other.position;
    match default {
        Language::English if is_before(chinese, english) => Language::Chinese,
        Language::Chinese if is_before(english, chinese) => Language::English,
        default => default,
    }
}

/// `q=0.8` in thousandths.
fn weight(parameter: &[u8]) -> Option<u16> {
    let (name, value) = parameter.split_at_checked(2)?;
    if !name.eq_ignore_ascii_case(b"q=") {
        return None;
    }
    let (whole, decimals) = match value {
        [whole] => (whole, &b""[..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let thousandths = decimals
        .iter()
        .zip([100, 10, 1])
        .try_fold(0, |sum, (digit, place)| digit.is_ascii_digit().then(|| sum + u16::from(digit - b'0') * place))?;
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Language::{Chinese, English};

    fn of(line: &str, default: Language) -> Language {
        accepted(std::iter::once(line.as_bytes()), default)
    }

    #[test]
    fn the_language_that_a_client_would_rather_read_counts() {
        for (line, expected) in [
            ("zh", Chinese),
            ("en", English),
            ("zh-CN,zh;q=0.9,en;q=0.8", Chinese),
            ("en-US,en;q=0.9,zh-CN;q=0.8,zh;q=0.7", English),
            ("ZH-hans-cn", Chinese),
            ("zh-TW", Chinese),
            ("en;q=0.5, zh;q=0.51", Chinese),
            ("en;q=0.501,zh;q=0.5", English),
            ("fr, zh;q=0.1", Chinese),
            ("de-DE,de;q=0.9,en;q=0.8", English),
            ("zh,en", Chinese),
            ("en,zh", English),
            ("en;q=0, zh;q=0.001", Chinese),
            ("en ; q=0.3 , zh ; q=0.4", Chinese),
            (",, ,zh,", Chinese),
            ("*;q=0.5, en", English),
            ("zh, *;q=0.5", Chinese),
            ("zh;q=0.4, *;q=0.5", English),
        ] {
            for default in [English, Chinese] {
                assert_eq!(of(line, default), expected, "{line}, by default {default:?}");
            }
        }
    }

    #[test]
    fn who_does_not_say_gets_the_default() {
        let long = format!("fr{}, zh", ";x=y".repeat(3000));
        let many = "fr,".repeat(5000);
        for line in [
            "",
            "*",
            "fr",
            "*;q=0",
            "de;q=1, fr",
            "zh;q=2",
            "zh;q=",
            "zh;q=0.1234",
            "zhen",
            "q=1",
            "\u{fffd}\0;;;=",
            &long,
            &many,
        ] {
            for default in [English, Chinese] {
                assert_eq!(of(line, default), default, "{:.30}", line);
            }
        }
        assert_eq!(accepted(std::iter::empty(), Chinese), Chinese);
    }

    #[test]
    fn a_language_that_is_refused_is_not_the_default_either_if_another_is_left() {
        assert_eq!(of("zh;q=0, *", Chinese), English);
        assert_eq!(of("en;q=0, zh", English), Chinese);
        assert_eq!(of("zh;q=0", Chinese), English);
        assert_eq!(of("zh;q=0, en;q=0", Chinese), Chinese);
    }

    #[test]
    fn lines_are_one_list() {
        let lines = ["fr", "zh;q=0.5", "en;q=0.4"];
        assert_eq!(accepted(lines.iter().map(|line| line.as_bytes()), English), Chinese);
    }
}
