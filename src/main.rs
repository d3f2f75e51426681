//! Command line -> configuration -> server.

use anyrouter_gateway::cli::{self, Cli, Command};
use anyrouter_gateway::config::{self, problem::Problems};
use anyrouter_gateway::{log_output, server};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let loaded = match config::load(&cli.arguments(), &|name| std::env::var(name).ok()) {
        Ok(loaded) => loaded,
        Err(problems) => return refuse(&problems),
    };
    if let Some(Command::Check) = cli.command {
        print!("{}", cli::report(&loaded));
        return ExitCode::SUCCESS;
    }
    let flush = match log_output::init(loaded.startup.log_format, loaded.startup.debug) {
        Ok(flush) => flush,
        Err(error) => {
            eprintln!("error: the log cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let served = server::run(loaded, cli.upgrade);
    drop(flush);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn refuse(problems: &Problems) -> ExitCode {
    for problem in &problems.0 {
        eprintln!("error: {problem}");
    }
    let count = problems.0.len();
    eprintln!("{count} {} in the configuration; nothing was started", if count == 1 { "error" } else { "errors" });
    ExitCode::FAILURE
}
