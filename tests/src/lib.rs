//! What the tests of Caddis share: the server under test, its client, the guests. No assertion about behaviour lives here.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails, and says where"
)]

pub mod client;
pub mod guests;
pub mod raw;
pub mod server;
pub mod signer;
pub mod stub;
mod template;

pub use client::{Call, Client, Reply, Session};
pub use guests::Guest;
pub use server::{Options, Server};
pub use signer::Signer;
pub use stub::Stub;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long anything may take that should happen at once. Generous, because a loaded machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for a future, but not forever.
///
/// # Panics
/// After [`PATIENCE`]; `what` says what was waited for.
pub async fn within_patience<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}

/// Asks again and again, where there is no event to wait for, until there is an answer.
///
/// # Panics
/// After [`PATIENCE`]; `what` says what was waited for.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    within_patience(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

/// Says that something is not tested because what it needs cannot be had here. With `CADDIS_TEST_REQUIRE=1` that is a failure.
///
/// # Panics
/// With `CADDIS_TEST_REQUIRE=1` in the environment.
pub fn not_tested(what: &str) {
    assert!(std::env::var_os("CADDIS_TEST_REQUIRE").is_none_or(|value| value != "1"), "NOT TESTED: {what}");
    // Not `eprintln!`, which a test that passes does not show.
    std::io::stderr().write_all(format!("NOT TESTED: {what}\n").as_bytes()).expect("standard error can be written to");
}

/// All files in a directory and the directories in it.
///
/// # Panics
/// When it cannot be read.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the directory can be read");
    let paths = entries.map(|entry| entry.expect("the directory can be read").path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
