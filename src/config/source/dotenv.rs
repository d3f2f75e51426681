//! `env/.env`, read as python-dotenv 1.2 reads it, which users of the original know; but nothing is ever substituted: a
//! key may have a `$` in it. (The crates that there are substitute, or read quotes and comments in ways of their own.)

/// One statement of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Line and column of its name.
    pub name_at: (usize, usize),
    /// Where its value stands, or else its name, or what is wrong with it: line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What it says.
    pub says: Says,
}

/// A variable of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    /// Its value.
    pub value: String,
    /// Line and column of its name.
    pub name_at: (usize, usize),
    /// The line of the value, from 1.
    pub line: usize,
    /// Its column, from 1, in characters.
    pub column: usize,
}

/// What a statement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// `NAME=value`
    Value {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
        /// Whether `${NAME}` stands in it, outside of single quotes: others would put a variable there.
        has_reference: bool,
    },
    /// A name alone: the variable is not set.
    Name(String),
    /// Nothing that can be read.
    Wrong,
}

/// All statements of a text, in their order; comments and blank lines say nothing.
pub(crate) fn parse(text: &str) -> Vec<Statement> {
    let text = with_usual_line_ends(text);
    let mut cursor = Cursor { rest: &text, line: 1, column: 1, name_at: (1, 1), said_at: (1, 1) };
    let mut statements = Vec::new();
    loop {
        cursor.take_while(is_blank);
        if cursor.rest.is_empty() {
            return statements;
        }
        match cursor.statement() {
            Some(None) => {}
            Some(Some(says)) => {
                let (line, column) = cursor.said_at;
                statements.push(Statement { name_at: cursor.name_at, line, column, says });
            }
            None => {
                let (line, column) = (cursor.line, cursor.column);
                cursor.take_while(|character| character != '\n');
                statements.push(Statement { name_at: (line, column), line, column, says: Says::Wrong });
            }
        }
    }
}

/// The text as Python opens it: each of these ends a line.
pub(crate) fn with_usual_line_ends(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// What Python calls white space.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\x1c'..='\x1f')
}

fn is_blank_in_line(character: char) -> bool {
    character != '\n' && is_blank(character)
}

struct Cursor<'t> {
    rest: &'t str,
    line: usize,
    column: usize,
    /// Where the last name began.
    name_at: (usize, usize),
    /// Where the last name or value began.
    said_at: (usize, usize),
}

impl<'t> Cursor<'t> {
    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.column = match taken.rsplit_once('\n') {
            Some((_, last)) => last.chars().count() + 1,
            None => self.column + taken.chars().count(),
        };
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'t str {
        self.take(self.rest.find(|character| !is_part(character)).unwrap_or(self.rest.len()))
    }

    /// One statement; `None` for what is none, `Some(None)` for a comment.
    fn statement(&mut self) -> Option<Option<Says>> {
        self.skip_export();
        let says = match self.rest.starts_with('#') {
            true => None,
            false => {
                self.name_at = (self.line, self.column);
                self.said_at = self.name_at;
                let name = self.name()?.to_owned();
                self.take_while(is_blank_in_line);
                Some(match self.rest.starts_with('=') {
                    true => self.value(name)?,
                    false => Says::Name(name),
                })
            }
        };
        self.take_while(is_blank_in_line);
        if self.rest.starts_with('#') {
            self.take_while(|character| character != '\n');
        }
        (self.rest.is_empty() || self.rest.starts_with('\n')).then_some(says)
    }

    fn skip_export(&mut self) {
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with(is_blank_in_line)
        {
            self.take("export".len());
            self.take_while(is_blank_in_line);
        }
    }

    fn name(&mut self) -> Option<&'t str> {
        let name = match self.rest.strip_prefix('\'') {
            Some(quoted) => {
                let end = quoted.find('\'')?;
                &self.take(end + 2)[1..=end]
            }
            None => self.take_while(|character| !matches!(character, '=' | '#') && !is_blank(character)),
        };
        (!name.is_empty()).then_some(name)
    }

    /// What stands from the `=` on.
    fn value(&mut self, name: String) -> Option<Says> {
        self.take(1);
        let has_gap = !self.take_while(is_blank_in_line).is_empty();
        self.said_at = (self.line, self.column);
        let (value, raw) = match self.rest.chars().next() {
            Some('#') if has_gap => (String::new(), ""),
            Some(quote @ ('\'' | '"')) => {
                let raw = self.quoted(quote)?;
                (unescaped(raw, quote), if quote == '"' { raw } else { "" })
            }
            _ => {
                let raw = without_comment(self.take_while(|character| character != '\n'));
                (raw.to_owned(), raw)
            }
        };
        Some(Says::Value { name, value, has_reference: has_reference(raw) })
    }

    /// The text in quotes; `None` if they are not closed.
    fn quoted(&mut self, quote: char) -> Option<&'t str> {
        let mut is_escaped = false;
        let end = self.rest[1..].find(|character| {
            let is_end = character == quote && !is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            is_end
        })?;
        Some(&self.take(end + 2)[1..=end])
    }
}

/// A value without quotes, up to a `#` behind a blank.
fn without_comment(line: &str) -> &str {
    let is_comment = |&(at, _): &(usize, &str)| line[..at].ends_with(is_blank);
    let end = line.match_indices('#').find(is_comment).map_or(line.len(), |(at, _)| at);
    line[..end].trim_end_matches(is_blank)
}

fn unescaped(raw: &str, quote: char) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        let Some(escaped) = characters.next() else { break };
        match (escaped, quote) {
            ('\\' | '\'', _) | ('"', '"') => text.push(escaped),
            ('a', '"') => text.push('\x07'),
            ('b', '"') => text.push('\x08'),
            ('f', '"') => text.push('\x0c'),
            ('n', '"') => text.push('\n'),
            ('r', '"') => text.push('\r'),
            ('t', '"') => text.push('\t'),
            ('v', '"') => text.push('\x0b'),
            _ => text.extend(['\\', escaped]),
        }
    }
    text
}

/// Whether `${NAME}`, or `${NAME:-default}`, stands in a text.
fn has_reference(text: &str) -> bool {
    text.match_indices("${").any(|(at, _)| {
        let Some((name, _)) = text[at + 2..].split_once('}') else { return false };
        let name = name.split_once(':').map_or(name, |(name, _)| name);
        !name.is_empty() && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variables as `NAME=value`, names alone as `NAME`, and `!` for what cannot be read; with the lines.
    fn read(text: &str) -> Vec<String> {
        let shown = |statement: Statement| match statement.says {
            Says::Value { name, value, .. } => format!("{}:{name}={value}", statement.name_at.0),
            Says::Name(name) => format!("{}:{name}", statement.line),
            Says::Wrong => format!("{}:!", statement.line),
        };
        parse(text).into_iter().map(shown).collect()
    }

    #[test]
    fn a_value_is_what_is_written() {
        for (line, value) in [
            ("A=pa$USERword", "pa$USERword"),
            ("A=abc$", "abc$"),
            ("A=${HOME}/x", "${HOME}/x"),
            ("A=\"a$b\"", "a$b"),
            ("A='a$b'", "a$b"),
            ("A=abc#def", "abc#def"),
            ("A=abc #def", "abc"),
            ("A=abc\t # def # g", "abc"),
            ("A=#x", "#x"),
            ("A= # x", ""),
            ("A=two words  ", "two words"),
            ("A = b", "b"),
            ("export A=b", "b"),
            ("A=ab\\cd", "ab\\cd"),
            ("A=it's", "it's"),
            ("A=\"a # b\" # c", "a # b"),
            ("A='a # b'#c", "a # b"),
            ("A=\"a\\n\\t\\\"\\\\\\q\"", "a\n\t\"\\\\q"),
            ("A='a\\n\\'\\\\'", "a\\n'\\"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A=", ""),
            ("'A'=b", "b"),
            ("A=b=c==", "b=c=="),
        ] {
            assert_eq!(read(line), [format!("1:A={value}")], "{line:?}");
        }
    }

    #[test]
    fn lines_end_in_every_way_and_keep_their_numbers() {
        let text = "A=1\r\n# c\r\n\r\nB=\"x\r\ny\"\rC=3\n\n  D\nexport E\n";
        assert_eq!(read(text), ["1:A=1", "4:B=x\ny", "6:C=3", "8:D", "9:E"]);
    }

    #[test]
    fn what_is_no_statement_ends_with_its_line() {
        assert_eq!(read("a b\nKEY=\"sk\nB=1\n=x\nC='1' 2\nD=4"), ["1:!", "2:!", "3:B=1", "4:!", "5:!", "6:D=4"]);
    }

    #[test]
    fn each_has_its_place_in_characters() {
        for (text, place) in [
            ("A=1", (1, 3)),
            ("# 网关\n A = 值", (2, 6)),
            ("export 名=\"x\ny\" # c", (1, 10)),
            ("A=\"x\n网y\"\nB", (1, 3)),
            ("A=", (1, 3)),
            ("A", (1, 1)),
            // What is wrong: the second word, the name that is missing, the quote that is not closed, what is behind it.
            ("网关 是", (1, 4)),
            ("网 = x\n=x", (2, 1)),
            ("键=\"sk", (1, 3)),
            ("A='值' 2", (1, 7)),
            ("A=\"x\n网\" y", (2, 4)),
        ] {
            let statements = parse(text);
            let wrong = statements.iter().find(|statement| statement.says == Says::Wrong);
            let told = wrong.unwrap_or(&statements[0]);
            assert_eq!((told.line, told.column), place, "{text:?}");
        }
    }

    #[test]
    fn references_are_told_from_other_dollars() {
        let has = |text: &str| {
            let [Statement { says: Says::Value { has_reference, .. }, .. }] = &parse(text)[..] else {
                panic!("{text}")
            };
            *has_reference
        };
        for text in ["A=${B}", "A=x${B_1}y", "A=\"${B}\"", "A=${B:-c}"] {
            assert!(has(text), "{text}");
        }
        for text in ["A=$B", "A='${B}'", "A=${", "A=${}", "A=${client.ip}", "A=$$", "A={B}"] {
            assert!(!has(text), "{text}");
        }
    }
}
