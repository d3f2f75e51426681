//! What the program does with its command line: a command, or configuration -> server.

mod explain;
mod explain_error;
mod limits;
mod table;
mod team;

use crate::cli::{self, Cli, Command};
use crate::config::{self, Arguments, Loaded, Lookup, problem::Problems};
use crate::language::{self, say, told};
use crate::operate::{self, Looked};
use crate::team::Wish;
use crate::{doctor, install, listen, log_output, prices, server, tryout};
use gateway_core::both;
use gateway_core::language::Words;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

/// The whole program; how it ended.
pub fn run() -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    // Of the command line it is not known yet which file it names.
    language::speak(config::spoken(&config::Arguments::default(), &env));
    let cli = Cli::read(language::here());
    language::speak(config::spoken(&cli.arguments(), &env));
    // Whoever types a command for the service understands what it speaks.
    if cli.command.is_some() && language::known().is_none() {
        language::speak(operate::language_of_service());
    }
    let here = std::env::current_dir().unwrap_or_default();
    let looks = matches!(
        cli.command,
        Some(Command::Doctor(_) | Command::Try(_) | Command::Check(_) | Command::Explain(_) | Command::Prices(_))
    );
    let is_try = matches!(cli.command, Some(Command::Try(_)));
    let looked = if looks { operate::adopt(&cli.arguments(), is_try, &env) } else { Looked::default() };
    let adopted = looked.adopted.as_ref();
    let mut arguments = adopted.map_or_else(|| cli.arguments(), |adopted| adopted.arguments.clone());
    let own_env = env;
    let env = |name: &str| adopted.map_or_else(|| own_env(name), |adopted| adopted.variable(name, &own_env));
    if adopted.is_some() {
        language::speak(config::spoken(&arguments, &env));
    }
    if cli.command.is_none() {
        arguments.environment_file = operate::service_file::noted(&env);
    }
    if let Some(Command::Doctor(options)) = &cli.command {
        // The way to a relay that is not the one which is meant says nothing, and would be asked in vain.
        if let Some(doubt) = &looked.doubt {
            eprintln!("{}", say!("error: nothing was tried: {doubt}", "错误：没有做任何检查：{doubt}"));
            return ExitCode::FAILURE;
        }
        let addresses = |folder: &Path| match looked.runs {
            true => None,
            false => operate::running::addresses_at(folder),
        };
        return doctor::run(&arguments, options, &addresses, &env);
    }
    let ended = perform(&cli, arguments, &here, &env);
    // Beside the verdict, which may be a long way below what was looked at.
    if let Some(doubt) = &looked.doubt {
        eprintln!("{}", say!("note: {doubt}", "提示：{doubt}"));
    }
    ended
}

/// Does what the command line asks for.
fn perform(cli: &Cli, arguments: Arguments, here: &Path, env: Lookup<'_>) -> ExitCode {
    if let Some(Command::Try(options)) = &cli.command {
        return tryout::run(&arguments, options, env);
    }
    match &cli.command {
        Some(Command::Completions { shell }) => return print(&cli::completions(*shell)),
        Some(Command::NoteEnvironment { file }) => {
            let noted = operate::service_file::note(file, env);
            return finish_command(noted.map(|()| String::new()));
        }
        Some(Command::Man) => return print(&cli::manual().unwrap_or_default()),
        _ => {}
    }
    if let Some(command) = &cli.command
        && let Some(result) = to_the_running_one(cli, command)
    {
        return finish_command(result);
    }
    let loaded = match config::load(&arguments, env) {
        Ok(loaded) => loaded,
        Err(problems) => {
            if cli.upgrade {
                operate::upgrade::report_failure(&problems.words());
            }
            return refuse(&problems, cli.command.is_none());
        }
    };
    match &cli.command {
        None => serve(cli, loaded, arguments),
        Some(command) => look(command, loaded, here),
    }
}

/// Does what a command does with a configuration.
fn look(command: &Command, loaded: Loaded, here: &Path) -> ExitCode {
    match command {
        Command::Check(options) => {
            print!("{}", cli::report(&loaded, options));
            for warning in loaded.warnings.iter().chain(&loaded.next_start()) {
                warn(&warning.text(language::here()));
            }
            let (limits, open_files) = (&loaded.config.limits, listen::raise_descriptor_limit());
            if let Some(notice) = limits.fit(open_files).notice(open_files, limits.connections) {
                warn(&told(&notice));
            }
            ExitCode::SUCCESS
        }
        Command::Explain(options) => finish(explain::run(loaded, &options.below(here))),
        Command::Prices(options) => {
            for warning in &loaded.warnings {
                warn(&warning.text(language::here()));
            }
            let now = SystemTime::now();
            let shown = match &options.model {
                Some(model) => prices::of_model(&loaded.config, model, now),
                None => Ok(prices::all(&loaded.config, &loaded.path, now)),
            };
            match shown {
                Ok(text) => print(format!("{text}\n").as_bytes()),
                Err(error) => finish(Err(anyhow::Error::msg(error))),
            }
        }
        // None runs: the file is nobody else's.
        Command::User(_) | Command::Group(_) | Command::Token(_) | Command::Limit(_) | Command::Usage(_) => {
            let done = of_team(command).map(|(wish, is_json)| {
                server::team::here(&loaded, &wish).and_then(|told| team::print(&wish, told, is_json))
            });
            finish_command(done.unwrap_or_else(|| Ok(String::new())))
        }
        Command::Recost(options) => finish_command(options.wish().and_then(|wish| server::recost::here(&loaded, wish))),
        _ => ExitCode::SUCCESS,
    }
}

/// Serves until the end.
fn serve(cli: &Cli, loaded: Loaded, arguments: Arguments) -> ExitCode {
    let flush = match log_output::init(loaded.startup.log_format, loaded.startup.debug, loaded.startup.log_file.clone())
    {
        Ok(flush) => flush,
        Err(error) => {
            let message = both!("the log cannot be started: {error}", "无法写日志：{error}");
            if cli.upgrade {
                operate::upgrade::report_failure(&message);
            }
            return fail(&told(&message));
        }
    };
    let has_log_file = loaded.startup.log_file.is_some();
    let served = server::run(loaded, arguments, cli.upgrade);
    if let (Err(error), true) = (&served, has_log_file) {
        log::error!("{error:#}");
    }
    drop(flush);
    if let (Err(error), true) = (&served, cli.upgrade) {
        operate::upgrade::report_failure(&words_of(error));
    }
    finish(served)
}

/// What came of a command to the gateway that runs, if this is one. It needs no valid configuration: it is the running
/// gateway that says what is wrong with it.
fn to_the_running_one(cli: &Cli, command: &Command) -> Option<Result<String, String>> {
    let env = |name: &str| std::env::var(name).ok();
    // Only for those that need it: a configuration that comes through a pipe can be read once.
    let places = || config::locate(&cli.arguments(), &env);
    let folder = || operate::running::find(&places(), &env);
    match command {
        Command::Reload => Some(folder().and_then(|folder| operate::reload::run(&folder))),
        Command::Upgrade(options) => {
            Some(folder().and_then(|folder| operate::upgrade::run(&folder, options.program.as_deref())))
        }
        Command::Panel(options) => Some(
            folder().and_then(|folder| operate::panel::run(&folder, *options, &env)).map(Option::unwrap_or_default),
        ),
        Command::Recost(options) => {
            // Without a gateway it is done here, by the configuration of this folder.
            let places = places();
            if places.is_at_home && !operate::running::is_here(&places) {
                return None;
            }
            let asked =
                options.wish().and_then(|wish| operate::recost::run(&operate::running::find(&places, &env)?, wish));
            asked.transpose()
        }
        Command::User(_) | Command::Group(_) | Command::Token(_) | Command::Limit(_) | Command::Usage(_) => {
            let ((wish, is_json), places) = (of_team(command)?, places());
            if places.is_at_home && !operate::running::is_here(&places) {
                return None;
            }
            let found = operate::running::find(&places, &env);
            let told = found.and_then(|folder| operate::team::run(&folder, wish.clone()));
            Some(told.and_then(|told| team::print(&wish, told, is_json)).map(|text| operate::ask::printable(&text)))
        }
        Command::InstallService(options) => Some(install::run(&cli.arguments(), *options)),
        Command::Healthcheck => Some(operate::health::check(places().listen)),
        _ => None,
    }
}

/// What a command wishes of the team, if it does, and whether the answer is to be JSON.
fn of_team(command: &Command) -> Option<(Wish, bool)> {
    match command {
        Command::User(options) => Some((options.wish(), options.json)),
        Command::Group(options) => Some((options.wish(), options.json)),
        Command::Token(options) => Some((options.wish(), options.json)),
        Command::Limit(options) => Some((options.wish(), options.json)),
        Command::Usage(options) => Some((options.wish(), options.json)),
        _ => None,
    }
}

fn finish_command(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(text) => {
            if !text.is_empty() {
                println!("{text}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => error.lines().fold(ExitCode::FAILURE, |_, line| fail(line)),
    }
}

fn print(text: &[u8]) -> ExitCode {
    let written = std::io::stdout().write_all(text);
    finish(
        written.map_err(|error| {
            anyhow::Error::msg(both!("writing to standard output: {error}", "无法写到标准输出：{error}"))
        }),
    )
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&told(&words_of(&error))),
    }
}

/// What an error says: in both languages, if it has words in them.
fn words_of(error: &anyhow::Error) -> Words {
    error.downcast_ref::<Words>().cloned().unwrap_or_else(|| Words::said(format!("{error:#}")))
}

fn refuse(problems: &Problems, is_start: bool) -> ExitCode {
    for problem in &problems.0 {
        fail(&problem.text(language::here()));
    }
    let count = problems.0.len();
    let told = match (count, is_start) {
        (1, false) => say!("1 error in the configuration", "配置中有 1 处错误"),
        (1, true) => say!("1 error in the configuration; nothing was started", "配置中有 1 处错误，没有启动"),
        (_, false) => say!("{count} errors in the configuration", "配置中有 {count} 处错误"),
        (_, true) => {
            say!("{count} errors in the configuration; nothing was started", "配置中有 {count} 处错误，没有启动")
        }
    };
    eprintln!("{told}");
    ExitCode::FAILURE
}

fn warn(text: &str) {
    eprintln!("{}", say!("warning: {text}", "警告：{text}"));
}

fn fail(text: &str) -> ExitCode {
    eprintln!("{}", say!("error: {text}", "错误：{text}"));
    ExitCode::FAILURE
}
