//! What every new data directory of a test begins with: the compiled JavaScript engine, and the key that vouches for it. Without it each
//! test would compile the engine again, which is most of the work of most tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use http::{Method, StatusCode};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::server::{Options, Server};

/// Files and directories of a data directory that do not depend on what it is used for.
const KEPT: [&str; 2] = ["master.key", "cache"];

static TEMPLATE: OnceCell<PathBuf> = OnceCell::const_new();

/// Copies it into a new data directory.
pub(crate) async fn apply(binary: &Path, data: &Path) {
    let template = TEMPLATE.get_or_init(|| ensure(binary)).await;
    copy(template, data).expect("the template can be copied");
}

/// Makes it once for each build of the binary, for all processes with tests.
async fn ensure(binary: &Path) -> PathBuf {
    let built = fs::metadata(binary).and_then(|metadata| metadata.modified()).expect("the binary is a file");
    let built = built.duration_since(UNIX_EPOCH).expect("a time after 1970").as_nanos();
    let all = Path::new(env!("OUT_DIR")).join("templates");
    let path = all.join(built.to_string());
    if !path.is_dir() {
        let _ = fs::remove_dir_all(&all);
        fs::create_dir_all(&all).expect("the target directory can be written");
        make(binary, &all, &path).await;
    }
    path
}

async fn make(binary: &Path, all: &Path, path: &Path) {
    let mut server = Server::start_on(Options::new(binary), tempfile::tempdir().expect("a temporary directory")).await;
    let body = json!({ "name": "f", "code": "export default () => null" });
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    server.stop_gracefully().await;
    let unfinished = tempfile::tempdir_in(all).expect("the target directory can be written");
    copy(server.data(), unfinished.path()).expect("the template can be copied");
    // Another process may have been first.
    let _ = fs::rename(unfinished.keep(), path);
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for name in KEPT {
        copy_tree(&from.join(name), &to.join(name))?;
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_tree(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
