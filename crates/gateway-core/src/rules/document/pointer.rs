//! Paths into a JSON text.

use std::fmt;
use std::str::FromStr;

/// A path into a document by RFC 6901: `/metadata/user_id`, `/system/0/text`, `/stop_sequences/-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    pub(super) tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// Escapes resolved.
    pub(super) key: String,
    /// The token as an index into a list, if it is one.
    pub(super) index: Option<usize>,
}

impl Token {
    /// `-` means the place after a list's last element.
    pub(super) fn is_end(&self) -> bool {
        self.key == "-"
    }
}

/// Why a text is no JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// It does not begin with a slash.
    #[error("\"{0}\" is not a JSON pointer: it must begin with \"/\"; did you mean \"/{0}\"?")]
    NoSlash(String),
    /// A tilde stands alone.
    #[error("\"{0}\" is not a JSON pointer: write \"~0\" for \"~\", and \"~1\" for \"/\" in a name")]
    BadTilde(String),
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        let mut tokens = Vec::new();
        if let Some(rest) = text.strip_prefix('/') {
            for token in rest.split('/') {
                if token.split('~').skip(1).any(|part| !part.starts_with(['0', '1'])) {
                    return Err(PointerError::BadTilde(text.to_owned()));
                }
                let key = token.replace("~1", "/").replace("~0", "~");
                let digits = key.bytes().all(|byte| byte.is_ascii_digit()) && (key == "0" || !key.starts_with('0'));
                let index = if digits { key.parse().ok() } else { None };
                tokens.push(Token { key, index });
            }
        } else if !text.is_empty() {
            return Err(PointerError::NoSlash(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), tokens })
    }
}

impl Pointer {
    /// The member of the document that it leads through; `None` if it names the document itself.
    pub fn first(&self) -> Option<&str> {
        self.tokens.first().map(|token| token.key.as_str())
    }

    /// The names and indexes that it leads through.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tokens.iter().map(|token| token.key.as_str())
    }

    /// Whether it names the document itself, as the empty pointer does.
    pub fn is_root(&self) -> bool {
        self.tokens.is_empty()
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
