//! What is sent, and one turn of one contestant.
use crate::bodies::{self, Body};
use crate::contestants::{Effect, Running};
use crate::language::Language;
use crate::load::{self, Job, Seen};
use crate::origin::{Answer, Check, JSON, Origin, Pace, Plan};
use crate::process;
use crate::stats::percentile;
use crate::stream::EVENTS;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How the origin answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A small JSON document.
    Json,
    /// 2,000 events, as fast as they go.
    Burst,
    /// 2,000 events in one piece.
    Whole,
    /// 2,000 events, each sent when the one before has arrived.
    Paced,
}

/// One load.
pub(crate) struct Scenario {
    /// Its name on the command line and in the tables.
    pub name: &'static str,
    /// How it is answered.
    pub kind: Kind,
    head: String,
    body: Option<Arc<Body>>,
    connections: usize,
    requests: usize,
}

/// What one turn gave.
pub(crate) struct Turn {
    /// CPU time of the proxy process per request (per event in the SSE scenarios), microseconds.
    pub cpu_us: f64,
    /// The same by the names of its threads.
    pub threads_us: BTreeMap<String, f64>,
    /// Requests (events) per second.
    pub rate: f64,
    /// Median and 99th percentile of the latency under this load, microseconds.
    pub loaded_us: (f64, f64),
    /// The same with one connection and nothing else to do.
    pub alone_us: (f64, f64),
}

/// All loads, from the fixtures in `folder`; `quick` takes a fiftieth of the requests.
pub(crate) fn all(folder: &Path, quick: bool) -> Result<Vec<Scenario>> {
    let (small_head, small) = bodies::fixture(folder, "cli-2.1.197-title")?;
    let (head, turn) = bodies::fixture(folder, "sdk-cli-2.1.330-turn1")?;
    let (large_head, large) = bodies::fixture(folder, "cli-2.1.197-turn1")?;
    let megabyte = Arc::new(turn.grown_to(1_000_000)?);
    let four_megabytes = Arc::new(turn.grown_to(4_000_000)?);
    let turn = Arc::new(turn);
    let get = bodies::get_head(&head, "/v1/models?limit=1000");
    let load = |name, kind, head: &str, body: Option<&Arc<Body>>, connections, requests: usize| Scenario {
        name,
        kind,
        head: head.to_string(),
        body: body.cloned(),
        connections,
        requests: if quick { (requests / 50).max(connections) } else { requests },
    };
    Ok(vec![
        load("get", Kind::Json, &get, None, 16, 20_000),
        load("2kb", Kind::Json, &small_head, Some(&Arc::new(small)), 16, 15_000),
        load("54kb", Kind::Json, &head, Some(&turn), 16, 8_000),
        load("107kb", Kind::Json, &large_head, Some(&Arc::new(large)), 16, 5_000),
        load("1mb", Kind::Json, &head, Some(&megabyte), 4, 600),
        load("4mb", Kind::Json, &head, Some(&four_megabytes), 4, 150),
        load("sse", Kind::Burst, &head, Some(&turn), 8, 40),
        load("sse-whole", Kind::Whole, &head, Some(&turn), 8, 2_000),
        load("sse-paced", Kind::Paced, &head, Some(&turn), 1, 10),
    ])
}

impl Scenario {
    /// Bytes of the request body.
    pub(crate) fn body_bytes(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.original.len())
    }

    /// What the report says about it.
    pub(crate) fn describe(&self, language: Language) -> String {
        let sent = match self.body_bytes() {
            0 => "GET".to_string(),
            bytes => language.pick(format!("POST of {bytes} bytes"), format!("{bytes} 字节的 POST")),
        };
        let answer = match self.kind {
            Kind::Json => String::new(),
            Kind::Burst => language.pick(
                format!(", answered by {EVENTS} events, each in a write of its own, as fast as they go"),
                format!("，以 {EVENTS} 个事件响应，每个事件单独写出，越快越好"),
            ),
            Kind::Whole => language.pick(
                format!(", answered by {EVENTS} events in one piece"),
                format!("，以连成一片的 {EVENTS} 个事件响应"),
            ),
            Kind::Paced => language.pick(
                format!(", answered by {EVENTS} events, each sent when the one before has reached the client"),
                format!("，以 {EVENTS} 个事件响应，前一个到达客户端之后才发下一个"),
            ),
        };
        let what = match self.kind {
            Kind::Json => language.pick("requests", "个请求"),
            Kind::Burst | Kind::Whole | Kind::Paced => language.pick("streams", "个流"),
        };
        let Self { requests, connections, .. } = self;
        language.pick(
            format!("{sent}{answer}; {requests} {what} on {connections} connections a turn"),
            format!("{sent}{answer}；每轮 {requests} {what}，{connections} 条连接"),
        )
    }

    /// One request of this load, as client and origin should see it pass through `running`.
    pub(crate) fn job(&self, origin: &Origin, running: &Running) -> (Job, Check) {
        let original = self.body.as_ref().map_or(&[][..], |body| &body.original);
        let check = match (&self.body, running.contestant.effect()) {
            (None, _) => Check::Nothing,
            (Some(body), Effect::Untouched) => Check::Exactly(body.original.as_slice().into()),
            (Some(body), Effect::Spliced) => Check::Exactly(body.rewritten.as_slice().into()),
            (Some(_), Effect::Reserialised) => Check::Holds,
        };
        let reply = match self.kind {
            Kind::Json => JSON.as_bytes().into(),
            Kind::Burst | Kind::Whole | Kind::Paced => Arc::clone(&origin.events().payload),
        };
        let request = bodies::request(&self.head, &running.address.to_string(), original).into();
        let connections = self.connections;
        let requests = (self.requests / running.contestant.slowness()).max(connections);
        (Job { address: running.address, request, reply, connections, requests }, check)
    }

    /// Lets `running` carry this load once; an error if anything arrived otherwise than it must.
    pub(crate) async fn turn(&self, origin: &Origin, running: &Running) -> Result<Turn> {
        let (job, check) = self.job(origin, running);
        let warm_up = Job { requests: (job.requests / 20).max(job.connections), ..job.clone() };
        let alone = Job { requests: (job.requests / 20).max(1), connections: 1, ..job.clone() };
        let run = async {
            self.send(origin, &warm_up, &check).await?;
            let before = (process::cpu(running.pid())?, process::cpu_by_thread(running.pid()));
            let loaded = self.send(origin, &job, &check).await?;
            let after = (process::cpu(running.pid())?, process::cpu_by_thread(running.pid()));
            let alone = self.send(origin, &alone, &check).await?;
            anyhow::Ok((before, after, loaded, alone))
        };
        let (before, after, loaded, alone) = run
            .await
            .with_context(|| format!("{} with {}: {}", running.contestant.name, self.name, running.output()))?;
        let units = if self.kind == Kind::Json { job.requests } else { job.requests * EVENTS } as f64;
        let latency = |seen: &Seen| (percentile(&seen.latencies_us, 0.5), percentile(&seen.latencies_us, 0.99));
        let each = |time: Duration| time.as_secs_f64() * 1e6 / units;
        let threads = after.1.into_iter().map(|(name, time)| {
            let since = before.1.get(&name).copied().unwrap_or_default();
            (name, each(time.saturating_sub(since)))
        });
        Ok(Turn {
            cpu_us: each(after.0 - before.0),
            threads_us: threads.collect(),
            rate: units / loaded.elapsed.as_secs_f64(),
            loaded_us: latency(&loaded),
            alone_us: latency(&alone),
        })
    }

    async fn send(&self, origin: &Origin, job: &Job, check: &Check) -> Result<Seen> {
        let check = check.clone();
        let seen = match self.kind {
            Kind::Json => carry(origin, job, Plan { check, answer: Answer::Json }).await?,
            Kind::Burst => carry(origin, job, Plan { check, answer: Answer::Burst }).await?,
            Kind::Whole => carry(origin, job, Plan { check, answer: Answer::Whole }).await?,
            Kind::Paced => {
                let pace = Arc::new(Pace { permits: Semaphore::new(0), sent: Mutex::new(Instant::now()) });
                origin.expect(Plan { check, answer: Answer::Paced(Arc::clone(&pace)) });
                load::paced(job, &origin.events().ends, &pace).await?
            }
        };
        all_right(origin, job.requests)?;
        Ok(seen)
    }
}

async fn carry(origin: &Origin, job: &Job, plan: Plan) -> Result<Seen> {
    origin.expect(plan);
    load::run(job).await
}

/// An error unless the origin got exactly `requests` requests, all of them right.
pub(crate) fn all_right(origin: &Origin, requests: usize) -> Result<()> {
    match origin.counted() {
        (seen, 0, _) if seen == requests as u64 => Ok(()),
        (seen, 0, _) => bail!("the origin saw {seen} requests instead of {requests}"),
        (_, wrong, first) => bail!("{wrong} of {requests} requests arrived wrong: {}", first.unwrap_or_default()),
    }
}
