//! The SDK's example of an API with a database: what it has acknowledged stays.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use caddis_tests::{Client, Server, guests};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::start;

async fn serve() -> Server {
    let server = start().await;
    server.admin().put_component("notes", guests::NOTES, "").await;
    server
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn notes_are_still_there_after_a_restart() {
    let mut server = serve().await;
    let draft = json!({ "title": "milk", "body": "two litres" });
    let created = server.anonymous().post("notes", "", &draft).await.expect(StatusCode::CREATED);
    let note = created.json();
    assert_eq!((&note["title"], &note["body"]), (&draft["title"], &draft["body"]));
    let path = format!("/{}", note["id"]);
    assert!(created.header("location")[0].ends_with(&format!("/functions/v1/notes{path}")));
    assert_eq!(server.anonymous().get("notes", &path).await.expect(StatusCode::OK).json(), note);

    server.restart().await;
    assert_eq!(server.anonymous().get("notes", &path).await.expect(StatusCode::OK).json(), note);
    assert_eq!(server.anonymous().get("notes", "").await.expect(StatusCode::OK).json(), json!([note]));

    let deleted = server.anonymous().invoke(Method::DELETE, "notes", &path).send().await;
    assert!(deleted.status.is_success(), "{}", deleted.text());
    server.anonymous().get("notes", &path).await.expect(StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_notes_api_refuses_it_says_why() {
    let server = serve().await;
    let client = server.anonymous();
    client.get("notes", "/999").await.expect(StatusCode::NOT_FOUND);
    client.get("notes", "/seven").await.expect(StatusCode::BAD_REQUEST);
    client.post("notes", "", &json!({ "title": "" })).await.expect(StatusCode::BAD_REQUEST);
    let reply = client.invoke(Method::PATCH, "notes", "").send().await.expect(StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(reply.header("allow"), ["GET, POST"]);
}

const WRITES: usize = 200;
/// Acknowledged writes after which the process is killed; the rest are under way.
const WRITES_BEFORE_THE_KILL: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_note_outlives_a_kill_in_the_middle_of_200_writes() {
    let mut server = serve().await;
    server.anonymous().get("notes", "").await.expect(StatusCode::OK);
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let enough = Arc::new(Notify::new());
    let mut writes = JoinSet::new();
    for number in 0..WRITES {
        let (client, acknowledged, enough) = (server.anonymous(), Arc::clone(&acknowledged), Arc::clone(&enough));
        writes.spawn(async move {
            let note = write(&client, number).await?;
            if acknowledged.fetch_add(1, Ordering::SeqCst) + 1 == WRITES_BEFORE_THE_KILL {
                enough.notify_one();
            }
            Some(note)
        });
    }
    caddis_tests::within_patience("the first writes", enough.notified()).await;
    server.kill().await;
    let written: Vec<_> = writes.join_all().await.into_iter().flatten().collect();
    assert!((WRITES_BEFORE_THE_KILL..WRITES).contains(&written.len()), "{} of {WRITES} were written", written.len());

    server.start_again().await;
    let found = titles(&server.anonymous()).await;
    let lost: Vec<_> = written.iter().filter(|title| !found.contains(*title)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    write(&server.anonymous(), WRITES).await.expect("the database still takes writes");
}

/// Writes a note and returns its title, when the server lives to acknowledge it.
async fn write(client: &Client, number: usize) -> Option<String> {
    let title = format!("note {number}");
    let call = client.invoke(Method::POST, "notes", "").json(&json!({ "title": title }));
    let reply = call.try_send().await?;
    (reply.status == StatusCode::CREATED).then_some(title)
}

async fn titles(client: &Client) -> BTreeSet<String> {
    let mut titles = BTreeSet::new();
    for offset in (0..).step_by(100) {
        let page = client.get("notes", &format!("?limit=100&offset={offset}")).await.expect(StatusCode::OK).json();
        let page: Vec<Value> = page.as_array().unwrap().clone();
        if page.is_empty() {
            break;
        }
        titles.extend(page.iter().map(|note| note["title"].as_str().unwrap().to_owned()));
    }
    titles
}
