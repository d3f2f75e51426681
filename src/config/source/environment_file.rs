//! A file of variables as systemd reads it (`EnvironmentFile=` in systemd.exec(5)): what it sets in which line, and which
//! lines set nothing. Only the program that is started sees the variables; this says where they stand.

use super::secret::Secret;
use serde::{Deserialize, Serialize};

/// What such a file has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EnvironmentFile {
    /// Its path.
    pub path: String,
    /// What it sets, in its order.
    pub assignments: Vec<Assignment>,
    /// The lines that systemd leaves out.
    pub left_out: Vec<LeftOut>,
}

/// A line that systemd leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftOut {
    /// The line, from 1.
    pub line: usize,
    /// The variable that it was meant to set, if its name is known: nothing else of the line is kept, which may hold a key.
    pub meant: Option<String>,
    /// Whether it is only `export` before the name that is too much.
    pub is_export: bool,
}

/// A variable that is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// Its name.
    pub name: String,
    /// The line in which it begins, from 1.
    pub line: usize,
    /// Its value, which is written down nowhere; `None` if it is not known any more.
    #[serde(skip)]
    pub value: Option<Secret>,
}

impl EnvironmentFile {
    /// What the text of the file at this path has. A line that is left out is told by the variables that are known.
    pub(crate) fn parse(path: &str, text: &str, is_known: &dyn Fn(&str) -> bool) -> Self {
        let mut found = Self { path: path.to_owned(), ..Self::default() };
        for Line { number, name, value } in lines(text) {
            match value.filter(|value| is_name(&name) && !value.chars().any(is_control)) {
                Some(value) => {
                    found.assignments.push(Assignment { name, line: number, value: Some(Secret::new(value)) });
                }
                None => found.left_out.push(LeftOut::of(number, &name, is_known)),
            }
        }
        found
    }

    /// The variables and their values; of two with one name the later one counts.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.assignments.iter().filter_map(|found| Some((found.name.as_str(), found.value.as_ref()?.expose())))
    }

    /// The line that sets a variable to the value that it has; `None` if that came from elsewhere.
    pub(crate) fn line_of(&self, name: &str, value: Option<&str>) -> Option<usize> {
        let found = self.assignments.iter().rfind(|assignment| assignment.name == name)?;
        found.value.as_ref().is_none_or(|known| value == Some(known.expose())).then_some(found.line)
    }
}

impl LeftOut {
    /// A line that has this before its `=`.
    fn of(line: usize, name: &str, is_known: &dyn Fn(&str) -> bool) -> Self {
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let meant = name.split(|character| !is_part(character)).find(|word| is_known(word)).map(str::to_owned);
        let behind = name.strip_prefix("export").filter(|behind| behind.starts_with(is_blank));
        let is_export = behind.is_some_and(|behind| meant.as_deref() == Some(behind.trim_matches(is_blank)));
        Self { line, meant, is_export }
    }
}

/// One line, or several that belong together.
#[derive(Default)]
struct Line {
    number: usize,
    name: String,
    /// What stands behind its `=`; `None` without one.
    value: Option<String>,
}

/// Where systemd's reader is.
#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    BeforeName,
    Name,
    /// Behind the `=`, or behind a quote that was closed.
    BeforeValue,
    Value,
    ValueEscape,
    Single,
    Double,
    DoubleEscape,
    Comment,
    CommentEscape,
}

/// Reads as systemd's `parse_env_file_internal` does, up to version 253: later ones end a comment with its line, even one with
/// a backslash at its end.
fn lines(text: &str) -> Vec<Line> {
    let mut reader = LineReader { number: 1, ..LineReader::default() };
    text.chars().for_each(|character| reader.read(character));
    reader.end();
    reader.lines
}

#[derive(Default)]
struct LineReader {
    lines: Vec<Line>,
    state: State,
    /// The line that is read.
    number: usize,
    line: Line,
    /// How long the value is without the blanks at its end, which are no part of it unless they were quoted.
    kept: usize,
}

impl LineReader {
    fn read(&mut self, character: char) {
        let is_end = matches!(character, '\n' | '\r');
        self.state = match self.state {
            State::BeforeName => match character {
                '#' | ';' => State::Comment,
                _ if is_blank(character) => State::BeforeName,
                _ => {
                    self.line = Line { number: self.number, name: character.to_string(), value: None };
                    self.kept = 0;
                    State::Name
                }
            },
            State::Name => match character {
                _ if is_end => self.ended(),
                '=' => {
                    self.line.value = Some(String::new());
                    State::BeforeValue
                }
                _ => {
                    self.line.name.push(character);
                    State::Name
                }
            },
            State::BeforeValue => match character {
                _ if is_end => self.ended(),
                '\'' => State::Single,
                '"' => State::Double,
                '\\' => State::ValueEscape,
                _ if is_blank(character) => State::BeforeValue,
                _ => self.pushed(character, State::Value),
            },
            State::Value => match character {
                _ if is_end => self.ended(),
                '\\' => State::ValueEscape,
                _ if is_blank(character) => {
                    self.line.value.get_or_insert_default().push(character);
                    State::Value
                }
                _ => self.pushed(character, State::Value),
            },
            State::ValueEscape if is_end => State::Value,
            State::ValueEscape => self.pushed(character, State::Value),
            State::Single if character == '\'' => State::BeforeValue,
            State::Single => self.pushed(character, State::Single),
            State::Double => match character {
                '"' => State::BeforeValue,
                '\\' => State::DoubleEscape,
                _ => self.pushed(character, State::Double),
            },
            State::DoubleEscape => match character {
                '"' | '\\' | '`' | '$' => self.pushed(character, State::Double),
                '\n' => State::Double,
                _ => {
                    self.pushed('\\', State::Double);
                    self.pushed(character, State::Double)
                }
            },
            State::Comment if character == '\\' => State::CommentEscape,
            State::Comment if is_end => State::BeforeName,
            State::Comment | State::CommentEscape => State::Comment,
        };
        self.number += usize::from(character == '\n');
    }

    fn pushed(&mut self, character: char, next: State) -> State {
        let value = self.line.value.get_or_insert_default();
        value.push(character);
        self.kept = value.len();
        next
    }

    /// The line is over.
    fn ended(&mut self) -> State {
        let mut line = std::mem::take(&mut self.line);
        line.name.truncate(line.name.trim_end_matches(is_blank).len());
        if let Some(value) = &mut line.value {
            value.truncate(self.kept);
        }
        self.lines.push(line);
        State::BeforeName
    }

    /// The text is over.
    fn end(&mut self) {
        if !matches!(self.state, State::BeforeName | State::Comment | State::CommentEscape) {
            self.ended();
        }
    }
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_part) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// What a value must not have in it.
fn is_control(character: char) -> bool {
    character.is_ascii_control() && !matches!(character, '\t' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> EnvironmentFile {
        EnvironmentFile::parse("environment", text, &|name| name == "LISTEN")
    }

    #[test]
    fn lines_that_systemd_leaves_out_are_found() {
        let text = "# a comment\n; another\n\nA=1\nexport B=2\nC = 3\n“D”=4\nE=\"two\nlines = here\"\nF=one \\\nmore here\nG\n\
                    1H=1\nI=a\u{7}b\n";
        let file = read(text);
        assert_eq!(file.left_out.iter().map(|left| left.line).collect::<Vec<_>>(), [5, 7, 12, 13, 14]);
        let places: Vec<(&str, usize)> = file.assignments.iter().map(|found| (&*found.name, found.line)).collect();
        assert_eq!(places, [("A", 4), ("C", 6), ("E", 8), ("F", 10)]);
    }

    #[test]
    fn a_line_that_is_left_out_is_told_by_the_variable_that_it_was_meant_to_set_and_by_nothing_else() {
        for (text, meant, is_export) in [
            ("export LISTEN=x", Some("LISTEN"), true),
            ("export\tLISTEN = x", Some("LISTEN"), true),
            ("export LISTEN", Some("LISTEN"), true),
            ("sudo export LISTEN=x", Some("LISTEN"), false),
            ("\u{feff}LISTEN=x", Some("LISTEN"), false),
            ("“LISTEN”=x", Some("LISTEN"), false),
            ("LISTEN＝x", Some("LISTEN"), false),
            ("LISTEN: x", Some("LISTEN"), false),
            ("LISTEN=a\u{7}b", Some("LISTEN"), false),
            ("export LISTEN_TOO=x", None, false),
            ("export sk-a-key=LISTEN", None, false),
        ] {
            let wanted = LeftOut { line: 1, meant: meant.map(str::to_owned), is_export };
            assert_eq!(read(text).left_out, [wanted], "{text}");
        }
    }

    #[test]
    fn values_are_what_systemd_makes_of_them() {
        for (text, wanted) in [
            ("A=plain", "plain"),
            ("A = plain with blanks \t ", "plain with blanks"),
            ("A=it's \"this\"\n", "it's \"this\""),
            ("A='one'\" two\" three # four\n", "one twothree # four"),
            ("A=\" kept \"  ", " kept "),
            (r#"A="a\"b\\c\$d\`e\f""#, "a\"b\\c$d`e\\f"),
            (r"A='a\b'", "a\\b"),
            ("A=one\\\ntwo", "onetwo"),
            ("A=", ""),
            ("A=1\nA=2", "2"),
            ("A=x\r\nB=y\r\n", "x"),
            ("# comment \\\nA=not read\nA=1", "1"),
        ] {
            let file = read(text);
            let last = file.variables().filter(|(name, _)| *name == "A").last().map(|(_, value)| value);
            assert_eq!(last, Some(wanted), "{text}");
        }
    }

    #[test]
    fn a_place_is_told_only_of_the_value_that_is_in_force() {
        let file = EnvironmentFile::parse("/etc/e", "PORT=1\nPORT=2\n", &|_| false);
        assert_eq!(file.line_of("PORT", Some("2")), Some(2));
        assert_eq!((file.line_of("PORT", Some("1")), file.line_of("LISTEN", None)), (None, None));
        // Written down for the service, without the values.
        let text = serde_json::to_string(&file).expect("written");
        assert!(!text.contains("value"), "{text}");
        let noted: EnvironmentFile = serde_json::from_str(&text).expect("read");
        assert_eq!(noted.line_of("PORT", Some("anything")), Some(2));
    }
}
