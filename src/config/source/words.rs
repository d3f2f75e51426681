//! Messages with codes: a list of them makes an enum whose values have a code, parameters, and words in both languages.

use gateway_core::language::{Language, Words};
use serde_json::{Value, json};
use std::fmt::{self, Display};

/// The name that somebody probably meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Near(pub Option<String>);

impl Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |name| write!(f, "; did you mean \"{name}\"?"))
    }
}

/// A part of a message that differs from case to case.
pub(crate) trait Parameter: Display {
    /// As a part of Chinese words.
    fn chinese(&self) -> String {
        self.to_string()
    }
    /// For programs.
    fn json(&self) -> Value;
}

impl Parameter for String {
    fn json(&self) -> Value {
        self.as_str().into()
    }
}

impl Parameter for Words {
    fn chinese(&self) -> String {
        self.text(Language::Chinese).to_owned()
    }

    fn json(&self) -> Value {
        self.text(Language::English).into()
    }
}

impl Parameter for u64 {
    fn json(&self) -> Value {
        (*self).into()
    }
}

impl Parameter for Near {
    fn chinese(&self) -> String {
        self.0.as_ref().map_or_else(String::new, |name| format!("；是不是想写“{name}”？"))
    }

    fn json(&self) -> Value {
        json!(self.0)
    }
}

/// A list of messages: the name, the parameters, the code, and the words. No code changes once it was released.
macro_rules! messages {
    ($(#[$meta:meta])* $vis:vis $enum:ident: $($name:ident $({$($parameter:ident: $type:ty),+})? = $code:literal, $english:literal, $chinese:literal;)+) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the words say it")]
        $vis enum $enum { $($name $({$($parameter: $type),+})?,)+ }

        impl $enum {
            /// What programs know it by.
            pub(crate) fn code(&self) -> &'static str {
                match self { $(Self::$name $({$($parameter: _),+})? => $code,)+ }
            }

            /// What differs from case to case, by name.
            pub(crate) fn parameters(&self) -> serde_json::Map<String, serde_json::Value> {
                use $crate::config::words::Parameter as _;
                match self {
                    $(Self::$name $({$($parameter),+})? => {
                        serde_json::Map::from_iter([$($((stringify!($parameter).to_owned(), $parameter.json())),+)?])
                    })+
                }
            }

            /// The words for it.
            pub(crate) fn text(&self, language: gateway_core::language::Language) -> String {
                use $crate::config::words::Parameter as _;
                use gateway_core::language::Language;
                match language {
                    Language::English => match self {
                        $(Self::$name $({$($parameter),+})? => { $($(let _ = $parameter;)+)? format!($english) })+
                    },
                    Language::Chinese => match self {
                        $(Self::$name $({$($parameter),+})? => {
                            $($(let $parameter = $parameter.chinese(); let _ = &$parameter;)+)?
                            format!($chinese)
                        })+
                    },
                }
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.text(gateway_core::language::Language::English))
            }
        }

        #[cfg(test)]
        const TEMPLATES: &[$crate::config::words::Template] =
            &[$(($code, &[$($(stringify!($parameter)),+)?], $english, $chinese),)+];
    };
}
pub(crate) use messages;

/// Of a message: its code, the names of its parameters, and its words in English and Chinese.
#[cfg(test)]
pub(crate) type Template = (&'static str, &'static [&'static str], &'static str, &'static str);

#[cfg(test)]
pub(crate) mod tests;
