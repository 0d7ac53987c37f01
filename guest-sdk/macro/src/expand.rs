//! From the handler to the export of the component.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemFn, Result, ReturnType, Signature};

/// The handler followed by its export, or by what is wrong with it.
pub(crate) fn handler(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let export = parse(arguments, item.clone()).and_then(|function| {
        check(&function.sig)?;
        Ok(export(&function.sig))
    });
    // The handler is kept as it is in either case, so that nothing else in the file reports it as missing.
    let export = export.unwrap_or_else(Error::into_compile_error);
    quote! { #item #export }
}

fn parse(arguments: TokenStream, item: TokenStream) -> Result<ItemFn> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`#[caddis_sdk::handler]` takes no arguments"));
    }
    let span = item.span();
    syn::parse2(item).map_err(|_| Error::new(span, "`#[caddis_sdk::handler]` belongs on an `async fn`"))
}

fn check(signature: &Signature) -> Result<()> {
    let Signature { asyncness, fn_token, generics, inputs, output, .. } = signature;
    if asyncness.is_none() {
        return Err(Error::new_spanned(fn_token, "the handler must be async: write `async fn`"));
    }
    if !generics.params.is_empty() {
        return Err(Error::new_spanned(generics, "the handler cannot be generic: the host calls it with fixed types"));
    }
    if let Some(receiver) = signature.receiver() {
        return Err(Error::new_spanned(receiver, "the handler must be a free function, without `self`"));
    }
    match inputs.iter().nth(2) {
        _ if inputs.is_empty() => {
            return Err(Error::new(signature.paren_token.span.join(), "the handler must take a `caddis_sdk::Request`"));
        }
        Some(extra) => {
            let message =
                "the handler takes a `caddis_sdk::Request` and, if it wants, a `caddis_sdk::Context`: nothing more";
            return Err(Error::new_spanned(extra, message));
        }
        None => {}
    }
    match output {
        ReturnType::Default => {
            let message = "the handler must return `caddis_sdk::Result<caddis_sdk::Response>`";
            Err(Error::new(signature.paren_token.span.close(), message))
        }
        ReturnType::Type(..) => Ok(()),
    }
}

fn export(signature: &Signature) -> TokenStream {
    let name = &signature.ident;
    // What has to fit the author's types carries their spans, so that a wrong type is reported where it is written.
    let arguments = signature.inputs.iter().zip(["request", "context"]).map(|(input, name)| {
        let span = match input {
            FnArg::Typed(typed) => typed.ty.span(),
            FnArg::Receiver(receiver) => receiver.span(),
        };
        Ident::new(name, Span::call_site().located_at(span))
    });
    let output = match &signature.output {
        ReturnType::Type(_, output) => output.span(),
        ReturnType::Default => Span::call_site(),
    };
    let answer = Ident::new("answer", Span::call_site().located_at(output));
    quote! {
        const _: () = {
            struct Function;

            impl ::caddis_sdk::__private::wit::Guest for Function {
                fn handle(
                    request: ::caddis_sdk::__private::wit::Request,
                ) -> ::core::result::Result<::caddis_sdk::__private::wit::Response, ::caddis_sdk::__private::wit::Error> {
                    #[allow(unused_variables)]
                    let handler = async |request: ::caddis_sdk::Request, context: ::caddis_sdk::Context| {
                        let #answer = #name(#(#arguments),*).await;
                        let answer: ::core::result::Result<::caddis_sdk::Response, _> = #answer;
                        answer
                    };
                    ::caddis_sdk::__private::run(request, handler)
                }
            }

            #[cfg(target_family = "wasm")]
            ::caddis_sdk::bindings::export!(Function with_types_in ::caddis_sdk::bindings);
            // Keeps the handler in use where nothing is exported: in unit tests.
            #[cfg(not(target_family = "wasm"))]
            const _: () = {
                let _ = <Function as ::caddis_sdk::__private::wit::Guest>::handle;
            };
        };
    }
}

#[cfg(test)]
mod tests;
