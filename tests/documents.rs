//! Every page that users read exists in English and in Chinese, and both say the same: the same headings, code, tables,
//! lists, names, numbers and links. Pages for those who change the program are in English only.

#[path = "documents/dockerfile.rs"]
mod dockerfile;
#[path = "documents/page.rs"]
mod page;
#[path = "documents/twins.rs"]
mod twins;

use std::collections::BTreeMap;
use std::path::Path;

use page::Page;

/// For those who change the program, whose code and comments are English too.
const ENGLISH_ONLY: [&str; 3] = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"];

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
        if pages.contains_key(&twin) == ENGLISH_ONLY.contains(&path.as_str()) {
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
    for page in pages.values().filter(|page| !ENGLISH_ONLY.contains(&page.path.as_str())) {
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

#[test]
fn each_kind_of_difference_is_told() {
    let table = |cells: &str| format!("# T\n\n| a | b |\n|---|---|\n{cells}\n");
    let told = |english: &str, chinese: &str| {
        let pages = [("docs/a.md", english), ("docs/a.zh-CN.md", chinese)].map(|(path, text)| Page::of(path, text));
        let all: BTreeMap<String, Page> = pages.map(|page| (page.path.clone(), page)).into();
        twins::differences(&all["docs/a.md"], &all["docs/a.zh-CN.md"], &all).join("\n")
    };
    for (english, chinese, wanted) in [
        ("# T\n\n## More\n", "# T\n", "other headings"),
        ("# T\n\n## More\n", "# T\n\n### 更多\n", "other headings"),
        ("# T\n\nset `a`\n", "# T\n\n设置 `b`\n", "code of the English page alone [\"a\"]"),
        ("# T\n\n```sh\nrun a  # this\n```\n", "# T\n\n```sh\nrun b  # 这个\n```\n", "the code"),
        ("# T\n\n```yaml\na: 1\n```\n", "# T\n\n```yaml\n  a: 1\n```\n", "the code"),
        ("# T\n\nafter 5 s\n", "# T\n\n6 秒之后\n", "numbers of the English page alone [\"5\"]"),
        ("# T\n\n- a\n- b\n", "# T\n\n- 甲\n", "a list of 1, not a list of 2"),
        ("# T\n\n[x](x) [a](a.md#t)\n", "# T\n\n[x](x) [甲](a.zh-CN.md)\n", "links of the English page alone"),
        (
            "# T\n\n<img alt=\"a\" src=\"docs/images/a-en.png\">\n",
            "# T\n\n<img alt=\"甲\" src=\"docs/images/b-zh.png\">\n",
            "the mark",
        ),
        ("# T\n\ntext\n\n- a\n", "# T\n\n文字\n", "not a list of 1"),
        (&table("| `1` | 2 |"), &table("| `3` | 2 |"), "row 1, column 1"),
        (&table("| 1 | 2 |\n| 3 | 4 |"), &table("| 1 | 2 |"), "a table of (2, 2) rows and columns, not of (3, 2)"),
    ] {
        let told = told(english, chinese);
        assert!(told.contains(wanted), "{wanted:?} is not in: {told}\n{english}{chinese}");
    }
    let [english, chinese] = [("a", "en"), ("甲", "zh")]
        .map(|(alt, language)| format!("# T\n\n<img alt=\"{alt}\" src=\"docs/images/a-{language}.png\">\n"));
    assert_eq!(told(&english, &chinese), "");
    let english = "# T\n\n[x](x) [a](a.md#t) `a` `b NAME` 1,000\n\n```sh\nrun a  # this\n\n# that\nrun b\n```\n";
    let chinese = "# 题\n\n[x](x) 1000 `b 名称` `a` [甲](a.zh-CN.md#题)\n\n```sh\nrun a       # 这个\nrun b\n```\n";
    assert_eq!(told(english, chinese), "");
}

/// The pages of the panel's menu, from its words in a language.
fn menu(words: &str) -> Vec<String> {
    let navigation = std::fs::read_to_string(root().join("static/src/shell/pages.ts")).expect("the navigation");
    let lists = navigation.split("pages: [").skip(1).filter_map(|rest| rest.split(']').next());
    let pages: Vec<&str> = lists.flat_map(|list| list.split('\'').skip(1).step_by(2)).collect();
    assert!(pages.len() >= 7, "{pages:?}");
    let text = std::fs::read_to_string(root().join("static/src/i18n").join(words)).expect("words");
    let block = text.split("\n  nav: {").nth(1).and_then(|rest| rest.split("\n  }").next()).expect("the menu's words");
    let word = |page: &str| block.split(&format!("\n    {page}: '")).nth(1)?.split('\'').next().map(str::to_owned);
    pages.into_iter().map(|page| word(page).unwrap_or_else(|| panic!("{words} has no word for {page}"))).collect()
}

#[test]
fn the_readmes_name_the_pages_of_the_panel_as_its_menu_does() {
    for (path, words) in [("README.md", "en/base.ts"), ("README.zh-CN.md", "zh/base.ts")] {
        let (page, menu) = (Page::read(root(), path), menu(words));
        let mut prose = page.sections.iter().flat_map(|section| &section.prose).map(|text| text.to_lowercase());
        let has_all = |text: &str| menu.iter().all(|name| text.contains(&name.to_lowercase()));
        assert!(
            prose.any(|text| text.contains("/admin") && has_all(&text)),
            "{path} names its pages otherwise: {menu:?}"
        );
    }
}
