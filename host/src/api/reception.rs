//! Bodies of management requests on their way in: how long they may take, how much of the host's memory, and whether whoever sends one
//! may still manage when it is there.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::auth::KeyHash;
use crate::auth::management::ManagementTokens;
use crate::error::{Code, Error};
use crate::runtime::limits::{MemoryBudget, Share};
use crate::tunables::{MANAGEMENT_BODY_BYTES, MANAGEMENT_BODY_PAUSE, MANAGEMENT_BODY_TIME};

/// Bytes that are taken from the memory for large bodies at once.
const STEP_BYTES: usize = 1024 * 1024;

/// What a body is taken in with, and an answer without end goes on with. The gate puts it beside each request it lets through.
#[derive(Clone)]
pub(super) struct Reception {
    tokens: Arc<ManagementTokens>,
    presented: KeyHash,
    memory: Arc<MemoryBudget>,
}

impl Reception {
    /// For whoever presents a token of this hash, with this memory for all large bodies together.
    pub(super) fn new(tokens: Arc<ManagementTokens>, presented: KeyHash, memory: Arc<MemoryBudget>) -> Self {
        Self { tokens, presented, memory }
    }

    async fn take(&self, body: Body, limit: usize) -> Result<Bytes, Error> {
        let whole = timeout(MANAGEMENT_BODY_TIME, self.collect(body, limit)).await;
        let bytes = whole.unwrap_or_else(|_elapsed| Err(slow()))?;
        // A body may be under way for longer than its sender's token is good.
        match self.is_open() {
            true => Ok(bytes),
            false => Err(Error::new(Code::Unauthorized, "the token was removed while the body was under way")),
        }
    }

    /// Whether the token is still good.
    pub(super) fn is_open(&self) -> bool {
        self.tokens.principal(self.presented).is_some()
    }

    async fn collect(&self, mut body: Body, limit: usize) -> Result<Bytes, Error> {
        let mut received = Received { bytes: Vec::new(), share: None };
        while let Some(frame) = timeout(MANAGEMENT_BODY_PAUSE, body.frame()).await.map_err(|_elapsed| slow())? {
            let frame = frame.map_err(|_| Error::invalid("the body did not arrive whole"))?;
            let Ok(piece) = frame.into_data() else { continue };
            if received.bytes.len() + piece.len() > limit {
                return Err(too_large(limit));
            }
            received.add(&piece, &self.memory)?;
        }
        Ok(Bytes::from_owner(received))
    }

    /// For tests of what reads bodies.
    #[cfg(test)]
    pub(super) fn of_a_test() -> Self {
        let (hash, budget) = (KeyHash::of("a token"), MemoryBudget::new(usize::MAX));
        Self::new(Arc::new(ManagementTokens::new(hash, std::collections::HashMap::new())), hash, budget)
    }
}

/// A body, and the part it takes of the memory for large ones for as long as it is there.
struct Received {
    bytes: Vec<u8>,
    share: Option<Share>,
}

impl Received {
    fn add(&mut self, piece: &[u8], memory: &Arc<MemoryBudget>) -> Result<(), Error> {
        let after = self.bytes.len() + piece.len();
        while after.saturating_sub(MANAGEMENT_BODY_BYTES) > self.share.as_ref().map_or(0, Share::bytes) {
            let grown = match &mut self.share {
                Some(share) => share.grow(STEP_BYTES),
                none => memory.share(STEP_BYTES).map(|share| *none = Some(share)).is_some(),
            };
            if !grown {
                let message = "too many large bodies are under way already; try again later";
                return Err(Error::new(Code::Overloaded, message));
            }
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

impl AsRef<[u8]> for Received {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The whole body, of at most `limit` bytes.
pub(super) async fn bytes(request: Request, limit: usize) -> Result<Bytes, Error> {
    let reception = request.extensions().get::<Reception>().cloned();
    let reception = reception.ok_or_else(|| Error::internal("a management route without its gate"))?;
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    reception.take(request.into_body(), limit).await
}

fn slow() -> Error {
    let (whole, pause) = (MANAGEMENT_BODY_TIME.as_secs(), MANAGEMENT_BODY_PAUSE.as_secs());
    let message = format!("the body must arrive within {whole} seconds, without a pause of {pause}");
    Error::new(Code::Timeout, message)
}

fn too_large(limit: usize) -> Error {
    Error::new(Code::TooLarge, format!("the body must have at most {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use futures::stream::{self, StreamExt};

    use super::*;

    const LARGE: usize = MANAGEMENT_BODY_BYTES + STEP_BYTES;

    fn body(pieces: Vec<Vec<u8>>) -> Body {
        Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::convert::Infallible>)))
    }

    #[tokio::test]
    async fn large_bodies_share_a_memory_and_small_ones_always_fit() {
        let reception = Reception { memory: MemoryBudget::new(STEP_BYTES), ..Reception::of_a_test() };
        let large = reception.take(body(vec![vec![1; LARGE / 2], vec![1; LARGE / 2]]), LARGE).await.unwrap();
        assert_eq!(large.len(), LARGE);
        let refused = reception.take(body(vec![vec![1; LARGE]]), LARGE).await.unwrap_err();
        assert_eq!(refused.code, Code::Overloaded);
        let small = reception.take(body(vec![vec![1; MANAGEMENT_BODY_BYTES]]), LARGE).await.unwrap();
        assert_eq!(small.len(), MANAGEMENT_BODY_BYTES);
        drop(large);
        reception.take(body(vec![vec![1; LARGE]]), LARGE).await.unwrap();
        assert_eq!(reception.take(body(vec![vec![1; 11]]), 10).await.unwrap_err().code, Code::TooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let reception = Reception::of_a_test();
        let stuck = stream::iter([Ok::<_, std::convert::Infallible>("{")]).chain(stream::pending());
        assert_eq!(reception.take(Body::from_stream(stuck), 10).await.unwrap_err().code, Code::Timeout);
        let dripping = stream::unfold((), async |()| {
            tokio::time::sleep(MANAGEMENT_BODY_PAUSE / 2).await;
            Some((Ok::<_, std::convert::Infallible>(" "), ()))
        });
        assert_eq!(reception.take(Body::from_stream(dripping), 1_000).await.unwrap_err().code, Code::Timeout);
    }

    #[tokio::test]
    async fn a_token_that_is_gone_by_the_end_opens_nothing() {
        let reception = Reception { presented: KeyHash::of("another token"), ..Reception::of_a_test() };
        assert_eq!(reception.take(body(vec![b"{}".to_vec()]), 10).await.unwrap_err().code, Code::Unauthorized);
    }
}
