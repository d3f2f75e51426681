//! How two pages that say the same in two languages differ.

use std::collections::{BTreeMap, BTreeSet};

use crate::page::{Block, Page, Section};
use crate::{english, is_chinese};

/// Whether a link leaves the repository.
pub(crate) fn is_elsewhere(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

/// The file that a link of this page leads to, from the root, and the heading there.
pub(crate) fn target<'l>(from: &str, link: &'l str) -> (String, Option<&'l str>) {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    if file.is_empty() {
        return (from.to_owned(), anchor);
    }
    let mut folders: Vec<&str> = from.split('/').collect();
    folders.pop();
    for part in file.split('/') {
        match part {
            ".." => drop(folders.pop()),
            "." => {}
            part => folders.push(part),
        }
    }
    (folders.join("/"), anchor)
}

/// A link as both languages have it: the English page and the number of the heading.
fn plain_link(page: &Page, link: &str, pages: &BTreeMap<String, Page>) -> String {
    if is_elsewhere(link) {
        return link.to_owned();
    }
    let (path, anchor) = target(&page.path, link);
    let heading = anchor.map(|anchor| match pages.get(&path).and_then(|page| page.section(anchor)) {
        Some(number) => format!("#{number}"),
        None => format!("#{anchor}"),
    });
    let path = plain_picture(&english(&path).0);
    format!("{path}{}", heading.unwrap_or_default())
}

/// The name of a picture without its language.
fn plain_picture(path: &str) -> String {
    if path.contains("docs/images/") { path.replace("-zh", "-en") } else { path.to_owned() }
}

/// HTML as both languages have it: `alt` is prose.
fn plain_mark(mark: &str) -> String {
    let lines =
        mark.lines().map(|line| match line.split_once(" alt=\"").and_then(|(a, b)| Some((a, b.split_once('"')?.1))) {
            Some((before, behind)) => plain_picture(&format!("{before}{behind}")),
            None => plain_picture(line),
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// Everything in which they differ, a line for each.
pub(crate) fn differences(one: &Page, other: &Page, pages: &BTreeMap<String, Page>) -> Vec<String> {
    let levels = |page: &Page| page.sections.iter().map(|section| section.level).collect::<Vec<_>>();
    if levels(one) != levels(other) {
        let titles = |page: &Page| {
            let line = |section: &Section| format!("  {} {}", "#".repeat(section.level.into()), section.title);
            page.sections.iter().map(line).collect::<Vec<_>>().join("\n")
        };
        return vec![format!("{}: other headings than\n{}\n, but\n{}", other.path, titles(one), titles(other))];
    }
    let mut wrong = Vec::new();
    for (number, (section, twin)) in one.sections.iter().zip(&other.sections).enumerate() {
        let mut tell = |what: String| wrong.push(format!("{}, \"{}\": {what}", other.path, twin.title));
        let (left, right) = unequal(&section.codes, &twin.codes);
        if !left.is_empty() || !right.is_empty() {
            tell(format!("code of the English page alone {left:?}, of this one alone {right:?}"));
        }
        let alone = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
        if section.numbers != twin.numbers {
            let (left, right) = (alone(&section.numbers, &twin.numbers), alone(&twin.numbers, &section.numbers));
            tell(format!("numbers of the English page alone {left:?}, of this one alone {right:?}"));
        }
        let links = |page: &Page, section: &Section| {
            let links = section.links.iter().map(|(link, _)| plain_link(page, link, pages));
            // The first of the page leads to the other language.
            links.skip(usize::from(number == 1)).collect::<BTreeSet<_>>()
        };
        let (left, right) = (links(one, section), links(other, twin));
        if left != right {
            let (left, right) = (alone(&left, &right), alone(&right, &left));
            tell(format!("links of the English page alone {left:?}, of this one alone {right:?}"));
        }
        if section.blocks.len() != twin.blocks.len() {
            let kinds = |section: &Section| section.blocks.iter().map(kind).collect::<Vec<_>>().join(", ");
            tell(format!("{}, not {}", kinds(twin), kinds(section)));
            continue;
        }
        section.blocks.iter().zip(&twin.blocks).filter_map(|(a, b)| block(a, b)).for_each(tell);
    }
    wrong
}

/// What only one of them has. A code with Chinese words in it stands for one of the other's.
fn unequal(english: &BTreeSet<String>, chinese: &BTreeSet<String>) -> (Vec<String>, Vec<String>) {
    let left: Vec<String> = english.difference(chinese).cloned().collect();
    let (words, right): (Vec<String>, Vec<String>) = chinese.difference(english).cloned().partition(|c| is_chinese(c));
    if right.is_empty() && left.len() == words.len() {
        return (Vec::new(), Vec::new());
    }
    (left, [words, right].concat())
}

fn kind(block: &Block) -> String {
    match block {
        Block::List(items) => format!("a list of {items}"),
        Block::Mark(mark) => format!("the mark {}", plain_mark(mark)),
        Block::Code(language, _) => format!("a block of {language}"),
        Block::Table(rows) => format!("a table of {} rows", rows.len()),
    }
}

/// In what two blocks differ.
fn block(one: &Block, other: &Block) -> Option<String> {
    match (one, other) {
        (Block::Code(language, code), Block::Code(other_language, other_code)) => {
            let (code, other_code) = (without_comments(language, code), without_comments(other_language, other_code));
            let is_same = code.len() == other_code.len() && code.iter().zip(&other_code).all(|(a, b)| same_line(a, b));
            (language != other_language || !is_same)
                .then(|| format!("the code\n{}\n, not\n{}", other_code.join("\n"), code.join("\n")))
        }
        (Block::Table(rows), Block::Table(other_rows)) => table(rows, other_rows),
        _ => (kind(one) != kind(other)).then(|| format!("{}, not {}", kind(other), kind(one))),
    }
}

fn table(rows: &[Vec<BTreeSet<String>>], other: &[Vec<BTreeSet<String>>]) -> Option<String> {
    let shape = |rows: &[Vec<BTreeSet<String>>]| (rows.len(), rows.first().map_or(0, Vec::len));
    if shape(rows) != shape(other) {
        return Some(format!("a table of {:?} rows and columns, not of {:?}", shape(other), shape(rows)));
    }
    let cells = rows.iter().zip(other).enumerate().flat_map(|(row, (one, other))| {
        one.iter().zip(other).enumerate().filter_map(move |(column, (one, other))| {
            let (left, right) = unequal(one, other);
            let differs = !left.is_empty() || !right.is_empty();
            differs.then(|| format!("row {row}, column {}: not {left:?}, but {right:?}", column + 1))
        })
    });
    let cells: Vec<String> = cells.collect();
    (!cells.is_empty()).then(|| cells.join("\n  "))
}

/// Lines without their comments, and without those that are nothing else.
fn without_comments(language: &str, code: &str) -> Vec<String> {
    if language == "json"
        && let Ok(mut value) = serde_json::from_str::<serde_json::Value>(code)
    {
        if let Some(object) = value.as_object_mut() {
            object.retain(|name, _| !name.starts_with("__"));
        }
        return vec![value.to_string()];
    }
    let lines = code.lines().map(|line| {
        let end = match language {
            // A prompt of root is no comment.
            "console" => line.get(1..).and_then(|rest| rest.find(" #")).map(|at| at + 1),
            "json" => None,
            _ if line.trim_start().starts_with('#') => Some(0),
            _ => line.find(" #"),
        };
        line[..end.unwrap_or(line.len())].trim_end().to_owned()
    });
    lines.filter(|line| !line.is_empty()).collect()
}

/// Whether two lines have the same words, where one with Chinese in it stands for any.
fn same_line(english: &str, chinese: &str) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let (one, other) = (english.split_whitespace(), chinese.split_whitespace());
    indent(english) == indent(chinese)
        && one.clone().count() == other.clone().count()
        && one.zip(other).all(|(one, other)| one == other || is_chinese(other))
}
