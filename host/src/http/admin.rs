//! The admin interface: static pages, and the management API they use, at an address where no function answers.
//!
//! What a browser gets from an origin may script all of that origin. Functions are written by many, so none of their answers may come
//! from the one where people sign in to manage: that is what the address of its own is for, and why a function is tried out by
//! `POST …/test`, which answers in JSON. The fields below keep other origins' pages away, and the pages from running what they show.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tower::ServiceExt;

use super::body::{AnyBody, empty, full};
use super::listener::Answers;
use super::respond;
use crate::error::{Code, Error};

/// Where the pages are.
pub const PATH: &str = "/admin";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../admin/", $name))
    };
}

/// The files, by their paths below `/admin`.
const FILES: &[(&str, &str, &[u8])] = &[
    ("", "text/html; charset=utf-8", file!("index.html")),
    ("/assets/icon.svg", "image/svg+xml", file!("icon.svg")),
    ("/assets/style.css", "text/css; charset=utf-8", file!("style.css")),
    ("/assets/api.js", JAVASCRIPT, file!("api.js")),
    ("/assets/app.js", JAVASCRIPT, file!("app.js")),
    ("/assets/apps.js", JAVASCRIPT, file!("apps.js")),
    ("/assets/chart.js", JAVASCRIPT, file!("chart.js")),
    ("/assets/database.js", JAVASCRIPT, file!("database.js")),
    ("/assets/dom.js", JAVASCRIPT, file!("dom.js")),
    ("/assets/execution.js", JAVASCRIPT, file!("execution.js")),
    ("/assets/executions.js", JAVASCRIPT, file!("executions.js")),
    ("/assets/format.js", JAVASCRIPT, file!("format.js")),
    ("/assets/functions.js", JAVASCRIPT, file!("functions.js")),
    ("/assets/keys.js", JAVASCRIPT, file!("keys.js")),
    ("/assets/main.js", JAVASCRIPT, file!("main.js")),
    ("/assets/overview.js", JAVASCRIPT, file!("overview.js")),
    ("/assets/settings.js", JAVASCRIPT, file!("settings.js")),
    ("/assets/signin.js", JAVASCRIPT, file!("signin.js")),
    ("/assets/source.js", JAVASCRIPT, file!("source.js")),
    ("/assets/tail.js", JAVASCRIPT, file!("tail.js")),
    ("/assets/tokens.js", JAVASCRIPT, file!("tokens.js")),
    ("/assets/trial.js", JAVASCRIPT, file!("trial.js")),
    ("/assets/variables.js", JAVASCRIPT, file!("variables.js")),
    ("/assets/versions.js", JAVASCRIPT, file!("versions.js")),
];

/// What a page may do: run the modules beside it and ask the API. No text becomes markup or code, wherever it comes from.
const OF_PAGES: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// What anything else may do where a browser shows it: nothing.
const OF_THE_REST: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// What every answer says: no other page may frame it, hold a handle to it, embed it, or share its process.
const EVERYWHERE: [(HeaderName, &str); 7] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("origin-agent-cluster"), "?1"),
];

/// Answers requests to the admin interface.
pub struct Admin {
    management: Router,
}

impl Admin {
    /// The pages beside this management API.
    pub fn new(management: Router) -> Self {
        Self { management }
    }
}

impl Answers for Admin {
    async fn call(self: Arc<Self>, request: Request<Incoming>, _peer: IpAddr) -> Result<Response<AnyBody>, Infallible> {
        let (policy, mut response) = match page(request.method(), request.uri().path()) {
            Some(page) => (OF_PAGES, page),
            // Its success would turn the connection into a tunnel.
            None if request.method() == Method::CONNECT => {
                let refusal = Error::new(Code::MethodNotAllowed, "CONNECT is not possible here");
                (OF_THE_REST, respond::error(&refusal))
            }
            None => {
                let answer = self.management.clone().oneshot(request.map(axum::body::Body::new)).await?;
                (OF_THE_REST, answer.map(|body| body.map_err(Into::into).boxed_unsync()))
            }
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        for (name, value) in EVERYWHERE {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(response)
    }
}

fn page(method: &Method, path: &str) -> Option<Response<AnyBody>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    if matches!(path, "/" | "/admin/") {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        response.headers_mut().insert(LOCATION, HeaderValue::from_static(PATH));
        return Some(response);
    }
    let below = path.strip_prefix(PATH)?;
    let (_, media_type, content) = FILES.iter().find(|(path, ..)| *path == below)?;
    let mut response = Response::new(full(*content));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    Some(response)
}
