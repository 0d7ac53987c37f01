//! The modules of the prelude.

use std::path::Path;
use std::process::Command;

use crate::Result;

/// A module as `caddis:engine/builder.boot` takes it.
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) code: String,
    /// Import specifiers and the names of the modules they stand for.
    pub(crate) imports: Vec<(String, String)>,
}

/// Packages from npm: the specifier the prelude imports them by, and the file.
const PACKAGES: [(&str, &str); 2] = [
    ("urlpattern-polyfill", "node_modules/urlpattern-polyfill/dist/urlpattern.js"),
    ("web-streams-polyfill", "node_modules/web-streams-polyfill/dist/ponyfill.mjs"),
];

/// Reads `js/*.js` and the packages they import, after `npm ci`.
pub(crate) fn load(directory: &Path) -> Result<Vec<Module>> {
    install_packages(directory)?;
    let mut modules = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "js") {
            names.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
        }
    }
    // The order must not depend on the file system: it is visible in the image.
    names.sort();
    // Own modules import each other as `./name.js`.
    let mut imports: Vec<(String, String)> =
        names.iter().map(|name| (format!("./{name}.js"), format!("caddis:{name}"))).collect();
    imports.extend(PACKAGES.iter().map(|(specifier, _)| ((*specifier).to_owned(), format!("caddis:{specifier}"))));
    for name in &names {
        let code = std::fs::read_to_string(directory.join(format!("{name}.js")))?;
        modules.push(Module { name: format!("caddis:{name}"), code, imports: imports.clone() });
    }
    for (specifier, path) in PACKAGES {
        let code = std::fs::read_to_string(directory.join(path))?;
        modules.push(Module { name: format!("caddis:{specifier}"), code, imports: Vec::new() });
    }
    Ok(modules)
}

fn install_packages(directory: &Path) -> Result<()> {
    let status = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(directory)
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("npm ci failed ({status})").into()) }
}
