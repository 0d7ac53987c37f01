//! The description of the management API, and a program that takes it at its word: schemathesis, as it is on PyPI.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use caddis_tests::{Server, not_tested, within_patience};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::process::Command;

use crate::{options, start};

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_of_the_document_is_there() {
    let server = start().await;
    let admin = server.admin();
    let document = server.anonymous().call(Method::GET, "/openapi.json").send().await.expect(StatusCode::OK);
    assert_eq!(document.header("content-type"), ["application/json"]);
    let document = document.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let named = path.replace("{app}", "default").replace("{name}", "x").replace("{slug}", "x");
        let named = named.replace("{id}", "00000000-0000-0000-0000-000000000000");
        for method in item.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let reply = admin.call(method.clone(), &named).send().await;
            assert_ne!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert!(!reply.text().contains("no such route"), "{method} {path}");
            let code = reply.status.as_str();
            assert!(item[method.as_str().to_lowercase()]["responses"].get(code).is_some(), "{method} {path}: {code}");
            operations += 1;
        }
    }
    assert!(operations > 60, "{operations}");
}

/// The program, installed once for all runs with the same requirements; none where it cannot be had.
async fn schemathesis() -> Option<PathBuf> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/packages/schemathesis/requirements.txt");
    let wanted = std::fs::read(&requirements).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    if std::fs::read(folder.join("installed")).is_ok_and(|installed| installed == wanted) {
        return Some(folder);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    let mut install = Command::new(folder.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
    for command in [&mut make, &mut install] {
        let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        if !ended.is_ok_and(|status| status.success()) {
            return None;
        }
    }
    std::fs::write(folder.join("installed"), wanted).unwrap();
    Some(folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_server_error_and_nothing_undocumented() {
    let Some(installed) = schemathesis().await else {
        not_tested("schemathesis: it cannot be installed (python3 with venv, and PyPI)");
        return;
    };
    // Sources it makes up may import packages; nobody is to be asked for them.
    let offline =
        options().flag("--npm-registry", "off").flag("--jsr-registry", "off").variable("CADDIS_RATE_LIMITS", "off");
    let server = Server::start(offline).await;
    let shop = server.admin().create_app("shop").await;
    for app in [&server.admin(), &shop] {
        let body = json!({ "name": "f", "enabled": true, "code": "export default () => 1" });
        app.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
        app.get("f", "/").await.expect(StatusCode::OK);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("all.toml"), "").unwrap();
    let names = "[parameters]\n\"path.app\" = \"shop\"\n\"path.name\" = \"f\"\n\"path.slug\" = \"f\"\n";
    std::fs::write(folder.path().join("named.toml"), names).unwrap();
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    // First on what is there, without removing it, then on whatever names come up.
    for (configuration, more) in [("named.toml", &["--exclude-method", "DELETE"][..]), ("all.toml", &[])] {
        let mut command = Command::new(installed.join("bin/schemathesis"));
        command.args(["--config-file", configuration, "run"]).arg(format!("http://{}/openapi.json", server.address()));
        command.args(["--header", &format!("Authorization: Bearer {}", server.admin_token())]);
        command.args(["--checks", checks, "--phases", "coverage,fuzzing", "--max-examples", "4", "--seed", "1"]);
        // A followed log does not end.
        command.args(["--exclude-path-regex", "executions/stream", "--request-timeout", "60", "--no-color"]).args(more);
        command.current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
        let output = within_patience("schemathesis to end", command.output()).await.expect("it is installed");
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(report.contains("0 failed") || report.contains("passed"), "{report}");
    }
}
