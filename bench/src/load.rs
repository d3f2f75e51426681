//! The load client: a fixed number of connections that send a fixed number of requests, each as soon as the one before was answered.
use crate::origin::Pace;
use crate::reply::{Progress, Reply};
use anyhow::{Result, bail};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

const BUFFER_BYTES: usize = 64 * 1024;
/// No run may take longer.
const LIMIT: Duration = Duration::from_secs(120);

/// What to send, how often, and what must come back.
#[derive(Clone)]
pub(crate) struct Job {
    /// The contestant.
    pub address: SocketAddr,
    /// One whole request, head and body.
    pub request: Arc<[u8]>,
    /// The body of the reply that must come back.
    pub reply: Arc<[u8]>,
    /// Connections at the same time.
    pub connections: usize,
    /// Requests over all connections.
    pub requests: usize,
}

/// What was seen.
pub(crate) struct Seen {
    /// From the first request to the last reply.
    pub elapsed: Duration,
    /// Of each request, sorted, microseconds.
    pub latencies_us: Vec<f64>,
}

/// Runs `job`; an error if one reply is not what it must be.
pub(crate) async fn run(job: &Job) -> Result<Seen> {
    let left = Rc::new(Cell::new(job.requests));
    let latencies = Rc::new(RefCell::new(Vec::with_capacity(job.requests)));
    let tasks = LocalSet::new();
    let started = Instant::now();
    let handles: Vec<_> = (0..job.connections)
        .map(|_| tasks.spawn_local(connection(job.clone(), Rc::clone(&left), Rc::clone(&latencies))))
        .collect();
    if tokio::time::timeout(LIMIT, tasks).await.is_err() {
        bail!("not done after {LIMIT:?}: {} of {} requests answered", latencies.borrow().len(), job.requests);
    }
    for handle in handles {
        handle.await??;
    }
    let mut latencies_us = latencies.take();
    latencies_us.sort_by(f64::total_cmp);
    Ok(Seen { elapsed: started.elapsed(), latencies_us })
}

async fn connection(job: Job, left: Rc<Cell<usize>>, latencies: Rc<RefCell<Vec<f64>>>) -> Result<()> {
    let mut socket = connect(job.address).await?;
    let mut buffer = vec![0; BUFFER_BYTES];
    while left.get() > 0 {
        left.set(left.get() - 1);
        let sent = Instant::now();
        socket.write_all(&job.request).await?;
        let mut reply = Reply::new(&job.reply);
        while read(&mut socket, &mut buffer, &mut reply).await? == Progress::Open {}
        latencies.borrow_mut().push(sent.elapsed().as_secs_f64() * 1e6);
    }
    Ok(())
}

/// One stream whose next event is sent only when the one before has arrived; the latencies are those of the events.
pub(crate) async fn paced(job: &Job, ends: &[usize], pace: &Pace) -> Result<Seen> {
    let follow = async {
        let mut socket = connect(job.address).await?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut latencies_us = Vec::with_capacity(ends.len() * job.requests);
        let started = Instant::now();
        for _ in 0..job.requests {
            let mut reply = Reply::new(&job.reply);
            let mut arrived = 0;
            pace.permits.add_permits(1);
            socket.write_all(&job.request).await?;
            loop {
                let progress = read(&mut socket, &mut buffer, &mut reply).await?;
                if arrived < ends.len() && reply.received() >= ends[arrived] {
                    let sent = *pace.sent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    latencies_us.push(sent.elapsed().as_secs_f64() * 1e6);
                    arrived += 1;
                    if arrived < ends.len() {
                        pace.permits.add_permits(1);
                    }
                }
                if progress == Progress::Complete {
                    break;
                }
            }
        }
        latencies_us.sort_by(f64::total_cmp);
        anyhow::Ok(Seen { elapsed: started.elapsed(), latencies_us })
    };
    match tokio::time::timeout(LIMIT, follow).await {
        Ok(seen) => seen,
        Err(_) => bail!("an event did not arrive: the stream is buffered on the way"),
    }
}

/// Opens `count` streams, `parallel` at a time, and returns them once the first event has come on each.
pub(crate) async fn open_streams(job: &Job, count: usize, parallel: usize) -> Result<Vec<TcpStream>> {
    let left = Rc::new(Cell::new(count));
    let opened = Rc::new(RefCell::new(Vec::with_capacity(count)));
    let tasks = LocalSet::new();
    let handles: Vec<_> = (0..parallel)
        .map(|_| {
            let (job, left, opened) = (job.clone(), Rc::clone(&left), Rc::clone(&opened));
            tasks.spawn_local(async move {
                let mut buffer = vec![0; BUFFER_BYTES];
                while left.get() > 0 {
                    left.set(left.get() - 1);
                    let mut socket = connect(job.address).await?;
                    socket.write_all(&job.request).await?;
                    let mut reply = Reply::new(&job.reply);
                    while reply.received() < job.reply.len() {
                        read(&mut socket, &mut buffer, &mut reply).await?;
                    }
                    opened.borrow_mut().push(socket);
                }
                anyhow::Ok(())
            })
        })
        .collect();
    if tokio::time::timeout(LIMIT, tasks).await.is_err() {
        bail!("only {} of {count} streams opened in {LIMIT:?}", opened.borrow().len());
    }
    for handle in handles {
        handle.await??;
    }
    Ok(opened.take())
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

async fn read(socket: &mut TcpStream, buffer: &mut [u8], reply: &mut Reply<'_>) -> Result<Progress> {
    let count = socket.read(buffer).await?;
    if count == 0 {
        bail!("the connection was closed before the reply was whole");
    }
    reply.push(&buffer[..count]).map_err(anyhow::Error::msg)
}
