//! Keys that no relay has given anybody: told before anything is sent.

use super::settings::KEY;
use crate::language::say;
use gateway_core::http1::is_field_value;

/// Why the key in this variable cannot be one. The key itself is not shown.
pub(crate) fn refusal(variable: &str, key: &str) -> Option<String> {
    if key == KEY {
        return Some(say!(
            "the key in {variable} is {KEY}, which stands for yours in README: type export {variable}=, and behind it the key \
             that the relay gave you",
            "{variable} 中的密钥是 README 里的示例 {KEY}：请执行 export {variable}=你的密钥，换成中转站给你的密钥"
        ));
    }
    if let Some((at, character)) = key.chars().enumerate().find(|(_, character)| !character.is_ascii()) {
        let (at, code) = (at + 1, format!("U+{:04X}", u32::from(character)));
        return Some(say!(
            "character {at} of the key in {variable} is {character} ({code}), as an input method for Chinese types it: no key \
             has such a character; copy it from the relay once more",
            "{variable} 中的密钥第 {at} 个字符是 {character}（{code}）：密钥中不会有全角字符或汉字，请从中转站重新复制"
        ));
    }
    (!is_field_value(key.as_bytes()))
        .then(|| say!("the key in {variable} has control characters in it", "{variable} 中的密钥含有控制字符"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_told_without_showing_it() {
        for (key, wanted) in [
            ("sk-your-key", "which stands for yours"),
            ("sk-secretｋ", "character 10 of the key in K is ｋ (U+FF4B)"),
            ("sk-你的密钥", "character 4 of the key in K is 你 (U+4F60)"),
            ("sk-a\u{7}b", "control characters"),
        ] {
            let told = refusal("K", key).unwrap_or_else(|| panic!("{key} is taken"));
            assert!(told.contains(wanted) && !told.contains("secret"), "{told}");
        }
        assert_eq!(refusal("K", "sk-ant-oat01-_A/+="), None);
    }
}
