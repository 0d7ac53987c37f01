//! `caddis secrets rotate-key`: another master key, while the host does not run.

use std::path::Path;

use super::Failure;
use super::serve::{print, runtime};
use crate::config::{Keys, new_master_key};
use crate::data;

/// Runs the command.
pub(super) fn rotate_key(directory: &Path) -> Result<(), Failure> {
    let old = Keys::from_environment()?.master_key;
    let new = new_master_key()?;
    let resealed = runtime()?.block_on(data::rotate_key(directory, old.as_ref(), new.as_ref()))?;
    let from = match new {
        Some(_) => "start the host with CADDIS_MASTER_KEY set to the new key",
        None => "the new key is in master.key; a backup of the old one opens older backups only",
    };
    print(&format!("{resealed} values are sealed with the new key; {from}"));
    Ok(())
}
