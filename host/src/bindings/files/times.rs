//! Times of files as WASI has them.

use std::fs::FileTimes;
use std::io;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::NewTimestamp;

/// The times to set.
pub(super) fn times(accessed: NewTimestamp, modified: NewTimestamp) -> FsResult<FileTimes> {
    let mut times = FileTimes::new();
    if let Some(time) = time(accessed)? {
        times = times.set_accessed(time);
    }
    if let Some(time) = time(modified)? {
        times = times.set_modified(time);
    }
    Ok(times)
}

fn time(given: NewTimestamp) -> FsResult<Option<SystemTime>> {
    let given = match given {
        NewTimestamp::NoChange => return Ok(None),
        NewTimestamp::Now => return Ok(Some(SystemTime::now())),
        NewTimestamp::Timestamp(given) => given,
    };
    let since = Duration::from_secs(given.seconds).checked_add(Duration::from_nanos(given.nanoseconds.into()));
    let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    Ok(Some(time.ok_or(io::Error::from(Errno::OVERFLOW))?))
}
