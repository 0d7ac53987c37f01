//! The one QuickJS runtime of the module, and the three things done with it.

use std::cell::{OnceCell, RefCell};

use rquickjs::function::Function;
use rquickjs::promise::PromiseState;
use rquickjs::{
    CatchResultExt, CaughtError, Class, Context, Ctx, IntoJs, Module, Object, Persistent, Promise, Runtime, TypedArray,
    Value,
};

use crate::allocator::placement::{self, Block};
use crate::allocator::quickjs::{self, Blocks};
use crate::allocator::{self, Chunk};
use crate::bindings::caddis::function::http::{Error, Request, RequestBody, Response};
use crate::bindings::exports::caddis::engine::builder::Module as Source;
use crate::event_loop::{self, Ended};
use crate::failure::{self, caught, describe, plain};
use crate::modules::Modules;
use crate::natives::{self, fields::Fields};
use crate::outcome::{self, Outcome};

/// The module of the prelude that imports the others and exports the hooks below.
const PRELUDE: &str = "caddis:prelude";

/// The module of a program that defines globals it needs, if it has one.
const GLOBALS: &str = "caddis:globals";

/// How much of the shadow stack scripts may use before a RangeError. The rest of it (see `-zstack-size` in the build) is for the native
/// functions a script can call at its deepest, and the host's stack limit is chosen so that this one is met first.
const SCRIPT_STACK: usize = 2 << 20;

/// How large the heap is when QuickJS first looks for cycles once it has started, in bytes. A collection visits, and thereby copies, every page of the image: most
/// requests end before it would free anything.
const FIRST_COLLECTION: usize = 16 << 20;

/// Free memory for a program, in bytes. One that does with it leaves the memory as large as it was, as all must whose images share what is the same.
const PROGRAM_ROOM: usize = 2 << 20;

struct Engine {
    // Field order is drop order, though neither is ever dropped.
    context: Context,
    runtime: Runtime,
    modules: Modules,
}

thread_local! {
    static ENGINE: OnceCell<Engine> = const { OnceCell::new() };
    static HOOKS: RefCell<Option<Hooks>> = const { RefCell::new(None) };
}

/// What the prelude exports to this side.
#[derive(Clone)]
struct Hooks {
    /// Finds the handler among the exports of the program.
    prepare: Persistent<Function<'static>>,
    /// Calls the handler with a request, and answers it, unless the handler returns a promise: then it returns that.
    dispatch: Persistent<Function<'static>>,
    /// Queues a job that tells the event loop that all jobs before it have run.
    mark: Persistent<Function<'static>>,
    /// Answers with what the promise has become.
    settle: Persistent<Function<'static>>,
    /// Answers with why the promise was rejected.
    reject: Persistent<Function<'static>>,
    /// Forgets what belongs to the request that has ended.
    rest: Persistent<Function<'static>>,
    /// What was thrown or rejected last and not handled, as message and stack.
    last_unhandled: Persistent<Function<'static>>,
}

/// Starts QuickJS and evaluates the prelude. Returns where the first `notes` blocks lie.
pub(crate) fn boot(modules: Vec<Source>, written: Vec<u32>, notes: u32) -> Result<Vec<Block>, Error> {
    placement::start(written, notes as usize);
    start_with(modules)?;
    let blocks = placement::stop();
    allocator::make_room(PROGRAM_ROOM);
    // What a program keeps would otherwise fill the holes that the prelude left all over the memory.
    allocator::seal(Chunk::New);
    Ok(blocks)
}

fn start_with(modules: Vec<Source>) -> Result<(), Error> {
    let engine = start().map_err(|error| plain(error.to_string()))?;
    engine.modules.add(modules);
    engine.modules.compile_imports(&engine.runtime, PRELUDE)?;
    engine.context.with(|ctx| {
        natives::install(&ctx).map_err(|error| caught(&ctx, error))?;
        // What the prelude keeps would otherwise fill the holes that its compilation left all over the memory.
        allocator::seal(Chunk::New);
        let exports = evaluate_module(&ctx, &engine.modules, PRELUDE)?;
        take_hooks(&ctx, &exports).map_err(|error| caught(&ctx, error))
    })?;
    track_rejections(&engine.runtime)?;
    engine.runtime.run_gc();
    engine.runtime.set_gc_threshold(FIRST_COLLECTION);
    ENGINE.with(|cell| cell.set(engine)).map_err(|_| plain("the engine is started already"))
}

/// Evaluates a program and finds its handler.
pub(crate) fn evaluate(entry: &str, modules: Vec<Source>) -> Result<(), Error> {
    with_engine(|engine, ctx| {
        engine.modules.add(modules);
        engine.modules.set_entry(entry);
        natives::clock::start();
        if engine.modules.has(GLOBALS) {
            evaluate_module(ctx, &engine.modules, GLOBALS)?;
        }
        let exports = evaluate_module(ctx, &engine.modules, entry)?;
        let prepare = hooks()?.prepare.restore(ctx).map_err(|error| caught(ctx, error))?;
        prepare.call::<_, ()>((exports,)).map_err(|error| caught(ctx, error))?;
        ctx.run_gc();
        natives::random::forget_seed();
        event_loop::freeze();
        allocator::seal(Chunk::Reserved);
        Ok(())
    })
}

/// Answers one request.
pub(crate) fn handle(request: Request) -> Result<Response, Error> {
    with_engine(|_, ctx| {
        allocator::begin_request();
        event_loop::thaw();
        natives::begin_request();
        natives::clock::start();
        let dispatch = hooks()?.dispatch.restore(ctx).map_err(|error| caught(ctx, error))?;
        let arguments = request_arguments(ctx, request).map_err(|error| caught(ctx, error))?;
        let promise = dispatch.call::<_, Option<Promise<'_>>>(arguments).map_err(|error| caught(ctx, error))?;
        if let Some(promise) = promise {
            wait_for(ctx, &promise).map_err(|error| caught(ctx, error))?;
        }
        let ended = event_loop::run(ctx, outcome::is_finished).map_err(|error| caught(ctx, error))?;
        match (outcome::take(), ended) {
            (Outcome::Failed(error), _) => Err(error),
            (Outcome::Whole(response), _) => Ok(Response::Whole(response)),
            (Outcome::Streamed, Ended::Done) => Ok(Response::Streamed),
            (Outcome::Streamed, Ended::Stalled) => Err(natives::respond::unfinished()),
            (Outcome::Pending, _) => Err(never_settles(ctx)),
        }
    })
}

/// Answers with what the promise of the handler becomes, if it becomes anything.
fn wait_for<'js>(ctx: &Ctx<'js>, promise: &Promise<'js>) -> rquickjs::Result<()> {
    let is_pending = || promise.state() == PromiseState::Pending;
    if is_pending() {
        event_loop::run(ctx, || !is_pending())?;
    }
    if is_pending() {
        return Ok(());
    }
    let hooks = HOOKS.with_borrow(Clone::clone).ok_or(rquickjs::Error::Unknown)?;
    event_loop::run_present_jobs(ctx, || hooks.mark.restore(ctx)?.call(()))?;
    // Not before the jobs: to ask for the result of a rejected promise is to throw.
    match promise.result::<Value<'js>>() {
        Some(Ok(value)) => hooks.settle.restore(ctx)?.call((value,)),
        Some(Err(_thrown)) => hooks.reject.restore(ctx)?.call((promise.clone(), ctx.catch())),
        None => Ok(()),
    }
}

/// Makes the engine ready for another request.
pub(crate) fn rest() {
    let rested = with_engine(|_, ctx| {
        event_loop::rest(ctx);
        natives::rest();
        drop(outcome::take());
        let rest = hooks()?.rest.restore(ctx).map_err(|error| caught(ctx, error))?;
        rest.call::<_, ()>(()).map_err(|error| caught(ctx, error))
    });
    if rested.is_err() {
        // Something of the request may be left: nobody may get this instance.
        std::process::abort();
    }
}

/// What to say of a handler that waits for nothing. An error that nobody handled is likely why.
fn never_settles(ctx: &Ctx<'_>) -> Error {
    let told =
        hooks().ok().and_then(|hooks| hooks.last_unhandled.restore(ctx).ok()?.call::<_, Vec<Option<String>>>(()).ok());
    match told.map(Vec::into_iter).and_then(|mut texts| Some((texts.next()??, texts.next().flatten()))) {
        Some((message, stack)) => Error {
            message: format!(
                "The promise of the handler can never settle, after an error that was not handled: {message}"
            ),
            stack,
        },
        None => plain(
            "The promise of the handler can never settle: no timer, request or stream is pending that could settle it. \
             Was a resolve call or a return forgotten?",
        ),
    }
}

fn start() -> rquickjs::Result<Engine> {
    let runtime = Runtime::new_with_alloc(Blocks)?;
    runtime.set_max_stack_size(SCRIPT_STACK);
    let context = Context::full(&runtime)?;
    context.with(|ctx| quickjs::connect(&ctx));
    let modules = Modules::default();
    runtime.set_loader(modules.clone(), modules.clone());
    Ok(Engine { context, runtime, modules })
}

fn with_engine<T>(action: impl FnOnce(&Engine, &Ctx<'_>) -> Result<T, Error>) -> Result<T, Error> {
    ENGINE.with(|cell| {
        let engine = cell.get().ok_or_else(|| plain("the engine is not started"))?;
        engine.context.with(|ctx| action(engine, &ctx))
    })
}

fn hooks() -> Result<Hooks, Error> {
    HOOKS.with_borrow(Clone::clone).ok_or_else(|| plain("the engine is not started"))
}

fn take_hooks<'js>(ctx: &Ctx<'js>, exports: &Object<'js>) -> rquickjs::Result<()> {
    let hook = |name: &str| exports.get::<_, Function<'js>>(name).map(|function| Persistent::save(ctx, function));
    failure::set_describer(hook("describe")?);
    event_loop::set_after_jobs(hook("reportRejections")?);
    REJECTION.set(Some(hook("trackRejection")?));
    HOOKS.set(Some(Hooks {
        prepare: hook("prepare")?,
        dispatch: hook("dispatch")?,
        mark: hook("mark")?,
        settle: hook("settle")?,
        reject: hook("reject")?,
        rest: hook("rest")?,
        last_unhandled: hook("lastUnhandled")?,
    }));
    Ok(())
}

thread_local! {
    static REJECTION: RefCell<Option<Persistent<Function<'static>>>> = const { RefCell::new(None) };
}

fn track_rejections(runtime: &Runtime) -> Result<(), Error> {
    let function = REJECTION.take().ok_or_else(|| plain("the prelude has no trackRejection"))?;
    runtime.set_host_promise_rejection_tracker(Some(Box::new(move |ctx, promise, reason, handled| {
        let tracked = function.clone().restore(&ctx).and_then(|f| f.call::<_, ()>((promise, reason, handled)));
        if tracked.is_err() {
            ctx.catch();
        }
    })));
    Ok(())
}

/// Evaluates a module and all it imports, and returns its exports.
fn evaluate_module<'js>(ctx: &Ctx<'js>, modules: &Modules, name: &str) -> Result<Object<'js>, Error> {
    let to_error = |error: CaughtError<'js>| match error {
        CaughtError::Error(error) => plain(error.to_string()),
        CaughtError::Exception(exception) => describe(ctx, exception.into_value()),
        CaughtError::Value(value) => describe(ctx, value),
    };
    let module = modules.declare(ctx, name).catch(ctx).map_err(to_error)?;
    let (module, promise) = Module::eval(module).catch(ctx).map_err(to_error)?;
    // The loop asks often, so it asks the promise's state and not for its result.
    let settled = || promise.state() != PromiseState::Pending;
    let ended = event_loop::run(ctx, settled).catch(ctx).map_err(to_error)?;
    if ended == Ended::Stalled {
        return Err(plain("The top-level await of the module can never settle"));
    }
    match promise.result::<Value<'js>>() {
        Some(result) => result.catch(ctx).map_err(to_error)?,
        None => return Err(plain("The top-level await of the module can never settle")),
    };
    module.namespace().catch(ctx).map_err(to_error)
}

/// The request as the prelude takes it: method, URL, path, header fields, and the body, which is null, bytes, or the number of a stream.
type Arguments<'js> = (String, String, String, Class<'js, Fields>, Value<'js>);

fn request_arguments<'js>(ctx: &Ctx<'js>, request: Request) -> rquickjs::Result<Arguments<'js>> {
    let fields = natives::fields::to_js(ctx, request.headers)?;
    let body = match request.body {
        RequestBody::Empty => Value::new_null(ctx.clone()),
        RequestBody::Bytes(bytes) => TypedArray::<u8>::new(ctx.clone(), bytes)?.into_value(),
        RequestBody::Stream(stream) => natives::streams::add_input(stream).into_js(ctx)?,
    };
    Ok((request.method, request.url, request.path_with_query, fields, body))
}
