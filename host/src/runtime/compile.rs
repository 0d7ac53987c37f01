//! Uploaded bytes to machine code, in a process of its own: compiling is where a hostile upload could take unbounded time
//! and memory, so it happens where both can be capped and where a crash is only an answer.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::engine::{compiling_engine, mebibytes};
use crate::error::{Code, Error};

/// The hidden subcommand of the compiling process.
pub const COMPILE_COMMAND: &str = "compile-component";

/// Exit status of the compiling process when the component is not valid; its standard error says why.
const INVALID: i32 = 3;

/// Longest explanation taken from the compiling process, in bytes.
const EXPLANATION_BYTES: u64 = 4_000;

/// How far one compilation may go.
#[derive(Debug, Clone, Copy)]
pub struct CompileLimits {
    /// Wall clock.
    pub time: Duration,
    /// Data segments and heap of the process, in MiB.
    pub memory_mb: u32,
}

/// Compiles components, a few at a time.
#[derive(Debug, Clone)]
pub struct Compiler {
    executable: PathBuf,
    limits: CompileLimits,
    turns: Arc<Semaphore>,
}

impl Compiler {
    /// A compiler that runs this executable, at most `at_once` of them.
    pub fn new(executable: PathBuf, limits: CompileLimits, at_once: usize) -> Self {
        Self { executable, limits, turns: Arc::new(Semaphore::new(at_once)) }
    }

    /// Machine code for an uploaded component, or why there is none.
    pub async fn compile_upload(&self, component: Bytes) -> Result<Vec<u8>, Error> {
        check_kind(&component)?;
        self.compile(component).await
    }

    /// Machine code for a component.
    pub async fn compile(&self, component: Bytes) -> Result<Vec<u8>, Error> {
        let _turn = self.turns.acquire().await.map_err(Error::internal)?;
        let compiled = timeout(self.limits.time, self.run(component)).await;
        compiled.unwrap_or_else(|_elapsed| {
            let seconds = self.limits.time.as_secs();
            Err(invalid(format!("compiling the component takes longer than the host's limit of {seconds} s")))
        })
    }

    async fn run(&self, component: Bytes) -> Result<Vec<u8>, Error> {
        let mut child = Command::new(&self.executable)
            .arg(COMPILE_COMMAND)
            .arg(self.limits.memory_mb.to_string())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::internal)?;
        let (Some(mut stdin), Some(mut stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::internal("the compiling process has no pipes"));
        };
        let send = async move {
            // A child that ends early closes its input; its exit status says more than this error.
            let _ = stdin.write_all(&component).await;
            drop(stdin);
        };
        let mut code = Vec::new();
        let mut explanation = Vec::new();
        let mut stderr = stderr.take(EXPLANATION_BYTES);
        let (_, read, _) = tokio::join!(send, stdout.read_to_end(&mut code), stderr.read_to_end(&mut explanation));
        read.map_err(Error::internal)?;
        let status = child.wait().await.map_err(Error::internal)?;
        match status.code() {
            Some(0) => Ok(code),
            Some(INVALID) => Err(invalid(String::from_utf8_lossy(&explanation).trim().to_owned())),
            _ => {
                tracing::warn!(%status, explanation = %String::from_utf8_lossy(&explanation), "compiling failed");
                let memory = self.limits.memory_mb;
                Err(invalid(format!(
                    "compiling the component needs more than the host's limit of {memory} MiB of memory"
                )))
            }
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(Code::InvalidComponent, message)
}

/// Tells apart what people upload by mistake, in words that help.
fn check_kind(bytes: &[u8]) -> Result<(), Error> {
    if bytes.is_empty() {
        return Err(invalid("the body is empty; send the bytes of a WebAssembly component".to_owned()));
    }
    if wasmparser::Parser::is_component(bytes) {
        return Ok(());
    }
    if wasmparser::Parser::is_core_wasm(bytes) {
        return Err(invalid(
            "this is a core WebAssembly module, not a component; build for wasm32-wasip2 \
             (cargo build --target wasm32-wasip2), or wrap it with `wasm-tools component new`"
                .to_owned(),
        ));
    }
    Err(invalid("this is not WebAssembly: it does not start with \\0asm".to_owned()))
}

/// The compiling process: component on standard input, machine code on standard output.
pub fn compile_process(memory_mb: u32) -> std::io::Result<i32> {
    let limit = Some(mebibytes(memory_mb) as u64);
    let limit = rustix::process::Rlimit { current: limit, maximum: limit };
    rustix::process::setrlimit(rustix::process::Resource::Data, limit)?;
    let _ = rustix::process::nice(10);
    let mut component = Vec::new();
    std::io::stdin().lock().read_to_end(&mut component)?;
    let compiled = compiling_engine().and_then(|engine| engine.precompile_component(&component));
    match compiled {
        Ok(code) => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&code)?;
            stdout.flush()?;
            Ok(0)
        }
        Err(error) => {
            // Nobody reads more, and a pipe takes only so much.
            let explanation = format!("the component is not valid: {error:#}");
            let end = explanation.floor_char_boundary(EXPLANATION_BYTES as usize);
            std::io::stderr().lock().write_all(explanation.get(..end).unwrap_or_default().as_bytes())?;
            Ok(INVALID)
        }
    }
}
