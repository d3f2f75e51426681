//! The road from the gateway to a relay: a proxy that passes on what comes, and that a wave can break or freeze.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use harness::Port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::plan::{UPSTREAMS, mixed};

/// What becomes of what is on the road.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It arrives.
    Open,
    /// Connections are reset, and none is taken: the relay has died.
    Broken,
    /// Connections stay, and are opened, but nothing arrives until it thaws: as if packets were lost on their way.
    Frozen,
}

/// A time in which a road is not open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spell {
    pub(crate) upstream: usize,
    pub(crate) state: State,
    /// From the beginning of the wave.
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

/// The spells of a wave that asks for so long: always the same of the same seed. Every other wave has some, and one road is
/// open at any time.
pub(crate) fn spells(seed: u64, wave: Duration) -> Vec<Spell> {
    let mut rng = Rng::with_seed(mixed(seed ^ 0x0067_616c_6f70));
    let count = [0, 0, 1, 2][rng.usize(..4)];
    let first = rng.usize(..UPSTREAMS.len());
    (0..count)
        .map(|at| {
            let state = if rng.bool() { State::Broken } else { State::Frozen };
            // Frozen for shorter and for longer than the time-outs are.
            let most = if state == State::Frozen { 0.8 } else { 0.4 };
            let from = wave.mul_f64(0.5 * rng.f64());
            let to = from + wave.mul_f64(0.02 + most * rng.f64());
            Spell { upstream: (first + at) % UPSTREAMS.len(), state, from, to: to.min(wave) }
        })
        .collect()
}

/// A road.
pub(crate) struct Road {
    port: Port,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Road {
    /// An open one that leads to this address.
    pub(crate) fn to(relay: SocketAddr) -> Self {
        let (port, (state, seen)) = (Port::free(), watch::channel(State::Open));
        let task = tokio::spawn(keep(port.addr(), relay, seen));
        Self { port, state, task }
    }

    /// Where it begins.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.port.addr())
    }

    pub(crate) fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

impl Drop for Road {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(address: SocketAddr, relay: SocketAddr, mut state: watch::Receiver<State>) {
    loop {
        if state.wait_for(|&now| now != State::Broken).await.is_err() {
            return;
        }
        let listener = TcpListener::bind(address).await.expect("a reserved port");
        loop {
            tokio::select! {
                accepted = listener.accept(), if *state.borrow() == State::Open => {
                    if let Ok((stream, _)) = accepted {
                        tokio::spawn(pass(stream, relay, state.clone()));
                    }
                }
                changed = state.changed() => match changed {
                    Ok(()) if *state.borrow() != State::Broken => {}
                    Ok(()) => break,
                    Err(_) => return,
                },
            }
        }
    }
}

/// Passes on in both directions, and how each of them ends.
async fn pass(mut gateway: TcpStream, relay: SocketAddr, mut state: watch::Receiver<State>) {
    let Ok(mut relay) = TcpStream::connect(relay).await else { return reset(&gateway) };
    let _ = (gateway.set_nodelay(true), relay.set_nodelay(true));
    let mut broken = state.clone();
    let is_over = {
        let (asks, mut answered) = gateway.split();
        let (answers, mut asked) = relay.split();
        let (there, back) = (state.clone(), &mut state);
        tokio::select! {
            ended = async { tokio::try_join!(one_way(asks, &mut asked, there), one_way(answers, &mut answered, back.clone())) } => ended.is_ok(),
            _ = broken.wait_for(|&now| now == State::Broken) => false,
        }
    };
    if !is_over {
        reset(&gateway);
        reset(&relay);
    }
}

async fn one_way(mut from: ReadHalf<'_>, to: &mut WriteHalf<'_>, mut state: watch::Receiver<State>) -> io::Result<()> {
    let mut piece = vec![0; 16 << 10];
    loop {
        let n = from.read(&mut piece).await?;
        if state.wait_for(|&now| now == State::Open).await.is_err() {
            return Ok(());
        }
        if n == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..n]).await?;
    }
}

/// Has the coming close be a reset.
fn reset(stream: &TcpStream) {
    #[allow(deprecated, reason = "zero never blocks; the replacement is younger than our minimum tokio")]
    let _ = stream.set_linger(Some(Duration::ZERO));
}

#[test]
fn spells_are_the_same_of_the_same_seed_and_one_road_stays_open() {
    let wave = Duration::from_secs(8);
    let mut kinds = Vec::new();
    for seed in 0..200 {
        let drawn = spells(seed, wave);
        assert_eq!(format!("{drawn:?}"), format!("{:?}", spells(seed, wave)));
        assert!(drawn.len() < UPSTREAMS.len() && drawn.iter().all(|spell| spell.from < spell.to && spell.to <= wave));
        assert!(drawn.len() < 2 || drawn[0].upstream != drawn[1].upstream);
        kinds.extend(drawn.iter().map(|spell| spell.state));
    }
    assert!([State::Broken, State::Frozen].iter().all(|kind| kinds.contains(kind)));
}
