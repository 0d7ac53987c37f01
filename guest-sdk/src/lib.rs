//! Write Caddis functions in Rust.
