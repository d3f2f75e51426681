//! Which gateway a command means: the one of this folder or of the configuration that was named, or else the only one of
//! this user that runs.

use super::control::{Answer, Question, Status};
use super::inheritance::{OF_ALL_PROGRAMS, is_dangerous};
use super::panel::quoted;
use super::runtime_dir::elsewhere;
use super::systemd::CONFIGURATION;
use super::{RuntimeDir, ask, descriptors, records};
use crate::config::{Located, Lookup};
use crate::language::say;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The runtime folder of `conf/anyrouter-gateway.service`.
const SERVICE: &str = "/run/anyrouter-gateway";
/// That unit, where `install-service` and `install.sh` put it, and where the package does.
pub(super) const UNITS: [&str; 3] = [
    "/etc/systemd/system/anyrouter-gateway.service",
    "/usr/lib/systemd/system/anyrouter-gateway.service",
    "/lib/systemd/system/anyrouter-gateway.service",
];

/// A gateway that runs.
pub(super) struct Running {
    /// Where it is asked.
    pub folder: RuntimeDir,
    /// What it says of itself.
    pub status: Status,
}

impl Running {
    /// What it is known by.
    pub(super) fn told(&self) -> String {
        let Status { pid, folder, addresses, .. } = &self.status;
        let addresses = addresses.join(", ");
        ask::printable(&say!("{folder} (process {pid}, {addresses})", "{folder}（进程 {pid}，{addresses}）"))
    }

    /// Whether it was started with this configuration.
    fn has(&self, file: &Path) -> bool {
        let own = Path::new(&self.status.folder).join(&self.status.configuration);
        !self.status.configuration.is_empty() && is_same(&own, file)
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let canonical = |path: &Path| path.canonicalize().ok();
    canonical(one).is_some_and(|one| canonical(other) == Some(one))
}

/// Finds the gateway that is meant; one of another folder is named on standard error.
///
/// # Errors
/// When there is none, or more than one, with what to type.
pub(crate) fn find(located: &Located, env: Lookup<'_>) -> Result<RuntimeDir, String> {
    if located.runtime_dir.exists() {
        let folder = RuntimeDir::open(&located.runtime_dir)?;
        // Its user may be no one to listen to.
        if ask::is_anybody_there(&folder)? {
            return Ok(folder);
        }
    }
    // That of the service is named by its unit too.
    if located.is_folder_named && !(located.runtime_dir == Path::new(SERVICE) && is_installed()) {
        return Err(say!(
            "no gateway runs here: {elsewhere}",
            "这里没有正在运行的网关：{elsewhere}",
            elsewhere = elsewhere(&located.runtime_dir)
        ));
    }
    let places = records::to_look_at(env);
    match meant(located, &places) {
        Meant::One(one) => {
            let whose = one.told();
            eprintln!("{}", say!("the gateway in {whose}:", "正在运行的网关，位于 {whose}："));
            Ok(one.folder)
        }
        Meant::Several(several) => Err(say!(
            "{count} gateways run; type this in the folder of the one that you mean, or name its configuration with -c \
             FILE:\n{list}",
            "有 {count} 个网关正在运行；请在要操作的那个网关的目录中执行，或用 -c 文件 指明它的配置：\n{list}",
            count = several.len(),
            list = listed(&several)
        )),
        Meant::OfRoot => Err(say!(
            "the gateway that runs as a service takes commands from root only: sudo {command}",
            "以服务运行的网关只接受 root 的命令：sudo {command}",
            command = typed()
        )),
        Meant::None { others } => Err(none(located, &places, &others)),
    }
}

/// Which gateway is meant where none answers in this folder.
pub(super) enum Meant {
    /// This one.
    One(Running),
    /// One of these.
    Several(Vec<Running>),
    /// Perhaps the service, which only root can ask.
    OfRoot,
    /// None that runs, though others do.
    None {
        /// These.
        others: Vec<Running>,
    },
}

/// Which gateway is meant: the one with the file that was named, or any.
pub(super) fn meant(located: &Located, places: &[records::Place]) -> Meant {
    let (all, is_denied) = others(places);
    let is_meant = |running: &Running| located.file.as_ref().is_none_or(|file| running.has(file));
    let (mut meant, others): (Vec<Running>, Vec<Running>) = all.into_iter().partition(is_meant);
    match (meant.pop(), meant.is_empty()) {
        (Some(one), true) => Meant::One(one),
        (Some(last), false) => {
            meant.push(last);
            Meant::Several(meant)
        }
        (None, _) if is_denied => Meant::OfRoot,
        (None, _) => Meant::None { others },
    }
}

/// Whether one answers at the runtime folder of this configuration, whoever that is.
pub(crate) fn is_here(located: &Located) -> bool {
    let is_there = || RuntimeDir::open(&located.runtime_dir).and_then(|folder| ask::is_anybody_there(&folder));
    located.runtime_dir.exists() && !matches!(is_there(), Ok(false))
}

/// The gateway of this configuration, if it runs.
pub(crate) fn here(located: &Located) -> Option<(RuntimeDir, Status)> {
    let folder = RuntimeDir::open(&located.runtime_dir).ok()?;
    let status = ask::status(&folder).ok()?;
    Some((folder, status))
}

/// The addresses of the gateway that has this runtime folder; `None` if one has it that does not tell them.
pub(crate) fn addresses_at(runtime_dir: &Path) -> Option<Vec<SocketAddr>> {
    if !runtime_dir.exists() {
        return Some(Vec::new());
    }
    let folder = RuntimeDir::open(runtime_dir).ok()?;
    if !ask::is_anybody_there(&folder).ok()? {
        return Some(Vec::new());
    }
    let addresses = ask::status(&folder).ok()?.addresses;
    Some(addresses.iter().filter_map(|address| address.parse().ok()).collect())
}

/// Whether the process is the one that this machine calls so: one in a container has another number there, and what has its
/// number here is another process.
pub(crate) fn is_of_this_machine(folder: &RuntimeDir, status: &Status) -> bool {
    let stream = ask::connect(folder);
    stream.is_ok_and(|stream| descriptors::process_of(&stream).is_ok_and(|pid| pid == status.pid))
}

/// The variables of the gateway that runs there, without those that every program reads.
///
/// # Errors
/// When it cannot be asked.
pub(crate) fn settings_of(folder: &RuntimeDir) -> Result<BTreeMap<String, String>, String> {
    match ask::ask(folder, Question::Inherit)? {
        Answer::Inheritance { mut environment, .. } => {
            environment.retain(|name, _| !OF_ALL_PROGRAMS.contains(&name.as_str()) && !is_dangerous(name));
            Ok(environment)
        }
        _ => Err(say!("the gateway that runs does not tell its variables", "正在运行的网关没有给出它的环境变量")),
    }
}

/// Whether no configuration is meant but the service's, which is what a folder without one means.
pub(super) fn is_of_service(located: &Located) -> bool {
    match &located.file {
        Some(file) => is_same(file, Path::new(CONFIGURATION)),
        None => !located.is_at_home,
    }
}

/// Why no gateway is found.
fn none(located: &Located, places: &[records::Place], rest: &[Running]) -> String {
    let mut looked: Vec<String> = vec![absolute(&located.runtime_dir)];
    looked.extend(places.iter().map(|place| place.path.display().to_string()));
    looked.push(SERVICE.to_owned());
    let looked = looked.join(", ");
    match (&located.file, rest) {
        _ if (located.file.is_none() || is_of_service(located)) && is_installed() => {
            let command = typed();
            say!(
                "no gateway runs: the service is installed, but does not run. Type: sudo systemctl start anyrouter-gateway, then \
                 {command}; why it does not run says: sudo journalctl -u anyrouter-gateway -n 20",
                "没有网关在运行：服务已安装，但没有运行。请执行 sudo systemctl start anyrouter-gateway，再执行 {command}；没有运行的原因见 \
                 sudo journalctl -u anyrouter-gateway -n 20"
            )
        }
        (Some(file), [_, ..]) => {
            say!(
                "no gateway runs with {file}; these do:\n{list}",
                "没有使用 {file} 的网关在运行；正在运行的有：\n{list}",
                file = file.display(),
                list = listed(rest)
            )
        }
        _ => say!(
            "no gateway runs here, nor elsewhere by this user (looked in {looked}). If one runs all the same, type this in \
             the folder that it was started in, or name its configuration with -c FILE, or its runtime folder with \
             GATEWAY_RUNTIME_DIR; one of another user obeys that user and root",
            "这里没有网关在运行，当前用户在别处也没有（已查找：{looked}）。如果确实有，请在启动它的目录中执行，或用 -c 文件 指明它的配置，\
             或用 GATEWAY_RUNTIME_DIR 指明它的运行目录；其他用户的网关只接受该用户和 root 的命令"
        ),
    }
}

/// Whether there is a service of `install-service`, `install.sh` or the package.
pub(crate) fn is_installed() -> bool {
    UNITS.iter().any(|path| Path::new(path).exists())
}

/// A line each.
pub(super) fn listed(running: &[Running]) -> String {
    running.iter().map(|one| format!("  {}", one.told())).collect::<Vec<_>>().join("\n")
}

/// The gateways that answer, and whether the service is there for root alone.
fn others(places: &[records::Place]) -> (Vec<Running>, bool) {
    let service = PathBuf::from(SERVICE);
    let is_denied = service.canonicalize().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
        || std::fs::read_dir(&service).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    let mut folders: Vec<PathBuf> = places.iter().flat_map(records::Place::targets).chain([service]).collect();
    folders.sort();
    folders.dedup();
    let open = folders.iter().filter_map(|path| RuntimeDir::open(path).ok());
    // Whoever does not answer is gone, or nobody to listen to.
    let answers = open.filter_map(|folder| ask::status(&folder).ok().map(|status| Running { folder, status }));
    (answers.collect(), is_denied)
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// The command as it was typed.
pub(crate) fn typed() -> String {
    std::env::args_os().map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}
