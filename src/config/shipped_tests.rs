//! The files that are shipped: the default configuration in both languages, the example of `env/.env`, and what the image is
//! built from.

use super::super::files::BUILT_IN;
use super::super::section::settings;
use super::super::section::upstream_keys::UPSTREAM_KEYS;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[test]
fn every_setting_is_in_the_shipped_file_with_its_variable() {
    for setting in settings::all().map(|setting| setting.about) {
        let leaf = setting.key.rsplit('.').next().expect("a leaf");
        assert!(BUILT_IN.contains(&format!("{leaf}:")), "{}", setting.key);
        for name in setting.env.iter().filter(|name| name.chars().all(|c| !c.is_lowercase())) {
            assert!(BUILT_IN.contains(name), "{name}");
        }
    }
    for setting in UPSTREAM_KEYS {
        assert!(BUILT_IN.contains(&format!("{}:", setting.key)), "{}", setting.key);
    }
}

/// The shipped file with Chinese comments.
const CHINESE: &str = include_str!("../../conf/gateway.zh-CN.yaml");

/// The comments of a shipped file by the path of what they stand beside, those in the lines below included.
fn comments(text: &str) -> BTreeMap<String, String> {
    let mut comments: BTreeMap<String, String> = BTreeMap::new();
    let mut levels: Vec<(usize, &str)> = Vec::new();
    for line in text.lines() {
        let (value, comment) = line.split_once('#').unwrap_or((line, ""));
        let indent = value.len() - value.trim_start().len();
        if let Some((key, _)) = value.trim().split_once(':') {
            levels.retain(|(level, _)| *level < indent);
            levels.push((indent, key));
        }
        let path: Vec<&str> = levels.iter().map(|(_, key)| *key).collect();
        comments.entry(path.join(".")).or_default().push_str(comment);
    }
    comments
}

#[test]
fn the_shipped_file_marks_what_only_a_restart_changes() {
    let comments = comments(BUILT_IN);
    for setting in settings::all().map(|setting| setting.about) {
        let Some(comment) = comments.get(setting.key) else {
            assert!(setting.key.starts_with("gateway.tls."), "{} is not in the file", setting.key);
            continue;
        };
        assert_eq!(comment.contains("(restart"), setting.needs_restart, "{}:{comment}", setting.key);
    }
}

/// What a shipped file sets, and which settings it shows in comments, each without what is said about it.
fn settings_shown(text: &str) -> (Vec<&str>, Vec<&str>) {
    let mut lines = text.lines().skip_while(|line| line.trim().is_empty() || line.starts_with('#')).peekable();
    assert!(lines.peek().is_some(), "nothing is set");
    let (mut set, mut shown) = (Vec::new(), Vec::new());
    for line in lines {
        let (value, comment) = line.split_once('#').unwrap_or((line, ""));
        if !value.trim().is_empty() {
            set.push(value.trim_end());
            continue;
        }
        // Prose has blanks before a colon; what continues a comment stands far to the right.
        let example = comment.split(" #").next().unwrap_or_default().trim_end();
        let bare = example.trim_start().trim_start_matches("- ");
        let is_name =
            |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        let is_setting =
            bare.split_once(':').is_some_and(|(name, _)| is_name(name)) || bare.len() < example.trim_start().len();
        if value.len() < 8 && (is_setting || bare.starts_with('{')) {
            shown.push(example);
        }
    }
    (set, shown)
}

#[test]
fn the_shipped_file_in_chinese_says_the_same() {
    let (english, chinese) = (settings_shown(BUILT_IN), settings_shown(CHINESE));
    assert_eq!(chinese.0, english.0);
    assert_eq!(chinese.1, english.1);
    assert!(english.0.len() > 100 && english.1.len() > 50, "{} {}", english.0.len(), english.1.len());
    let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    let (english, chinese) = (comments(BUILT_IN), comments(CHINESE));
    // What a comment names: variables, and other settings by their paths.
    let names = |text: &str| -> BTreeSet<String> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
        let words = text.split(|c: char| !is_part(c)).map(|word| word.trim_matches(['.', '-', '/']));
        let is_name = |word: &&str| word.contains('_') || word.starts_with("docs/") || word.contains("timeouts.");
        words.filter(is_name).map(|word| word.replace(".zh-CN", "")).collect()
    };
    for (path, said) in english.iter().filter(|(_, said)| said.contains(|c: char| c.is_ascii_alphabetic())) {
        let told = chinese.get(path).unwrap_or_else(|| panic!("{path} has no comment in Chinese"));
        assert!(is_chinese(told) || !said.trim().contains(' '), "{path}: {told}");
        assert_eq!(names(told), names(said), "{path}");
        assert_eq!(told.contains("需重启"), said.contains("(restart"), "{path}: {told}");
    }
    assert!(!is_chinese(BUILT_IN), "the other file's");
}

/// Each variable is in the example of `env/.env`, under comments in both languages.
#[test]
fn every_variable_is_in_the_example_in_both_languages() {
    let example = include_str!("../../env/.env.example");
    for name in settings::variables().filter(|name| !name.contains(|c: char| c.is_lowercase())) {
        // systemd sets it.
        let is_there =
            name == "RUNTIME_DIRECTORY" || example.lines().any(|line| line.starts_with(&format!("#{name}=")));
        assert!(is_there, "{name} is missing");
    }
    let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    let is_prose = |line: &&str| line.starts_with("# ");
    for block in example.split("\n\n").filter(|block| block.lines().any(|line| !is_prose(&line))) {
        let (chinese, english): (Vec<&str>, Vec<&str>) =
            block.lines().filter(is_prose).partition(|line| is_chinese(line));
        let has_both = chinese.iter().any(|line| line.contains(" / ")) || !english.is_empty();
        assert!(!chinese.is_empty() && has_both, "not in both languages:\n{block}");
    }
}

/// Files of the repository that are a part of the program, outside of tests.
fn included(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            included(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.to_string_lossy().ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).expect("read");
            let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            let quoted = |call: &str| -> Vec<String> {
                text.split(call).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
            };
            let around = path.parent().expect("a folder");
            for name in quoted("include_str!(\"").into_iter().chain(quoted("include_bytes!(\"")) {
                found.extend(around.join(name).canonicalize());
            }
        }
    }
}

#[test]
fn the_image_is_built_from_all_that_the_program_includes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().expect("a folder");
    let (mut found, read) = (Vec::new(), |name: &str| std::fs::read_to_string(root.join(name)).expect("read"));
    included(&root.join("src"), &mut found);
    let (dockerfile, ignored) = (read("Dockerfile"), read(".dockerignore"));
    let outside = found.iter().filter_map(|path| path.strip_prefix(&root).ok()).filter(|path| !path.starts_with("src"));
    let mut count = 0;
    for path in outside.map(|path| path.display().to_string()) {
        let before_build = dockerfile.split("RUN touch build.rs").next().unwrap_or_default();
        let is_copied =
            before_build.lines().any(|line| line.starts_with("COPY ") && line.contains(&format!(" {path} ")));
        assert!(is_copied, "the Dockerfile copies no {path} before it builds");
        assert!(
            ignored.lines().any(|line| line == format!("!{path}")),
            "{path} is kept from the build by .dockerignore"
        );
        count += 1;
    }
    assert!(count >= 3, "the YAML file, the unit and the description of the API");
}
