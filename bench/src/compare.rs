//! Whether this build takes more CPU time than an earlier one, on this machine, in one run.
use crate::cli::CompareOptions;
use crate::contestants::{Contestant, Running, Setting};
use crate::origin::Origin;
use crate::places::{PROXY_CORE, binaries, pin, project};
use crate::scenarios::{self, Scenario};
use crate::stats::{Spread, is_beyond, short, spread};
use anyhow::{Result, bail};

/// Loads that are compared: what a day of Claude Code is made of.
const LOADS: [&str; 5] = ["get", "2kb", "54kb", "sse", "sse-whole"];
/// A busy moment of the machine's may look like a slow build, but hardly twice.
const ATTEMPTS: usize = 2;

/// Measures both, in turn; an error if this build is slower beyond twice what the earlier one's own figures differ by, and is
/// so again.
pub(crate) async fn compare(options: &CompareOptions) -> Result<()> {
    let setting = Setting { work_stealing: false, cores: pin().then_some(PROXY_CORE), threads: 1 };
    let loads = scenarios::all(&project().join("tests/fixtures"), false)?;
    let loads: Vec<Scenario> = loads.into_iter().filter(|load| LOADS.contains(&load.name)).collect();
    let origin = Origin::start().await?;
    let start = async |name, path| Contestant::gateway(name, path).start(origin.address, setting).await;
    let before = start("before", std::path::absolute(&options.before)?).await?;
    let now = start("now", binaries()?.join("anyrouter-gateway")).await?;
    let mut suspects: Vec<&Scenario> = loads.iter().collect();
    for attempt in 1..=ATTEMPTS {
        let mut slower = Vec::new();
        for load in suspects {
            let mut measured = [Vec::new(), Vec::new()];
            for round in 0..options.rounds {
                // Who is first differs from round to round.
                for which in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                    measured[which].push(cpu(load, &origin, [&before, &now][which]).await?);
                }
            }
            let [Some(before), Some(now)] = measured.map(spread) else { bail!("no rounds") };
            println!("{:<10} before {}   now {} µs CPU", load.name, shown(before), shown(now));
            if is_beyond(now, before) {
                slower.push(load);
            }
        }
        if slower.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = slower.iter().map(|load| load.name).collect();
        println!("slower in attempt {attempt} of {ATTEMPTS}: {}", names.join(", "));
        suspects = slower;
    }
    bail!("this build takes more CPU time than the one before");
}

async fn cpu(load: &Scenario, origin: &Origin, running: &Running) -> Result<f64> {
    Ok(load.turn(origin, running).await?.cpu_us)
}

fn shown(spread: Spread) -> String {
    format!("{} ({} to {})", short(spread.median), short(spread.min), short(spread.max))
}
