//! What a guest prints and logs, bounded, on its way to the execution record.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::bindings::env::Environment;
use crate::tunables::{LOG_BYTES, LOG_LINE_BYTES, LOG_LINES};

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Finest detail.
    Trace,
    /// For the author.
    Debug,
    /// Normal.
    Info,
    /// Odd.
    Warn,
    /// Failed.
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The method of `console` that logs at this level.
    fn console(self) -> &'static str {
        match self {
            Self::Trace => "console.trace",
            Self::Debug => "console.debug",
            Self::Info => "console.log",
            Self::Warn => "console.warn",
            Self::Error => "console.error",
        }
    }
}

/// Where the frames of stacks are in the lines of an author.
pub trait Places: std::fmt::Debug + Send + Sync {
    /// The line with the author's place in it, if it has a frame of the program.
    fn in_lines_of_author(&self, line: &str) -> Option<String>;
}

/// The log lines of one execution. Never blocks a guest: past the limits lines are counted and dropped.
#[derive(Debug, Clone, Default)]
pub struct LogCapture(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    /// Variables of the function, whose values must not get into its records.
    secrets: Arc<Environment>,
    /// Whether lines are written as a console has them.
    console: bool,
    places: Option<Arc<dyn Places>>,
    text: String,
    count: usize,
    dropped: u64,
}

/// What was captured.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CapturedLog {
    /// One line each, as `level: message` or `console.method: message`.
    pub text: String,
    /// Lines that did not fit.
    pub dropped: u64,
}

impl LogCapture {
    /// Captures lines without these secrets.
    pub fn without(secrets: Arc<Environment>) -> Self {
        Self(Arc::new(Mutex::new(Lines { secrets, ..Lines::default() })))
    }

    /// For a program that logs through `console`: its lines start with the method, as FX10 has them. `places` tell where stacks are.
    pub fn of_a_console(secrets: Arc<Environment>, places: Option<Arc<dyn Places>>) -> Self {
        Self(Arc::new(Mutex::new(Lines { secrets, console: true, places, ..Lines::default() })))
    }

    /// Adds a message; each line break starts a new line of the same level.
    pub fn write(&self, level: Level, message: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = Some(message);
        while let Some(text) = rest {
            if lines.count == LOG_LINES {
                // A message can have millions of lines: none of them is looked at any more.
                lines.dropped += memchr::memchr_iter(b'\n', text.as_bytes()).count() as u64 + 1;
                return;
            }
            let (line, after) = text.split_once('\n').map_or((text, None), |(line, after)| (line, Some(after)));
            lines.push(level, line);
            rest = after;
        }
    }

    /// Takes what was captured so far.
    pub fn take(&self) -> CapturedLog {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.count = 0;
        CapturedLog { text: std::mem::take(&mut lines.text), dropped: std::mem::take(&mut lines.dropped) }
    }

    /// A text about the execution, without its secrets.
    pub fn redacted(&self, text: String) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A text that was cut ends at a character.
        match text.len() > LOG_LINE_BYTES - char::MAX.len_utf8() {
            true => lines.secrets.redactor().redact_cut(text),
            false => lines.secrets.redactor().redact(text),
        }
    }

    /// A stream that turns what is printed into lines of this level.
    pub fn printer(&self, level: Level) -> Printer {
        Printer(Arc::new(Mutex::new(Printed { log: self.clone(), level, partial: Vec::new() })))
    }
}

impl Lines {
    /// The line without secrets, and not longer than a line may be.
    fn redacted(&self, line: &str) -> String {
        // What is printed has been cut already when it comes here.
        let mut line = match line.len() > LOG_LINE_BYTES - char::MAX.len_utf8() {
            true => self.secrets.redactor().redact_cut(line.to_owned()),
            false => self.secrets.redactor().redact(line.to_owned()),
        };
        line.truncate(line.floor_char_boundary(LOG_LINE_BYTES));
        line
    }

    fn push(&mut self, level: Level, line: &str) {
        let prefix = if self.console { level.console() } else { level.as_str() };
        let used = self.text.len() + prefix.len() + ": ".len() + 1;
        let fits = |line: &str| used + line.len() <= LOG_BYTES;
        let line = line.get(..line.floor_char_boundary(LOG_LINE_BYTES)).unwrap_or_default();
        // Looking for secrets and places takes time: a flood is not worth it.
        let line = Some(line).filter(|line| self.count < LOG_LINES && fits(line)).map(|line| {
            let placed = self.places.as_ref().and_then(|places| places.in_lines_of_author(line));
            self.redacted(placed.as_deref().unwrap_or(line))
        });
        let Some(line) = line.filter(|line| fits(line)) else {
            self.dropped += 1;
            return;
        };
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(prefix);
        self.text.push_str(": ");
        // Control characters could repaint the terminal of whoever reads the log.
        self.text.extend(line.chars().map(|character| match character {
            '\t' => '\t',
            control if control.is_control() => '\u{fffd}',
            other => other,
        }));
        self.count += 1;
    }
}

/// Standard output or standard error of a guest.
#[derive(Debug, Clone)]
pub struct Printer(Arc<Mutex<Printed>>);

#[derive(Debug)]
struct Printed {
    log: LogCapture,
    level: Level,
    partial: Vec<u8>,
}

impl Printed {
    fn print(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LOG_LINE_BYTES.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.partial);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\n', '\r']);
        self.log.write(self.level, line);
    }
}

impl Drop for Printed {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            self.end_line();
        }
    }
}

impl Printer {
    fn print(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).print(bytes);
    }

    /// How many have this stream, besides whoever asks.
    pub fn others(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }

    /// Prints to another log from now on, wherever it was passed on to.
    pub fn turn_to(&self, log: &LogCapture) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).log = log.clone();
    }

    /// Ends a line that was printed without a line break.
    pub fn finish(&self) {
        let mut printed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !printed.partial.is_empty() {
            printed.end_line();
        }
    }
}

impl IsTerminal for Printer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printer {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    // Not the default adapter, which queues each write, even an empty one, without a bound (GHSA-5m8g-xhq4-4h93).
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Printer {
    async fn ready(&mut self) {}
}

/// What one write of a guest may have.
const WRITE_BYTES: usize = 64 * 1024;

impl OutputStream for Printer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.print(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

impl AsyncWrite for Printer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.print(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_bytes_become_lines() {
        let log = LogCapture::default();
        let printer = log.printer(Level::Info);
        printer.print(b"one\ntw");
        printer.print(b"o\r\nthree");
        printer.finish();
        assert_eq!(log.take().text, "info: one\ninfo: two\ninfo: three");
    }

    #[test]
    fn lines_of_a_console_name_its_methods() {
        #[derive(Debug)]
        struct Program;
        impl Places for Program {
            fn in_lines_of_author(&self, line: &str) -> Option<String> {
                line.contains("    at f").then(|| "    at f (a.ts:1:1)".to_owned())
            }
        }
        let log = LogCapture::of_a_console(Arc::default(), Some(Arc::new(Program)));
        log.write(Level::Info, "a\nb");
        log.write(Level::Error, "c\n    at f (a.ts:9:9)");
        let expected = "console.log: a\nconsole.log: b\nconsole.error: c\nconsole.error:     at f (a.ts:1:1)";
        assert_eq!(log.take().text, expected);
    }

    #[test]
    fn control_characters_are_replaced() {
        let log = LogCapture::default();
        log.write(Level::Warn, "a\u{1b}[31mb\tc");
        assert_eq!(log.take().text, "warn: a\u{fffd}[31mb\tc");
    }

    #[test]
    fn a_flood_is_counted_and_dropped() {
        let log = LogCapture::default();
        for _ in 0..LOG_LINES + 5 {
            log.write(Level::Info, "x");
        }
        let captured = log.take();
        assert_eq!(captured.text.lines().count(), LOG_LINES);
        assert_eq!(captured.dropped, 5);

        let printer = log.printer(Level::Info);
        for _ in 0..1_000 {
            printer.print(&[b'x'; 4096]);
        }
        printer.finish();
        let captured = log.take();
        assert_eq!(captured.text.len(), "info: ".len() + LOG_LINE_BYTES);
    }
}
