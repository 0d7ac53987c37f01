//! The `caddis` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    caddis::cli::main()
}
