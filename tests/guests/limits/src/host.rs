//! What leans on the host.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, OutgoingRequest, Scheme};

use crate::bindings::caddis::function::db;

/// Waits for the response of a server that never sends one.
pub fn fetch(authority: &str) {
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).expect("http is a scheme");
    request.set_authority(Some(authority)).expect("the query is an authority");
    request.set_path_with_query(Some("/")).expect("/ is a path");
    let response = outgoing_handler::handle(request, None).expect("the request goes out");
    response.subscribe().block();
}

/// Counts from one upwards.
pub fn query_without_end() {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let result = db::query(sql, &[]);
    panic!("the query ended: {result:?}");
}

/// Asks for this many random bytes at once.
pub fn random(bytes: u64) {
    let bytes = wasip2::random::random::get_random_bytes(bytes);
    panic!("the host gave {} bytes", bytes.len());
}

/// Writes far more lines, and longer ones, than a record keeps.
pub fn flood_log() {
    let long_line = "x".repeat(100_000);
    for number in 0..5_000 {
        println!("line {number}");
    }
    for _ in 0..20 {
        eprintln!("{long_line}");
    }
}
