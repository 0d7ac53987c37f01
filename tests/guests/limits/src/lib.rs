//! Misbehaves in the way the path asks for.

use wasip2::clocks::monotonic_clock;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{ErrorCode, Fields, IncomingRequest, OutgoingResponse, ResponseOutparam};

mod cpu;
mod host;
mod memory;
mod response;

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "caddis:function/imports" });
}

struct Limits;

impl Guest for Limits {
    fn handle(request: IncomingRequest, response: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/ok" => response::text(response, "ok"),

            "/loop" => cpu::spin(),
            "/recurse" => response::text(response, &cpu::dive(1).to_string()),

            "/sleep" => monotonic_clock::subscribe_duration(3_600_000_000_000).block(),
            "/hang-fetch" => host::fetch(query),
            "/hang-query" => host::query_without_end(),

            "/grow" => memory::allocate_without_end(),
            "/grow-quietly" => response::text(response, &memory::grow_until_refused().to_string()),
            "/many-fields" => memory::make_fields_without_end(),
            "/many-pollables" => memory::make_pollables_without_end(),
            "/big-fields" => response::text(response, &memory::fill_fields_until_refused().to_string()),
            "/much-random" => host::random(1 << 30),

            "/panic" => panic!("a deliberate panic"),
            "/unreachable" => cpu::fall_into_the_unreachable(),
            "/exit" => std::process::exit(3),
            "/no-response" => drop(response),
            "/error" => {
                ResponseOutparam::set(response, Err(ErrorCode::InternalError(Some("a deliberate error".to_owned()))));
            }
            "/flood-log" => {
                host::flood_log();
                response::text(response, "ok");
            }

            "/trap-mid-stream" => {
                let body = response::start(response, OutgoingResponse::new(Fields::new()));
                body.send(b"the first half");
                cpu::fall_into_the_unreachable();
            }
            "/sleep-mid-stream" => {
                let body = response::start(response, OutgoingResponse::new(Fields::new()));
                body.send(b"the first half");
                monotonic_clock::subscribe_duration(3_600_000_000_000).block();
            }
            "/loop-mid-stream" => {
                let body = response::start(response, OutgoingResponse::new(Fields::new()));
                body.send(b"the first half");
                cpu::spin();
            }
            "/short-body" => response::promise_more_than_sent(response),
            "/big-response" => response::megabytes(response, query.parse().expect("a number of MiB")),
            other => panic!("no page {other}"),
        }
    }
}

wasip2::http::proxy::export!(Limits);
