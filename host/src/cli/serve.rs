//! `caddis serve`: everything that can fail at start fails before the port opens.

use std::io::IsTerminal;
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::Failure;
use crate::app::{App, Started};
use crate::config::{Config, Keys, ServeOptions};
use crate::secrets::Secret;

/// Runs the command until a signal ends it.
pub(super) fn run(options: ServeOptions, file: Option<&Path>) -> Result<(), Failure> {
    let config = Config::new(options, file, Keys::from_environment()?)?;
    start_logging()?;
    runtime()?.block_on(async {
        let Started { app, new_admin_token } = App::start(config).await?;
        // Before anybody is told that there is a process to end.
        let stop = termination()?;
        announce_token(new_admin_token.as_ref());
        announce_admin(app.admin_url());
        print(&format!("listening on http://{}", app.address()));
        app.run(stop).await;
        Ok(())
    })
}

/// The runtime that serves connections and short executions.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("caddis")
        // Sockets are looked at after a few tasks, not after the default of 61: a task here may be a function's slice of CPU time.
        .event_interval(7)
        .enable_all()
        .build()
}

/// Logs for the operator go to standard error; standard output is only for what was promised there.
pub(super) fn start_logging() -> Result<(), Failure> {
    let filter = EnvFilter::builder().with_env_var("CADDIS_LOG").with_default_directive(tracing::Level::INFO.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env()?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // It would say on standard error that standard error fails, and panic because that fails: in the middle of a request.
        .log_internal_errors(false)
        .try_init()
        .map_err(|error| -> Failure { error })
}

/// Ends when the process is told to.
pub(super) fn termination() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn announce_token(token: Option<&Secret>) {
    if let Some(token) = token {
        print(&format!("admin token: {} (shown only now)", token.expose()));
    }
}

pub(super) fn announce_admin(url: Option<String>) {
    if let Some(url) = url {
        print(&format!("admin interface: {url}"));
    }
}

#[expect(clippy::print_stdout, reason = "what a supervisor or a person waits for")]
pub(super) fn print(line: &str) {
    println!("{line}");
}
