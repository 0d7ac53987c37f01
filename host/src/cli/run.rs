//! `caddis run --cron NAME`: what a schedule would do, now.

use http::Method;

use super::Failure;
use super::db::Target;
use super::serve::runtime;
use crate::ids::FunctionName;

/// Runs a function of a running host as its schedule does, and writes what it answers.
pub(super) fn cron(target: &Target, name: &FunctionName) -> Result<(), Failure> {
    let path = target.path(&format!("functions/{name}/cron"));
    runtime()?.block_on(async {
        let client = target.client().await?;
        client.download(Method::POST, &path, &mut std::io::stdout().lock()).await
    })
}
