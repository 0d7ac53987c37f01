//! The real binary, as a process of its own, on a port it picks itself and a data directory that goes with it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::client::Client;
use crate::template;
use crate::within_patience;

/// Tests that measure time have the machine to themselves.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Options {
    binary: PathBuf,
    listen: String,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
    alone: bool,
}

impl Options {
    /// With nothing but the defaults, and no limits on rates: tests ask as fast as they can. `binary` is the path of `caddis`.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            listen: "127.0.0.1:0".to_owned(),
            flags: Vec::new(),
            variables: vec![("CADDIS_RATE_LIMITS".to_owned(), "off".to_owned())],
            alone: false,
        }
    }

    /// On this address instead of a port it picks.
    pub fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// With this flag and value.
    pub fn flag(mut self, name: &str, value: impl ToString) -> Self {
        self.flags.extend([name.to_owned(), value.to_string()]);
        self
    }

    /// With this environment variable.
    pub fn variable(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    /// Waits for the servers of other tests to end, and keeps new ones from starting.
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// `caddis serve` on this data directory.
    pub fn command(&self, data: &Path) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CADDIS_") {
                command.env_remove(name);
            }
        }
        command
            .args(["serve", "--listen", &self.listen, "--data"])
            .arg(data)
            .args(&self.flags)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs the server where it is expected to end by itself.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn run_to_end(&self, data: &Path) -> Output {
        let child = self.command(data).spawn().expect("the binary starts");
        within_patience("the server to end", child.wait_with_output()).await.expect("the output can be read")
    }
}

/// The threads of the tests that share the machine. A test that has a server and starts another must not wait behind one that waits for
/// the first to end.
static SHARING: Mutex<Vec<ThreadId>> = Mutex::new(Vec::new());

#[derive(Debug)]
enum Machine {
    /// The test has it already, or is none.
    Nobody,
    Shared {
        _guard: RwLockReadGuard<'static, ()>,
        test: ThreadId,
    },
    Alone {
        _guard: RwLockWriteGuard<'static, ()>,
    },
}

impl Machine {
    async fn of(alone: bool) -> Self {
        if alone {
            return Self::Alone { _guard: MACHINE.write().await };
        }
        let test = std::thread::current().id();
        if sharing().contains(&test) {
            return Self::Nobody;
        }
        let guard = MACHINE.read().await;
        sharing().push(test);
        Self::Shared { _guard: guard, test }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Self::Shared { test, .. } = self {
            sharing().retain(|other| other != test);
        }
    }
}

fn sharing() -> MutexGuard<'static, Vec<ThreadId>> {
    SHARING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server. Dropping it kills the process and removes its data.
#[derive(Debug)]
pub struct Server {
    process: Process,
    admin_token: String,
    options: Options,
    data: TempDir,
    _machine: Machine,
}

impl Server {
    /// Starts the binary on a new data directory and waits until it listens.
    ///
    /// # Panics
    /// When it ends instead.
    pub async fn start(options: Options) -> Self {
        let machine = Machine::of(options.alone).await;
        let data = TempDir::new().expect("a temporary directory");
        if !options.variables.iter().any(|(name, _)| name == "CADDIS_MASTER_KEY") {
            template::apply(&options.binary, data.path()).await;
        }
        Self { _machine: machine, ..Self::start_on(options, data).await }
    }

    /// Starts the binary on a new data directory beside servers that run: for programs that are no tests.
    pub async fn start_beside(options: Options) -> Self {
        Self::start_on(options, TempDir::new().expect("a temporary directory")).await
    }

    /// Starts the binary on a data directory that was not used before, beside whatever else runs.
    pub(crate) async fn start_on(options: Options, data: TempDir) -> Self {
        let (process, printed) = Process::start(&options, data.path()).await;
        let variable = options.variables.iter().find(|(name, _)| name == "CADDIS_ADMIN_TOKEN");
        let admin_token = match (printed, variable) {
            (Some(token), None) => token,
            (None, Some((_, token))) => token.clone(),
            (printed, _) => panic!("the first start prints a token unless one is given; printed: {printed:?}"),
        };
        Self { process, admin_token, options, data, _machine: Machine::Nobody }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// Where its admin interface is.
    ///
    /// # Panics
    /// When it has none.
    pub fn admin_interface(&self) -> SocketAddr {
        self.process.admin_interface.expect("an admin interface")
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// The token that may do everything.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// A client with the administrator's token, in the default app.
    pub fn admin(&self) -> Client {
        Client::new(self.address()).with_token(&self.admin_token)
    }

    /// A client without a token, in the default app.
    pub fn anonymous(&self) -> Client {
        Client::new(self.address())
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> String {
        self.process.log.text()
    }

    /// The identifier of the process.
    pub fn pid(&self) -> u32 {
        self.process.child.id().expect("the process runs")
    }

    /// Memory the process has in RAM, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells VmRSS");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kibibytes * 1024
    }

    /// Asks the process to end, and goes on; `wait` tells how it ended.
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits until the process has ended.
    pub async fn wait(&mut self) -> ExitStatus {
        within_patience("the server to end", self.process.child.wait()).await.expect("the process is a child")
    }

    /// Asks the process to end and waits until it has.
    pub async fn stop_gracefully(&mut self) -> ExitStatus {
        self.terminate();
        self.wait().await
    }

    /// Ends the process at once, as a power cut does.
    pub async fn kill(&mut self) {
        self.process.signal(Signal::KILL);
        self.wait().await;
    }

    /// Starts a process again on the same data. The old one must have ended.
    ///
    /// # Panics
    /// When it prints a token again.
    pub async fn start_again(&mut self) {
        let (process, printed) = Process::start(&self.options, self.data.path()).await;
        assert_eq!(printed, None, "the token is printed once");
        self.process = process;
    }

    /// Ends the process gracefully and starts it again on the same data.
    pub async fn restart(&mut self) {
        self.stop_gracefully().await;
        self.start_again().await;
    }
}

#[derive(Debug)]
struct Process {
    child: Child,
    address: SocketAddr,
    admin_interface: Option<SocketAddr>,
    log: Log,
}

/// What it prints until it listens.
struct Greeting {
    address: SocketAddr,
    admin_interface: Option<SocketAddr>,
    token: Option<String>,
}

impl Process {
    async fn start(options: &Options, data: &Path) -> (Self, Option<String>) {
        let mut child = options.command(data).spawn().expect("the binary starts");
        let log = Log::default();
        tokio::spawn(log.clone().follow(child.stderr.take().expect("standard error is a pipe")));
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines();
        let greeting = within_patience("the server to listen", read_greeting(&mut lines, &log)).await;
        let Greeting { address, admin_interface, token } = greeting;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        (Self { child, address, admin_interface, log }, token)
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("the process runs");
        rustix::process::kill_process(pid, signal).expect("a child can be signalled");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.start_kill();
        while let Ok(None) = self.child.try_wait() {
            std::thread::yield_now();
        }
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "the test failed, and this says why")]
            {
                eprintln!("--- log of the server\n{}---", self.log.text());
            }
        }
    }
}

/// Reads the lines before and with the address.
async fn read_greeting(lines: &mut Lines<BufReader<ChildStdout>>, log: &Log) -> Greeting {
    let (mut token, mut admin_interface) = (None, None);
    while let Some(line) = lines.next_line().await.expect("standard output is text") {
        if let Some(found) = line.strip_prefix("admin token: ") {
            token = found.split(' ').next().map(str::to_owned);
        } else if let Some(url) = line.strip_prefix("admin interface: http://") {
            let address = url.strip_suffix("/admin").expect("the path of the pages");
            admin_interface = Some(address.parse().expect("an address and a port"));
        } else if let Some(address) = line.strip_prefix("listening on http://") {
            let address = address.parse().expect("an address and a port");
            return Greeting { address, admin_interface, token };
        }
    }
    panic!("the server ended before it listened:\n{}", log.text());
}

/// What the process writes to standard error.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    async fn follow(self, mut from: impl tokio::io::AsyncRead + Unpin) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..length]);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}
