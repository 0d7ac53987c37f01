//! The generated bindings of `wit/world.wit` and `javy-shim/wit/engine.wit`.
#![allow(missing_docs, unreachable_pub, clippy::allow_attributes_without_reason, reason = "generated code")]

wit_bindgen::generate!({
    world: "caddis:engine/engine",
    path: ["../../wit", "../wit"],
    generate_all,
    pub_export_macro: true,
});
