//! JavaScript and TypeScript: source to modules, modules to a memory image.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use javy_shim::image;
use javy_shim::node::NODE_MODULES;
use serde::{Deserialize, Serialize};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::components::{Components, no_memory};
use super::evaluations::Evaluations;
use super::packages::{LockedPackages, Npm, PackageVersions, Resolution};
use crate::bindings::outgoing::Responder;
use crate::error::{Code, Error};
use crate::ids::{AppName, FunctionId};
use crate::js::bundle::{Bundle, Bundler, Progress};
use crate::js::diagnostic::Diagnostics;
use crate::js::frame::Position;
use crate::js::source::Source;
use crate::js::{ABSENT_GLOBALS, Platform};
use crate::observe::capture::{LogCapture, Places};
use crate::observe::response::SentResponse;
use crate::runtime::component::Linked;
use crate::runtime::outcome::{Failure, Limits};
use crate::runtime::script::{Image, Program, ProgramModule, ScriptEngine};
use crate::sandbox::{Occasion, Resources};
use crate::settings::Settings;
use crate::store::secrets::Changes;
use crate::store::tenant::Caller;
use crate::tunables::{PACKAGES_TIME, PROGRAM_IMAGE_BYTES, PROGRAM_START_TIME};

/// The world of functions that are JavaScript, as the store and clients name it.
pub const JAVASCRIPT: &str = "javascript";

/// What the engine has beyond the web platform, and what it will never have.
const PLATFORM: Platform<'static> = Platform { node_modules: NODE_MODULES, absent_globals: ABSENT_GLOBALS };

/// Makes programs callable.
pub struct Scripts {
    components: Arc<Components>,
    resources: Arc<Resources>,
    npm: Arc<Npm>,
    engine: OnceCell<Arc<ScriptEngine>>,
    /// Transpiling a hostile source may take hundreds of megabytes for a moment: one at a time.
    turns: Semaphore,
    evaluations: Evaluations,
}

/// For whom a program is evaluated.
pub struct Owner<'a> {
    /// The app.
    pub app: &'a AppName,
    /// The function, if there is one already: its variables are there at top level.
    pub function: Option<FunctionId>,
    /// The function's settings: their limits hold at top level too.
    pub settings: &'a Settings,
    /// Variables that it gets with this deployment, beside those it has.
    pub variables: &'a Changes,
}

/// What a version of a function is made from.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Its files.
    pub source: Source,
    /// The packages it was deployed with.
    pub packages: LockedPackages,
}

/// A recipe as the store keeps it.
#[derive(Serialize, Deserialize)]
struct Stored {
    entry: String,
    files: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    packages: LockedPackages,
}

impl Recipe {
    /// Bytes that stand for it.
    pub fn store(&self) -> Result<Bytes, Error> {
        let Self { source, packages } = self;
        let text = |path: &str| source.text(path).unwrap_or_default().to_owned();
        let files = source.paths().map(|path| (path.to_owned(), text(path))).collect();
        let stored = Stored { entry: source.entry().as_str().to_owned(), files, packages: packages.clone() };
        serde_json::to_vec(&stored).map(Bytes::from).map_err(Error::internal)
    }

    /// The recipe these bytes stand for.
    pub fn stored(bytes: &[u8]) -> Result<Self, Error> {
        let Stored { entry, files, packages } = serde_json::from_slice(bytes).map_err(Error::internal)?;
        Ok(Self { source: Source::from_files(files, &entry)?, packages })
    }
}

/// A bundle in the making.
struct Work {
    bundler: Bundler,
    packages: Resolution,
}

/// A program that has run its top level, and what was made of the memory it left.
struct Evaluated<T> {
    engine: Arc<ScriptEngine>,
    image: T,
    bundle: Bundle,
    packages: LockedPackages,
}

impl Scripts {
    /// Programs for this host, of which so many are evaluated at once.
    pub fn new(components: Arc<Components>, resources: Arc<Resources>, npm: Arc<Npm>, evaluations: u32) -> Self {
        let evaluations = Evaluations::new(evaluations);
        Self { components, resources, npm, engine: OnceCell::new(), turns: Semaphore::new(1), evaluations }
    }

    /// Compiles the engine, if nobody has yet.
    pub async fn engine(&self) -> Result<Arc<ScriptEngine>, Error> {
        let compile = || async { self.components.script_engine().await.map(Arc::new) };
        self.engine.get_or_try_init(compile).await.cloned()
    }

    /// Transpiles, links and evaluates a source. What is wrong with it comes back with file, line and a code frame; otherwise it
    /// comes back with the packages it has.
    pub async fn build(
        &self,
        owner: Owner<'_>,
        recipe: Recipe,
        versions: PackageVersions,
    ) -> Result<(Arc<Linked>, LockedPackages), Error> {
        let Evaluated { engine, image, bundle, packages } = self.evaluate(owner, recipe, versions, Image::of).await?;
        // It stays in memory for as long as the function, whether anybody calls it or not.
        let size = image.size();
        if size > PROGRAM_IMAGE_BYTES {
            let message = format!(
                "at the end of its top level the program has {size} bytes in memory; it can have {PROGRAM_IMAGE_BYTES}. \
                 Make what is large in the handler, or in the database"
            );
            return Err(Error::new(Code::InvalidSource, message));
        }
        let memory = Some(self.resources.memory.share(size).ok_or_else(no_memory)?);
        let linked = spawn_blocking(move || engine.link(&image)).await.map_err(Error::internal)?;
        let linked = linked.map_err(Error::internal)?;
        Ok((Arc::new(Linked { program: Some(Arc::new(bundle.for_stacks())), memory, ..linked }), packages))
    }

    /// A source as a component of its own, evaluated as a new function of the default app.
    pub async fn standalone(&self, source: Source) -> Result<Vec<u8>, Error> {
        // It goes into a file: nothing of this host may be in it.
        let settings = &Settings { allow_env: false, ..Settings::default() };
        let variables = &Changes::new();
        let owner = Owner { app: &AppName::default_app(), function: None, settings, variables };
        let recipe = Recipe { source, packages: LockedPackages::new() };
        let evaluated = self.evaluate(owner, recipe, PackageVersions::Keep, image::encode).await?;
        javy_shim::standalone::component(&evaluated.image).map_err(Error::internal)
    }

    async fn evaluate<T>(
        &self,
        owner: Owner<'_>,
        recipe: Recipe,
        versions: PackageVersions,
        take: fn(&[u8]) -> T,
    ) -> Result<Evaluated<T>, Error> {
        let (bundle, packages) = timeout(PACKAGES_TIME, self.bundle(recipe, versions)).await.map_err(|_| {
            let seconds = PACKAGES_TIME.as_secs();
            Error::new(
                Code::RegistryUnavailable,
                format!("fetching the packages took more than {seconds} seconds; try again"),
            )
        })??;
        let engine = self.engine().await?;
        let image = self.image(&engine, owner, &bundle, take).await?;
        Ok(Evaluated { engine, image, bundle, packages })
    }

    async fn bundle(&self, recipe: Recipe, versions: PackageVersions) -> Result<(Bundle, LockedPackages), Error> {
        let npm = self.npm.clone();
        let begin = move || {
            let Recipe { source, packages } = recipe;
            let packages = Resolution::new(npm, &source, &packages, versions);
            Bundler::new(source, PLATFORM).map(|bundler| Work { bundler, packages })
        };
        let begun = spawn_blocking(begin).await.map_err(Error::internal)?;
        let mut work = begun.map_err(|diagnostics| refusal(Code::InvalidSource, &diagnostics))?;
        loop {
            let turn = self.turns.acquire().await.map_err(Error::internal)?;
            let step = spawn_blocking(move || {
                let progress = work.bundler.advance(&work.packages);
                (work, progress)
            });
            let (left, progress) = step.await.map_err(Error::internal)?;
            drop(turn);
            work = left;
            match progress {
                Ok(Progress::Complete) => break,
                Ok(Progress::Waiting) => work.packages.supply().await,
                Err(diagnostics) if work.packages.is_short() => {
                    return Err(refusal(Code::RegistryUnavailable, &diagnostics));
                }
                Err(diagnostics) => return Err(refusal(Code::InvalidSource, &diagnostics)),
            }
        }
        let Work { bundler, packages } = work;
        let bundle = spawn_blocking(move || bundler.finish()).await.map_err(Error::internal)?;
        let packages = packages.lock();
        tracing::debug!(
            modules = bundle.modules.len(),
            bytes = bundle.modules.iter().map(|module| module.code.len()).sum::<usize>(),
            packages = packages.len(),
            "bundled"
        );
        Ok((bundle, packages))
    }

    async fn image<T>(
        &self,
        engine: &ScriptEngine,
        owner: Owner<'_>,
        bundle: &Bundle,
        take: fn(&[u8]) -> T,
    ) -> Result<T, Error> {
        let Owner { app, function, settings, variables } = owner;
        let _place = self.evaluations.enter(app).await?;
        let time = PROGRAM_START_TIME.min(Duration::from_secs(settings.timeout_seconds.into()));
        let deadline = Instant::now() + time;
        let environment = self.resources.environment(app, function, settings, variables).await?;
        let log = LogCapture::of_a_console(environment.clone(), None);
        // Nothing is answered at top level.
        let (responder, _) = Responder::new(SentResponse::default());
        let occasion = Occasion {
            deadline,
            environment,
            wasi_environment: false,
            user: None,
            caller: Caller::service(),
            log: log.clone(),
            responder,
            files: None,
            siblings: None,
            trace: None,
        };
        let parts = self.resources.parts(app, settings, occasion);
        let image = engine.evaluate(program(bundle), parts, Limits::from(settings), deadline.into(), take).await;
        image.map_err(|failure| match failure.code {
            // No fault of the program.
            Code::Overloaded => Error::new(failure.code, format!("{}; try again later", failure.message)),
            _ => explain(failure.redacted(&log), bundle, &log),
        })
    }
}

/// What a client is told about a source of which no bundle can be made.
fn refusal(code: Code, diagnostics: &Diagnostics) -> Error {
    let first = diagnostics.as_slice().first().map(|first| {
        let Position { line, column } = first.position;
        format!("{}:{line}:{column}: {}", first.file, first.message)
    });
    Error::new(code, first.unwrap_or_default()).with_details(diagnostics)
}

fn program(bundle: &Bundle) -> Program<'_> {
    let modules = bundle.modules.iter().map(|module| ProgramModule {
        name: &module.name,
        code: &module.code,
        imports: module.imports.iter().map(|(specifier, target)| (specifier.as_str(), target.as_str())).collect(),
    });
    Program { entry: &bundle.entry, modules: modules.collect() }
}

/// What a client is told about a program that failed at top level.
#[derive(Serialize)]
struct TopLevelFailure {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    place: Option<crate::js::sourcemap::Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    logs: String,
}

fn explain(failure: Failure, bundle: &Bundle, log: &LogCapture) -> Error {
    // Other failures have the frames of the engine itself, which say nothing to the author.
    let stack = failure.stack.as_deref().filter(|_| failure.code == Code::FunctionError);
    let mapped = stack.map(|stack| bundle.map_stack(stack));
    let named = mapped.as_ref().and_then(|mapped| bundle.name_callee(&failure.message, mapped));
    let stack = mapped.as_ref().map(|mapped| retitled(&mapped.text, &failure.message, named.as_deref()));
    let told = named.unwrap_or(failure.message);
    let place = mapped.as_ref().and_then(|mapped| mapped.top.clone());
    let at = place.as_ref().map(|place| format!("{}:{}:{}: ", place.file, place.position.line, place.position.column));
    let message = format!("{}{told}", at.unwrap_or_else(|| "top level: ".to_owned()));
    let details = TopLevelFailure {
        message: told,
        stack,
        place,
        frame: mapped.and_then(|mapped| mapped.frame),
        logs: placed(&log.take().text, bundle),
    };
    Error::new(Code::InvalidSource, message).with_details(&[details])
}

/// A log with the stacks in it in the lines of the author.
fn placed(log: &str, bundle: &Bundle) -> String {
    let lines = log.lines().map(|line| bundle.in_lines_of_author(line).unwrap_or_else(|| line.to_owned()));
    lines.collect::<Vec<_>>().join("\n")
}

/// A stack that begins with another message.
fn retitled(stack: &str, message: &str, better: Option<&str>) -> String {
    match better.and_then(|better| Some((better, stack.strip_prefix(message)?))) {
        Some((better, frames)) => format!("{better}{frames}"),
        None => stack.to_owned(),
    }
}

/// Turns the stack of a failed request into the author's lines, with a code frame.
pub fn map_failure(failure: Failure, linked: &Linked) -> Failure {
    let (Some(program), Some(stack)) = (&linked.program, &failure.stack) else { return failure };
    let mapped = program.map_stack(stack);
    let message = program.name_callee(&failure.message, &mapped);
    let text = retitled(&mapped.text, &failure.message, message.as_deref());
    let stack = match mapped.frame {
        Some(frame) => format!("{text}\n{frame}"),
        None => text,
    };
    Failure { stack: Some(stack), message: message.unwrap_or(failure.message), ..failure }
}
