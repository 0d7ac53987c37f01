//! One file: from its text to JavaScript that QuickJS runs, its imports, and a source map.
//!
//! TypeScript loses its types, enums and namespaces become objects, JSX becomes calls, decorators become calls too (with the
//! meaning of TypeScript's `experimentalDecorators`). Everything else stays: QuickJS-ng knows the rest of ECMAScript 2025.

use std::collections::BTreeSet;
use std::path::Path;

use oxc::allocator::Allocator;
use oxc::ast::ast::{
    Argument, CallExpression, ExportAllDeclaration, ExportFromDeclaration, Expression, ImportDeclaration,
    ImportDeclarationSpecifier, ImportExpression, ModuleDeclaration, Program, Statement, StringLiteral,
    TSModuleReference,
};
use oxc::ast_visit::{Visit, walk};
use oxc::codegen::{Codegen, CodegenOptions, CommentOptions};
use oxc::diagnostics::{Diagnostics, OxcDiagnostic};
use oxc::parser::{ParseOptions, Parser};
use oxc::semantic::{Scoping, SemanticBuilder};
use oxc::span::{GetSpan, SourceType, Span};
use oxc::transformer::{HelperLoaderOptions, JsxOptions, JsxRuntime, TransformOptions, Transformer};
use oxc_sourcemap::SourceMap;

use super::Platform;
use super::commonjs::{self, ExportNames};
use super::diagnostic::Finding;
use super::nesting::{self, Unparsable, with_stack_for};
use super::{globals, source};

/// The specifiers that decorators are compiled to begin with this.
pub(super) const HELPERS: &str = "caddis:toolchain";

/// How JSX is compiled where a file does not say so itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Jsx {
    /// `jsx()` from `react/jsx-runtime`.
    #[default]
    Automatic,
    /// The same from another package.
    From(String),
    /// Calls of these two.
    Classic { factory: Option<String>, fragment: Option<String> },
}

/// Where a text comes from, which decides how strictly it is checked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'a> {
    /// Written by the author of the function: everything wrong is said.
    Author { platform: Platform<'a>, jsx: &'a Jsx },
    /// Published JavaScript: it is taken as it is.
    Package,
}

/// A text to transpile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    pub(super) origin: Origin<'a>,
    /// Whether async functions become generators, whose awaits are calls of `then` that others can see.
    pub(super) lowers_async: bool,
}

/// How a module asks for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// `import`, `export … from`.
    Static,
    /// `import("…")`.
    Dynamic,
    /// `require("…")`.
    Require,
}

/// A module that another asks for.
#[derive(Debug, Clone)]
pub(super) struct Import {
    pub(super) specifier: String,
    pub(super) syntax: Syntax,
    /// The names it wants, without `default`.
    pub(super) names: BTreeSet<String>,
    /// Where the specifier is in the text, in bytes; 0 for what the compiler added.
    pub(super) offset: usize,
    pub(super) length: usize,
}

/// What a text has become.
#[derive(Debug)]
pub(super) struct Transpiled {
    pub(super) code: String,
    /// From `code` to the text; `None` when they are the same.
    pub(super) map: Option<SourceMap<'static>>,
    pub(super) imports: Vec<Import>,
    /// What it exports, for a CommonJS module.
    pub(super) commonjs: Option<ExportNames>,
}

/// Transpiles a text.
pub(super) fn transpile(input: Input<'_>) -> Result<Transpiled, Vec<Finding>> {
    if source::extension(input.name) == Some("json") {
        return json(input.text).map_err(|finding| vec![finding]);
    }
    with_stack_for(input.text, || transpile_script(input)).unwrap_or_else(|why| Err(vec![unparsable(why)]))
}

fn unparsable(why: Unparsable) -> Finding {
    match why {
        Unparsable::TooLong => Finding::new(format!("The file has more than {} tokens", nesting::MAX_TOKENS), 0, 1)
            .hint("Split it, or keep data in a .json file"),
        Unparsable::TooDeep(offset) => {
            Finding::new(format!("More than {} brackets are open at once", nesting::MAX_OPEN_BRACKETS), offset, 1)
        }
        Unparsable::NoStack => Finding::new("The host has too little memory to parse the file", 0, 1),
    }
}

/// A JSON file as a module. It is parsed at run time, not read as JavaScript: `__proto__` is an ordinary key in JSON.
fn json(text: &str) -> Result<Transpiled, Finding> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        let offset = line_start + error.column().saturating_sub(1);
        return Err(Finding::new(format!("This is not JSON: {message}"), offset, 1));
    }
    let literal = serde_json::Value::from(text).to_string();
    let code = format!("export default JSON.parse({literal});\n");
    Ok(Transpiled { code, map: None, imports: Vec::new(), commonjs: None })
}

fn source_type(input: Input<'_>) -> SourceType {
    match (source::extension(input.name), input.origin) {
        (Some("tsx"), _) => SourceType::tsx(),
        (Some("ts" | "mts"), _) => SourceType::ts(),
        (Some("cts"), _) => SourceType::ts().with_script(true),
        (Some("cjs"), _) => SourceType::cjs(),
        (Some("mjs"), _) => SourceType::mjs(),
        (_, Origin::Author { .. }) => SourceType::jsx(),
        (_, Origin::Package) => SourceType::unambiguous(),
    }
}

fn transpile_script(input: Input<'_>) -> Result<Transpiled, Vec<Finding>> {
    let allocator = Allocator::default();
    let options = ParseOptions {
        allow_return_outside_function: matches!(input.origin, Origin::Package),
        ..ParseOptions::default()
    };
    let parsed = Parser::new(&allocator, input.text, source_type(input)).with_options(options).parse();
    refuse(parsed.diagnostics)?;
    let is_module = parsed.module_record.has_module_syntax;
    match input.origin {
        Origin::Author { platform, jsx } => author(&allocator, parsed.program, input, is_module, platform, jsx),
        Origin::Package => package(&allocator, parsed.program, input, is_module),
    }
}

fn author<'a>(
    allocator: &'a Allocator,
    mut program: Program<'a>,
    input: Input<'_>,
    is_module: bool,
    platform: Platform<'_>,
    jsx: &Jsx,
) -> Result<Transpiled, Vec<Finding>> {
    let analysed = SemanticBuilder::new_compiler().with_excess_capacity(2.0).with_enum_eval(true).build(&program);
    refuse(analysed.diagnostics)?;
    let scoping = analysed.semantic.into_scoping();
    let absent = globals::find_absent(&program, &scoping, platform.absent_globals);
    if !absent.is_empty() {
        return Err(absent);
    }
    let commonjs = match typescript_commonjs(&program)? {
        true => Some(commonjs::find_exports(&program)),
        false => exports_of(&program, &scoping, is_module),
    };
    if input.lowers_async && commonjs.is_some() {
        // Helpers are required then, and not imported.
        program.source_type = program.source_type.with_script(true);
    }
    let transformed = Transformer::new(allocator, Path::new(input.name), &transform_options(jsx, input.lowers_async))
        .build_with_scoping(scoping, &mut program);
    refuse(transformed.diagnostics)?;
    drop_attributes(&mut program);
    let (imports, mut findings) = Imports::collect(&program, &transformed.scoping, commonjs.is_some());
    if commonjs.is_some() && imports.iter().any(|import| import.syntax == Syntax::Static) {
        findings.push(
            Finding::new("A file with require or module.exports cannot have JSX or decorators", 0, 1)
                .hint("Use import and export instead"),
        );
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    let (code, map) = print(&program, input.name);
    Ok(Transpiled { code, map, imports, commonjs })
}

fn print(program: &Program<'_>, name: &str) -> (String, Option<SourceMap<'static>>) {
    let options = CodegenOptions {
        comments: CommentOptions::disabled(),
        source_map_path: Some(Path::new(name).to_owned()),
        ..CodegenOptions::default()
    };
    let printed = Codegen::new().with_options(options).build(program);
    let map = printed.map.map(|mut map| {
        // The bundle keeps the text already.
        map.set_source_contents(Vec::new());
        map.into_owned()
    });
    (printed.code, map)
}

fn package<'a>(
    allocator: &'a Allocator,
    mut program: Program<'a>,
    input: Input<'_>,
    is_module: bool,
) -> Result<Transpiled, Vec<Finding>> {
    let scoping = SemanticBuilder::new().build(&program).semantic.into_scoping();
    // What has no word of either kind is a script for Node as well, whose `this` is its exports.
    let commonjs = (!is_module && !program.source_type.is_module()).then(|| commonjs::find_exports(&program));
    // A computed `require` is common in code that never runs; where it runs, it throws.
    let imports = |program: &Program<'_>, scoping| Imports::collect(program, scoping, commonjs.is_some()).0;
    if !input.lowers_async {
        let imports = imports(&program, &scoping);
        return Ok(Transpiled { code: input.text.to_owned(), map: None, imports, commonjs });
    }
    let options = transform_options(&Jsx::default(), true);
    let transformed =
        Transformer::new(allocator, Path::new(input.name), &options).build_with_scoping(scoping, &mut program);
    refuse(transformed.diagnostics)?;
    let imports = imports(&program, &transformed.scoping);
    let (code, map) = print(&program, input.name);
    Ok(Transpiled { code, map, imports, commonjs })
}

/// Whether a file has `export =` or `import x = require()`, which make it CommonJS.
fn typescript_commonjs(program: &Program<'_>) -> Result<bool, Vec<Finding>> {
    let assignment = program.body.iter().find(|statement| match statement {
        Statement::TSExportAssignment(_) => true,
        Statement::TSImportEqualsDeclaration(import) => {
            matches!(import.module_reference, TSModuleReference::ExternalModuleReference(_))
                && !import.import_kind.is_type()
        }
        _ => false,
    });
    let Some(assignment) = assignment else { return Ok(false) };
    let span = assignment.span();
    let mixed = program.body.iter().any(|statement| {
        statement
            .as_module_declaration()
            .is_some_and(|declaration| !matches!(declaration, ModuleDeclaration::TSExportAssignment(_)))
    });
    if mixed {
        let finding = Finding::new(
            "`export =` and `import … = require()` cannot stand next to import and export",
            span.start as usize,
            span.size() as usize,
        );
        return Err(vec![finding.hint("Use `export default` and `import … from`")]);
    }
    Ok(true)
}

fn exports_of(program: &Program<'_>, scoping: &Scoping, is_module: bool) -> Option<ExportNames> {
    let free = scoping.root_unresolved_references();
    let uses_commonjs = ["module", "exports", "require"].iter().any(|name| free.contains_key(*name));
    (!is_module && uses_commonjs).then(|| commonjs::find_exports(program))
}

fn transform_options(jsx: &Jsx, lowers_async: bool) -> TransformOptions {
    let mut options = TransformOptions::default();
    options.env.es2017.async_to_generator = lowers_async;
    options.env.es2018.async_generator_functions = lowers_async;
    options.decorator.legacy = true;
    options.helper_loader = HelperLoaderOptions { module_name: HELPERS.into(), ..HelperLoaderOptions::default() };
    options.jsx = match jsx {
        Jsx::Automatic => JsxOptions::enable(),
        Jsx::From(package) => JsxOptions { import_source: Some(package.clone()), ..JsxOptions::enable() },
        Jsx::Classic { factory, fragment } => JsxOptions {
            runtime: JsxRuntime::Classic,
            pragma: factory.clone(),
            pragma_frag: fragment.clone(),
            ..JsxOptions::enable()
        },
    };
    if let Jsx::Classic { factory: Some(factory), .. } = jsx {
        options.typescript.jsx_pragma = factory.clone().into();
    }
    if let Jsx::Classic { fragment: Some(fragment), .. } = jsx {
        options.typescript.jsx_pragma_frag = fragment.clone().into();
    }
    options
}

/// `with { type: "json" }` has done its work when the file has become a module.
fn drop_attributes(program: &mut Program<'_>) {
    for statement in &mut program.body {
        match statement {
            Statement::ImportDeclaration(import) => import.with_clause = None,
            Statement::ExportFromDeclaration(export) => export.with_clause = None,
            Statement::ExportAllDeclaration(export) => export.with_clause = None,
            _ => {}
        }
    }
}

/// Continues only without errors.
fn refuse(diagnostics: Diagnostics) -> Result<(), Vec<Finding>> {
    let findings: Vec<Finding> = diagnostics.errors().map(to_finding).collect();
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

fn to_finding(diagnostic: &OxcDiagnostic) -> Finding {
    let span = diagnostic.labels.first().map_or(Span::new(0, 1), |label| label.span());
    let finding = Finding::new(diagnostic.message.to_string(), span.start as usize, span.size() as usize);
    match &diagnostic.help {
        Some(help) => finding.hint(help.to_string()),
        None => finding,
    }
}

/// Gathers what a module asks for.
struct Imports<'s> {
    scoping: &'s Scoping,
    with_require: bool,
    imports: Vec<Import>,
    findings: Vec<Finding>,
}

impl<'s> Imports<'s> {
    fn collect(program: &Program<'_>, scoping: &'s Scoping, with_require: bool) -> (Vec<Import>, Vec<Finding>) {
        let mut visitor = Self { scoping, with_require, imports: Vec::new(), findings: Vec::new() };
        visitor.visit_program(program);
        (visitor.imports, visitor.findings)
    }

    fn add(&mut self, literal: &StringLiteral<'_>, syntax: Syntax, names: BTreeSet<String>) {
        let span = literal.span;
        let (offset, length) = (span.start as usize, span.size() as usize);
        self.imports.push(Import { specifier: literal.value.to_string(), syntax, names, offset, length });
    }
}

impl<'a> Visit<'a> for Imports<'_> {
    fn visit_import_declaration(&mut self, import: &ImportDeclaration<'a>) {
        if import.import_kind.is_type() {
            return;
        }
        let specifiers = import.specifiers.iter().flatten();
        let names = specifiers.filter_map(|specifier| match specifier {
            ImportDeclarationSpecifier::ImportSpecifier(named) => Some(named.imported.name().to_string()),
            _ => None,
        });
        let names = names.filter(|name| name != "default").collect();
        self.add(&import.source, Syntax::Static, names);
    }

    fn visit_export_from_declaration(&mut self, export: &ExportFromDeclaration<'a>) {
        if export.export_kind.is_type() {
            return;
        }
        let names = export.specifiers.iter().map(|specifier| specifier.local.name().to_string());
        self.add(&export.source, Syntax::Static, names.filter(|name| name != "default").collect());
    }

    fn visit_export_all_declaration(&mut self, export: &ExportAllDeclaration<'a>) {
        if !export.export_kind.is_type() {
            self.add(&export.source, Syntax::Static, BTreeSet::new());
        }
    }

    fn visit_import_expression(&mut self, import: &ImportExpression<'a>) {
        // One that is computed may name a module of the program; the engine finds it, or throws.
        if let Expression::StringLiteral(literal) = &import.source {
            self.add(literal, Syntax::Dynamic, BTreeSet::new());
        }
        walk::walk_import_expression(self, import);
    }

    fn visit_call_expression(&mut self, call: &CallExpression<'a>) {
        if self.with_require && is_free_require(call, self.scoping) {
            match call.arguments.first() {
                Some(Argument::StringLiteral(literal)) => self.add(literal, Syntax::Require, BTreeSet::new()),
                _ => self.findings.push(
                    Finding::new(
                        "The argument of require() must be a string",
                        call.span().start as usize,
                        call.span().size() as usize,
                    )
                    .hint("What a function loads is decided when it is deployed"),
                ),
            }
        }
        walk::walk_call_expression(self, call);
    }
}

fn is_free_require(call: &CallExpression<'_>, scoping: &Scoping) -> bool {
    let Expression::Identifier(callee) = &call.callee else { return false };
    callee.name == "require"
        && callee.reference_id.get().is_none_or(|id| scoping.get_reference(id).symbol_id().is_none())
}
