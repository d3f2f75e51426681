//! Looks, while the program is compiled, whether both texts of a pair say something, with the same placeholders.

/// Stops the build if a pair is none: the English has Chinese characters, the Chinese has none, a placeholder has no name,
/// or is there in one language only.
///
/// # Panics
/// Then: it runs while constants are made.
pub const fn check(english: &str, chinese: &str) {
    let (english, chinese) = (english.as_bytes(), chinese.as_bytes());
    assert!(!has_chinese(english), "the English comes first, and has no Chinese characters");
    assert!(has_chinese(chinese), "the Chinese comes second, in Chinese characters");
    assert!(has_all(english, chinese) && has_all(chinese, english), "both languages have the same placeholders");
}

/// Whether there is a character from U+4000 to U+9FFF: their first bytes in UTF-8.
const fn has_chinese(text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        if text[at] >= 0xe4 && text[at] <= 0xe9 {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether each placeholder of `text` is one of `other`.
const fn has_all(text: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while let Some((start, end)) = placeholder(text, at) {
        assert!(start < end, "a placeholder has a name");
        let (mut found, mut from) = (false, 0);
        while let Some((first, last)) = placeholder(other, from) {
            found = found || is_same(text, (start, end), other, (first, last));
            from = last;
        }
        if !found {
            return false;
        }
        at = end;
    }
    true
}

/// Where the next placeholder's name begins and ends; doubled braces stand for themselves.
const fn placeholder(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while at < text.len() {
        if text[at] == b'{' {
            if at + 1 < text.len() && text[at + 1] == b'{' {
                at += 1;
            } else {
                let mut end = at + 1;
                while end < text.len() && text[end] != b'}' && text[end] != b':' {
                    end += 1;
                }
                return Some((at + 1, end));
            }
        }
        at += 1;
    }
    None
}

const fn is_same(a: &[u8], (a_start, a_end): (usize, usize), b: &[u8], (b_start, b_end): (usize, usize)) -> bool {
    if a_end - a_start != b_end - b_start {
        return false;
    }
    let mut at = 0;
    while at < a_end - a_start {
        if a[a_start + at] != b[b_start + at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(english: &'static str, chinese: &'static str) -> bool {
        std::panic::catch_unwind(|| check(english, chinese)).is_err()
    }

    #[test]
    fn a_pair_is_english_and_chinese_with_the_same_placeholders() {
        for (english, chinese) in [
            ("no", "没有"),
            ("{a} of {b}", "{b} 的 {a}"),
            ("{a:>10} {a}", "是 {a}"),
            ("{{x}} {a}", "{a}：{{y}}是"),
            ("→ “a”", "“一”"),
        ] {
            assert!(!is_refused(english, chinese), "{english} / {chinese}");
        }
        for (english, chinese) in [
            ("没有", "no"),
            ("no", "no"),
            ("没有", "没有"),
            ("{a}", "没有"),
            ("no", "没有 {a}"),
            ("{a} {b}", "没有 {a}"),
            ("{a}", "没有 {b}"),
            ("{a}", "没有 {ab}"),
            ("{}", "没有 {}"),
            ("{{a}}", "没有 {a}"),
        ] {
            assert!(is_refused(english, chinese), "{english} / {chinese}");
        }
    }
}
