//! Yields between host calls. Fuel makes a loop of WebAssembly yield, but a host call takes none: a guest that gave the host
//! megabytes to read in each turn of a loop would keep its thread for minutes, and no time-out would be noticed.

use std::time::{Duration, Instant};

use wasmtime::{CallHook, CallHookHandler, StoreContextMut};

use super::ctx::Ctx;
use crate::tunables::HOST_TIME_BETWEEN_YIELDS;

/// Time a store has spent in host calls since it last yielded for it.
#[derive(Debug, Default)]
pub struct HostTime {
    entered: Option<Instant>,
    spent: Duration,
}

impl HostTime {
    fn enter(&mut self) {
        self.entered = Some(Instant::now());
    }

    /// Whether it is time to yield.
    fn leave(&mut self) -> bool {
        self.spent += self.entered.take().map_or(Duration::ZERO, |entered| entered.elapsed());
        let over = self.spent >= HOST_TIME_BETWEEN_YIELDS;
        if over {
            self.spent = Duration::ZERO;
        }
        over
    }
}

/// Yields after a host call when those since the last yield have taken their time.
pub struct Turns;

#[async_trait::async_trait]
impl CallHookHandler<Ctx> for Turns {
    async fn handle_call_event(&self, mut store: StoreContextMut<'_, Ctx>, event: CallHook) -> wasmtime::Result<()> {
        let time = &mut store.data_mut().host_time;
        match event {
            CallHook::CallingHost => time.enter(),
            CallHook::ReturningFromHost if time.leave() => tokio::task::yield_now().await,
            CallHook::ReturningFromHost | CallHook::CallingWasm | CallHook::ReturningFromWasm => {}
        }
        Ok(())
    }
}
