//! An error as an upstream told it.

/// An error, as an upstream told it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told<'a> {
    /// Name of the upstream.
    pub upstream: &'a str,
    /// Status of the response; 200 for an error in a stream, or in a reply under the status of a success.
    pub status: u16,
    /// Its type, or else its code.
    pub kind: Option<&'a str>,
    /// Its code, or else its type.
    pub code: Option<&'a str>,
    /// Its message: all of it; of a page the title, and of what is neither, the text.
    pub message: Option<&'a str>,
}

impl Told<'_> {
    /// The status; of an error under that of a success, the one that its type stands for.
    pub fn meant_status(&self) -> u16 {
        match self.kind {
            Some(kind) if self.status < 400 => status_of_type(kind),
            _ => self.status,
        }
    }
}

/// The status that the API gives an error of this type, as far as that says something of a key; types may be statuses
/// themselves; 0 for all others.
pub fn status_of_type(kind: &str) -> u16 {
    match kind {
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "rate_limit_error" => 429,
        other => other.parse().unwrap_or_default(),
    }
}
