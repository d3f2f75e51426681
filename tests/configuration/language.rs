//! In which language the commands speak.

use super::{gateway, told};
use harness::{GatewayBuilder, Output};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

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

/// The lines of a text that have three English words in a row: names, paths and examples have no more. What the system says
/// is not ours.
fn english(text: &str) -> Vec<&str> {
    let is_word = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let has_sentence = |line: &&str| {
        let words: Vec<&str> = line.split([' ', '\t']).collect();
        words.windows(3).any(|three| three.iter().all(is_word))
    };
    text.lines().filter(|line| !line.contains("(os error ")).filter(has_sentence).collect()
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

/// A gateway that runs in this language.
async fn serving(language: &str) -> harness::Gateway {
    let yaml = "gateway:\n  upstreams: [{name: a, base_url: \"http://127.0.0.1:9\"}]\n";
    let gateway = gateway().env("LANG", language).env("GATEWAY_DB", "log.db").yaml(yaml).start().await;
    harness::within("commands are taken", async {
        while !gateway.dir().join("data/run/gateway.pid").exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    gateway
}

/// Whether a command says something, in this language alone.
#[track_caller]
fn assert_speaks(output: &Output, chinese: bool, what: &str) {
    let said = told(output);
    assert!(!said.trim().is_empty(), "{what} says nothing");
    assert_eq!(is_chinese(&said), chinese, "{what}: {said}");
    if chinese {
        assert_eq!(english(&said), Vec::<&str>::new(), "{what}");
    }
}

const LOCALES: [(&str, bool); 2] = [("zh_CN.UTF-8", true), ("en_US.UTF-8", false)];

#[tokio::test]
async fn each_command_speaks_the_language_of_the_locale_where_no_gateway_runs() {
    let body = r#"{"model":"claude-opus-4-8","max_tokens":9,"messages":[],"system":"x"}"#;
    for (locale, chinese) in LOCALES {
        for arguments in [
            &["check"][..],
            &["explain", "body.json"],
            &["prices"],
            &["prices", "claude-opus-4-8"],
            &["prices", "no-such-model"],
            &["reload"],
            &["upgrade"],
            &["panel"],
            &["recost", "--from", "2026-10-07"],
            &["recost", "--from", "2026-10-07", "--to", "2026-10-01"],
            &["doctor"],
            &["doctor", "--key-env", "NONE"],
            &["healthcheck"],
            &["--help"],
            &["explain", "--help"],
            &["recost", "-h"],
            &["help"],
        ] {
            let yaml = "gateway:\n  upstreams: [{name: a, base_url: \"http://127.0.0.1:9\", profile: anyrouter}]\n";
            let gateway = gateway().env("LANG", locale).file("body.json", body).file("gateway.yaml", yaml);
            let gateway = gateway.env("GATEWAY_CONFIG", "gateway.yaml").env("LISTEN", "127.0.0.1:9");
            let output = arguments.iter().fold(gateway, |gateway, argument| gateway.arg(argument)).run().await;
            assert_speaks(&output, chinese, &arguments.join(" "));
        }
    }
}

#[tokio::test]
async fn each_command_to_a_running_gateway_speaks_its_own_language_whatever_that_of_the_gateway() {
    let gateway = serving("C").await;
    for (locale, chinese) in LOCALES {
        let program = gateway.dir().join("speaks");
        let script = format!("#!/bin/sh\nLANG={locale} exec {} \"$@\"\n", env!("CARGO_BIN_EXE_anyrouter-gateway"));
        std::fs::write(&program, script).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let good = std::fs::read_to_string(gateway.dir().join("gateway.yaml")).expect("the configuration");
        assert_speaks(&gateway.command_by(&program, &["reload"]).await, chinese, "reload");
        std::fs::write(gateway.dir().join("gateway.yaml"), BAD).expect("written");
        let refused = gateway.command_by(&program, &["reload"]).await;
        assert_eq!(refused.status.code(), Some(1));
        assert_speaks(&refused, chinese, "a refused reload");
        std::fs::write(gateway.dir().join("gateway.yaml"), good).expect("written");
        assert_speaks(&gateway.command_by(&program, &["recost", "--from", "2026-10-07"]).await, chinese, "recost");
        assert_speaks(&gateway.command_by(&program, &["healthcheck"]).await, chinese, "healthcheck");
        // A second one beside it.
        assert_speaks(&gateway.command_by(&program, &[]).await, chinese, "a second start");
    }
    assert!(!is_chinese(&gateway.stderr()), "log lines are English: {}", gateway.stderr());
}

#[tokio::test]
async fn why_it_does_not_start_is_told_in_chinese() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for (locale, chinese) in LOCALES {
        let output =
            gateway().env("LANG", locale).env("LISTEN", &address).env("ADMIN_LISTEN", "127.0.0.1:0").run().await;
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert_speaks(&output, chinese, "an address in use");
        assert!(output.stderr.contains(&address), "{}", output.stderr);
    }
}
