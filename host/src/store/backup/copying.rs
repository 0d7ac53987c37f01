//! The thread of a host that makes copies of its data, again and again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Added, Copies};

/// Copies that are being made.
pub struct Copying {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Copying {
    /// Makes one now, and one more after each such time.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn start(mut copies: Copies, data: PathBuf, every: Duration) -> io::Result<Self> {
        let (stop, told) = channel();
        let work = move || {
            add(&mut copies, &data);
            while told.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                add(&mut copies, &data);
            }
            add(&mut copies, &data);
        };
        Ok(Self { stop, thread: thread::Builder::new().name("caddis-copies".to_owned()).spawn(work)? })
    }

    /// Makes the last one.
    pub async fn finish(self) {
        let Self { stop, thread } = self;
        drop(stop);
        if tokio::task::spawn_blocking(|| thread.join()).await.is_err() {
            tracing::error!("the thread that makes copies failed");
        }
    }
}

fn add(copies: &mut Copies, data: &Path) {
    match copies.add(data) {
        Ok(Added { taken_at, is_new, bytes }) => tracing::debug!(%taken_at, is_new, bytes, "the data was copied"),
        Err(error) => tracing::error!(%error, "the data could not be copied: the last copies are of an earlier time"),
    }
}
