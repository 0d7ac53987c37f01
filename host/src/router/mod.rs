//! Where a request goes: pure, from its path alone. No I/O, no authentication.

pub mod table;

use crate::ids::{AppName, FunctionName, InvalidName};

/// Whose manner of calling a function a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `/functions/v1/…`
    Supabase,
    /// `/v2/function/…`
    Kliv,
    /// `/api/v1/functions/…/invoke`
    Fluxbase,
    /// `/v1/{app}/fn/…` and `/v1/{app}/functions/…/invoke`
    Butterbase,
}

/// What is spoken on a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Functions are called by their names (FX13).
    Stream,
    /// Events are, for which functions wait (BB3).
    Realtime,
}

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// A function, with the path below it.
    Invoke {
        /// In whose manner.
        dialect: Dialect,
        /// The app.
        app: AppName,
        /// The function.
        function: FunctionName,
        /// The rest of the path, with its leading slash; empty when there is none.
        rest: &'a str,
    },
    /// A WebSocket to the functions of an app; for requests that want none, what else has this path.
    Socket {
        /// The app.
        app: AppName,
        /// What is spoken on it.
        language: Language,
    },
    /// The management API, or nothing.
    Manage,
}

/// Which route a path takes. An error is a path of the right shape with an impossible name in it.
///
/// Functions of the default app:
/// - `/functions/v1/{function}[/…]` (Supabase, SB3), for any app `/projects/{app}/functions/v1/{function}[/…]`
/// - `/v2/function/{function}[/…]` (Kliv, KL9)
/// - `/api/v1/functions/{function}/invoke[/…]` (Fluxbase, FX8)
///
/// Functions of any app (Butterbase):
/// - `/v1/{app}/fn/{function}[/…]` (BB8)
/// - `/v1/{app}/functions/{function}/invoke[/…]` (BB12)
///
/// WebSockets, below `/api/v1` and `/v1/{app}`: `/functions/stream` (FX13), `/realtime` (BB3).
pub fn route(path: &str) -> Result<Route<'_>, InvalidName> {
    for (prefix, dialect) in [("/functions/v1/", Dialect::Supabase), ("/v2/function/", Dialect::Kliv)] {
        if let Some(below) = path.strip_prefix(prefix) {
            return invoke(dialect, AppName::default_app(), below);
        }
    }
    if let Some(below) = path.strip_prefix("/api/v1/") {
        return invoke_managed(Dialect::Fluxbase, AppName::default_app, below);
    }
    if let Some((app, below)) = path.strip_prefix("/projects/").and_then(|below| below.split_once('/')) {
        return match below.strip_prefix("functions/v1/") {
            Some(below) => invoke(Dialect::Supabase, app.parse()?, below),
            None => Ok(Route::Manage),
        };
    }
    let Some((app, below)) = path.strip_prefix("/v1/").and_then(|below| below.split_once('/')) else {
        return Ok(Route::Manage);
    };
    match below.strip_prefix("fn/") {
        Some(below) => invoke(Dialect::Butterbase, app.parse()?, below),
        None => match app.parse() {
            Ok(app) => invoke_managed(Dialect::Butterbase, || app, below),
            Err(_) => Ok(Route::Manage),
        },
    }
}

/// The invocation among the routes of the management API.
fn invoke_managed<'a>(
    dialect: Dialect,
    app: impl FnOnce() -> AppName,
    below: &'a str,
) -> Result<Route<'a>, InvalidName> {
    match below {
        "functions/stream" => return Ok(Route::Socket { app: app(), language: Language::Stream }),
        "realtime" => return Ok(Route::Socket { app: app(), language: Language::Realtime }),
        _ => {}
    }
    let named = below.strip_prefix("functions/").and_then(|below| below.split_once('/'));
    match named.and_then(|(name, action)| Some((name, action.strip_prefix("invoke")?))) {
        Some((name, rest)) if rest.is_empty() || rest.starts_with('/') => {
            Ok(Route::Invoke { dialect, app: app(), function: name.parse()?, rest })
        }
        _ => Ok(Route::Manage),
    }
}

fn invoke(dialect: Dialect, app: AppName, below: &str) -> Result<Route<'_>, InvalidName> {
    let end = below.find('/').unwrap_or(below.len());
    let (name, rest) = below.split_at(end);
    Ok(Route::Invoke { dialect, app, function: name.parse()?, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(path: &str) -> (String, String, String) {
        match route(path).unwrap() {
            Route::Invoke { app, function, rest, .. } => (app.to_string(), function.to_string(), rest.to_owned()),
            Route::Socket { .. } | Route::Manage => panic!("{path} is not an invocation"),
        }
    }

    #[test]
    fn invocations_keep_the_path_below_the_function() {
        let expected = |app: &str, name: &str, rest: &str| (app.to_owned(), name.to_owned(), rest.to_owned());
        assert_eq!(invocation("/functions/v1/hello"), expected("default", "hello", ""));
        assert_eq!(invocation("/functions/v1/hello/"), expected("default", "hello", "/"));
        assert_eq!(invocation("/functions/v1/hello/a%2Fb//c"), expected("default", "hello", "/a%2Fb//c"));
        assert_eq!(invocation("/v2/function/hello/x"), expected("default", "hello", "/x"));
        assert_eq!(invocation("/projects/shop/functions/v1/cart/7"), expected("shop", "cart", "/7"));
        assert_eq!(invocation("/v1/shop/fn/cart/7"), expected("shop", "cart", "/7"));
        assert_eq!(invocation("/api/v1/functions/hello/invoke"), expected("default", "hello", ""));
        assert_eq!(invocation("/api/v1/functions/invoke/invoke/invoke"), expected("default", "invoke", "/invoke"));
        assert_eq!(invocation("/v1/shop/functions/cart/invoke/7"), expected("shop", "cart", "/7"));
    }

    #[test]
    fn everything_else_is_management() {
        for path in [
            "/",
            "/v1/shop/functions",
            "/v1/shop",
            "/functions/v2/x",
            "/api/v1/functions/fn/x",
            "/v1/a/fnx/b",
            "/api/v1/functions/x/invoked",
            "/api/v1/functions/invoke",
        ] {
            assert_eq!(route(path), Ok(Route::Manage), "{path}");
        }
    }

    #[test]
    fn sockets_are_those_of_an_app() {
        for (path, app, language) in [
            ("/v1/shop/functions/stream", "shop", Language::Stream),
            ("/api/v1/functions/stream", "default", Language::Stream),
            ("/v1/shop/realtime", "shop", Language::Realtime),
            ("/api/v1/realtime", "default", Language::Realtime),
        ] {
            assert_eq!(route(path), Ok(Route::Socket { app: app.parse().unwrap(), language }));
        }
        assert_eq!(route("/v1/shop/realtime/x"), Ok(Route::Manage));
        assert_eq!(invocation("/api/v1/functions/stream/invoke").1, "stream");
    }

    #[test]
    fn impossible_names_are_errors() {
        for path in [
            "/functions/v1/",
            "/functions/v1/a%20b",
            "/v1/Shop/fn/x",
            "/v1/../fn/x",
            "/functions/v1/a.b",
            "/api/v1/functions/a.b/invoke",
        ] {
            assert!(route(path).is_err(), "{path}");
        }
    }
}
