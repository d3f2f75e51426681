//! The smallest Pingora proxy there can be: every request goes to one upstream, nothing is looked at or changed.
//!
//! `bare-pingora LISTEN ORIGIN WORK_STEALING`, with one worker thread and default listener options. It is the floor
//! that the gateway is measured against.
use async_trait::async_trait;
use pingora::prelude::*;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::configuration::ServerConf;
use std::net::SocketAddr;

struct PassThrough {
    origin: SocketAddr,
}

#[async_trait]
impl ProxyHttp for PassThrough {
    type CTX = ();
    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.origin, false, String::new())))
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, origin, work_stealing] = arguments.as_slice() else {
        return Err("usage: bare-pingora LISTEN ORIGIN true|false".into());
    };
    let conf = ServerConf { threads: 1, work_stealing: work_stealing.parse()?, ..ServerConf::default() };
    let proxy = PassThrough { origin: origin.parse()? };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, proxy);
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever()
}
