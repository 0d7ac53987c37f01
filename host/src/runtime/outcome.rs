//! How an execution ended. The only place that looks into traps.

use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::limits::Refusal;
use crate::error::Code;
use crate::observe::capture::LogCapture;
use crate::runtime::signals::Fault;
use crate::tunables::LOG_LINE_BYTES;

/// Most frames of a backtrace in a record.
const BACKTRACE_FRAMES: usize = 50;

/// Most bytes of what a function says about its failure, and of the stack it shows. Both go into the execution record.
const MESSAGE_BYTES: usize = LOG_LINE_BYTES;
const STACK_BYTES: usize = 64 * 1024;

/// Why an execution failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// For programs.
    pub code: Code,
    /// For the client and the record.
    pub message: String,
    /// For the record only.
    pub stack: Option<String>,
}

impl Failure {
    /// Without the secrets of the execution.
    pub fn redacted(self, log: &LogCapture) -> Self {
        let redacted = |text| log.redacted(text);
        Self { message: redacted(self.message), stack: self.stack.map(redacted), ..self }
    }

    /// A failure without a stack.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), stack: None }
    }

    /// What the function reported about itself: as long as the author of a function likes, so cut.
    pub fn reported(mut message: String, mut stack: Option<String>) -> Self {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
        if let Some(stack) = &mut stack {
            stack.truncate(stack.floor_char_boundary(STACK_BYTES));
        }
        Self { code: Code::FunctionError, message, stack }
    }

    /// The host's budget for all functions has no room.
    pub fn no_memory() -> Self {
        Self::new(Code::Overloaded, "all memory the host has for functions is in use")
    }

    /// The function returned without a response.
    pub fn no_response() -> Self {
        Self::new(Code::NoResponse, "the function returned without a response")
    }
}

/// What the limits of an execution were, for the texts of its failure.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Wall clock in seconds.
    pub timeout_seconds: u32,
    /// Memory in MiB.
    pub memory_limit_mb: u32,
    /// Fuel.
    pub fuel: u64,
}

impl Limits {
    /// The wall clock ran out.
    pub fn timed_out(&self) -> Failure {
        Failure::new(
            Code::Timeout,
            format!("the function did not end within its timeout_seconds of {}", self.timeout_seconds),
        )
    }

    fn out_of_fuel(&self) -> Failure {
        Failure::new(Code::CpuLimit, format!("the function used up its fuel of {} units", self.fuel))
    }

    fn out_of_memory(&self, refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Function => Failure::new(
                Code::MemoryLimit,
                format!("the function needed more than its memory_limit_mb of {}", self.memory_limit_mb),
            ),
            Refusal::Host => Failure::no_memory(),
        }
    }

    /// Why a call into the guest failed.
    pub fn explain(&self, error: &wasmtime::Error, refusal: Option<Refusal>, fault: Option<Fault>) -> Failure {
        let stack = error.downcast_ref::<WasmBacktrace>().map(backtrace);
        match fault {
            // Most programs give up when they cannot read what they were sent; that is the sender's failure.
            Some(fault) => Failure { stack, ..not_arrived(fault) },
            None => self.explain_guest(error, refusal),
        }
    }

    fn explain_guest(&self, error: &wasmtime::Error, refusal: Option<Refusal>) -> Failure {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return match refusal {
                // A script sees the refusal as an error of its own, and mostly passes it on.
                Some(refusal) if failure.code == Code::FunctionError => {
                    Failure { stack: failure.stack.clone(), ..self.out_of_memory(refusal) }
                }
                _ => failure.clone(),
            };
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Failure::new(Code::Overloaded, "the host is busy: it has no instance left for another execution");
        }
        let trap = error.downcast_ref::<Trap>();
        let failure = match (trap, refusal) {
            (Some(Trap::OutOfFuel), _) => self.out_of_fuel(),
            // The guest could not go on without the memory it was refused, whichever way it ended then.
            (_, Some(refusal)) => self.out_of_memory(refusal),
            (Some(trap), None) => Failure::new(Code::Trap, format!("the function trapped: {}", describe(*trap))),
            (None, None) => match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(status)) => {
                    Failure::new(Code::NoResponse, format!("the function exited with status {status}"))
                }
                None => Failure::new(Code::Trap, format!("the function was stopped: {}", error.root_cause())),
            },
        };
        Failure { stack: error.downcast_ref::<WasmBacktrace>().map(backtrace), ..failure }
    }
}

fn not_arrived(fault: Fault) -> Failure {
    match fault {
        Fault::TooLarge { limit } => {
            Failure::new(Code::TooLarge, format!("the body of the request must have at most {limit} bytes"))
        }
        Fault::Broken => Failure::new(Code::ClientDisconnected, "the body of the request did not arrive whole"),
    }
}

fn describe(trap: Trap) -> String {
    match trap {
        Trap::StackOverflow => "call stack exhausted: the recursion is too deep".to_owned(),
        Trap::UnreachableCodeReached => "unreachable code: the program panicked or aborted".to_owned(),
        other => other.to_string(),
    }
}

fn backtrace(trace: &WasmBacktrace) -> String {
    let frames = trace.frames();
    let mut lines: Vec<String> = frames.iter().take(BACKTRACE_FRAMES).map(frame).collect();
    if frames.len() > BACKTRACE_FRAMES {
        lines.push(format!("    … {} more", frames.len() - BACKTRACE_FRAMES));
    }
    lines.join("\n")
}

fn frame(frame: &wasmtime::FrameInfo) -> String {
    let symbol = frame.symbols().first().and_then(|symbol| symbol.name()).or_else(|| frame.func_name());
    let name = match symbol {
        // Without the hash at the end: people read this.
        Some(symbol) => format!("{:#}", rustc_demangle::demangle(symbol)),
        None => format!("<function {}>", frame.func_index()),
    };
    match frame.module_offset() {
        Some(offset) => format!("    at {name} (0x{offset:x})"),
        None => format!("    at {name}"),
    }
}
