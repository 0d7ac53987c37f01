//! A host for the engine: the lean world with recorded effects, and WASI from wasmtime.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use javy_shim::{
    BASE_IMAGE, BUILDER_INTERFACE, CHANGES_IMPORT, ENGINE, IMAGE_IMPORT, SNAPSHOT_INTERFACE, WASM_STACK_SIZE, image,
};
use wasmtime::component::{
    Component, ComponentType, Func, HasSelf, Instance, InstancePre, Lift, Linker, Lower, Resource, ResourceTable,
    ResourceType, WasmList,
};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, Module, PoolingAllocationConfig, Store};
use wasmtime_wasi::p2::DynOutputStream;
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "caddis:function/function",
        imports: { default: trappable },
        exports: { default: async },
        with: {
            "wasi:io/error@0.2.0": wasmtime_wasi::p2::bindings::io::error,
            "wasi:io/poll@0.2.0": wasmtime_wasi::p2::bindings::io::poll,
            "wasi:io/streams@0.2.0": wasmtime_wasi::p2::bindings::io::streams,
        },
    });
}

use bindings::Function;
use bindings::caddis::function::{db, env, http, log, outgoing, user};
use bindings::exports::caddis::function::handler::{Error, Request, Response};

/// The functions of `caddis:engine/intl`.
const INTL: [&str; 8] =
    ["resolve", "format", "compare", "segment", "canonical-locales", "supported-locales", "convert-case", "values"];

/// What one instance sees and did.
pub(crate) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    network: Network,
    table: ResourceTable,
    env: Vec<(String, String)>,
    user: Option<user::Identity>,
    started: Option<(http::ResponseHead, MemoryOutputPipe)>,
    /// Statements the database was asked for, with the parameters.
    pub(crate) statements: Vec<String>,
    /// What is left of the database's result that is read piece by piece.
    pieces: u32,
    /// Log lines: `level: text`.
    pub(crate) log: Vec<String>,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.network }
    }
}

/// The other side of `fetch`: what a request gets depends on its path only.
struct Network;

type Sending = Box<dyn Future<Output = Result<(), HttpError>> + Send>;

impl WasiHttpHooks for Network {
    fn send_request(
        &mut self,
        request: ::http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Sending,
    ) -> Box<dyn Future<Output = Result<(::http::Response<WasiBody>, Sending), HttpError>> + Send> {
        Box::new(async move {
            let done: Sending = Box::new(std::future::ready(Ok(())));
            let (head, body) = request.into_parts();
            let reply = ::http::Response::builder();
            let (reply, text) = match head.uri.path() {
                "/refused" => return Err(HttpError::ConnectionRefused),
                "/never" => return std::future::pending().await,
                "/redirect" => (reply.status(303).header("location", "/echo?redirected"), String::new()),
                "/loop" => (reply.status(302).header("location", "/loop"), String::new()),
                _ => {
                    let body = body.collect().await?.to_bytes();
                    let mut text = format!("{} {} {}", head.method, head.uri, String::from_utf8_lossy(&body));
                    if let Some(token) = head.headers.get("authorization") {
                        text.push_str(&format!(" with {token:?}"));
                    }
                    (reply.header("x-reply", "yes").header("content-type", "text/plain"), text)
                }
            };
            let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
            Ok((reply.body(body).expect("a response"), done))
        })
    }
}

impl http::Host for State {}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.log.push(format!(
            "{}: {message}",
            format!("{level:?}").rsplit("::").next().unwrap_or_default().to_lowercase()
        ));
        Ok(())
    }
}

impl env::Host for State {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone()))
    }

    fn all(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.env.clone())
    }
}

impl user::Host for State {
    fn current(&mut self) -> wasmtime::Result<Option<user::Identity>> {
        Ok(self.user.clone())
    }
}

impl outgoing::Host for State {
    fn start(
        &mut self,
        head: http::ResponseHead,
    ) -> wasmtime::Result<Result<Resource<DynOutputStream>, outgoing::StartError>> {
        let pipe = MemoryOutputPipe::new(1 << 20);
        self.started = Some((head, pipe.clone()));
        let stream: DynOutputStream = Box::new(pipe);
        Ok(Ok(self.table.push(stream)?))
    }
}

impl State {
    fn note(&mut self, statement: &str, parameters: &[db::Value]) -> Result<(), db::Error> {
        self.statements.push(format!("{statement} {parameters:?}"));
        if statement.contains("broken") {
            Err(db::Error::Syntax("near \"broken\": syntax error".to_owned()))
        } else {
            Ok(())
        }
    }
}

type DbResult<T> = wasmtime::Result<Result<T, db::Error>>;

impl db::Host for State {
    fn query(&mut self, sql: String, parameters: Vec<db::Value>) -> DbResult<db::Rows> {
        Ok(self.note(&sql, &parameters).map(|()| row()))
    }

    fn execute(&mut self, sql: String, parameters: Vec<db::Value>) -> DbResult<db::Changes> {
        Ok(self.note(&sql, &parameters).map(|()| db::Changes { rows_affected: 1, last_insert_id: 7 }))
    }
}

impl State {
    fn opened(&mut self, statement: &db::Statement) -> DbResult<Resource<db::Cursor>> {
        self.pieces = 2;
        Ok(self.outcome(statement).map(|_| Resource::new_own(1)))
    }

    fn outcome(&mut self, statement: &db::Statement) -> Result<db::Outcome, db::Error> {
        let changes = db::Changes { rows_affected: 1, last_insert_id: 7 };
        match &statement.parameters {
            db::Parameters::Positional(values) => self.note(&statement.sql, values)?,
            db::Parameters::Named(pairs) => {
                let (names, values): (Vec<_>, Vec<_>) = pairs.iter().cloned().unzip();
                self.note(&format!("{} {names:?}", statement.sql), &values)?;
            }
        }
        Ok(db::Outcome { rows: row(), changes })
    }
}

fn row() -> db::Rows {
    let row = vec![
        db::Value::Integer(1 << 60),
        db::Value::Text("é".to_owned()),
        db::Value::Blob(vec![1, 2]),
        db::Value::Null,
    ];
    db::Rows { columns: ["big", "text", "blob", "__proto__"].map(str::to_owned).to_vec(), rows: vec![row] }
}

impl db::HostConnection for State {
    fn new(&mut self) -> wasmtime::Result<Resource<db::Connection>> {
        Ok(Resource::new_own(1))
    }

    fn acting_as(&mut self, role: db::Role) -> DbResult<Resource<db::Connection>> {
        self.statements.push(format!("as {role:?}"));
        Ok(Ok(Resource::new_own(2)))
    }

    fn run(&mut self, _: Resource<db::Connection>, statement: db::Statement) -> DbResult<db::Outcome> {
        Ok(self.outcome(&statement))
    }

    fn batch(&mut self, _: Resource<db::Connection>, statements: Vec<db::Statement>) -> DbResult<Vec<db::Outcome>> {
        Ok(statements.iter().map(|statement| self.outcome(statement)).collect())
    }

    fn begin(&mut self, _: Resource<db::Connection>, mode: db::TransactionMode) -> DbResult<Resource<db::Transaction>> {
        db::HostTransaction::begin(self, mode)
    }

    fn open(&mut self, _: Resource<db::Connection>, statement: db::Statement) -> DbResult<Resource<db::Cursor>> {
        self.opened(&statement)
    }

    fn drop(&mut self, connection: Resource<db::Connection>) -> wasmtime::Result<()> {
        self.statements.push(format!("disconnect {}", connection.rep()));
        Ok(())
    }
}

impl db::HostCursor for State {
    fn columns(&mut self, _: Resource<db::Cursor>) -> wasmtime::Result<Vec<String>> {
        Ok(row().columns)
    }

    fn next(&mut self, _: Resource<db::Cursor>) -> DbResult<Vec<Vec<db::Value>>> {
        if self.pieces == 0 {
            return Ok(Ok(Vec::new()));
        }
        self.pieces -= 1;
        Ok(Ok([row().rows, row().rows].concat()))
    }

    fn drop(&mut self, _: Resource<db::Cursor>) -> wasmtime::Result<()> {
        self.statements.push("close".to_owned());
        Ok(())
    }
}

impl db::HostTransaction for State {
    fn run(&mut self, _: Resource<db::Transaction>, statement: db::Statement) -> DbResult<db::Outcome> {
        Ok(self.outcome(&statement))
    }

    fn batch(&mut self, _: Resource<db::Transaction>, statements: Vec<db::Statement>) -> DbResult<Vec<db::Outcome>> {
        Ok(statements.iter().map(|statement| self.outcome(statement)).collect())
    }

    fn open(&mut self, _: Resource<db::Transaction>, statement: db::Statement) -> DbResult<Resource<db::Cursor>> {
        self.opened(&statement)
    }

    fn begin(&mut self, mode: db::TransactionMode) -> DbResult<Resource<db::Transaction>> {
        self.statements.push(format!("begin {mode:?}"));
        Ok(Ok(Resource::new_own(1)))
    }

    fn query(&mut self, _: Resource<db::Transaction>, sql: String, parameters: Vec<db::Value>) -> DbResult<db::Rows> {
        Ok(self.note(&sql, &parameters).map(|()| row()))
    }

    fn execute(
        &mut self,
        _: Resource<db::Transaction>,
        sql: String,
        parameters: Vec<db::Value>,
    ) -> DbResult<db::Changes> {
        Ok(self.note(&sql, &parameters).map(|()| db::Changes { rows_affected: 1, last_insert_id: 7 }))
    }

    fn commit(&mut self, _: Resource<db::Transaction>) -> DbResult<()> {
        self.statements.push("commit".to_owned());
        Ok(Ok(()))
    }

    fn rollback(&mut self, _: Resource<db::Transaction>) -> DbResult<()> {
        self.statements.push("rollback".to_owned());
        Ok(Ok(()))
    }

    fn drop(&mut self, _: Resource<db::Transaction>) -> wasmtime::Result<()> {
        Ok(())
    }
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct SourceModule<'a> {
    name: &'a str,
    code: &'a str,
    imports: Vec<(&'a str, &'a str)>,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
struct Failure {
    message: String,
    stack: Option<String>,
}

/// The functions of `caddis:engine/crypto`.
const CRYPTO: [&str; 9] =
    ["import-key", "export-key", "generate-key", "sign", "verify", "encrypt", "decrypt", "derive", "agree"];

/// The functions of `caddis:engine/files`.
const FILES: [&str; 7] = ["read", "write", "stat", "entries", "make-directory", "remove", "rename"];

/// More than any test needs.
const FUEL: u64 = 200_000_000_000;

/// A module: name, code, and what its imports stand for.
pub(crate) type Source<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// What is made once per process: the compiled engine.
pub(crate) struct Host {
    engine: Engine,
    component: Component,
    linker: Linker<State>,
}

/// A deployed function.
pub(crate) struct Deployed {
    pre: InstancePre<State>,
    /// Its changes to the base image, if it does not start on its own.
    pub(crate) changes: Option<Vec<u8>>,
    /// Its image.
    pub(crate) image: Vec<u8>,
    /// How long it took to evaluate, to copy the memory out, to encode it, and to compile the image.
    pub(crate) steps: [Duration; 4],
}

/// Status, header fields, body.
pub(crate) type Answer = (u16, Vec<(String, String)>, Vec<u8>);

/// What came of one request.
pub(crate) struct Outcome {
    pub(crate) result: Result<Answer, Error>,
    pub(crate) state: State,
    /// The fuel it used.
    pub(crate) fuel: u64,
    /// The instantiation.
    pub(crate) instantiated: Duration,
    /// The whole call, with instantiation.
    pub(crate) took: Duration,
    /// The pages of memory it wrote to, 4 KiB each.
    pub(crate) written: Written,
}

/// Pages a request wrote to, also where it restored what was there: each is copied when it is first written, and put back when the
/// instance ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    /// How many there are.
    pub(crate) pages: usize,
    /// How many groups of adjacent pages they form. wasmtime puts up to 32 of them back by copying; what lies beyond is unmapped, and
    /// costs a page fault for each page when it is used again.
    pub(crate) groups: usize,
}

impl Written {
    /// What the kernel says of the pages of this memory: those in memory that are not the file's are written.
    fn to(memory: &[u8]) -> Written {
        const PAGE: usize = 4096;
        const ENTRY: usize = 8;
        let first = memory.as_ptr().addr() / PAGE;
        let mut entries = vec![0; memory.len() / PAGE * ENTRY];
        File::open("/proc/self/pagemap")
            .and_then(|file| file.read_exact_at(&mut entries, (first * ENTRY) as u64))
            .expect("/proc/self/pagemap");
        let mut written = Written::default();
        let mut adjacent = false;
        for entry in entries.chunks_exact(ENTRY) {
            let entry = u64::from_ne_bytes(entry.try_into().expect("eight bytes"));
            let (is_present, is_of_file) = (entry >> 63 & 1 == 1, entry >> 61 & 1 == 1);
            let is_written = is_present && !is_of_file;
            written.pages += usize::from(is_written);
            written.groups += usize::from(is_written && !adjacent);
            adjacent = is_written;
        }
        written
    }
}

impl Outcome {
    pub(crate) fn text(&self) -> String {
        match &self.result {
            Ok((_, _, body)) => String::from_utf8_lossy(body).into_owned(),
            Err(error) => {
                panic!("{}\n{}\nlog: {:?}", error.message, error.stack.clone().unwrap_or_default(), self.state.log)
            }
        }
    }

    pub(crate) fn status(&self) -> u16 {
        self.text();
        self.result.as_ref().map(|(status, ..)| *status).expect("answered")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, headers, _) = self.result.as_ref().expect("answered");
        headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn error(&self) -> &Error {
        self.result.as_ref().map(|_| ()).expect_err("failed")
    }
}

/// The one host of this test binary.
pub(crate) fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::new().expect("the engine compiles"))
}

impl Host {
    fn new() -> wasmtime::Result<Host> {
        let mut pool = PoolingAllocationConfig::default();
        // As a host that is out for speed sets it: what an instance dirtied is cleared, not unmapped.
        pool.linear_memory_keep_resident(16 << 20).table_keep_resident(1 << 20).async_stack_keep_resident(1 << 16);
        pool.total_memories(64)
            .total_tables(200)
            .total_stacks(64)
            .total_core_instances(300)
            .total_component_instances(64);
        pool.max_memory_size(256 << 20);
        pool.pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        config.max_wasm_stack(WASM_STACK_SIZE).async_stack_size(WASM_STACK_SIZE + (1 << 20));
        config.consume_fuel(true);
        let engine = Engine::new(&config)?;
        let component = Component::new(&engine, ENGINE)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        db::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        env::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        http::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        log::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        outgoing::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        user::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        // What depends on a locale is tested where it is done, in the host.
        let mut encodings = linker.instance("caddis:engine/encodings@0.1.0")?;
        encodings.resource("decoder", ResourceType::host::<()>(), |_, _| Ok(()))?;
        encodings.func_wrap("name", |_, (_,): (String,)| Ok((None::<String>,)))?;
        for name in ["[static]decoder.open", "[method]decoder.decode"] {
            encodings.func_new(name, |_, _, _, _| Err(wasmtime::format_err!("this host knows no legacy encodings")))?;
        }
        let mut intl = linker.instance("caddis:engine/intl@0.1.0")?;
        for name in INTL {
            intl.func_new(name, |_, _, _, _| Err(wasmtime::format_err!("this host knows no locales")))?;
        }
        // Compression, cryptography and files are the real host's, and tested through it.
        let mut compression = linker.instance("caddis:engine/compression@0.1.0")?;
        compression.resource("codec", ResourceType::host::<()>(), |_, _| Ok(()))?;
        for name in ["[static]codec.open", "[method]codec.convert"] {
            compression.func_new(name, |_, _, _, _| Err(wasmtime::format_err!("this host compresses nothing")))?;
        }
        let mut crypto = linker.instance("caddis:engine/crypto@0.1.0")?;
        for name in CRYPTO {
            crypto.func_new(name, |_, _, _, _| {
                Err(wasmtime::Error::msg("the host of these tests has no cryptography"))
            })?;
        }
        let mut files = linker.instance("caddis:engine/files@0.1.0")?;
        for name in FILES {
            files.func_new(name, |_, _, _, _| Err(wasmtime::Error::msg("the host of these tests has no files")))?;
        }
        Ok(Host { engine, component, linker })
    }

    fn pre(&self, image: &[u8], changes: &[u8]) -> wasmtime::Result<InstancePre<State>> {
        self.pre_on(&self.module(image), changes)
    }

    fn module(&self, bytes: &[u8]) -> Module {
        Module::new(&self.engine, bytes).expect("the module compiles")
    }

    fn pre_on(&self, image: &Module, changes: &[u8]) -> wasmtime::Result<InstancePre<State>> {
        let mut linker = self.linker.clone();
        linker.root().module(IMAGE_IMPORT, image)?;
        linker.root().module(CHANGES_IMPORT, &self.module(changes))?;
        linker.instantiate_pre(&self.component)
    }

    fn store(&self, env: Vec<(String, String)>, user: Option<user::Identity>) -> Store<State> {
        let state = State {
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            network: Network,
            table: ResourceTable::new(),
            env,
            user,
            started: None,
            statements: Vec::new(),
            pieces: 0,
            log: Vec::new(),
        };
        let mut store = Store::new(&self.engine, state);
        store.set_fuel(FUEL).expect("fuel is on");
        store
    }

    /// Evaluates a program and makes its image.
    pub(crate) async fn deploy(&self, modules: &[Source<'_>]) -> Result<Deployed, (String, Option<String>)> {
        static BASE: OnceLock<InstancePre<State>> = OnceLock::new();
        let base = BASE.get_or_init(|| self.pre(BASE_IMAGE, &image::no_changes()).expect("the base image compiles"));
        let env = vec![("GREETING".to_owned(), "hello".to_owned())];
        let begin = Instant::now();
        let mut store = self.store(env, None);
        let instance = base.instantiate_async(&mut store).await.expect("instantiates");
        let sources = modules
            .iter()
            .map(|(name, code, imports)| SourceModule { name, code, imports: imports.to_vec() })
            .collect();
        let evaluate = export(&mut store, &instance, BUILDER_INTERFACE, "evaluate")
            .typed::<(&str, Vec<SourceModule<'_>>), (Result<(), Failure>,)>(&store)
            .expect("typed");
        let (result,) = evaluate.call_async(&mut store, (modules[0].0, sources)).await.expect("no trap");
        result.map_err(|failure| (failure.message, failure.stack))?;
        let evaluated = Instant::now();
        let read = export(&mut store, &instance, SNAPSHOT_INTERFACE, "memory")
            .typed::<(), (WasmList<u8>,)>(&store)
            .expect("typed");
        let (memory,) = read.call_async(&mut store, ()).await.expect("no trap");
        let copied = Instant::now();
        let memory = memory.as_le_slice(&store);
        let image = image::encode(memory);
        let changes = image::changes(memory).map(|changes| changes.module);
        let encoded = Instant::now();
        let pre = match &changes {
            Some(changes) => self.pre(BASE_IMAGE, changes),
            None => self.pre(&image, &image::no_changes()),
        };
        let pre = pre.expect("the image compiles");
        let steps = [evaluated - begin, copied - evaluated, encoded - copied, encoded.elapsed()];
        Ok(Deployed { pre, changes, image, steps })
    }

    /// The same functions: their instances have the same places in the pool, and all start on one mapping.
    pub(crate) fn side_by_side<const N: usize>(&self, functions: [Deployed; N]) -> [Deployed; N] {
        let base = self.module(BASE_IMAGE);
        functions.map(|function| {
            let changes = function.changes.as_deref().expect("a small function");
            Deployed { pre: self.pre_on(&base, changes).expect("links"), ..function }
        })
    }

    /// The same function, which starts on its image.
    pub(crate) fn on_its_image(&self, function: &Deployed) -> Deployed {
        let pre = self.pre(&function.image, &image::no_changes()).expect("links");
        Deployed { pre, changes: None, image: function.image.clone(), steps: function.steps }
    }

    /// Deploys one module without imports.
    pub(crate) async fn deploy_source(&self, code: &str) -> Deployed {
        self.deploy(&[("main.js", code, &[])]).await.unwrap_or_else(|(message, stack)| panic!("{message}\n{stack:?}"))
    }
}

fn export(store: &mut Store<State>, instance: &Instance, interface: &str, name: &str) -> Func {
    let interface = instance.get_export_index(&mut *store, None, interface).expect("exported");
    let index = instance.get_export_index(&mut *store, Some(&interface), name).expect("exported");
    instance.get_func(&mut *store, index).expect("a function")
}

/// A request to send.
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body is handed over as a stream.
    pub(crate) streamed: bool,
    pub(crate) user: bool,
    /// Whether to look which pages it changes.
    pub(crate) measured: bool,
}

impl Default for Call {
    fn default() -> Call {
        Call {
            method: "GET",
            path: "/",
            headers: Vec::new(),
            body: Vec::new(),
            streamed: false,
            user: false,
            measured: false,
        }
    }
}

impl Call {
    pub(crate) fn post(body: &str) -> Call {
        Call { method: "POST", body: body.as_bytes().to_vec(), ..Call::default() }
    }
}

impl Deployed {
    pub(crate) async fn call(&self, call: Call) -> Outcome {
        let identity = call.user.then(|| user::Identity {
            id: "u1".to_owned(),
            email: Some("u1@example.com".to_owned()),
            role: "authenticated".to_owned(),
            groups: vec!["staff".to_owned()],
            claims: r#"{"sub":"u1","session_id":"s1"}"#.to_owned(),
        });
        let begin = Instant::now();
        let mut store = host().store(Vec::new(), identity);
        let body = match (call.streamed, call.body.is_empty()) {
            (true, _) => {
                let stream: wasmtime_wasi::p2::DynInputStream = Box::new(MemoryInputPipe::new(call.body));
                http::RequestBody::Stream(store.data_mut().table.push(stream).expect("room in the table"))
            }
            (false, true) => http::RequestBody::Empty,
            (false, false) => http::RequestBody::Bytes(call.body),
        };
        let headers =
            call.headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        let request = Request {
            method: call.method.to_owned(),
            url: format!("http://example.com/functions/v1/f{}", call.path),
            path_with_query: call.path.to_owned(),
            headers,
            body,
        };
        let instance = self.pre.instantiate_async(&mut store).await.expect("instantiates");
        let instantiated = begin.elapsed();
        let function = Function::new(&mut store, &instance).expect("the world");
        let result = function.caddis_function_handler().call_handle(&mut store, &request).await;
        let took = begin.elapsed();
        let fuel = FUEL - store.get_fuel().unwrap_or_default();
        let written = if call.measured { written(&mut store, &instance).await } else { Written::default() };
        let state = store.into_data();
        let result =
            result.unwrap_or_else(|trap| Err(Error { message: format!("trap: {}", trap.root_cause()), stack: None }));
        Outcome { result: result.map(|response| parts(response, &state)), state, fuel, instantiated, took, written }
    }

    pub(crate) async fn get(&self) -> Outcome {
        self.call(Call::default()).await
    }

    /// The memory that a request starts with.
    pub(crate) async fn memory(&self) -> Vec<u8> {
        let mut store = host().store(Vec::new(), None);
        let instance = self.pre.instantiate_async(&mut store).await.expect("instantiates");
        let read =
            export(&mut store, &instance, SNAPSHOT_INTERFACE, "memory").typed::<(), (Vec<u8>,)>(&store).expect("typed");
        store.set_hostcall_fuel(usize::MAX);
        read.call_async(&mut store, ()).await.expect("no trap").0
    }
}

/// What was written to in the memory of an instance, at any time since its place was mapped.
async fn written(store: &mut Store<State>, instance: &Instance) -> Written {
    let function = export(store, instance, SNAPSHOT_INTERFACE, "memory");
    let read = function.typed::<(), (WasmList<u8>,)>(&mut *store).expect("typed");
    let (memory,) = read.call_async(&mut *store, ()).await.expect("no trap");
    Written::to(memory.as_le_slice(&*store))
}

fn parts(response: Response, state: &State) -> Answer {
    let (head, body) = match response {
        Response::Whole(whole) => (whole.head, whole.body),
        Response::Streamed => {
            let (head, pipe) = state.started.as_ref().expect("a started response");
            (head.clone(), pipe.contents().to_vec())
        }
    };
    let headers =
        head.headers.into_iter().map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())).collect();
    (head.status, headers, body)
}

impl Host {
    /// The names of what a component exports.
    pub(crate) fn exports(&self, component: &[u8]) -> Vec<String> {
        let ty = Component::new(&self.engine, component).expect("compiles").component_type();
        ty.exports(&self.engine).map(|(name, _)| name.to_owned()).collect()
    }

    /// Calls a self-contained component once.
    pub(crate) async fn call_component(&self, component: &[u8], call: Call) -> Outcome {
        let component = Component::new(&self.engine, component).expect("compiles");
        let pre = self.linker.instantiate_pre(&component).expect("links");
        let deployed = Deployed { pre, changes: None, image: Vec::new(), steps: [Duration::ZERO; 4] };
        deployed.call(call).await
    }
}
