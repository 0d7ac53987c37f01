//! Where a request goes: pure, from its path alone. No I/O, no authentication.

pub mod table;

use crate::ids::{AppName, FunctionName, InvalidName};

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// A function, with the path below it.
    Invoke {
        /// The app.
        app: AppName,
        /// The function.
        function: FunctionName,
        /// The rest of the path, with its leading slash; empty when there is none.
        rest: &'a str,
    },
    /// The management API, or nothing.
    Manage,
}

/// Which route a path takes. An error is a path of the right shape with an impossible name in it.
///
/// - `/functions/v1/{function}[/…]` (Supabase): a function of the default app
/// - `/v1/{app}/fn/{function}[/…]` (BB8)
pub fn route(path: &str) -> Result<Route<'_>, InvalidName> {
    if let Some(below) = path.strip_prefix("/functions/v1/") {
        return invoke(AppName::default_app(), below);
    }
    let app_route = path.strip_prefix("/v1/").and_then(|below| below.split_once('/'));
    match app_route {
        Some((app, below)) => match below.strip_prefix("fn/") {
            Some(below) => invoke(app.parse()?, below),
            None => Ok(Route::Manage),
        },
        None => Ok(Route::Manage),
    }
}

fn invoke(app: AppName, below: &str) -> Result<Route<'_>, InvalidName> {
    let end = below.find('/').unwrap_or(below.len());
    let (name, rest) = below.split_at(end);
    Ok(Route::Invoke { app, function: name.parse()?, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(path: &str) -> (String, String, String) {
        match route(path).unwrap() {
            Route::Invoke { app, function, rest } => (app.to_string(), function.to_string(), rest.to_owned()),
            Route::Manage => panic!("{path} is not an invocation"),
        }
    }

    #[test]
    fn invocations_keep_the_path_below_the_function() {
        let expected = |app: &str, name: &str, rest: &str| (app.to_owned(), name.to_owned(), rest.to_owned());
        assert_eq!(invocation("/functions/v1/hello"), expected("default", "hello", ""));
        assert_eq!(invocation("/functions/v1/hello/"), expected("default", "hello", "/"));
        assert_eq!(invocation("/functions/v1/hello/a%2Fb//c"), expected("default", "hello", "/a%2Fb//c"));
        assert_eq!(invocation("/v1/shop/fn/cart/7"), expected("shop", "cart", "/7"));
    }

    #[test]
    fn everything_else_is_management() {
        for path in ["/", "/v1/shop/functions", "/v1/shop", "/functions/v2/x", "/api/v1/functions/fn/x", "/v1/a/fnx/b"]
        {
            assert_eq!(route(path), Ok(Route::Manage), "{path}");
        }
    }

    #[test]
    fn impossible_names_are_errors() {
        for path in ["/functions/v1/", "/functions/v1/a%20b", "/v1/Shop/fn/x", "/v1/../fn/x", "/functions/v1/a.b"] {
            assert!(route(path).is_err(), "{path}");
        }
    }
}
