//! `caddis build` and `caddis dev`, as a person at a terminal runs them.

use std::path::Path;
use std::process::{Output, Stdio};

use caddis_tests::within_patience;
use http::{Method, StatusCode};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::start;

/// A function of two files, one of them shared, that uses database, locale and stream.
const HELLO: &str = r#"
import { greeting } from "../_shared/greeting.ts";
const started: number = 41;
export default async function handler(req: Request, ctx: any): Promise<Response> {
  const { rows } = await ctx.db.query("SELECT ? AS answer", [started + 1]);
  const name = new URL(req.url).searchParams.get("name") ?? "nobody";
  return Response.json({ text: greeting(name), answer: rows[0].answer, price: (1234.5).toLocaleString("de-DE") });
}
"#;
const GREETING: &str = "export const greeting = (name: string): string => `hello ${name}`;";

fn tree(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

fn caddis(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_caddis"));
    command.current_dir(directory).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn run(directory: &Path, arguments: &[&str]) -> Output {
    within_patience("the command to end", caddis(directory, arguments).output()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_becomes_a_component_that_runs_like_any_other() {
    let root = tree(&[("hello/index.ts", HELLO), ("_shared/greeting.ts", GREETING)]);
    let output = run(root.path(), &["build", "hello/index.ts", "-o", "hello.wasm"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("hello.wasm: "), "{output:?}");

    let component = std::fs::read(root.path().join("hello.wasm")).unwrap();
    let server = start().await;
    server.admin().upload("hello", component.clone(), "access=public").await.expect(StatusCode::CREATED);
    for _ in 0..2 {
        let reply = server.anonymous().get("hello", "/?name=Ada").await.expect(StatusCode::OK);
        assert_eq!(reply.json(), serde_json::json!({ "text": "hello Ada", "answer": 42, "price": "1.234,5" }));
    }

    let decoded = wit_component::decode(&component).unwrap();
    let mut printer = wit_component::WitPrinter::default();
    printer.print(decoded.resolve(), decoded.package(), &[]).unwrap();
    let wit = printer.output.to_string();
    assert!(wit.contains("export caddis:function/handler@0.1.0;"), "{wit}");
    for interface in ["db", "env", "user", "log"] {
        assert!(wit.contains(&format!("import caddis:function/{interface}@0.1.0;")), "{interface}: {wit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_script_is_shown_with_its_lines() {
    let root = tree(&[
        ("broken.ts", "const one = 1;\nexport default () => missing(;\n"),
        ("late.ts", "throw new Error('too early');"),
    ]);
    let output = run(root.path(), &["build", "broken.ts"]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told.starts_with("caddis: broken.ts:2:") && told.contains("> 2 | export default () => missing(;"),
        "{told}"
    );

    let told = String::from_utf8(run(root.path(), &["build", "late.ts"]).await.stderr).unwrap();
    assert!(told.contains("late.ts:1:11: ") && told.contains("too early"), "{told}");

    let told = String::from_utf8(run(root.path(), &["build", "none.ts"]).await.stderr).unwrap();
    assert_eq!(told, "caddis: none.ts: No such file or directory (os error 2)\n");
    assert!(!root.path().join("broken.wasm").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_served_as_they_lie_in_a_directory() {
    let root = tree(&[
        ("supabase/functions/hello/index.ts", HELLO),
        ("supabase/functions/_shared/greeting.ts", GREETING),
        ("supabase/functions/broken/index.ts", "export default 1 +;"),
        ("supabase/functions/bye.js", "export default () => new Response('bye')"),
    ]);
    let mut server = caddis(root.path(), &["dev", ".", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut urls = Vec::new();
    let mut admin_interface = String::new();
    let listening = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the server goes on");
            if let Some(url) = line.trim().strip_prefix("curl ") {
                urls.push(url.to_owned());
            }
            if let Some(url) = line.strip_prefix("admin interface: ") {
                url.clone_into(&mut admin_interface);
            }
            if line.starts_with("listening on") {
                return;
            }
        }
    };
    within_patience("the server to listen", listening).await;
    let [bye, hello] = &*urls else { panic!("two functions: {urls:?}") };
    assert_eq!(fetch(bye).await, "bye");
    assert!(fetch(hello).await.contains("hello nobody"));
    assert!(fetch(&admin_interface).await.contains("<title>Caddis</title>"));
    server.kill().await.unwrap();
    let told = String::from_utf8(server.wait_with_output().await.unwrap().stderr).unwrap();
    assert!(told.contains("broken: ") && told.contains("broken/index.ts:1:"), "{told}");
}

async fn fetch(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (address, path) = rest.split_once('/').unwrap();
    let client = caddis_tests::Client::new(address.parse().unwrap());
    client.call(Method::GET, &format!("/{path}")).send().await.expect(StatusCode::OK).text()
}
