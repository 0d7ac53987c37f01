//! Programs under Node, with packages as they are on npm, at the versions of a lock file.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use caddis_tests::within_patience;
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::Mutex;

/// One installation at a time: tests share them.
static INSTALLING: Mutex<()> = Mutex::const_new(());

/// A folder with the packages of a lock file below `tests/packages`, installed once for all runs with the same lock.
pub(crate) async fn packages(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/packages").join(name);
    let lock = std::fs::read(source.join("package-lock.json")).unwrap();
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages").join(if name.is_empty() { "all" } else { name });
    let _turn = INSTALLING.lock().await;
    if std::fs::read(folder.join("installed")).is_ok_and(|installed| installed == lock) {
        return folder;
    }
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(source.join(file), folder.join(file)).unwrap();
    }
    let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    let output = Command::new("npm").args(install).current_dir(&folder).output().await.expect("npm is installed");
    assert!(output.status.success(), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(folder.join("installed"), lock).unwrap();
    folder
}

/// Runs an ES module that can import these packages, and returns what it printed last, as JSON.
pub(crate) async fn run(packages: &Path, script: &str, variables: &[(&str, &str)]) -> Value {
    let mut node = Command::new("node");
    node.args(["--input-type=module", "--eval", script]).envs(variables.iter().copied()).current_dir(packages);
    node.stdin(Stdio::null()).kill_on_drop(true);
    let output = within_patience("node to end", node.output()).await.expect("node is installed");
    let printed = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{complaints}");
    let last = printed.lines().last().unwrap_or_default();
    let parsed = serde_json::from_str(last);
    assert!(parsed.is_ok(), "{last:?} is not JSON\n{complaints}");
    parsed.unwrap()
}
