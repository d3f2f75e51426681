use super::view::SettingView;
use super::*;
use crate::config::load;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A configuration in a folder of its own, and what was put in force.
struct Bench {
    dir: tempfile::TempDir,
    live: Live,
    in_force: Arc<Mutex<Vec<Config>>>,
}

const YAML: &str = "gateway:\n  upstreams:\n    - {name: a, base_url: \"http://127.0.0.1:1\", api_key: sk-file}\n";

impl Bench {
    fn new(env: &'static [(&'static str, &'static str)]) -> Self {
        Self::in_folder(tempfile::tempdir().expect("a folder"), env)
    }

    fn in_folder(dir: tempfile::TempDir, env: &'static [(&'static str, &'static str)]) -> Self {
        let path = dir.path().join("gateway.yaml");
        if !path.exists() {
            std::fs::write(&path, Self::yaml(dir.path(), YAML)).expect("written");
        }
        let arguments = Arguments { file: Some(path.display().to_string()), ..Arguments::default() };
        let lookup = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let loaded = load(&arguments, &lookup).expect("valid");
        let in_force = Arc::new(Mutex::new(Vec::new()));
        let put = Arc::clone(&in_force);
        let prepare: Prepare = Box::new(move |config| {
            if config.upstreams[0].name == "unusable" {
                return Err(Words::said("it cannot be used"));
            }
            if config.upstreams[0].name == "saved-meanwhile" {
                std::fs::write(&path, "gateway: {}\n").expect("written");
            }
            let put = Arc::clone(&put);
            Ok(Box::new(move || put.lock().expect("not poisoned").push(config)) as Commit)
        });
        let live = Live::new(arguments, Box::new(lookup), &loaded, prepare, Box::new(|_| {}));
        Self { dir, live, in_force }
    }

    fn yaml(dir: &Path, rest: &str) -> String {
        let dir = dir.display();
        format!("{rest}  state_dir: {dir}/state\n  headers_file: {dir}/headers.json\n")
    }

    fn write(&self, yaml: &str) {
        std::fs::write(self.dir.path().join("gateway.yaml"), Self::yaml(self.dir.path(), yaml)).expect("written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn last(&self) -> Config {
        self.in_force.lock().expect("not poisoned").last().expect("something in force").clone()
    }

    fn puts(&self) -> usize {
        self.in_force.lock().expect("not poisoned").len()
    }

    fn setting(&self, key: &str) -> SettingView {
        let settings = self.live.current(false).settings;
        settings.into_iter().find(|setting| setting.key == key).unwrap_or_else(|| panic!("no {key}"))
    }
}

#[test]
fn what_is_saved_while_a_file_is_put_in_force_is_not_taken_for_it() {
    let bench = Bench::new(&[]);
    bench.write(&YAML.replace("name: a", "name: b"));
    bench.live.reload().expect("valid");
    assert_eq!(bench.live.fingerprint(), bench.live.fingerprint_of_files(), "all of it is in force");
    bench.write(&YAML.replace("name: a", "name: saved-meanwhile"));
    bench.live.reload().expect("valid");
    assert_ne!(bench.live.fingerprint(), bench.live.fingerprint_of_files(), "whoever watches has something to load");
}

#[test]
fn a_reload_takes_a_good_file_and_refuses_a_bad_one_as_a_whole() {
    let bench = Bench::new(&[]);
    let first = bench.live.version();
    bench.write(&YAML.replace("name: a", "name: b"));
    let reloaded = bench.live.reload().expect("valid");
    assert!(reloaded.version != first && reloaded.pending_restart.is_empty());
    assert_eq!(bench.last().upstreams[0].name, "b");
    bench.write(&YAML.replace("gateway:", "gateway:\n  lissten: x\n  limits: {queue: many}"));
    let problems: Vec<String> = bench.live.reload().expect_err("bad").0.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("gateway.yaml:2:3: unknown key \"gateway.lissten\""), "{problems:?}");
    assert!(problems[1].contains("gateway.yaml:3:19: gateway.limits.queue"), "{problems:?}");
    bench.write(&YAML.replace("name: a", "name: unusable"));
    assert!(bench.live.reload().expect_err("unusable").to_string().contains("gateway.yaml: it cannot be used"));
    assert_eq!((bench.live.version(), bench.puts()), (reloaded.version, 1));
}

#[test]
fn what_needs_a_restart_is_named_by_its_key() {
    let bench = Bench::new(&[]);
    bench.write(&YAML.replace("gateway:", "threads: 7\ngateway:\n  listen: 127.0.0.1:9\n  preserve_host: true"));
    let reloaded = bench.live.reload().expect("valid");
    assert_eq!(reloaded.pending_restart, ["gateway.listen", "threads"]);
    assert!(bench.last().upstreams[0].preserve_host, "the rest is in force");
    bench.write(YAML);
    assert!(bench.live.reload().expect("valid").pending_restart.is_empty(), "as at the start again");
}

#[test]
fn the_overlay_goes_before_the_file_and_after_the_environment() {
    let bench = Bench::new(&[("DEBUG_MODE", "false")]);
    let overlay = "gateway:\n  debug: true\n  preserve_host: true\n  forwarded_for:\n  upstreams:\n    - {name: o, base_url: \"http://127.0.0.1:2\"}\n";
    bench.live.apply(&bench.live.version(), Some(overlay), None).expect("applied");
    let config = bench.last();
    assert_eq!(config.upstreams.iter().map(|u| u.name.as_str()).collect::<Vec<_>>(), ["o"], "the whole list");
    let shown = |key| {
        let setting = bench.setting(key);
        (setting.value, setting.source, setting.is_locked)
    };
    assert_eq!(shown("gateway.debug"), ("false".to_owned(), "environment", true));
    assert_eq!(shown("gateway.preserve_host"), ("true".to_owned(), "panel", false));
    assert_eq!(shown("gateway.forwarded_for"), ("append".to_owned(), "default", false), "empty counts as not set");
    assert!(bench.setting("gateway.preserve_host").place.ends_with("state/overlay.yaml:3:18"));
    let path = bench.path("state/overlay.yaml");
    assert_eq!(std::fs::read_to_string(&path).expect("written"), overlay);
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_bad_edit_is_told_with_its_place_and_changes_nothing() {
    let bench = Bench::new(&[]);
    let base = bench.live.version();
    for (overlay, line, column, message) in [
        ("gateway:\n  lissten: 1\n", 2, 3, "unknown key"),
        ("gateway:\n  upstreams:\n    - {name: x}\n", 3, 8, "base_url is missing"),
        ("gateway: [\n", 1, 11, ""),
        ("gateway:\n  rules:\n    - {nam: x}\n", 3, 8, "unknown key"),
        ("gateway:\n  dashboard: {api_key: mine}\n", 2, 24, "cannot be set from the panel"),
        ("gateway:\n  state_dir: /tmp\n", 2, 14, "cannot be set from the panel"),
        ("threads: many\n", 1, 10, "invalid type"),
    ] {
        let checked = bench.live.check(Some(overlay), None);
        let found = checked.problems.iter().find(|problem| problem.message.contains(message));
        let found = found.unwrap_or_else(|| panic!("{overlay}: {:?}", checked.problems));
        assert_eq!(
            (found.place.as_str(), found.line, found.column),
            ("overlay", Some(line), Some(column)),
            "{overlay}"
        );
        assert!(matches!(bench.live.apply(&base, Some(overlay), None), Err(Refused::Wrong(_))), "{overlay}");
    }
    let checked = bench.live.check(None, Some("{\n \"a b\": \"x\"}"));
    assert_eq!((checked.problems[0].place.as_str(), checked.problems[0].line), ("headers", Some(2)));
    assert_eq!((bench.puts(), bench.live.version()), (0, base));
    assert!(!bench.path("state").exists() && !bench.path("headers.json").exists());
}

#[test]
fn a_check_says_what_would_change_and_changes_nothing() {
    let bench = Bench::new(&[]);
    let overlay =
        "gateway:\n  listen: 127.0.0.1:9\n  limits: {queue: 7}\n  rules: [{name: r, respond: {status: 204}}]\n";
    let checked = bench.live.check(Some(overlay), Some("{\"X-App\": \"cli\"}"));
    assert_eq!(checked.problems, []);
    let changes: Vec<_> =
        checked.changes.iter().map(|c| (c.key.as_str(), c.before.as_str(), c.after.as_str())).collect();
    assert_eq!(
        changes,
        [
            ("gateway.listen", "127.0.0.1:8088", "127.0.0.1:9"),
            ("gateway.limits.queue", "100", "7"),
            ("header X-App", "", "********"),
            ("gateway.rules", "0 entries", "1 entry"),
        ]
    );
    assert_eq!(checked.needs_restart, ["gateway.listen"]);
    assert_eq!(bench.puts(), 0);
    assert!(!bench.path("state").exists());
}

#[test]
fn an_edit_of_an_old_version_is_a_conflict() {
    let bench = Bench::new(&[]);
    let base = bench.live.version();
    let overlay = "gateway: {preserve_host: true}\n";
    let (current, _) = bench.live.apply(&base, Some(overlay), Some("{\"X-App\": \"cli\"}")).expect("applied");
    assert_ne!(current.version, base);
    assert_eq!((current.overlay.as_str(), current.headers.as_str()), (overlay, "{\"X-App\": \"********\"}"));
    match bench.live.apply(&base, Some(""), None) {
        Err(Refused::Conflict { present }) => assert_eq!(present, current.version),
        other => panic!("{other:?}"),
    }
    // Somebody edited the file that the panel writes, and did not load it.
    std::fs::write(bench.path("state/overlay.yaml"), "gateway: {preserve_host: false}\n").expect("written");
    assert!(matches!(bench.live.apply(&current.version, Some(""), None), Err(Refused::Conflict { .. })));
    assert_eq!(bench.puts(), 1);
}

#[test]
fn the_last_twenty_versions_survive_a_restart() {
    let bench = Bench::new(&[]);
    for number in 0..25 {
        let overlay = format!("gateway: {{limits: {{queue: {number}}}}}\n");
        bench.live.apply(&bench.live.version(), Some(&overlay), None).expect("applied");
    }
    let history = bench.live.history();
    assert_eq!(history.len(), 20);
    assert!(history[0].overlay.contains("queue: 24") && history[19].overlay.contains("queue: 5"));
    assert_eq!(history[0].version, bench.live.version());
    let Bench { dir, .. } = bench;
    let again = Bench::in_folder(dir, &[]);
    assert_eq!(again.live.history(), history);
    again.live.apply(&again.live.version(), Some(&history[3].overlay), None).expect("applied");
    assert_eq!((again.last().queue.length, again.live.history().len()), (21, 20));
}

#[test]
fn the_first_edit_can_be_taken_back() {
    let bench = Bench::new(&[]);
    bench.live.apply(&bench.live.version(), Some("gateway: {preserve_host: true}\n"), None).expect("applied");
    let history = bench.live.history();
    assert_eq!(history.len(), 2);
    bench.live.apply(&bench.live.version(), Some(&history[1].overlay), Some(&history[1].headers)).expect("applied");
    assert_eq!(bench.live.version(), history[1].version);
}

#[test]
fn secrets_are_never_shown_and_survive_an_edit_of_what_is_shown() {
    let bench = Bench::new(&[("DASHBOARD_API_KEY", "sk-panel")]);
    let overlay = "gateway:\n  upstreams:\n    - {name: o, base_url: \"http://127.0.0.1:2\", api_key: sk-overlay}\n";
    let headers = "{\"x-api-key\": \"sk-header\", \"X-App\": \"cli\"}";
    bench.live.apply(&bench.live.version(), Some(overlay), Some(headers)).expect("applied");
    let current = bench.live.current(false);
    let everything = format!("{} {:?}", serde_json::to_string(&current).expect("JSON"), bench.live);
    let history = serde_json::to_string(&bench.live.history()).expect("JSON");
    assert!(!everything.contains("sk-") && !history.contains("sk-"), "{everything} {history}");
    assert_eq!(bench.setting("gateway.dashboard.api_key").value, "********");
    let edited = current.overlay.replace("name: o", "name: o, weight: 3");
    bench.live.apply(&current.version, Some(&edited), Some(&current.headers)).expect("applied");
    let upstream = &bench.last().upstreams[0];
    assert_eq!((upstream.weight, upstream.api_keys.first().map(|key| key.key.expose())), (3, Some("sk-overlay")));
    let unknown = current.overlay.replace("name: o", "name: p");
    let checked = bench.live.check(Some(&unknown), None);
    assert_eq!((checked.problems.len(), checked.problems[0].line), (1, Some(3)), "{checked:?}");
}

#[test]
fn an_edit_that_cannot_be_written_changes_nothing() {
    let bench = Bench::new(&[]);
    let base = bench.live.version();
    // A file is where the state folder should be.
    std::fs::write(bench.path("state"), "in the way").expect("written");
    let refused = bench.live.apply(&base, Some("gateway: {preserve_host: true}\n"), Some("{\"X-App\": \"a\"}"));
    assert!(matches!(refused, Err(Refused::NotWritten(_)) | Err(Refused::Wrong(_))), "{refused:?}");
    assert!(!bench.path("headers.json").exists());
    std::fs::remove_file(bench.path("state")).expect("removed");
    // A folder is where the headers file should be: the overlay was in its place already, and goes back.
    std::fs::create_dir(bench.path("headers.json.d")).expect("made");
    assert_eq!((bench.puts(), bench.live.version(), bench.live.history().len()), (0, base, 0));
}
