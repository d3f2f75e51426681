//! The languages that users read, and texts in both of them.

mod accepted;
mod check;
mod spelled;

pub use accepted::accepted;
pub use check::check;
pub use spelled::Spelled;

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// A language of a text that a user reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Chinese, in simplified characters.
    Chinese,
}

impl Language {
    /// Its tag (RFC 5646).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// The language of a locale: that of the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that says anything; `None` if
    /// it is another one, or none (`C`).
    pub fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(set)?;
        match locale.split(['_', '.', '@', '-']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "zh" => Some(Self::Chinese),
            "en" => Some(Self::English),
            _ => None,
        }
    }
}

/// A text in both languages, until it is known who reads it. [`both!`](crate::both) makes one. As it is displayed it is
/// English, which is what logs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    english: Cow<'static, str>,
    chinese: Cow<'static, str>,
}

impl Words {
    /// The same text in both; nothing is allocated for one that is fixed.
    pub fn new(english: fmt::Arguments<'_>, chinese: fmt::Arguments<'_>) -> Self {
        let text = |arguments: fmt::Arguments<'_>| match arguments.as_str() {
            Some(fixed) => Cow::Borrowed(fixed),
            None => Cow::Owned(arguments.to_string()),
        };
        Self { english: text(english), chinese: text(chinese) }
    }

    /// What comes from elsewhere, and has no words of ours: what a system or a parser said.
    pub fn said(text: impl Into<Cow<'static, str>>) -> Self {
        let english = text.into();
        Self { chinese: english.clone(), english }
    }

    /// Both texts, each changed in the same way.
    pub fn map(&self, change: impl Fn(&str) -> String) -> Self {
        Self { english: change(&self.english).into(), chinese: change(&self.chinese).into() }
    }

    /// Several, with this text between them.
    pub fn joined(all: &[Self], between: &str) -> Self {
        let text = |language| all.iter().map(|words| words.text(language)).collect::<Vec<_>>().join(between).into();
        Self { english: text(Language::English), chinese: text(Language::Chinese) }
    }

    /// The text in this language.
    pub fn text(&self, language: Language) -> &str {
        match language {
            Language::English => &self.english,
            Language::Chinese => &self.chinese,
        }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.english)
    }
}

impl std::error::Error for Words {}

/// As another process gets it, which knows who reads it: `{"en": "...", "zh": "..."}`, or a text that is the same in both.
impl Serialize for Words {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.english == self.chinese {
            return to.serialize_str(&self.english);
        }
        let mut both = to.serialize_struct("Words", 2)?;
        both.serialize_field("en", &self.english)?;
        both.serialize_field("zh", &self.chinese)?;
        both.end()
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Read {
            One(String),
            Both { en: String, zh: String },
        }
        Ok(match Read::deserialize(from)? {
            Read::One(text) => Self::said(text),
            Read::Both { en, zh } => Self { english: en.into(), chinese: zh.into() },
        })
    }
}

/// A text in English and in Chinese: `both!("no room for {name}", "{name} 没有空间")`. Both have the same placeholders, each
/// of them a name: what differs does not compile. An expression gets a name: `both!("…{n}…", "…{n}…", n = list.len())`.
#[macro_export]
macro_rules! both {
    ($english:literal, $chinese:literal $(, $name:ident = $value:expr)* $(,)?) => {{
        const _: () = $crate::language::check($english, $chinese);
        match ($(&$value,)*) {
            ($($name,)*) => $crate::language::Words::new(format_args!($english), format_args!($chinese)),
        }
    }};
}

pub use both;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_in_both_languages_and_display_as_english() {
        let (name, count) = ("a", [1, 2]);
        let words = both!("{name} has {n:02}", "{name} 有 {n} 个", n = count.len());
        assert_eq!((words.text(Language::English), words.text(Language::Chinese)), ("a has 02", "a 有 2 个"));
        assert_eq!(words.to_string(), "a has 02");
        assert_eq!(Words::joined(&[both!("one", "一"), Words::said("2")], "; "), both!("one; 2", "一; 2"));
        let fixed = both!("nothing", "没有");
        assert!(matches!((&fixed.english, &fixed.chinese), (Cow::Borrowed(_), Cow::Borrowed(_))));
    }

    #[test]
    fn words_go_to_another_process_in_both_languages() {
        for words in [both!("no", "没有"), Words::said("ENOENT")] {
            let json = serde_json::to_string(&words).expect("JSON");
            assert_eq!(serde_json::from_str::<Words>(&json).ok(), Some(words), "{json}");
        }
        assert_eq!(serde_json::from_str::<Words>("\"of an older one\"").ok(), Some(Words::said("of an older one")));
        assert_eq!(both!("no", "没有").map(str::to_uppercase), both!("NO", "没有"));
    }

    #[test]
    fn a_locale_names_a_language() {
        let of = |all: &str, messages: &str, lang: &str| {
            let values = [("LC_ALL", all), ("LC_MESSAGES", messages), ("LANG", lang)];
            let find = |name: &str| values.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned());
            Language::of_locale(find)
        };
        let (english, chinese) = (Some(Language::English), Some(Language::Chinese));
        assert_eq!(of("", "", "zh_CN.UTF-8"), chinese);
        assert_eq!(of("", "zh_TW", "en_US.UTF-8"), chinese);
        assert_eq!(of("en_GB", "zh_CN", "zh_CN"), english);
        for other in ["C", "C.UTF-8", "POSIX", "de_DE.UTF-8", "zhx", "english"] {
            assert_eq!(of(other, "zh_CN", "zh_CN"), None, "{other}");
        }
        assert_eq!(of("zh", "", ""), chinese);
        assert_eq!(of("", "", ""), None);
        assert_eq!(Language::of_locale(|_| None), None);
    }
}
