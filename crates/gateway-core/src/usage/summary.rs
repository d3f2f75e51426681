//! What is known of a response when it was read, whichever API it is of; and how long its texts may be that are kept.

pub use super::nature::Nature;
use super::tools::Tools;
use super::transformations::Dropped;
use serde_json::Value;
use std::time::Duration;

/// Longest name of a model, of an error, or of a reason that is kept.
pub const LONGEST_WORD: usize = 100;
/// Longest message of an error that is kept.
pub(crate) const LONGEST_MESSAGE: usize = 300;

/// Tokens as the upstream counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Input that no cache was used for.
    pub input: u64,
    /// Output.
    pub output: u64,
    /// Input that was written to the prompt cache.
    pub cache_write: u64,
    /// How much of that was written to be kept for an hour, which has a price of its own.
    pub cache_write_1h: u64,
    /// Input that was read from it.
    pub cache_read: u64,
}

/// What else the usage says; `None` where it is not told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Input written to the prompt cache, to be kept for five minutes.
    pub cache_write_5m: Option<u64>,
    /// The same, to be kept for an hour.
    pub cache_write_1h: Option<u64>,
    /// Output that was thinking.
    pub thinking: Option<u64>,
    /// Searches that the API made, each with a price of its own.
    pub web_searches: Option<u64>,
    /// Pages that the API fetched.
    pub web_fetches: Option<u64>,
    /// How urgent the request was: `standard`, `priority`, `batch`.
    pub service_tier: Option<String>,
    /// Where the model ran.
    pub inference_geo: Option<String>,
    /// How fast it ran: `standard`, `fast`.
    pub speed: Option<String>,
}

impl Details {
    /// Those that are names.
    pub fn names(&self) -> [&Option<String>; 3] {
        [&self.service_tier, &self.inference_geo, &self.speed]
    }

    /// The same, to be changed.
    pub fn names_mut(&mut self) -> [&mut Option<String>; 3] {
        [&mut self.service_tier, &mut self.inference_geo, &mut self.speed]
    }
}

/// What is known of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// What it is, by its bytes.
    pub nature: Nature,
    /// Whether it came to its end: `message_stop`, or a whole reply.
    pub is_complete: bool,
    /// Whether an event of the Messages API was among its events: of other streams it cannot be told where they end.
    pub is_message: bool,
    /// Whether an event came, before any error, that says something: pings and comments do not, nor does `[DONE]`.
    pub has_begun: bool,
    /// The type of the error that it is, or that came in the middle of the stream; `unknown` if that has none.
    pub error: Option<String>,
    /// Its code, if it has one.
    pub error_code: Option<String>,
    /// What that error says.
    pub error_message: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// Tokens, once any were told.
    pub tokens: Option<Tokens>,
    /// Whether the output among them is estimated: the response ended before it was told.
    pub is_estimated: bool,
    /// Whether the input among them is: nothing was told, of a prompt that the upstream had.
    pub is_input_estimated: bool,
    /// What else was told of the usage.
    pub details: Details,
    /// Blocks of thinking that the API dropped, if it said so.
    pub dropped: Option<Dropped>,
    /// Why it ended.
    pub stop_reason: Option<String>,
    /// How often tools were to be used.
    pub tool_uses: u32,
    /// Which ones.
    pub tools: Tools,
    /// Whether there is thinking in it.
    pub thinks: bool,
    /// From the beginning of the request to the first piece of content.
    pub first_token: Option<Duration>,
    /// The same to the last piece.
    pub last_token: Option<Duration>,
    /// The longest time in which nothing came, once the response had begun.
    pub longest_gap: Duration,
    /// Events.
    pub events: u32,
    /// Events that were too large to be looked into.
    pub skipped: u32,
    /// Whether the bytes could be read at all.
    pub is_unreadable: bool,
}

/// What a response was, when all of it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// All: a message to its end, or a reply.
    All,
    /// An error.
    Error,
    /// A message without its end.
    Part,
    /// Nothing: no byte, or no event that says anything.
    Nothing,
    /// A text or a JSON value that is no message.
    NoMessage,
    /// A web page.
    Page,
    /// What nobody here can read: an unknown coding, or too much of it.
    Unreadable,
    /// Something of which only the framing tells where it ends: events of another API, or a body of another type.
    Other,
}

impl Summary {
    /// Whether it is a stream of events.
    pub fn is_stream(&self) -> bool {
        self.nature == Nature::Stream
    }

    /// What it was, once it is over and its framing was whole.
    pub fn said(&self) -> Said {
        match self.nature {
            _ if self.error.is_some() => Said::Error,
            _ if self.is_unreadable => Said::Unreadable,
            Nature::Empty => Said::Nothing,
            Nature::Page => Said::Page,
            Nature::Text => Said::NoMessage,
            Nature::Unknown => Said::Other,
            Nature::Reply | Nature::Stream if self.is_complete => Said::All,
            Nature::Reply => Said::NoMessage,
            Nature::Stream if !self.has_begun => Said::Nothing,
            Nature::Stream if self.is_message => Said::Part,
            Nature::Stream => Said::Other,
        }
    }

    /// Tokens of output for each second in which content came; `None` for replies that came as a whole.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let seconds = self.last_token?.checked_sub(self.first_token?)?.as_secs_f64();
        let output = self.tokens?.output;
        (seconds > 0.0 && output > 1).then(|| output as f64 / seconds)
    }
}

/// A name; longer ones are cut, and blanks are none.
pub(super) fn word(value: &Value) -> Option<String> {
    text(value, LONGEST_WORD).filter(|word| !word.trim().is_empty())
}

/// A message, cut to what is kept of one.
pub(super) fn cut(message: &str) -> String {
    message.chars().take(LONGEST_MESSAGE).collect()
}

/// A text, cut to so many characters.
pub(super) fn text(value: &Value, longest: usize) -> Option<String> {
    Some(value.as_str()?.chars().take(longest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_output_over_the_time_in_which_content_came() {
        let summary = |first, last, output| Summary {
            first_token: first,
            last_token: last,
            tokens: Some(Tokens { output, ..Tokens::default() }),
            ..Summary::default()
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(summary(second, Some(Duration::from_secs(3)), 100).tokens_per_second(), Some(50.0));
        assert_eq!(summary(second, second, 100).tokens_per_second(), None);
        assert_eq!(summary(None, None, 100).tokens_per_second(), None);
    }
}
