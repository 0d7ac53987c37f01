//! The composition root: builds every part once, hands each what it needs, and takes them down in order. Never passed around.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures::future::OptionFuture;
use tokio::sync::{Mutex, Notify, Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::api::metrics::Gauges;
use crate::api::{self, Api};
use crate::auth::KeyHash;
use crate::auth::management::ManagementTokens;
use crate::auth::verifier::Verifiers;
use crate::bindings::egress::EgressPolicy;
use crate::bindings::fetch::Dialer;
use crate::config::{AdminListen, Config};
use crate::data;
use crate::deploy::Deployer;
use crate::deploy::components::Components;
use crate::deploy::packages::{Npm, Registries};
use crate::deploy::script::Scripts;
use crate::error::Error;
use crate::files::{FileLimits, Files};
use crate::http::admin::{Admin, PATH};
use crate::http::listener::Listener;
use crate::http::rate::Limiter;
use crate::http::service::Service;
use crate::invoke::{Invoker, Switchboard};
use crate::js::source::Source;
use crate::observe::metrics::CodeCounts;
use crate::observe::otlp::Exporter;
use crate::router::table::Table;
use crate::runtime::admission::Admission;
use crate::runtime::cache::Cache;
use crate::runtime::compile::{CompileLimits, Compiler};
use crate::runtime::component::Host;
use crate::runtime::engine::{Allocation, Places, mebibytes, running_engine};
use crate::runtime::instances::IdlePlaces;
use crate::runtime::limits::MemoryBudget;
use crate::runtime::scheduler::Scheduler;
use crate::sandbox::Resources;
use crate::sandbox::origin::Origin;
use crate::secrets::Secret;
use crate::store::backup::{Copies, Copying};
use crate::store::tenant::Databases;
use crate::store::{Store, StoreError, api_keys, tokens};
use crate::triggers;
use crate::tunables::{
    ADMIN_CONNECTIONS, ADMISSION_QUEUE_FACTOR, ADMISSION_WAIT, FILES_ENTRIES, IDLE_INSTANCE_TIME,
    MANAGEMENT_MEMORY_BYTES, STREAMS,
};

/// Why a host does not start, in one line.
pub type StartError = Box<dyn std::error::Error>;

/// What admin tokens start with.
const ADMIN_TOKEN_PREFIX: &str = "cad_";

/// The least time the last copy of the data gets at the end.
const LAST_COPY: Duration = Duration::from_secs(10);

/// A host that listens.
pub struct App {
    listener: Listener,
    address: SocketAddr,
    admin: Option<(Listener, Arc<Admin>)>,
    service: Arc<Service>,
    schedules: triggers::scheduler::Scheduler,
    deployer: Arc<Deployer>,
    store: Store,
    running: TaskTracker,
    traces: Option<Arc<Exporter>>,
    copying: Option<Copying>,
    drain: Duration,
}

/// A host that has just started.
pub struct Started {
    /// The host.
    pub app: App,
    /// The admin token, when this was its first start and the operator gave none.
    pub new_admin_token: Option<Secret>,
}

impl App {
    /// Opens the data directory, binds the port, and builds the engine. Who connects meanwhile waits.
    pub async fn start(config: Config) -> Result<Started, StartError> {
        raise_file_limit();
        return_large_blocks();
        let (store, sealer) = data::open(&config.data, config.keys.master_key.as_ref(), config.retention)?;
        store.ensure_default_app(config.keys.jwt_secret).await?;
        let (admin_token, new_admin_token) = admin_token(&store, config.keys.admin_token).await?;
        let tokens = Arc::new(ManagementTokens::new(admin_token, store.read(tokens::principals).await?));

        let cores = std::thread::available_parallelism()?.get();
        let listener = Listener::bind(config.listen, config.max_connections)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
        let address = listener.address()?;
        let admin_listener = admin_listener(config.admin_listen, config.listen).await?;
        let origin = Origin::new(config.public_url, address);
        let (engine, allocation) = running_engine(Places::of(config.max_executions).instances())?;
        if allocation == Allocation::OnDemand {
            tracing::warn!("no pool of instances: requests are several times slower on this machine");
        }
        let host = Arc::new(Host::new(engine.clone())?);
        let places = Places::of(config.max_executions).within(allocation);
        let executions = places.executions as usize;
        let admission = Arc::new(Admission::new(executions, executions * ADMISSION_QUEUE_FACTOR, ADMISSION_WAIT));
        let table = Arc::new(Table::default());
        let compile_limits = CompileLimits { time: config.compile_time, memory_mb: config.compile_memory_mb };
        let registries = Registries {
            npm: config.npm_registry,
            jsr: config.jsr_registry,
            roots: config.npm_ca,
            opened: config.allow_egress.clone(),
        };
        let npm = Arc::new(Npm::open(registries, &config.data.join("packages"))?);
        let dialer = Arc::new(Dialer::new(b"")?);
        let verifiers = Verifiers::new(dialer.clone(), config.allow_egress.clone(), config.issuers);
        let files = FileLimits { bytes: u64::from(config.files_mb) * 1024 * 1024, entries: FILES_ENTRIES };
        let resources = Arc::new(Resources {
            store: store.clone(),
            databases: Databases::new(config.data.clone(), config.durability),
            dialer,
            egress: Arc::new(EgressPolicy::new(config.allow_egress)),
            origin: origin.clone(),
            memory: MemoryBudget::new(mebibytes(config.guest_memory_mb)),
            files: Arc::new(Files::new(&config.data, files)),
        });
        let components = Arc::new(Components {
            store: store.clone(),
            host: host.clone(),
            compiler: Compiler::new(std::env::current_exe()?, compile_limits, cores.div_ceil(2)),
            cache: Cache::open(&config.data.join("cache"), engine, sealer)?,
            budget: resources.memory.clone(),
        });
        let deployer = Arc::new(Deployer {
            store: store.clone(),
            table: table.clone(),
            components: components.clone(),
            scripts: Scripts::new(components, resources.clone(), npm, places.evaluations),
            admission: admission.clone(),
            maxima: config.maxima,
            databases: resources.databases.clone(),
            files: resources.files.clone(),
            changed: Arc::new(Notify::new()),
            verifiers,
            apps: Mutex::default(),
            deleting: Mutex::default(),
        });
        deployer.load().await?;

        let exporter = |endpoint: &String| {
            let exporter = Exporter::start(endpoint, resources.dialer.clone());
            exporter.map(Arc::new).map_err(|error| format!("--otlp-endpoint {endpoint}: {error}"))
        };
        let traces = config.otlp_endpoint.as_ref().map(exporter).transpose()?;
        let refused = Arc::new(CodeCounts::default());
        let idle_places = IdlePlaces::new(places.idle);
        let gauges = Gauges {
            admission: admission.clone(),
            idle: idle_places.clone(),
            memory: resources.memory.clone(),
            refused: refused.clone(),
            traces: traces.clone(),
        };
        let running = TaskTracker::new();
        let invoker = Arc::new(Invoker {
            deployer: deployer.clone(),
            host,
            admission,
            scheduler: Scheduler::start(cores)?,
            idle_places,
            resources,
            traces: traces.clone(),
            running: running.clone(),
            switchboard: OnceLock::new(),
        });
        let limiter = Arc::new(Limiter::new(config.rate_limits, config.trusted_proxies));
        let management = api::router(Arc::new(Api {
            table: table.clone(),
            store: store.clone(),
            deployer: deployer.clone(),
            tokens: tokens.clone(),
            limiter: limiter.clone(),
            invoker: invoker.clone(),
            origin: origin.clone(),
            gauges,
            bodies: MemoryBudget::new(MANAGEMENT_MEMORY_BYTES),
            max_component_bytes: config.max_component_bytes,
        }));
        let admin = admin_listener.map(|listener| (listener, Arc::new(Admin::new(management.clone()))));
        let service = Arc::new(Service {
            table: table.clone(),
            invoker: invoker.clone(),
            management,
            tokens,
            refused,
            streams: Arc::new(Semaphore::new(STREAMS)),
            limiter,
            max_request_bytes: config.max_request_bytes,
            max_response_bytes: config.max_response_bytes,
        });
        let switchboard: Weak<dyn Switchboard> = Arc::downgrade(&service) as _;
        let _ = invoker.switchboard.set(switchboard);
        let schedules = triggers::scheduler::Scheduler {
            table,
            changed: deployer.changed.clone(),
            switchboard: service.clone(),
            origin,
        };
        tokio::spawn(end_idle_instances(Arc::downgrade(&deployer)));
        // Compiled while nobody waits for it; a deployment that comes first does so itself.
        tokio::spawn({
            let deployer = deployer.clone();
            async move {
                if let Err(error) = deployer.scripts.engine().await {
                    tracing::warn!(%error, cause = ?error.cause, "the JavaScript engine could not be compiled");
                }
            }
        });
        let copying = match config.copies {
            Some((directory, every)) => Some(Copying::start(Copies::open(&directory)?, config.data, every)?),
            None => None,
        };
        let drain = config.drain;
        let app =
            Self { listener, address, admin, service, schedules, deployer, store, running, traces, copying, drain };
        Ok(Started { app, new_admin_token })
    }

    /// Where the host listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin interface is, if it is anywhere.
    pub fn admin_url(&self) -> Option<String> {
        let (listener, _) = self.admin.as_ref()?;
        listener.address().ok().map(|address| format!("http://{address}{PATH}"))
    }

    /// A program as one component, for any host of the lean world. It is evaluated as a new function of the default app would be.
    pub async fn standalone(&self, source: Source) -> Result<Vec<u8>, Error> {
        self.deployer.scripts.standalone(source).await
    }

    /// Serves until `stop` ends, then lets running requests end within the deadline.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (shutdown, told) = watch::channel(false);
        let schedules = tokio::spawn(self.schedules.run(told.clone()));
        let administration = self.admin.map(|(listener, admin)| listener.serve(admin, told.clone()));
        let functions = self.listener.serve(self.service, told);
        let serving = tokio::spawn(async { tokio::join!(functions, OptionFuture::from(administration)) });
        stop.await;
        tracing::info!(seconds = self.drain.as_secs(), "draining");
        let _ = shutdown.send(true);
        self.store.executions().end_tails();
        self.running.close();
        let drained = tokio::time::timeout(self.drain, async {
            let _ = serving.await;
            let _ = schedules.await;
            self.running.wait().await;
        });
        if drained.await.is_err() {
            tracing::warn!(executions = self.running.len(), "requests were cut off at the deadline");
        }
        self.store.executions().stop().await;
        if let Some(traces) = &self.traces {
            traces.finish().await;
        }
        if let Some(copying) = self.copying
            && tokio::time::timeout(self.drain.max(LAST_COPY), copying.finish()).await.is_err()
        {
            tracing::warn!("the last copy of the data was cut off: the copies are of an earlier time");
        }
    }
}

/// The socket of the admin interface. Where nobody said which, it is done without if there is none.
async fn admin_listener(wanted: Option<AdminListen>, functions: SocketAddr) -> Result<Option<Listener>, StartError> {
    let address = match wanted {
        Some(AdminListen::Off) => return Ok(None),
        Some(AdminListen::At(address)) => address,
        None => SocketAddr::from((Ipv4Addr::LOCALHOST, port_after(functions.port()))),
    };
    match Listener::bind(address, ADMIN_CONNECTIONS).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if wanted.is_none() => {
            tracing::warn!(%address, %error, "no admin interface; choose an address with --admin-listen");
            Ok(None)
        }
        Err(error) => Err(format!("cannot listen on {address} for the admin interface: {error}").into()),
    }
}

/// A port of the system's choice comes after one of the system's choice, and after the last.
fn port_after(port: u16) -> u16 {
    if port == 0 { 0 } else { port.checked_add(1).unwrap_or(0) }
}

/// Ends instances whose functions are no longer called, for as long as there are any functions.
async fn end_idle_instances(deployer: Weak<Deployer>) {
    let mut ticks = tokio::time::interval(IDLE_INSTANCE_TIME / 3);
    loop {
        ticks.tick().await;
        let Some(deployer) = deployer.upgrade() else { break };
        deployer.table.apps().iter().for_each(|app| app.end_idle(IDLE_INSTANCE_TIME));
    }
}

/// The hash of the admin token, and the token itself when it was made just now.
async fn admin_token(store: &Store, given: Option<Secret>) -> Result<(KeyHash, Option<Secret>), StoreError> {
    let stored = store.read(api_keys::admin_token_hash).await?;
    let (hash, new) = match (given, stored) {
        (Some(token), _) => (KeyHash::of(token.expose()), None),
        (None, Some(hash)) => return Ok((KeyHash(hash), None)),
        (None, None) => {
            let token = Secret::generate(ADMIN_TOKEN_PREFIX);
            (KeyHash::of(token.expose()), Some(token))
        }
    };
    store.write(move |tx| api_keys::set_admin_token_hash(tx, &hash.0)).await?;
    Ok((hash, new))
}

/// Connections of clients and of databases need file handles; the default soft limit is made for interactive programs.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit on open files stays low");
    }
}

/// Has glibc map blocks of a megabyte and more, and unmap them when they are freed. Left to itself it soon takes them from its arenas and
/// keeps them: the backtrace of one deep recursion would stay with tens of megabytes, once for each thread.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "glibc's tuning is a C function")]
fn return_large_blocks() {
    // SAFETY: `mallopt` may be called at any time with any value; it answers 0 when it refuses.
    let set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, 1024 * 1024) };
    if set == 0 {
        tracing::warn!("freed memory may stay with the process");
    }
}

#[cfg(not(target_env = "gnu"))]
fn return_large_blocks() {}
