//! One execution: a fresh store and instance, one call, and nothing left; unless the function wants its instances to wait for its next request.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::{Instant, timeout_at};
use wasmtime::{Engine, Store};
use wasmtime_wasi::p2::DynInputStream;
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HostIncomingBody;
use wasmtime_wasi_http::p3;
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

use super::component::{Entry, Linked};
use super::ctx::{Ctx, CtxParts};
use super::instances::{Instance, Keep, Sandbox};
use super::limits::MemoryLimiter;
use super::outcome::{Failure, Limits};
use super::turns::Turns;
use crate::bindings::Function;
use crate::bindings::outgoing::{Responder, response_head};
use crate::bindings::wit::http as lean;
use crate::error::Code;
use crate::runtime::signals::{Arrival, Completion};
use crate::tunables::{BODY_BY_VALUE_BYTES, COMPONENT_HANDLES, FUEL_YIELD_INTERVAL, HOSTCALL_FUEL};

/// What runs, for whom, and within which limits.
pub struct Execution {
    /// What the function is.
    pub linked: Arc<Linked>,
    /// Its limits.
    pub limits: Limits,
    /// When it ends at the latest.
    pub deadline: Instant,
    /// The request: an absolute URI whose path is the one below the function.
    pub request: Request<WasiBody>,
    /// How the request's body fares.
    pub arrival: Arrival,
    /// The absolute URL the client asked for.
    pub url: String,
    /// What goes into the store.
    pub parts: CtxParts,
    /// Told when the response's body may end well.
    pub completion: Completion,
    /// Where the function's instances wait, if they do.
    pub keep: Option<Keep>,
}

/// What an execution cost and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// Failure, if it failed.
    pub result: Result<(), Failure>,
    /// Fuel used.
    pub fuel: u64,
    /// Most memory it had, in bytes.
    pub peak_memory: usize,
}

impl Execution {
    /// Runs to the end. The response leaves through the responder as soon as it starts.
    pub async fn run(self, engine: &Engine) -> Finished {
        let Self { linked, limits, deadline, request, arrival, url, parts, completion, keep } = self;
        let environment = parts.environment.clone();
        let waiting = keep.as_ref().and_then(|keep| keep.take(&linked, &parts));
        let (mut store, mut instance, served) = match waiting {
            Some(sandbox) => sandbox.next(parts),
            None => (Store::new(engine, Ctx::new(parts)), None, 0),
        };
        // Dropped before the store, so that a body sees a cancelled or panicked execution as failed.
        let _guard = completion.guard();
        let result = match prepare(&mut store, limits.fuel) {
            Ok(()) => {
                timeout_at(deadline, drive(&linked.entry, &mut instance, &mut store, request, url, &completion)).await
            }
            Err(error) => Ok(Err(error)),
        };
        // Only plain reads from here on: after a failure no guest code runs in this store again.
        let ctx = store.data();
        let result = match result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(limits.explain(&error, ctx.memory.refusal(), arrival.fault())),
            Err(_elapsed) => Err(limits.timed_out()),
        };
        ctx.finish_log();
        let peak_memory = ctx.memory.peak();
        let fuel = store.get_fuel().map_or(0, |left| limits.fuel.saturating_sub(left));
        if let Entry::Lean(function) = &linked.entry {
            function.used(fuel);
        }
        // Before the store goes: its end closes the body, and a body must know by then whether that is a good end.
        completion.set(result.is_ok());
        if let (Some(keep), Ok(()), Some(instance)) = (keep, &result, instance) {
            keep.put(Sandbox { linked, environment, store, instance, served: served + 1 }, deadline).await;
        }
        Finished { result, fuel, peak_memory }
    }
}

/// Sets the limits of a store for one request.
pub(super) fn prepare(store: &mut Store<Ctx>, fuel: u64) -> wasmtime::Result<()> {
    store.limiter(|ctx| &mut ctx.memory);
    store.set_fuel(fuel)?;
    store.fuel_async_yield_interval(Some(FUEL_YIELD_INTERVAL))?;
    store.set_hostcall_fuel(HOSTCALL_FUEL);
    store.set_max_component_handles(COMPONENT_HANDLES);
    store.call_hook_async(Turns);
    Ok(())
}

async fn drive(
    entry: &Entry,
    instance: &mut Option<Instance>,
    store: &mut Store<Ctx>,
    request: Request<WasiBody>,
    url: String,
    completion: &Completion,
) -> wasmtime::Result<()> {
    let instance = match instance {
        Some(waiting) => waiting,
        None => instance.insert(instantiate(entry, store).await?),
    };
    match instance {
        Instance::Lean(lean) => drive_lean(&lean.function, store, request, url).await,
        Instance::Http02(proxy) => drive_http_02(proxy, store, request).await,
        Instance::Http03(service) => drive_http_03(service, store, request, completion).await,
    }
}

async fn instantiate(entry: &Entry, store: &mut Store<Ctx>) -> wasmtime::Result<Instance> {
    Ok(match entry {
        Entry::Lean(function) => Instance::Lean(function.instantiate(store).await?),
        Entry::Http02(proxy) => Instance::Http02(proxy.instantiate_async(store).await?),
        Entry::Http03(service) => Instance::Http03(service.instantiate_async(store).await?),
    })
}

fn take_responder(store: &mut Store<Ctx>) -> wasmtime::Result<Responder> {
    store.data_mut().responder.take().ok_or_else(|| wasmtime::format_err!("the responder is gone"))
}

/// Sends a response a guest made, if HTTP lets it be sent.
fn respond(responder: Responder, response: Response<WasiBody>) -> Result<(), Failure> {
    if response.status() < StatusCode::OK {
        let message =
            format!("the function answered with status {}; 200 to 599 are possible", response.status().as_u16());
        return Err(Failure::new(Code::InvalidResponse, message));
    }
    // A client that is gone is noticed by whoever holds its connection.
    let _ = responder.send(response);
    Ok(())
}

async fn drive_lean(
    function: &Function,
    store: &mut Store<Ctx>,
    request: Request<WasiBody>,
    url: String,
) -> wasmtime::Result<()> {
    let head_only = request.method() == Method::HEAD;
    let request = lean_request(store, request, url).await?;
    match function.caddis_function_handler().call_handle(&mut *store, &request).await? {
        Ok(lean::Response::Whole(response)) => {
            let Some(responder) = store.data_mut().responder.take() else {
                let message = "the function returned a response after it had started one";
                return Err(Failure::new(Code::InvalidResponse, message).into());
            };
            respond(responder, whole_response(response, head_only, &store.data().memory)?)?;
            Ok(())
        }
        Ok(lean::Response::Streamed) if store.data().responder.is_some() => Err(Failure::no_response().into()),
        Ok(lean::Response::Streamed) => Ok(()),
        Err(lean::Error { message, stack }) => Err(Failure::reported(message, stack).into()),
    }
}

async fn lean_request(
    store: &mut Store<Ctx>,
    request: Request<WasiBody>,
    url: String,
) -> wasmtime::Result<lean::Request> {
    let (head, body) = request.into_parts();
    let path_with_query = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let headers =
        head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    let method = head.method.as_str().to_owned();
    Ok(lean::Request { method, url, path_with_query, headers, body: lean_body(store, body).await? })
}

async fn lean_body(store: &mut Store<Ctx>, body: WasiBody) -> wasmtime::Result<lean::RequestBody> {
    match body.size_hint().exact() {
        Some(0) => Ok(lean::RequestBody::Empty),
        Some(size) if size <= BODY_BY_VALUE_BYTES as u64 => {
            let bytes = body.collect().await?.to_bytes();
            Ok(lean::RequestBody::Bytes(bytes.into()))
        }
        _ => {
            let Some(stream) = HostIncomingBody::new(body).take_stream() else {
                wasmtime::bail!("a new body has no stream")
            };
            let stream: DynInputStream = Box::new(stream);
            Ok(lean::RequestBody::Stream(store.data_mut().table().push(stream)?))
        }
    }
}

fn whole_response(
    response: lean::WholeResponse,
    head_only: bool,
    memory: &MemoryLimiter,
) -> Result<Response<WasiBody>, Failure> {
    let lean::WholeResponse { head, body } = response;
    let mut checked = response_head(head).map_err(|error| {
        Failure::new(Code::InvalidResponse, format!("the function's response is not valid HTTP: {error}"))
    })?;
    if !head_only || !body.is_empty() {
        // The length is known here; a guest's own idea of it could only be wrong.
        checked.headers_mut().remove(CONTENT_LENGTH);
    }
    let body = whole_body(body, memory)?;
    Ok(checked.map(|()| body))
}

fn whole_body(bytes: Vec<u8>, memory: &MemoryLimiter) -> Result<WasiBody, Failure> {
    if bytes.is_empty() {
        return Ok(Empty::new().map_err(|never| match never {}).boxed_unsync());
    }
    // It stays until the slowest of clients has taken it, long after the execution and its place are gone.
    let share = memory.share(bytes.len()).ok_or_else(Failure::no_memory)?;
    Ok(Full::new(share.around(bytes)).map_err(|never| match never {}).boxed_unsync())
}

async fn drive_http_02(proxy: &Proxy, store: &mut Store<Ctx>, request: Request<WasiBody>) -> wasmtime::Result<()> {
    let responder = take_responder(store)?;
    let answer: Arc<Mutex<Option<Result<(), Failure>>>> = Arc::default();
    let mut http = store.data_mut().http();
    let incoming = http.new_incoming_request(Scheme::Http, without_host(request))?;
    let outparam = http.new_response_outparam_from_callback({
        let answer = answer.clone();
        move |result| {
            let result = match result {
                Ok(response) => respond(responder, response),
                Err(code) => Err(Failure::reported(format!("the function reported {code:?}"), None)),
            };
            *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    })?;
    let called = proxy.wasi_http_incoming_handler().call_handle(&mut *store, incoming, outparam).await;
    let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (called, answer) {
        // Command-style runtimes leave through `exit` after they have answered.
        (Err(error), Some(Ok(()))) if is_clean_exit(&error) => Ok(()),
        (Err(error), _) => Err(error),
        (Ok(()), Some(answer)) => Ok(answer?),
        (Ok(()), None) => Err(Failure::no_response().into()),
    }
}

fn is_clean_exit(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<wasmtime_wasi::I32Exit>().is_some_and(|exit| exit.0 == 0)
}

/// Whether the body of the request came through.
type Sent = Pin<Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>>;

async fn drive_http_03(
    service: &p3::bindings::Service,
    store: &mut Store<Ctx>,
    request: Request<WasiBody>,
    completion: &Completion,
) -> wasmtime::Result<()> {
    let responder = take_responder(store)?;
    store
        .run_concurrent(async |accessor| -> wasmtime::Result<()> {
            let (request, sent) = accessor.with(|mut access| {
                let (request, sent) = p3::Request::from_http(access.get().http().hooks, without_host(request));
                (request, Box::pin(sent) as Sent)
            });
            let response = service
                .handle(accessor, request)
                .await?
                .map_err(|code| Failure::reported(format!("the function reported {code:?}"), None))?;
            let response = accessor.with(|mut access| response.into_http(&mut access, sent))?;
            respond(responder, response)?;
            // The body is pumped by this store, so the store stays until the last byte has left …
            completion.body_ended().await;
            // … and until the guest has finished whatever else it started.
            poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
            Ok(())
        })
        .await?
}

/// WASI passes the authority beside the fields and forbids `host` among them. Removing it here keeps the others in order:
/// `HeaderMap::remove`, which would be called otherwise, moves the last field into the gap.
fn without_host(mut request: Request<WasiBody>) -> Request<WasiBody> {
    let fields = std::mem::take(request.headers_mut());
    let mut kept = HeaderMap::with_capacity(fields.len());
    for (name, value) in &fields {
        if name != HOST {
            kept.append(name.clone(), value.clone());
        }
    }
    *request.headers_mut() = kept;
    request
}
