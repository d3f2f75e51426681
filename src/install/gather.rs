//! What makes up the gateway of this folder: its settings, wherever they are, and the files that they name.

use super::service::{STATE, Unit};
use crate::config::log_store::LogStore;
use crate::config::{self, Arguments, KEY_MAPPINGS_FILE, Loaded, Lookup};
use crate::language::{self, say};
use crate::operate::control::Status;
use crate::operate::{RuntimeDir, running};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

/// Variables that name what the unit settles by itself.
const OF_THE_UNIT: [&str; 3] = ["GATEWAY_CONFIG", "GATEWAY_RUNTIME_DIR", "RUNTIME_DIRECTORY"];

/// The gateway of this folder.
pub(super) struct Here {
    /// The YAML file; `None` if there is none, and the built-in defaults count.
    pub yaml: Option<PathBuf>,
    /// Its variables: those of `env/.env`, and before these those of the gateway that runs here.
    pub variables: BTreeMap<String, String>,
    /// Files that are read, by relative paths.
    pub files: Vec<PathBuf>,
    /// The folder of what the gateway writes, relative.
    pub state: PathBuf,
    /// The request log, relative, if there is one.
    pub database: Option<PathBuf>,
    /// Folders in which the gateway writes other files.
    pub folders: Vec<PathBuf>,
    /// What the unit needs beside what it has.
    pub unit: Unit,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// The gateway that runs here.
    pub running: Option<(RuntimeDir, Status)>,
}

impl Here {
    /// Looks at this folder.
    ///
    /// # Errors
    /// What is wrong with the configuration, or cannot be brought along, a line each.
    pub(super) fn look(arguments: &Arguments) -> Result<Self, Vec<String>> {
        let none = |_: &str| None;
        let running = running_here(arguments, &none).map_err(|error| vec![error])?;
        let mut variables = config::dotenv_variables();
        let mut arguments = arguments.clone();
        if let Some((folder, status)) = &running {
            variables.extend(running::settings_of(folder).map_err(|error| vec![error])?);
            let is_file = !status.configuration.is_empty() && Path::new(&status.configuration).exists();
            arguments.file = arguments.file.or_else(|| is_file.then(|| status.configuration.clone()));
        }
        let loaded = config::load(&arguments, &|name| variables.get(name).cloned());
        let loaded = loaded
            .map_err(|problems| problems.0.iter().map(|problem| problem.text(language::here())).collect::<Vec<_>>())?;
        variables.retain(|name, value| !value.is_empty() && !OF_THE_UNIT.contains(&name.as_str()));
        let (mut unit, mut wrong) = (Unit::default(), Vec::new());
        let files = files(&loaded, &mut unit, &mut variables, &mut wrong);
        let startup = &loaded.startup;
        let log_file = startup.log_file.as_deref();
        let file_of_log = startup.log.store.as_ref().and_then(LogStore::file);
        for (key, path) in [
            ("gateway.state_dir (GATEWAY_STATE_DIR)", Some(startup.state_dir.as_path())),
            ("gateway.database (GATEWAY_DB)", file_of_log),
            ("gateway.log.file (LOG_FILE)", log_file),
        ] {
            wrong.extend(path.and_then(|path| unwritable(key, path)));
        }
        let tls = startup.tls.as_ref().map(|tls| tls.listen);
        let addresses: Vec<_> = [startup.listen, startup.admin_listen].into_iter().chain(tls).collect();
        unit.has_low_port = addresses.iter().any(|address| (1..1024).contains(&address.port()));
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let is_file = Path::new(&loaded.path).is_file();
        Ok(Self {
            yaml: is_file.then(|| PathBuf::from(&loaded.path)),
            variables,
            files,
            state: startup.state_dir.clone(),
            database: file_of_log.map(Path::to_owned),
            folders: log_file.and_then(Path::parent).map(Path::to_owned).into_iter().collect(),
            unit,
            addresses,
            running,
        })
    }
}

/// The gateway that runs here, unless systemd looks after it.
///
/// # Errors
/// When it runs in a container: its number is not this machine's, and who started it would start it again.
fn running_here(arguments: &Arguments, env: Lookup<'_>) -> Result<Option<(RuntimeDir, Status)>, String> {
    let found = running::here(&config::locate(arguments, env)).filter(|(_, status)| !status.has_systemd);
    match found {
        Some((folder, status)) if !running::is_of_this_machine(&folder, &status) => Err(say!(
            "the gateway of this folder runs in a container: stop that one (docker compose down), then type this again",
            "本目录的网关在容器中运行：请先停止容器（docker compose down），再执行本命令"
        )),
        found => Ok(found),
    }
}

/// The files that are read: those with relative paths are to come along. Of those elsewhere, what only root may read is
/// systemd's to hand over.
fn files(
    loaded: &Loaded,
    unit: &mut Unit,
    variables: &mut BTreeMap<String, String>,
    wrong: &mut Vec<String>,
) -> Vec<PathBuf> {
    let tls = loaded.startup.tls.as_ref();
    let named = |key: &'static str| loaded.effective.iter().filter(move |setting| setting.key == key);
    let authorities = loaded.effective.iter().filter(|setting| setting.key.ends_with("].ca_file"));
    let settings =
        ["gateway.prices_file", "gateway.headers_file", "gateway.store.password_file"].into_iter().flat_map(named);
    let settings = settings.chain(authorities);
    let mut files = vec![("", PathBuf::from(KEY_MAPPINGS_FILE))];
    files.extend(settings.map(|setting| (setting.key.as_str(), PathBuf::from(&setting.value))));
    files.extend(tls.map(|tls| ("TLS_CERT", PathBuf::from(&tls.cert))));
    files.extend(tls.map(|tls| ("TLS_KEY", PathBuf::from(&tls.key))));
    let mut relative = Vec::new();
    for (key, path) in files {
        match () {
            () if !path.is_file() => {}
            () if is_plain(&path) => relative.push(path),
            () if path.is_absolute() && is_for_all(&path) => {}
            () if path.is_absolute() && key.starts_with("TLS_") => {
                // In the file of variables it would count before the unit's.
                variables.remove(key);
                unit.credentials.push((key.to_owned(), path));
            }
            () => wrong.push(say!(
                "{key}: {path} cannot be read by the service: put the file into this folder, and name it without / and .. \
                 in front",
                "{key}：服务读不到 {path}：请把文件放到本目录中，并用不以 / 或 .. 开头的相对路径指明",
                path = path.display()
            )),
        }
    }
    relative
}

/// Whether a path leads to a place below the folder that it is relative to.
fn is_plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Whether every user may read a file, in a place that the unit sees.
fn is_for_all(path: &Path) -> bool {
    let hidden = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];
    let Ok(path) = path.canonicalize() else { return false };
    let may = |path: &Path, bits: u32| path.metadata().is_ok_and(|it| it.permissions().mode() & bits == bits);
    !hidden.iter().any(|place| path.starts_with(place))
        && may(&path, 0o004)
        && path.ancestors().skip(1).all(|folder| may(folder, 0o001))
}

/// Why the service could not write there.
fn unwritable(key: &str, path: &Path) -> Option<String> {
    let is_fine = is_plain(path) || path.starts_with(STATE) && is_plain(path.strip_prefix(STATE).unwrap_or(path));
    (!is_fine).then(|| {
        say!(
            "{key}: {path} is no place for the service, which may write below {STATE} alone: name it without / and .. in \
             front, such as data/gateway.db",
            "{key}：服务只能在 {STATE} 下写入，不能用 {path}：请改用不以 / 或 .. 开头的相对路径，例如 data/gateway.db",
            path = path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_writes_is_below_its_own_folder() {
        for path in ["data", "./data/gateway.db", "a/b/c", "/var/lib/anyrouter-gateway/data/gateway.db"] {
            assert_eq!(unwritable("key", Path::new(path)), None, "{path}");
        }
        for path in
            ["../data", "/srv/data", "a/../../b", "/var/lib/anyrouter-gateway/../x", "/var/lib/anyrouter-gateway2"]
        {
            let told = unwritable("gateway.database (GATEWAY_DB)", Path::new(path)).expect("refused");
            assert!(told.contains(path) && told.contains("GATEWAY_DB"), "{told}");
        }
    }

    #[test]
    fn a_file_is_for_all_if_nothing_on_the_way_to_it_is_closed() {
        assert!(is_for_all(Path::new("/etc/passwd")));
        for path in ["/etc/shadow", "/root/x", "/nowhere"] {
            assert!(!is_for_all(Path::new(path)), "{path}");
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert!(!is_for_all(file.path()), "the unit has a /tmp of its own");
    }
}
