//! What a process used, as the kernel counts it.

use std::future::Future;
use std::process::Command;
use std::time::{Duration, Instant};

/// What one operation cost.
#[derive(Clone, Copy)]
pub struct Cost {
    /// CPU of the process, user and kernel, µs.
    pub cpu_us: f64,
    /// Operations a second.
    pub per_second: f64,
}

/// Measures what `count` operations cost the process, done by `act`.
pub async fn cost<T>(pid: u32, count: usize, act: impl Future<Output = T>) -> (Cost, T) {
    let (before, begun) = (cpu(pid), Instant::now());
    let done = act.await;
    let (used, took) = (cpu(pid) - before, begun.elapsed());
    let count = count as f64;
    (Cost { cpu_us: used.as_secs_f64() * 1e6 / count, per_second: count / took.as_secs_f64() }, done)
}

/// CPU time that a process has used, user and kernel (proc(5), fields 14 and 15, in ticks of 10 ms).
pub fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after = stat.rsplit_once(") ").unwrap().1;
    let ticks: u64 = after.split(' ').skip(11).take(2).map(|t| t.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Resident memory of a process, MiB.
pub fn memory(pid: u32) -> f64 {
    kib(&format!("/proc/{pid}/status"), "VmRSS:") / 1024.0
}

/// Memory that the kernel holds for itself and cannot give back, KiB.
pub fn kernel() -> f64 {
    kib("/proc/meminfo", "SUnreclaim:")
}

fn kib(file: &str, name: &str) -> f64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find(|l| l.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs all of them at the same time and gathers what they answer.
pub async fn together<T, F: Future<Output = T>>(all: Vec<F>) -> Vec<T> {
    let mut open: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|cx| {
        open.retain_mut(|f| match f.as_mut().poll(cx) {
            std::task::Poll::Ready(one) => {
                done.push(one);
                false
            }
            std::task::Poll::Pending => true,
        });
        if open.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

/// Whether a process can be held on one core.
pub fn can_pin() -> bool {
    Command::new("taskset").args(["-c", "0", "true"]).status().is_ok_and(|s| s.success())
}

pub fn ms(d: Duration) -> String {
    format!("{:.1}", d.as_secs_f64() * 1e3)
}

pub fn commit() -> String {
    let out = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    out.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
