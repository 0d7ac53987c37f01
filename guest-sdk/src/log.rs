//! Lines for the execution record.
//!
//! ```no_run
//! # let (id, error) = (7, "disk full");
//! caddis_sdk::info!("created note {id}");
//! caddis_sdk::warn!("could not tell the others: {error}");
//! ```

use std::fmt;

use crate::bindings::caddis::function::log as wit;

pub use wit::Level;

/// Adds a line. A line over 10,000 bytes is cut; past 1,000 lines or 256 KiB in one execution lines are dropped.
pub fn write(level: Level, message: impl fmt::Display) {
    wit::write(level, &message.to_string());
}

/// The execution's log.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Log;

macro_rules! levels {
    ($($(#[$doc:meta])* $name:ident $level:ident;)*) => {
        impl Log {
            $($(#[$doc])* pub fn $name(&self, message: impl fmt::Display) {
                write(Level::$level, message);
            })*
        }
        levels! { @macros ($) $($(#[$doc])* $name $level;)* }
    };
    (@macros ($dollar:tt) $($(#[$doc:meta])* $name:ident $level:ident;)*) => {
        $(
            $(#[$doc])*
            ///
            /// Takes the arguments of `format!`.
            #[macro_export]
            macro_rules! $name {
                ($dollar($dollar argument:tt)+) => {
                    $crate::log::write($crate::log::Level::$level, ::core::format_args!($dollar($dollar argument)+))
                };
            }
        )*
    };
}

levels! {
    /// Logs the finest detail.
    trace Trace;
    /// Logs something for the author while developing.
    debug Debug;
    /// Logs a normal event.
    info Info;
    /// Logs something odd that the function coped with.
    warn Warn;
    /// Logs a failure.
    error Error;
}
