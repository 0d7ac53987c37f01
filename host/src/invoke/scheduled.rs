//! The call by which the host runs a function at the times of its schedule.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::json;

use super::{Call, Origin};
use crate::auth::Identity;
use crate::error::Error;
use crate::router::table::{App, Function};
use crate::runtime::signals::Arrival;
use crate::sandbox;

impl Call {
    /// A run of a schedule: a POST to the function's own URL, in the name of the app.
    pub fn scheduled(
        app: Arc<App>,
        function: &Function,
        origin: &sandbox::origin::Origin,
        scheduled: Timestamp,
    ) -> Result<Self, Error> {
        let name = function.version.name.clone();
        let settings = &function.version.settings;
        let url = format!("{}/functions/v1/{name}", origin.project_url(&app.name));
        let body = json!({
            "trigger": "cron",
            "schedule": settings.cron_schedule,
            "timezone": settings.cron_timezone.as_deref().unwrap_or("UTC"),
            "scheduledTime": scheduled,
        });
        let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {}).boxed_unsync();
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = root_of(&url)?;
        let host = request.uri().authority().map(|authority| HeaderValue::try_from(authority.as_str()));
        if let Some(host) = host {
            request.headers_mut().insert(HOST, host.map_err(Error::internal)?);
        }
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Self {
            app,
            function: name,
            identity: Ok(Identity::ServiceRole),
            url,
            request,
            arrival: Arrival::default(),
            origin: Origin::Schedule,
            trace: None,
        })
    }
}

/// The root of a URL, as a function sees the path below its name.
fn root_of(url: &str) -> Result<Uri, Error> {
    let mut parts = url.parse::<Uri>().map_err(Error::internal)?.into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).map_err(Error::internal)
}
