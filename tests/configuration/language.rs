//! In which language the commands speak.

use super::{gateway, told};
use harness::{GatewayBuilder, Output};

/// Chinese characters.
fn is_chinese(text: &str) -> bool {
    text.chars().any(|char| ('\u{4e00}'..='\u{9fff}').contains(&char))
}

/// A file with many mistakes.
const BAD: &str = "\
gateway:
  listen: nowhere
  lisen: 127.0.0.1:1
  timeouts: {read: soon}
  debug: perhaps
  failover: {retry_on: sometimes}
  upstreams:
    - {name: a, base_url: \"ftp://127.0.0.1:9\", profile: anyroute, weight: -1}
    - {name: a, base_url: \"http://user:pass@127.0.0.1:9\"}
  rules:
    - {name: x, match: {path: 1, method: []}, body: 5}
";

async fn check(gateway: GatewayBuilder) -> Output {
    gateway.arg("check").run().await
}

/// The sentences of a text that have three English words in a row: names, paths and examples have no more.
fn english(text: &str) -> Vec<&str> {
    let is_word = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let has_sentence = |line: &&str| {
        let words: Vec<&str> = line.split([' ', '\t']).collect();
        words.windows(3).any(|three| three.iter().all(|word| is_word(&word)))
    };
    text.lines().filter(has_sentence).collect()
}

#[tokio::test]
async fn every_line_of_a_refused_file_is_chinese_under_a_chinese_locale() {
    let output = check(gateway().env("LANG", "zh_CN.UTF-8").yaml(BAD)).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.lines().count() > 8, "{}", output.stderr);
    for line in output.stderr.lines() {
        assert!(is_chinese(line), "{line}");
    }
    assert_eq!(english(&output.stderr), Vec::<&str>::new());
    assert!(output.stderr.contains("错误：gateway.yaml:2:11: gateway.listen：“nowhere”不是"), "{}", output.stderr);
    let last = output.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("配置中有 ") && last.ends_with(" 处错误"), "{last}");
}

#[tokio::test]
async fn the_language_is_that_of_the_setting_or_else_of_the_locale() {
    let good = |language: &str| {
        format!("gateway:\n  language: {language}\n  upstreams: [{{name: a, base_url: \"http://127.0.0.1:9\"}}]\n")
    };
    let bad = |language: &str| format!("gateway:\n  language: {language}\n  listen: nowhere\n  broken: [\n");
    for (variables, setting, expected) in [
        (&[][..], "auto", false),
        (&[("LANG", "zh_CN.UTF-8")], "auto", true),
        (&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C.UTF-8")], "auto", false),
        (&[("LANG", "en_US.UTF-8"), ("LC_MESSAGES", "zh_TW")], "auto", true),
        (&[("LANG", "zh_CN.UTF-8")], "en", false),
        (&[("LANG", "en_US.UTF-8")], "zh", true),
        (&[("GATEWAY_LANGUAGE", "zh")], "en", true),
        (&[("GATEWAY_LANGUAGE", "en"), ("LANG", "zh_CN.UTF-8")], "zh", false),
    ] {
        for yaml in [good(setting), bad(setting)] {
            let gateway = variables.iter().fold(gateway(), |gateway, (name, value)| gateway.env(name, value));
            let output = check(gateway.yaml(&yaml)).await;
            assert_eq!(is_chinese(&told(&output)), expected, "{variables:?} {yaml} {}", told(&output));
        }
    }
    let output = check(gateway().env("GATEWAY_LANGUAGE", "cn")).await;
    assert!(output.stderr.contains("gateway.language: \"cn\" is not one of auto, zh, en"), "{}", output.stderr);
}

#[tokio::test]
async fn what_is_in_force_is_told_in_chinese() {
    let output =
        check(gateway().env("LANG", "zh_CN").upstream("http://127.0.0.1:9").file("env/.env", "DEBUG_MODE=1")).await;
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    for wanted in ["配置：内置默认配置", "（未设置）", "默认值", "环境变量 API_BASE_URL", "的规则：无"]
    {
        assert!(output.stdout.contains(wanted), "{wanted}: {}", told(&output));
    }
    assert_eq!(english(&told(&output)), Vec::<&str>::new());
}
