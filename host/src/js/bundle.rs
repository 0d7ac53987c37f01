//! A function's source as the modules an engine evaluates.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::OnceLock;

use oxc_sourcemap::{ConcatSourceMapBuilder, SourceMap};

use super::commonjs::{self, Required};
use super::diagnostic::{Collector, Diagnostics, Finding};
use super::import_map::Configuration;
use super::nesting::with_bundle_stack;
use super::node;
use super::packages::Packages;
use super::resolve::{Place, Resolved, Resolver, Unresolved};
use super::source::Source;
use super::toolchain::{self, EMPTY};
use super::transpile::{HELPERS, Import, Input, Origin, Syntax, Transpiled, transpile};
use super::{GLOBALS, Platform};

/// The most modules of one bundle, packages included.
pub const MAX_MODULES: usize = 4_000;

/// The most text of all modules of one bundle, in bytes.
pub const MAX_MODULE_BYTES: usize = 24 << 20;

/// A function's modules, complete but for those the engine has.
#[derive(Debug)]
pub struct Bundle {
    /// The name of the module to evaluate; one of `modules`.
    pub entry: String,
    /// In the order of their names.
    pub modules: Vec<Module>,
}

/// An ES module.
#[derive(Debug)]
pub struct Module {
    /// How stack traces and other modules call it. A file of the function has its path, without any colon.
    pub name: String,
    /// ECMAScript module text for QuickJS-ng.
    pub code: String,
    /// What each specifier in `code` stands for: a module of the bundle, or one the engine has (`node:…`, `caddis:std/…`).
    pub imports: BTreeMap<String, String>,
    /// Who wrote it.
    pub author: Author,
    /// What its author wrote.
    pub(super) text: String,
    /// From `code` to `text`, a token at a time.
    pub(super) map: Option<SourceMap<'static>>,
    /// Lines of `code` before the first of `text`, where `map` is `None`.
    pub(super) header_lines: u32,
    /// Where the lines of `code` begin, once somebody has asked.
    pub(super) line_starts: OnceLock<Vec<usize>>,
}

/// Who wrote a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// The author of the function.
    Function,
    /// The author of a package.
    Package,
    /// The toolchain.
    Toolchain,
}

impl Module {
    /// The source map as JSON (version 3), for tools. `None` where the code is its author's, line for line.
    pub fn source_map(&self) -> Option<String> {
        self.map.as_ref().map(|map| map.to_json_string())
    }

    fn generated(name: &str, code: String) -> Self {
        Self {
            name: name.to_owned(),
            code,
            imports: BTreeMap::new(),
            author: Author::Toolchain,
            text: String::new(),
            map: None,
            header_lines: 0,
            line_starts: OnceLock::new(),
        }
    }

    fn importing(mut self, name: &str) -> Self {
        self.imports.insert(name.to_owned(), name.to_owned());
        self
    }
}

/// Makes modules of a function's source, where every package is at hand.
pub fn bundle(source: &Source, platform: Platform<'static>, packages: &dyn Packages) -> Result<Bundle, Diagnostics> {
    let mut bundler = Bundler::new(source.clone(), platform)?;
    match bundler.advance(packages)? {
        Progress::Complete => Ok(bundler.finish()),
        Progress::Waiting => {
            let finding = Finding::new("The packages of the function are not at hand", 0, 1);
            Err(Diagnostics::single(source.entry().as_str(), "", finding))
        }
    }
}

/// Makes modules of a function's source, as far as its packages are at hand, and goes on when more of them are.
pub struct Bundler {
    source: Source,
    platform: Platform<'static>,
    configuration: Configuration,
    graph: Graph,
}

/// How far a bundler has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All modules are there.
    Complete,
    /// The source of packages has noted down what is needed to go on.
    Waiting,
}

impl Bundler {
    /// Begins with the entry. Errors: a configuration file of the function cannot be read.
    pub fn new(source: Source, platform: Platform<'static>) -> Result<Self, Diagnostics> {
        let configuration = Configuration::read(&source).map_err(|broken| {
            Diagnostics::single(&broken.path, source.text(&broken.path).unwrap_or_default(), broken.finding)
        })?;
        let graph = Graph::of(source.entry().as_str());
        Ok(Self { source, platform, configuration, graph })
    }

    /// Works on the calling thread's time: milliseconds for a function, more with large packages; call it where blocking is
    /// allowed.
    pub fn advance(&mut self, packages: &dyn Packages) -> Result<Progress, Diagnostics> {
        let Self { source, platform, configuration, graph } = self;
        let resolver = Resolver { source, configuration, packages, platform: *platform };
        with_bundle_stack(|| graph.load(&resolver)).unwrap_or_else(|| {
            let finding = Finding::new("The host has too little memory to parse the function", 0, 1);
            Err(Diagnostics::single(source.entry().as_str(), "", finding))
        })
    }

    /// The modules, once they are complete.
    pub fn finish(self) -> Bundle {
        self.graph.link(self.source.entry().as_str())
    }
}

/// The modules that were reached, before they are linked.
struct Graph {
    loaded: BTreeMap<String, Loaded>,
    bytes: usize,
    /// Whether one of them may use the global `Buffer`.
    has_buffer: bool,
    /// Reached, but not loaded.
    queue: VecDeque<Place>,
    /// Imports that could not be resolved yet.
    waiting: Vec<(Place, Import)>,
}

struct Loaded {
    text: String,
    author: Author,
    transpiled: Transpiled,
    /// What each specifier stands for, by how it is asked for: `require` and `import` may differ.
    targets: BTreeMap<(String, bool), Target>,
}

/// What a specifier stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Loaded(String),
    Builtin(String),
    /// A module of Node that is not there; its name.
    Absent(String),
    Empty,
}

impl Graph {
    fn of(entry: &str) -> Self {
        let queue = VecDeque::from([Place::File(entry.to_owned())]);
        Self { loaded: BTreeMap::new(), bytes: 0, has_buffer: false, queue, waiting: Vec::new() }
    }

    /// Loads all that the entry reaches.
    fn load(&mut self, resolver: &Resolver<'_>) -> Result<Progress, Diagnostics> {
        let mut found = Collector::default();
        for (place, import) in std::mem::take(&mut self.waiting) {
            self.resolve(&place, &import, resolver, &mut found);
        }
        while let Some(place) = self.queue.pop_front() {
            if !self.loaded.contains_key(&place.name()) && !found.is_full() {
                self.load_one(&place, resolver, &mut found)?;
            }
        }
        let complete = self.waiting.is_empty();
        if complete && self.loaded.contains_key(node::ASYNC_CONTEXT) {
            self.lower_async(resolver, &mut found);
        }
        found.finish()?;
        Ok(if complete { Progress::Complete } else { Progress::Waiting })
    }

    /// Turns all async functions into generators: see `node:internal/async-context`.
    fn lower_async(&mut self, resolver: &Resolver<'_>, found: &mut Collector) {
        for (name, loaded) in self.loaded.iter_mut().filter(|(_, loaded)| loaded.text.contains("async")) {
            let origin = origin(loaded.author, resolver);
            match transpile(Input { name, text: &loaded.text, origin, lowers_async: true }) {
                Ok(transpiled) => loaded.transpiled = transpiled,
                Err(findings) => found.add(name, &loaded.text, findings),
            }
            let helpers = loaded.transpiled.imports.iter().filter(|import| import.specifier.starts_with(HELPERS));
            loaded.targets.extend(helpers.map(|helper| {
                let key = (helper.specifier.clone(), helper.syntax == Syntax::Require);
                (key, Target::Builtin(helper.specifier.clone()))
            }));
        }
    }

    fn load_one(&mut self, place: &Place, resolver: &Resolver<'_>, found: &mut Collector) -> Result<(), Diagnostics> {
        let name = place.name();
        let (text, author) = match place {
            Place::File(path) => (resolver.source.text(path).unwrap_or_default().to_owned(), Author::Function),
            Place::Package { package, path } => {
                (resolver.packages.read(package, path).unwrap_or_default(), Author::Package)
            }
            Place::Node(name) => {
                (resolver.platform.node_module_text(name).unwrap_or_default().to_owned(), Author::Toolchain)
            }
        };
        if !self.has_buffer && author != Author::Toolchain && node::mentions_buffer(&text) {
            self.has_buffer = true;
            self.queue.push_back(Place::Node("buffer".to_owned()));
        }
        self.bytes += text.len();
        if self.loaded.len() >= MAX_MODULES || self.bytes > MAX_MODULE_BYTES {
            let message =
                format!("The function with its packages is over {MAX_MODULES} modules or {MAX_MODULE_BYTES} bytes");
            return Err(Diagnostics::single(&name, &text, Finding::new(message, 0, 1)));
        }
        let origin = origin(author, resolver);
        match transpile(Input { name: &name, text: &text, origin, lowers_async: false }) {
            Ok(transpiled) => {
                let imports = transpiled.imports.clone();
                self.loaded.insert(name, Loaded { text, author, transpiled, targets: BTreeMap::new() });
                for import in &imports {
                    self.resolve(place, import, resolver, found);
                }
            }
            Err(findings) => found.add(&name, &text, findings),
        }
        Ok(())
    }

    /// Finds out what an import of a loaded module stands for.
    fn resolve(&mut self, place: &Place, import: &Import, resolver: &Resolver<'_>, found: &mut Collector) {
        let name = place.name();
        let Some(importer) = self.loaded.get_mut(&name) else { return };
        let key = (import.specifier.clone(), import.syntax == Syntax::Require);
        if importer.targets.contains_key(&key) {
            return;
        }
        let target = match resolver.resolve(import, place) {
            Ok(Resolved::Place(place)) => {
                let name = place.name();
                match place {
                    // What the function asks for itself is known before its packages ask.
                    Place::File(_) => self.queue.push_front(place),
                    Place::Package { .. } | Place::Node(_) => self.queue.push_back(place),
                }
                Target::Loaded(name)
            }
            Ok(Resolved::Builtin(name)) => Target::Builtin(name),
            Ok(Resolved::Empty) => Target::Empty,
            Err(Unresolved::Wanted) => return self.waiting.push((place.clone(), import.clone())),
            // A package tries for what it can do without; if it cannot, it throws when it runs. Many that require a module of Node never use
            // it here: that one throws when it is used.
            Err(Unresolved::Meaningless(_))
                if importer.author == Author::Package && import.syntax != Syntax::Static =>
            {
                match node::required(&import.specifier) {
                    Some(name) if import.syntax == Syntax::Require => Target::Absent(name.to_owned()),
                    _ => return,
                }
            }
            Err(Unresolved::Meaningless(finding) | Unresolved::Unavailable(finding)) => {
                return found.add(&name, &importer.text, [finding]);
            }
        };
        importer.targets.insert(key, target);
    }

    fn is_commonjs(&self, name: &str) -> bool {
        self.loaded.get(name).is_some_and(|loaded| loaded.transpiled.commonjs.is_some())
    }

    /// Turns what was loaded into modules.
    fn link(self, entry: &str) -> Bundle {
        let wanted = self.wanted_of_commonjs(entry);
        let missed = self.wanted_of_nothing();
        let globals = toolchain::globals(self.loaded.contains_key(node::ASYNC_CONTEXT), self.has_buffer);
        let mut modules: Vec<Module> = Vec::new();
        let mut extra: BTreeSet<String> = BTreeSet::new();
        for (name, names) in &wanted {
            let mut exported = BTreeSet::new();
            self.exported_names(name, &mut exported, &mut BTreeSet::new());
            exported.extend(names.iter().cloned());
            let facade = Module::generated(&commonjs::facade_name(name), commonjs::facade(name, &exported));
            modules.push(facade.importing(name));
        }
        let entry = if self.is_commonjs(entry) { commonjs::facade_name(entry) } else { entry.to_owned() };
        let commonjs: BTreeSet<String> = self.loaded.keys().filter(|name| self.is_commonjs(name)).cloned().collect();
        for (name, loaded) in self.loaded {
            let module = if commonjs.contains(&name) {
                extra.insert(commonjs::RUNTIME.to_owned());
                definition(name, loaded, &commonjs)
            } else {
                ordinary(name, loaded, &commonjs)
            };
            extra.extend(module.imports.values().filter(|target| target.starts_with(HELPERS)).cloned());
            modules.push(module);
        }
        modules.extend(missed.map(|names| Module::generated(EMPTY, toolchain::empty_code(&names))));
        modules.extend(globals.map(|(code, imports)| {
            imports.into_iter().fold(Module::generated(GLOBALS, code), |module, import| module.importing(import))
        }));
        modules.extend(
            extra.iter().filter_map(|name| toolchain::code(name).map(|code| Module::generated(name, code.to_owned()))),
        );
        modules.sort_by(|a, b| a.name.cmp(&b.name));
        Bundle { entry, modules }
    }

    /// The CommonJS modules that ES modules import, with the names they want of them.
    fn wanted_of_commonjs(&self, entry: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        if self.is_commonjs(entry) {
            wanted.insert(entry.to_owned(), BTreeSet::new());
        }
        for loaded in self.loaded.values() {
            for import in loaded.transpiled.imports.iter().filter(|import| import.syntax != Syntax::Require) {
                match loaded.targets.get(&(import.specifier.clone(), false)) {
                    Some(Target::Loaded(name)) if self.is_commonjs(name) => {
                        wanted.entry(name.clone()).or_default().extend(import.names.iter().cloned());
                    }
                    _ => {}
                }
            }
        }
        wanted
    }

    /// The names that are imported from where there is nothing; `None` when nobody looks there.
    fn wanted_of_nothing(&self) -> Option<BTreeSet<String>> {
        let empty = |loaded: &Loaded, import: &Import| {
            let key = (import.specifier.clone(), import.syntax == Syntax::Require);
            loaded.targets.get(&key) == Some(&Target::Empty)
        };
        let imports = self
            .loaded
            .values()
            .flat_map(|loaded| loaded.transpiled.imports.iter().filter(move |import| empty(loaded, import)));
        imports.map(|import| import.names.clone()).reduce(|names, more| &names | &more)
    }

    /// What a CommonJS module exports, as far as it can be seen.
    fn exported_names(&self, name: &str, names: &mut BTreeSet<String>, seen: &mut BTreeSet<String>) {
        let mut queue = vec![name.to_owned()];
        while let Some(name) = queue.pop() {
            let Some(loaded) = self.loaded.get(&name) else { continue };
            let Some(exports) = &loaded.transpiled.commonjs else { continue };
            if !seen.insert(name) {
                continue;
            }
            names.extend(exports.names.iter().cloned());
            for specifier in &exports.passed_on {
                if let Some(Target::Loaded(name)) = loaded.targets.get(&(specifier.clone(), true)) {
                    queue.push(name.clone());
                }
            }
        }
    }
}

fn origin<'a>(author: Author, resolver: &'a Resolver<'_>) -> Origin<'a> {
    match author {
        Author::Function => Origin::Author { platform: resolver.platform, jsx: &resolver.configuration.jsx },
        Author::Package | Author::Toolchain => Origin::Package,
    }
}

/// An ES module, with its specifiers mapped.
fn ordinary(name: String, loaded: Loaded, commonjs: &BTreeSet<String>) -> Module {
    let imports = import_table(&loaded.targets, commonjs);
    let Loaded { text, author, transpiled, .. } = loaded;
    Module {
        name,
        code: transpiled.code,
        imports,
        author,
        text,
        map: transpiled.map,
        header_lines: 0,
        line_starts: OnceLock::new(),
    }
}

fn import_table(targets: &BTreeMap<(String, bool), Target>, commonjs: &BTreeSet<String>) -> BTreeMap<String, String> {
    let imported = targets.iter().filter(|((_, required), _)| !required);
    imported
        .filter_map(|((specifier, _), target)| {
            let name = match target {
                Target::Loaded(name) if commonjs.contains(name) => commonjs::facade_name(name),
                Target::Loaded(name) | Target::Builtin(name) => name.clone(),
                Target::Empty => EMPTY.to_owned(),
                Target::Absent(_) => return None,
            };
            Some((specifier.clone(), name))
        })
        .collect()
}

/// A CommonJS module as a definition.
fn definition(name: String, loaded: Loaded, commonjs: &BTreeSet<String>) -> Module {
    let required = loaded.targets.iter().filter(|((_, required), _)| *required);
    let requires: BTreeMap<String, (String, Required)> = required
        .map(|((specifier, _), target)| {
            let found = match target {
                Target::Loaded(name) if commonjs.contains(name) => (name.clone(), Required::Definition),
                Target::Loaded(name) if name.ends_with(".json") || name.starts_with("node:") => {
                    (name.clone(), Required::Default)
                }
                Target::Loaded(name) => (name.clone(), Required::Namespace),
                Target::Builtin(name) => (name.clone(), Required::Default),
                Target::Empty => (EMPTY.to_owned(), Required::Namespace),
                Target::Absent(name) => (name.clone(), Required::Absent),
            };
            (specifier.clone(), found)
        })
        .collect();
    let code = commonjs::definition(&name, &loaded.transpiled.code, &requires);
    let mut imports = import_table(&loaded.targets, commonjs);
    let required = requires.values().filter(|(_, required)| *required != Required::Absent);
    imports.extend(required.map(|(module, _)| (module.clone(), module.clone())));
    imports.insert(commonjs::RUNTIME.to_owned(), commonjs::RUNTIME.to_owned());
    let Loaded { text, author, transpiled, .. } = loaded;
    let map = transpiled.map.map(|map| {
        let mut shifted = ConcatSourceMapBuilder::default();
        shifted.add_sourcemap_owned(map, commonjs::HEADER_LINES);
        shifted.into_sourcemap()
    });
    Module {
        name,
        code,
        imports,
        author,
        text,
        map,
        header_lines: commonjs::HEADER_LINES,
        line_starts: OnceLock::new(),
    }
}
