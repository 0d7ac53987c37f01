//! Never gets as far as its handler: its constructor, which runs when the component is instantiated, does not end.

use std::sync::atomic::{AtomicU64, Ordering};

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

static TURNS: AtomicU64 = AtomicU64::new(0);

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = spin;

extern "C" fn spin() {
    loop {
        TURNS.fetch_add(1, Ordering::Relaxed);
    }
}

struct EndlessStart;

impl Guest for EndlessStart {
    fn handle(_request: IncomingRequest, _response: ResponseOutparam) {}
}

wasip2::http::proxy::export!(EndlessStart);
