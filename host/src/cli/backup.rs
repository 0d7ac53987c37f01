//! `caddis backup` and `caddis restore`: on the data directory itself, so that they need neither a token nor a host.

use std::path::Path;

use jiff::Timestamp;

use super::Failure;
use super::serve::print;
use crate::store::backup::{self, Added, Copies, Summary};

/// Writes a backup; into a directory, the next of the copies there.
pub(super) fn write(data: &Path, file: &Path) -> Result<(), Failure> {
    if file.is_dir() {
        let Added { taken_at, is_new, bytes } = Copies::open(file)?.add(data)?;
        let what = if is_new { "a copy" } else { "nothing has changed since the last copy" };
        print(&format!("{}: {what}, {bytes} new bytes, as of {taken_at:.3}", file.display()));
    } else {
        let Summary { taken_at, apps, bytes } = backup::write(data, file)?;
        print(&format!("{}: {apps} databases of apps, {bytes} bytes, as of {taken_at}", file.display()));
    }
    if data.join("master.key").exists() {
        print(&format!(
            "keep {} apart from it: without the master key nobody can open the secrets",
            data.join("master.key").display()
        ));
    }
    Ok(())
}

/// Restores one.
pub(super) fn restore(file: &Path, data: &Path, key: Option<&Path>, at: Option<Timestamp>) -> Result<(), Failure> {
    let time = backup::restore(file, data, key, at)?;
    let time = time.map(|time| format!(" as it was at {time:.3}")).unwrap_or_default();
    print(&format!("{}: restored{time}", data.display()));
    if key.is_none() {
        print(
            "put the master key into it as master.key (mode 0600), or set CADDIS_MASTER_KEY, before you start the host",
        );
    }
    Ok(())
}
