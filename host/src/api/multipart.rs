//! Uploads as `multipart/form-data` (RFC 7578): a description, and files.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::extract::Request;
use bytes::Bytes;
use futures::stream;
use http::header::CONTENT_TYPE;

use super::reception::bytes;
use crate::error::Error;
use crate::js::source;

/// The media type.
pub(super) const FORM: &str = "multipart/form-data";

/// Parts that are no files: the description.
const OTHER_PARTS: usize = 8;

/// One part.
pub(super) struct Part {
    /// What it is.
    pub(super) name: String,
    /// The name of the file, if it is one.
    pub(super) file_name: Option<String>,
    /// What is in it.
    pub(super) content: Bytes,
}

/// An upload.
pub(super) struct Form(Vec<Part>);

impl Form {
    /// Reads the whole upload, of at most `limit` bytes.
    pub(super) async fn read(request: Request, limit: usize) -> Result<Self, Error> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = multer::parse_boundary(content_type.unwrap_or_default()).map_err(|error| malformed(&error))?;
        let body = bytes(request, limit).await?;
        let mut fields = multer::Multipart::new(stream::iter([Ok::<_, Infallible>(body)]), boundary);
        let mut parts = Vec::new();
        while let Some(field) = fields.next_field().await.map_err(|error| malformed(&error))? {
            if parts.len() == source::MAX_FILES + OTHER_PARTS {
                return Err(Error::invalid(format!("body: more than {} parts", parts.len())));
            }
            let name = field.name().unwrap_or_default().to_owned();
            let file_name = field.file_name().map(str::to_owned);
            let content = field.bytes().await.map_err(|error| malformed(&error))?;
            parts.push(Part { name, file_name, content });
        }
        Ok(Self(parts))
    }

    /// Takes the part of this name, of which there may be one.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<Part>, Error> {
        let mut found = self.0.extract_if(.., |part| part.name == name);
        let part = found.next();
        match found.next() {
            Some(_) => Err(Error::invalid(format!("body: the part {name} is there twice"))),
            None => Ok(part),
        }
    }

    /// What is left, as the files of a source by their paths.
    pub(super) fn into_files(self) -> Result<BTreeMap<String, String>, Error> {
        let mut files = BTreeMap::new();
        for Part { name, file_name, content } in self.0 {
            let path = file_name.ok_or_else(|| Error::invalid(format!("body: the part {name:?} is not a file")))?;
            let text = String::from_utf8(content.into()).map_err(|_| {
                Error::invalid(format!("files: {path:?} is not UTF-8 text; only modules and JSON are kept"))
            })?;
            if files.insert(path.clone(), text).is_some() {
                return Err(Error::invalid(format!("files: {path:?} is there twice")));
            }
        }
        Ok(files)
    }
}

fn malformed(error: &multer::Error) -> Error {
    Error::invalid(format!("body: not multipart/form-data as RFC 7578 has it: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::reception::Reception;
    use super::*;

    fn part(disposition: &str, content: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
    }

    async fn read(parts: &[(&str, &str)]) -> Result<Form, Error> {
        let parts: String = parts.iter().map(|(disposition, content)| part(disposition, content)).collect();
        Form::read(request(format!("{parts}--b--\r\n")), 1_000).await
    }

    fn request(body: impl Into<axum::body::Body>) -> Request {
        let request = http::Request::builder().header(CONTENT_TYPE, "multipart/form-data; boundary=b");
        request.extension(Reception::of_a_test()).body(body.into()).unwrap()
    }

    const FILE: (&str, &str) = ("name=\"file\"; filename=\"a/b.ts\"", "1");

    #[tokio::test]
    async fn files_keep_their_paths() {
        let mut form = read(&[FILE, ("name=\"metadata\"", "{}")]).await.unwrap();
        assert_eq!(form.take("metadata").unwrap().unwrap().content, "{}");
        assert!(form.take("metadata").unwrap().is_none());
        assert_eq!(form.into_files().unwrap(), BTreeMap::from([("a/b.ts".to_owned(), "1".to_owned())]));
    }

    #[tokio::test]
    async fn what_cannot_be_is_named() {
        let files = async |parts: &[(&str, &str)]| read(parts).await?.into_files();
        for (parts, part) in [(&[FILE, FILE][..], "twice"), (&[("name=\"note\"", "x")], "note")] {
            assert!(files(parts).await.unwrap_err().message.contains(part), "{parts:?}");
        }
        let twice = read(&[("name=\"m\"", "1"), ("name=\"m\"", "2")]).await.unwrap().take("m");
        assert!(twice.is_err_and(|error| error.message.contains("twice")));
        let huge = "x".repeat(2_000);
        assert_eq!(read(&[("name=\"m\"", &huge)]).await.err().unwrap().code, crate::error::Code::TooLarge);
        let broken = Form::read(request("--b\r\nno"), 1_000).await;
        assert_eq!(broken.err().unwrap().code, crate::error::Code::InvalidRequest);
    }
}
