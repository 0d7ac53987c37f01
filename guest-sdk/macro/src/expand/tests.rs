//! Each mistake is reported once, in words that help, at the place of the mistake.

use proc_macro2::TokenStream;

/// The error for this handler, and the source it points at.
fn mistake(arguments: &str, item: &str) -> (String, String) {
    let parse = |text: &str| text.parse::<TokenStream>().unwrap();
    let function = super::parse(parse(arguments), parse(item));
    let error = function.and_then(|function| super::check(&function.sig)).unwrap_err();
    (error.to_string(), error.span().source_text().unwrap_or_default())
}

#[test]
fn good_handlers_are_kept_and_exported() {
    for item in [
        "async fn handle(request: Request) -> Result<Response> { todo!() }",
        "pub async fn handle(_: Request, context: Context) -> Result<Response, Mine> { todo!() }",
    ] {
        let expanded = super::handler(TokenStream::new(), item.parse().unwrap());
        let file: syn::File = syn::parse2(expanded).unwrap();
        assert!(matches!(file.items.as_slice(), [syn::Item::Fn(_), syn::Item::Const(_)]));
    }
}

#[test]
fn mistakes_are_reported_where_they_are() {
    for (item, message, place) in [
        ("fn handle(r: Request) -> R { }", "must be async", "fn"),
        ("async fn handle() -> R { }", "must take a `caddis_sdk::Request`", "()"),
        ("async fn handle(r: Request, c: Context, x: u8) -> R { }", "nothing more", "x: u8"),
        ("async fn handle(r: Request) { }", "must return", ")"),
        ("async fn handle<T>(r: T) -> R { }", "cannot be generic", "<T>"),
        ("async fn handle(&self) -> R { }", "without `self`", "&self"),
        ("struct Handle;", "belongs on an `async fn`", "struct Handle;"),
    ] {
        let (text, source) = mistake("", item);
        assert!(text.contains(message), "{item}: {text}");
        assert_eq!(source, place, "{item}");
    }
}

#[test]
fn arguments_are_refused() {
    let (text, source) = mistake("path", "async fn handle(r: Request) -> R { }");
    assert!(text.contains("takes no arguments"));
    assert_eq!(source, "path");
}
