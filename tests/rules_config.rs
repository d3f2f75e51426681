//! What the operator writes about rules: every example is valid, and every mistake is told with its place.

#[path = "rules_config/single_mistakes.rs"]
mod single_mistakes;

use std::path::{Path, PathBuf};

use harness::{Gateway, GatewayBuilder, Output, Reply, Upstream, fixtures};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

fn told(output: &Output) -> String {
    format!("{}{}", output.stdout, output.stderr)
}

/// A configuration in the documentation or in `conf/`.
struct Example {
    place: String,
    yaml: String,
}

fn files(folder: &str, fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(folder).expect("a folder").filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> =
        entries.filter(|path| fits(&path.file_name().expect("a name").to_string_lossy())).collect();
    files.sort();
    files
}

/// The ```yaml blocks of a Markdown file.
fn fences(path: &Path) -> Vec<Example> {
    let text = std::fs::read_to_string(path).expect("a text");
    let name = path.file_name().expect("a name").to_string_lossy();
    let mut examples: Vec<Example> = Vec::new();
    let mut is_open = false;
    for (number, line) in text.lines().enumerate() {
        match (is_open, line.trim()) {
            (false, "```yaml") => {
                examples.push(Example { place: format!("{name}:{}", number + 1), yaml: String::new() });
                is_open = true;
            }
            (true, "```") => is_open = false,
            (true, _) => {
                let example = examples.last_mut().expect("the open one");
                example.yaml.push_str(line);
                example.yaml.push('\n');
            }
            _ => {}
        }
    }
    examples
}

fn examples() -> Vec<Example> {
    let markdown = files("docs", |name| name.ends_with(".md")).into_iter();
    let markdown = markdown.chain(files(".", |name| name.starts_with("README") && name.ends_with(".md")));
    let mut examples: Vec<Example> = markdown.flat_map(|path| fences(&path)).collect();
    for path in files("conf", |name| name.ends_with(".yaml")) {
        let yaml = std::fs::read_to_string(&path).expect("a text");
        examples.push(Example { place: path.file_name().expect("a name").to_string_lossy().into_owned(), yaml });
    }
    examples
}

/// The variables that an example asks for, each with a value.
fn with_variables(builder: GatewayBuilder, yaml: &str) -> GatewayBuilder {
    let mut names: Vec<&str> = Vec::new();
    for (start, end) in [("${env.", "}"), ("env:", "]"), ("env:", ","), ("env:", "\n")] {
        names.extend(yaml.split(start).skip(1).filter_map(|rest| rest.split(end).next()));
    }
    let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let value =
        |name: &str| if name.ends_with("_URL") { format!("https://bot.example/{name}") } else { format!("sk-{name}") };
    names.into_iter().filter(is_name).fold(builder, |builder, name| builder.env(name, &value(name)))
}

#[tokio::test]
async fn every_example_is_valid() {
    let examples = examples();
    assert!(examples.len() >= 33, "only {} examples were found", examples.len());
    for example in examples {
        assert!(example.yaml.contains("gateway:\n"), "{} is no whole file", example.place);
        let output = with_variables(gateway().yaml(&example.yaml), &example.yaml).arg("check").run().await;
        assert_eq!(output.status.code(), Some(0), "{}: {}\n{}", example.place, told(&output), example.yaml);
    }
}

/// An example with its upstreams at the mock.
fn at_the_mock(yaml: &str, url: &str) -> String {
    let lines = yaml.lines().map(|line| match line.split_once("base_url: ") {
        Some((before, host)) if !before.contains('#') => {
            // The profile follows the host, so it must be named for another one.
            let indent = before.replace('-', " ");
            let is_anyrouter = host.starts_with("https://anyrouter.top");
            let profile = if is_anyrouter { format!("\n{indent}profile: anyrouter") } else { String::new() };
            format!("{before}base_url: {url}{profile}")
        }
        _ => line.to_owned(),
    });
    let yaml = lines.collect::<Vec<_>>().join("\n");
    match yaml.contains("\n  upstreams:") {
        true => yaml,
        false => yaml.replacen("gateway:\n", &format!("gateway:\n  upstreams: [{{base_url: \"{url}\"}}]\n"), 1),
    }
}

#[tokio::test]
async fn every_example_runs() {
    let upstream = Upstream::start(|_| Reply::json(r#"{"type":"message","content":[]}"#)).await;
    let fixture = fixtures::named("sdk-cli-2.1.330-turn1");
    for example in examples() {
        let yaml = at_the_mock(&example.yaml, &upstream.url());
        let gateway = with_variables(gateway().yaml(&yaml), &yaml).start().await;
        let mut client = gateway.connect().await;
        client.send(fixture.bytes()).await;
        let answer = client.response("POST").await;
        let is_closed = ["\n  routes:", "require_token: true"].iter().any(|closes| yaml.contains(closes));
        assert_eq!(answer.status(), if is_closed { 401 } else { 200 }, "{}: {}", example.place, answer.text());
    }
    assert!(upstream.received().len() >= 30, "{} requests came through", upstream.received().len());
}

#[test]
fn both_languages_have_the_same_examples() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (name, least) in [("rules", 16), ("upstreams", 2)] {
        let [english, chinese] = ["", ".zh-CN"].map(|language| fences(&docs.join(format!("{name}{language}.md"))));
        assert!(english.len() >= least && english.len() == chinese.len(), "{} and {}", english.len(), chinese.len());
        for (one, other) in english.iter().zip(&chinese) {
            let [one_value, other_value] =
                [one, other].map(|example| serde_yaml::from_str::<serde_yaml::Value>(&example.yaml).expect("YAML"));
            assert_eq!(one_value, other_value, "{} and {}", one.place, other.place);
        }
    }
}

/// Takes the mark `¦` out of a text, and says where it stood: line and column from 1.
fn unmarked(text: &str) -> (String, String) {
    let (before, after) = text.split_once('¦').unwrap_or_else(|| panic!("no mark in {text}"));
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    (format!("{before}{after}"), format!("gateway.yaml:{line}:{column}: "))
}

/// Asserts that `check` refuses the file at the place of the mark and with these words, and returns what it told.
async fn refusal(marked: &str, words: &[&str]) -> String {
    let (yaml, place) = unmarked(marked);
    let output = gateway().yaml(&yaml).arg("check").run().await;
    assert_eq!(output.status.code(), Some(1), "not refused:\n{yaml}\n{}", output.stdout);
    assert!(output.stdout.is_empty(), "{}", output.stdout);
    assert!(output.stderr.contains(&place), "{place} is not in:\n{}\n{yaml}", output.stderr);
    for word in words {
        assert!(output.stderr.contains(word), "{word:?} is not in:\n{}\n{yaml}", output.stderr);
    }
    output.stderr
}

/// As [`refusal`], for one reason alone.
async fn assert_refused(marked: &str, words: &[&str]) {
    let told = refusal(marked, words).await;
    assert!(told.contains("1 error in the configuration"), "one mistake is told once:\n{told}\n{marked}");
}

/// A file with one rule, whose lines after its name are these.
fn rule(lines: &str) -> String {
    let lines: Vec<String> = lines.lines().map(|line| format!("      {line}\n")).collect();
    format!("gateway:\n  rules:\n    - name: r\n{}", lines.concat())
}

#[tokio::test]
async fn a_bad_match_is_refused_at_its_place() {
    let rows: &[(&str, &[&str])] = &[
        ("match: {¦methd: GET}\napi_key: keep", &["gateway.rules[0].match.methd", "did you mean \"method\"?"]),
        ("match: ¦POST\napi_key: keep", &["gateway.rules[0].match", "method, path, header"]),
        ("match: ¦[method]\napi_key: keep", &["mapping"]),
        ("match: {method: {¦is: GET}}\napi_key: keep", &["match.method", "one value"]),
        ("match: {method: ¦[]}\napi_key: keep", &["empty"]),
        ("match: {path: {¦prefx: /v1}}\napi_key: keep", &["did you mean \"prefix\"?"]),
        ("match: {path: {regex: ¦\"(\"}}\napi_key: keep", &["match.path.regex", "regular expression"]),
        ("match: {path: [/a, {regex: ¦\"[b-a]\"}]}\napi_key: keep", &["regular expression"]),
        ("match: {path: {glob: ¦[a, b]}}\napi_key: keep", &["match.path.glob", "one value"]),
        ("match: {path: {glob: ¦\"\"}}\napi_key: keep", &["missing"]),
        ("match: {header: ¦x-a}\napi_key: keep", &["match.header", "names and values"]),
        ("match: {header: {\"x a\": ¦b}}\napi_key: keep", &["\"x a\" is not a header name"]),
        ("match: {header: {x-a: {¦presnt: true}}}\napi_key: keep", &["did you mean \"present\"?"]),
        ("match: {header: {x-a: {present: ¦maybe}}}\napi_key: keep", &["neither true nor false"]),
        ("match: {header: {x-a: {present: ¦false}}}\napi_key: keep", &["not:"]),
        ("match: {query: ¦[beta]}\napi_key: keep", &["match.query"]),
        ("match: {query: {beta: {¦regx: a}}}\napi_key: keep", &["did you mean \"regex\"?"]),
        ("match: {client: ¦10.0.0.0/33}\napi_key: keep", &["match.client", "not a network", "192.168.0.0/16"]),
        ("match: {client: [127.0.0.1, ¦here]}\napi_key: keep", &["\"here\" is not a network"]),
        ("match: {model: {¦glob: a}}\napi_key: keep", &["match.model", "one value"]),
        ("match: {not: {¦modle: a}}\napi_key: keep", &["match.not.modle", "did you mean \"model\"?"]),
        ("match: {not: ¦a}\napi_key: keep", &["match.not", "mapping"]),
    ];
    for (lines, words) in rows {
        assert_refused(&rule(lines), words).await;
    }
}

#[tokio::test]
async fn a_bad_change_of_the_head_is_refused_at_its_place() {
    let rows: &[(&str, &[&str])] = &[
        ("headers: {¦sett: {A: b}}", &["gateway.rules[0].headers.sett", "did you mean \"set\"?"]),
        ("headers: ¦remove", &["set, add, default"]),
        ("headers: {set: ¦[A]}", &["names and values"]),
        ("headers: {set: {A: ¦[b]}}", &["headers.set.A", "one value"]),
        ("headers: {set: {A: {¦b: c}}}", &["headers.set.A", "one value"]),
        ("headers: {set: {A: ¦\"\"}}", &["headers.set.A", "missing"]),
        ("headers: {add: {\"A B\": ¦c}}", &["\"A B\" is not a header name"]),
        ("headers: {default: {\"A:\": ¦c}}", &["is not a header name"]),
        ("headers: {remove: ¦\"A B\"}", &["is not a header name"]),
        ("headers: {rename: {A: ¦\"B C\"}}", &["is not a header name"]),
        ("headers: {list_add: {\"\": ¦c}}", &["is not a header name"]),
        ("headers: {list_add: {A: {¦b: c}}}", &["one value"]),
        ("headers: {list_remove: {A: ¦[]}}", &["empty"]),
        ("headers: {set: {A: ¦\"b\\nc\"}}", &["control characters"]),
        ("headers: {set: {A: ¦\"${env.NOT_SET_ANYWHERE}\"}}", &["NOT_SET_ANYWHERE is not set"]),
        ("headers: {set: {A: ¦\"${header.x y}\"}}", &["\"x y\" is not a header name"]),
        ("headers: {set: {A: ¦\"${cleint.ip}\"}}", &["client.ip", "request.id"]),
        ("headers: {set: {A: ¦\"${env.PATH\"}}", &["} is missing"]),
        ("api_key: ¦bearr", &["gateway.rules[0].api_key", "bearer, x-api-key, keep", "did you mean \"bearer\"?"]),
        ("api_key: {¦bearer: a}", &["one value"]),
        ("query: {¦sett: {a: b}}", &["did you mean \"set\"?"]),
        ("query: {set: ¦[a]}", &["names and values"]),
        ("query: {set: {a: ¦[b]}}", &["one value"]),
        ("query: {remove: ¦[]}", &["empty"]),
        ("response_headers: {¦default: {A: b}}", &["response_headers.default"]),
        ("response_headers: {¦list_add: {A: b}}", &["response_headers.list_add"]),
        ("response_headers: {set: {\"A B\": ¦c}}", &["is not a header name"]),
        ("response_headers: {add: {A: ¦\"b\\u0000\"}}", &["control characters"]),
    ];
    for (lines, words) in rows {
        assert_refused(&rule(lines), words).await;
    }
}

#[tokio::test]
async fn names_that_frame_a_message_can_be_neither_set_nor_removed() {
    let names = [
        "Content-Length",
        "transfer-encoding",
        "Connection",
        "KEEP-ALIVE",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
    ];
    for name in names {
        for lines in [
            format!("headers: {{set: {{{name}: ¦a}}}}"),
            format!("headers: {{add: {{{name}: ¦a}}}}"),
            format!("headers: {{default: {{{name}: ¦a}}}}"),
            format!("headers: {{remove: ¦{name}}}"),
            format!("headers: {{rename: {{{name}: ¦X-A}}}}"),
            format!("headers: {{rename: {{X-A: ¦{name}}}}}"),
            format!("headers: {{list_add: {{{name}: ¦a}}}}"),
            format!("headers: {{list_remove: {{{name}: ¦a}}}}"),
            format!("response_headers: {{set: {{{name}: ¦a}}}}"),
            format!("response_headers: {{remove: ¦{name}}}"),
            format!("respond: {{headers: {{{name}: ¦a}}}}"),
        ] {
            assert_refused(&rule(&lines), &["may not be set", name]).await;
        }
    }
}

#[tokio::test]
async fn a_bad_change_of_the_body_is_refused_at_its_place() {
    let rows: &[(&str, &[&str])] = &[
        ("body: {¦sytem: {mode: remove}}", &["gateway.rules[0].body.sytem", "did you mean \"system\"?"]),
        ("body: ¦compact", &["system, model, set"]),
        ("body: {compact: ¦perhaps}", &["neither true nor false"]),
        ("body: {system: {¦target: first, text: a}}", &["body.system", "mode is missing"]),
        ("body: {system: {¦mode: replace}}", &["text is missing"]),
        ("body: {system: {¦mode: insert_if_missing, target: identity}}", &["text is missing"]),
        ("body: {system: {mode: remove, target: ¦identty}}", &["body.system.target", "did you mean \"identity\"?"]),
        ("body: {system: {mode: remove, target: {¦indx: 1}}}", &["did you mean \"index\"?"]),
        ("body: {system: {mode: remove, target: {index: ¦-1}}}", &["whole number"]),
        ("body: {system: {mode: remove, target: {index: ¦a}}}", &["whole number"]),
        ("body: {system: {mode: remove, target: {matching: ¦\"(\"}}}", &["regular expression"]),
        ("body: {system: {mode: replace, ¦txt: a, text: b}}", &["did you mean \"text\"?"]),
        ("body: {model: ¦claude-*}", &["body.model", "names and values"]),
        ("body: {model: {claude-*: ¦[a]}}", &["one value"]),
        ("body: {set: {metadata: ¦1}}", &["body.set", "must begin with \"/\"", "did you mean \"/metadata\"?"]),
        ("body: {default: {/a~2: ¦1}}", &["body.default", "~0"]),
        ("body: {set: {\"\": ¦1}}", &["whole body"]),
        ("body: {set: ¦/metadata}", &["names and values"]),
        ("body: {remove: [/a, ¦b]}", &["body.remove", "did you mean \"/b\"?"]),
        ("body: {remove: {¦/a: b}}", &["one value"]),
    ];
    for (lines, words) in rows {
        assert_refused(&rule(lines), words).await;
    }
}

#[tokio::test]
async fn a_bad_answer_is_refused_at_its_place() {
    let rows: &[(&str, &[&str])] = &[
        ("respond: {¦staus: 403}", &["gateway.rules[0].respond.staus", "did you mean \"status\"?"]),
        ("respond: ¦403", &["status, headers, body"]),
        ("respond: {status: ¦99}", &["200 to 599"]),
        ("respond: {status: ¦101}", &["200 to 599"]),
        ("respond: {status: ¦600}", &["200 to 599"]),
        ("respond: {status: ¦forbidden}", &["200 to 599"]),
        ("respond: {headers: ¦[A]}", &["names and values"]),
        ("respond: {headers: {\"A B\": ¦c}}", &["is not a header name"]),
        ("respond: {headers: {A: ¦\"b\\rc\"}}", &["control characters"]),
    ];
    for (lines, words) in rows {
        assert_refused(&rule(lines), words).await;
    }
}

#[tokio::test]
async fn a_bad_rule_is_refused_at_its_place() {
    let rows: &[(&str, &[&str])] = &[
        ("gateway:\n  ¦ruels: []\n", &["did you mean \"rules\"?"]),
        ("gateway:\n  rules: {¦name: a}\n", &["gateway.rules", "a list is expected"]),
        ("gateway:\n  rules:\n    - ¦api_key: bearer\n", &["gateway.rules[0]", "needs a name"]),
        (
            "gateway:\n  rules:\n    - name: r\n      ¦matches: {path: /}\n      api_key: keep\n",
            &["did you mean \"match\"?"],
        ),
        (
            "gateway:\n  rules:\n    - name: r\n      enabled: ¦perhaps\n      api_key: keep\n",
            &["neither true nor false"],
        ),
        ("gateway:\n  rules:\n    - ¦name: r\n", &["changes nothing", "respond"]),
        ("gateway:\n  rules:\n    - ¦name: r\n      match: {path: /}\n", &["changes nothing"]),
        (
            "gateway:\n  rules:\n    - name: r\n      api_key: keep\n    - ¦name: r\n      api_key: bearer\n",
            &["the rule name \"r\" is there twice"],
        ),
        (
            "gateway:\n  rules:\n    - ¦name: r\n      match: {upstream: anyrouter.top}\n      respond: {status: 403}\n",
            &["respond", "upstream"],
        ),
        (
            "gateway:\n  rules:\n    - ¦name: r\n      match: {not: {not: {upstream: anyrouter.top}}}\n      respond: {status: 403}\n",
            &["respond", "upstream"],
        ),
        // Switched off, and still checked.
        ("gateway:\n  rules:\n    - name: r\n      enabled: false\n      api_key: ¦bear\n", &["bearer"]),
    ];
    for (yaml, words) in rows {
        assert_refused(yaml, words).await;
    }
}

#[tokio::test]
async fn a_bad_value_is_told_with_what_it_should_be() {
    let rows: &[(&str, &[&str])] = &[
        ("body: {system: ¦remove}", &["mode, target, text"]),
        ("body: {system: {mode: ¦replce, text: a}}", &["replace, prepend, append", "did you mean \"replace\"?"]),
        ("body:\n  system:\n    - mode: ensure_list\n    - mode: ¦remov", &["did you mean \"remove\"?"]),
    ];
    for (lines, words) in rows {
        refusal(&rule(lines), words).await;
    }
    refusal("gateway:\n  rules:\n    - ¦a\n", &["gateway.rules[0]", "mapping"]).await;
    refusal("gateway:\n  rules:\n    - name: ¦[a]\n      api_key: keep\n", &["rules[0].name", "one value"]).await;
    refusal(&format!("{UPSTREAMS}  routes:\n    - keys: ¦env:UNSET\n      upstream: other\n"), &["UNSET is not set"])
        .await;
}

const UPSTREAMS: &str = "gateway:
  upstreams:
    - name: anyrouter
      base_url: https://anyrouter.top
    - name: other
      base_url: https://relay.example
      api_key: sk-of-other
";

#[tokio::test]
async fn a_bad_route_profile_or_key_is_refused_at_its_place() {
    let rows: &[(&str, &[&str])] = &[
        ("  routes: {¦keys: a, upstream: other}\n", &["gateway.routes", "a list is expected"]),
        ("  routes:\n    - ¦keys: [a]\n", &["gateway.routes[0]", "upstream is missing"]),
        ("  routes:\n    - ¦upstream: other\n", &["gateway.routes[0]", "keys are missing"]),
        ("  routes:\n    - ¦kyes: [a]\n      keys: [a]\n      upstream: other\n", &["did you mean \"keys\"?"]),
        ("  routes:\n    - keys: [a, ¦env:UNSET]\n      upstream: other\n", &["the variable UNSET is not set"]),
        ("  routes:\n    - keys: [a, ¦sha256:12]\n      upstream: other\n", &["64 hexadecimal digits"]),
        ("  routes:\n    - keys: [a, {¦b: c}]\n      upstream: other\n", &["one value"]),
    ];
    for (lines, words) in rows {
        assert_refused(&format!("{UPSTREAMS}{lines}"), words).await;
    }
    let rows: &[(&str, &[&str])] = &[
        ("profile: ¦anyruter", &["anyrouter, none", "did you mean \"anyrouter\"?"]),
        ("profile_rules: {¦anyrouter.compct: on}", &["did you mean \"anyrouter.compact\"?"]),
        ("profile_rules: {anyrouter.compact: ¦maybe}", &["neither true nor false"]),
        ("profile_rules: ¦[anyrouter.compact]", &["names and values"]),
        ("profile: none\nprofile_rules: {¦anyrouter.compact: on}", &["is no rule of this profile"]),
        ("¦profle_rules: {}", &["did you mean \"profile_rules\"?"]),
        ("api_key: ¦${env.UNSET}", &["the variable UNSET is not set"]),
        ("api_key: ¦${header.x-api-key}", &["${env.NAME}"]),
        ("api_key: ¦${env.UNSET", &["} is missing"]),
        ("api_key: ¦\"a\\nb\"", &["control characters"]),
        ("api_key: ¦{env: A}", &["one value"]),
    ];
    for (lines, words) in rows {
        let lines: Vec<String> = lines.lines().map(|line| format!("      {line}\n")).collect();
        let yaml = format!("gateway:\n  upstreams:\n    - base_url: https://anyrouter.top\n{}", lines.concat());
        assert_refused(&yaml, words).await;
    }
}

#[tokio::test]
async fn bad_key_mappings_are_refused_with_their_line_and_without_their_keys() {
    const FILE: &str = "env/.env.key-mappings.json";
    for (text, place) in [
        ("", "1:"),
        ("[]", "1:"),
        ("{\n \"mappings\": \"sk-secret\"}", "2:"),
        ("{\n \"mappings\": [\n  {\"target_url\": \"https://a.example\", \"keys\": \"sk-secret\"}]}", "3:"),
        ("{\n \"mappings\": [\n  {\"target_url\": \"https://a.example\", \"keys\": [\"sk-secret\"}]}", "3:"),
        ("{\n \"mappings\": [\n  {\"target_url\": \"https://a.example\", \"kyes\": [\"sk-secret\"]}]}", "3:"),
        ("{\n \"mappings\": [\n  {\"keys\": [\"sk-secret\"]}]}", "3:"),
        ("{\n \"mappings\": [\n  {\"target_url\": \"a.example\", \"keys\": [\"sk-secret\"]}]}", "3:"),
        ("{\n \"mappings\": [\n  {\"target_url\": \"https://u:sk-secret@a.example\", \"keys\": []}]}", "3:"),
    ] {
        let output = gateway().file(FILE, text).arg("check").run().await;
        assert_eq!(output.status.code(), Some(1), "{text}: {}", told(&output));
        let wanted = format!("{FILE}:{place}");
        assert!(told(&output).contains(&wanted), "{wanted} is not in:\n{}", told(&output));
        assert!(!told(&output).contains("sk-secret"), "{}", told(&output));
    }
}

const MANY: &str = "gateway:
  upstreams:
    - name: a
      base_url: https://anyrouter.top
      profile_rules: {anyrouter.bear: on}
  rules:
    - name: good
      headers: {set: {X-Good: \"1\"}}
    - name: bad
      match: {methd: GET, path: {regex: \"(\"}}
      headers:
        set: {Content-Length: \"1\", X-A: \"${env.UNSET_ONE}\"}
        remove: [\"X B\"]
      body: {remove: c, system: {mode: no}}
    - api_key: neither
  routes:
    - keys: [env:UNSET_TWO]
      upstream: b
";

#[tokio::test]
async fn all_mistakes_are_told_at_once_and_nothing_is_started() {
    for check in [true, false] {
        let builder = gateway().yaml(MANY);
        let output = if check { builder.arg("check") } else { builder }.run().await;
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        for wanted in [
            "gateway.yaml:5:",
            "anyrouter.bear",
            "gateway.yaml:10:15: ",
            "gateway.yaml:10:41: ",
            "gateway.yaml:12:31: ",
            "UNSET_ONE",
            "gateway.yaml:13:18: ",
            "gateway.yaml:14:22: ",
            "gateway.yaml:14:40: ",
            "gateway.yaml:15:16: ",
            "needs a name",
            "gateway.yaml:17:14: ",
            "UNSET_TWO",
            "there is no upstream \"b\"",
            " errors in the configuration",
        ] {
            assert!(output.stderr.contains(wanted), "{wanted} is not in:\n{}", output.stderr);
        }
        assert_eq!(output.stderr.contains("nothing was started"), !check, "{}", output.stderr);
        let errors = output.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert!(errors >= 12, "{errors} errors:\n{}", output.stderr);
    }
    let died = gateway().yaml(MANY).try_start().await.err().expect("a bad file must not serve its good rules");
    assert_eq!(died.status.code(), Some(1), "{}", died.stderr);
}
