//! What is counted for Prometheus. Each function has counters of its own, so that requests to different functions touch nothing in
//! common, and no counter takes a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Code;
use crate::store::executions::{ExecutionRow, Status};

/// Upper bounds of the histogram of durations, in microseconds; the last bucket has none.
pub const BOUNDS_US: [u64; 15] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    300_000_000,
];

/// Ways an execution can end, in the order of [`FunctionCounts::by_status`].
pub const STATUSES: [Status; 3] = [Status::Success, Status::Error, Status::Timeout];

/// How often each code was met.
#[derive(Debug)]
pub struct CodeCounts([AtomicU64; Code::ALL.len()]);

impl Default for CodeCounts {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl CodeCounts {
    /// Counts one.
    pub fn count(&self, code: Code) {
        if let Some(counter) = self.0.get(code as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The codes that were met, with how often.
    pub fn counted(&self) -> impl Iterator<Item = (Code, u64)> {
        let counts = Code::ALL.iter().zip(&self.0).map(|(code, counter)| (*code, counter.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0)
    }
}

/// The counters of one function, whatever its version.
#[derive(Debug, Default)]
pub struct FunctionMetrics {
    statuses: [AtomicU64; STATUSES.len()],
    errors: CodeCounts,
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    duration_us: AtomicU64,
    fuel: AtomicU64,
    response_bytes: AtomicU64,
    peak_memory: AtomicU64,
    skipped: AtomicU64,
}

/// The counters of one function, or of several, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunctionCounts {
    /// Executions, in the order of [`STATUSES`].
    pub by_status: [u64; STATUSES.len()],
    /// Failures by code.
    pub errors: Vec<(Code, u64)>,
    /// Executions by duration, one for each of [`BOUNDS_US`] and one for those above.
    pub buckets: [u64; BOUNDS_US.len() + 1],
    /// Their durations together, in microseconds.
    pub duration_us: u64,
    /// Their fuel together.
    pub fuel: u64,
    /// Bytes they sent.
    pub response_bytes: u64,
    /// The most memory one of them had, in bytes.
    pub peak_memory: u64,
    /// Runs of its schedule that did not come to an execution.
    pub skipped: u64,
}

impl FunctionMetrics {
    /// Counts an execution.
    pub fn observe(&self, row: &ExecutionRow) {
        let duration = u64::try_from(row.completed_at.duration_since(row.executed_at).as_micros()).unwrap_or(0);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < duration);
        let status = STATUSES.iter().position(|status| *status == row.status);
        let one_more = [status.and_then(|status| self.statuses.get(status)), self.buckets.get(bucket)];
        for counter in one_more.into_iter().flatten() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(code) = row.error_code {
            self.errors.count(code);
        }
        self.duration_us.fetch_add(duration, Ordering::Relaxed);
        self.fuel.fetch_add(row.fuel, Ordering::Relaxed);
        self.response_bytes.fetch_add(row.response_bytes, Ordering::Relaxed);
        self.peak_memory.fetch_max(row.peak_memory_bytes, Ordering::Relaxed);
    }

    /// Counts a run of a schedule that did not come to an execution.
    pub fn skip(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn counts(&self) -> FunctionCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FunctionCounts {
            by_status: self.statuses.each_ref().map(load),
            errors: self.errors.counted().collect(),
            buckets: self.buckets.each_ref().map(load),
            duration_us: load(&self.duration_us),
            fuel: load(&self.fuel),
            response_bytes: load(&self.response_bytes),
            peak_memory: load(&self.peak_memory),
            skipped: load(&self.skipped),
        }
    }
}

impl FunctionCounts {
    /// How many executions there were.
    pub fn executions(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Adds those of another function.
    pub fn add(&mut self, other: &Self) {
        let add = |sums: &mut [u64], more: &[u64]| sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        add(&mut self.by_status, &other.by_status);
        add(&mut self.buckets, &other.buckets);
        for (code, count) in &other.errors {
            match self.errors.iter_mut().find(|(known, _)| known == code) {
                Some((_, sum)) => *sum += count,
                None => self.errors.push((*code, *count)),
            }
        }
        self.duration_us += other.duration_us;
        self.fuel += other.fuel;
        self.response_bytes += other.response_bytes;
        self.peak_memory = self.peak_memory.max(other.peak_memory);
        self.skipped += other.skipped;
    }
}
