//! The integration tests: the real binary, on a port it picks, called over HTTP.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, and says where"
)]

mod access;
mod admin;
mod admin_origin;
mod apps;
mod backup;
mod benchmarks;
mod browser;
mod butterbase;
mod command_line;
mod components;
mod compression;
mod copies;
mod cors;
mod cron;
mod crypto;
mod db;
mod db_roles;
mod density;
mod durability;
mod egress;
mod executions;
mod files;
mod floods;
mod fluxbase;
mod http;
mod instances;
mod intl;
mod isolation;
mod javascript;
mod kliv;
mod limits;
mod management;
mod node;
mod node_modules;
mod notes;
mod npm;
mod observe;
mod openapi;
mod packages;
mod rates;
mod realtime;
mod row_security;
mod schema;
mod secrets;
mod server;
mod siblings;
mod snippets;
mod stream;
mod supabase;
mod supabase_server;
mod tokens;
mod trial;
mod uploads;
mod versions;

use caddis_tests::{Options, Reply, Server};
use serde_json::Value;

/// The test that stands for each guest: a guest without a line here does not compile.
mod proof {
    pub(crate) use crate::benchmarks::the_guests_of_the_benchmarks_answer as bench_http;
    pub(crate) use crate::benchmarks::the_guests_of_the_benchmarks_answer as bench_lean;
    pub(crate) use crate::components::the_examples_of_the_sdk_answer as hello;
    pub(crate) use crate::components::the_examples_of_the_sdk_answer as whoami;
    pub(crate) use crate::files::files_are_private_and_outlive_what_made_them as files;
    pub(crate) use crate::floods::a_loop_of_host_calls_ends_when_its_time_does as floods;
    pub(crate) use crate::http::sdk_echo::a_get_arrives_as_it_was_sent as sdk_echo;
    pub(crate) use crate::http::wasip3_echo::a_get_arrives_as_it_was_sent as wasip3_echo;
    pub(crate) use crate::http::wstd_echo::a_get_arrives_as_it_was_sent as wstd_echo;
    pub(crate) use crate::isolation::a_global_has_its_first_value_in_every_request as isolation;
    pub(crate) use crate::limits::a_busy_loop_ends_when_its_fuel_does as limits;
    pub(crate) use crate::limits::a_constructor_that_never_ends_is_stopped as endless_start;
    pub(crate) use crate::notes::notes_are_still_there_after_a_restart as notes;
    pub(crate) use crate::uploads::all_unknown_imports_are_named as unknown_imports;
}

macro_rules! has_a_proof {
    ($guest:ident) => {
        const _: () = {
            #[expect(unused_imports, reason = "that the name resolves is the point")]
            use crate::proof::$guest;
        };
    };
}

caddis_tests::for_each_guest!(has_a_proof);

/// The defaults, with the binary that was just built.
fn options() -> Options {
    Options::new(env!("CARGO_BIN_EXE_caddis"))
}

/// A server with the defaults.
async fn start() -> Server {
    Server::start(options()).await
}

/// Insists on an error with this status and code, whose message has all these parts, and behind which is no execution.
#[track_caller]
fn refused(reply: &Reply, status: u16, code: &str, parts: &[&str]) {
    assert_eq!(reply.status, status, "{}", reply.text());
    let body = reply.json();
    assert_eq!(body["code"], code, "{body}");
    assert!(body["error"].is_string(), "{body}");
    let message = body["message"].as_str().unwrap_or_default();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    let mut keys = keys(&body);
    // Only where it is about a call of a function.
    keys.retain(|key| *key != "function");
    assert_eq!(keys, ["code", "error", "message"]);
}

/// Insists on the error of a function that failed.
#[track_caller]
fn failed(reply: &Reply, status: u16, code: &str, function: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.header("content-type"), ["application/json"]);
    let body = reply.json();
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["function"], function, "{body}");
    assert_eq!(body["error"], "Function execution failed", "{body}");
    assert_eq!(body["execution_id"], reply.execution_id(), "{body}");
    assert!(!body["message"].as_str().unwrap_or_default().is_empty(), "{body}");
    assert_eq!(keys(&body), ["code", "error", "execution_id", "function", "message"]);
}

/// The names of an object's fields, sorted.
#[track_caller]
fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The variables a guest sees, without those that every function has.
fn set_by_somebody(seen: &Value) -> Vec<[&str; 2]> {
    let all = seen["all"].as_array().expect("pairs").iter();
    let pairs = all.map(|pair| [pair[0].as_str().expect("a name"), pair[1].as_str().expect("a value")]);
    pairs.filter(|[name, _]| !name.starts_with("SUPABASE_")).collect()
}
