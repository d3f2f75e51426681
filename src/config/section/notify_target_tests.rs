use super::*;
use crate::config::source::layers::{Places, parsed};
use crate::config::source::problem::Problem;

fn read_text(text: &str) -> Result<Target, Vec<Problem>> {
    let node = parsed(text).expect("YAML");
    let places = Places::file("gateway.yaml");
    let env = |name: &str| (name == "HOOK").then(|| "https://open.feishu.cn/open-apis/bot/v2/hook/abc ".to_owned());
    let mut problems = Vec::new();
    let target = {
        let mut reading = NodeReader::new(&places, &env, &mut problems);
        read(&mut reading, &node, "gateway.notify.targets[0]", Language::English, Proxies::NONE)
    };
    target.ok_or(problems)
}

fn codes(text: &str) -> Vec<&'static str> {
    read_text(text).expect_err(text).iter().map(|problem| problem.what.code()).collect()
}

#[test]
fn each_kind_is_read_with_what_it_needs() {
    let target = read_text(
        "{name: ops, kind: dingtalk, url: 'https://oapi.dingtalk.com/robot/send?access_token=T', secret: SECx}",
    );
    let target = target.expect("a target");
    assert_eq!(
        (target.name.as_str(), target.channel.name(), target.place.host.as_str()),
        ("ops", "dingtalk", "oapi.dingtalk.com")
    );
    assert_eq!((target.path.expose(), target.place.port, target.place.tls), ("/robot/send?access_token=T", 443, true));
    assert_eq!(target.events.len(), EventKind::ALL.len(), "all, if none is named");

    let telegram =
        read_text("{kind: telegram, token: '12:ab', chat_id: -100, language: zh, events: [all_down, all_up]}");
    let telegram = telegram.expect("a target");
    assert_eq!((telegram.path.expose(), telegram.name.as_str()), ("/bot12:ab/sendMessage", "telegram"));
    assert_eq!(telegram.place.host, "api.telegram.org");
    assert_eq!((telegram.language, telegram.events), (Language::Chinese, vec![EventKind::AllDown, EventKind::AllUp]));

    let ntfy = read_text("{kind: ntfy, url: 'https://ntfy.example/base/my-topic'}").expect("a target");
    assert_eq!(
        (ntfy.path.expose(), ntfy.channel),
        ("/base/", Channel::Ntfy { topic: "my-topic".to_owned(), token: None })
    );

    let mail = "{kind: email, url: 'smtp://mail.example', user: u, password: p, from: 'Gateway <g@a.example>', to: [a@b.example, c@d.example]}";
    let mail = read_text(mail).expect("a target");
    assert_eq!((mail.place.port, mail.place.tls), (587, false));
    let implicit =
        read_text("{kind: email, url: 'smtps://[::1]:4650', from: a@b.example, to: a@b.example}").expect("a target");
    assert_eq!((implicit.place.host.as_str(), implicit.place.port, implicit.place.tls), ("::1", 4650, true));

    let hook = read_text("{kind: feishu, url: 'env:HOOK'}").expect("a target");
    assert_eq!(hook.path.expose(), "/open-apis/bot/v2/hook/abc");
}

#[test]
fn what_is_missing_or_of_another_kind_is_told() {
    assert_eq!(codes("{url: 'https://a.example'}"), ["notify_kind_missing"]);
    assert_eq!(codes("{kind: wecom}"), ["notify_key_missing"]);
    assert_eq!(codes("{kind: wecom, url: 'https://a.example/x', secret: s}"), ["notify_key_unused"]);
    assert_eq!(codes("{kind: telegram, token: t}"), ["notify_key_missing"]);
    assert_eq!(
        codes("{kind: email, url: 'smtps://a.example', from: a@b.example, to: a@b.example, user: u}"),
        ["notify_key_missing"]
    );
    assert_eq!(codes("{kind: email, url: 'https://a.example', from: a@b.example, to: a@b.example}"), ["mail_url"]);
    assert_eq!(
        codes("{kind: email, url: 'smtps://u:p@a.example', from: a@b.example, to: a@b.example}"),
        ["mail_credentials"]
    );
    assert_eq!(codes("{kind: email, url: 'smtps://a.example', from: nobody, to: a@b.example}"), ["not_a_mailbox"]);
    assert_eq!(codes("{kind: ntfy, url: 'https://ntfy.sh/'}"), ["ntfy_topic"]);
    assert_eq!(codes("{kind: slack, url: 'hooks.slack.com/services/x'}"), ["url_scheme_missing"]);
    assert_eq!(codes("{kind: pigeon, url: 'https://a.example'}"), ["not_a_choice"]);
    assert_eq!(codes("{kind: slack, url: 'https://a.example', events: [everything]}"), ["not_a_choice"]);
    assert_eq!(codes("{kind: slack, url: 'env:NONE'}"), ["variable_not_set"]);
    assert_eq!(codes("{kind: slack, url: 'https://a.example', colour: red}"), ["unknown_key"]);
}

#[test]
fn a_targets_secrets_are_never_shown() {
    let target = "{kind: dingtalk, url: 'https://oapi.dingtalk.com/robot/send?access_token=0123456789abcdef', secret: SEC987654}";
    let target = read_text(target).expect("a target");
    let shown = format!("{target:?}");
    assert!(!shown.contains("0123456789abcdef") && !shown.contains("SEC987654"), "{shown}");
    let secrets = target.secrets();
    assert!(secrets.contains(&"0123456789abcdef") && secrets.contains(&"SEC987654"), "{secrets:?}");
    let wrong = read_text("{kind: slack, url: 'ftp://a.example/T0/secret-part-1'}").expect_err("no URL of the web");
    assert!(!format!("{wrong:?}").contains("secret-part"), "{wrong:?}");
}
