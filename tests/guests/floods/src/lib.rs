//! Gives the host much to read, to write or to keep, in the way the path asks for.

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "caddis:function/function", generate_all });
}

use bindings::caddis::function::http::{Error, Request, Response, ResponseHead, WholeResponse};
use bindings::caddis::function::log;
use bindings::exports::caddis::function::handler::Guest;

const MIB: usize = 1024 * 1024;

struct Floods;

impl Guest for Floods {
    fn handle(request: Request) -> Result<Response, Error> {
        let target = request.path_with_query;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let count: usize = query.parse().unwrap_or(0);
        match path {
            "/ok" => whole(Vec::new(), b"ok".to_vec()),
            "/log" => log_without_end(),
            "/print" => print_without_end(),
            "/large-error" => Err(Error { message: "m".repeat(count), stack: Some("s".repeat(count)) }),
            "/large-body" => whole(Vec::new(), vec![b'x'; count * MIB]),
            "/large-field" => whole(vec![("x-large".to_owned(), vec![b'x'; count])], Vec::new()),
            "/many-fields" => whole(vec![("x".to_owned(), Vec::new()); count], Vec::new()),
            "/wrong-length" => whole(vec![("content-length".to_owned(), b"500".to_vec())], b"short".to_vec()),
            other => panic!("no page {other}"),
        }
    }
}

fn whole(headers: Vec<(String, Vec<u8>)>, body: Vec<u8>) -> Result<Response, Error> {
    Ok(Response::Whole(WholeResponse { head: ResponseHead { status: 200, headers }, body }))
}

/// Logs millions of lines at once, again and again.
fn log_without_end() -> ! {
    let lines = "\n".repeat(15 * MIB);
    loop {
        log::write(log::Level::Info, &lines);
    }
}

/// Prints as many lines as the host takes at once, again and again.
fn print_without_end() -> ! {
    let lines = [b'\n'; 4096];
    let output = wasip2::cli::stdout::get_stdout();
    loop {
        output.blocking_write_and_flush(&lines).expect("the host takes it");
    }
}

bindings::export!(Floods with_types_in bindings);
