//! Executions of a function, read and sent a piece at a time: each may have some hundred KiB of log lines, and whoever asks may ask for a
//! thousand of them, or for all.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, Stream};
use http::header::CONTENT_TYPE;
use serde::Serialize;

use super::Api;
use crate::error::Error;
use crate::ids::{AppName, FunctionId};
use crate::store::executions::{ExecutionRow, Page};
use crate::store::{Store, StoreError};
use crate::tunables::EXECUTIONS_PAGE;

/// Where somebody is who reads executions, newest first.
pub(super) struct Pages {
    store: Store,
    app: AppName,
    function: FunctionId,
    rest: Page,
}

impl Pages {
    /// Those of a function, as the page says: `limit` of it is of all pieces together.
    pub(super) fn new(api: &Api, app: AppName, function: FunctionId, page: Page) -> Self {
        Self { store: api.store.clone(), app, function, rest: page }
    }

    /// The next ones; none when there are no more.
    pub(super) async fn next(&mut self) -> Result<Vec<ExecutionRow>, StoreError> {
        let page = Page { limit: self.rest.limit.min(EXECUTIONS_PAGE), ..self.rest };
        if page.limit == 0 {
            return Ok(Vec::new());
        }
        let rows = self.store.executions().list(self.app.clone(), self.function, page).await?;
        let found = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        self.rest.limit = self.rest.limit.saturating_sub(found);
        self.rest.offset = 0;
        self.rest.before = rows.last().map(|row| row.id).or(self.rest.before);
        Ok(rows)
    }

    /// All of them as a JSON array of such objects.
    pub(super) async fn array<T: Serialize + From<ExecutionRow> + 'static>(mut self) -> Result<Response, Error> {
        // What fails here is answered as an error; later, the body breaks off.
        let first = self.next().await?;
        let head = ([(CONTENT_TYPE, "application/json")], Body::from_stream(elements::<T>(self, first)));
        Ok(head.into_response())
    }
}

/// What is left to be sent.
enum Left {
    First(Vec<ExecutionRow>),
    More,
    Nothing,
}

fn elements<T: Serialize + From<ExecutionRow>>(
    pages: Pages,
    first: Vec<ExecutionRow>,
) -> impl Stream<Item = Result<Bytes, StoreError>> {
    stream::try_unfold((pages, Left::First(first)), async |(mut pages, left)| {
        let (rows, begin) = match left {
            Left::First(rows) => (rows, "["),
            Left::More => (pages.next().await?, ","),
            Left::Nothing => return Ok(None),
        };
        let element = |row| serde_json::to_string(&T::from(row)).unwrap_or_default();
        let text = rows.into_iter().map(element).collect::<Vec<_>>().join(",");
        let (text, left) = match (text.is_empty(), begin) {
            (true, "[") => ("[]".to_owned(), Left::Nothing),
            (true, _) => ("]".to_owned(), Left::Nothing),
            (false, begin) => (format!("{begin}{text}"), Left::More),
        };
        Ok(Some((Bytes::from(text), (pages, left))))
    })
}
