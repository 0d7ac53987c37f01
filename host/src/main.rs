//! The `caddis` command.
fn main() {}
