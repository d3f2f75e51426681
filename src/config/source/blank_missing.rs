//! A blank that is missing behind a colon: `debug:true` is one text to YAML, and what it says of that names another line.

use super::message::Message;

/// What is to be said of a text that was to be a key and its value.
pub(crate) fn in_text(text: &str) -> Option<Message> {
    let name = key(text)?;
    Some(Message::BlankMissing { name: name.to_owned() })
}

/// Where it is missing in a text that YAML finds wrong in this line: there, or in the lines just before it; line and column,
/// from 1.
pub(super) fn before(yaml: &str, line: usize) -> Option<(usize, usize, Message)> {
    let lines = yaml.lines().enumerate().take(line).collect::<Vec<_>>();
    let has_content = |text: &str| !matches!(text.trim_start().chars().next(), None | Some('#'));
    let mut with_content = lines.into_iter().rev().filter(|(_, text)| has_content(text)).peekable();
    // The line that is found wrong may be right by itself.
    if with_content.peek().is_some_and(|(_, text)| in_line(text).is_none()) {
        with_content.next();
    }
    let found = with_content.map_while(|(at, text)| Some((at, in_line(text)?))).last();
    found.map(|(at, (column, what))| (at + 1, column, what))
}

/// The column behind the colon, from 1, and what is to be said.
fn in_line(line: &str) -> Option<(usize, Message)> {
    let text = line.trim_start_matches([' ', '-']);
    let name = key(text)?;
    let before = line.len() - text.len() + name.len() + 1;
    Some((before + 1, Message::BlankMissing { name: name.to_owned() }))
}

/// What stands before a colon with a value directly behind it. A URL is none, nor is an address.
fn key(text: &str) -> Option<&str> {
    let (name, value) = text.split_once(':')?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_part);
    let has_value = value.starts_with(|c: char| !c.is_whitespace() && c != '/');
    let is_address = name == "localhost" || name.contains('.') && value.parse::<u16>().is_ok();
    (is_name && has_value && !is_address).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blank(name: &str) -> Message {
        Message::BlankMissing { name: name.to_owned() }
    }

    #[test]
    fn the_line_that_lacks_the_blank_is_found_from_the_one_that_yaml_names() {
        for (yaml, line, wanted) in [
            ("gateway:\n  debug:true\n  listen: a\n", 3, Some((2, 9, "debug"))),
            ("gateway:\n  listen: a\n  debug:true\n", 3, Some((3, 9, "debug"))),
            ("gateway:\n  debug:true\n\n  # why\n  listen: a\n", 5, Some((2, 9, "debug"))),
            ("gateway:\n  debug:true\n  # why\n", 3, Some((2, 9, "debug"))),
            ("gateway:\n  debug:true\n  watch:true\n  listen: a\n", 4, Some((2, 9, "debug"))),
            ("gateway:\n  upstreams:\n    - name:a\n      base_url: b\n", 4, Some((3, 12, "name"))),
            ("gateway:\n  a: http://b\n  c: d: e\n", 3, None),
            ("a:\n  - localhost:80\n  - b.example:80\n  - http://c\n  x: y\n", 5, None),
            ("", 1, None),
        ] {
            let wanted = wanted.map(|(line, column, name)| (line, column, blank(name)));
            assert_eq!(before(yaml, line), wanted, "{yaml}");
        }
    }

    #[test]
    fn a_value_alone_tells_it_too_and_keeps_what_it_is() {
        assert_eq!(in_text("api_key:sk-secret"), Some(blank("api_key")));
        for text in ["true", "https://a.example", "127.0.0.1:80", "a.example:443", "Bearer a:b", "a: b", "a:"] {
            assert_eq!(in_text(text), None, "{text}");
        }
    }
}
