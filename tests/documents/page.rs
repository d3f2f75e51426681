//! What a page of Markdown holds: its sections, and in them what must be the same in another language.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// A page, by its path from the root of the repository.
#[derive(Debug)]
pub(crate) struct Page {
    /// Such as `docs/rules.md`.
    pub(crate) path: String,
    /// What stands before the first heading belongs to a section of level 0 and is empty in all of ours.
    pub(crate) sections: Vec<Section>,
}

/// A heading, and what follows it up to the next one.
#[derive(Debug, Default)]
pub(crate) struct Section {
    /// 1 for the title of the page.
    pub(crate) level: u8,
    /// Its text.
    pub(crate) title: String,
    /// How links name it.
    pub(crate) anchor: String,
    /// In their order.
    pub(crate) blocks: Vec<Block>,
    /// Code within sentences and headings; tables have theirs in their cells.
    pub(crate) codes: BTreeSet<String>,
    /// Where links and pictures lead, with the line where each stands.
    pub(crate) links: Vec<(String, usize)>,
    /// Numbers in digits, outside code; those in words are each language's own.
    pub(crate) numbers: BTreeSet<String>,
    /// Sentences: of paragraphs, items and the heading, without code.
    pub(crate) prose: Vec<String>,
}

/// Something that has the same shape in each language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// The number of a list's items.
    List(usize),
    /// A comment that a generator looks for.
    Mark(String),
    /// Language and text.
    Code(String, String),
    /// Rows of cells, each with its codes; the first is the head.
    Table(Vec<Vec<BTreeSet<String>>>),
}

impl Page {
    /// Reads the page at this path from the root.
    pub(crate) fn read(root: &Path, path: &str) -> Self {
        let text = std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self::of(path, &text)
    }

    /// The page with this path and text.
    pub(crate) fn of(path: &str, text: &str) -> Self {
        let mut reading = Reading { text, sections: vec![Section::default()], open: Open::default() };
        let events = Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter();
        events.for_each(|(event, place)| reading.take(event, place));
        let mut sections = reading.sections;
        name(&mut sections);
        Self { path: path.to_owned(), sections }
    }

    /// The number of the section that this anchor names.
    pub(crate) fn section(&self, anchor: &str) -> Option<usize> {
        self.sections.iter().position(|section| section.anchor == anchor)
    }
}

/// Anchors as GitHub makes them: letters in lower case, blanks as hyphens, no punctuation, a number behind the second.
fn name(sections: &mut [Section]) {
    let mut known: Vec<String> = Vec::new();
    for section in sections.iter_mut().skip(1) {
        let mut plain = section.title.to_lowercase().replace(' ', "-");
        plain.retain(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
        let before = known.iter().filter(|one| **one == plain).count();
        section.anchor = if before == 0 { plain.clone() } else { format!("{plain}-{before}") };
        known.push(plain);
    }
}

/// What is open at this place of the page.
#[derive(Default)]
struct Open {
    is_heading: bool,
    code: Option<(String, String)>,
    table: Option<Vec<Vec<BTreeSet<String>>>>,
    /// The items of each open list.
    lists: Vec<usize>,
    prose: String,
}

struct Reading<'a> {
    text: &'a str,
    sections: Vec<Section>,
    open: Open,
}

impl Reading<'_> {
    fn section(&mut self) -> &mut Section {
        let last = self.sections.len() - 1;
        &mut self.sections[last]
    }

    fn take(&mut self, event: Event<'_>, place: Range<usize>) {
        match event {
            Event::Start(tag) => self.begin(tag, place),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match self.open.code.as_mut() {
                Some((_, code)) => code.push_str(&text),
                None => {
                    self.section().numbers.extend(numbers(&text));
                    self.word(&text);
                }
            },
            Event::Code(code) => self.inline(&code),
            Event::SoftBreak | Event::HardBreak => self.open.prose.push(' '),
            Event::Html(html) => self.section().blocks.push(Block::Mark(html.trim().to_owned())),
            _ => {}
        }
    }

    fn begin(&mut self, tag: Tag<'_>, place: Range<usize>) {
        match tag {
            Tag::Heading { level, .. } => {
                self.sections.push(Section { level: number(level), ..Section::default() });
                self.open.is_heading = true;
            }
            Tag::CodeBlock(kind) => {
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.into_string(),
                    CodeBlockKind::Indented => "sh".to_owned(),
                };
                self.open.code = Some((language, String::new()));
            }
            Tag::Table(_) => self.open.table = Some(Vec::new()),
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = self.open.table.as_mut() {
                    table.push(Vec::new());
                }
            }
            Tag::TableCell => {
                if let Some(row) = self.open.table.as_mut().and_then(|table| table.last_mut()) {
                    row.push(BTreeSet::new());
                }
            }
            Tag::List(_) => self.open.lists.push(0),
            Tag::Item => {
                if let Some(items) = self.open.lists.last_mut() {
                    *items += 1;
                }
            }
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                let line = self.text[..place.start].matches('\n').count() + 1;
                self.section().links.push((dest_url.into_string(), line));
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.open.is_heading = false;
                self.end_of_prose();
            }
            TagEnd::CodeBlock => {
                if let Some((language, code)) = self.open.code.take() {
                    self.section().blocks.push(Block::Code(language, code));
                }
            }
            TagEnd::Table => {
                if let Some(table) = self.open.table.take() {
                    self.section().blocks.push(Block::Table(table));
                }
            }
            TagEnd::List(_) => {
                if let Some(items) = self.open.lists.pop() {
                    self.section().blocks.push(Block::List(items));
                }
            }
            TagEnd::Paragraph | TagEnd::Item => self.end_of_prose(),
            _ => {}
        }
    }

    fn word(&mut self, text: &str) {
        if self.open.is_heading {
            self.section().title.push_str(text);
        }
        if self.open.table.is_none() {
            self.open.prose.push_str(text);
        }
    }

    fn inline(&mut self, code: &str) {
        if self.open.is_heading {
            self.section().title.push_str(code);
        }
        match self.open.table.as_mut().and_then(|table| table.last_mut()?.last_mut()) {
            Some(cell) => cell.insert(code.to_owned()),
            None => self.section().codes.insert(code.to_owned()),
        };
    }

    fn end_of_prose(&mut self) {
        let prose = std::mem::take(&mut self.open.prose);
        if !prose.trim().is_empty() {
            self.section().prose.push(prose);
        }
    }
}

/// The numbers in a text, without the commas of thousands.
fn numbers(text: &str) -> impl Iterator<Item = String> {
    let runs = text.split(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ','));
    runs.map(|run| run.trim_matches(['.', ',']).replace(',', "")).filter(|run| !run.is_empty())
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
