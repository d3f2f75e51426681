//! The configuration of a gateway that runs elsewhere, or of the service that is installed: commands that look at a configuration
//! mean that one, where this folder has none, or its file was named.

use super::control::Status;
use super::inheritance::is_of_gateway;
use super::installed::Installed;
use super::running::{self, Meant, Running};
use super::{records, service_file, systemd};
use crate::config::{self, Arguments, DEFAULT_FILE, DOTENV_FILE, Located, Lookup};
use crate::language::say;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::ErrorKind::PermissionDenied;
use std::path::Path;

/// Variables that say how the gateway goes out, beside its settings.
const PROXIES: [&str; 8] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"];

/// What a gateway that runs elsewhere was started with, or what the service would be.
pub(crate) struct Adopted {
    /// Its file.
    pub arguments: Arguments,
    variables: BTreeMap<String, String>,
}

impl Adopted {
    /// A variable as that gateway has it; one that is nothing to a gateway, as this command has it.
    pub(crate) fn variable(&self, name: &str, own: Lookup<'_>) -> Option<String> {
        let own_language = || own(name).filter(|value| name == "GATEWAY_LANGUAGE" && !value.is_empty());
        own_language().or_else(|| self.variables.get(name).cloned()).or_else(|| {
            let is_of_gateway = PROXIES.contains(&name) || is_of_gateway(name);
            (!is_of_gateway).then(|| own(name)).flatten()
        })
    }
}

/// Which configuration a command looks at.
#[derive(Default)]
pub(crate) struct Looked {
    /// That of another folder, if it is one.
    pub adopted: Option<Adopted>,
    /// Why what is found may be nothing to the gateway that is meant, and what to type: it belongs beside every verdict.
    pub doubt: Option<String>,
    /// Whether it is a gateway that runs, or one runs that could not be looked at: the addresses are its own.
    pub runs: bool,
}

/// Goes to the folder of the gateway that is meant, if one runs elsewhere, and this folder has no configuration or its own
/// was named; says so, or why not, on standard error.
pub(crate) fn adopt(arguments: &Arguments, is_try: bool, env: Lookup<'_>) -> Looked {
    if !may_look(arguments, env) {
        return Looked::default();
    }
    let located = config::locate(arguments, env);
    // Whoever sets something for this command wants to see that.
    if std::env::vars_os().any(|(name, value)| is_setting(&name, &value))
        || located.is_folder_named
        || running::is_here(&located)
        || located.is_at_home && located.file.is_none()
    {
        return Looked::default();
    }
    let meant = running::meant(&located, &records::to_look_at(env));
    // What the service would be started with, for who does not reach the one that runs. `try` only sends something through
    // one that does.
    if let Meant::OfRoot | Meant::None { .. } = meant
        && running::is_of_service(&located)
        && !is_try
        && let Some(installed) = Installed::find()
    {
        return of_service(installed, arguments, matches!(meant, Meant::OfRoot));
    }
    let runs = !matches!(meant, Meant::None { .. });
    Looked { runs, ..meant_one(meant, &located, arguments, is_try) }
}

/// The same of what is meant, but of the service that only root may ask.
fn meant_one(meant: Meant, located: &Located, arguments: &Arguments, is_try: bool) -> Looked {
    match meant {
        Meant::One(one) => {
            let whose = one.told();
            let changed = service_file::changed(&one.status).filter(|_| !is_try);
            // What the running one has is not what is asked about: the next one would be started with something else.
            let next = changed.as_ref().and_then(|_| Installed::find()).filter(|next| is_its(&one, next));
            if let (Some((file, unit)), Some(next)) = (&changed, next) {
                eprintln!(
                    "{}",
                    say!(
                        "of the gateway in {whose}, with the variables that {file} has now: it was changed after the start, and \
                         counts once sudo systemctl reload {unit} has succeeded:",
                        "正在运行的网关，位于 {whose}；变量取自现在的 {file}，它在网关启动之后有改动，要等 sudo systemctl reload {unit} \
                         成功后才生效：",
                        file = file.display()
                    )
                );
                return Looked { adopted: Some(from_here(next, arguments)), ..Looked::default() };
            }
            let looked = match go(&one, arguments) {
                Ok(adopted) => {
                    eprintln!("{}", say!("of the gateway in {whose}:", "正在运行的网关，位于 {whose}："));
                    Looked { adopted: Some(adopted), ..Looked::default() }
                }
                Err(why) => Looked {
                    doubt: Some(say!(
                        "this is not about the gateway in {whose}, which cannot be looked at: {why}",
                        "本次结果与正在运行的网关（{whose}）无关，无法查看它的设置：{why}"
                    )),
                    ..Looked::default()
                },
            };
            if let Some((file, unit)) = changed {
                let note = service_file::has_changed(&file, &unit);
                eprintln!("{}", say!("warning: {note}", "警告：{note}"));
            }
            looked
        }
        // The built-in settings are nothing to whoever only wants an answer.
        _ if located.is_at_home || is_try => Looked::default(),
        meant => Looked { doubt: of_no_gateway(&meant), ..Looked::default() },
    }
}

/// That what is found is about the built-in settings, though there is a gateway.
fn of_no_gateway(meant: &Meant) -> Option<String> {
    let command = running::typed();
    match meant {
        Meant::OfRoot => Some(say!(
            "this is about the built-in settings, not about the gateway that runs as a service, which tells its own to root \
             only. Type: sudo {command}",
            "本次结果只反映内置默认配置，不是正在运行的系统服务的配置：后者只有 root 可以查看。请执行：sudo {command}"
        )),
        Meant::Several(several) => {
            let list = running::listed(several);
            Some(say!(
                "this is about the built-in settings, not about one of the gateways that run. Type it in the folder of the one \
                 that you mean:\n{list}",
                "本次结果只反映内置默认配置。有多个网关正在运行，请在要查看的那个网关的目录中执行：\n{list}"
            ))
        }
        Meant::None { .. } if running::is_installed() => {
            let file = systemd::CONFIGURATION;
            Some(say!(
                "this is about the built-in settings. The service is installed, but does not run (sudo systemctl start \
                 anyrouter-gateway), and its file {file} cannot be read. Type: sudo {command}",
                "本次结果只反映内置默认配置。服务已安装，但没有运行（sudo systemctl start anyrouter-gateway），\
                 它的配置文件 {file} 也无法读取。请执行：sudo {command}"
            ))
        }
        Meant::None { .. } | Meant::One(_) => None,
    }
}

/// Whether this service is the gateway that runs.
fn is_its(running: &Running, installed: &Installed) -> bool {
    let same = |one: &Path, other: &Path| one.canonicalize().is_ok_and(|one| other.canonicalize().ok() == Some(one));
    let Status { folder, configuration, .. } = &running.status;
    let file = Path::new(folder).join(configuration);
    installed.denied.is_none() && same(&file, Path::new(&installed.file)) && same(Path::new(folder), &installed.folder)
}

/// The configuration of the service, with a line that says so, and why.
fn of_service(installed: Installed, arguments: &Arguments, runs: bool) -> Looked {
    let why = match runs {
        true => say!("it runs, and tells what it has to root only", "服务正在运行，它的设置只告诉 root"),
        false => say!(
            "it is installed, but does not run; sudo systemctl start anyrouter-gateway starts it",
            "服务已安装，但没有运行；启动：sudo systemctl start anyrouter-gateway"
        ),
    };
    let file = &installed.file;
    let denied = installed.denied.as_ref().map(|path| path.display().to_string());
    // Its state is for its user alone too: what the panel changed, headers, keys of clients.
    let denied = denied.or_else(|| {
        let is_closed = std::fs::read_dir(&installed.folder).is_err_and(|error| error.kind() == PermissionDenied);
        is_closed.then(|| installed.folder.display().to_string())
    });
    let told = match (&denied, &installed.environment_file) {
        (Some(_), _) => {
            say!("of the service's file {file} alone ({why}):", "只根据服务的配置文件 {file}（{why}）：")
        }
        (None, Some(variables)) => say!(
            "of the service: {file}, with the variables in {path} ({why}):",
            "系统服务的配置：{file}，变量取自 {path}（{why}）：",
            path = variables.path
        ),
        (None, None) => say!("of the service: {file} ({why}):", "系统服务的配置：{file}（{why}）："),
    };
    eprintln!("{told}");
    let doubt = denied.map(|path| {
        let command = running::typed();
        say!(
            "this is about {file} alone, not about all that the service has: {path} is for root. Type: sudo {command}",
            "本次只检查了 {file}，不是系统服务的全部配置：{path} 只有 root 可读。请执行：sudo {command}"
        )
    });
    Looked { adopted: Some(from_here(installed, arguments)), doubt, runs }
}

/// Goes to the folder of the service; where that is not allowed, or not there yet, away from this one: nothing in it is the
/// service's.
fn from_here(installed: Installed, arguments: &Arguments) -> Adopted {
    let Installed { file, folder, variables, environment_file, .. } = installed;
    let _ = std::env::set_current_dir(&folder).or_else(|_| std::env::set_current_dir("/"));
    let overrides = arguments.overrides.clone();
    let arguments = Arguments { file: Some(file), overrides, environment_file, ..Arguments::default() };
    Adopted { arguments, variables }
}

/// Whether this folder's files, or the one that was named, leave the question open and can be read twice: a pipe cannot.
fn may_look(arguments: &Arguments, env: Lookup<'_>) -> bool {
    let named = arguments.file.clone().or_else(|| env("GATEWAY_CONFIG").filter(|path| !path.is_empty()));
    let dotenv = Path::new(DOTENV_FILE);
    match named {
        Some(file) => Path::new(&file).is_file() && (dotenv.is_file() || !dotenv.exists()),
        None => !dotenv.exists() && !Path::new(DEFAULT_FILE).exists(),
    }
}

/// Whether a variable sets something, beside how to speak and how to go out.
fn is_setting(name: &OsStr, value: &OsStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    !value.is_empty() && name != "GATEWAY_LANGUAGE" && !PROXIES.contains(&name) && is_of_gateway(name)
}

/// Goes to its folder, with its settings.
fn go(running: &Running, arguments: &Arguments) -> Result<Adopted, String> {
    let Running { folder, status } = running;
    let mut variables = running::settings_of(folder)?;
    variables.remove("GATEWAY_CONFIG");
    std::env::set_current_dir(&status.folder).map_err(|error| format!("{}: {error}", status.folder))?;
    let is_file = !status.configuration.is_empty() && Path::new(&status.configuration).exists();
    let file = is_file.then(|| status.configuration.clone());
    let (overrides, environment_file) = (arguments.overrides.clone(), service_file::of(running));
    let arguments = Arguments { file, overrides, environment_file, ..Arguments::default() };
    Ok(Adopted { arguments, variables })
}
