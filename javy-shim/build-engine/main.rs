//! Builds `javy-shim/prebuilt/` from source: `cargo engine`.
//!
//! 1. `npm ci` fetches the packages the prelude imports (`js/package-lock.json`).
//! 2. cargo compiles `engine/` with pinned flags and a C compiler that has a wasm backend ([`compile`]).
//! 3. The module is split into code and memory, and the component around both is made ([`module`], [`wrapper`], [`direct`]).
//! 4. The engine is run: it evaluates the prelude, and its memory becomes the base image ([`boot`]). That is done twice, the second time with what
//!    some requests wrote to in one place ([`watch`]).
//! 5. The streams of Node.js become one module ([`readable_stream`]).
//!
//! The same sources and compilers give the same bytes on every machine. `cargo engine --check` builds and compares, and fails when
//! `prebuilt/` is not what the sources give.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a command for people")]

mod boot;
mod compile;
mod direct;
mod instrument;
mod module;
mod prelude;
mod readable_stream;
mod requests;
mod watch;
mod wrapper;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sha2::{Digest, Sha256};

/// What every step returns: a message is enough, nobody handles these errors.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The sums of the other files, as `sha256sum --check` reads them.
const SUMS: &str = "engine.wasm.sha256";

fn main() -> ExitCode {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => {
            eprintln!("build-engine: unknown argument {other}; usage: cargo engine [--check]");
            return ExitCode::FAILURE;
        }
    };
    match build(check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes = std::iter::successors(Some(&*error as &dyn std::error::Error), |error| error.source());
            let causes: Vec<String> = causes.map(ToString::to_string).collect();
            eprintln!("build-engine: {}", causes.join(": "));
            ExitCode::FAILURE
        }
    }
}

fn build(check: bool) -> Result<()> {
    // Set by `cargo run`. The path this was compiled at may be that of another checkout with the same target directory.
    let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").ok_or("run this as `cargo engine`")?);
    let modules = prelude::load(&package.join("js"))?;
    let compiled = module::with_reader(&compile::engine(&package)?, &package)?;
    let component = wrapper::encode(&compiled)?;
    let parts = module::split(&compiled)?;
    let engine = wrapper::rewrite(&component, &parts)?;
    let base = boot::base_image(&component, &parts, &modules)?;
    let streams = readable_stream::bundle(&package.join("js/node_modules/readable-stream"))?.into_bytes();
    let mut files = vec![("base.wasm", base), ("engine.wasm", engine), ("readable-stream.js", streams)];
    let sums = sums(&files);
    print!("{sums}");
    files.push((SUMS, sums.into_bytes()));
    let directory = package.join("prebuilt");
    if check { compare(&directory, &files) } else { write(&directory, &files) }
}

fn sums(files: &[(&str, Vec<u8>)]) -> String {
    let mut text = String::new();
    for (name, bytes) in files {
        for byte in Sha256::digest(bytes) {
            let _infallible = write!(text, "{byte:02x}");
        }
        let _infallible = writeln!(text, "  {name}");
    }
    text
}

fn write(directory: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
    std::fs::create_dir_all(directory)?;
    for (name, bytes) in files {
        std::fs::write(directory.join(name), bytes)?;
    }
    Ok(())
}

fn compare(directory: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
    for (name, bytes) in files {
        let path = directory.join(name);
        if std::fs::read(&path)? != *bytes {
            return Err(format!(
                "{} is not what the sources give; run `cargo engine` and commit the result",
                path.display()
            )
            .into());
        }
    }
    Ok(())
}
