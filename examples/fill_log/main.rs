//! Writes a request log of made-up records, to see the panel with a long past or to measure with one:
//!
//! ```text
//! cargo run --example fill_log -- FILE|postgres://... [ROWS] [DAYS]
//! GATEWAY_DB=FILE anyrouter-gateway
//! ```

use anyrouter_gateway::measured::{Database, LogStore};
use std::time::{Instant, SystemTime};

mod record;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: fill_log FILE|postgres://... [ROWS] [DAYS]")?;
    let rows: u64 = arguments.next().as_deref().unwrap_or("100000").parse()?;
    let days: u64 = arguments.next().as_deref().unwrap_or("30").parse()?;
    let (started, now) = (Instant::now(), SystemTime::now());
    let store = LogStore::parse(&path).ok_or("neither a file nor postgres://...")?;
    let mut database = Database::open(&store).await?;
    for batch in (0..rows).collect::<Vec<u64>>().chunks(1_000) {
        let records: Vec<_> = batch.iter().map(|&index| record::record(index, rows, days, now)).collect();
        database.insert(&records).await?;
    }
    database.close().await?;
    println!("{store}: {rows} rows over {days} days, written in {:.1?}", started.elapsed());
    Ok(())
}
