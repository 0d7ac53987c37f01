//! What the benchmarks measure of `caddis:function/handler`, by way of `caddis-sdk`.

use caddis_sdk::{Context, Request, Response, Result};
use serde_json::Value;

#[caddis_sdk::handler]
async fn handle(request: Request, _context: Context) -> Result<Response> {
    if request.path() == "/fib" {
        return Ok(Response::text(fib(25).to_string()));
    }
    Response::json(&request.json::<Value>().await?)
}

fn fib(n: u32) -> u32 {
    if n < 2 { n } else { fib(std::hint::black_box(n - 1)) + fib(std::hint::black_box(n - 2)) }
}
