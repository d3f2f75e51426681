//! Choosing among 16 upstreams: `cargo bench --bench pool`.

use anyrouter_gateway::measured::{
    Affinity, AffinityTable, Arguments, Client, SessionPlace, Upstream, Wish, choose, clock, home, load, prepare,
};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

fn upstreams() -> Vec<Arc<Upstream>> {
    let mut yaml = "gateway:\n  upstreams:\n".to_owned();
    for at in 0..16 {
        yaml += &format!(
            "    - {{name: u{at}, base_url: \"http://127.0.0.1:{}\", priority: {}, weight: {}, max_in_flight: 100}}\n",
            at + 1,
            at / 8,
            at % 8 + 1
        );
    }
    let file = std::env::temp_dir().join(format!("gateway-bench-{}.yaml", std::process::id()));
    std::fs::write(&file, yaml).expect("written");
    let arguments = Arguments::of_file(file.display().to_string());
    let config = load(&arguments, &|_| None).expect("valid").config;
    std::fs::remove_file(&file).expect("removed");
    prepare(&config, &[]).expect("prepared")
}

fn pool(criterion: &mut Criterion) {
    let upstreams = upstreams();
    let group: Vec<usize> = (0..16).collect();
    let memory = || AffinityTable::new(&Affinity { sessions: 10_000, idle: Duration::from_secs(3600) });
    let (unused, used) = (memory(), memory());
    let session = |at: u64| Client::new(Some(&at.to_le_bytes()), None);
    let there = SessionPlace { seed: upstreams[3].seed, key: None, has_moved: true };
    (0..10_000).for_each(|at| used.move_to(session(at), there));
    let mut at = 0;
    let mut bench = |name: &str, memory: &AffinityTable| {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                at = (at + 1) % 10_000;
                black_box(choose(&upstreams, &group, &[], session(at), memory, clock::now_ms()))
            })
        });
    };
    bench("choose among 16", &unused);
    bench("choose among 16, 10,000 sessions moved", &used);
    let wish = Wish { session: 7, key: None, tried: &[] };
    criterion.bench_function("enter and leave", |bencher| bencher.iter(|| black_box(upstreams[0].enter(&wish, 1_000))));
    criterion.bench_function("home of a session", |bencher| {
        bencher.iter(|| black_box(home(&upstreams, &group, black_box(session(7)))))
    });
    upstreams.iter().take(8).for_each(|upstream| upstream.circuit.hold(Duration::from_secs(300), clock::now_ms()));
    criterion.bench_function("choose among 16, 8 of them open", |bencher| {
        bencher.iter(|| black_box(choose(&upstreams, &group, &[], session(7), &unused, clock::now_ms())))
    });
}

criterion_group!(benches, pool);
criterion_main!(benches);
