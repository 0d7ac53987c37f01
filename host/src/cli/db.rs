//! `caddis db`: migrations and the rows of an app, through the API of a running host.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::Failure;
use super::client::Client;
use super::serve::{print, runtime};
use crate::config::Keys;
use crate::ids::AppName;

/// Where the files are when nothing else is said, below the current directory.
pub(super) const MIGRATIONS: &str = "migrations";

/// Which app of which host. The token comes from `CADDIS_ADMIN_TOKEN`.
#[derive(Args)]
pub(super) struct Target {
    /// The host
    #[arg(long, env = "CADDIS_URL", value_name = "URL", default_value = "http://127.0.0.1:8080", global = true)]
    url: String,
    /// The app
    #[arg(long, env = "CADDIS_APP", value_name = "NAME", default_value = "default", global = true)]
    app: AppName,
}

impl Target {
    /// A client of the host.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        let keys = Keys::from_environment()?;
        let token = keys.admin_token.ok_or("CADDIS_ADMIN_TOKEN is not set: it holds the token for the host")?;
        Ok(Client { address: super::client::address_of(&self.url).await?, token })
    }

    /// Where the API has this of the app.
    pub(super) fn path(&self, below: &str) -> String {
        format!("/v1/{}/{below}", self.app)
    }
}

/// What to do with the database of an app.
#[derive(Subcommand)]
pub(super) enum Action {
    /// Run the migrations (0001_name.sql, 0002_name.sql, …) that were not run yet
    Migrate {
        /// Where they are [default: migrations]
        directory: Option<PathBuf>,
        /// Only say which would be run
        #[arg(long)]
        dry_run: bool,
    },
    /// List the migrations: those that were run, and those in the directory that were not
    Status {
        /// Where they are [default: migrations]
        directory: Option<PathBuf>,
    },
    /// Run a statement, or those typed or piped in, one per line
    Shell {
        /// The statement
        sql: Option<String>,
    },
    /// Write schema, rows and policies as SQL
    Dump {
        /// The file [default: standard output]
        file: Option<PathBuf>,
    },
    /// Run the SQL of a file, all or nothing: a dump, or whatever SQLite's shell has written
    Import {
        /// The file
        file: PathBuf,
    },
}

/// Runs the command.
pub(super) fn run(target: &Target, action: Action) -> Result<(), Failure> {
    let path = target.path("db");
    runtime()?.block_on(async {
        let client = target.client().await?;
        match action {
            Action::Migrate { directory, dry_run } => {
                let applied = migrate(&client, &path, &directory_or_default(directory), dry_run).await?;
                told(&applied, if dry_run { "would run" } else { "ran" });
            }
            Action::Status { directory } => status(&client, &path, &directory_or_default(directory)).await?,
            Action::Shell { sql: Some(sql) } => shell_one(&client, &path, &sql).await?,
            Action::Shell { sql: None } => shell(&client, &path).await?,
            Action::Dump { file } => dump(&client, &path, file.as_deref()).await?,
            Action::Import { file } => {
                let text = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
                client.send(Method::POST, &format!("{path}/import"), "application/sql", text.into()).await?;
                print("imported");
            }
        }
        Ok(())
    })
}

fn directory_or_default(directory: Option<PathBuf>) -> PathBuf {
    directory.unwrap_or_else(|| PathBuf::from(MIGRATIONS))
}

/// Sends the migrations of a directory; returns the names of those that were run.
pub(super) async fn migrate(
    client: &Client,
    path: &str,
    directory: &Path,
    dry_run: bool,
) -> Result<Vec<String>, Failure> {
    let files = files_in(directory)?;
    let migrations: Vec<_> = files.into_iter().map(|(name, sql)| json!({ "name": name, "sql": sql })).collect();
    let body = json!({ "migrations": migrations, "dry_run": dry_run }).to_string();
    let answer = client.send(Method::POST, &format!("{path}/migrations"), "application/json", body.into()).await?;
    Ok(names_in(answer.get("applied")))
}

fn told(names: &[String], did: &str) {
    if names.is_empty() {
        print("nothing to run");
    }
    for name in names {
        print(&format!("{did} {name}"));
    }
}

fn names_in(list: Option<&Value>) -> Vec<String> {
    let records = list.and_then(Value::as_array).into_iter().flatten();
    records.filter_map(|record| record.get("name")?.as_str().map(str::to_owned)).collect()
}

/// The `.sql` files of a directory with their texts, by name.
fn files_in(directory: &Path) -> Result<Vec<(String, String)>, Failure> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            files.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text));
        }
    }
    files.sort();
    Ok(files)
}

async fn status(client: &Client, path: &str, directory: &Path) -> Result<(), Failure> {
    let list = client.send(Method::GET, &format!("{path}/migrations"), "application/json", Bytes::new()).await?;
    let text = |record: &Value, field: &str| record.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    for record in list.as_array().into_iter().flatten() {
        print(&format!("{}  {}", text(record, "applied_at"), text(record, "name")));
    }
    if directory.is_dir() {
        for name in migrate(client, path, directory, true).await? {
            print(&format!("not run yet  {name}"));
        }
    }
    Ok(())
}

async fn shell(client: &Client, path: &str) -> Result<(), Failure> {
    let input = std::io::stdin();
    let is_terminal = input.is_terminal();
    loop {
        if is_terminal {
            write!(std::io::stdout(), "sql> ").and_then(|()| std::io::stdout().flush())?;
        }
        let mut line = String::new();
        if input.lock().read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line.trim().is_empty() {
            continue;
        }
        match shell_one(client, path, &line).await {
            Err(error) if is_terminal => super::report(&error.to_string()),
            result => result?,
        }
    }
}

async fn shell_one(client: &Client, path: &str, sql: &str) -> Result<(), Failure> {
    let body = json!({ "sql": sql }).to_string();
    let answer = client.send(Method::POST, &format!("{path}/query"), "application/json", body.into()).await?;
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let line = |values: Vec<Value>| values.iter().map(shown).collect::<Vec<_>>().join("\t");
    let columns = list(answer.get("columns"));
    if columns.is_empty() {
        print(&format!("{} rows changed", answer.get("rows_affected").and_then(Value::as_u64).unwrap_or_default()));
        return Ok(());
    }
    print(&line(columns));
    for row in list(answer.get("rows")) {
        print(&line(list(Some(&row))));
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "NULL".to_owned(),
        other => other.to_string(),
    }
}

async fn dump(client: &Client, path: &str, file: Option<&Path>) -> Result<(), Failure> {
    let target = format!("{path}/dump");
    match file {
        Some(file) => {
            let failed = |error: std::io::Error| format!("{}: {error}", file.display());
            let mut out = std::fs::File::create(file).map_err(failed)?;
            client.download(Method::GET, &target, &mut out).await?;
            out.sync_all().map_err(failed)?;
        }
        None => client.download(Method::GET, &target, &mut std::io::stdout().lock()).await?,
    }
    Ok(())
}
