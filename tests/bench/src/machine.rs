//! What was measured on.

use std::process::Command;

/// Processor, cores, memory, system, versions: one line each.
pub(crate) fn describe() -> Vec<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split(':').nth(1).unwrap_or_default().trim().to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory: u64 = field(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
    let rustc = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    vec![
        format!("{}, {cores} cores, {} GiB of memory", field(&read("/proc/cpuinfo"), "model name"), memory >> 20),
        format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        String::from_utf8_lossy(&rustc).trim().to_owned(),
        "the load generator (wrk, two threads) runs on the same machine".to_owned(),
    ]
}
