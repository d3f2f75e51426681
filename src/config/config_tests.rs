use super::*;

fn load_yaml(yaml: &str, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("gateway.yaml");
    std::fs::write(&path, yaml).expect("written");
    let lookup = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    let arguments = Arguments { file: Some(path.to_string_lossy().into_owned()), overrides: Vec::new() };
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
    assert_eq!(loaded.config.limits, bare.config.limits);
    assert_eq!(loaded.config.upstreams, bare.config.upstreams);
    for (shipped, default) in loaded.effective.iter().zip(&bare.effective) {
        assert_eq!((&shipped.key, &shipped.value), (&default.key, &default.value));
    }
}

#[test]
fn every_setting_is_in_the_shipped_file_with_its_variable() {
    for setting in settings::SETTINGS {
        let leaf = setting.key.rsplit('.').next().expect("a leaf");
        assert!(BUILT_IN.contains(&format!("{leaf}:")), "{}", setting.key);
        for name in setting.env.iter().filter(|name| name.chars().all(|c| !c.is_lowercase())) {
            assert!(BUILT_IN.contains(name), "{name}");
        }
    }
    for setting in settings::UPSTREAM_SETTINGS {
        assert!(BUILT_IN.contains(&format!("{}:", setting.key)), "{}", setting.key);
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
    let arguments = Arguments { file: Some("/nowhere/gateway.yaml".to_owned()), overrides: Vec::new() };
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
