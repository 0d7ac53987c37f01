//! One call of a function, whatever triggered it: who may, is there room, run it, keep the record. No header is parsed here
//! and nothing of wasmtime is named.

mod arrive;
mod record;
mod scheduled;
mod siblings;

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures::future::abortable;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio_util::task::TaskTracker;
use wasmtime_wasi_http::WasiBody;

use crate::auth::Identity;
use crate::auth::policy::{Verdict, judge};
use crate::bindings::env::Environment;
use crate::bindings::fetch;
use crate::bindings::outgoing::Responder;
use crate::deploy::Deployer;
use crate::deploy::script::map_failure;
use crate::error::{Code, Error};
use crate::ids::{ExecutionId, FunctionName};
use crate::observe::capture::LogCapture;
use crate::observe::otlp::Exporter;
use crate::observe::response::SentResponse;
use crate::observe::trace::TraceContext;
use crate::router::table::{App, Function};
use crate::runtime::admission::{Admission, Permit};
use crate::runtime::component::Host;
use crate::runtime::execution::Execution;
use crate::runtime::instances::{IdlePlaces, Keep};
use crate::runtime::outcome::{Failure, Limits};
use crate::runtime::scheduler::Scheduler;
use crate::runtime::signals::{Arrival, CancelOnDrop, Completion};
use crate::sandbox::{Occasion, Resources};
use crate::settings::{Isolation, Settings};
use crate::store::executions::Trigger;
use crate::store::functions::FunctionVersion;
use crate::store::secrets::Changes;
use crate::store::tenant::{Caller, DbRole};

use self::record::Record;

pub use self::record::Delivery;
use self::siblings::Siblings;
pub use self::siblings::Switchboard;

/// The field of a request that says what started the function, if not a request of a client or another function.
const TRIGGER: HeaderName = HeaderName::from_static("caddis-trigger");

/// A request to a function, before anybody asked whether it may.
pub struct Call {
    /// The app.
    pub app: Arc<App>,
    /// The function's name.
    pub function: FunctionName,
    /// Who calls.
    pub identity: Result<Identity, Error>,
    /// The absolute URL the client asked for.
    pub url: String,
    /// The request: an absolute URI whose path is the one below the function.
    pub request: Request<WasiBody>,
    /// How its body fares.
    pub arrival: Arrival,
    /// Where it comes from.
    pub origin: Origin,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
}

/// Where a call comes from.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// A client, for whom the function's access policy is meant.
    Client,
    /// A browser that asks first what a client of Supabase may do: it sends no credentials, and functions answer it themselves.
    Preflight,
    /// Another function of the app, which may call every one; the caller and the caller's role in the database stay who they are.
    Function {
        /// How many functions called one another up to here.
        depth: u8,
    },
    /// A client by an event of a WebSocket; the function's access policy is for it too.
    Event,
    /// The host itself, at a time of the function's schedule.
    Schedule,
}

impl Origin {
    fn depth(self) -> u8 {
        match self {
            Self::Client | Self::Preflight | Self::Event | Self::Schedule => 0,
            Self::Function { depth } => depth,
        }
    }

    /// Says in a request what it is, where nobody else can.
    fn put(self, headers: &mut HeaderMap) {
        headers.remove(TRIGGER);
        let trigger = match self {
            Self::Client | Self::Preflight | Self::Function { .. } => return,
            Self::Event => "websocket",
            Self::Schedule => "cron",
        };
        headers.insert(TRIGGER, HeaderValue::from_static(trigger));
    }

    /// How records of executions call it.
    fn trigger(self) -> Trigger {
        match self {
            Self::Client | Self::Preflight | Self::Function { .. } => Trigger::Http,
            Self::Schedule => Trigger::Cron,
            Self::Event => Trigger::Trigger,
        }
    }
}

/// A response that has started.
pub struct Answer {
    /// The execution behind it.
    pub execution: ExecutionId,
    /// The response, as the function made it.
    pub response: Response<WasiBody>,
    /// Cancels the execution when the client goes away.
    pub cancel: CancelOnDrop,
    /// How the body learns how the execution ended.
    pub completion: Completion,
    /// What the body tells the record.
    pub delivery: Delivery,
}

/// Why there is no answer.
pub enum NoAnswer {
    /// It did not come to an execution.
    Refused(Error),
    /// The execution failed before it answered.
    Failed(ExecutionId, Failure),
}

impl From<Error> for NoAnswer {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// What an execution holds for as long as it runs.
struct Place {
    _permit: Permit,
    /// Of the function's schedule, whose runs do not overlap.
    _turn: Option<OwnedMutexGuard<()>>,
}

/// Runs functions.
pub struct Invoker {
    /// Loads components.
    pub deployer: Arc<Deployer>,
    /// The engine and what guests import.
    pub host: Arc<Host>,
    /// Who gets in.
    pub admission: Arc<Admission>,
    /// Where executions run.
    pub scheduler: Scheduler,
    /// Places for instances that wait for a request.
    pub idle_places: IdlePlaces,
    /// What executions are made from.
    pub resources: Arc<Resources>,
    /// Takes executions as spans, if somebody collects them.
    pub traces: Option<Arc<Exporter>>,
    /// Executions that have not ended, for the shutdown.
    pub running: TaskTracker,
    /// Answers functions that call functions; set once, when all is there.
    pub switchboard: OnceLock<Weak<dyn Switchboard>>,
}

impl Invoker {
    /// Runs a function and returns as soon as it has started its response.
    pub async fn invoke(&self, call: Call) -> Result<Answer, NoAnswer> {
        let function = authorize(&call)?;
        let turn = match call.origin {
            Origin::Schedule => Some(function.turn().ok_or_else(still_running)?),
            Origin::Client | Origin::Preflight | Origin::Event | Origin::Function { .. } => None,
        };
        let identity = call.identity.unwrap_or(Identity::Anonymous);
        let timeout = Duration::from_secs(function.version.settings.timeout_seconds.into());
        let asked = Instant::now();
        let mut request = arrive::small_body(call.request, timeout).await;
        call.origin.put(request.headers_mut());
        // Of the function's time, what the body took is gone; waiting for a place takes nothing from it.
        let timeout = timeout.saturating_sub(asked.elapsed());
        let permit = self.admission.enter(&function.gate).await.map_err(|_| no_room())?;
        let linked = self.deployer.linked(&function).await?;
        let environment = self.environment(&call.app, &function).await?;
        let FunctionVersion { id: function_id, settings, .. } = &function.version;
        let files = match linked.files {
            true => self.resources.directory(&call.app.name, *function_id, settings).await?,
            false => None,
        };

        let id = ExecutionId::generate();
        let deadline = Instant::now() + timeout;
        let sent = match settings.log_response {
            true => SentResponse::copied(environment.clone()),
            false => SentResponse::default(),
        };
        let (responder, response) = Responder::new(sent.clone());
        let log = match &linked.program {
            Some(program) => LogCapture::of_a_console(environment.clone(), Some(program.clone())),
            None => LogCapture::without(environment.clone()),
        };
        let completion = Completion::default();
        let executions = self.resources.store.executions();
        let caused = (call.origin.trigger(), &identity);
        let record = Record::open(executions, id, &function, caused, &request, log.clone(), sent.clone());
        let trace = match &self.traces {
            Some(exporter) => {
                let trace = call.trace.unwrap_or_else(TraceContext::started);
                let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
                record.export(exporter.clone(), function.version.name.clone(), trace.clone());
                Some(trace)
            }
            None => call.trace,
        };
        let delivery = Delivery::new(sent, record.clone());
        let occasion = Occasion {
            deadline,
            environment,
            wasi_environment: linked.wasi_environment,
            user: identity.user().cloned(),
            caller: caller(&identity),
            log,
            responder,
            files,
            siblings: self.siblings(&call.app, &identity, call.origin),
            trace,
        };
        let execution = Execution {
            limits: Limits::from(settings),
            deadline: deadline.into(),
            url: call.url,
            request,
            arrival: call.arrival,
            completion: completion.clone(),
            parts: self.resources.parts(&call.app.name, settings, occasion),
            linked,
            keep: self.keep(&function),
        };
        let (cancel, failure) = self.start(&function, execution, record, Place { _permit: permit, _turn: turn });
        match response.await {
            Ok(response) => Ok(Answer { execution: id, response, cancel, completion, delivery }),
            // Nothing was sent: the reason comes at the end of the execution.
            Err(_) => Err(NoAnswer::Failed(id, failure.await.unwrap_or_else(|_| stopped()))),
        }
    }

    /// Where calls are answered, as long as the host runs.
    pub fn switchboard(&self) -> Option<Arc<dyn Switchboard>> {
        self.switchboard.get()?.upgrade()
    }

    /// Where the function's instances wait, if they may.
    fn keep(&self, function: &Function) -> Option<Keep> {
        let Settings { isolation, instance_requests: requests, .. } = function.version.settings;
        let keep = || Keep { instances: function.instances.clone(), places: self.idle_places.clone(), requests };
        (isolation == Isolation::Instance).then(keep)
    }

    fn siblings(&self, app: &Arc<App>, identity: &Identity, origin: Origin) -> Option<Box<dyn fetch::Siblings>> {
        let switchboard = self.switchboard.get()?.clone();
        Some(Box::new(Siblings { switchboard, app: app.clone(), identity: identity.clone(), origin }))
    }

    fn start(
        &self,
        function: &Function,
        execution: Execution,
        record: Arc<Mutex<Record>>,
        place: Place,
    ) -> (CancelOnDrop, oneshot::Receiver<Failure>) {
        let (sender, receiver) = oneshot::channel();
        let host = self.host.clone();
        let log = execution.parts.log.clone();
        let (task, handle) = abortable(async move {
            let linked = execution.linked.clone();
            let mut finished = execution.run(host.engine()).await;
            finished.result = finished.result.map_err(|failure| map_failure(failure, &linked).redacted(&log));
            drop(place);
            if let Err(failure) = &finished.result {
                let _ = sender.send(failure.clone());
            }
            record.lock().unwrap_or_else(PoisonError::into_inner).close(finished);
        });
        self.scheduler.execute(
            &function.usage,
            self.running.track_future(async move {
                // Cancelled is an end like any other: the record notices by itself.
                let _ = task.await;
            }),
        );
        (CancelOnDrop::new(handle), receiver)
    }

    async fn environment(&self, app: &App, function: &Function) -> Result<Arc<Environment>, Error> {
        let generation = match function.environment.get() {
            Ok(environment) => return Ok(environment),
            Err(generation) => generation,
        };
        let FunctionVersion { id, settings, .. } = &function.version;
        let environment = self.resources.environment(&app.name, Some(*id), settings, &Changes::new()).await?;
        function.environment.keep(generation, &environment);
        Ok(environment)
    }
}

fn authorize(call: &Call) -> Result<Arc<Function>, Error> {
    let function = call.app.pick(&call.function).filter(|function| function.version.settings.enabled);
    let function = function.ok_or_else(|| {
        Error::new(Code::NotFound, format!("there is no enabled function {} in app {}", call.function, call.app.name))
    })?;
    let is_the_app = call.identity.as_ref().is_ok_and(Identity::is_the_app);
    match call.origin {
        Origin::Function { .. } | Origin::Schedule => return Ok(function),
        Origin::Client | Origin::Preflight if !function.version.settings.http_trigger && !is_the_app => {
            return Err(not_by_http(&call.function));
        }
        Origin::Preflight => return Ok(function),
        Origin::Client | Origin::Event => {}
    }
    let access = &function.version.settings.access;
    let identity = match &call.identity {
        Ok(identity) => identity,
        // A public function may have an authentication of its own in the same header.
        Err(_) if judge(access, &Identity::Anonymous) == Verdict::Allowed => &Identity::Anonymous,
        Err(error) => return Err(Error::new(error.code, error.message.clone())),
    };
    match judge(access, identity) {
        Verdict::Allowed => Ok(function),
        Verdict::Unauthorized if *identity == Identity::AnonKey => Err(Error::new(
            Code::Unauthorized,
            "this function needs a user's token; the anon key alone opens functions with the policy key or public",
        )),
        Verdict::Unauthorized => Err(Error::new(
            Code::Unauthorized,
            "this function needs a token of the app or an API key in the Authorization header",
        )),
        Verdict::Forbidden => {
            Err(Error::new(Code::Forbidden, "the function's access policy does not include this user"))
        }
    }
}

/// Who the database is asked for. A token of the app may name another role, as Supabase's keys do.
fn caller(identity: &Identity) -> Caller {
    let user = match identity {
        Identity::ApiKey(_) | Identity::ServiceRole | Identity::Token(_) | Identity::Admin => return Caller::service(),
        Identity::Anonymous | Identity::AnonKey => return Caller::anon(),
        Identity::User(user) => user,
    };
    Caller {
        role: match user.role.as_str() {
            "service_role" | "butterbase_service" => DbRole::Service,
            "anon" | "butterbase_anon" => DbRole::Anon,
            _ => DbRole::Authenticated,
        },
        uid: Some(user.id.clone()),
        email: user.email.clone(),
        claims: Some(serde_json::Value::Object(user.claims.clone()).to_string()),
    }
}

fn no_room() -> Error {
    Error::new(Code::Overloaded, "the host is busy: no place for another execution became free in time")
}

fn still_running() -> Error {
    Error::new(
        Code::Conflict,
        "the run of the schedule before this one has not ended; runs of a function do not overlap",
    )
}

fn not_by_http(function: &FunctionName) -> Error {
    Error::new(
        Code::NotFound,
        format!("{function} has no http trigger: only its other triggers start it, and keys that stand for the app"),
    )
}

fn stopped() -> Failure {
    Failure::new(Code::Internal, "the host failed; its log has the cause")
}
