//! Opening, sharing and surviving; the table modules test their own rows.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::functions::{Component, FunctionVersion};
use super::secrets::Scope;
use super::*;
use crate::error::{Code, Error};
use crate::ids::{AppName, ContentHash, FunctionName};
use crate::secrets::seal::MasterKey;
use crate::settings::Settings;

pub(super) fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

pub(super) fn app_name(text: &str) -> AppName {
    text.parse().unwrap()
}

pub(super) fn function_name(text: &str) -> FunctionName {
    text.parse().unwrap()
}

pub(super) fn sealer_of(byte: &str) -> Arc<Sealer> {
    let key = MasterKey::load(Some(&secret(&byte.repeat(32))), Path::new("/nowhere")).unwrap();
    Arc::new(Sealer::new(&key))
}

/// Opens a directory again. A process that another test starts has the lock from its fork to its exec, so this may take a moment.
pub(super) fn open_again(directory: &Path, sealer: &Arc<Sealer>) -> Result<Store, OpenError> {
    let begun = std::time::Instant::now();
    loop {
        match Store::open(directory, Arc::clone(sealer)) {
            Err(OpenError::InUse(_)) if begun.elapsed() < std::time::Duration::from_secs(5) => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

fn reopen(directory: &Path) -> Store {
    open_again(directory, &sealer_of("5e")).unwrap()
}

pub(super) fn open_with(options: Options) -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open_with(directory.path(), sealer_of("5e"), options).unwrap();
    (directory, store)
}

pub(super) fn open() -> (TempDir, Store) {
    open_with(Options::default())
}

pub(super) async fn open_with_app() -> (TempDir, Store, AppName) {
    let (directory, store) = open();
    store.ensure_default_app(Some(secret("jwt-secret"))).await.unwrap();
    (directory, store, AppName::default_app())
}

/// Publishes `bytes` as `name` in the default app.
pub(super) fn publish(tx: &Writer<'_>, name: &str, bytes: &[u8]) -> Result<FunctionVersion, StoreError> {
    let component = Component { hash: ContentHash::of(bytes), bytes, world: "caddis:function" };
    let app = AppName::default_app();
    functions::publish_component(
        tx,
        &app,
        &function_name(name),
        &Settings::default(),
        component,
        crate::store::functions::Activation::Now,
        "admin",
    )
    .map(|(function, _)| function)
}

/// The database of a store, for tests that tamper with rows.
pub(super) fn system(store: &Store) -> &Database {
    &store.0.system
}

/// What is on disk at this moment, as a crash would leave it.
fn copy_of(directory: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        // The index of the log is shared memory: a crash leaves nothing of it that counts.
        if path.extension().is_none_or(|extension| extension != "sqlite-shm") {
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

#[tokio::test]
async fn the_directory_and_its_files_are_private() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("some/data");
    let store = reopen(&directory);
    store.ensure_default_app(None).await.unwrap();
    store.executions().flush().await.unwrap();
    assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    for expected in ["caddis.lock", "caddis.sqlite", "caddis.sqlite-wal", "executions.sqlite"] {
        assert!(names.iter().any(|name| name == expected), "{expected} in {names:?}");
    }
}

#[test]
fn a_second_host_is_refused_until_the_first_is_gone() {
    let (directory, store) = open();
    let clone = store.clone();
    drop(store);
    let error = Store::open(directory.path(), sealer_of("5e")).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)));
    assert!(error.to_string().ends_with("is in use by another caddis process"), "{error}");
    drop(clone);
    reopen(directory.path());
}

#[test]
fn the_log_alone_keeps_the_directory() {
    let (directory, store) = open();
    let log = store.executions().clone();
    drop(store);
    assert!(matches!(Store::open(directory.path(), sealer_of("5e")), Err(OpenError::InUse(_))));
    drop(log);
    reopen(directory.path());
}

#[tokio::test]
async fn another_master_key_is_refused_at_once() {
    let (directory, store) = open();
    drop(store);
    let error = open_again(directory.path(), &sealer_of("77")).unwrap_err();
    assert!(matches!(error, OpenError::WrongMasterKey(_)));
    assert!(error.to_string().starts_with("CADDIS_MASTER_KEY"), "{error}");
    reopen(directory.path());
}

#[test]
fn files_of_a_newer_version_are_refused_and_left_alone() {
    for file in [SYSTEM_FILE, EXECUTIONS_FILE] {
        let (directory, store) = open();
        drop(store);
        let path = directory.path().join(file);
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", 1000).unwrap();
        drop(connection);
        let before = fs::read(&path).unwrap();
        let error = open_again(directory.path(), &sealer_of("5e")).unwrap_err();
        assert!(matches!(error, OpenError::Newer { found: 1000, .. }), "{error}");
        assert!(error.to_string().contains("newer version of caddis"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn what_is_not_a_database_or_not_writable_is_named_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(SYSTEM_FILE), "not a database ".repeat(1000)).unwrap();
    let damaged = Store::open(directory.path(), sealer_of("5e")).unwrap_err();
    assert!(matches!(damaged, OpenError::Damaged { .. }), "{damaged}");
    let below_a_file = Store::open(&directory.path().join(SYSTEM_FILE), sealer_of("5e")).unwrap_err();
    assert!(matches!(below_a_file, OpenError::NotWritable { .. }), "{below_a_file}");
    for error in [damaged, below_a_file] {
        let text = error.to_string();
        assert!(text.contains(SYSTEM_FILE) && !text.contains('\n'), "{text}");
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_changes_nothing() {
    let (_directory, store) = open();
    let full = store.write(|tx| {
        apps::create(tx, &app_name("shop"), &secret("a"))?;
        // As far as SQLite can tell, the disk has no more.
        tx.connection.query_row("PRAGMA max_page_count = 1", (), |_| Ok(()))?;
        Ok(tx.connection.execute("CREATE TABLE large AS SELECT randomblob(1000000) AS bytes", ()).map(drop)?)
    });
    let refused = full.await.unwrap_err();
    assert!(matches!(&refused, StoreError::Refused(error) if error.message.contains("disk is full")), "{refused}");
    assert_eq!(store.read(apps::list).await.unwrap(), []);
}

/// Loss of power cannot be tested here; the pragmas that stand against it can.
#[tokio::test]
async fn commits_wait_for_the_disk_where_it_matters() {
    let (directory, store) = open();
    let pragmas = |connection: &Connection| {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        Ok((journal, pragma("synchronous")?, pragma("foreign_keys")?))
    };
    assert_eq!(system(&store).write(pragmas).await.unwrap(), ("wal".to_owned(), 2, 1));
    drop(store);
    let path = directory.path().join(EXECUTIONS_FILE);
    let log = Database::open(&path, Durability::ProcessCrash, migrate::EXECUTIONS).unwrap();
    assert_eq!(log.write(pragmas).await.unwrap(), ("wal".to_owned(), 1, 1));
}

#[tokio::test]
async fn everything_acknowledged_survives_a_crash_and_a_restart() {
    let (directory, store, app) = open_with_app().await;
    let function = store.write(|tx| publish(tx, "hello", b"component")).await.unwrap();
    let id = function.id;
    let values = [("KEY".parse().unwrap(), secret("value"))].into();
    store.write(move |tx| secrets::put(tx, &Scope::Function(id), &values)).await.unwrap();
    store.write(|tx| api_keys::set_admin_token_hash(tx, &[7; 32])).await.unwrap();

    let crashed = copy_of(directory.path());
    drop(store);
    for directory in [crashed, directory] {
        let store = reopen(directory.path());
        let app = app.clone();
        store
            .read(move |tx| {
                assert_eq!(functions::list_all(tx)?, [function_of(tx)?]);
                assert_eq!(functions::component_bytes(tx, ContentHash::of(b"component"))?, b"component");
                assert_eq!(
                    secrets::environment(tx, &app, Some(id), &secrets::Changes::new())?["KEY"].expose(),
                    "value"
                );
                assert_eq!(apps::jwt_secret(tx, &app)?.expose(), "jwt-secret");
                assert_eq!(api_keys::admin_token_hash(tx)?, Some([7; 32]));
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(store.read(function_of).await.unwrap(), function);
    }
}

fn function_of(tx: &Reader<'_>) -> Result<FunctionVersion, StoreError> {
    functions::get(tx, &AppName::default_app(), &function_name("hello"))
}

#[tokio::test]
async fn no_secret_is_readable_in_the_files() {
    const PLANTED: &str = "planted-5b0e2f-secret";
    let (directory, store, app) = open_with_app().await;
    store.ensure_default_app(Some(secret(&format!("jwt {PLANTED}")))).await.unwrap();
    let id = store.write(|tx| publish(tx, "visible-name", b"visible-component")).await.unwrap().id;
    for scope in [Scope::App(app), Scope::Function(id)] {
        let values = [("VISIBLE_VARIABLE".parse().unwrap(), secret(PLANTED))].into();
        store.write(move |tx| secrets::put(tx, &scope, &values)).await.unwrap();
    }
    let contains = |needle: &str| {
        let files = fs::read_dir(directory.path()).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
        files.into_iter().any(|bytes| bytes.windows(needle.len()).any(|window| window == needle.as_bytes()))
    };
    assert!(directory.path().join("caddis.sqlite-wal").exists());
    for visible in ["visible-component", "VISIBLE_VARIABLE", "visible-name"] {
        assert!(contains(visible), "the search finds what is not secret: {visible}");
    }
    assert!(!contains(PLANTED));
    drop(store);
    assert!(contains("visible-component") && !contains(PLANTED), "also after the log is merged");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_take_turns() {
    let (_directory, store, _) = open_with_app().await;
    let inside = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..64)
        .map(|number: u8| {
            let (store, inside) = (store.clone(), Arc::clone(&inside));
            tokio::spawn(async move {
                let write = move |tx: &Writer<'_>| {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "one writer at a time");
                    let function = publish(tx, "shared", &[number])?;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    Ok(function.version)
                };
                let version = store.write(write).await.unwrap();
                store.read(functions::list_all).await.unwrap();
                version
            })
        })
        .collect();
    let mut versions = Vec::new();
    for writer in writers {
        versions.push(writer.await.unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, (1..=64).collect::<Vec<u32>>());
}

#[tokio::test]
async fn a_write_that_is_refused_or_panics_changes_nothing_and_harms_nobody() {
    let (_directory, store, _) = open_with_app().await;
    let refuse = |tx: &Writer<'_>| {
        publish(tx, "hello", b"component")?;
        Err::<(), _>(StoreError::from(Error::new(Code::InvalidRequest, "no")))
    };
    let refused = store.write(refuse).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused(error) if error.code == Code::InvalidRequest));
    for _ in 0..10 {
        let panic = |tx: &Writer<'_>| -> Result<(), StoreError> {
            publish(tx, "hello", b"component")?;
            panic!("on purpose")
        };
        assert!(matches!(store.write(panic).await, Err(StoreError::Internal(_))));
        let panic = |_: &Reader<'_>| -> Result<(), StoreError> { panic!("on purpose") };
        assert!(matches!(store.read(panic).await, Err(StoreError::Internal(_))));
    }
    assert_eq!(store.read(functions::list_all).await.unwrap(), []);
    store.write(|tx| publish(tx, "hello", b"component")).await.unwrap();
}

#[tokio::test]
async fn a_write_goes_on_when_its_caller_is_gone() {
    let (_directory, store, _) = open_with_app().await;
    let (started, has_started) = std::sync::mpsc::channel();
    let (proceed, may_proceed) = std::sync::mpsc::channel::<()>();
    let caller = tokio::spawn({
        let store = store.clone();
        async move {
            let write = move |tx: &Writer<'_>| {
                started.send(()).unwrap();
                may_proceed.recv().unwrap();
                publish(tx, "hello", b"component")
            };
            store.write(write).await
        }
    });
    tokio::task::spawn_blocking(move || has_started.recv().unwrap()).await.unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    proceed.send(()).unwrap();
    // The next writer comes after it.
    store.write(|_| Ok(())).await.unwrap();
    store.read(function_of).await.unwrap();
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let (_directory, store) = open();
    let write = |connection: &Connection| Ok(connection.execute("DELETE FROM apps", ())?);
    assert!(matches!(system(&store).read(write).await, Err(StoreError::Internal(_))));
}

/// Takes as long as a caller waits: five seconds.
#[tokio::test]
async fn waiting_for_a_connection_ends() {
    let (_directory, store) = open();
    let (started, mut has_started) = tokio::sync::mpsc::channel(5);
    let (release, released) = tokio::sync::watch::channel(());
    let hold = {
        let runtime = tokio::runtime::Handle::current();
        move || {
            started.blocking_send(()).unwrap();
            assert!(runtime.block_on(released.clone().changed()).is_err());
            Ok(())
        }
    };
    let mut holders = Vec::new();
    for _ in 0..4 {
        let (store, hold) = (store.clone(), hold.clone());
        holders.push(tokio::spawn(async move { store.read(move |_| hold()).await }));
    }
    let writing = store.clone();
    holders.push(tokio::spawn(async move { writing.write(move |_| hold()).await }));
    for _ in 0..5 {
        has_started.recv().await.unwrap();
    }
    let (read, written) = tokio::join!(store.read(|_| Ok(())), store.write(|_| Ok(())));
    assert!(matches!((read, written), (Err(StoreError::Busy), Err(StoreError::Busy))));
    drop(release);
    for holder in holders {
        holder.await.unwrap().unwrap();
    }
    store.read(|_| Ok(())).await.unwrap();
}
