//! The command line: arguments become one command, and its result an exit status.

mod backup;
mod build;
mod client;
mod db;
mod dev;
mod run;
mod scripts;
mod secrets;
mod serve;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::config::ServeOptions;
use crate::ids::FunctionName;
use crate::runtime::compile::{COMPILE_COMMAND, compile_process};

/// A self-hosted function host: a fresh WebAssembly sandbox for every request
#[derive(Parser)]
#[command(name = "caddis", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve functions
    Serve {
        #[command(flatten)]
        options: ServeOptions,
        /// Read options from this file; their names are those of the flags, with underscores
        #[arg(long, env = "CADDIS_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Build the functions below a directory, serve them, and print how to call them
    Dev {
        /// Where the functions are: TypeScript or JavaScript (name.ts, name/index.ts), Rust crates, .wasm components
        directory: PathBuf,
        #[command(flatten)]
        options: ServeOptions,
    },
    /// Manage what is sealed in a data directory
    Secrets {
        #[command(subcommand)]
        command: SecretsCommand,
    },
    /// Make one component of a function in TypeScript or JavaScript
    Build {
        /// The file with the handler; what it imports is found beside it
        file: PathBuf,
        /// Where to write the component [default: the function's name, with .wasm]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        options: ServeOptions,
    },
    /// Migrate, look into, dump and import the database of an app, through the API of a running host
    Db {
        #[command(flatten)]
        target: db::Target,
        #[command(subcommand)]
        action: db::Action,
    },
    /// Run a function of a running host now as its schedule does, and write what it answers
    Run {
        #[command(flatten)]
        target: db::Target,
        /// The function, which has a schedule
        #[arg(long, value_name = "NAME")]
        cron: FunctionName,
    },
    /// Copy everything a host keeps into one file, also while it serves
    Backup {
        /// The file to write, or a directory of copies, where only what has changed is written
        file: PathBuf,
        /// The host's data directory
        #[arg(long, env = "CADDIS_DATA", value_name = "DIR")]
        data: PathBuf,
    },
    /// Make a data directory of a backup
    Restore {
        /// The backup, or the directory of copies
        file: PathBuf,
        /// The directory to make, which must not exist or be empty
        #[arg(long, env = "CADDIS_DATA", value_name = "DIR")]
        data: PathBuf,
        /// A file with the master key, to be put into the directory
        #[arg(long, value_name = "FILE")]
        master_key: Option<PathBuf>,
        /// From a directory of copies: as it was at this time (2026-11-21T12:00:00Z), or at the last copy before it [default: the last]
        #[arg(long, value_name = "TIME")]
        at: Option<jiff::Timestamp>,
    },
    /// Compile a component (used by the host itself)
    #[command(name = COMPILE_COMMAND, hide = true)]
    Compile {
        /// Memory limit in MiB
        memory_mb: u32,
    },
}

#[derive(Subcommand)]
enum SecretsCommand {
    /// Seal everything with a new master key, while the host does not run. CADDIS_MASTER_KEY and CADDIS_NEW_MASTER_KEY are the old and
    /// the new key; without them, master.key is replaced by a new one
    RotateKey {
        /// Directory of the host's data
        #[arg(long, env = "CADDIS_DATA", value_name = "DIR")]
        data: PathBuf,
    },
}

/// What every command can fail with: printed as one line.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misused(&error),
    };
    let result = match arguments.command {
        Command::Serve { options, config } => serve::run(options, config.as_deref()),
        Command::Dev { directory, options } => dev::run(&directory, options),
        Command::Secrets { command: SecretsCommand::RotateKey { data } } => secrets::rotate_key(&data),
        Command::Build { file, output, options } => return build(&file, output, options),
        Command::Backup { file, data } => backup::write(&data, &file),
        Command::Restore { file, data, master_key, at } => backup::restore(&file, &data, master_key.as_deref(), at),
        Command::Run { target, cron } => run::cron(&target, &cron),
        Command::Db { target, action } => return database(&target, action),
        Command::Compile { memory_mb } => return compile(memory_mb),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error.to_string().replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

/// What is wrong with a migration is told with its statement.
fn database(target: &db::Target, action: db::Action) -> ExitCode {
    match db::run(target, action) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(error.to_string().trim_end());
            ExitCode::FAILURE
        }
    }
}

/// What is wrong with a source is told in more than one line: with the lines of the source.
fn build(file: &Path, output: Option<PathBuf>, options: ServeOptions) -> ExitCode {
    match build::run(file, output, options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(error.to_string().trim_end());
            ExitCode::FAILURE
        }
    }
}

/// Help and version are what was asked for; anything else is a mistake, told in one line.
fn misused(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let text = error.to_string();
        let told = text.split("\nUsage:").next().unwrap_or_default();
        let told: Vec<&str> =
            told.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
        report(&format!("{} (see --help)", told.join(" ").trim_start_matches("error: ")));
        return ExitCode::from(2);
    }
    let _ = error.print();
    ExitCode::from(u8::from(error.use_stderr()) * 2)
}

fn compile(memory_mb: u32) -> ExitCode {
    let status = compile_process(memory_mb).ok().and_then(|status| u8::try_from(status).ok());
    status.map_or(ExitCode::FAILURE, ExitCode::from)
}

#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
fn report(error: &str) {
    eprintln!("caddis: {error}");
}
