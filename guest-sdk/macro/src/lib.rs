//! The attribute macro of `caddis-sdk`.

mod expand;

/// Makes an `async fn` the handler of this function; documented in `caddis-sdk`.
#[proc_macro_attribute]
pub fn handler(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand::handler(arguments.into(), item.into()).into()
}
