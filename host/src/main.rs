//! The `caddis` command.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Requests begin and end on different threads; the allocator of the C library makes those wait for one another.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    caddis::cli::main()
}
