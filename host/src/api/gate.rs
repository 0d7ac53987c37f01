//! The one gate before all routes of the management API: who calls, and may they.

use std::sync::Arc;

use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;

use super::Api;
use super::reception::Reception;
use crate::auth::KeyHash;
use crate::auth::management::{Principal, Scope};
use crate::error::{Code, Error};
use crate::http::credential::bearer;
use crate::http::rate::{Caller, Class, Quota};
use crate::ids::AppName;

/// Routes about all apps. Their handlers look at the app a token is bound to themselves.
const OF_ALL_APPS: [&str; 4] = ["/api/v1/apps", "/api/v1/token", "/api/v1/tokens", "/api/v1/tokens/{id}"];

/// Routes that show keys of an app, or hashes of its secrets, by which short ones can be guessed.
const SHOW_KEYS: [&str; 4] =
    ["/api/v1/project", "/v1/{app}/project", "/v1/projects/{app}/api-keys", "/v1/projects/{app}/secrets"];

/// Lets a request through, with who makes it.
pub(super) async fn authorize(
    State(api): State<Arc<Api>>,
    route: Option<MatchedPath>,
    names: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let presented = bearer(request.headers()).map(|token| KeyHash::of(&token));
    let known = presented.and_then(|hash| Some((hash, api.tokens.principal(hash)?)));
    let Some((presented, principal)) = known else {
        let message =
            "the management API needs the admin token, or a token made with it: Authorization: Bearer <token>";
        return Error::new(Code::Unauthorized, message).into_response();
    };
    let Some(route) = &route else { return next.run(request).await };
    let app = names.ok().and_then(|names| named_app(&names));
    let (quota, admitted) = limit(&api, &principal, class(request.method(), route.as_str()), app.as_ref());
    let permitted = admitted.and_then(|()| permit(&principal, request.method(), route.as_str(), app));
    let mut response = match permitted {
        Ok(()) => {
            let reception = Reception::new(api.tokens.clone(), presented, api.bodies.clone());
            request.extensions_mut().insert(principal);
            request.extensions_mut().insert(reception);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    if let Some(quota) = quota {
        quota.tell(response.headers_mut());
    }
    response
}

fn limit(api: &Api, principal: &Principal, class: Class, app: Option<&AppName>) -> (Option<Quota>, Result<(), Error>) {
    let caller = principal.token.map_or(Caller::Admin, Caller::Token);
    let app = api.table.app(app.unwrap_or(&AppName::default_app()));
    let of_the_app = app.and_then(|app| app.settings().rate_limits.own(class));
    api.limiter.admit(class, &caller, [principal.rate_limit, of_the_app])
}

/// What a request is counted as.
fn class(method: &Method, route: &str) -> Class {
    let is_history = route.split('/').any(|segment| ["executions", "logs", "stats"].contains(&segment));
    match *method {
        Method::GET | Method::HEAD if is_history => Class::History,
        Method::GET | Method::HEAD => Class::List,
        _ => Class::Management,
    }
}

fn named_app(names: &RawPathParams) -> Option<AppName> {
    names.iter().find(|(name, _)| *name == "app").and_then(|(_, value)| value.parse().ok())
}

fn permit(principal: &Principal, method: &Method, route: &str, named: Option<AppName>) -> Result<(), Error> {
    principal.require(needed(method, route))?;
    if OF_ALL_APPS.contains(&route) {
        return Ok(());
    }
    // A route that names no app is about the default one, if it is below the native prefix.
    let app = named.or_else(|| route.starts_with("/api/v1/").then(AppName::default_app));
    principal.require_app(app.as_ref())
}

/// What a route asks of a token. A route that is not listed wants what its method suggests.
fn needed(method: &Method, route: &str) -> Scope {
    let is_about = |resources: &[&str]| route.split('/').any(|segment| resources.contains(&segment));
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if is_about(&["tokens"]) || (!reads && is_about(&["api-keys", "apps", "user-tokens"])) {
        return Scope::Admin;
    }
    // Rows of the app's users, which no token that only looks at functions is meant for.
    if is_about(&["dump"]) {
        return Scope::Deploy;
    }
    // A key that opens all of the app is no reading matter.
    if reads && !SHOW_KEYS.contains(&route) { Scope::Read } else { Scope::Deploy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_asks_for_a_scope() {
        for (method, route, scope) in [
            (Method::GET, "/api/v1/functions", Scope::Read),
            (Method::HEAD, "/api/v1/functions", Scope::Read),
            (Method::GET, "/v1/{app}/functions/{name}/executions", Scope::Read),
            (Method::GET, "/api/v1/secrets", Scope::Read),
            (Method::GET, "/api/v1/apps", Scope::Read),
            (Method::GET, "/api/v1/db/migrations", Scope::Read),
            (Method::GET, "/v1/{app}/db/dump", Scope::Deploy),
            (Method::POST, "/v1/{app}/db/query", Scope::Deploy),
            (Method::PUT, "/api/v1/functions/{name}", Scope::Deploy),
            (Method::PUT, "/api/v1/secrets", Scope::Deploy),
            (Method::POST, "/v1/{app}/functions/{name}/rollback", Scope::Deploy),
            (Method::POST, "/api/v1/apps", Scope::Admin),
            (Method::DELETE, "/api/v1/apps/{app}", Scope::Admin),
            (Method::GET, "/api/v1/token", Scope::Read),
            (Method::POST, "/v1/{app}/functions/{name}/test", Scope::Deploy),
            (Method::GET, "/api/v1/tokens", Scope::Admin),
            (Method::POST, "/v1/{app}/api-keys", Scope::Admin),
            (Method::GET, "/v1/{app}/api-keys", Scope::Read),
            (Method::POST, "/v1/{app}/user-tokens", Scope::Admin),
            (Method::GET, "/api/v1/project", Scope::Deploy),
            (Method::GET, "/v1/projects/{app}/api-keys", Scope::Deploy),
            (Method::GET, "/v1/projects/{app}/functions", Scope::Read),
            (Method::GET, "/v1/projects/{app}/secrets", Scope::Deploy),
            (Method::DELETE, "/v1/projects/{app}/secrets", Scope::Deploy),
        ] {
            assert_eq!(needed(&method, route), scope, "{method} {route}");
        }
    }

    #[test]
    fn a_bound_token_is_for_routes_of_its_app_only() {
        let shop: AppName = "shop".parse().unwrap();
        let of =
            |app: &AppName| Principal { token: None, scope: Scope::Admin, app: Some(app.clone()), rate_limit: None };
        let permit =
            |principal, route, named: Option<&AppName>| permit(&principal, &Method::GET, route, named.cloned()).is_ok();
        assert!(permit(of(&shop), "/v1/{app}/functions", Some(&shop)));
        assert!(!permit(of(&shop), "/v1/{app}/functions", Some(&AppName::default_app())));
        assert!(!permit(of(&shop), "/api/v1/functions", None));
        assert!(permit(of(&AppName::default_app()), "/api/v1/functions", None));
        assert!(!permit(of(&shop), "/v1/projects/{ref}/functions", None), "a route of another kind is closed");
        assert!(permit(of(&shop), "/api/v1/apps", None));
    }
}
