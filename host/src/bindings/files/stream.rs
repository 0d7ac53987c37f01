//! Writing to a file as a stream: one piece after the other, each against the account of the directory.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::files::{Directory, Place};
use crate::threads;
use crate::tunables::FILE_WRITE_BYTES;

/// Writes from one place on, or at the end.
pub(super) struct FileWriter {
    directory: Arc<Directory>,
    file: Arc<File>,
    place: Place,
    state: State,
}

enum State {
    Ready,
    Writing(BoxFuture<'static, io::Result<u64>>),
    Failed(io::Error),
    Closed,
}

impl FileWriter {
    pub(super) fn new(directory: Arc<Directory>, file: Arc<File>, place: Place) -> Self {
        Self { directory, file, place, state: State::Ready }
    }

    /// Whether something can be written; an error is told once, and is the end.
    fn check(&mut self) -> StreamResult<bool> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Failed(error) => Err(StreamError::LastOperationFailed(error.into())),
            State::Closed => Err(StreamError::Closed),
            state => {
                let is_ready = matches!(state, State::Ready);
                self.state = state;
                Ok(is_ready)
            }
        }
    }
}

impl OutputStream for FileWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if !self.check()? || bytes.len() > FILE_WRITE_BYTES {
            return Err(StreamError::Trap(wasmtime::format_err!("a write of more than check-write permits")));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let (directory, file, place) = (self.directory.clone(), self.file.clone(), self.place);
        let written = threads::blocking(move || {
            directory.write(&file, &bytes, place)?;
            Ok(bytes.len() as u64)
        });
        let written = async move { written.await.unwrap_or_else(|failure| Err(io::Error::other(failure.to_string()))) };
        self.state = State::Writing(Box::pin(written));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check().map(drop)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(if self.check()? { FILE_WRITE_BYTES } else { 0 })
    }
}

#[async_trait::async_trait]
impl Pollable for FileWriter {
    async fn ready(&mut self) {
        let State::Writing(writing) = &mut self.state else { return };
        self.state = match writing.await {
            Ok(written) => {
                if let Place::At(offset) = &mut self.place {
                    *offset = offset.saturating_add(written);
                }
                State::Ready
            }
            Err(error) => State::Failed(error),
        };
    }
}
