//! The help texts in Chinese. The English ones are the comments in `cli.rs`, where clap takes them from.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Of a command, or of one of its arguments: `NAME`, or `NAME ARGUMENT`; the program's own have no name before them.
const HELP: &[(&str, &str)] = &[
    ("", "Claude Code 与 Anthropic 兼容中转站之间的可编程网关。"),
    (" config", "配置文件；不写则用 GATEWAY_CONFIG、conf/gateway.yaml 或内置默认配置"),
    (" listen", "网关的监听地址，主机:端口"),
    (" admin_listen", "管理服务的监听地址，主机:端口"),
    (" upgrade", "从正在运行的网关接管监听套接字"),
    ("check", "检查配置，显示生效的值及其来源"),
    ("check show_headers", "同时显示请求头文件中的值（可能是密钥）"),
    ("explain", "显示规则会怎样改动一个请求及其原因，但不发送它"),
    ("explain head", "请求行和请求头所在的文件；不写则按普通的 Messages 请求处理"),
    ("explain json", "以 JSON 输出"),
    ("explain show_values", "显示请求头的真实值（包括密钥），平时会打码"),
    (
        "explain response",
        "改为说明上游的某个响应由哪条错误规则处理、会怎样处理：文件中是状态行、响应头和正文，或只有正文",
    ),
    ("explain status", "该响应的状态码（文件中没有状态行时）"),
    ("explain upstream", "发出该响应的上游；不写则为第一个"),
    (
        "explain body",
        "请求体所在的文件，- 表示标准输入；不写则用保留了完整内容的最近一个请求（gateway.log.capture），否则用内置样例",
    ),
    ("doctor", "逐步检查每个上游，指出问题和解决办法，并给出 Claude Code 的设置"),
    ("doctor key_env", "用这个环境变量中的密钥检查没有 api_key 的上游"),
    ("doctor model", "还用每个密钥向这个模型（或最新的 sonnet、opus、haiku、fable）发一条消息，会产生少量费用"),
    ("doctor yes", "发送消息前不询问"),
    ("doctor settings", "给出客户端的全部设置：settings.json、VS Code 扩展、团队，以及各项的作用"),
    ("doctor json", "以 JSON 输出检查结果"),
    ("doctor lines", "比较各上游的多条线路（upstreams[].lines）"),
    ("try", "通过正在运行的网关发送一条简短的消息（密钥取自环境变量），并说明它走到了哪一步"),
    (
        "try model",
        "请求这个模型，或最新的 sonnet、opus、haiku、fable；不写则用 ANTHROPIC_MODEL，或网关列出的最新 Sonnet",
    ),
    ("try key_env", "密钥取自这个环境变量，而不是 ANTHROPIC_AUTH_TOKEN 或 ANTHROPIC_API_KEY"),
    ("prices", "显示模型的价格、生效日期及其来源"),
    ("prices model", "只显示这个模型（名称的各种写法均可）；没有价格时退出码为 1"),
    ("reload", "让正在运行的网关重新加载配置；被拒绝时说明哪里有误"),
    ("upgrade", "用本程序替换正在运行的网关，不丢失任何请求"),
    ("upgrade program", "改为启动这个程序，例如上一个正常的版本"),
    ("panel", "输出正在运行的网关的面板登录链接，可用一次"),
    ("panel open", "在浏览器中打开面板，不输出链接"),
    ("panel new_key", "先更换密钥：旧密钥和所有登录都会失效"),
    ("recost", "按当前价格重新计算过去请求的费用及其总计"),
    ("recost from", "从何时的请求开始：日期（2026-10-07，UTC）或时间（2026-10-07T08:00:00Z）"),
    ("recost to", "只到此时为止；不写则到最近的请求"),
    ("recost stop", "停止正在进行的计算；记录与总计始终一致"),
    ("user", "新建、列出、停用和恢复用户；网关为用户签发客户端令牌"),
    ("user create", "新建用户"),
    ("user create name", "用户名，规则和列表用它来识别用户"),
    ("user create email", "邮箱地址"),
    ("user create group", "所属的用户组"),
    ("user create role", "用户的令牌使用管理 API 的权限：member（只能看自己的）或 admin（全部）"),
    ("user list", "列出所有用户"),
    ("user suspend", "停用一个用户：其所有令牌都会被拒绝，直到恢复"),
    ("user suspend name", "用户名"),
    ("user resume", "恢复已停用的用户，其令牌重新可用"),
    ("user resume name", "用户名"),
    ("group", "新建和列出用户组"),
    ("group create", "新建用户组"),
    ("group create name", "用户组的名称，规则和列表用它来识别"),
    ("group create time_zone", "时区，例如 Asia/Shanghai；不填则用 team.time_zone"),
    ("group list", "列出所有用户组"),
    ("token", "签发、列出、查看、轮换和吊销客户端令牌"),
    ("token create", "签发令牌，令牌只显示这一次"),
    ("token create user", "令牌属于哪个用户"),
    ("token create name", "用来区分同一用户的多个令牌"),
    ("token create models", "可用的模型，可含 * 和 ?；可写多次，不写则不限"),
    ("token create upstreams", "可用的上游；可写多次，不写则不限"),
    ("token create addresses", "允许的来源地址或网段；可写多次，不写则不限"),
    ("token create expires", "何时到期：时长（30d）或日期（2027-01-31，UTC）"),
    ("token create limits", "令牌的限额，例如 usd:day:5；可写多次（参见 limit add）"),
    ("token list", "列出令牌（不含令牌本身）"),
    ("token list user", "只列出这个用户的令牌"),
    ("token show", "查看一个令牌（不含令牌本身）"),
    ("token show token", "令牌的 id，或 用户/名称"),
    ("token rotate", "换发令牌；旧令牌在一段时间内仍可使用"),
    ("token rotate token", "令牌的 id，或 用户/名称"),
    ("token rotate overlap", "旧令牌还可使用多久"),
    ("token revoke", "吊销令牌，立即生效，不可恢复"),
    ("token revoke token", "令牌的 id，或 用户/名称"),
    ("limit", "设置、列出和取消令牌、用户和用户组的限额"),
    ("limit add", "设置限额；计量项和时间窗口相同的旧限额会被取代"),
    ("limit add token", "令牌：id，或 用户/名称"),
    ("limit add user", "用户：其所有令牌合计"),
    ("limit add group", "用户组：其所有用户合计"),
    (
        "limit add limits",
        "计量项:时间窗口:数额，例如 usd:day:5；计量项有 usd、tokens、requests、sessions，时间窗口有 minute、5h、day、week、\
         month、total、now",
    ),
    ("limit list", "列出限额"),
    ("limit list token", "只列出这个令牌的：id，或 用户/名称"),
    ("limit list user", "只列出这个用户的"),
    ("limit list group", "只列出这个用户组的"),
    ("limit remove", "取消限额"),
    ("limit remove token", "令牌：id，或 用户/名称"),
    ("limit remove user", "用户：其所有令牌合计"),
    ("limit remove group", "用户组：其所有用户合计"),
    ("limit remove limits", "计量项:时间窗口，例如 usd:day"),
    ("usage", "查看限额的已用量、余量和重置时间"),
    ("usage token", "只看这个令牌的：id，或 用户/名称"),
    ("usage user", "只看这个用户的"),
    ("usage group", "只看这个用户组的"),
    ("install-service", "把当前目录的网关安装为 systemd 服务：程序、单元、设置和数据，并说明做了什么"),
    ("install-service dry_run", "只说明会做什么，不实际执行"),
    ("install-service force", "替换内容不同的文件；原文件保留在旁边，名称以 .old 结尾"),
    ("healthcheck", "询问正在运行的网关是否正常，用于容器的健康检查"),
    ("completions", "输出 shell 的补全脚本"),
    ("completions shell", "哪一种 shell"),
    ("man", "输出手册页"),
    ("note-environment", "为服务记下各变量所在的行：由它的 systemd 单元以 root 调用"),
    ("note-environment file", "环境变量文件"),
    ("help", "显示本帮助或某个命令的帮助"),
    ("help subcommand", "哪个命令"),
];

/// What is the same everywhere.
const EVERYWHERE: &[(&str, &str)] = &[("help", "显示帮助"), ("version", "显示版本"), ("json", "以 JSON 输出")];

/// The command line with its help in Chinese.
pub(super) fn of(mut command: Command) -> Command {
    // clap's own help and version are there afterwards.
    command.build();
    translated(command, "")
}

fn translated(command: Command, name: &str) -> Command {
    let command = match text(name).or_else(|| text(name.rsplit(' ').next().unwrap_or_default())) {
        Some(about) => command.about(about),
        None => command,
    };
    let command = command
        .help_template("{about-with-newline}\n用法: {usage}\n\n{all-args}")
        .subcommand_help_heading("命令")
        .subcommand_value_name("命令")
        .mut_args(|argument| {
            let id = argument.get_id().as_str();
            let help = text(&format!("{name} {id}")).or_else(|| text(&format!(" {id}"))).or_else(|| everywhere(id));
            let heading = if argument.is_positional() { "参数" } else { "选项" };
            let argument = argument.help_heading(heading);
            match help {
                Some(help) => argument.help(help).long_help(None::<&str>),
                None => argument,
            }
        });
    command.mut_subcommands(|subcommand| {
        // Below `help` the commands stand once more.
        let above = name.strip_suffix("help").unwrap_or(name).trim_end();
        let name = format!("{above} {}", subcommand.get_name());
        translated(subcommand, name.trim_start())
    })
}

/// What is wrong with a command line; `None` if it only asks for help, or is wrong in a way that is not known here.
pub(super) fn wrong(error: &clap::Error) -> Option<String> {
    let said = |kind| match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(list) => Some(list.join("、")),
        _ => None,
    };
    let argument = said(ContextKind::InvalidArg).unwrap_or_default();
    let value = said(ContextKind::InvalidValue).unwrap_or_default();
    let meant = said(ContextKind::SuggestedArg).or_else(|| said(ContextKind::SuggestedSubcommand));
    let meant = meant.map_or_else(String::new, |meant| format!("；是不是想写“{meant}”？"));
    let told = match error.kind() {
        ErrorKind::InvalidSubcommand => format!("没有“{}”这个命令{meant}", said(ContextKind::InvalidSubcommand)?),
        ErrorKind::UnknownArgument => format!("没有“{argument}”这个参数{meant}"),
        ErrorKind::MissingRequiredArgument => format!("缺少参数 {argument}"),
        ErrorKind::InvalidValue if value.is_empty() => format!("{argument} 缺少值"),
        ErrorKind::InvalidValue => {
            format!("{argument} 不能是“{value}”，可选的值：{}", said(ContextKind::ValidValue)?)
        }
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map_or_else(String::new, |why| format!("：{why}"));
            format!("{argument} 不能是“{value}”{why}")
        }
        ErrorKind::ArgumentConflict => format!("{argument} 不能与其他参数同时使用，或重复出现"),
        _ => return None,
    };
    Some(format!("错误：{told}\n\n用法见 --help"))
}

fn text(key: &str) -> Option<&'static str> {
    HELP.iter().find(|(known, _)| *known == key).map(|(_, text)| *text)
}

fn everywhere(id: &str) -> Option<&'static str> {
    EVERYWHERE.iter().find(|(known, _)| *known == id).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory as _;

    fn is_chinese(text: &str) -> bool {
        text.chars().any(|char| ('\u{4e00}'..='\u{9fff}').contains(&char))
    }

    #[test]
    fn every_command_and_argument_has_its_chinese() {
        let command = of(Cli::command());
        let commands = std::iter::once(&command).chain(command.get_subcommands().filter(|it| it.get_name() != "help"));
        let below =
            command.get_subcommands().flat_map(|one| one.get_subcommands()).filter(|it| it.get_name() != "help");
        let mut count = 0;
        for one in commands.chain(below) {
            let name = one.get_name();
            assert!(one.get_about().is_some_and(|about| is_chinese(&about.to_string())), "{name}: a line in HELP");
            for argument in one.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(is_chinese(&help), "{name} {}: a line in HELP", argument.get_id());
                count += 1;
            }
        }
        assert!(count > 20);
    }

    #[test]
    fn a_wrong_command_line_is_told_in_chinese() {
        for (arguments, wanted) in [
            (&["chek"][..], "没有“chek”这个命令；是不是想写“check”？"),
            (&["--lisen", "x"], "没有“--lisen”这个参数；是不是想写“--listen”？"),
            (&["prices", "a", "b"], "没有“b”这个参数"),
            (&["try", "--model"], "--model <NAME> 缺少值"),
            (&["completions"], "缺少参数 <SHELL>"),
            (&["completions", "dosh"], "<SHELL> 不能是“dosh”，可选的值：bash、"),
            (&["recost", "--from", "2026-99-01"], "--from <DATE> 不能是“2026-99-01”："),
            (&["check", "--show-headers", "--show-headers"], "--show-headers 不能与其他参数同时使用，或重复出现"),
        ] {
            let words = std::iter::once(&"anyrouter-gateway").chain(arguments);
            let error = of(Cli::command()).try_get_matches_from(words).expect_err("a wrong one");
            let told = wrong(&error).expect("known");
            assert!(told.starts_with(&format!("错误：{wanted}")), "{arguments:?}: {told}");
        }
        let help = of(Cli::command()).try_get_matches_from(["anyrouter-gateway", "--help"]).expect_err("help");
        assert_eq!(wrong(&help), None);
    }

    #[test]
    fn each_line_belongs_to_a_command_or_an_argument() {
        let mut command = Cli::command();
        command.build();
        for (key, _) in HELP {
            let mut words = key.split(' ').filter(|word| !word.is_empty()).peekable();
            let mut of = &command;
            while let Some(below) = words.peek().and_then(|word| of.find_subcommand(word)) {
                (of, _) = (below, words.next());
            }
            let is_there = |id: &str| id == "subcommand" || of.get_arguments().any(|known| known.get_id() == id);
            assert!(words.next().is_none_or(is_there) && words.next().is_none(), "{key}");
        }
    }
}
