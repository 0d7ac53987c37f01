//! What Butterbase's reference asks of the host, by its ids.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{refused, start};

#[tokio::test(flavor = "multi_thread")]
async fn bb10_statistics_count_what_ran() {
    let server = start().await;
    let admin = server.admin();
    let code = "export default (req) => { if (req.method === 'PUT') throw new Error('no'); return 'ok' }";
    let body = json!({ "name": "f", "code": code, "enabled": true });
    admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    let stats = async |query: &str| admin.manage(Method::GET, &format!("/functions/f/stats{query}")).send().await;
    let none = stats("").await.expect(StatusCode::OK).json();
    let expected = json!({ "hours": 24, "count": 0, "errors": 0, "timeouts": 0, "error_rate": 0.0, "average_ms": null,
        "p50_ms": null, "p95_ms": null, "p99_ms": null, "last_invocation": null });
    assert_eq!(none, expected);

    for method in [Method::GET, Method::GET, Method::PUT, Method::GET] {
        let reply = admin.invoke(method, "f", "/").send().await;
        admin.execution("f", &reply).await;
    }
    let some: Value = stats("?hours=1").await.expect(StatusCode::OK).json();
    assert_eq!((&some["count"], &some["errors"], &some["timeouts"]), (&json!(4), &json!(1), &json!(0)), "{some}");
    assert_eq!(some["error_rate"], 0.25);
    let time = |name: &str| some[name].as_f64().unwrap();
    assert!(time("average_ms") > 0.0, "{some}");
    assert!(0.0 < time("p50_ms") && time("p50_ms") <= time("p95_ms") && time("p95_ms") <= time("p99_ms"), "{some}");
    assert!(some["last_invocation"].is_string(), "{some}");
    for query in ["?hours=0", "?hours=721", "?days=1"] {
        refused(&stats(query).await, 400, "invalid_request", &["query"]);
    }
    refused(&admin.manage(Method::GET, "/functions/g/stats").send().await, 404, "not_found", &["function"]);
}
