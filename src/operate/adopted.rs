//! The configuration of a gateway that runs elsewhere: commands that look at a configuration mean that one, where this folder
//! has none, or its file was named.

use super::inheritance::is_of_gateway;
use super::running::{self, Meant, Running};
use super::{records, service_file};
use crate::config::{self, Arguments, DEFAULT_FILE, DOTENV_FILE, Lookup};
use crate::language::say;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

/// Variables that say how the gateway goes out, beside its settings.
const PROXIES: [&str; 8] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"];

/// What a gateway that runs was started with.
pub(crate) struct Adopted {
    /// Its file.
    pub arguments: Arguments,
    variables: BTreeMap<String, String>,
}

impl Adopted {
    /// A variable as that gateway has it; one that is nothing to a gateway, as this command has it.
    pub(crate) fn variable(&self, name: &str, own: Lookup<'_>) -> Option<String> {
        self.variables.get(name).cloned().or_else(|| {
            let is_of_gateway = PROXIES.contains(&name) || is_of_gateway(name);
            (!is_of_gateway).then(|| own(name)).flatten()
        })
    }
}

/// Goes to the folder of the gateway that is meant, if one runs elsewhere, and this folder has no configuration or its own
/// was named; says so, or why not, on standard error.
pub(crate) fn adopt(arguments: &Arguments, is_try: bool, env: Lookup<'_>) -> Option<Adopted> {
    if !may_look(arguments, env) {
        return None;
    }
    let located = config::locate(arguments, env);
    // Whoever sets something for this command wants to see that.
    if std::env::vars_os().any(|(name, value)| is_setting(&name, &value))
        || located.is_folder_named
        || running::is_here(&located)
        || located.is_at_home && located.file.is_none()
    {
        return None;
    }
    match running::meant(&located, &records::to_look_at(env)) {
        Meant::One(one) => {
            let whose = one.told();
            let adopted = go(&one, arguments);
            eprintln!(
                "{}",
                match &adopted {
                    Ok(_) => say!("of the gateway in {whose}:", "正在运行的网关，位于 {whose}："),
                    Err(why) => say!(
                        "note: this is not about the gateway in {whose}, which cannot be looked at: {why}",
                        "提示：以下与正在运行的网关（{whose}）无关，无法查看它的设置：{why}"
                    ),
                }
            );
            for note in service_file::notes(&one.status) {
                eprintln!("{}", say!("warning: {note}", "警告：{note}"));
            }
            adopted.ok()
        }
        // The built-in settings are nothing to whoever only wants an answer.
        Meant::OfRoot if !located.is_at_home && !is_try => {
            let command = running::typed();
            eprintln!(
                "{}",
                say!(
                    "note: this is about the built-in settings. A gateway runs as a service, and tells its settings to root only: \
                     sudo {command}",
                    "提示：以下是内置默认配置的情况。有网关以服务运行，它的设置只告诉 root：sudo {command}"
                )
            );
            None
        }
        Meant::Several(several) if !located.is_at_home && !is_try => {
            let list = running::listed(&several);
            eprintln!(
                "{}",
                say!(
                    "note: this is about the built-in settings. Several gateways run; type this in the folder of the one that \
                     you mean:\n{list}",
                    "提示：以下是内置默认配置的情况。有多个网关正在运行；请在要查看的那个网关的目录中执行：\n{list}"
                )
            );
            None
        }
        Meant::None { .. } if !located.is_at_home && !is_try && running::is_installed() => {
            eprintln!(
                "{}",
                say!(
                    "note: this is about the built-in settings. The service is installed, but does not run (sudo systemctl start \
                     anyrouter-gateway); its file: -c /etc/anyrouter-gateway/gateway.yaml",
                    "提示：以下是内置默认配置的情况。服务已安装，但没有运行（sudo systemctl start anyrouter-gateway）；\
                     它的配置文件：-c /etc/anyrouter-gateway/gateway.yaml"
                )
            );
            None
        }
        _ => None,
    }
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
    Ok(Adopted { arguments: Arguments { file, overrides: arguments.overrides.clone() }, variables })
}
