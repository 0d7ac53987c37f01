//! Counts and durations of a function's executions, kept as a histogram for each hour: a question about millions of executions
//! reads some hundred rows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{ExecutionLog, ExecutionRow, Status};
use crate::ids::FunctionId;
use crate::store::StoreError;
use crate::store::columns::{Count, Micros};

const ADD: &str = "INSERT INTO execution_stats (function_id, hour, bucket, success, error, timeout, duration_us) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET success = success + excluded.success, \
     error = error + excluded.error, timeout = timeout + excluded.timeout, duration_us = duration_us + excluded.duration_us";
const SUM: &str = "SELECT bucket, sum(success) AS success, sum(error) AS error, sum(timeout) AS timeout, \
     sum(duration_us) AS duration_us FROM execution_stats WHERE function_id = ?1 AND hour >= ?2 GROUP BY bucket ORDER BY bucket";
const HOURLY: &str = "SELECT hour, bucket, success, error, timeout, duration_us FROM execution_stats \
     WHERE function_id = ?1 AND hour >= ?2 ORDER BY hour, bucket";
const LAST: &str = "SELECT executed_at FROM executions WHERE function_id = ?1 ORDER BY id DESC LIMIT 1";
const DELETE_OLD: &str = "DELETE FROM execution_stats WHERE hour < ?1";
const DELETE_FUNCTION: &str = "DELETE FROM execution_stats WHERE function_id = ?1";

const SECONDS_PER_HOUR: i64 = 3_600;

/// Buckets of one doubling of the duration: a percentile is right within a tenth.
const BUCKETS_PER_DOUBLING: f64 = 8.0;

/// What became of a function's executions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Those that answered.
    pub success: u64,
    /// Those that failed.
    pub error: u64,
    /// Those that ran out of time or fuel.
    pub timeout: u64,
    /// Mean duration, in microseconds; none when there were no executions.
    pub average_us: Option<f64>,
    /// Durations that half, 95 % and 99 % did not exceed, in microseconds, within a tenth.
    pub percentiles_us: Option<[f64; 3]>,
    /// When the newest execution that is kept began; not known of a single hour.
    pub last: Option<Timestamp>,
}

impl Stats {
    /// Of executions whose durations are in these buckets, in order.
    fn new(buckets: &[(u32, Counts)], last: Option<Timestamp>) -> Self {
        let total = |of: fn(&Counts) -> u64| buckets.iter().map(|(_, counts)| of(counts)).sum::<u64>();
        let all = total(Counts::all);
        let any = all > 0;
        Self {
            success: total(|counts| counts.success),
            error: total(|counts| counts.error),
            timeout: total(|counts| counts.timeout),
            average_us: any.then(|| total(|counts| counts.duration_us) as f64 / all as f64),
            percentiles_us: any.then(|| [0.5, 0.95, 0.99].map(|share| percentile(buckets, all, share))),
            last,
        }
    }
}

#[derive(Default)]
struct Counts {
    success: u64,
    error: u64,
    timeout: u64,
    duration_us: u64,
}

impl Counts {
    fn all(&self) -> u64 {
        self.success + self.error + self.timeout
    }
}

/// Adds the rows of a batch.
pub(super) fn add(connection: &Connection, batch: &[ExecutionRow]) -> Result<(), StoreError> {
    let mut counts: BTreeMap<(FunctionId, i64, u32), Counts> = BTreeMap::new();
    for row in batch {
        let duration = row.completed_at.duration_since(row.executed_at).as_micros();
        let duration = u64::try_from(duration).unwrap_or(0);
        let entry = counts.entry((row.function_id, hour(row.executed_at), bucket(duration))).or_default();
        match row.status {
            Status::Success => entry.success += 1,
            Status::Error => entry.error += 1,
            Status::Timeout => entry.timeout += 1,
        }
        entry.duration_us += duration;
    }
    let mut statement = connection.prepare_cached(ADD)?;
    for ((function, hour, bucket), Counts { success, error, timeout, duration_us }) in counts {
        statement.execute((
            function,
            hour,
            bucket,
            Count(success),
            Count(error),
            Count(timeout),
            Count(duration_us),
        ))?;
    }
    Ok(())
}

/// Removes what is older than this.
pub(super) fn delete_old(connection: &Connection, oldest: Timestamp) -> Result<(), StoreError> {
    connection.prepare_cached(DELETE_OLD)?.execute([hour(oldest)])?;
    Ok(())
}

/// Removes what there is about a function.
pub(super) fn delete_function(connection: &Connection, function: FunctionId) -> Result<(), StoreError> {
    connection.prepare_cached(DELETE_FUNCTION)?.execute([function])?;
    Ok(())
}

impl ExecutionLog {
    /// What became of the executions of a function that began in the hour of `since` or later. Shows what is written:
    /// [`ExecutionLog::flush`] first to count the latest.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Internal`].
    pub async fn stats(&self, function: FunctionId, since: Timestamp) -> Result<Stats, StoreError> {
        self.0.database.read(move |connection| read(connection, function, since)).await
    }

    /// The same of several functions, in their order.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Internal`].
    pub async fn stats_of_all(&self, functions: Vec<FunctionId>, since: Timestamp) -> Result<Vec<Stats>, StoreError> {
        let each = move |connection: &Connection| {
            functions.into_iter().map(|function| read(connection, function, since)).collect()
        };
        self.0.database.read(each).await
    }

    /// The same of one function for each hour that had executions, in order, with the time the hour began.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Internal`].
    pub async fn hourly_stats(
        &self,
        function: FunctionId,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, Stats)>, StoreError> {
        self.0.database.read(move |connection| read_hourly(connection, function, since)).await
    }
}

fn read(connection: &Connection, function: FunctionId, since: Timestamp) -> Result<Stats, StoreError> {
    let mut statement = connection.prepare_cached(SUM)?;
    let rows = statement.query_map((function, hour(since)), |row| Ok((row.get("bucket")?, counts(row)?)))?;
    let buckets = rows.collect::<rusqlite::Result<Vec<(u32, Counts)>>>()?;
    let last: Option<Micros> = connection.prepare_cached(LAST)?.query_row([function], |row| row.get(0)).optional()?;
    Ok(Stats::new(&buckets, last.map(|Micros(time)| time)))
}

fn read_hourly(
    connection: &Connection,
    function: FunctionId,
    since: Timestamp,
) -> Result<Vec<(Timestamp, Stats)>, StoreError> {
    let mut statement = connection.prepare_cached(HOURLY)?;
    let mut rows = statement.query((function, hour(since)))?;
    let mut hours: BTreeMap<i64, Vec<(u32, Counts)>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        hours.entry(row.get("hour")?).or_default().push((row.get("bucket")?, counts(row)?));
    }
    let stats = hours.into_iter().filter_map(|(hour, buckets)| {
        let began = Timestamp::from_second(hour.saturating_mul(SECONDS_PER_HOUR)).ok()?;
        Some((began, Stats::new(&buckets, None)))
    });
    Ok(stats.collect())
}

fn counts(row: &Row<'_>) -> rusqlite::Result<Counts> {
    let count = |name| row.get::<_, Count>(name).map(|Count(count)| count);
    Ok(Counts {
        success: count("success")?,
        error: count("error")?,
        timeout: count("timeout")?,
        duration_us: count("duration_us")?,
    })
}

fn percentile(buckets: &[(u32, Counts)], all: u64, share: f64) -> f64 {
    let wanted = (all as f64 * share).ceil();
    let mut seen = 0;
    for (bucket, counts) in buckets {
        seen += counts.all();
        if seen as f64 >= wanted {
            return middle(*bucket);
        }
    }
    0.0
}

fn hour(time: Timestamp) -> i64 {
    time.as_second().div_euclid(SECONDS_PER_HOUR)
}

/// The bucket of a duration in microseconds: its logarithm.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a logarithm of at least 1 is small and positive"
)]
fn bucket(duration_us: u64) -> u32 {
    ((duration_us.max(1) as f64).log2() * BUCKETS_PER_DOUBLING).floor() as u32
}

/// The duration that stands for those in a bucket, in microseconds.
fn middle(bucket: u32) -> f64 {
    ((f64::from(bucket) + 0.5) / BUCKETS_PER_DOUBLING).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_stands_for_its_durations_within_a_tenth() {
        for duration in (1..3_000_u64).chain([30_000, 1_000_000, 299_999_999]) {
            let stands = middle(bucket(duration));
            assert!((stands / duration as f64 - 1.0).abs() < 0.1, "{duration}: {stands}");
        }
    }
}
