//! Every page that users read exists in English and in Chinese, and both say the same: the same headings, code, tables,
//! lists, names and links. Pages for those who change the program are in English only.

#[path = "documents/page.rs"]
mod page;
#[path = "documents/twins.rs"]
mod twins;

use std::collections::BTreeMap;
use std::path::Path;

use page::Page;

/// For those who change the program, whose code and comments are English too.
const ENGLISH_ONLY: [&str; 3] = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"];

/// Pages whose Chinese is still to be written.
const MISSING: [&str; 1] = ["docs/benchmarks.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages at the root and in `docs`, by their paths.
fn pages() -> BTreeMap<String, Page> {
    let mut pages = BTreeMap::new();
    for folder in ["", "docs/"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("a folder") {
            let path = format!("{folder}{}", entry.expect("an entry").file_name().to_string_lossy());
            if path.ends_with(".md") {
                pages.insert(path.clone(), Page::read(root(), &path));
            }
        }
    }
    pages
}

/// The English path of a page, and whether this is the Chinese one.
fn english(path: &str) -> (String, bool) {
    match path.strip_suffix(".zh-CN.md") {
        Some(name) => (format!("{name}.md"), true),
        None => (path.to_owned(), false),
    }
}

fn chinese(path: &str) -> String {
    format!("{}.zh-CN.md", path.trim_end_matches(".md"))
}

fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_page_for_users_is_there_in_both_languages() {
    let pages = pages();
    assert!(pages.len() >= 25, "only {} pages were found", pages.len());
    let mut wrong = Vec::new();
    for path in pages.keys() {
        let (twin, is_chinese) = english(path);
        let twin = if is_chinese { twin } else { chinese(path) };
        if pages.contains_key(&twin) == (ENGLISH_ONLY.contains(&path.as_str()) || MISSING.contains(&path.as_str())) {
            wrong.push(format!("{path}: {twin}"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn both_languages_have_the_same_headings_code_tables_and_links() {
    let pages = pages();
    let wrong: Vec<String> = pages
        .values()
        .filter_map(|page| Some((page, pages.get(&chinese(&page.path))?)))
        .flat_map(|(one, other)| twins::differences(one, other, &pages))
        .collect();
    assert_none(&wrong);
}

#[test]
fn every_link_leads_somewhere_and_stays_in_its_language() {
    let pages = pages();
    let mut wrong = Vec::new();
    for page in pages.values() {
        let links = page.sections.iter().flat_map(|section| &section.links);
        for (link, line) in links.filter(|(link, _)| !twins::is_elsewhere(link)) {
            let (path, anchor) = twins::target(&page.path, link);
            let mut tell = |what: &str| wrong.push(format!("{}:{line}: {link}: {what}", page.path));
            if !root().join(&path).exists() {
                tell("no such file");
                continue;
            }
            if anchor.is_some_and(|anchor| pages.get(&path).is_none_or(|page| page.section(anchor).is_none())) {
                tell("no such heading");
            }
            let (plain, is_chinese) = english(&path);
            let is_twin = plain == english(&page.path).0;
            let has_twin = pages.contains_key(&chinese(&plain));
            if !is_twin && has_twin && is_chinese != english(&page.path).1 {
                tell("the page is there in this page's language");
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn each_page_begins_with_a_link_to_the_other_language() {
    let pages = pages();
    let mut wrong = Vec::new();
    for page in pages
        .values()
        .filter(|page| !ENGLISH_ONLY.contains(&page.path.as_str()) && !MISSING.contains(&page.path.as_str()))
    {
        let (plain, is_chinese) = english(&page.path);
        let twin = if is_chinese { plain } else { chinese(&plain) };
        let first = page.sections.iter().flat_map(|section| &section.links).next();
        if first.map(|(link, _)| twins::target(&page.path, link).0) != Some(twin.clone()) {
            wrong.push(format!("{}: its first link is {first:?}, not {twin}", page.path));
        }
    }
    assert_none(&wrong);
}

#[test]
fn no_paragraph_of_a_chinese_page_was_left_in_english() {
    let mut wrong = Vec::new();
    for page in pages().values().filter(|page| english(&page.path).1) {
        for prose in page.sections.iter().flat_map(|section| &section.prose) {
            let letters = prose.chars().filter(char::is_ascii_alphabetic).count();
            if letters > 30 && !is_chinese(prose) {
                wrong.push(format!("{}: {prose}", page.path));
            }
        }
    }
    assert_none(&wrong);
}
