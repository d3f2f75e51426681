//! Variables as systemd reads them from an `EnvironmentFile=` (systemd.exec(5)): in double quotes, in which a backslash keeps
//! `"`, `\`, `` ` `` and `$` from meaning anything, and a line end is one.

/// Longest variable that a program can be started with: the kernel's `MAX_ARG_STRLEN`, with its end.
const MOST_BYTES: usize = 128 * 1024 - 1;

/// Why systemd does not hand a variable on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It takes letters, digits and underscores alone.
    Name,
    /// It drops values with control characters other than tabs and line ends.
    Control(char),
    /// The kernel takes no more.
    TooLong,
}

/// The assignment of a variable, with its line end.
///
/// # Errors
/// Why systemd would not hand it on as it is.
pub(super) fn assignment(name: &str, value: &str) -> Result<String, Unfit> {
    let is_name = |name: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(is_part)
    };
    if !is_name(name) {
        return Err(Unfit::Name);
    }
    let is_control = |c: &char| c.is_ascii_control() && !matches!(c, '\t' | '\n');
    // A file with what Unicode calls no character is not read at all.
    let is_none = |c: &char| matches!(*c, '\u{fdd0}'..='\u{fdef}') || u32::from(*c) & 0xfffe == 0xfffe;
    if let Some(control) = value.chars().find(|c| is_control(c) || is_none(c)) {
        return Err(Unfit::Control(control));
    }
    if name.len() + 1 + value.len() > MOST_BYTES {
        return Err(Unfit::TooLong);
    }
    let mut line = format!("{name}=\"");
    for character in value.chars() {
        if matches!(character, '"' | '\\' | '`' | '$') {
            line.push('\\');
        }
        line.push(character);
    }
    line.push_str("\"\n");
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What systemd makes of a text with quoted values alone, by the rules of systemd.exec(5): within double quotes a
    /// backslash is dropped before what a shell would escape, vanishes with a line end, and is kept before all else.
    fn systemd_reads(mut text: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        while !text.is_empty() {
            if let Some(comment) = text.strip_prefix('#') {
                text = comment.split_once('\n').expect("a line end").1;
                continue;
            }
            let (name, rest) = text.split_once("=\"").expect("a quoted value");
            let (mut value, mut characters) = (String::new(), rest.char_indices());
            let end = loop {
                match characters.next().expect("a quote at the end") {
                    (at, '"') => break at,
                    (_, '\\') => match characters.next().expect("something behind a backslash").1 {
                        escaped @ ('"' | '\\' | '`' | '$') => value.push(escaped),
                        '\n' => {}
                        other => value.extend(['\\', other]),
                    },
                    (_, other) => value.push(other),
                }
            };
            text = rest[end + 1..].strip_prefix('\n').expect("a line end");
            found.push((name.to_owned(), value));
        }
        found
    }

    #[test]
    fn what_systemd_reads_is_what_was_meant() {
        for value in [
            "",
            "plain",
            "a$b ${c} `d` $(e)",
            r#"quotes " and ' and \ and \n"#,
            " blanks at both ends \t",
            "# no comment ; here",
            "two\nlines\n",
            "a backslash at its end\\",
            "\\\n\"\n\\\"",
            "中文，全角",
            "\u{85}\u{a0}\u{feff}",
        ] {
            let line = assignment("NAME", value).expect("fit");
            let read = systemd_reads(&format!("# one\nA=\"1\"\n{line}B=\"2\"\n"));
            let wanted =
                [("A", "1"), ("NAME", value), ("B", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(read, wanted, "{line}");
        }
    }

    #[test]
    fn what_systemd_would_drop_is_told() {
        assert_eq!(assignment("A.B", "x"), Err(Unfit::Name));
        assert_eq!(assignment("1A", "x"), Err(Unfit::Name));
        assert_eq!(assignment("A", "a\rb"), Err(Unfit::Control('\r')));
        assert_eq!(assignment("A", "a\u{7f}b"), Err(Unfit::Control('\u{7f}')));
        assert_eq!(assignment("A", "a\u{ffff}"), Err(Unfit::Control('\u{ffff}')));
        assert_eq!(assignment("A", &"x".repeat(MOST_BYTES)), Err(Unfit::TooLong));
        assert!(assignment("A", &"x".repeat(MOST_BYTES - 2)).is_ok());
    }

    proptest! {
        /// Whatever the value: it is handed on as it is, and takes nothing of its neighbours.
        #[test]
        fn any_value_arrives_as_it_is(values in proptest::collection::vec("[\\PC\t\n\"'\\\\$`#; =]{0,24}", 1..5)) {
            let mut text = "# variables\n".to_owned();
            let mut wanted = Vec::new();
            for (at, value) in values.iter().enumerate() {
                let name = format!("V{at}");
                text += &assignment(&name, value).expect("no control characters");
                wanted.push((name, value.clone()));
            }
            prop_assert_eq!(systemd_reads(&text), wanted);
        }
    }
}
