//! Every limit and time-out of the host, with its unit, default, range and reason. No behaviour lives here.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::settings::rate::{RateLimit, RateLimits};

/// A number an author may choose between two bounds.
#[derive(Debug, Clone, Copy)]
pub struct Range<T> {
    /// Used when nothing is given.
    pub default: T,
    /// The least allowed.
    pub min: T,
    /// The most allowed; the operator may lower it for the whole host.
    pub max: T,
}

/// Wall clock for one request, in seconds (FX2, BB2).
pub const TIMEOUT_SECONDS: Range<u32> = Range { default: 30, min: 1, max: 300 };

/// Memories and tables of one instance together, in MiB (FX2, BB2).
pub const MEMORY_LIMIT_MB: Range<u32> = Range { default: 128, min: 64, max: 1024 };

/// CPU budget of one request. One unit is about one WebAssembly instruction; the default is half a second of one core for a tight
/// loop, and several seconds for ordinary code.
pub const FUEL: Range<u64> = Range { default: 10_000_000_000, min: 100_000, max: 1_000_000_000_000 };

/// Requests that one instance answers in turn, where a function has `isolation: "instance"`.
pub const INSTANCE_REQUESTS: Range<u32> = Range { default: 1_000, min: 1, max: 1_000_000 };

/// Instances of one function that wait for its next request.
pub const IDLE_INSTANCES_PER_FUNCTION: usize = 16;

/// The same for all functions, on a host for 256 executions and more; else a quarter of their number. Each has a place in the pool of instances
/// beside those that work.
pub const IDLE_INSTANCES: u32 = 64;

/// Programs that are evaluated at once on a host for 256 executions and more; else an eighth of their number. Each has a place in the pool, too.
pub const EVALUATIONS: u32 = 32;

/// Fuel of an instance for what a request has left behind; one that needs more ends.
pub const REST_FUEL: u64 = 10_000_000;

/// How long an instance waits for the next request of its function.
pub const IDLE_INSTANCE_TIME: Duration = Duration::from_secs(30);

/// Fuel between two yields to the scheduler: some 150 µs of one core, so that a loop cannot hold a thread. Most requests
/// end before: on an idle machine a yield costs as much as half of a small request.
pub const FUEL_YIELD_INTERVAL: u64 = 300_000;

/// Fuel of an execution that is light: such write to some thirty pages of memory. See `runtime::weight`.
pub const LIGHT_FUEL: u64 = 400_000;

/// Light executions after which a function counts as light.
pub const LIGHT_EXECUTIONS: u32 = 16;

/// Time in host calls after which an execution yields to the scheduler: they take no fuel, so a loop of them alone would not.
pub const HOST_TIME_BETWEEN_YIELDS: Duration = Duration::from_micros(150);

/// CPU time after which a request moves to the threads of low priority, where it can no longer slow others down.
pub const CPU_BEFORE_DEMOTION: Duration = Duration::from_millis(5);

/// What the host copies out of a guest in one host call, in bytes. wasmtime's 128 MiB is more than a tenant's memory.
pub const HOSTCALL_FUEL: usize = 16 * 1024 * 1024;

/// Entries of a guest's resource table: bodies, streams, transactions.
pub const RESOURCE_TABLE_ENTRIES: usize = 1_000;

/// Handles in a component's own tables.
pub const COMPONENT_HANDLES: usize = 1_000;

/// Memory of one set of header fields a guest makes, in bytes.
pub const HEADER_FIELDS_BYTES: usize = 64 * 1024;

/// Random bytes in one call.
pub const RANDOM_BYTES: u64 = 64 * 1024;

/// Stack of WebAssembly code, in bytes: what the JavaScript engine needs to notice a deep recursion by itself. Only what is touched
/// takes memory, and it is given back after the request.
pub const WASM_STACK_BYTES: usize = javy_shim::WASM_STACK_SIZE;

/// Stack of the fiber a guest and its host calls run on, in bytes. More than `WASM_STACK_BYTES` by what a host call needs.
pub const FIBER_STACK_BYTES: usize = WASM_STACK_BYTES + 1024 * 1024;

/// How long a program's top level may take when it is deployed, and when its image is made again after a start.
pub const PROGRAM_START_TIME: Duration = Duration::from_secs(10);

/// What a program may have in memory at the end of its top level, in bytes: the image that its requests start from.
pub const PROGRAM_IMAGE_BYTES: usize = 128 * 1024 * 1024;

/// Body of a request that is passed to a lean function by value, in bytes.
pub const BODY_BY_VALUE_BYTES: usize = 64 * 1024;

/// Outgoing requests of one execution.
pub const SUBREQUESTS: u32 = 50;

/// How many functions may call one another in a chain that a client's request began (BB13).
pub const FUNCTION_CALL_DEPTH: u8 = 4;

/// Outgoing requests of one execution that are open at the same time.
pub const OPEN_SUBREQUESTS: usize = 6;

/// How long an outgoing request may take to find its destination, connect to it and agree on TLS.
pub const FETCH_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an outgoing request waits for the head of its response, and the most a guest may ask to wait for anything:
/// the longest wall clock, so that by default the function's own ends the wait.
pub const FETCH_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(TIMEOUT_SECONDS.max as u64);

/// How long the body of a response to an outgoing request may pause.
pub const FETCH_BETWEEN_BYTES_TIMEOUT: Duration = Duration::from_secs(60);

/// Head of a response to an outgoing request, in bytes; also what the host buffers of one connection.
pub const FETCH_HEAD_BYTES: usize = 64 * 1024;

/// Addresses of one name an outgoing request tries: enough for a destination with a dead one, too few to scan with.
pub const FETCH_ADDRESSES: usize = 4;

/// Names the host resolves at the same time. A lookup cannot be cancelled and holds a thread until the resolver gives
/// up, so without a bound a function could take all the threads others need.
pub const FETCH_LOOKUPS: usize = 64;

/// Bytes of all inputs of one cryptographic call.
pub const CRYPTO_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of the inputs of a cryptographic call up to which it stays on the thread of its execution: some hundred microseconds of the slowest cipher.
pub const CRYPTO_INLINE_BYTES: usize = 64 * 1024;

/// CPU time that the cryptographic calls of one execution may use together: they take no fuel.
pub const CRYPTO_CPU_TIME: Duration = Duration::from_secs(10);

/// Bytes one call of a codec takes.
pub const CODEC_INPUT_BYTES: usize = 32 * 1024;

/// Bytes one call of a codec gives: with these, the slowest takes about a millisecond.
pub const CODEC_OUTPUT_BYTES: usize = 64 * 1024;

/// Codecs of one execution at a time: each keeps up to some 350 KiB of the host's memory.
pub const CODECS: usize = 16;

/// CPU time that the codecs of one execution may use together: they take no fuel.
pub const COMPRESSION_CPU_TIME: Duration = Duration::from_secs(10);

/// Bytes derived from a secret in one call.
pub const CRYPTO_DERIVED_BYTES: usize = 64 * 1024;

/// Bits of the modulus of an RSA key that is used. Shorter ones protect nothing, longer ones cost more than a request should.
pub const RSA_KEY_BITS: RangeInclusive<u32> = 1024..=4096;

/// Bits of the modulus of an RSA key that is made.
pub const RSA_GENERATED_BITS: RangeInclusive<u32> = 2048..=4096;

/// Bits of the modulus of an RSA key that signs tokens.
pub const TOKEN_RSA_BITS: RangeInclusive<u32> = 2048..=4096;

/// Issuers an app trusts.
pub const ISSUERS: usize = 10;

/// Keys of one issuer.
pub const ISSUER_KEYS: usize = 50;

/// Rates of requests by one caller, unless the operator, an app, a function or a token says otherwise (FX12).
pub const DEFAULT_RATES: RateLimits = RateLimits {
    management: Some(RateLimit::per_minute(60)),
    list: Some(RateLimit::per_minute(300)),
    history: Some(RateLimit::per_minute(300)),
    invoke: Some(RateLimit::per_minute(600)),
};

/// Maps in which callers are counted: enough that requests hardly ever meet at one. A power of two.
pub const RATE_MAPS: usize = 64;

/// Callers in one of them. With more, those that are within their limits are forgotten.
pub const RATE_CALLERS_PER_MAP: usize = 4_096;

/// Settings of a function, in bytes of their JSON. Policies name groups and claims of any number and length.
pub const FUNCTION_SETTINGS_BYTES: usize = 64 * 1024;

/// Settings of an app, in bytes of their JSON: all the keys that issuers may have fit.
pub const APP_SETTINGS_BYTES: usize = 1024 * 1024;

/// Origins, methods, or header fields that pages of other origins may have or use.
pub const CORS_NAMES: usize = 100;

/// How long browsers may remember what such pages may do, in seconds: as long as any of them does at most.
pub const CORS_MAX_AGE_SECONDS: Range<u32> = Range { default: 600, min: 0, max: 86_400 };

/// Tokens that may manage.
pub const MANAGEMENT_TOKENS: usize = 1_000;

/// Audiences of an app, and of an issuer.
pub const AUDIENCES: usize = 20;

/// Bytes of the keys an issuer publishes.
pub const JWKS_BYTES: usize = 256 * 1024;

/// How long fetching an issuer's keys may take; requests with its tokens wait for it.
pub const JWKS_FETCH_TIME: Duration = Duration::from_secs(5);

/// Age at which an issuer's keys are fetched again, while requests go on with those that are there.
pub const JWKS_REFRESH: Duration = Duration::from_secs(600);

/// Age at which an issuer's keys are no longer used, when no newer ones could be fetched.
pub const JWKS_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Pause between two times that an issuer is asked because of a key that nobody knows: anybody can invent one.
pub const JWKS_REFRESH_FOR_UNKNOWN: Duration = Duration::from_secs(30);

/// How long a token of an issuer that was found good is not checked again.
pub const RECENT_TOKEN_TIME: Duration = Duration::from_secs(60);

/// Such tokens of one app, in each of 16 maps.
pub const RECENT_TOKENS_PER_MAP: usize = 64;

/// Pause after an attempt to fetch an issuer's keys that failed.
pub const JWKS_RETRY: Duration = Duration::from_secs(5);

/// Connections to a registry at the same time.
pub const REGISTRY_CONNECTIONS: usize = 8;

/// How long one request to a registry may take, redirects included.
pub const REGISTRY_REQUEST_TIME: Duration = Duration::from_secs(30);

/// How often a request to a registry is made when it fails.
pub const REGISTRY_ATTEMPTS: u32 = 2;

/// Redirects a registry may answer with before the answer.
pub const REGISTRY_REDIRECTS: usize = 3;

/// What a registry says about one package, in bytes. Registries that know no short form send some 50 MB for the longest histories.
pub const REGISTRY_DOCUMENT_BYTES: usize = 64 * 1024 * 1024;

/// Such documents that are read at the same time.
pub const REGISTRY_DOCUMENTS: usize = 4;

/// What registries said about packages that is kept in memory, and for how long it is good: as npm's own client does.
pub const REGISTRY_ANSWERS: usize = 64;

/// See [`REGISTRY_ANSWERS`].
pub const REGISTRY_ANSWERS_FOR: Duration = Duration::from_secs(300);

/// A package's tarball, in bytes.
pub const TARBALL_BYTES: usize = 32 * 1024 * 1024;

/// A package, unpacked, in bytes: 256 MiB are a second of work.
pub const PACKAGE_UNPACKED_BYTES: u64 = 256 * 1024 * 1024;

/// What is kept of a package, in bytes: modules and JSON.
pub const PACKAGE_KEPT_BYTES: u64 = 64 * 1024 * 1024;

/// Packages that are unpacked at the same time.
pub const UNPACKED_TOGETHER: usize = 2;

/// Files and directories of a package.
pub const PACKAGE_FILES: usize = 30_000;

/// Packages of one function, counted once for each requirement.
pub const FUNCTION_PACKAGES: usize = 1_000;

/// Bytes of a package's requirement.
pub const REQUIREMENT_BYTES: usize = 256;

/// How long fetching all packages of one function may take.
pub const PACKAGES_TIME: Duration = Duration::from_secs(120);

/// Log lines of one execution; more are counted and dropped.
pub const LOG_LINES: usize = 1_000;

/// Bytes of all log lines of one execution.
pub const LOG_BYTES: usize = 256 * 1024;

/// Bytes of one log line; the rest is cut.
pub const LOG_LINE_BYTES: usize = 10_000;

/// Bytes of a response's body that are kept with the record of its execution.
pub const RESPONSE_COPY_BYTES: usize = 2 * 1024;

/// Versions of a function that are kept, beside the active one and those with traffic.
pub const VERSIONS_KEPT: u32 = 50;

/// Secrets and variables of one app, and of one function.
pub const VARIABLES: usize = 100;

/// Bytes of one secret's value.
pub const VARIABLE_BYTES: usize = 48 * 1024;

/// Rows of one result.
pub const RESULT_ROWS: usize = 10_000;

/// Bytes of all values of one result.
pub const RESULT_BYTES: usize = 8 * 1024 * 1024;

/// Rows a cursor hands over at once.
pub const CURSOR_ROWS: usize = 256;

/// Bytes of rows after which a cursor hands over what it has: more only by the last row.
pub const CURSOR_BYTES: usize = 256 * 1024;

/// Statements of one batch.
pub const BATCH_STATEMENTS: usize = 10_000;

/// Bytes of one SQL statement.
pub const STATEMENT_BYTES: usize = 1024 * 1024;

/// Bytes of one value in the database.
pub const VALUE_BYTES: usize = 8 * 1024 * 1024;

/// Size of one app's database file, in bytes.
pub const DATABASE_BYTES: u64 = 10 * 1024 * 1024 * 1024;

/// How long a statement waits for the write lock.
pub const WRITE_LOCK_WAIT: Duration = Duration::from_secs(5);

/// How long a transaction may stay open, counted from its start.
pub const TRANSACTION_TIME: Duration = Duration::from_secs(10);

/// How long a statement of the management API may run.
pub const MANAGEMENT_STATEMENT_TIME: Duration = Duration::from_secs(30);

/// How long one migration, an import or a dump may take: indexes on large tables do.
pub const MIGRATION_TIME: Duration = Duration::from_secs(300);

/// Bytes of an import, and of the migrations of one request.
pub const IMPORT_BYTES: usize = 128 * 1024 * 1024;

/// Connections that read one app's database at the same time.
pub const READERS_PER_APP: usize = 4;

/// Rows of the execution log that wait to be written; more are counted and dropped.
pub const EXECUTION_QUEUE: usize = 10_000;

/// Rows of the execution log in one transaction.
pub const EXECUTION_BATCH: usize = 500;

/// How long a row of the execution log waits for company: each transaction costs as much as some dozen rows. Whoever reads the log has what
/// waits written at once.
pub const EXECUTION_BATCH_DELAY: Duration = Duration::from_millis(100);

/// Bytes of a function's files, in MiB, unless the operator says otherwise. Each file counts in whole blocks of 4 KiB, each directory as one.
pub const FILES_MB: Range<u32> = Range { default: 64, min: 1, max: 1_048_576 };

/// Files and directories of a function.
pub const FILES_ENTRIES: u64 = 4_096;

/// How deep directories are in one another: whoever removes them opens one after the other.
pub const FILES_DEPTH: usize = 32;

/// Files and directories one execution has open at a time.
pub const FILES_OPEN: usize = 32;

/// The same for all executions: connections need handles too.
pub const FILES_OPEN_ON_HOST: usize = 1_024;

/// Bytes a program reads or writes in one call.
pub const WHOLE_FILE_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of one write to a file as a stream.
pub const FILE_WRITE_BYTES: usize = 64 * 1024;

/// Executions kept for one function, unless the operator says otherwise; 0: none is recorded.
pub const EXECUTIONS_KEPT: Range<u32> = Range { default: 100_000, min: 0, max: 10_000_000 };

/// How long executions are kept, in days, unless the operator says otherwise.
pub const EXECUTIONS_KEPT_DAYS: Range<u32> = Range { default: 30, min: 1, max: 3_650 };

/// Functions that have series of their own in `/metrics`; what others count is added up.
pub const METRICS_FUNCTIONS: usize = 1_000;

/// Executions that are read at once, whoever asks for how many.
pub const EXECUTIONS_PAGE: u32 = 25;

/// Bytes of their texts after which no more are read at once.
pub const EXECUTIONS_PAGE_BYTES: usize = 256 * 1024;

/// Readers that follow logs at the same time.
pub const LOG_TAILS: usize = 64;

/// Executions that wait for the slowest of them; it misses more.
pub const LOG_TAIL_ROWS: usize = 256;

/// How long a followed log is silent before a comment keeps the connection alive.
pub const LOG_TAIL_HEARTBEAT: Duration = Duration::from_secs(15);

/// WebSockets that call functions, on the whole host.
pub const STREAMS: usize = 1_000;

/// Calls of one WebSocket that run at the same time; more are refused.
pub const STREAM_CALLS: usize = 8;

/// Refusals that wait to be sent before a client that does not read them is let go.
pub const STREAM_REFUSALS: usize = 64;

/// Bytes of one message of a WebSocket, and of a result that fits into one.
pub const STREAM_MESSAGE_BYTES: usize = 1024 * 1024;

/// Bytes of what a client tells the messages of a WebSocket apart by.
pub const STREAM_ID_BYTES: usize = 1024;

/// How long a WebSocket may be silent while none of its calls runs.
pub const STREAM_IDLE: Duration = Duration::from_secs(300);

/// Functions of one app that one event of a WebSocket starts: no more than calls of one WebSocket run at the same time.
pub const EVENT_FUNCTIONS: usize = STREAM_CALLS;

/// Functions of one app that have a schedule. Each runs once a minute at most, and not beside itself.
pub const CRON_FUNCTIONS: usize = 100;

/// How late a run of a schedule may start. What the host cannot start by then is not made up for.
pub const CRON_LATENESS: Duration = Duration::from_secs(60);

/// Pause, give or take half of it, before a run for which there was no room is tried again.
pub const CRON_RETRY: Duration = Duration::from_secs(2);

/// Longest sleep between two looks at the clock, and how far back it may be set without the schedules going with it.
pub const CRON_CLOCK_SLACK: Duration = Duration::from_secs(60);

/// Spans that wait for the collector of traces; more are counted and dropped.
pub const OTLP_QUEUE: usize = 4_096;

/// Spans in one request to it.
pub const OTLP_BATCH: usize = 512;

/// How long a span waits for company.
pub const OTLP_BATCH_DELAY: Duration = Duration::from_secs(1);

/// How long such a request may take.
pub const OTLP_REQUEST_TIME: Duration = Duration::from_secs(10);

/// Connections to the admin interface at the same time: some people's browsers.
pub const ADMIN_CONNECTIONS: usize = 256;

/// Bytes of a function's response that a test call shows.
pub const TEST_RESPONSE_BYTES: usize = 1024 * 1024;

/// Bytes of a JSON body sent to the management API.
pub const MANAGEMENT_BODY_BYTES: usize = 2 * 1024 * 1024;

/// Memory for all bodies sent to the management API together, in bytes: what each has beyond [`MANAGEMENT_BODY_BYTES`].
pub const MANAGEMENT_MEMORY_BYTES: usize = 512 * 1024 * 1024;

/// How long such a body may pause.
pub const MANAGEMENT_BODY_PAUSE: Duration = Duration::from_secs(30);

/// How long it may take altogether.
pub const MANAGEMENT_BODY_TIME: Duration = Duration::from_secs(300);

/// Bytes of one write of a guest to a body.
pub const BODY_CHUNK_BYTES: usize = 64 * 1024;

/// Writes of a guest that wait for a slow client before the guest has to wait too.
pub const BODY_CHUNKS: usize = 2;

/// How long a client may take to send the head of a request, and how long a connection may be idle before the next one.
pub const HEAD_TIME: Duration = Duration::from_secs(30);

/// How long a client may not take any byte of a response before its connection is closed.
pub const WRITE_STALL_TIME: Duration = Duration::from_secs(30);

/// Bytes of the head of a request, and of the buffer of a connection.
pub const HEAD_BYTES: usize = 64 * 1024;

/// How long a request waits for a place before it is turned away.
pub const ADMISSION_WAIT: Duration = Duration::from_secs(5);

/// Requests that may wait for a place, as a multiple of the places.
pub const ADMISSION_QUEUE_FACTOR: usize = 4;

/// Longest locale tag a function may pass to `Intl`, in bytes.
pub const INTL_LOCALE_BYTES: usize = 255;

/// Most locales in one list passed to `Intl`.
pub const INTL_LOCALES: usize = 64;

/// Longest description of a service of `Intl` (its options as JSON), in bytes.
pub const INTL_DESCRIPTION_BYTES: usize = 8 << 10;

/// Services of `Intl` kept for one execution. With one more, all are made again.
pub const INTL_SERVICES: usize = 32;

/// Longest text `Intl` compares, divides or converts at once, in bytes. 64 KiB take less than a millisecond to a few.
pub const INTL_TEXT_BYTES: usize = 64 << 10;

/// Bytes in a legacy encoding that one call decodes: some hundred microseconds.
pub const LEGACY_TEXT_BYTES: usize = 64 << 10;

/// Longest number `Intl` formats, in characters.
pub const INTL_NUMBER_BYTES: usize = 2_000;

/// Most elements of a list `Intl` formats.
pub const INTL_ARGUMENTS: usize = 1_000;
