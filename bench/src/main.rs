//! Measures the gateway beside a bare Pingora proxy and nginx, in one run: CPU per request, latency, memory per stream.
mod bodies;
mod cli;
mod compare;
mod contestants;
mod document;
mod haproxy;
mod language;
mod load;
mod memory;
mod nginx;
mod origin;
mod places;
mod process;
mod reply;
mod report;
mod scale;
mod scenarios;
mod seed;
mod stats;
mod stream;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use cli::{Cli, Command, HoldOptions, Options};
use contestants::{Contestant, Running, Setting};
use document::Conditions;
use language::Language;
use memory::Amount;
use origin::Origin;
use places::{PROXY_CORE, binaries, pin, project};
use report::Results;
use scenarios::Scenario;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MEMORY: &str = "memory";
const FULL: Amount = Amount { streams: 2_000, churn: 20_000, settle: Duration::from_millis(1_500) };
const QUICK: Amount = Amount { streams: 300, churn: 500, settle: Duration::from_millis(200) };

fn main() -> Result<()> {
    let cli = Cli::parse();
    rlimit::increase_nofile_limit(50_000)?;
    let work = async {
        match &cli.command {
            Command::Run(options) => run(options).await,
            Command::Hold(options) => hold(options).await,
            Command::Compare(options) => compare::compare(options).await,
            Command::Scale => scale::run().await,
        }
    };
    if let Command::Run(Options { no_build: false, .. }) = cli.command {
        build()?;
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

async fn run(options: &Options) -> Result<()> {
    let folder = project();
    let pinned = pin();
    let setting = Setting { work_stealing: options.work_stealing, cores: pinned.then_some(PROXY_CORE), threads: 1 };
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 9 });
    let wanted = |list: &[String], name: &str| list.is_empty() || list.iter().any(|wanted| wanted == name);

    let mut contestants = Contestant::all(&folder, &binaries()?, |name| wanted(&options.contestant, name))?;
    for gateway in &options.gateways {
        let (name, path) = gateway.split_once('=').context("--gateway takes NAME=PATH")?;
        contestants.push(Contestant::gateway(name, std::path::absolute(path)?));
    }
    let loads = scenarios::all(&folder.join("tests/fixtures"), options.quick)?;
    let (loads, rest): (Vec<Scenario>, Vec<Scenario>) =
        loads.into_iter().partition(|load| wanted(&options.scenario, load.name));
    let origin = Origin::start().await?;
    let mut results = Results {
        contestants: contestants.iter().map(|c| c.name.clone()).collect(),
        scenarios: loads.iter().map(|load| load.name.to_string()).collect(),
        turns: Vec::new(),
        memory: Vec::new(),
        amount: if options.quick { QUICK } else { FULL },
    };

    if !loads.is_empty() {
        rounds_of(&mut results, &contestants, setting, &origin, &loads, rounds).await?;
    }
    if wanted(&options.scenario, MEMORY) {
        let load = loads.iter().chain(&rest).find(|load| load.name == "54kb").context("no 54kb load")?;
        for _ in 0..options.rounds.unwrap_or(3).min(if options.quick { 1 } else { 3 }) {
            // Who takes so much longer does not get through the requests that come and go first.
            for contestant in contestants.iter().filter(|contestant| contestant.slowness() == 1) {
                let (fresh, churned) = memory::measure(contestant, setting, &origin, load, results.amount).await?;
                let kb = [fresh, churned].map(|resident| stats::short(resident.per_stream(results.amount.streams)));
                eprintln!("memory: {}: {} kB per stream, {} after churn", contestant.name, kb[0], kb[1]);
                results.memory.push((contestant.name.clone(), fresh, churned));
            }
        }
    }

    let conditions = Conditions { rounds, pinned, work_stealing: options.work_stealing };
    let text = |language| document::generated(&results, &loads, &conditions, language);
    println!("{}", text(Language::English));
    if !options.quick && options.scenario.is_empty() && options.contestant.is_empty() && options.gateways.is_empty() {
        for language in [Language::English, Language::Chinese] {
            document::write(&folder.join(language.page()), &text(language))?;
            eprintln!("written: {}", language.page());
        }
        let missed = results.missed();
        ensure!(missed == 0, "{missed} goals were missed");
    }
    Ok(())
}

async fn rounds_of(
    results: &mut Results,
    contestants: &[Contestant],
    setting: Setting,
    origin: &Arc<Origin>,
    loads: &[Scenario],
    rounds: usize,
) -> Result<()> {
    let mut running: Vec<Running> = Vec::new();
    for contestant in contestants {
        running.push(contestant.start(origin.address, setting).await?);
    }
    for round in 0..rounds {
        for load in loads {
            for one in &running {
                let turn = load.turn(origin, one).await?;
                let (cpu, name) = (stats::short(turn.cpu_us), &one.contestant.name);
                eprintln!("round {} of {rounds}: {}, {name}: {cpu} µs CPU", round + 1, load.name);
                results.turns.push((one.contestant.name.clone(), load.name.to_string(), round, turn));
            }
        }
    }
    Ok(())
}

/// Keeps one contestant busy and says which process to look at.
async fn hold(options: &HoldOptions) -> Result<()> {
    let setting = Setting { work_stealing: options.work_stealing, cores: pin().then_some(PROXY_CORE), threads: 1 };
    let mut contestants = Contestant::all(&project(), &binaries()?, |name| name == options.contestant)?;
    if let Some(binary) = &options.binary {
        contestants = vec![Contestant::gateway(&options.contestant, std::path::absolute(binary)?)];
    }
    let contestant = contestants.iter().find(|c| c.name == options.contestant).context("no such contestant")?;
    let loads = scenarios::all(&project().join("tests/fixtures"), false)?;
    let load = loads.iter().find(|load| load.name == options.scenario).context("no such scenario")?;
    let origin = Origin::start().await?;
    let running = contestant.start(origin.address, setting).await?;
    println!("pid {}", running.pid());
    let until = Instant::now() + Duration::from_secs(options.seconds);
    while Instant::now() < until {
        let turn = load.turn(&origin, &running).await?;
        println!("{} µs CPU, {} per second", stats::short(turn.cpu_us), stats::short(turn.rate));
    }
    Ok(())
}

/// Builds what is measured, in release mode.
fn build() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "--package", "anyrouter-gateway", "--package", "bench"];
    let status = std::process::Command::new(cargo)
        .args(arguments)
        .args(["--bin", "anyrouter-gateway", "--bin", "bare-pingora"])
        .current_dir(project())
        .status()?;
    ensure!(status.success(), "the build failed");
    Ok(())
}
