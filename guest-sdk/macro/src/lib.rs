//! The attribute macro of `caddis-sdk`.
