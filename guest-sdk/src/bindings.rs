//! What wit-bindgen makes of the world `function`. The streams are those of the `wasip2` crate, so that `wstd` can wait for them.
#![allow(
    unsafe_code,
    clippy::allow_attributes_without_reason,
    reason = "generated code that crosses the boundary of the sandbox"
)]

wit_bindgen::generate!({
    path: "../wit",
    world: "function",
    with: {
        "wasi:io/error@0.2.0": wasip2::io::error,
        "wasi:io/poll@0.2.0": wasip2::io::poll,
        "wasi:io/streams@0.2.0": wasip2::io::streams,
    },
    additional_derives: [PartialEq],
    additional_derives_ignore: ["request-body", "request", "transaction", "connection", "cursor"],
    pub_export_macro: true,
});
