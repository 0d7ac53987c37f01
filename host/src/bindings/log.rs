//! `caddis:function/log`: lines for the execution record.

use super::wit::log::{Host, Level as WitLevel};
use crate::observe::capture::{Level, LogCapture};

/// What `log` sees of a store.
#[derive(Debug)]
pub struct LogView<'a>(pub &'a LogCapture);

impl Host for LogView<'_> {
    fn write(&mut self, level: WitLevel, message: String) -> wasmtime::Result<()> {
        let level = match level {
            WitLevel::Trace => Level::Trace,
            WitLevel::Debug => Level::Debug,
            WitLevel::Info => Level::Info,
            WitLevel::Warn => Level::Warn,
            WitLevel::Error => Level::Error,
        };
        self.0.write(level, &message);
        Ok(())
    }
}
