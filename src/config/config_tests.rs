use super::super::locate;
use super::super::section::profile::Profile;
use super::super::section::resilience::{Affinity, BalanceBy, Failover, Queue};
use super::super::section::upstream::{self, UpstreamConfig};
use super::super::service_file::environment_file;
use super::files::BUILT_IN;
use super::*;
use gateway_core::language::Language;
use std::net::SocketAddr;

pub(super) fn load_yaml(yaml: &str, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("gateway.yaml");
    std::fs::write(&path, yaml).expect("written");
    let lookup = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    let (file, variable_names) = (path.to_string_lossy().into_owned(), env.iter().map(|(name, _)| (*name).to_owned()));
    let arguments = Arguments { file: Some(file), variable_names: variable_names.collect(), ..Arguments::default() };
    load(&arguments, &lookup)
}

fn problems(yaml: &str, env: &[(&str, &str)]) -> Vec<String> {
    let problems = load_yaml(yaml, env).expect_err("bad configuration");
    // Only the file's name, not the temporary folder.
    problems
        .0
        .iter()
        .map(|p| p.to_string().rsplit_once("gateway.yaml").map_or(p.to_string(), |(_, rest)| rest.to_owned()))
        .collect()
}

#[test]
fn the_shipped_file_is_valid_and_equals_the_defaults() {
    let loaded = load_yaml(BUILT_IN, &[]).expect("valid");
    assert_eq!(loaded.startup.listen, SocketAddr::from(([127, 0, 0, 1], 8088)));
    assert_eq!(loaded.config.upstreams[0].base_url.host, "anyrouter.top");
    let bare = load_yaml("gateway:\n  upstreams: [{name: anyrouter, base_url: \"https://anyrouter.top\"}]", &[])
        .expect("valid");
    let replaced = load_yaml(BUILT_IN, &[("API_BASE_URL", "http://a")]).expect("valid");
    assert_eq!((loaded.warnings, replaced.warnings), (vec![], vec![]));
    assert_eq!(loaded.config.limits, bare.config.limits);
    assert_eq!(loaded.config.upstreams, bare.config.upstreams);
    for (shipped, default) in loaded.effective.iter().zip(&bare.effective) {
        assert_eq!((&shipped.key, &shipped.value), (&default.key, &default.value));
    }
}

#[test]
fn the_environment_beats_the_file_and_names_itself() {
    let yaml = "gateway:\n  listen: 127.0.0.1:1\n  upstreams: [{base_url: \"http://a\"}, {base_url: \"http://b\"}]\n";
    let env = [("LISTEN", "127.0.0.2:2"), ("PORT", "3"), ("API_BASE_URL", "http://c/p"), ("PRESERVE_HOST", "")];
    let loaded = load_yaml(yaml, &env).expect("valid");
    assert_eq!(loaded.startup.listen, SocketAddr::from(([127, 0, 0, 2], 3)));
    assert_eq!(loaded.config.upstreams.len(), 1);
    assert_eq!(loaded.config.upstreams[0].base_url.path_prefix, "/p");
    let source = |key: &str| loaded.effective.iter().find(|e| e.key == key).map(|e| e.source.to_string());
    assert_eq!(source("gateway.listen").as_deref(), Some("environment LISTEN"));
    assert_eq!(source("gateway.preserve_host").as_deref(), Some("default"));
}

#[test]
fn every_mistake_is_found_at_once_with_its_place() {
    let yaml = "threds: 2\ngateway:\n  lisen: 127.0.0.1:1\n  limits:\n    request_body: lots\n    header_timout: 3s\n  \
                upstreams:\n    - base_ulr: http://a\n    - base_url: ftp://a\n      weight: 0\n      base_url2: x\n  log: {format: xml}\n";
    let found = problems(yaml, &[("ADMIN_LISTEN", "nowhere")]);
    let expected = [
        ":1:1: unknown key \"threds\"; did you mean \"threads\"?",
        ":3:3: unknown key \"gateway.lisen\"; did you mean \"listen\"?",
        ":6:5: unknown key \"gateway.limits.header_timout\"; did you mean \"header_timeout\"?",
        "environment ADMIN_LISTEN: gateway.admin_listen: \"nowhere\" is not host:port",
        ":12:17: gateway.log.format: \"xml\" is not one of text, json",
        ":5:19: gateway.limits.request_body: \"lots\" is not a size",
        ":8:7: unknown key \"gateway.upstreams[0].base_ulr\"; did you mean \"base_url\"?",
        ":8:7: gateway.upstreams[0]: base_url is missing",
        ":9:17: gateway.upstreams[1].base_url: the scheme must be http or https, not ftp",
        ":11:7: unknown key \"gateway.upstreams[1].base_url2\"; did you mean \"base_url\"?",
    ];
    for expected in expected {
        assert!(found.iter().any(|problem| problem.starts_with(expected)), "{expected}\nin {found:#?}");
    }
}

#[test]
fn yaml_that_is_none_is_refused_with_its_place() {
    assert!(problems("gateway: [", &[])[0].starts_with(":"), "{:?}", problems("gateway: [", &[]));
    assert!(problems("gateway:\n  debug: true\n  debug: false\n", &[])[0].contains(":3:3"));
    assert!(problems("- a", &[])[0].starts_with(":1:"));
    assert!(problems("threads: many\n", &[("API_BASE_URL", "http://a")])[0].starts_with(":1:"));
    assert_eq!(load_yaml("gateway:\n", &[]).expect("valid").config.upstreams[0].name, "anyrouter.top");
    assert!(problems("listen: 1\n", &[("API_BASE_URL", "http://a")])[0].contains("belongs under \"gateway:\""));
}

#[test]
fn a_missing_file_is_named() {
    let arguments = Arguments { file: Some("/nowhere/gateway.yaml".to_owned()), ..Arguments::default() };
    let problems = load(&arguments, &|_| None).expect_err("missing").to_string();
    assert!(problems.starts_with("/nowhere/gateway.yaml: the configuration cannot be read"), "{problems}");
}

#[test]
fn secrets_are_masked_in_the_effective_configuration() {
    let env =
        [("API_BASE_URL", "http://a"), ("DASHBOARD_API_KEY", "s3cret"), ("HTTPS_PROXY", "http://u:s3cret@127.0.0.1:1")];
    let loaded = load_yaml("", &env).expect("valid");
    assert!(!format!("{loaded:?}").contains("s3cret"));
}

#[test]
fn tls_needs_certificate_and_key() {
    let found =
        problems("gateway:\n  tls: {listen: \"127.0.0.1:1\", cert: /nowhere}\n", &[("API_BASE_URL", "http://a")]);
    assert!(found.iter().any(|p| p.contains("\"/nowhere\" cannot be read")), "{found:#?}");
    assert!(found.iter().any(|p| p.contains("needs cert and key")), "{found:#?}");
}

fn upstreams(yaml: &str, env: &[(&str, &str)]) -> Vec<UpstreamConfig> {
    load_yaml(yaml, env).expect("valid").config.upstreams
}

#[test]
fn each_upstream_has_its_proxy() {
    let yaml = "gateway:
  proxy: {https: \"socks5://s.test\", all: \"http://all.test:1\", none: [10.0.0.0/8, c.test]}
  upstreams:
    - base_url: https://a.test
    - base_url: http://b.test
    - base_url: https://c.test
    - {name: d, base_url: \"https://c.test/d\", proxy: \"https://own.test\"}
    - {name: e, base_url: \"https://a.test/e\", proxy: direct}
    - {base_url: \"http://10.1.2.3\", proxy: off}
    - base_url: http://127.0.0.1:9
";
    let shown = |upstreams: &[UpstreamConfig]| -> Vec<Option<String>> {
        upstreams.iter().map(|upstream| upstream.proxy.as_ref().map(|proxy| proxy.shown.clone())).collect()
    };
    let some = |text: &str| Some(text.to_owned());
    let (socks, all) = (some("socks5://s.test:1080"), some("http://all.test:1"));
    let own = some("https://own.test:443");
    assert_eq!(shown(&upstreams(yaml, &[])), [socks, all.clone(), None, own, None, None, all.clone()]);
    let env = [("API_BASE_URLS", "https://x.test,https://c.test,http://y.test"), ("https_proxy", "p.test")];
    assert_eq!(shown(&upstreams(yaml, &env)), [some("http://p.test:80"), None, all]);
    let env = [("NO_PROXY", "*"), ("ALL_PROXY", "p.test"), ("API_BASE_URL", "http://a.test")];
    assert_eq!(shown(&upstreams("", &env)), [None]);
}

#[test]
fn an_upstream_takes_what_it_does_not_set_from_above() {
    use upstream::HttpVersion::{Auto, One, Two};
    let yaml = "gateway:
  timeouts: {read: 60s, first_byte: 20s}
  health: {probe: {path: /well}}
  upstreams:
    - base_url: http://a.test
    - {base_url: \"https://b.test\", http: auto, max_in_flight: 7, probe: off, first_byte_timeout: 2s}
    - {base_url: \"http://c.test\", http: auto, probe: /c, read_timeout: 5s}
    - {base_url: \"http://d.test\", http: 2, first_byte_timeout: 5m, probe: \"\"}
";
    let found: Vec<_> = upstreams(yaml, &[])
        .into_iter()
        .map(|u| (u.http, u.max_in_flight, u.probe, u.first_byte_timeout.as_secs()))
        .collect();
    let path = |path: &str| Some(path.to_owned());
    let expected = [
        (One, None, path("/well"), 20),
        (Auto, Some(7), None, 2),
        (One, None, path("/c"), 5),
        (Two, None, path("/well"), 60),
    ];
    assert_eq!(found, expected);
    let of_variable = upstreams(yaml, &[("API_BASE_URL", "http://a.test")]);
    assert_eq!((of_variable[0].probe.clone(), of_variable[0].first_byte_timeout.as_secs()), (path("/well"), 20));
    assert_eq!(upstreams("", &[])[0].first_byte_timeout, Duration::from_secs(600));
    let yaml = "gateway:
  timeouts: {first_event: 20s}
  upstreams: [{base_url: \"http://a.test\"}, {base_url: \"http://b.test\", first_event_timeout: 2s}]
";
    let found: Vec<_> = upstreams(yaml, &[]).into_iter().map(|u| u.first_event_timeout.map(|t| t.as_secs())).collect();
    assert_eq!((found, upstreams("", &[])[0].first_event_timeout), (vec![Some(20), Some(2)], None));
}

#[test]
fn the_settings_for_failures_have_their_defaults() {
    let config = load_yaml("", &[]).expect("valid").config;
    let Failover {
        max_attempts,
        retry_on,
        retry_budget_percent,
        retry_budget_min_per_second,
        hold_head,
        hold_first_event,
        balance_by,
    } = config.failover;
    assert_eq!(balance_by, BalanceBy::Weight);
    assert_eq!((max_attempts, retry_budget_percent, retry_budget_min_per_second), (3, 20, 10));
    assert_eq!((hold_head, hold_first_event), (Duration::from_millis(200), Duration::from_secs(20)));
    assert!(retry_on.contains(522) && retry_on.contains(429) && !retry_on.contains(501));
    let health = config.health;
    assert_eq!((health.failures, health.error_rate_percent, health.min_requests), (5, 50, 20));
    assert_eq!([health.window, health.open, health.open_max].map(|time| time.as_secs()), [30, 5, 300]);
    let probe = health.probe;
    assert_eq!((probe.path, probe.method.as_str()), (None, "GET"));
    assert_eq!([probe.interval, probe.timeout].map(|time| time.as_secs()), [30, 10]);
    assert!(probe.status.contains(401) && !probe.status.contains(500));
    assert_eq!(config.affinity, Affinity { sessions: 10_000, idle: Duration::from_secs(3600) });
    assert_eq!(config.queue, Queue { length: 100, timeout: Duration::from_secs(10) });
    assert_eq!(config.dns_servers, []);
    let yaml = "gateway: {dns: {servers: [1.1.1.1, \"[::1]:5353\"]}, failover: {retry_on: none}}";
    let config = load_yaml(yaml, &[]).expect("valid").config;
    assert_eq!(config.dns_servers, ["1.1.1.1:53", "[::1]:5353"].map(|server| server.parse().expect("an address")));
    assert!(!config.failover.retry_on.contains(500));
}

#[test]
fn a_route_may_have_several_upstreams() {
    let yaml = "gateway:
  upstreams: [{name: a, base_url: \"http://a\"}, {name: b, base_url: \"http://b\"}]
  routes:
    - {keys: k1, upstreams: [b, a]}
    - {keys: [k2, k3], upstreams: a}
    - {upstream: b, keys: k4}
    - {keys: k5, upstream: a, upstreams: [b]}
";
    let names = |env: &[(&str, &str)]| -> Vec<Vec<String>> {
        load_yaml(yaml, env).expect("valid").config.routes.into_iter().map(|route| route.upstreams).collect()
    };
    assert_eq!(names(&[]), [vec!["b", "a"], vec!["a"], vec!["b"], vec!["a", "b"]]);
    // Of what a variable replaces, nothing is left.
    assert_eq!(names(&[("API_BASE_URL", "http://b")]), [vec!["b"], vec!["b"], vec!["b"]]);
}

#[test]
fn settings_of_pingora_that_would_not_work_are_refused() {
    let found = problems("daemon: true\npid_file: /run/x\ngateway:\nupgrade_sock: /run/y\n", &[]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with(":1:9: daemon: the gateway does not go into the background"), "{found:?}");
    assert!(found[2].starts_with(":4:15: upgrade_sock: gateway.runtime_dir"), "{found:?}");
}

#[test]
fn a_stop_has_its_limit_from_either_setting() {
    let stop = |yaml: &str| load_yaml(yaml, &[]).expect("valid").config.drain.stop.as_secs();
    assert_eq!((stop("gateway:"), stop("grace_period_seconds: 3"), stop("gateway: {drain: {stop: 4s}}")), (10, 3, 4));
    assert_eq!(stop("grace_period_seconds: 3\ngateway: {drain: {stop: 4s}}"), 4, "the gateway's own counts");
}

#[test]
fn a_gateway_is_found_whatever_is_wrong_with_its_file() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("gateway.yaml");
    let find = |yaml: &str, env: &[(&str, &str)]| {
        std::fs::write(&path, yaml).expect("written");
        let lookup = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let arguments = Arguments { file: Some(path.to_string_lossy().into_owned()), ..Arguments::default() };
        let found = locate(&arguments, &lookup);
        (found.runtime_dir.display().to_string(), found.listen.map(|listen| listen.port()))
    };
    let run = dir.path().display().to_string();
    let good = format!("gateway:\n  listen: 127.0.0.1:7\n  runtime_dir: {run}   # here\n");
    assert_eq!(find(&good, &[]), (run.clone(), Some(7)));
    assert_eq!(find(&format!("{good}  lissten: 1\n"), &[]), (run.clone(), Some(7)));
    assert_eq!(find(&format!("{good}  x: [\n"), &[]).0, run, "no YAML any more");
    assert_eq!(find(&good, &[("RUNTIME_DIRECTORY", &run), ("PORT", "9")]), (run, Some(9)));
}

#[test]
fn a_key_that_is_there_twice_is_told_with_both_lines() {
    let found = problems("gateway:\n  listen: \"127.0.0.1:1\"\n\ngateway:\n  debug: true\n", &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(":4:1: a second \"gateway:\"; the first one is in line 1."), "{found:?}");
    for (yaml, at, name) in [
        (
            "gateway:\n  debug: true\n  log: {queue: 5}\n  debug: false\n",
            ":4:3:",
            "\"debug\" is there already, in line 2",
        ),
        ("gateway:\n  upstreams:\n    - base_url: \"http://a\"\n      base_url: \"http://b\"\n", ":4:7:", "in line 3"),
        ("threads: 1\nthreads: 2\n", ":2:1:", "\"threads\" is there already, in line 1"),
    ] {
        let found = problems(yaml, &[]);
        assert!(found.len() == 1 && found[0].starts_with(at) && found[0].contains(name), "{yaml}: {found:?}");
    }
}

#[test]
fn what_an_input_method_typed_is_told_before_what_comes_of_it() {
    for (yaml, wanted) in [
        (
            "gateway：\n  debug: true\n",
            ":1:8: ： (U+FF1A) stands here, as an input method for Chinese types it: type : instead",
        ),
        ("gateway:\n  listen： 127.0.0.1:8088\n  debug: true\n", ":2:9: ："),
        ("gateway:\n  listen: “127.0.0.1:8088”\n", ":2:11: “ (U+201C)"),
        ("gateway:\n  upstreams:\n    - {base_url： \"http://a\"}\n", ":3:16: ："),
        ("gateway:\n\u{3000}\u{3000}debug: true\n", ":2:1: here stands a blank"),
        ("gateway:\n  debug: true\u{a0}\n", ":2:14: here stands a blank that programs do not take for one (U+00A0)"),
    ] {
        let found = problems(yaml, &[]);
        assert!(found[0].starts_with(wanted), "{yaml:?}: {found:#?}");
    }
    // What is valid all the same is told as a warning.
    let yaml = "gateway:\n  upstreams: [{name: a, base_url: \"http://a\", api_key: “sk-1”}]\n  routes: [{keys: k, upstream: a}]\n";
    let warnings = load_yaml(yaml, &[]).expect("valid").warnings;
    let told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|told| told.contains(":2:56: “") && told.contains("type \" instead")), "{told:#?}");
    let prose = "gateway:\n  rules: [{name: a, match: {path: /a}, respond: {status: 400, body: \"请稍候：“忙”\"}}]  # 说明：无\n";
    let warnings = load_yaml(prose, &[]).expect("valid").warnings;
    assert!(!warnings.iter().any(|warning| typed::is_slip(&warning.what)), "{warnings:#?}");
}

#[test]
fn a_variable_gives_the_profile_of_the_upstreams_that_a_variable_gives() {
    let profiles = |env: &[(&str, &str)]| -> Vec<bool> {
        upstreams("", env).iter().map(|upstream| upstream.profile == Profile::AnyRouter).collect()
    };
    let urls = ("API_BASE_URLS", "https://mirror.example,https://anyrouter.top");
    assert_eq!(profiles(&[urls]), [false, true]);
    assert_eq!(profiles(&[urls, ("API_PROFILE", "anyrouter")]), [true, true]);
    assert_eq!(profiles(&[urls, ("API_PROFILE", "none")]), [false, false]);
    assert_eq!(profiles(&[("API_BASE_URL", "http://a"), ("API_PROFILE", " anyrouter ")]), [true]);
    assert_eq!(profiles(&[("API_PROFILE", "none")]), [false], "the upstream that nobody names");
    let wrong = problems("", &[urls, ("API_PROFILE", "anyroute")]);
    let wanted = "environment API_PROFILE: \"anyroute\" is not one of anyrouter, none; did you mean \"anyrouter\"?";
    assert_eq!(wrong, [wanted]);
    let yaml = "gateway:\n  upstreams: [{name: a, base_url: \"http://a\"}]\n";
    let loaded = load_yaml(yaml, &[("API_PROFILE", "anyrouter")]).expect("valid");
    assert_eq!(loaded.config.upstreams[0].profile, Profile::None);
    let told: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert!(
        told.iter().any(|told| told.starts_with("environment API_PROFILE: ") && told.contains(":2:14")),
        "{told:#?}"
    );
    let shown = load_yaml("", &[urls, ("API_PROFILE", "anyrouter")]).expect("valid").effective;
    let is_it = |setting: &&Effective| setting.key == "gateway.upstreams[1].profile";
    assert_eq!(shown.iter().find(is_it).map(|setting| setting.value.as_str()), Some("anyrouter"));
}

/// With the variables of a service, from this text of its file.
fn load_service(text: &str, yaml: &str) -> Result<Loaded, Problems> {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("gateway.yaml");
    std::fs::write(&path, yaml).expect("written");
    let file = environment_file("/etc/e", text);
    let variables: Vec<(String, String)> =
        file.variables().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let lookup = |name: &str| variables.iter().rfind(|(known, _)| known == name).map(|(_, value)| value.clone());
    let file_of_yaml = Some(path.display().to_string());
    load(&Arguments { file: file_of_yaml, environment_file: Some(file.clone()), ..Arguments::default() }, &lookup)
}

#[test]
fn what_is_wrong_with_a_variable_of_a_service_is_told_with_its_line() {
    let problems = load_service("export LISTEN=127.0.0.1:1\n\nPORT=http\n", "").expect_err("no port");
    let told: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    let wanted = "/etc/e:1:1: systemd leaves out lines with export, so that LISTEN would not be set. Type: sudo sed -i \
                  '1s/^ *export //' /etc/e; then: sudo systemctl reload-or-restart anyrouter-gateway";
    assert_eq!(told[0], wanted);
    assert_eq!(told[1], "/etc/e:3 PORT: PORT: \"http\" is not a port from 1 to 65535");

    let problems = load_service("\nPORT=“8088”\n", "").expect_err("no port");
    let told: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
    assert!(told.len() == 3 && told.iter().all(|told| told.starts_with("/etc/e:2 PORT: ")), "{told:#?}");
    assert!(told[0].contains("“ (U+201C)"), "{told:#?}");

    let loaded = load_service("PORT=9000\nDEBUG_MODE=true\n", "").expect("valid");
    let source =
        |key: &str| loaded.effective.iter().find(|known| known.key == key).map(|known| known.source.to_string());
    assert_eq!(source("gateway.listen (port)").as_deref(), Some("/etc/e:1 PORT"));
    assert_eq!(source("gateway.debug").as_deref(), Some("/etc/e:2 DEBUG_MODE"));
}

#[test]
fn a_service_does_not_go_on_with_a_default_where_a_line_that_sets_something_is_left_out() {
    for text in ["export API_BASE_URL=https://relay.example\n", "API_BASE_URL＝https://relay.example\n"] {
        let problems = load_service(text, "").expect_err("the key would go to the default upstream");
        let told: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].starts_with("/etc/e:1:1: systemd leaves ") && told[0].contains("API_BASE_URL"), "{told:#?}");
    }
}

#[test]
fn a_misspelt_variable_of_a_service_is_told_and_foreign_ones_are_not() {
    let text = "API_BASEURL=https://a.example\nLISTENN=127.0.0.1:1\napi_base_url=x\nRELAY_KEY=sk\nAPI_BASE_URL_2=x\nMY_TEAM=sk\n\
                HTTPS_PROXY=http://p\nSSL_CERT_FILE=/a\nRUST_LOG=info\nPATH=/bin\nTZ=Asia/Shanghai\nLANG=zh_CN.UTF-8\nLANGUAGE=zh\n\
                HOME=/a\nNODE_ENV=production\nexport MY_TEAM=two\n";
    let loaded =
        load_service(text, "gateway:\n  upstreams: [{name: a, base_url: \"http://127.0.0.1:1\"}]\n").expect("valid");
    let told: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    let wanted = [
        "/etc/e:16:1: systemd leaves this line out: it takes NAME=value, without export and control characters",
        "/etc/e:1:1: API_BASEURL is no setting; did you mean API_BASE_URL?",
        "/etc/e:2:1: LISTENN is no setting; did you mean LISTEN?",
        "/etc/e:3:1: api_base_url is no setting; did you mean API_BASE_URL?",
    ];
    assert_eq!(told, wanted);
}

#[test]
fn a_service_does_not_go_on_with_the_default_upstream_where_the_name_of_its_address_is_misspelt() {
    for yaml in ["", "gateway: {}\n", "gateway:\n  upstreams:\n", BUILT_IN] {
        for name in ["API_BASEURL", "api_base_url", "API_BASE_ULR", "API_BASE_URLSS"] {
            let problems = load_service(&format!("TZ=UTC\n{name}=https://relay.example\n"), yaml);
            let told: Vec<String> =
                problems.expect_err("the key would go elsewhere").0.iter().map(|p| p.to_string()).collect();
            assert_eq!(told.len(), 1, "{told:#?}");
            let typed = format!("sudo sed -i '2s/{name}/API_BASE_URL");
            assert!(told[0].starts_with(&format!("/etc/e:2:1: {name} is no setting")), "{told:#?}");
            assert!(told[0].contains(&typed) && told[0].contains("systemctl reload-or-restart"), "{told:#?}");
        }
    }
    let own = "gateway:\n  upstreams: [{name: a, base_url: \"http://127.0.0.1:1\"}]\n";
    for (text, yaml) in [
        ("API_BASEURL=https://relay.example\n", own),
        ("API_BASEURL=https://relay.example\nAPI_BASE_URL=https://relay.example\n", ""),
        ("API_BASEURL=\nLISTENN=127.0.0.1:1\nAPI_BASE_URL_2=x\n", BUILT_IN),
    ] {
        load_service(text, yaml).expect("it is known where requests go, or nobody said where");
    }
}

#[test]
fn the_default_upstream_does_not_count_where_the_name_of_its_address_is_misspelt_in_the_environment() {
    for name in ["API_BASEURL", "api_base_url", "API_BASE_ULR", "APIBASE_URL"] {
        let problems = load_yaml(BUILT_IN, &[(name, "https://relay.example")]).expect_err("keys would go elsewhere").0;
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with(&format!("environment API_BASE_URL: it is not set, but {name} is")), "{told:?}");
        assert_eq!(told.len(), 1, "{told:?}");
    }
    let own = "gateway:\n  upstreams: [{name: a, base_url: \"http://127.0.0.1:1\"}]\n";
    for (yaml, env) in [
        (own, [("API_BASEURL", "https://relay.example"), ("TZ", "UTC")]),
        (BUILT_IN, [("API_BASEURL", "https://relay.example"), ("API_BASE_URL", "https://relay.example")]),
        (BUILT_IN, [("API_BASEURL", ""), ("APP_BASE_URL", "https://another.example")]),
    ] {
        load_yaml(yaml, &env).expect("it is known where requests go, or nobody said where");
    }
}

#[test]
fn a_tab_in_an_indentation_is_told_with_its_place() {
    for (yaml, place) in [
        ("gateway:\n\tlisten: 127.0.0.1:1\n", ":2:1"),
        ("gateway:\n  debug: true\n\tlisten: 127.0.0.1:1\n", ":3:1"),
        ("gateway:\n  debug: true\n  \tlisten: 127.0.0.1:1\n", ":3:3"),
        ("gateway:\n  limits:\n  \tqueue: 7\n", ":3:3"),
        ("gateway:\n\tlimits:\n\t\tqueue: 7\n", ":2:1"),
        ("gateway:\n  upstreams:\n\t- name: a\n\t  base_url: http://127.0.0.1:1\n", ":3:1"),
    ] {
        let problems = load_yaml(yaml, &[]).expect_err("no YAML").0;
        let told = problems[0].to_string();
        assert!(told.contains(&format!("gateway.yaml{place}: a tab stands here")), "{yaml:?}: {problems:#?}");
        assert!(problems[0].text(Language::Chinese).contains("请把它换成空格"), "{told}");
    }
}

#[test]
fn a_blank_that_is_missing_behind_a_colon_is_told_in_its_line() {
    for (yaml, place) in [
        ("gateway:\n  debug:true\n  listen: 127.0.0.1:1\n", ":2:9"),
        ("gateway:\n  listen: 127.0.0.1:1\n  debug:true\n", ":3:9"),
        ("gateway:\n  debug:true\n", ":2:3"),
        ("gateway:\n  upstreams:\n    - {debug:a, base_url: \"http://127.0.0.1:1\"}\n", ":3:8"),
    ] {
        let problems = load_yaml(yaml, &[]).expect_err("no setting").0;
        let told = problems[0].to_string();
        let wanted = "a blank is missing behind \"debug:\", as in \"debug: value\"";
        assert!(problems.len() == 1 && told.contains(place) && told.ends_with(wanted), "{problems:#?}");
        assert!(problems[0].text(Language::Chinese).ends_with("“debug:”后面缺少空格，应写成“debug: 值”"), "{told}");
    }
}

#[test]
fn an_upstream_whose_keys_are_all_off_is_told() {
    let yaml = |second: bool| {
        format!(
            "gateway:\n  upstreams:\n    - name: a\n      base_url: http://127.0.0.1:1\n      api_keys:\n        \
             - {{key: sk-1, enabled: false}}\n        - {{key: sk-2, enabled: {second}}}\n"
        )
    };
    let told =
        |second| load_yaml(&yaml(second), &[]).expect("valid").warnings.iter().map(ToString::to_string).collect();
    let (off, on): (Vec<String>, Vec<String>) = (told(false), told(true));
    assert!(off.iter().any(|told| told.contains("every key of the upstream \"a\" is switched off")), "{off:#?}");
    assert!(!on.iter().any(|told| told.contains("switched off")), "{on:#?}");
}

#[test]
fn the_file_of_the_log_is_told_to_be_unused_only_by_who_named_one() {
    let store = ("GATEWAY_STORE", "postgres://me@db.example/log");
    let told = |env: &[(&str, &str)]| -> Vec<String> {
        let warnings = load_yaml(BUILT_IN, env).expect("valid").warnings;
        warnings.iter().map(ToString::to_string).collect()
    };
    assert_eq!(told(&[store]), <[String; 0]>::default(), "what is shipped has the default written out");
    assert_eq!(told(&[store, ("GATEWAY_DB", "off")]), <[String; 0]>::default());
    let named = told(&[store, ("GATEWAY_DB", "log.db")]);
    assert!(
        named.len() == 1 && named[0].starts_with("environment GATEWAY_DB: gateway.database: GATEWAY_STORE"),
        "{named:#?}"
    );
}
