//! One decision about another origin's page for everything that a request may be answered with: a preflight, a function's answer, an
//! error. Pure; the settings are passed in.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Response, StatusCode};

use super::body::{AnyBody, full};
use super::respond;
use crate::error::{Code, Error};
use crate::settings::cors::CorsSettings;
use crate::tunables::CORS_MAX_AGE_SECONDS;

/// What pages may read of every answer of the host, besides what is set.
const EXPOSED: &str =
    "caddis-execution-id, retry-after, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, x-relay-error";

/// What the host decides for a function; a function's own fields of these names do not count then.
const DECIDED: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// The decision about one request.
pub struct Cors {
    origin: Option<HeaderValue>,
    preflight: Option<Preflight>,
    settings: Option<CorsSettings>,
}

/// What a browser asks before it sends something.
struct Preflight {
    method: HeaderValue,
    headers: Option<HeaderValue>,
}

impl Cors {
    /// Decides. Without settings the function decides itself, and the host only for what it answers in the function's place: any
    /// page may read that, as it holds nothing of anybody.
    pub fn decide(method: &Method, headers: &HeaderMap, settings: Option<CorsSettings>) -> Self {
        let origin = headers.get(ORIGIN).cloned();
        let wanted =
            headers.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| method == Method::OPTIONS && origin.is_some());
        let preflight = wanted.map(|method| Preflight {
            method: method.clone(),
            headers: headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned(),
        });
        Self { origin, preflight, settings }
    }

    /// Whether a browser asks what it may do (Fetch standard, section 4.8). It never sends credentials with that.
    pub fn is_preflight(&self) -> bool {
        self.preflight.is_some()
    }

    /// The answer to a preflight that is not for the function.
    pub fn preflight(&self) -> Option<Response<AnyBody>> {
        let settings = self.settings.as_ref()?;
        let asked = self.preflight.as_ref()?;
        if self.allowed_origin(settings).is_none() {
            let origin = String::from_utf8_lossy(self.origin.as_ref()?.as_bytes()).into_owned();
            let mut refused = respond::error(&Error::new(
                Code::Forbidden,
                format!(
                    "pages of {origin:?} may not call this function; cors.origins of the function or its app says which may"
                ),
            ));
            self.finish(&mut refused);
            return Some(refused);
        }
        let mut answer = self.allow(asked, settings.methods(), settings.headers(), settings.max_age_seconds());
        self.finish(&mut answer);
        Some(answer)
    }

    fn allow(&self, asked: &Preflight, methods: &[String], headers: &[String], max_age: u32) -> Response<AnyBody> {
        let mut response = Response::new(full(Vec::new()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        let fields = response.headers_mut();
        fields.insert(ACCESS_CONTROL_ALLOW_METHODS, listed(methods).unwrap_or_else(|| asked.method.clone()));
        if let Some(names) = listed(headers).or_else(|| asked.headers.clone()) {
            fields.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
        fields.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(max_age));
        fields.append(VARY, HeaderValue::from_static("access-control-request-method, access-control-request-headers"));
        response
    }

    /// Puts the decision into an answer.
    pub fn finish(&self, response: &mut Response<AnyBody>) {
        match &self.settings {
            Some(settings) => self.decide_for(settings, response.headers_mut()),
            // What the host has answered in the function's place.
            None if response.extensions().get::<Code>().is_some() => self.help_out(response),
            None => {}
        }
    }

    fn decide_for(&self, settings: &CorsSettings, headers: &mut HeaderMap) {
        // Those that answer a preflight are put there by the host.
        let is_preflight = self.is_preflight();
        for name in DECIDED {
            let of_preflights = [ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE];
            if !is_preflight || !of_preflights.contains(&name) {
                headers.remove(name);
            }
        }
        if !settings.allows_any() {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = self.allowed_origin(settings) else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if settings.credentials() {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if !is_preflight {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed(settings.expose_headers()));
        }
    }

    /// A preflight that the function was not asked, because it is not for everybody: the request itself will tell.
    fn help_out(&self, response: &mut Response<AnyBody>) {
        if self.origin.is_none() {
            return;
        }
        if let Some(asked) = &self.preflight
            && response.status().is_client_error()
        {
            *response = self.allow(asked, &[], &[], CORS_MAX_AGE_SECONDS.default);
        }
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }

    fn allowed_origin(&self, settings: &CorsSettings) -> Option<HeaderValue> {
        let origin = self.origin.as_ref()?;
        if settings.allows_any() {
            return Some(HeaderValue::from_static("*"));
        }
        origin.to_str().is_ok_and(|text| settings.allows(text)).then(|| origin.clone())
    }
}

fn listed(names: &[String]) -> Option<HeaderValue> {
    (!names.is_empty()).then(|| HeaderValue::try_from(names.join(", ")).ok()).flatten()
}

fn exposed(names: &[String]) -> HeaderValue {
    let all = names.iter().fold(EXPOSED.to_owned(), |all, name| format!("{all}, {name}"));
    HeaderValue::try_from(all).unwrap_or_else(|_| HeaderValue::from_static(EXPOSED))
}
