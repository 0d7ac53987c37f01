//! Flags, environment and file become one validated [`Config`]. The only reader of the environment, and silent after start.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;

use crate::auth::verifier::check_issuers;
use crate::bindings::egress::AllowRule;
use crate::deploy::packages::{InvalidRegistry, RegistryChoice};
use crate::ids::AppName;
use crate::secrets::Secret;
use crate::settings::Maxima;
use crate::settings::issuer::IssuerSettings;
use crate::settings::rate::{HostRates, RateLimits};
use crate::store::executions::Retention;
use crate::store::tenant::Durability;
use crate::tunables::{EXECUTIONS_KEPT, EXECUTIONS_KEPT_DAYS, FILES_MB, FUEL, MEMORY_LIMIT_MB, Range, TIMEOUT_SECONDS};

/// What `caddis serve` can be told. Each option is a flag, a variable `CADDIS_…` and a key of `caddis.toml`; in that order the first
/// one that is given counts.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServeOptions {
    /// Directory for everything the host keeps
    #[arg(long, env = "CADDIS_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// What a commit of an app survives: full (loss of power) or normal (the end of this process; faster) [default: full]
    #[arg(long, env = "CADDIS_DURABILITY", value_name = "LEVEL")]
    durability: Option<Durability>,

    /// Directory for copies of the data, made while the host serves [default: none]
    #[arg(long, env = "CADDIS_COPIES", value_name = "DIR")]
    copies: Option<PathBuf>,

    /// Seconds between two copies [default: 60]
    #[arg(long, env = "CADDIS_COPY_SECONDS", value_name = "SECONDS")]
    copy_seconds: Option<u64>,

    /// Address and port to listen on; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "CADDIS_LISTEN", value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,

    /// Address and port of the admin interface, or off [default: the port after that of --listen, on 127.0.0.1]
    #[arg(long, env = "CADDIS_ADMIN_LISTEN", value_name = "ADDR:PORT")]
    admin_listen: Option<AdminListen>,

    /// Where clients reach the host, as functions learn it from SUPABASE_URL [default: http:// and the listen address]
    #[arg(long, env = "CADDIS_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,

    /// Collector that executions are sent to as traces (OTLP over HTTP with JSON), such as http://127.0.0.1:4318 [default: none]
    #[arg(long, env = "CADDIS_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,

    /// Let functions connect to these addresses too, besides public ones: a CIDR or host:port; may be repeated
    #[arg(long, env = "CADDIS_ALLOW_EGRESS", value_name = "CIDR|HOST:PORT", value_delimiter = ',')]
    allow_egress: Option<Vec<AllowRule>>,

    /// Registry that npm packages come from when functions are deployed, or off [default: https://registry.npmjs.org]
    #[arg(long, env = "CADDIS_NPM_REGISTRY", value_name = "URL")]
    npm_registry: Option<RegistryChoice>,

    /// Registry that JSR packages come from, or off [default: https://npm.jsr.io]
    #[arg(long, env = "CADDIS_JSR_REGISTRY", value_name = "URL")]
    jsr_registry: Option<RegistryChoice>,

    /// File with certificate authorities (PEM) to trust for the registries, besides the public ones
    #[arg(long, env = "CADDIS_NPM_CA", value_name = "FILE")]
    npm_ca: Option<PathBuf>,

    /// Requests each caller may make: off, default, or changes such as invoke=6000/min,list=off
    #[arg(long, env = "CADDIS_RATE_LIMITS", value_name = "RATES")]
    rate_limits: Option<HostRates>,

    /// Proxies that are believed about whose requests they pass on (X-Forwarded-For) [default: 127.0.0.0/8,::1/128]
    #[arg(long, env = "CADDIS_TRUSTED_PROXIES", value_name = "CIDR", value_delimiter = ',')]
    trusted_proxies: Option<Vec<IpNet>>,

    /// Issuers of tokens for each app's users; only in the file, as [[issuers.APP]]
    #[arg(skip)]
    issuers: Option<BTreeMap<AppName, Vec<IssuerSettings>>>,

    /// Seconds that running requests get to end after SIGTERM [default: 30]
    #[arg(long, env = "CADDIS_DRAIN_SECONDS", value_name = "SECONDS")]
    drain_seconds: Option<u64>,

    /// Executions at the same time [default: 64 for each core, at most 1000]
    #[arg(long, env = "CADDIS_MAX_EXECUTIONS", value_name = "COUNT")]
    max_executions: Option<u32>,

    /// Connections at the same time [default: 4096]
    #[arg(long, env = "CADDIS_MAX_CONNECTIONS", value_name = "COUNT")]
    max_connections: Option<u32>,

    /// Memory of all functions together, in MiB [default: half of the machine's]
    #[arg(long, env = "CADDIS_GUEST_MEMORY_MB", value_name = "MIB")]
    guest_memory_mb: Option<u32>,

    /// What the files of one function may take, in MiB [default: 64]
    #[arg(long, env = "CADDIS_FILES_MB", value_name = "MIB")]
    files_mb: Option<u32>,

    /// Executions kept in the log of each function, 0 to 10000000; 0 records none [default: 100000]
    #[arg(long, env = "CADDIS_KEEP_EXECUTIONS", value_name = "COUNT")]
    keep_executions: Option<u32>,

    /// Days that executions and statistics are kept, 1 to 3650 [default: 30]
    #[arg(long, env = "CADDIS_KEEP_EXECUTIONS_DAYS", value_name = "DAYS")]
    keep_executions_days: Option<u32>,

    /// Largest uploaded component, in bytes [default: 33554432]
    #[arg(long, env = "CADDIS_MAX_COMPONENT_BYTES", value_name = "BYTES")]
    max_component_bytes: Option<usize>,

    /// Seconds that compiling one component may take [default: 60]
    #[arg(long, env = "CADDIS_COMPILE_SECONDS", value_name = "SECONDS")]
    compile_seconds: Option<u64>,

    /// Memory that compiling one component may take, in MiB [default: 2048]
    #[arg(long, env = "CADDIS_COMPILE_MEMORY_MB", value_name = "MIB")]
    compile_memory_mb: Option<u32>,

    /// Largest body of a request to a function, in bytes [default: 104857600]
    #[arg(long, env = "CADDIS_MAX_REQUEST_BYTES", value_name = "BYTES")]
    max_request_bytes: Option<usize>,

    /// Largest body of a function's response, in bytes [default: 104857600]
    #[arg(long, env = "CADDIS_MAX_RESPONSE_BYTES", value_name = "BYTES")]
    max_response_bytes: Option<u64>,

    /// The most a function's timeout_seconds can be, 1 to 300 [default: 300]
    #[arg(long, env = "CADDIS_MAX_TIMEOUT_SECONDS", value_name = "SECONDS")]
    max_timeout_seconds: Option<u32>,

    /// The most a function's memory_limit_mb can be, 64 to 1024 [default: 1024]
    #[arg(long, env = "CADDIS_MAX_MEMORY_LIMIT_MB", value_name = "MIB")]
    max_memory_limit_mb: Option<u32>,

    /// The most a function's fuel can be [default: 1000000000000]
    #[arg(long, env = "CADDIS_MAX_FUEL", value_name = "UNITS")]
    max_fuel: Option<u64>,
}

/// Everything a host is started with.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are those of ServeOptions, which documents them")]
pub struct Config {
    pub data: PathBuf,
    pub durability: Durability,
    /// Where copies of the data go, and how often.
    pub copies: Option<(PathBuf, Duration)>,
    pub listen: SocketAddr,
    /// None: beside `listen`, if there is room.
    pub admin_listen: Option<AdminListen>,
    /// Without a slash at the end.
    pub public_url: Option<String>,
    pub otlp_endpoint: Option<String>,
    pub allow_egress: Vec<AllowRule>,
    pub npm_registry: RegistryChoice,
    pub jsr_registry: RegistryChoice,
    /// The contents of the file.
    pub npm_ca: Vec<u8>,
    pub issuers: BTreeMap<AppName, Vec<IssuerSettings>>,
    /// None: nothing is limited.
    pub rate_limits: Option<RateLimits>,
    pub trusted_proxies: Vec<IpNet>,
    pub drain: Duration,
    pub max_executions: u32,
    pub max_connections: usize,
    pub guest_memory_mb: u32,
    pub files_mb: u32,
    /// What is kept of the log of executions.
    pub retention: Retention,
    pub max_component_bytes: usize,
    pub compile_time: Duration,
    pub compile_memory_mb: u32,
    pub max_request_bytes: usize,
    pub max_response_bytes: u64,
    pub maxima: Maxima,
    pub keys: Keys,
}

/// Where the admin interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum AdminListen {
    /// At an address of its own; port 0 picks a free one.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl FromStr for AdminListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            address => address
                .parse()
                .map(Self::At)
                .map_err(|_| format!("must be off, or an address and a port such as 127.0.0.1:8081, got {text:?}")),
        }
    }
}

impl TryFrom<String> for AdminListen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Secrets, which only the environment carries: flags are visible to every user of the machine, files end up in backups.
#[derive(Debug, Default)]
pub struct Keys {
    /// `CADDIS_ADMIN_TOKEN`: replaces the stored admin token.
    pub admin_token: Option<Secret>,
    /// `CADDIS_JWT_SECRET`: signs the tokens of the default app's users.
    pub jwt_secret: Option<Secret>,
    /// `CADDIS_MASTER_KEY`: seals secrets at rest, instead of the key file in the data directory.
    pub master_key: Option<Secret>,
}

/// What is wrong with flags, environment or file, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// The most executions a pool is made for.
const EXECUTIONS_MAX: u32 = 1_000;

/// Fewest bytes of a secret from the environment.
const KEY_BYTES: usize = 16;

impl Config {
    /// Merges the options with the file, and checks them.
    pub fn new(options: ServeOptions, file: Option<&Path>, keys: Keys) -> Result<Self, ConfigError> {
        let options = match file {
            Some(path) => options.or(read(path)?),
            None => options,
        };
        let cores =
            std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
        let data = options.data.ok_or_else(|| {
            ConfigError("no data directory: give --data DIR, CADDIS_DATA or data in caddis.toml".to_owned())
        })?;
        Ok(Self {
            data,
            durability: options.durability.unwrap_or_default(),
            copies: copies(options.copies, options.copy_seconds)?,
            listen: options.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
            admin_listen: options.admin_listen,
            public_url: options.public_url.as_deref().map(origin).transpose()?,
            otlp_endpoint: options.otlp_endpoint,
            allow_egress: options.allow_egress.unwrap_or_default(),
            npm_registry: options.npm_registry.map_or_else(|| registry("https://registry.npmjs.org"), Ok)?,
            jsr_registry: options.jsr_registry.map_or_else(|| registry("https://npm.jsr.io"), Ok)?,
            npm_ca: options.npm_ca.as_deref().map(authorities).transpose()?.unwrap_or_default(),
            issuers: issuers(options.issuers.unwrap_or_default())?,
            rate_limits: options.rate_limits.unwrap_or_default().0,
            trusted_proxies: options.trusted_proxies.unwrap_or_else(loopback),
            drain: Duration::from_secs(options.drain_seconds.unwrap_or(30)),
            max_executions: number(
                "max-executions",
                options.max_executions,
                Range { default: cores.saturating_mul(64).min(EXECUTIONS_MAX), min: 1, max: EXECUTIONS_MAX },
            )?,
            max_connections: number(
                "max-connections",
                options.max_connections,
                Range { default: 4_096, min: 1, max: 1_000_000 },
            )? as usize,
            guest_memory_mb: number(
                "guest-memory-mb",
                options.guest_memory_mb,
                Range { default: half_of_memory_mb(), min: MEMORY_LIMIT_MB.min, max: u32::MAX },
            )?,
            files_mb: number("files-mb", options.files_mb, FILES_MB)?,
            retention: Retention::new(
                number("keep-executions", options.keep_executions, EXECUTIONS_KEPT)?,
                number("keep-executions-days", options.keep_executions_days, EXECUTIONS_KEPT_DAYS)?,
            ),
            max_component_bytes: options.max_component_bytes.unwrap_or(32 * 1024 * 1024),
            compile_time: Duration::from_secs(options.compile_seconds.unwrap_or(60)),
            compile_memory_mb: options.compile_memory_mb.unwrap_or(2_048),
            max_request_bytes: options.max_request_bytes.unwrap_or(100 * 1024 * 1024),
            max_response_bytes: options.max_response_bytes.unwrap_or(100 * 1024 * 1024),
            maxima: Maxima {
                timeout_seconds: number("max-timeout-seconds", options.max_timeout_seconds, at_most(TIMEOUT_SECONDS))?,
                memory_limit_mb: number("max-memory-limit-mb", options.max_memory_limit_mb, at_most(MEMORY_LIMIT_MB))?,
                fuel: number("max-fuel", options.max_fuel, at_most(FUEL))?,
            },
            keys,
        })
    }
}

impl ServeOptions {
    /// With this data directory, unless another is given.
    pub fn with_data(self, default: impl Into<PathBuf>) -> Self {
        Self { data: self.data.or_else(|| Some(default.into())), ..self }
    }

    /// Without limits on rates, unless they are asked for: for a host that only its developer calls.
    pub fn without_rate_limits(self) -> Self {
        Self { rate_limits: self.rate_limits.or(Some(HostRates(None))), ..self }
    }

    /// For a host that nobody calls, with nothing but a directory that goes with it.
    pub fn for_scratch(self, data: impl Into<PathBuf>) -> Self {
        let listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let admin_listen = Some(AdminListen::Off);
        Self { data: Some(data.into()), listen, admin_listen, copies: None, copy_seconds: None, ..self }
    }

    fn or(self, other: Self) -> Self {
        Self {
            data: self.data.or(other.data),
            durability: self.durability.or(other.durability),
            copies: self.copies.or(other.copies),
            copy_seconds: self.copy_seconds.or(other.copy_seconds),
            listen: self.listen.or(other.listen),
            admin_listen: self.admin_listen.or(other.admin_listen),
            public_url: self.public_url.or(other.public_url),
            otlp_endpoint: self.otlp_endpoint.or(other.otlp_endpoint),
            allow_egress: self.allow_egress.or(other.allow_egress),
            npm_registry: self.npm_registry.or(other.npm_registry),
            jsr_registry: self.jsr_registry.or(other.jsr_registry),
            npm_ca: self.npm_ca.or(other.npm_ca),
            issuers: self.issuers.or(other.issuers),
            rate_limits: self.rate_limits.or(other.rate_limits),
            trusted_proxies: self.trusted_proxies.or(other.trusted_proxies),
            drain_seconds: self.drain_seconds.or(other.drain_seconds),
            max_executions: self.max_executions.or(other.max_executions),
            max_connections: self.max_connections.or(other.max_connections),
            guest_memory_mb: self.guest_memory_mb.or(other.guest_memory_mb),
            files_mb: self.files_mb.or(other.files_mb),
            keep_executions: self.keep_executions.or(other.keep_executions),
            keep_executions_days: self.keep_executions_days.or(other.keep_executions_days),
            max_component_bytes: self.max_component_bytes.or(other.max_component_bytes),
            compile_seconds: self.compile_seconds.or(other.compile_seconds),
            compile_memory_mb: self.compile_memory_mb.or(other.compile_memory_mb),
            max_request_bytes: self.max_request_bytes.or(other.max_request_bytes),
            max_response_bytes: self.max_response_bytes.or(other.max_response_bytes),
            max_timeout_seconds: self.max_timeout_seconds.or(other.max_timeout_seconds),
            max_memory_limit_mb: self.max_memory_limit_mb.or(other.max_memory_limit_mb),
            max_fuel: self.max_fuel.or(other.max_fuel),
        }
    }
}

impl Keys {
    /// Reads the secrets from the environment.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let master_key = variable("CADDIS_MASTER_KEY")?;
        Ok(Self { admin_token: key("CADDIS_ADMIN_TOKEN")?, jwt_secret: key("CADDIS_JWT_SECRET")?, master_key })
    }
}

/// `CADDIS_NEW_MASTER_KEY`: what `caddis secrets rotate-key` seals with from then on.
///
/// # Errors
/// When it is not UTF-8.
pub fn new_master_key() -> Result<Option<Secret>, ConfigError> {
    variable("CADDIS_NEW_MASTER_KEY")
}

fn key(name: &str) -> Result<Option<Secret>, ConfigError> {
    let key = variable(name)?;
    match &key {
        Some(key) if key.expose().len() < KEY_BYTES => {
            Err(ConfigError(format!("{name} must have at least {KEY_BYTES} characters")))
        }
        _ => Ok(key),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
fn variable(name: &str) -> Result<Option<Secret>, ConfigError> {
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(Secret::from(value))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(ConfigError(format!("{name} is not valid UTF-8"))),
    }
}

fn read(path: &Path) -> Result<ServeOptions, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError(format!("{}: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| {
        let message = error.message().replace('\n', " ");
        let line =
            error.span().map_or(0, |span| text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1);
        ConfigError(format!("{}:{line}: {message}", path.display()))
    })
}

/// A scheme and an authority, and nothing after them: paths below it are the host's.
fn origin(url: &str) -> Result<String, ConfigError> {
    let parsed = url.parse::<http::Uri>().ok().filter(|uri| {
        let scheme = uri.scheme_str().is_some_and(|scheme| matches!(scheme, "http" | "https"));
        scheme && uri.host().is_some() && matches!(uri.path(), "" | "/") && uri.query().is_none() && !url.contains('@')
    });
    let refusal = || ConfigError(format!("--public-url must be like https://functions.example.com, got {url:?}"));
    parsed.map(|_| url.trim_end_matches('/').to_owned()).ok_or_else(refusal)
}

fn registry(address: &str) -> Result<RegistryChoice, ConfigError> {
    address.parse().map_err(|error: InvalidRegistry| ConfigError(error.to_string()))
}

fn authorities(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|error| ConfigError(format!("--npm-ca: {}: {error}", path.display())))
}

/// Where a proxy on the same machine is.
fn loopback() -> Vec<IpNet> {
    let v4 = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
    vec![v4.into(), Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into()]
}

fn issuers(
    issuers: BTreeMap<AppName, Vec<IssuerSettings>>,
) -> Result<BTreeMap<AppName, Vec<IssuerSettings>>, ConfigError> {
    for (app, issuers) in &issuers {
        check_issuers(issuers).map_err(|error| ConfigError(format!("[[issuers.{app}]]: {error}")))?;
    }
    Ok(issuers)
}

/// The operator's maximum defaults to ours.
fn copies(directory: Option<PathBuf>, seconds: Option<u64>) -> Result<Option<(PathBuf, Duration)>, ConfigError> {
    let Some(directory) = directory else {
        return match seconds {
            None => Ok(None),
            Some(_) => Err(ConfigError("--copy-seconds goes with --copies DIR".to_owned())),
        };
    };
    let seconds = number("copy-seconds", seconds, Range { default: 60, min: 1, max: 24 * 60 * 60 })?;
    Ok(Some((directory, Duration::from_secs(seconds))))
}

fn at_most<T: Copy>(range: Range<T>) -> Range<T> {
    Range { default: range.max, ..range }
}

fn number<T: PartialOrd + std::fmt::Display + Copy>(
    flag: &str,
    value: Option<T>,
    range: Range<T>,
) -> Result<T, ConfigError> {
    let value = value.unwrap_or(range.default);
    if value < range.min || value > range.max {
        return Err(ConfigError(format!("--{flag} must be between {} and {}, got {value}", range.min, range.max)));
    }
    Ok(value)
}

/// Half of what the container or the machine has.
fn half_of_memory_mb() -> u32 {
    let cgroup =
        std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse::<u64>().ok());
    let machine = rustix::system::sysinfo();
    let machine = (machine.totalram as u64).saturating_mul(u64::from(machine.mem_unit));
    let bytes = cgroup.map_or(machine, |limit| limit.min(machine));
    u32::try_from(bytes / 2 / (1024 * 1024)).unwrap_or(u32::MAX).max(MEMORY_LIMIT_MB.min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn flags_come_before_the_file() {
        let file = write(
            "data = \"/from/file\"\nlisten = \"127.0.0.1:1\"\nallow_egress = [\"127.0.0.0/8\"]\nadmin_listen = \"off\"\n",
        );
        let flags = ServeOptions { listen: Some(([127, 0, 0, 1], 2).into()), ..ServeOptions::default() };
        let config = Config::new(flags, Some(file.path()), Keys::default()).unwrap();
        assert_eq!(config.data, Path::new("/from/file"));
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.allow_egress.len(), 1);
        assert_eq!(config.admin_listen, Some(AdminListen::Off));
    }

    #[test]
    fn issuers_are_in_the_file_with_their_keys() {
        let key = r#"{ kty = "OKP", crv = "Ed25519", x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }"#;
        let text = |key: &str| {
            format!("data = \"x\"\n[[issuers.shop]]\nissuer = \"i\"\naudiences = [\"a\"]\nkeys = [{key}]\n")
        };
        let config = |text: &str| Config::new(ServeOptions::default(), Some(write(text).path()), Keys::default());
        let issuers = config(&text(key)).unwrap().issuers;
        assert_eq!(issuers.values().next().unwrap()[0].audiences, ["a"]);
        let error = |key: &str| config(&text(key)).unwrap_err().to_string();
        assert!(error(r#"{ kty = "oct", k = "c2VjcmV0" }"#).contains("[[issuers.shop]]: issuers[0].keys[0] holds"));
        assert!(error("").contains("either keys or jwks_url"));
    }

    #[test]
    fn errors_name_the_option_or_the_line() {
        let error = |options, text: &str| {
            Config::new(options, Some(write(text).path()), Keys::default()).unwrap_err().to_string()
        };
        assert!(error(ServeOptions::default(), "").contains("--data"));
        assert!(error(ServeOptions::default(), "data = \"x\"\nport = 1\n").contains(":2: unknown field `port`"));
        for url in ["example.com", "https://example.com/x", "ftp://example.com", "https://u@example.com", ""] {
            let options =
                ServeOptions { public_url: Some(url.to_owned()), data: Some("x".into()), ..ServeOptions::default() };
            assert!(error(options, "").contains("--public-url"), "{url}");
        }
        let options =
            ServeOptions { max_memory_limit_mb: Some(2000), data: Some("x".into()), ..ServeOptions::default() };
        assert_eq!(error(options, ""), "--max-memory-limit-mb must be between 64 and 1024, got 2000");
        let (kept, days) = ("data = \"x\"\nkeep_executions = 10000001\n", "data = \"x\"\nkeep_executions_days = 0\n");
        assert!(error(ServeOptions::default(), kept).contains("--keep-executions must be between 0 and 10000000"));
        assert!(error(ServeOptions::default(), days).contains("--keep-executions-days must be between 1 and 3650"));
    }
}
