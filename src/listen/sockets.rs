//! The listening sockets of this process, and whether connections are accepted from them.

use super::holder::how_to_see;
use gateway_core::both;
use gateway_core::language::Words;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// Most connections that wait in the kernel to be accepted; it takes at most `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// Whether connections are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepting {
    /// Not now: they wait in the kernel.
    Paused,
    /// As they come.
    On,
    /// Never again.
    Over,
}

/// The listening sockets by address, whoever bound them: this process, or the one before it.
#[derive(Debug)]
pub(crate) struct Sockets {
    listeners: Mutex<Vec<(SocketAddr, TcpListener)>>,
    accepting: watch::Sender<Accepting>,
    /// How many loops accept connections at the moment.
    loops: watch::Sender<usize>,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            listeners: Mutex::default(),
            accepting: watch::Sender::new(Accepting::Paused),
            loops: watch::Sender::new(0),
        }
    }
}

impl Sockets {
    /// Binds `address`, which `setting` names. Connections wait in the kernel from here on.
    ///
    /// # Errors
    /// Why that is not possible, and what to do.
    pub(crate) fn bind(&self, setting: &str, address: SocketAddr) -> Result<(), Words> {
        let bound = TcpListener::bind(address).and_then(|listener| {
            // The standard library's own backlog is short; Linux changes it when told again.
            rustix::net::listen(&listener, BACKLOG)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        match bound {
            Ok(listener) => {
                self.listeners().push((address, listener));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(both!(
                "{address} is in use by another program, or by a gateway that runs already (as a service: systemctl status \
                 anyrouter-gateway): stop that one, or choose another address with {setting}. Which program it is says: {see}",
                "{address} 已被其他程序占用，或已有网关在运行（以服务运行的，可用 systemctl status anyrouter-gateway 查看）：请先停止它，\
                 或用 {setting} 换一个地址。查看是哪个程序：{see}",
                see = how_to_see(address)
            )),
            Err(error) => Err(both!(
                "cannot listen on {address}: {error}; see {setting}",
                "无法监听 {address}：{error}；请检查 {setting}"
            )),
        }
    }

    /// Takes those of `inherited` that are wanted at `addresses`; the others are closed here.
    ///
    /// # Errors
    /// When one is missing, or cannot be used.
    pub(crate) fn adopt(&self, inherited: Vec<TcpListener>, addresses: &[SocketAddr]) -> Result<(), Words> {
        let mut found = Vec::new();
        for listener in inherited {
            let usable = listener.local_addr().and_then(|address| {
                listener.set_nonblocking(true)?;
                Ok((address, rustix::net::sockopt::socket_acceptconn(&listener)?))
            });
            match usable {
                Ok((address, true)) => found.push((address, listener)),
                Ok((address, false)) => {
                    return Err(both!("the socket of {address} takes no connections", "{address} 的套接字不接受连接"));
                }
                Err(error) => {
                    return Err(both!(
                        "a listening socket cannot be used: {error}",
                        "有一个监听套接字无法使用：{error}"
                    ));
                }
            }
        }
        for address in addresses {
            let at = found.iter().position(|(given, _)| given == address);
            let at = at.ok_or_else(|| {
                both!("the socket of {address} was not handed over", "没有得到 {address} 的监听套接字")
            })?;
            self.listeners().push(found.swap_remove(at));
        }
        Ok(())
    }

    /// Another handle of the socket at `address`.
    ///
    /// # Errors
    /// When there is none, or no descriptor is free.
    pub(crate) fn at(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let listeners = self.listeners();
        let found = listeners.iter().find(|(own, _)| *own == address);
        found.ok_or(io::ErrorKind::NotFound)?.1.try_clone()
    }

    /// Other handles of all of them, for a successor.
    ///
    /// # Errors
    /// When no descriptor is free.
    pub(crate) fn all(&self) -> io::Result<Vec<TcpListener>> {
        self.listeners().iter().map(|(_, listener)| listener.try_clone()).collect()
    }

    /// Begins to accept, goes on with it, or pauses; nothing follows [`Sockets::close`].
    pub(crate) fn accept(&self, on: bool) {
        let wanted = if on { Accepting::On } else { Accepting::Paused };
        self.accepting.send_if_modified(|now| {
            let changes = *now != Accepting::Over && *now != wanted;
            if changes {
                *now = wanted;
            }
            changes
        });
    }

    /// Ends the loops, and closes the sockets as far as this process has them.
    pub(crate) fn close(&self) {
        self.accepting.send_replace(Accepting::Over);
        self.listeners().clear();
    }

    /// Resolves once this many loops accept connections.
    pub(crate) async fn accepted_by(&self, loops: usize) {
        // It cannot fail: the sender is a part of this.
        let _ = self.loops.subscribe().wait_for(|&running| running >= loops).await;
    }

    /// Resolves once no loop accepts connections any more, after [`Sockets::accept`] or [`Sockets::close`].
    pub(crate) async fn accepted_by_none(&self) {
        let _ = self.loops.subscribe().wait_for(|&running| running == 0).await;
    }

    /// Whether connections are accepted, and when that changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Accepting> {
        self.accepting.subscribe()
    }

    /// A loop accepts connections as long as it has this.
    pub(crate) fn loop_began(&self) -> Loop<'_> {
        self.loops.send_modify(|running| *running += 1);
        Loop(&self.loops)
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, Vec<(SocketAddr, TcpListener)>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Sockets::loop_began`].
pub(crate) struct Loop<'a>(&'a watch::Sender<usize>);

impl Drop for Loop<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

/// Raises the limit of open descriptors to what the process may have. Returns the limit from here on.
pub(crate) fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> (Sockets, SocketAddr) {
        let sockets = Sockets::default();
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        sockets.bind("gateway.listen", free).expect("bound");
        (sockets, free)
    }

    #[test]
    fn an_address_in_use_names_its_setting() {
        let (_sockets, address) = bound();
        let error = Sockets::default().bind("gateway.listen (LISTEN, PORT)", address).expect_err("in use");
        let error = error.to_string();
        assert!(error.contains(&address.to_string()) && error.contains("(LISTEN, PORT)"), "{error}");
        assert!(error.ends_with(&format!(": sudo ss -ltnp 'sport = :{}'", address.port())), "{error}");
    }

    #[test]
    fn what_is_inherited_must_be_what_is_wanted() {
        let (old, address) = bound();
        let new = Sockets::default();
        let other = SocketAddr::from(([127, 0, 0, 1], 9));
        let error = new.adopt(old.all().expect("handles"), &[other]).expect_err("another address");
        assert!(error.to_string().contains("127.0.0.1:9 was not handed over"), "{error}");
        new.adopt(old.all().expect("handles"), &[address]).expect("taken");
        old.close();
        assert!(old.at(address).is_err());
        drop(std::net::TcpStream::connect(address).expect("the new one still listens"));
        new.close();
        assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        let (old, address) = bound();
        let connected = std::net::TcpStream::connect(address).expect("connected");
        let wrong = TcpListener::from(std::os::fd::OwnedFd::from(connected));
        let error = Sockets::default().adopt(vec![wrong], &[]).expect_err("no listener");
        assert!(error.to_string().contains("takes no connections"), "{error}");
        drop(old);
    }

    #[tokio::test]
    async fn nothing_is_accepted_after_the_end() {
        let (sockets, _) = bound();
        let state = sockets.watch();
        assert_eq!(*state.borrow(), Accepting::Paused);
        sockets.accept(true);
        assert_eq!(*state.borrow(), Accepting::On);
        sockets.accept(false);
        sockets.close();
        sockets.accept(true);
        assert_eq!(*state.borrow(), Accepting::Over);
    }

    #[tokio::test]
    async fn loops_are_counted_while_they_accept() {
        let (sockets, _) = bound();
        let one = sockets.loop_began();
        let two = sockets.loop_began();
        sockets.accepted_by(2).await;
        drop(one);
        let none = sockets.accepted_by_none();
        tokio::pin!(none);
        assert!(futures::poll!(&mut none).is_pending(), "one still accepts");
        drop(two);
        none.await;
    }
}
