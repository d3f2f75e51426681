//! How the proxies grow: idle connections and slow streams by the thousand, with one worker thread and with two.
use crate::contestants::{BARE, Contestant, GATEWAY, Setting};
use crate::load::{self, Job};
use crate::memory::PARALLEL;
use crate::origin::{Answer, JSON, Origin, Plan};
use crate::places::{BOTH_CORES, PROXY_CORE, binaries, pin, project};
use crate::process::{cpu, rss_kb};
use crate::scenarios::{self, Scenario, all_right};
use crate::stats::{percentile, short};
use crate::stream::{sent_micros, since_start};
use anyhow::{Context, Result};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// Connections that have had one response each, and are idle.
const IDLE: usize = 10_000;
/// Streams that are open at one time, each with one event a second.
const STREAMS: [usize; 3] = [1_000, 2_500, 5_000];
/// For how long the events are watched.
const WATCHED: Duration = Duration::from_secs(15);
/// For the allocator to give back what it will give back, and for the streams to find their pace.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures the gateway with one worker thread and with two, and the bare proxy, and prints a table.
pub(crate) async fn run() -> Result<()> {
    let contestants = Contestant::all(&project(), &binaries()?, |name| [GATEWAY, BARE].contains(&name))?;
    let loads = scenarios::all(&project().join("tests/fixtures"), false)?;
    let load = |name| loads.iter().find(|load| load.name == name).context("no such load");
    let (get, post) = (load("get")?, load("54kb")?);
    let is_bound = pin();
    println!(
        "| | kB per idle connection | streams | kB per stream | CPU of one core | delay of an event, ms: median | p99 |"
    );
    println!("|---|---|---|---|---|---|---|");
    for contestant in &contestants {
        for threads in [1, 2] {
            if contestant.name == BARE && threads > 1 {
                continue;
            }
            // Two threads have both cores, and share one with the load.
            let cores = is_bound.then_some(if threads == 1 { PROXY_CORE } else { BOTH_CORES });
            let setting = Setting { work_stealing: false, cores, threads };
            let idle = idle(contestant, setting, get).await?;
            for streams in STREAMS {
                let Watched { per_stream_kb, cores, delays_us } = watch(contestant, setting, post, streams).await?;
                let [median, p99] = [0.5, 0.99].map(|share| short(percentile(&delays_us, share) / 1e3));
                let (name, share) = (&contestant.name, short(cores * 100.0));
                let (idle, kb) = (short(idle), short(per_stream_kb));
                println!("| `{name}`, {threads} | {idle} | {streams} | {kb} | {share} % | {median} | {p99} |");
            }
        }
    }
    Ok(())
}

/// Resident memory of one idle connection, kB.
async fn idle(contestant: &Contestant, setting: Setting, get: &Scenario) -> Result<f64> {
    let origin = Origin::start().await?;
    let running = contestant.start(origin.address, setting).await?;
    let (job, check) = get.job(&origin, &running);
    origin.expect(Plan { check, answer: Answer::Json });
    load::run(&Job { requests: 1, connections: 1, ..job.clone() }).await?;
    tokio::time::sleep(SETTLE).await;
    let before = rss_kb(running.pid())?;
    let open = load::open_streams(&job, IDLE, PARALLEL).await?;
    all_right(&origin, IDLE + 1)?;
    tokio::time::sleep(SETTLE).await;
    let after = rss_kb(running.pid())?;
    drop(open);
    Ok(after.saturating_sub(before) as f64 / IDLE as f64)
}

struct Watched {
    per_stream_kb: f64,
    /// CPU time per time.
    cores: f64,
    /// From the origin's write to the client's read, sorted.
    delays_us: Vec<f64>,
}

async fn watch(contestant: &Contestant, setting: Setting, post: &Scenario, streams: usize) -> Result<Watched> {
    let origin = Origin::start().await?;
    let running = contestant.start(origin.address, setting).await?;
    let (job, check) = post.job(&origin, &running);
    origin.expect(Plan { check: check.clone(), answer: Answer::Json });
    load::run(&Job { requests: 1, connections: 1, reply: JSON.as_bytes().into(), ..job.clone() }).await?;
    tokio::time::sleep(SETTLE).await;
    let before = rss_kb(running.pid())?;
    origin.expect(Plan { check, answer: Answer::EachSecond });
    let first = Job { reply: origin.events().first(), ..job };
    let open = load::open_streams(&first, streams, PARALLEL).await?;
    all_right(&origin, streams)?;
    let delays = Rc::new(RefCell::new(Vec::with_capacity(streams * WATCHED.as_secs() as usize)));
    let readers = LocalSet::new();
    for socket in open {
        readers.spawn_local(follow(socket, Rc::clone(&delays)));
    }
    let measured = readers.run_until(async {
        tokio::time::sleep(SETTLE).await;
        delays.borrow_mut().clear();
        let (began, used) = (Instant::now(), cpu(running.pid())?);
        tokio::time::sleep(WATCHED).await;
        let cores = (cpu(running.pid())? - used).as_secs_f64() / began.elapsed().as_secs_f64();
        anyhow::Ok((cores, rss_kb(running.pid())?))
    });
    let (cores, after) = measured.await?;
    let mut delays_us = delays.take();
    let seen = delays_us.len() as f64 / (streams as f64 * WATCHED.as_secs_f64());
    anyhow::ensure!(seen > 0.9, "only {seen:.2} of the events arrived in time: {}", running.output());
    delays_us.sort_by(f64::total_cmp);
    Ok(Watched { per_stream_kb: after.saturating_sub(before) as f64 / streams as f64, cores, delays_us })
}

/// Notes how old each event of a stream is when it arrives, until the stream ends.
async fn follow(mut socket: TcpStream, delays: Rc<RefCell<Vec<f64>>>) {
    let mut buffer = Vec::with_capacity(1024);
    while let Ok(1..) = socket.read_buf(&mut buffer).await {
        let now = since_start();
        while let Some((sent, end)) = sent_micros(&buffer) {
            delays.borrow_mut().push(now.saturating_sub(sent) as f64);
            buffer.drain(..end);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::stream::{event_now, sent_micros, since_start};

    #[test]
    fn an_event_says_when_it_was_sent() {
        let before = since_start();
        let event = event_now();
        let (sent, end) = sent_micros(&event).unwrap();
        assert!((before..=since_start()).contains(&sent));
        assert!(end <= event.len() && sent_micros(&event[end..]).is_none() && sent_micros(&event[..end - 1]).is_none());
    }
}
