//! What an operator sees: metrics, traces, the log as it comes and as a file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use caddis_tests::{Client, Options, Server, Stub, eventually, stub};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{options, refused, start};

const CODE: &str = "export default (req) => {
    console.log('called with', new URL(req.url).search);
    if (req.method === 'PUT') throw new Error('no, \"never\"');
    return new Response('=1+1, ok');
}";

async fn deploy(app: &Client, name: &str, code: &str) {
    let body = json!({ "name": name, "code": code, "enabled": true, "access": { "policy": "public" } });
    app.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

/// The samples of an exposition, by name and labels; insists on what `promtool check metrics` insists on.
fn samples(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'), "the last line ends");
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
    let (mut kinds, mut samples, mut finished) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let mut current = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(is_name(name) && !help.is_empty(), "{line}");
            finished.insert(std::mem::replace(&mut current, name.to_owned()));
            assert!(!finished.contains(name), "{name} is there in one piece");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, current, "the type follows the help");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            kinds.insert(name.to_owned(), kind.to_owned());
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let family = match kinds.get(name) {
                Some(_) => name,
                None => ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name),
            };
            assert_eq!(family, current, "{line} stands below its type");
            assert!(is_name(name) && kinds.contains_key(family), "{line}");
            assert!(
                samples.insert(series.to_owned(), value.parse::<f64>().unwrap()).is_none(),
                "{series} is there twice"
            );
        }
    }
    samples
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_prometheus_s_and_count_what_ran() {
    let server = start().await;
    let admin = server.admin();
    let shop = admin.create_app("shop").await;
    deploy(&admin, "f", CODE).await;
    deploy(&shop, "f", CODE).await;
    deploy(&shop, "never-called", CODE).await;
    for method in [Method::GET, Method::GET, Method::PUT] {
        let reply = shop.invoke(method, "f", "/?customer=secret").send().await;
        shop.execution("f", &reply).await;
    }
    let reply = admin.get("f", "/").await;
    admin.execution("f", &reply).await;
    server.anonymous().get("missing", "/").await.expect(StatusCode::NOT_FOUND);

    let reply = admin.call(Method::GET, "/metrics").send().await.expect(StatusCode::OK);
    assert_eq!(reply.header("content-type"), ["text/plain; version=0.0.4; charset=utf-8"]);
    let found = samples(&reply.text());
    let value = |series: &str| found.get(series).copied().unwrap_or_else(|| panic!("{series} in {}", reply.text()));
    let of_shop = r#"app="shop",function="f""#;
    assert_eq!(value(&format!("caddis_function_executions_total{{{of_shop},status=\"success\"}}")), 2.0);
    assert_eq!(value(&format!("caddis_function_executions_total{{{of_shop},status=\"error\"}}")), 1.0);
    assert_eq!(value(&format!("caddis_function_errors_total{{{of_shop},code=\"function_error\"}}")), 1.0);
    assert_eq!(value(&format!("caddis_function_duration_seconds_count{{{of_shop}}}")), 3.0);
    assert!(value(&format!("caddis_function_duration_seconds_sum{{{of_shop}}}")) > 0.0);
    assert!(value(&format!("caddis_function_fuel_total{{{of_shop}}}")) > 1_000.0);
    assert_eq!(value(r#"caddis_function_executions_total{app="default",function="f",status="success"}"#), 1.0);
    assert_eq!(value(r#"caddis_requests_refused_total{code="not_found"}"#), 1.0);
    assert_eq!((value("caddis_apps"), value("caddis_functions")), (2.0, 3.0));
    assert!(value("process_resident_memory_bytes") > 1e6 && value("caddis_guest_memory_limit_bytes") > 1e6);
    let mut below = 0.0;
    for bound in [
        "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "300",
        "+Inf",
    ] {
        let bucket = value(&format!("caddis_function_duration_seconds_bucket{{{of_shop},le=\"{bound}\"}}"));
        assert!(bucket >= below, "buckets add up");
        below = bucket;
    }
    assert_eq!(below, 3.0);
    assert!(!reply.text().contains("secret") && !reply.text().contains("never-called"), "{}", reply.text());

    deploy_again(&shop).await;
    let reply = shop.get("f", "/").await;
    shop.execution("f", &reply).await;
    let later = samples(&admin.call(Method::GET, "/metrics").send().await.text());
    assert_eq!(later[&format!("caddis_function_duration_seconds_count{{{of_shop}}}")], 4.0, "a new version counts on");

    refused(&server.anonymous().call(Method::GET, "/metrics").send().await, 401, "unauthorized", &["token"]);
    let bound = json!({ "name": "ci", "scope": "read", "app": "shop" });
    let made = admin.call(Method::POST, "/api/v1/tokens").json(&bound).send().await.expect(StatusCode::CREATED).json();
    let bound = server.anonymous().with_token(made["token"].as_str().unwrap());
    assert_eq!(bound.call(Method::GET, "/metrics").send().await.status, StatusCode::FORBIDDEN);
}

async fn deploy_again(app: &Client) {
    app.change("f", &json!({ "code": CODE })).await.expect(StatusCode::OK);
}

/// Options that open the stub to functions.
pub(crate) fn opened_to(stub: &Stub) -> Options {
    options().flag("--allow-egress", stub.address())
}

/// A service that keeps the header fields of each request.
pub(crate) async fn recorder() -> (Stub, Arc<Mutex<Vec<BTreeMap<String, String>>>>) {
    let seen: Arc<Mutex<Vec<BTreeMap<String, String>>>> = Arc::default();
    let keeps = seen.clone();
    let stub = Stub::start(move |request| {
        let fields =
            request.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        keeps.lock().unwrap().push(fields.collect());
        stub::answer(200, "text/plain", "ok")
    })
    .await;
    (stub, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_through_functions_to_what_they_call() {
    let (service, seen) = recorder().await;
    let server = Server::start(opened_to(&service)).await;
    let code = format!(
        "export default async (req) => {{
            const headers = req.headers.has('x-own') ? {{ traceparent: 'mine' }} : {{}};
            await fetch('{}/a', {{ headers }});
            return new Response(req.headers.get('traceparent'));
        }}",
        service.url()
    );
    deploy(&server.admin(), "f", &code).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let call = || server.anonymous().invoke(Method::GET, "f", "/");
    let reply = call().header("traceparent", parent).header("tracestate", "vendor=1").send().await;
    assert_eq!(reply.expect(StatusCode::OK).text(), parent, "the function sees what came");
    call().header("traceparent", "00-zz").send().await.expect(StatusCode::OK);
    call().send().await.expect(StatusCode::OK);
    call().header("traceparent", parent).header("x-own", "1").send().await.expect(StatusCode::OK);

    let seen = seen.lock().unwrap();
    let sent: Vec<_> = seen.iter().map(|fields| fields.get("traceparent").map(String::as_str)).collect();
    let first = sent[0].unwrap();
    assert!(first.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && first.ends_with("-01"), "{first}");
    assert_ne!(first, parent, "the execution is a span of its own");
    assert_eq!(seen[0]["tracestate"], "vendor=1");
    assert_eq!(sent[1..], [None, None, Some("mine")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn allowed_hosts_are_the_only_ones_a_function_reaches() {
    let (service, seen) = recorder().await;
    let server = Server::start(opened_to(&service)).await;
    let admin = server.admin();
    let code = format!(
        "export default async () => {{ try {{ return new Response(await (await fetch('{}')).text()) }} catch {{ return new Response('closed') }} }}",
        service.url()
    );
    deploy(&admin, "f", &code).await;
    let (host, port) = (service.address().ip(), service.address().port());
    for (hosts, expected) in [
        (json!([]), "ok"),
        (json!(["api.example.com"]), "closed"),
        (json!([format!("{host}")]), "ok"),
        (json!([format!("{host}:{port}")]), "ok"),
        (json!([format!("{host}:1")]), "closed"),
        (json!(["*.example.com", format!("{host}:{port}")]), "ok"),
    ] {
        admin.change("f", &json!({ "allowed_hosts": hosts })).await.expect(StatusCode::OK);
        assert_eq!(admin.get("f", "/").await.text(), expected, "{hosts}");
    }
    admin.change("f", &json!({ "allowed_hosts": [], "allow_net": false })).await.expect(StatusCode::OK);
    assert_eq!(admin.get("f", "/").await.text(), "closed");
    assert_eq!(seen.lock().unwrap().len(), 4, "what is closed is never asked");
    for hosts in [json!(["https://a"]), json!(["a b"]), json!("a"), json!(vec!["a.example"; 101])] {
        refused(
            &admin.change("f", &json!({ "allowed_hosts": hosts })).await,
            400,
            "invalid_request",
            &["allowed_hosts"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_are_exported_as_csv_and_json_lines() {
    let server = start().await;
    let admin = server.admin();
    deploy(&admin, "f", CODE).await;
    let mut ids = Vec::new();
    for method in [Method::GET, Method::PUT, Method::GET] {
        let reply = admin.invoke(method, "f", "/a,b").send().await;
        admin.execution("f", &reply).await;
        ids.insert(0, reply.execution_id());
    }
    let export =
        async |query: &str| admin.manage(Method::GET, &format!("/functions/f/executions/export{query}")).send().await;
    let lines = export("").await.expect(StatusCode::OK);
    assert_eq!(lines.header("content-type"), ["application/jsonl"]);
    assert_eq!(lines.header("content-disposition"), ["attachment; filename=\"f-executions.jsonl\""]);
    let rows: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows, admin.executions("f", "").await, "the same as the list has");

    let csv = export("?format=csv&status=error").await.expect(StatusCode::OK);
    assert_eq!(csv.header("content-type"), ["text/csv; charset=utf-8; header=present"]);
    let text = csv.text();
    let mut lines = text.split("\r\n");
    assert!(
        lines.next().unwrap().starts_with("id,function_id,function_version,trigger_type,user_id,method,path,status,")
    );
    let row = lines.next().unwrap();
    assert!(row.starts_with(&ids[1]) && row.contains(",PUT,\"/a,b\",error,500,"), "{row}");
    assert!(row.contains("\"Error: no, \"\"never\"\"\""), "{row}");
    let all = export("?format=csv").await.text();
    assert!(all.contains(",\"'=1+1, ok\","), "no formulas for spreadsheets: {all}");
    assert_eq!(export("?since=2099-01-01T00:00:00Z").await.text(), "");
    refused(&export("?format=xml").await, 400, "invalid_request", &["format"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_whole_over_many_pages() {
    let server = start().await;
    let admin = server.admin();
    deploy(&admin, "f", "export default () => new Response('ok')").await;
    let mut session = server.anonymous().session().await;
    for _ in 0..1_201 {
        session.send(server.anonymous().invoke(Method::GET, "f", "/")).await.expect(StatusCode::OK);
    }
    let text = eventually("all records", async || {
        let reply = admin.manage(Method::GET, "/functions/f/executions/export").send().await.expect(StatusCode::OK);
        Some(reply.text()).filter(|text| text.lines().count() == 1_201)
    })
    .await;
    let ids: BTreeSet<String> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].to_string()).collect();
    assert_eq!(ids.len(), 1_201, "none twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_followed_as_it_comes() {
    let mut server = start().await;
    let admin = server.admin();
    deploy(&admin, "f", CODE).await;
    deploy(&admin, "other", CODE).await;
    let mut stream = admin.manage(Method::GET, "/functions/f/executions/stream").start().await;
    assert_eq!(
        (stream.status, stream.headers["content-type"].to_str().unwrap()),
        (StatusCode::OK, "text/event-stream")
    );
    let mut next = async || String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert_eq!(next().await, ": following\n\n");
    admin.get("other", "/").await.expect(StatusCode::OK);
    let reply = admin.get("f", "/?a=1").await.expect(StatusCode::OK);
    let event = next().await;
    let (head, data) = event.split_once("data: ").unwrap();
    assert_eq!(head, format!("event: execution\nid: {}\n", reply.execution_id()));
    let data: Value = serde_json::from_str(data.trim_end()).unwrap();
    assert_eq!((&data["status"], &data["logs"]), (&json!("success"), &json!("console.log: called with ?a=1")));
    refused(&admin.manage(Method::GET, "/functions/g/executions/stream").send().await, 404, "not_found", &[]);

    let wanted = json!({ "name": "reader", "scope": "read" });
    let made = admin.call(Method::POST, "/api/v1/tokens").json(&wanted).send().await.expect(StatusCode::CREATED).json();
    let reader = server.anonymous().with_token(made["token"].as_str().unwrap());
    let mut followed = reader.manage(Method::GET, "/functions/f/executions/stream").start().await;
    assert_eq!(followed.next().await.unwrap().unwrap(), ": following\n\n");
    let token = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    admin.call(Method::DELETE, &token).send().await.expect(StatusCode::NO_CONTENT);
    admin.get("f", "/").await.expect(StatusCode::OK);
    assert!(followed.next().await.is_none(), "a token that is gone shows nothing more");

    server.terminate();
    while let Some(Ok(rest)) = stream.next().await {
        assert!(rest.starts_with(b"event: execution"), "{rest:?}");
    }
    assert!(stream.next().await.is_none(), "a followed log does not hold up the shutdown");
    server.wait().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_are_exported_as_spans() {
    let received: Arc<Mutex<Vec<Value>>> = Arc::default();
    let keeps = received.clone();
    let collector = Stub::start(move |request| {
        keeps.lock().unwrap().push(serde_json::from_slice(request.body()).unwrap());
        stub::answer(200, "application/json", "{}")
    })
    .await;
    let server = Server::start(options().flag("--otlp-endpoint", collector.url())).await;
    let admin = server.admin();
    deploy(&admin, "f", CODE).await;
    let parent = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
    let call = |method: Method| server.anonymous().invoke(method, "f", "/a?b=c");
    let traced = call(Method::GET).header("traceparent", format!("00-{parent}-01")).send().await.expect(StatusCode::OK);
    call(Method::GET).header("traceparent", format!("00-{parent}-00")).send().await.expect(StatusCode::OK);
    call(Method::PUT).send().await.expect(StatusCode::INTERNAL_SERVER_ERROR);
    let spans = eventually("two spans", async || {
        let received = received.lock().unwrap();
        let spans = received
            .iter()
            .flat_map(|request| request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone());
        Some(spans.collect::<Vec<_>>()).filter(|spans| spans.len() == 2)
    })
    .await;
    assert!(collector.requests().iter().all(|line| line == "POST /v1/traces"), "{:?}", collector.requests());
    let attribute = |span: &Value, key: &str| {
        let found = span["attributes"].as_array().unwrap().iter().find(|attribute| attribute["key"] == key).cloned();
        found.map(|attribute| attribute["value"].clone()).unwrap_or_default()
    };
    let (fine, failed) = (&spans[0], &spans[1]);
    assert_eq!((&fine["traceId"], &fine["parentSpanId"]), (&json!(&parent[..32]), &json!(&parent[33..])), "{fine}");
    assert_eq!((fine["name"].as_str(), fine.get("status")), (Some("GET f"), None));
    assert_eq!(attribute(fine, "faas.invocation_id")["stringValue"], traced.execution_id());
    assert_eq!(attribute(fine, "url.path")["stringValue"], "/a", "and no query");
    assert_eq!((failed["status"]["code"].as_i64(), failed.get("parentSpanId")), (Some(2), None), "{failed}");
    assert_eq!(attribute(failed, "error.type")["stringValue"], "function_error");
    let time = |name: &str| fine[name].as_str().unwrap().parse::<u64>().unwrap();
    assert!(
        1_700_000_000_000_000_000 < time("startTimeUnixNano") && time("startTimeUnixNano") <= time("endTimeUnixNano")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let server = Server::start(options().flag("--otlp-endpoint", "http://127.0.0.1:1")).await;
    let admin = server.admin();
    deploy(&admin, "f", CODE).await;
    server.anonymous().get("f", "/").await.expect(StatusCode::OK);
    eventually("a dropped span", async || {
        let found = samples(&admin.call(Method::GET, "/metrics").send().await.text());
        (found["caddis_spans_dropped_total"] == 1.0).then_some(())
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let ended = options().flag("--otlp-endpoint", "collector:4318").run_to_end(directory.path()).await;
    let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && complaint.contains("--otlp-endpoint"), "{complaint}");
}
