use super::*;
use std::collections::BTreeSet;
use std::path::Path;

/// The names in braces of a text; doubled braces stand for themselves.
fn placeholders(text: &str) -> BTreeSet<String> {
    let text = text.replace("{{", "").replace("}}", "");
    text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect()
}

/// Each message has a code of its own, and all its parameters in both languages.
pub(crate) fn check(templates: &[Template]) {
    let mut codes = BTreeSet::new();
    for (code, parameters, english, chinese) in templates {
        assert!(codes.insert(*code), "{code} is there twice");
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{code}");
        let parameters: BTreeSet<String> = parameters.iter().map(|&name| name.to_owned()).collect();
        assert_eq!((placeholders(english), placeholders(chinese)), (parameters.clone(), parameters), "{code}");
        assert!(!english.ends_with('.') && !chinese.ends_with('。'), "a message is no sentence: {code}");
        let is_chinese = |char: char| ('\u{4e00}'..='\u{9fff}').contains(&char);
        assert!(!english.contains(is_chinese) && chinese.contains(is_chinese), "{code}");
    }
}

/// The panel has its words from here: this holds static/src/i18n/FOLDER against them, or writes it, with UPDATE_WORDS=1.
pub(crate) fn check_panel(folder: &str, templates: &[Template]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("static/src/i18n").join(folder);
    let english = templates.iter().map(|(code, _, english, _)| (*code, *english));
    let chinese = templates.iter().map(|(code, _, _, chinese)| (*code, *chinese));
    for (name, words) in [("en.json", english.collect::<Vec<_>>()), ("zh.json", chinese.collect())] {
        let lines: Vec<String> =
            words.iter().map(|(code, text)| format!("  {}: {}", json!(code), json!(text))).collect();
        let text = format!("{{\n{}\n}}\n", lines.join(",\n"));
        let path = folder.join(name);
        if std::env::var_os("UPDATE_WORDS").is_some() {
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(&path, &text).expect("written");
        }
        let is_so = std::fs::read_to_string(&path).expect("the panel's words") == text;
        assert!(is_so, "{} is not what the list of messages says: run this with UPDATE_WORDS=1", path.display());
    }
}
