//! `caddis dev DIR`: build what is there, serve it, and say how to call it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::scripts::Script;
use super::serve::{announce_admin, print, runtime, start_logging, termination};
use super::{Failure, report};
use crate::app::{App, Started};
use crate::config::{Config, Keys, ServeOptions};
use crate::secrets::Secret;

/// What Rust functions are built for.
const TARGET: &str = "wasm32-wasip2";

/// Where a host for development keeps its data, below the current directory.
const DATA: &str = ".caddis";

/// A function to serve and what its author says about it.
struct Project {
    name: String,
    content: Content,
    hints: Hints,
}

/// What a function is made of.
enum Content {
    /// A file with a component.
    Component(PathBuf),
    /// TypeScript or JavaScript.
    Script(Script),
}

/// `[package.metadata.caddis]` of a crate.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Hints {
    /// `public` or `authenticated`.
    access: Option<String>,
    /// What follows the URL in the `curl` line: a path, a body, options.
    example: String,
}

/// Runs the command until a signal ends it.
pub(super) fn run(directory: &Path, options: ServeOptions) -> Result<(), Failure> {
    let projects = projects(directory)?;
    if projects.is_empty() {
        return Err(
            format!(
            "{}: found no function: no name.ts or name.js, no name/index.ts, no Rust crate of type cdylib, no .wasm file",
            directory.display()
        )
        .into()
        );
    }
    let mut keys = Keys::from_environment()?;
    let token = keys.admin_token.get_or_insert_with(|| Secret::generate("cad_")).clone();
    let config = Config::new(options.with_data(DATA).without_rate_limits(), None, keys)?;
    start_logging()?;
    runtime()?.block_on(async {
        let Started { app, .. } = App::start(config).await?;
        let (client, admin_url) = (Client { address: app.address(), token }, app.admin_url());
        let serving = tokio::spawn(app.run(termination()?));
        let migrations = directory.join(super::db::MIGRATIONS);
        if migrations.is_dir() {
            match super::db::migrate(&client, "/api/v1/db", &migrations, false).await {
                Ok(names) => names.iter().for_each(|name| print(&format!("ran {name}"))),
                Err(error) => report(&error.to_string()),
            }
        }
        for project in &projects {
            // The others are served while this one is put right.
            if let Err(error) = deploy(&client, project).await {
                report(&format!("{}: {error}", project.name));
            }
        }
        let project = client.send(Method::GET, "/api/v1/project", "application/json", Bytes::new()).await?;
        print(&format!("\nadmin token: {}", client.token.expose()));
        for name in ["anon_key", "service_role_key"] {
            let key = project.get(name).and_then(Value::as_str).unwrap_or_default();
            print(&format!("{}: {key}", name.replace('_', " ")));
        }
        announce_admin(admin_url);
        print(&format!("listening on http://{} (Ctrl-C stops)", client.address));
        serving.await?;
        Ok(())
    })
}

async fn deploy(client: &Client, project: &Project) -> Result<(), Failure> {
    let Project { name, content, hints } = project;
    let access = hints.access.as_deref().unwrap_or("public");
    let path = format!("/api/v1/functions/{name}");
    let sent = match content {
        Content::Component(file) => {
            let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
            client.send(Method::PUT, &format!("{path}?access={access}"), "application/wasm", bytes.into()).await
        }
        Content::Script(Script { entry, files, .. }) => {
            let mut body = json!({ "entry": entry, "files": files, "enabled": true, "access": { "policy": access } });
            let (method, path) = match client.send(Method::GET, &path, "application/json", Bytes::new()).await {
                Ok(_) => (Method::PUT, path.as_str()),
                Err(_) => (Method::POST, "/api/v1/functions"),
            };
            if let (&Method::POST, Some(fields)) = (&method, body.as_object_mut()) {
                fields.insert("name".to_owned(), name.as_str().into());
            }
            client.send(method, path, "application/json", body.to_string().into()).await
        }
    };
    let function = sent?;
    let authorization = if access == "public" { String::new() } else { user_header(client).await? };
    let version = function.get("version").and_then(Value::as_u64).unwrap_or_default();
    print(&format!("{name} (version {version})"));
    print(&format!("  curl {authorization}http://{}/functions/v1/{name}{}", client.address, hints.example));
    Ok(())
}

/// A header that makes the request one of a user.
async fn user_header(client: &Client) -> Result<String, Failure> {
    let body = json!({"sub": "developer", "email": "developer@example.com", "expires_in": 86_400}).to_string();
    let answer = client.send(Method::POST, "/api/v1/user-tokens", "application/json", body.into()).await?;
    let token = answer.get("token").and_then(Value::as_str).unwrap_or_default();
    Ok(format!("-H 'Authorization: Bearer {token}' "))
}

/// Everything that can be deployed: the crates of the workspace there, or of each folder, and ready-made components.
fn projects(directory: &Path) -> Result<Vec<Project>, Failure> {
    if directory.join("Cargo.toml").is_file() {
        return crates(directory);
    }
    let supabase = directory.join("supabase/functions");
    if supabase.is_dir() {
        return projects(&supabase);
    }
    let scripts = Script::find(directory)?.into_iter();
    let mut found: Vec<_> = scripts
        .map(|script| Project { name: script.name.clone(), content: Content::Script(script), hints: Hints::default() })
        .collect();
    let entries = std::fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    for path in paths {
        if path.join("Cargo.toml").is_file() {
            found.extend(crates(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "wasm") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            found.push(Project { name, content: Content::Component(path), hints: Hints::default() });
        }
    }
    Ok(found)
}

/// What `cargo metadata` says, as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
    metadata: Option<PackageMetadata>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct PackageMetadata {
    caddis: Option<Hints>,
}

/// What `cargo build` says about each thing it has built.
#[derive(Deserialize)]
struct Built {
    reason: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    target: Option<BuiltTarget>,
}

#[derive(Deserialize)]
struct BuiltTarget {
    name: String,
}

fn crates(directory: &Path) -> Result<Vec<Project>, Failure> {
    ensure_target()?;
    let output = cargo(directory).args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let is_function =
        |package: &Package| package.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "cdylib"));
    let components = build(directory)?;
    let mut projects = Vec::new();
    for package in metadata.packages.into_iter().filter(is_function) {
        // Cargo writes libraries with underscores.
        let library = package.name.replace('-', "_");
        let built = components.iter().find(|(name, _)| name.replace('-', "_") == library);
        let Some((_, component)) = built else { continue };
        let hints = package.metadata.and_then(|metadata| metadata.caddis).unwrap_or_default();
        projects.push(Project { name: package.name, content: Content::Component(component.clone()), hints });
    }
    Ok(projects)
}

/// Builds every function there, with cargo's own progress on the terminal.
fn build(directory: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut child = cargo(directory)
        .args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut components = Vec::new();
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let Ok(built) = serde_json::from_str::<Built>(&line?) else { continue };
        let component =
            built.filenames.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "wasm"));
        if let ("compiler-artifact", Some(target), Some(component)) = (built.reason.as_str(), built.target, component) {
            components.push((target.name, component));
        }
    }
    if child.wait()?.success() { Ok(components) } else { Err("the functions do not build; see above".into()) }
}

/// The cargo of the person, undisturbed by one that may run this very command.
fn cargo(directory: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(directory);
    for name in ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_TARGET_DIR", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
}

/// Adds the WebAssembly target if the toolchain lacks it.
fn ensure_target() -> Result<(), Failure> {
    let installed = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    let directory = installed.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if directory.is_some_and(|directory| Path::new(&directory).is_dir()) {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    if added.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(format!("Rust functions need the target {TARGET}; run: rustup target add {TARGET}").into())
}
