//! `GET /` answers with text, `GET /json` with JSON, `GET /stream` with a line every 100 ms.

use std::collections::BTreeMap;

use caddis_sdk::time::{Duration, Timer};
use caddis_sdk::{Error, Request, Response, Result};

#[caddis_sdk::handler]
async fn handle(request: Request) -> Result<Response> {
    let name = request.query_value("name").unwrap_or("world".into());
    match request.path() {
        "/" => Ok(Response::text(format!("hello {name}\n"))),
        "/json" => Response::json(&BTreeMap::from([("hello", name)])),
        "/stream" => Ok(count()),
        path => Err(Error::status(404, format_args!("nothing at {path}"))),
    }
}

fn count() -> Response {
    Response::stream(|mut writer| async move {
        for number in 1..=5 {
            writer.write(format!("{number}\n")).await?;
            Timer::after(Duration::from_millis(100)).wait().await;
        }
        Ok(())
    })
    .with_header("content-type", "text/plain; charset=utf-8")
}
