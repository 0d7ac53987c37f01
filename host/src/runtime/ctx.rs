//! What a store holds: the bindings' states side by side, and the views that borrow them. No behaviour.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::p2::{DynOutputStream, DynPollable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::limits::MemoryLimiter;
use super::turns::HostTime;
use crate::auth::User;
use crate::bindings::compression::{CompressionState, CompressionView};
use crate::bindings::crypto::{CryptoState, CryptoView};
use crate::bindings::db::{DbState, DbView};
use crate::bindings::encodings::EncodingsView;
use crate::bindings::env::{EnvView, Environment};
use crate::bindings::fetch::Fetch;
use crate::bindings::files::{FileAccess, FilesOf, FilesState, FilesView};
use crate::bindings::intl::{IntlState, IntlView};
use crate::bindings::log::LogView;
use crate::bindings::outgoing::{OutgoingView, Responder};
use crate::bindings::user::UserView;
use crate::bindings::{Views, log};
use crate::observe::capture::{Level, LogCapture, Printer};
use crate::tunables::{HEADER_FIELDS_BYTES, RANDOM_BYTES, RESOURCE_TABLE_ENTRIES};

/// Standard output and error, as the WASI context has them for the guest.
const STANDARD_STREAMS: usize = 2;

/// The data of one instance's store.
pub struct Ctx {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    fetch: Fetch,
    files: FilesState,
    db: DbState,
    compression: CompressionState,
    crypto: CryptoState,
    environment: Arc<Environment>,
    user: Option<Arc<User>>,
    intl: IntlState,
    log: LogCapture,
    printers: [Printer; 2],
    /// Where the response goes.
    pub responder: Option<Responder>,
    /// The memory limit.
    pub memory: MemoryLimiter,
    /// Time in host calls since the last yield.
    pub host_time: HostTime,
}

/// What an execution brings to its store.
pub struct CtxParts {
    /// Outgoing HTTP.
    pub fetch: Fetch,
    /// The function's directory, if it has one.
    pub files: Option<FileAccess>,
    /// The app's database.
    pub db: DbState,
    /// What cryptography may cost.
    pub crypto: CryptoState,
    /// Variables and secrets.
    pub environment: Arc<Environment>,
    /// Whether to copy them into `wasi:cli/environment` as well.
    pub wasi_environment: bool,
    /// The caller.
    pub user: Option<Arc<User>>,
    /// Log lines.
    pub log: LogCapture,
    /// Where the response goes.
    pub responder: Responder,
    /// The memory limit.
    pub memory: MemoryLimiter,
}

impl Ctx {
    /// The data for a fresh store.
    pub fn new(parts: CtxParts) -> Self {
        let printers = [parts.log.printer(Level::Info), parts.log.printer(Level::Error)];
        let [stdout, stderr] = printers.clone();
        let mut wasi = WasiCtxBuilder::new();
        // No sockets, no arguments, and no files but those of `FilesState`: what a guest may reach, it reaches through the other interfaces.
        wasi.stdout(stdout).stderr(stderr).max_random_size(RANDOM_BYTES).allow_tcp(false).allow_udp(false);
        if parts.wasi_environment {
            for (name, value) in parts.environment.iter() {
                wasi.env(name, value.expose());
            }
        }
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(HEADER_FIELDS_BYTES);
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCE_TABLE_ENTRIES);
        Self {
            table,
            wasi: wasi.build(),
            http,
            fetch: parts.fetch,
            files: FilesState::new(parts.files),
            db: parts.db,
            compression: CompressionState::default(),
            crypto: parts.crypto,
            environment: parts.environment,
            user: parts.user,
            intl: IntlState::default(),
            log: parts.log,
            printers,
            responder: Some(parts.responder),
            memory: parts.memory,
            host_time: HostTime::default(),
        }
    }

    /// Makes this the data for the next request to an instance that has [`rested`](Self::rest).
    pub fn next(&mut self, parts: CtxParts) {
        self.printers.iter().for_each(|printer| printer.turn_to(&parts.log));
        let mut rested = std::mem::replace(&mut self.memory, parts.memory);
        self.memory.take_over(&mut rested);
        self.fetch = parts.fetch;
        self.files = FilesState::new(parts.files);
        self.db = parts.db;
        self.compression = CompressionState::default();
        self.crypto = parts.crypto;
        self.environment = parts.environment;
        self.user = parts.user;
        self.intl = IntlState::default();
        self.log = parts.log;
        self.responder = Some(parts.responder);
        self.host_time = HostTime::default();
    }

    /// Lets go of what belongs to the request that has ended. False when the guest still has something of it: a stream, a transaction, a
    /// connection. What it prints to is no one's.
    pub fn rest(&mut self) -> bool {
        self.memory.rest();
        let standard: usize = self.printers.iter().map(Printer::others).sum();
        // A pollable is part of another resource, or of a clock.
        let held = self.table.iter_mut().filter(|resource| !resource.is::<DynPollable>());
        let streams = held
            .map(|resource| resource.is::<DynOutputStream>())
            .try_fold(0, |streams, is_stream| is_stream.then_some(streams + 1));
        streams.is_some_and(|streams: usize| streams + STANDARD_STREAMS == standard)
    }

    /// Ends lines that were printed without a line break.
    pub fn finish_log(&self) {
        self.printers.iter().for_each(Printer::finish);
    }

    /// The table of resources, to pass streams to the guest.
    pub fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Ctx {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.fetch, table: &mut self.table, ctx: &mut self.http }
    }
}

impl FilesOf for Ctx {
    fn files(&mut self) -> FilesView<'_> {
        FilesView { state: &mut self.files, table: &mut self.table }
    }
}

impl Views for Ctx {
    fn db(&mut self) -> DbView<'_> {
        DbView { state: &mut self.db, table: &mut self.table }
    }

    fn compression(&mut self) -> CompressionView<'_> {
        CompressionView { state: &mut self.compression, table: &mut self.table }
    }

    fn crypto(&mut self) -> CryptoView<'_> {
        CryptoView(&mut self.crypto)
    }

    fn env(&mut self) -> EnvView<'_> {
        EnvView(&self.environment)
    }

    fn user(&mut self) -> UserView<'_> {
        UserView(self.user.as_deref())
    }

    fn log(&mut self) -> log::LogView<'_> {
        LogView(&self.log)
    }

    fn encodings(&mut self) -> EncodingsView<'_> {
        EncodingsView(&mut self.table)
    }

    fn intl(&mut self) -> IntlView<'_> {
        IntlView(&mut self.intl)
    }

    fn outgoing(&mut self) -> OutgoingView<'_> {
        OutgoingView { table: &mut self.table, responder: &mut self.responder }
    }
}
