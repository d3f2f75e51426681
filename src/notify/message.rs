//! A message: some events together, as people read them.

use super::event::Event;
use gateway_core::both;
use gateway_core::language::Language;
use std::sync::Arc;

/// Most events that are told one by one; of further ones only how many there are.
const MOST_LINES: usize = 20;

/// What is sent to one target.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Differs from message to message, and stays the same when one is sent again.
    pub id: String,
    /// What the gateway is called.
    pub gateway: String,
    /// The language of its texts.
    pub language: Language,
    /// What happened, in its order.
    pub events: Vec<Event>,
    /// Whether somebody only wants to see whether messages arrive.
    pub is_test: bool,
}

impl Message {
    /// A message with a new id.
    pub(super) fn new(gateway: &Arc<str>, language: Language, events: Vec<Event>) -> Self {
        let id = format!("msg_{:032x}", fastrand::u128(..));
        Self { id, gateway: gateway.to_string(), language, events, is_test: false }
    }

    /// One that only shows that messages arrive.
    pub(super) fn test(gateway: &Arc<str>, language: Language) -> Self {
        Self { is_test: true, ..Self::new(gateway, language, Vec::new()) }
    }

    /// One line: the name of the program, which chat bots can be made to look for, and which gateway it is.
    pub(super) fn title(&self) -> String {
        format!("anyrouter-gateway · {}", self.gateway)
    }

    /// A line for each event.
    pub(super) fn lines(&self) -> Vec<String> {
        if self.is_test {
            let words = both!(
                "This is a test: messages of the gateway arrive here.",
                "这是一条测试消息：网关的通知可以送达这里。"
            );
            return vec![words.text(self.language).to_owned()];
        }
        let text = |event: &Event| one_line(event.words.text(self.language));
        let mut lines: Vec<String> = self.events.iter().take(MOST_LINES).map(text).collect();
        if let Some(more) = self.events.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
            lines.push(both!("… and {more} more", "……另有 {more} 条").text(self.language).to_owned());
        }
        lines
    }

    /// Title and lines, within so many bytes.
    pub(super) fn text(&self, most_bytes: usize) -> String {
        let lines = self.lines();
        let lines = match lines.len() {
            1 => lines,
            _ => lines.into_iter().map(|line| format!("• {line}")).collect(),
        };
        cut(&format!("{}\n{}", self.title(), lines.join("\n")), most_bytes)
    }
}

/// Without line ends, which would make two events of one.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The beginning of a text that is longer than so many bytes.
pub(super) fn cut(text: &str, most_bytes: usize) -> String {
    const END: &str = "…";
    if text.len() <= most_bytes {
        return text.to_owned();
    }
    let mut end = most_bytes.saturating_sub(END.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{END}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::super::event::{Subject, Trouble};
    use super::*;
    use gateway_core::language::Words;
    use std::time::SystemTime;

    fn message(count: usize, language: Language) -> Message {
        let trouble = Trouble::new(Words::new(format_args!("it is\r\ndown"), format_args!("它不可用")));
        let event = Event::beginning(&Subject::Log, &trouble, SystemTime::UNIX_EPOCH);
        Message::new(&"box".into(), language, vec![event; count])
    }

    #[test]
    fn events_are_lines_in_the_language_of_the_target() {
        assert_eq!(message(1, Language::English).text(1000), "anyrouter-gateway · box\nit is down");
        assert_eq!(message(2, Language::Chinese).text(1000), "anyrouter-gateway · box\n• 它不可用\n• 它不可用");
        let many = message(25, Language::English).lines();
        assert_eq!((many.len(), many[20].as_str()), (21, "… and 5 more"));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        for most in 3..40 {
            let text = cut("网关 gateway 不可用了", most);
            assert!(text.len() <= most, "{text}: {most}");
        }
        assert_eq!(cut("abc", 3), "abc");
    }
}
