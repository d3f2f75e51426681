//! A mock of the Anthropic Messages API for manual tries and for the SDK tests.
//!
//! ```text
//! mock-upstream [--port N] [--gap-ms N] [--record DIR] [--strict-anyrouter]
//! ```
//!
//! Prints `listening on 127.0.0.1:PORT`, then one line per request. With `--record`, each request's head and
//! body go to `DIR/0001.head` and `DIR/0001.body`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::anthropic::{self, Options};
use harness::{Received, Upstream};

struct Args {
    port: u16,
    record: Option<PathBuf>,
    options: Options,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut parsed = Args { port: 0, record: None, options: Options::default() };
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or(format!("{flag} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
        match flag.as_str() {
            "--port" => parsed.port = number(value()?)?.try_into().map_err(|_| "--port is at most 65535")?,
            "--gap-ms" => parsed.options.gap = Duration::from_millis(number(value()?)?),
            "--record" => parsed.record = Some(value()?.into()),
            "--strict-anyrouter" => parsed.options.strict_anyrouter = true,
            _ => return Err(format!("unknown argument {flag}")),
        }
    }
    Ok(parsed)
}

fn save(folder: &PathBuf, number: usize, request: &Received) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(format!("{number:04}.head")), &request.raw_head)?;
    std::fs::write(folder.join(format!("{number:04}.body")), &request.body)
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{error}\nusage: mock-upstream [--port N] [--gap-ms N] [--record DIR] [--strict-anyrouter]");
            return ExitCode::from(2);
        }
    };
    let answer = anthropic::handler_with(args.options);
    let seen = AtomicUsize::new(0);
    let record = args.record;
    let handler = move |request: &Received| {
        let number = seen.fetch_add(1, Ordering::Relaxed) + 1;
        println!("{number} {} {} {} bytes", request.method, request.target, request.body.len());
        if let Some(error) = record.as_ref().and_then(|folder| save(folder, number, request).err()) {
            eprintln!("could not record request {number}: {error}");
        }
        answer(request)
    };
    // A malformed request has its 400; the process should outlive it.
    let upstream = match Upstream::builder().allow_malformed().start_on(args.port, handler).await {
        Ok(upstream) => upstream,
        Err(error) => {
            eprintln!("port {}: {error}", args.port);
            return ExitCode::FAILURE;
        }
    };
    println!("listening on {}", upstream.addr());
    let _ = tokio::signal::ctrl_c().await;
    ExitCode::SUCCESS
}
