//! The guests, as `build.rs` built them: one constant for each package of `guests/` and of the SDK's examples.

/// A component to deploy.
#[derive(Debug, Clone, Copy)]
pub struct Guest {
    /// The name of its package, with underscores.
    pub name: &'static str,
    path: &'static str,
}

impl Guest {
    /// The component's bytes.
    pub fn bytes(self) -> Vec<u8> {
        std::fs::read(self.path).expect("the build script made the component")
    }
}

include!(concat!(env!("OUT_DIR"), "/guests.rs"));
