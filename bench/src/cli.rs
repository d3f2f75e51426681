//! The command line.
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Measures the gateway beside a bare Pingora proxy and nginx.
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the scenarios and print the tables; a whole, full run also writes docs/benchmarks.md, and fails where a goal is missed
    Run(Options),
    /// Start one contestant before the origin and put one scenario on it for a while, for a profiler to look at
    Hold(HoldOptions),
    /// Compare the CPU time of the gateway in target/release with an earlier build's, and fail if it is slower
    Compare(CompareOptions),
    /// Idle connections and slow streams by the thousand, with one worker thread and with two; takes the binaries as they are
    Scale,
}

/// Options of `compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareOptions {
    /// The earlier build's binary
    pub before: PathBuf,
    /// Rounds of each load, with both builds in turn; at least 3
    #[arg(long, default_value_t = 5, value_parser = at_least_three)]
    pub rounds: usize,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Few requests, one round: does everything work?
    #[arg(long)]
    pub quick: bool,
    /// Only these scenarios (comma-separated; get, 2kb, 54kb, 107kb, 1mb, 4mb, sse, sse-whole, sse-paced, memory)
    #[arg(long, value_delimiter = ',')]
    pub scenario: Vec<String>,
    /// Only these contestants (comma-separated)
    #[arg(long, value_delimiter = ',')]
    pub contestant: Vec<String>,
    /// Rounds, each with every contestant once per scenario
    #[arg(long)]
    pub rounds: Option<usize>,
    /// One more gateway to measure, with everything on, as NAME=PATH of its binary; may be repeated
    #[arg(long = "gateway", value_name = "NAME=PATH")]
    pub gateways: Vec<String>,
    /// Pingora's work_stealing, for the gateway and the bare proxy alike
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set)]
    pub work_stealing: bool,
    /// Take the binaries as they are
    #[arg(long)]
    pub no_build: bool,
}

/// Options of `hold`.
#[derive(Debug, Args)]
pub(crate) struct HoldOptions {
    /// The contestant
    pub contestant: String,
    /// The scenario
    pub scenario: String,
    /// For how long, seconds
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Another gateway binary than target/release/anyrouter-gateway
    #[arg(long)]
    pub binary: Option<PathBuf>,
    /// Pingora's work_stealing
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set)]
    pub work_stealing: bool,
}

/// Fewer say nothing of how figures vary.
fn at_least_three(text: &str) -> Result<usize, String> {
    let rounds: usize = text.parse().map_err(|_| "not a number")?;
    if rounds < 3 { Err("at least 3".to_owned()) } else { Ok(rounds) }
}
