use super::*;
use std::collections::BTreeSet;
use std::path::Path;

/// The names in braces of a text; doubled braces stand for themselves.
fn placeholders(text: &str) -> BTreeSet<String> {
    let text = text.replace("{{", "").replace("}}", "");
    text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect()
}

#[test]
fn each_message_has_a_code_of_its_own_and_all_its_parameters_in_both_languages() {
    let mut codes = BTreeSet::new();
    for (code, parameters, english, chinese) in TEMPLATES {
        assert!(codes.insert(*code), "{code} is there twice");
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{code}");
        let parameters: BTreeSet<String> = parameters.iter().map(|&name| name.to_owned()).collect();
        assert_eq!((placeholders(english), placeholders(chinese)), (parameters.clone(), parameters), "{code}");
        assert!(!english.ends_with('.') && !chinese.ends_with('。'), "a message is no sentence: {code}");
        let is_chinese = |char: char| ('\u{4e00}'..='\u{9fff}').contains(&char);
        assert!(!english.contains(is_chinese) && chinese.contains(is_chinese), "{code}");
    }
}

#[test]
fn a_message_has_words_code_and_parameters() {
    let near = Near(Some("json".to_owned()));
    let message = Message::NotAChoice { text: "jsno".to_owned(), choices: "text, json".to_owned(), near };
    assert_eq!(message.code(), "not_a_choice");
    assert_eq!(message.to_string(), "\"jsno\" is not one of text, json; did you mean \"json\"?");
    assert_eq!(message.text(Language::Chinese), "“jsno”不是 text, json 之一；是不是想写“json”？");
    let parameters = json!({ "text": "jsno", "choices": "text, json", "near": "json" });
    assert_eq!(Value::Object(message.parameters()), parameters);
    assert_eq!(Message::BraceMissing.text(Language::Chinese), "${ 之后缺少 }");
}

/// The panel has its words from here. `UPDATE_WORDS=1 cargo nextest run --lib the_panel_has` writes them anew.
#[test]
fn the_panel_has_the_words_of_every_message() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("static/src/i18n/problems");
    let english = TEMPLATES.iter().map(|(code, _, english, _)| (*code, *english));
    let chinese = TEMPLATES.iter().map(|(code, _, _, chinese)| (*code, *chinese));
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
        assert!(is_so, "{} is not what message.rs says: UPDATE_WORDS=1", path.display());
    }
}
