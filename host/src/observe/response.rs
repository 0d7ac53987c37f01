//! What a function answered: its status, how much it sent, and a copy of the beginning, for the record (FX10, KL6).

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;

use crate::bindings::env::Environment;
use crate::tunables::RESPONSE_COPY_BYTES;

/// The response of one execution as far as it is sent: shared with whoever keeps the record.
#[derive(Debug, Clone, Default)]
pub struct SentResponse(Arc<State>);

#[derive(Debug, Default)]
struct State {
    status: AtomicU16,
    bytes: AtomicU64,
    /// Variables of the function, whose values must not get into its records. None: nothing is copied.
    secrets: Option<Arc<Environment>>,
    copy: Mutex<Vec<u8>>,
}

impl SentResponse {
    /// A response of which the beginning is copied, without these secrets.
    pub fn copied(secrets: Arc<Environment>) -> Self {
        Self(Arc::new(State { secrets: Some(secrets), ..State::default() }))
    }

    /// The response has started.
    pub fn start(&self, status: StatusCode) {
        self.0.status.store(status.as_u16(), Ordering::Release);
    }

    /// The status, once a response has started.
    pub fn status(&self) -> Option<u16> {
        Some(self.0.status.load(Ordering::Acquire)).filter(|status| *status != 0)
    }

    /// Bytes of the body sent so far.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// A part of the body is sent.
    pub fn saw(&self, part: &[u8]) {
        let before = self.0.bytes.fetch_add(part.len() as u64, Ordering::Relaxed);
        if before >= RESPONSE_COPY_BYTES as u64 || self.0.secrets.is_none() {
            return;
        }
        let mut copy = self.0.copy.lock().unwrap_or_else(PoisonError::into_inner);
        let room = RESPONSE_COPY_BYTES.saturating_sub(copy.len());
        copy.extend_from_slice(part.get(..room).unwrap_or(part));
    }

    /// The beginning of the body, if it is text. What was copied is taken.
    pub fn take_text(&self) -> Option<String> {
        let copy = std::mem::take(&mut *self.0.copy.lock().unwrap_or_else(PoisonError::into_inner));
        let text = match str::from_utf8(&copy) {
            Ok(text) => text,
            // A character may be cut at the end of the copy, and nowhere else.
            Err(error) if error.error_len().is_none() => str::from_utf8(copy.get(..error.valid_up_to())?).ok()?,
            Err(_) => return None,
        };
        let secrets = self.0.secrets.as_ref().filter(|_| !text.is_empty())?;
        Some(secrets.redactor().redact_cut(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_ends_at_a_character() {
        let sent = SentResponse::copied(Arc::default());
        sent.saw(&vec![b'x'; RESPONSE_COPY_BYTES - 1]);
        sent.saw("é and more".as_bytes());
        assert_eq!(sent.take_text().unwrap(), "x".repeat(RESPONSE_COPY_BYTES - 1));
        assert_eq!(sent.bytes(), RESPONSE_COPY_BYTES as u64 + 10);
    }

    #[test]
    fn what_is_not_text_is_only_counted() {
        let sent = SentResponse::copied(Arc::default());
        sent.saw(&[0xff, 0xfe, b'a']);
        assert_eq!((sent.take_text(), sent.bytes()), (None, 3));
    }

    #[test]
    fn nothing_is_copied_where_that_is_not_wanted() {
        let sent = SentResponse::default();
        sent.saw(b"secret");
        assert_eq!((sent.take_text(), sent.bytes()), (None, 6));
    }
}
