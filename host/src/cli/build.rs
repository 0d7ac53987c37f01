//! `caddis build FILE`: a function in JavaScript or TypeScript as one component that needs no source any more.

use std::path::{Path, PathBuf};

use super::Failure;
use super::client::with_frames;
use super::scripts::Script;
use super::serve::{print, runtime};
use crate::app::App;
use crate::config::{Config, Keys, ServeOptions};
use crate::error::Error;

/// Runs the command.
pub(super) fn run(file: &Path, output: Option<PathBuf>, options: ServeOptions) -> Result<(), Failure> {
    let script = Script::of_file(file)?;
    let output = output.unwrap_or_else(|| PathBuf::from(format!("{}.wasm", script.name)));
    let scratch = tempfile::tempdir()?;
    let config = Config::new(options.for_scratch(scratch.path()), None, Keys::default())?;
    let component = runtime()?.block_on(async {
        let started = App::start(config).await?;
        let built = started.app.standalone(script.source()?).await;
        built.map_err(|error| explained(&error))
    })?;
    std::fs::write(&output, &component).map_err(|error| format!("{}: {error}", output.display()))?;
    print(&format!("{}: {:.1} MB, ready to upload", output.display(), component.len() as f64 / 1e6));
    Ok(())
}

/// There is no log to look into: a cause is told as well.
fn explained(error: &Error) -> Failure {
    match &error.cause {
        Some(cause) => format!("{cause:#}").into(),
        None => with_frames(error.message.to_string(), error.details.as_ref()).into(),
    }
}
