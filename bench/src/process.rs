//! What the kernel knows about a process: CPU time and resident memory, from `/proc`.
use crate::language::Language;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// CPU time (user and system, all threads) that process `pid` has used so far.
///
/// `/proc/PID/task/*/schedstat` counts it in nanoseconds, `/proc/PID/stat` in ticks of 10 ms; the first is read where
/// the kernel has it. Threads that have ended are in the second only: the proxies measured here end none.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    match run_time(pid) {
        Some(nanoseconds) if nanoseconds > 0 => Ok(Duration::from_nanos(nanoseconds)),
        _ => ticks(pid).map(|ticks| Duration::from_millis(ticks * 10)),
    }
}

fn run_time(pid: u32) -> Option<u64> {
    tasks(pid)?.into_iter().map(|(_, nanoseconds)| Some(nanoseconds)).sum()
}

/// The same by the names of the threads; nothing where the kernel does not count it. Threads of one name are one.
pub(crate) fn cpu_by_thread(pid: u32) -> BTreeMap<String, Duration> {
    let mut threads = BTreeMap::new();
    for (name, nanoseconds) in tasks(pid).unwrap_or_default() {
        *threads.entry(name).or_default() += Duration::from_nanos(nanoseconds);
    }
    threads
}

/// Each thread's name and nanoseconds.
fn tasks(pid: u32) -> Option<Vec<(String, u64)>> {
    let mut tasks = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let task = task.ok()?.path();
        let text = fs::read_to_string(task.join("schedstat")).ok()?;
        let name = fs::read_to_string(task.join("comm")).ok()?;
        tasks.push((name.trim().to_owned(), text.split(' ').next()?.parse().ok()?));
    }
    Some(tasks)
}

/// utime + stime, in clock ticks; Linux shows 100 of them per second to user space on all common machines.
fn ticks(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = text.rsplit_once(") ").context("no process name")?.1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

/// Resident set size of process `pid`, kB.
pub(crate) fn rss_kb(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find(|line| line.starts_with("Rss:")).context("no Rss")?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}

/// What the report says of the machine: processor, cores, memory, kernel.
pub(crate) fn machine(language: Language) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once(':'))
            .map(|(_, v)| v.trim().to_string())
    };
    let processors = read("/proc/cpuinfo");
    let cores = processors.lines().filter(|line| line.starts_with("processor")).count();
    let model = field(&processors, "model name").unwrap_or_else(|| "unknown processor".into());
    let memory = field(&read("/proc/meminfo"), "MemTotal").and_then(|v| v.split(' ').next()?.parse::<u64>().ok());
    let kernel: String = read("/proc/sys/kernel/osrelease").trim().split('-').next().unwrap_or_default().into();
    let system = read("/etc/os-release");
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux").trim_matches('"');
    let memory = memory.unwrap_or(0) / 1024 / 1024;
    language.pick(
        format!("{model}, {cores} cores, {memory} GiB of memory, {system}, Linux {kernel}"),
        format!("{model}，{cores} 核，{memory} GiB 内存，{system}，Linux {kernel}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_uses_time() {
        let pid = std::process::id();
        assert!(rss_kb(pid).unwrap() > 100);
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_millis(60) {}
        assert!(cpu(pid).unwrap() >= Duration::from_millis(20));
        let by_thread: Duration = cpu_by_thread(pid).into_values().sum();
        assert!(by_thread >= Duration::from_millis(20));
    }
}
