//! Everything the host keeps on disk.

pub mod tenant;
