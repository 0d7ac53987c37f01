//! `caddis dev DIR`: build, serve, deploy, and say how to call it.

use std::path::Path;

use super::Failure;
use crate::config::ServeOptions;

/// Runs the command until a signal ends it.
pub(super) fn run(_directory: &Path, _options: ServeOptions) -> Result<(), Failure> {
    Err("not there yet".into())
}
