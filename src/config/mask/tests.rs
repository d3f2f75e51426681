//! What is masked in texts, and comes back.

use super::*;

fn restored(text: &str, known: &[&str]) -> Result<String, Vec<(usize, usize)>> {
    let known: Vec<Known<'_>> = known.iter().map(|text| Known { version: "", text }).collect();
    restore(text, &known, Hidden::Secrets)
}

const TEXT: &str = "\
gateway:
  # 中文 before
  upstreams:
    - {name: a, base_url: \"http://a\", api_key: sk-1, weight: 2}
    - name: b
      api_key: 'it''s'   # here
      proxy: socks5://u:pw@p.test:1
    - {name: c, api_key: \"${env.KEY}\"}
  routes:
    - keys: [sk-2, \"env:K\", \"sk \\\" 3\"]
      upstream: a
  rules:
    - {name: r, headers: {set: {Authorization: Bearer x, X-App: cli}}, body: {set: {/max_tokens: 5}}}
";

#[test]
fn secrets_are_masked_and_nothing_else() {
    let masked = mask(TEXT, Hidden::Secrets);
    for secret in ["sk-1", "it''s", "pw@", "sk-2", "sk \\\"", "Bearer"] {
        assert!(TEXT.contains(secret) && !masked.contains(secret), "{secret}: {masked}");
    }
    for shown in ["中文 before", "${env.KEY}", "env:K", "X-App: cli", "/max_tokens: 5", "weight: 2", "# here"] {
        assert!(masked.contains(shown), "{shown}: {masked}");
    }
    assert_eq!(masked.matches(MASK).count(), 6, "{masked}");
}

#[test]
fn switches_of_rules_are_shown_whatever_the_rules_are_named() {
    let of = |switches: &str| {
        format!("gateway:\n  upstreams:\n    - {{name: a, profile_rules: {switches}, api_key: own}}\n")
    };
    for value in ["on", "off", "true", "False", "yes", "0"] {
        let text = of(&format!("{{anyrouter.bearer: {value}, anyrouter.compact: on}}"));
        assert_eq!(mask(&text, Hidden::Secrets), text.replace("api_key: own", "api_key: \"********\""));
    }
    // What is no switch was written into the wrong place.
    for other in ["{anyrouter.bearer: my-own-key-1}", "{anyrouter.bearer: {key: on}}", "{anyrouter.bearer: [on]}"] {
        let masked = mask(&of(other), Hidden::Secrets);
        assert!(!masked.contains("my-own-key-1") && masked.matches(MASK).count() == 2, "{masked}");
    }
}

#[test]
fn what_a_target_of_notifications_needs_is_masked() {
    let text = "gateway:\n  notify:\n    targets:\n      - {kind: slack, url: \"https://hooks.slack.com/services/T0/B0/x\"}\n      \
                    - {kind: telegram, token: \"1:abc\", chat_id: 5}\n      - {kind: email, url: \"env:MAIL\", password: pw}\n";
    let masked = mask(text, Hidden::Secrets);
    for secret in ["hooks.slack.com", "1:abc", "password: pw"] {
        assert!(text.contains(secret) && !masked.contains(secret), "{secret}: {masked}");
    }
    assert!(masked.contains("chat_id: 5") && masked.contains("env:MAIL"), "{masked}");
    assert!(restored(&masked, &[text]).expect("all known").contains("services/T0/B0/x"));
}

#[test]
fn an_upstream_at_the_host_of_a_target_is_shown() {
    for path in ["", "/", "/webhook", "/hooks/0123456789abcdef?x=y"] {
        let text = format!(
            "# once http://a.test:9000/hooks/0123456789abcdef\ngateway:\n  upstreams:\n    - {{name: a, base_url: \
                 \"http://a.test:9000\"}}\n  notify: {{targets: [{{kind: webhook, url: \"http://a.test:9000{path}\"}}]}}\n"
        );
        let masked = mask(&text, Hidden::Secrets);
        assert!(masked.contains("base_url: \"http://a.test:9000\"}") && masked.contains("kind: webhook"), "{masked}");
        assert!(masked.contains("url: \"********\"}]"), "{masked}");
        assert_eq!(masked.contains("# once http://a.test:9000/hooks/0"), !path.contains("0123"), "{masked}");
        assert_eq!(restored(&masked, &[&text]).as_deref(), Ok(&*text));
    }
}

#[test]
fn masks_become_their_secrets_again_wherever_the_entry_is() {
    let masked = mask(TEXT, Hidden::Secrets);
    let again = restored(&masked, &[TEXT]).expect("all known");
    let values = |text: &str| {
        found(text, Hidden::Secrets).expect("valid").secrets.into_iter().map(|s| s.value).collect::<Vec<_>>()
    };
    assert_eq!(values(&again), values(TEXT));
    // Entries go by their names.
    let moved = "gateway:\n  upstreams:\n    - {name: new, api_key: sk-9}\n    - {name: a, api_key: \"********\"}\n";
    assert!(restored(moved, &["", TEXT]).expect("known").contains("api_key: \"sk-1\""));
    let unknown = "gateway:\n  upstreams:\n    - {name: z, api_key: \"********\"}\n";
    assert_eq!(restored(unknown, &[TEXT]), Err(vec![(3, 26)]));
    assert_eq!(restored("a: [", &[TEXT]).as_deref(), Ok("a: ["), "told by who reads it");
}

#[test]
fn headers_keep_their_names_and_a_text_that_cannot_be_masked_is_hidden() {
    let headers = "{\n  \"User-Agent\": \"cli\",\n  \"x-api-key\": \"sk-\\\"1\",\n  \"Cookie\": \"a=b\"\n}";
    let masked = mask(headers, Hidden::Secrets);
    assert_eq!(masked, "{\n  \"User-Agent\": \"cli\",\n  \"x-api-key\": \"********\",\n  \"Cookie\": \"********\"\n}");
    let again = restored(&masked, &[headers]).expect("known");
    assert_eq!(again, headers);
    let block = "gateway:\n  upstreams:\n    - name: a\n      api_key: |\n        sk-1\n";
    assert_eq!(mask(block, Hidden::Secrets), MASK);
    assert_eq!(restored(MASK, &[block]).as_deref(), Ok(block));
    assert_eq!(mask("# none\n", Hidden::Secrets), "# none\n");
}

/// What is known of secrets elsewhere in a text: in comments, in other values, in texts over several lines.
const HIDDEN_PLACES: &str = "\
# the old key was sk-ant-old-1234567
# api_key: commented-out-key
# - { name: x, api_key: \"another-old-key\", weight: 1 }
gateway:
  upstreams:
    - { name: a, base_url: \"http://a\", api_key: my-own-key-1 } # not my-own-key-1, please
    - { name: b, base_url: \"http://b/sk-ant-in-path-123\" }
  rules:
    - name: say
      respond: { status: 200, body: '{\"ok\": true, \"token\": \"respond-token\"}' }
    - name: again
      respond: { status: 200, body: { note: 'use my-own-key-1', secret: inside-json } }
    - name: prompt
      body: { system: { mode: append, text: 'one' }, set: { /metadata/api_key: pointer-key } }
    - name: long
      body:
        system:
          mode: append
          text: |
            first line
            use sk-ant-in-prompt-1 for this
      api_key: bearer
";

#[test]
fn secrets_in_comments_bodies_and_prompts_are_masked_and_come_back() {
    let masked = mask(HIDDEN_PLACES, Hidden::Secrets);
    for secret in [
        "sk-ant-old",
        "commented-out",
        "another-old",
        "my-own-key",
        "in-path",
        "respond-token",
        "inside-json",
        "pointer-key",
        "sk-ant-in-prompt",
    ] {
        assert!(HIDDEN_PLACES.contains(secret) && !masked.contains(secret), "{secret}: {masked}");
    }
    for shown in ["the old key was", "name: x", "first line", "for this", "api_key: bearer", "'one'", "please"] {
        assert!(masked.contains(shown), "{shown}: {masked}");
    }
    let values =
        |text: &str| crate::config::source::layers::parsed(text).map(|root| crate::config::source::node::json(&root));
    let again = restored(&masked, &[HIDDEN_PLACES]).expect("all known");
    assert_eq!(values(&again), values(HIDDEN_PLACES));
    let comments =
        |text: &str| text.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(comments(&again), comments(HIDDEN_PLACES));
    assert!(again.contains("# not my-own-key-1, please"), "{again}");
    // A line that is edited around a mask does not lose the secret without a word.
    let edited = masked.replace("for this", "for that");
    assert!(restored(&edited, &[HIDDEN_PLACES]).is_err(), "{edited}");
}

/// What only its place or a name beside it makes a secret.
const NAMED_PLACES: &str = "\
# https://relay.example.com/?token=abcdef-in-a-comment
# the password: hunter22 was used before
gateway:
  upstreams:
    - { name: local-relay, base_url: \"http://local-relay:8080\", api_key: local-relay }
    - { name: path, base_url: \"https://relay.example.com/sk-ant-in-a-path-1/v1\" }
    - { name: other, base_url: \"https://relay.example.com/v1\" } # https://relay.example.com/docs
    - { name: pool, base_url: \"https://c.example\", api_keys: [{ key: pool-key-1, name: first, weight: 2 }] }
    - { name: again, base_url: \"http://b/local-relay\" }
  routes: [{ keys: [\"env:K\"], upstream: local-relay }]
  rules:
    - name: say
      respond: { status: 200, body: 'token=of-a-response' }
    - name: note
      body: { set: { /metadata/note: 'password: of-a-note-1' } }
    - name: regex
      match: { path: { regex: '^/sk\\-ant\\-in\\-a\\-regex/' } }
    - name: long
      respond:
        status: 200
        body: |
          {\"note\": \"kept\",
           \"token\": \"in-a-long-text\"}
";

#[test]
fn what_a_name_beside_it_makes_a_secret_is_masked_and_comes_back() {
    let masked = mask(NAMED_PLACES, Hidden::Secrets);
    for secret in [
        "abcdef-in",
        "hunter22",
        "in-a-path",
        "of-a-response",
        "of-a-note",
        "regex/",
        "in-a-long-text",
        "b/local-relay",
        "pool-key-1",
    ] {
        assert!(NAMED_PLACES.contains(secret) && !masked.contains(secret), "{secret}: {masked}");
    }
    for shown in [
        "name: local-relay, base_url: \"http://local-relay:8080\"",
        "base_url: \"https://relay.example.com/v1\" } # https://relay.example.com/docs",
        "upstream: local-relay",
        "name: first, weight: 2",
        "https://relay.example.com/?token=********",
        "\"note\": \"kept\"",
    ] {
        assert!(masked.contains(shown), "{shown}: {masked}");
    }
    let values =
        |text: &str| crate::config::source::layers::parsed(text).map(|root| crate::config::source::node::json(&root));
    let again = restored(&masked, &[NAMED_PLACES]).expect("all known");
    assert_eq!(values(&again), values(NAMED_PLACES));
    assert!(again.starts_with(&NAMED_PLACES[..NAMED_PLACES.find("gateway:").expect("there")]), "{again}");
}

#[test]
fn a_version_of_the_history_tells_its_own_secrets_from_those_in_force() {
    let (old, new) =
        ("{\n  \"X-A\": \"old\",\n  \"X-B\": \"same\"\n}", "{\n  \"X-A\": \"new\",\n  \"X-B\": \"same\"\n}");
    let known = Known { version: "0123456789abcdef", text: old };
    let masked = Present::of(new, Hidden::Values).mask(known);
    assert_eq!(masked, "{\n  \"X-A\": \"********@01234567\",\n  \"X-B\": \"********\"\n}");
    let again = restore(&masked, &[Known { version: "", text: new }, known], Hidden::Values);
    assert_eq!(again.as_deref(), Ok(old));
    let unknown = masked.replace("@01234567", "@76543210");
    assert_eq!(restore(&unknown, &[known], Hidden::Values), Err(vec![(2, 10)]));
}

#[test]
fn the_shipped_file_is_shown_as_it_is() {
    let shipped = include_str!("../../../conf/gateway.yaml");
    assert_eq!(mask(shipped, Hidden::Secrets), shipped);
}

#[test]
fn ids_of_tokens_are_shown_where_rules_ask_for_them() {
    let rules = "gateway:\n  rules:\n    - {name: a, match: {token: tok_1, not: {token: [tok_2]}}}\n  team: {require_token: true}\n";
    assert_eq!(mask(rules, Hidden::Secrets), rules);
    let elsewhere = "gateway:\n  token: tok_1\n";
    assert_ne!(mask(elsewhere, Hidden::Secrets), elsewhere);
}

#[test]
fn entries_without_a_name_keep_their_secrets_when_others_go_or_move() {
    let known = "gateway:\n  upstreams:\n    - {base_url: http://a, api_key: sk-of-a}\n    - {base_url: http://b, api_key: sk-of-b}\n  \
                 routes:\n    - {keys: sk-one, upstreams: [a]}\n    - {keys: sk-two, upstreams: [b]}\n";
    let swapped = "gateway:\n  upstreams:\n    - {base_url: http://b, api_key: \"********\"}\n    - {base_url: http://a, api_key: \"********\"}\n  \
                   routes:\n    - {keys: \"********\", upstreams: [b]}\n";
    let text = restored(swapped, &[known]).expect("known");
    assert!(text.contains(r#"{base_url: http://b, api_key: "sk-of-b"}"#), "{text}");
    assert!(text.contains(r#"{base_url: http://a, api_key: "sk-of-a"}"#), "{text}");
    assert!(text.contains(r#"{keys: "sk-two", upstreams: [b]}"#), "{text}");
    // A key goes to no other address unless somebody types it.
    let moved = "gateway:\n  upstreams:\n    - {base_url: http://c, api_key: \"********\"}\n";
    assert_eq!(restored(moved, &[known]), Err(vec![(3, 37)]));
    let twins = "gateway:\n  upstreams:\n    - {base_url: http://a, api_key: sk-first}\n    - {base_url: http://a, api_key: sk-second}\n";
    let masked = mask(twins, Hidden::Secrets);
    assert_eq!(masked.matches(MASK).count(), 2);
    let text = restored(&masked, &[twins]).expect("known");
    assert!(text.find("sk-first") < text.find("sk-second") && text.contains("sk-second"), "{text}");
}
