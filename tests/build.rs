//! Builds the guests and the SDK's examples to components, and writes one constant for each.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const TARGET: &str = "wasm32-wasip2";

/// What the guests are made of, seen from this package.
const WORKSPACES: [&str; 2] = ["guests", "../guest-sdk/examples"];
const OTHER_SOURCES: [&str; 3] = ["../guest-sdk/macro", "../guest-sdk/src", "../wit"];

/// What the cargo around this one says about its own build, which is for another target and another profile.
const OUTER_BUILD: [&str; 9] = [
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CLIPPY_ARGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "TARGET",
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    for source in WORKSPACES.iter().chain(&OTHER_SOURCES) {
        println!("cargo::rerun-if-changed={}", package.join(source).display());
    }
    add_target()?;
    let mut components = BTreeMap::new();
    for workspace in WORKSPACES {
        for (name, path) in build_workspace(&package.join(workspace), &out.join("target"))? {
            if let Some(other) = components.insert(name, path) {
                return Err(format!("two guests have the name of {}", other.display()));
            }
        }
    }
    write(&out.join("guests.rs"), &constants(&components)?)
}

fn variable(name: &str) -> Result<OsString, String> {
    std::env::var_os(name).ok_or_else(|| format!("cargo sets {name}"))
}

/// Makes sure that the standard library for the target is there.
fn add_target() -> Result<(), String> {
    let found = Command::new(variable("RUSTC")?)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| format!("rustc does not start: {error}"))?;
    if Path::new(String::from_utf8_lossy(&found.stdout).trim()).exists() {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).stdout(Stdio::null()).status();
    match added {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("the guests need the target {TARGET}; run: rustup target add {TARGET}")),
    }
}

/// Builds all members and returns the name and the file of each that is a component.
fn build_workspace(workspace: &Path, target_directory: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .args(["build", "--release", "--locked", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .arg("--target-dir")
        .arg(target_directory)
        .current_dir(workspace)
        .stderr(Stdio::inherit());
    for name in OUTER_BUILD {
        cargo.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PROFILE_") {
            cargo.env_remove(name);
        }
    }
    let built = cargo.output().map_err(|error| format!("cargo does not start in {}: {error}", workspace.display()))?;
    if !built.status.success() {
        return Err(format!("the guests in {} do not build", workspace.display()));
    }
    Ok(String::from_utf8_lossy(&built.stdout).lines().filter_map(component).collect())
}

/// The component this message of cargo tells of.
fn component(message: &str) -> Option<(String, PathBuf)> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let name = message.pointer("/target/name")?.as_str()?.replace('-', "_");
    let files = message.get("filenames")?.as_array()?;
    let file = files.iter().filter_map(|file| file.as_str()).find(|file| file.ends_with(".wasm"))?;
    Some((name, file.into()))
}

fn constants(components: &BTreeMap<String, PathBuf>) -> Result<String, String> {
    let mut code = String::new();
    let mut calls = String::new();
    for (name, path) in components {
        let constant = name.to_uppercase();
        writeln!(
            code,
            "/// The guest `{name}`.\npub const {constant}: Guest = Guest {{ name: {name:?}, path: {path:?} }};"
        )
        .and_then(|()| writeln!(calls, "        $check!({name});"))
        .map_err(|error| error.to_string())?;
    }
    code.push_str(
        "/// Calls a macro with the name of each guest, so that the test binary can insist on a test for each.\n\
         #[macro_export]\nmacro_rules! for_each_guest {\n    ($check:ident) => {\n",
    );
    code.push_str(&calls);
    code.push_str("    };\n}\n");
    Ok(code)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
