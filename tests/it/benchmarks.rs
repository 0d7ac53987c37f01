//! What the benchmarks call answers what it should, so that they measure no errors.

use caddis_tests::guests;
use http::StatusCode;
use serde_json::json;

use crate::start;

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn the_guests_of_the_benchmarks_answer() {
    let server = start().await;
    for (name, guest) in [("lean", guests::BENCH_LEAN), ("http", guests::BENCH_HTTP)] {
        server.admin().put_component(name, guest, "").await;
        let value = json!({ "hello": "world", "numbers": [1, 2, 3] });
        assert_eq!(server.anonymous().post(name, "/", &value).await.expect(StatusCode::OK).json(), value, "{name}");
    }
    assert_eq!(server.anonymous().get("lean", "/fib").await.expect(StatusCode::OK).text(), "75025");
}
