//! `anyrouter-gateway panel`: a link that logs in, from the gateway that runs. Only its user and root can ask for it.

use super::RuntimeDir;
use super::ask::ask;
use super::control::{Answer, Question, Wish};
use super::reachable::reachable;
use super::systemd::CONFIGURATION;
use crate::config::{Arguments, Lookup, Startup};
use crate::language::{joined, say};
use gateway_core::language::Words;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::net::SocketAddr;
use std::sync::Arc;

/// How far up a session is looked for: sudo, and the shells and programs around it.
const MOST_PARENTS: usize = 16;

/// Where the program of the service is, which is on every path.
const PROGRAMS: [&str; 2] = ["/usr/local/bin/anyrouter-gateway", "/usr/bin/anyrouter-gateway"];

/// Gives a link, or says why there is none.
pub(crate) type LetIn = Arc<dyn Fn(Wish) -> Result<String, Words> + Send + Sync>;

/// What a fragment holds as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What the command is asked for.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Open the panel in the browser instead of printing the link.
    #[arg(long)]
    pub open: bool,
    /// Replace the key first: the old one, and all sessions, are over.
    #[arg(long)]
    pub new_key: bool,
}

/// A link that logs in with this key, or what stands for it: what is behind the number sign reaches no server.
pub(crate) fn link(startup: &Startup, is_on_gateway_port: bool, key: &str) -> String {
    format!("{}/admin#key={}", origin(startup, is_on_gateway_port), utf8_percent_encode(key, ENCODED))
}

/// What to type for a link: the program and its configuration as this process was called, and the `variables` that it
/// would look for its folder with. `docker exec` gives them to a command in a `container`.
pub(crate) fn command(arguments: &Arguments, variables: &[&str], env: Lookup<'_>, container: Option<&str>) -> String {
    let program = std::env::args_os().next().map(|program| program.to_string_lossy().into_owned());
    let program = program.unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned());
    let is_service = || arguments.file.as_deref() == Some(CONFIGURATION) && PROGRAMS.contains(&program.as_str());
    if container.is_none() && variables.is_empty() && is_service() {
        // It is found from everywhere.
        return format!("{} panel", env!("CARGO_PKG_NAME"));
    }
    let mut words: Vec<String> = match container {
        Some(name) => ["docker", "exec", name].map(str::to_owned).to_vec(),
        None => variables.iter().filter_map(|name| Some(format!("{name}={}", quoted(&env(name)?)))).collect(),
    };
    words.push(quoted(&program));
    if let Some(file) = &arguments.file {
        words.extend(["-c".to_owned(), quoted(file)]);
    }
    words.push("panel".to_owned());
    words.join(" ")
}

/// The container that this runs in, as Docker knows it: unless it was given another name, its host's is the container's.
pub(crate) fn container(is_docker: bool, host: Option<&str>) -> Option<&str> {
    host.filter(|host| is_docker && host.len() == 12 && host.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=,+@%".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Where the panel is, seen from this machine. Only what leaves the machine needs TLS.
fn origin(startup: &Startup, is_on_gateway_port: bool) -> String {
    if !is_on_gateway_port {
        return format!("http://{}", reachable(startup.admin_listen));
    }
    let plain = reachable(startup.listen);
    match &startup.tls {
        Some(tls) if !plain.ip().is_loopback() => format!("https://{}", reachable(tls.listen)),
        _ => format!("http://{plain}"),
    }
}

/// What else is to be done with a link, at this place: `ssh` is `SSH_CONNECTION`, `user` its user.
pub(crate) fn advice(link: &str, ssh: Option<&str>, user: Option<&str>) -> Option<String> {
    let authority = link.split_once("://")?.1.split('/').next()?;
    let address: SocketAddr = authority.parse().ok()?;
    // Client address and port, server address and port.
    let mut ssh = ssh?.split(' ').skip(2);
    let (server, port) = (ssh.next()?, ssh.next()?);
    let port = if port == "22" { String::new() } else { format!("-p {port} ") };
    address.ip().is_loopback().then(|| {
        say!(
            "This is a session over SSH. Type this on your own machine, then open the link there:\n  \
             ssh -L {local}:{authority} {port}{user}@{server}",
            "当前是 SSH 会话。请在你自己的电脑上执行下面的命令，然后在那里打开链接：\n  \
             ssh -L {local}:{authority} {port}{user}@{server}",
            local = address.port(),
            user = user.unwrap_or("USER")
        )
    })
}

/// The same from the variables of this process.
pub(crate) fn advice_here(link: &str, env: Lookup<'_>) -> Option<String> {
    // sudo takes the variables of a session away; the shell that it was typed in has them.
    let sudo = env("SUDO_USER").filter(|user| !user.is_empty());
    let ssh = env("SSH_CONNECTION").or_else(|| sudo.as_ref().and_then(|_| of_parents("SSH_CONNECTION")));
    advice(link, ssh.as_deref(), sudo.or_else(|| env("USER")).as_deref())
}

/// A variable of the nearest process above this one that has it.
fn of_parents(name: &str) -> Option<String> {
    let mut pid = rustix::process::getppid()?.as_raw_nonzero().get();
    for _ in 0..MOST_PARENTS {
        let variables = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let found = variables.split(|byte| *byte == 0).find_map(|variable| {
            std::str::from_utf8(variable).ok()?.strip_prefix(name)?.strip_prefix('=').map(str::to_owned)
        });
        if found.is_some() {
            return found;
        }
        // The name of a program may have anything in it, but ends at the last bracket.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        pid = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok().filter(|pid| *pid > 1)?;
    }
    None
}

/// Asks the gateway that runs, and opens the browser if that is wanted. Returns the link to print, if there is one.
///
/// # Errors
/// When there is no gateway, or it refuses.
pub(crate) fn run(folder: &RuntimeDir, options: Options, env: Lookup<'_>) -> Result<Option<String>, String> {
    let link = ask_for(folder, if options.new_key { Wish::NewKey } else { Wish::Link })?;
    if options.new_key {
        let told = say!(
            "The panel has a new key: the old one, and all sessions, are over.",
            "面板密钥已更换：旧密钥和所有登录都已失效。"
        );
        eprintln!("{told}");
    }
    if options.open {
        match open::that_detached(&link) {
            Ok(()) => {
                eprintln!("{}", say!("The panel opens in the browser.", "正在浏览器中打开面板。"));
                return Ok(None);
            }
            // The error quotes the link among the words of the program that failed.
            Err(_) => eprintln!(
                "{}",
                say!(
                    "No browser can be started here: open this link in one.",
                    "这里无法启动浏览器：请自行打开此链接。"
                )
            ),
        }
    }
    if let Some(advice) = advice_here(&link, env) {
        eprintln!("{advice}");
    }
    Ok(Some(link))
}

fn ask_for(folder: &RuntimeDir, wish: Wish) -> Result<String, String> {
    match ask(folder, Question::Panel(wish))? {
        // It may be opened in a browser, and the other end may be any program of the gateway's user.
        Answer::Panel { link } if is_web_address(&link) => Ok(link),
        Answer::Refused(why) if why.iter().any(|why| why.to_string().starts_with("the question cannot be read")) => {
            Err(say!(
                "the gateway that runs is an older one, which knows no such link: upgrade it, or start it anew",
                "正在运行的网关版本较旧，不支持登录链接：请升级它，或重新启动"
            ))
        }
        Answer::Refused(why) => Err(joined(&why, "\n")),
        _ => Err(say!("the gateway gave another answer than a link", "网关的回答不是登录链接")),
    }
}

fn is_web_address(link: &str) -> bool {
    let is_web = link.starts_with("http://") || link.starts_with("https://");
    is_web && link.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{TlsListener, load};

    fn link_of(settings: &[(&str, &str)], tls: Option<&str>, is_on_gateway_port: bool) -> String {
        let env = |name: &str| settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let arguments = Arguments { file: Some("/dev/null".to_owned()), ..Arguments::default() };
        let mut startup = load(&arguments, &env).expect("a valid configuration").startup;
        startup.tls = tls.map(|listen| TlsListener {
            listen: listen.parse().expect("an address"),
            cert: String::new(),
            key: String::new(),
            ends: None,
        });
        link(&startup, is_on_gateway_port, "a/b")
    }

    #[test]
    fn a_link_leads_to_where_the_panel_listens() {
        for (listen, tls, origin) in [
            ("127.0.0.1:8088", None, "http://127.0.0.1:8088"),
            ("0.0.0.0:9000", None, "http://127.0.0.1:9000"),
            ("[::]:9000", None, "http://[::1]:9000"),
            ("192.0.2.1:80", None, "http://192.0.2.1:80"),
            ("127.0.0.1:8088", Some("0.0.0.0:8443"), "http://127.0.0.1:8088"),
            ("192.0.2.1:80", Some("192.0.2.1:443"), "https://192.0.2.1:443"),
        ] {
            assert_eq!(link_of(&[("LISTEN", listen)], tls, true), format!("{origin}/admin#key=a%2Fb"));
        }
        assert_eq!(link_of(&[], None, false), "http://127.0.0.1:9188/admin#key=a%2Fb");
    }

    #[test]
    fn the_command_for_another_link_is_the_one_that_started_the_gateway() {
        let env = |name: &str| (name == "GATEWAY_RUNTIME_DIR").then(|| "/tmp/my run".to_owned());
        let arguments = |file: Option<&str>| Arguments { file: file.map(str::to_owned), ..Arguments::default() };
        let program = quoted(&std::env::args().next().expect("a program"));
        let variables = ["GATEWAY_CONFIG", "GATEWAY_RUNTIME_DIR"];
        assert_eq!(command(&arguments(None), &[], &env, None), format!("{program} panel"));
        assert_eq!(
            command(&arguments(Some("it's.yaml")), &variables, &env, None),
            format!(r"GATEWAY_RUNTIME_DIR='/tmp/my run' {program} -c 'it'\''s.yaml' panel")
        );
    }

    #[test]
    fn in_a_container_of_docker_the_command_is_one_for_its_host() {
        let env = |_: &str| None;
        let program = quoted(&std::env::args().next().expect("a program"));
        let named = container(true, Some("4bd1c0ffee12"));
        assert_eq!(
            command(&Arguments::default(), &["GATEWAY_CONFIG"], &env, named),
            format!("docker exec 4bd1c0ffee12 {program} panel")
        );
        for (is_docker, host) in [(false, Some("4bd1c0ffee12")), (true, Some("my-gateway")), (true, None)] {
            assert_eq!(container(is_docker, host), None, "{host:?}");
        }
    }

    #[test]
    fn who_comes_over_ssh_is_told_of_the_tunnel() {
        let advice = |link: &str, ssh: Option<&str>| advice(link, ssh, Some("me"));
        let told = advice("http://127.0.0.1:8088/admin#key=x", Some("203.0.113.9 50000 192.0.2.7 22")).expect("advice");
        assert!(told.ends_with("\n  ssh -L 8088:127.0.0.1:8088 me@192.0.2.7"), "{told}");
        assert!(!told.contains("key=x"));
        let told =
            advice("http://127.0.0.1:8088/admin#key=x", Some("203.0.113.9 50000 192.0.2.7 2222")).expect("advice");
        assert!(told.ends_with("ssh -L 8088:127.0.0.1:8088 -p 2222 me@192.0.2.7"), "{told}");
        assert_eq!(advice("http://127.0.0.1:8088/admin#key=x", None), None);
        assert_eq!(advice("http://192.0.2.7:8088/admin#key=x", Some("203.0.113.9 50000 192.0.2.7 22")), None);
    }
}
