use super::*;
use crate::config::source::words::tests::{check, check_panel};
use gateway_core::language::Language;
use serde_json::{Value, json};

#[test]
fn each_message_has_a_code_of_its_own_and_all_its_parameters_in_both_languages() {
    check(TEMPLATES);
}

/// `UPDATE_WORDS=1 cargo nextest run --lib the_panel_has` writes them anew.
#[test]
fn the_panel_has_the_words_of_every_message() {
    check_panel("problems", TEMPLATES);
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
