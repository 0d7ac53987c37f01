//! Requests to other functions of the same app. They look like any other, and never leave the host.

use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use wasmtime_wasi_http::{Error, Result, WasiBody};

use crate::ids::FunctionName;

/// The host that stands for the functions of the app: `http://functions.caddis.internal/{name}/path`. No name server is ever asked for
/// it (`.internal` is reserved for such names).
pub const FUNCTIONS_HOST: &str = "functions.caddis.internal";

/// The other functions of an execution's app.
pub trait Siblings: Send {
    /// Calls one. The path of the request is what follows the function's name in `url`.
    fn call(
        &self,
        function: FunctionName,
        url: String,
        request: Request<WasiBody>,
    ) -> BoxFuture<'static, Result<Response<WasiBody>>>;
}

/// The function a URI of [`FUNCTIONS_HOST`] names, and the URI below it; `None` for any other host.
pub(super) fn addressed(uri: &Uri) -> Option<Result<(FunctionName, Uri)>> {
    uri.host().is_some_and(|host| host.eq_ignore_ascii_case(FUNCTIONS_HOST)).then(|| below(uri))
}

fn below(uri: &Uri) -> Result<(FunctionName, Uri)> {
    let invalid = || Error::HttpRequestUriInvalid;
    let path = uri.path().strip_prefix('/').unwrap_or_default();
    let (name, rest) = path.split_once('/').unwrap_or((path, ""));
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let below = Uri::builder().scheme("http").authority(FUNCTIONS_HOST).path_and_query(format!("/{rest}{query}"));
    Ok((name.parse().map_err(|_| invalid())?, below.build().map_err(|_| invalid())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_a_function_and_what_is_below_it() {
        let below = |uri: &str| {
            addressed(&uri.parse().unwrap()).map(|found| found.map(|(name, uri)| (name.to_string(), uri.to_string())))
        };
        let found = |name: &str, uri: &str| (name.to_owned(), format!("http://functions.caddis.internal{uri}"));
        assert_eq!(below("http://functions.caddis.internal/a/b/c?d=e").unwrap().unwrap(), found("a", "/b/c?d=e"));
        assert_eq!(below("https://Functions.Caddis.Internal:81/a_B").unwrap().unwrap(), found("a_B", "/"));
        assert!(below("http://functions.caddis.internal/").unwrap().is_err());
        assert!(below("http://functions.caddis.internal/a%20b/").unwrap().is_err());
        assert!(below("http://functions.caddis.internal.example/a").is_none());
    }
}
