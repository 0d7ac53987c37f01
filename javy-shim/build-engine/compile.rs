//! Runs cargo for the engine, so that the result does not depend on where it runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use javy_shim::STACK_SIZE;

use crate::Result;

const TARGET: &str = "wasm32-unknown-unknown";

/// The C compiler and archiver of the committed engine; `CADDIS_CLANG` and `CADDIS_LLVM_AR` name others.
const CLANG: &str = "clang-19";
const LLVM_AR: &str = "llvm-ar-19";

/// Lets QuickJS take small blocks from our allocator too, which knows where each should lie (`engine/src/allocator.rs`). QuickJS has no
/// switch for that; this macro, which compilers define for a build with AddressSanitizer, does that in QuickJS and nothing else.
const OWN_ALLOCATOR: &str = "-D__SANITIZE_ADDRESS__=1";

/// Compiles `engine/` and returns the module.
pub(crate) fn engine(package: &Path) -> Result<Vec<u8>> {
    let engine = package.join("engine");
    let target = engine.join("target");
    let home = cargo_home()?;
    // What the compilers would write of the machine's paths into panic messages and debug data.
    let mut remap = vec![(home.clone(), "/cargo"), (package.to_path_buf(), "/caddis/javy-shim"), (sysroot()?, "/rust")];
    fetch(&engine)?;
    // The registry's folder has the name of the host it was fetched from. Of two prefixes the later one counts.
    for registry in std::fs::read_dir(home.join("registry/src"))? {
        remap.push((registry?.path(), "/crates"));
    }
    let mut rust_flags = vec![format!("-Clink-arg=-zstack-size={STACK_SIZE}")];
    rust_flags.extend(remap.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())));
    let c_flags: Vec<String> =
        remap.iter().map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display())).collect();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"])
        .arg(&target)
        .current_dir(&engine)
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags.join("\x1f"))
        .env("CC_wasm32_unknown_unknown", override_of("CADDIS_CLANG", CLANG))
        .env("AR_wasm32_unknown_unknown", override_of("CADDIS_LLVM_AR", LLVM_AR))
        .env("CFLAGS_wasm32_unknown_unknown", format!("-O3 {OWN_ALLOCATOR} {}", c_flags.join(" ")))
        .env("CARGO_INCREMENTAL", "0")
        .status()?;
    if !status.success() {
        return Err(format!(
            "the engine did not compile ({status}); it needs {CLANG}, {LLVM_AR} and the Rust target {TARGET}"
        )
        .into());
    }
    Ok(std::fs::read(target.join(TARGET).join("release/caddis_js_engine.wasm"))?)
}

/// Fetches the crates, so that their folder is there before its name is asked for.
fn fetch(engine: &Path) -> Result<()> {
    let status = Command::new(env!("CARGO")).args(["fetch", "--locked"]).current_dir(engine).status()?;
    if status.success() { Ok(()) } else { Err(format!("the engine's crates could not be fetched ({status})").into()) }
}

fn cargo_home() -> Result<PathBuf> {
    let set = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let default = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    set.or_else(default).ok_or_else(|| "neither CARGO_HOME nor HOME is set".into())
}

fn sysroot() -> Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output()?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

fn override_of(variable: &str, default: &str) -> std::ffi::OsString {
    std::env::var_os(variable).unwrap_or_else(|| default.into())
}
