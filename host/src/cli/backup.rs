//! `caddis backup` and `caddis restore`: on the data directory itself, so that they need neither a token nor a host.

use std::path::Path;

use super::Failure;
use super::serve::print;
use crate::store::backup::{self, Summary};

/// Writes a backup.
pub(super) fn write(data: &Path, file: &Path) -> Result<(), Failure> {
    let Summary { taken_at, apps, bytes } = backup::write(data, file)?;
    print(&format!("{}: {apps} databases of apps, {bytes} bytes, as of {taken_at}", file.display()));
    if data.join("master.key").exists() {
        print(&format!(
            "keep {} apart from it: without the master key nobody can open the secrets",
            data.join("master.key").display()
        ));
    }
    Ok(())
}

/// Restores one.
pub(super) fn restore(file: &Path, data: &Path, key: Option<&Path>) -> Result<(), Failure> {
    backup::restore(file, data, key)?;
    print(&format!("{}: restored", data.display()));
    if key.is_none() {
        print(
            "put the master key into it as master.key (mode 0600), or set CADDIS_MASTER_KEY, before you start the host",
        );
    }
    Ok(())
}
