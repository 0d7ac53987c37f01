//! Asks for two interfaces that no host has.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

wit_bindgen::generate!({
    inline: "
        package example:postal@1.2.3;
        interface letters { post: func(); }
        interface parcels { send: func(); }
        world postal { import letters; import parcels; }
    ",
    world: "postal",
    generate_all,
});

struct UnknownImports;

impl Guest for UnknownImports {
    fn handle(_request: IncomingRequest, _response: ResponseOutparam) {
        example::postal::letters::post();
        example::postal::parcels::send();
    }
}

wasip2::http::proxy::export!(UnknownImports);
