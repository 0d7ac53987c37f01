//! Looks for traces of other requests: a global that should have its first value, memory that should be zero.

use std::sync::atomic::{AtomicU64, Ordering};

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Isolation;

impl Guest for Isolation {
    fn handle(request: IncomingRequest, response: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let body = read(&request);
        respond(
            response,
            match path.as_str() {
                "/count" => COUNT.fetch_add(1, Ordering::Relaxed) + 1,
                "/fill" => fill(&body),
                "/search" => search(&body),
                other => panic!("no page {other}"),
            },
        );
    }
}

wasip2::http::proxy::export!(Isolation);

/// Part of the component's initial data, and not zero.
static COUNT: AtomicU64 = AtomicU64::new(41);

/// What `/search` gets is the pattern with each byte XORed with this, so that the request does not match itself.
const MASK: u8 = 0x5a;

const PAGE_BYTES: usize = 64 * 1024;
const FILLED_BYTES: usize = 24 * 1024 * 1024;
const SEARCHED_PAGES: usize = 48 * 16;

/// Fills 24 MiB with copies of the pattern and tells how many there are.
fn fill(pattern: &[u8]) -> u64 {
    let copies = FILLED_BYTES / pattern.len();
    std::hint::black_box(pattern.repeat(copies).leak());
    copies as u64
}

/// Grows the memory to 48 MiB or more and counts the places in it where the pattern stands.
fn search(masked: &[u8]) -> u64 {
    let missing = SEARCHED_PAGES.saturating_sub(core::arch::wasm32::memory_size(0));
    assert_ne!(core::arch::wasm32::memory_grow(0, missing), usize::MAX, "the memory may grow to 48 MiB");
    let end = core::arch::wasm32::memory_size(0) * PAGE_BYTES;
    let first = masked[0] ^ MASK;
    // From 1: Rust has no reference to the address 0.
    (1..=end - masked.len()).filter(|&start| byte_at(start) == first && stands_at(start, masked)).count() as u64
}

fn stands_at(start: usize, masked: &[u8]) -> bool {
    masked.iter().enumerate().all(|(offset, &byte)| byte_at(start + offset) ^ MASK == byte)
}

#[inline(always)]
fn byte_at(address: usize) -> u8 {
    // SAFETY: the address is inside the linear memory, where every byte can be read.
    unsafe { core::ptr::read_volatile(address as *const u8) }
}

fn read(request: &IncomingRequest) -> Vec<u8> {
    let body = request.consume().expect("the body is there");
    let stream = body.stream().expect("the stream is there");
    let mut bytes = Vec::new();
    while let Ok(mut piece) = stream.blocking_read(4096) {
        bytes.append(&mut piece);
    }
    drop(stream);
    IncomingBody::finish(body);
    bytes
}

fn respond(to: ResponseOutparam, number: u64) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("the body is there");
    ResponseOutparam::set(to, Ok(response));
    let stream = body.write().expect("the stream is there");
    stream.blocking_write_and_flush(number.to_string().as_bytes()).expect("the client reads");
    drop(stream);
    OutgoingBody::finish(body, None).expect("the body is complete");
}
