//! CommonJS modules as ES modules.
//!
//! A CommonJS module becomes two. The *definition* has the module's own name and its code, in a function that runs when the
//! module is first required, so that cycles and conditional requires work as they do in Node. The *facade* runs it and
//! exports what it has exported; ES modules import that. The code is strict, as everything in an ES module is.

use std::collections::{BTreeMap, BTreeSet};

use oxc::ast::ast::{
    Argument, AssignmentExpression, AssignmentTarget, CallExpression, Expression, ObjectExpression, ObjectPropertyKind,
    Program, TSExportAssignment,
};
use oxc::ast_visit::{Visit, walk};
use oxc::syntax::identifier::is_identifier_name;

/// The module that definitions import.
pub(super) const RUNTIME: &str = "caddis:toolchain/commonjs";

/// Its code.
pub(super) const RUNTIME_CODE: &str = include_str!("commonjs.mjs");

/// The lines of a definition before the code of the module.
pub(super) const HEADER_LINES: u32 = 1;

/// What can be seen of the exports of a CommonJS module without running it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ExportNames {
    pub(super) names: BTreeSet<String>,
    /// The specifiers of modules whose exports it passes on.
    pub(super) passed_on: BTreeSet<String>,
}

/// What `require` of a specifier gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Required {
    /// The exports of another definition.
    Definition,
    /// The namespace of an ES module.
    Namespace,
    /// The default export of a JSON or built-in module.
    Default,
    /// What stands for a module of Node that is not there.
    Absent,
}

/// The name of the facade of a module.
pub(super) fn facade_name(name: &str) -> String {
    format!("{name}#exports")
}

/// The code of the definition. `requires`: specifier → module name and what it gives.
pub(super) fn definition(name: &str, code: &str, requires: &BTreeMap<String, (String, Required)>) -> String {
    let mut imports = String::new();
    let mut table = String::new();
    for (index, (specifier, (module, required))) in requires.iter().enumerate() {
        let (module, specifier) = (quote(module), quote(specifier));
        let (binding, load) = match required {
            Required::Definition => (format!("{{ __caddis_load as __caddis_{index} }}"), format!("__caddis_{index}")),
            Required::Namespace => {
                (format!("* as __caddis_{index}"), format!("() => __caddis_namespace(__caddis_{index})"))
            }
            Required::Default => {
                (format!("* as __caddis_{index}"), format!("() => __caddis_{index}.default ?? __caddis_{index}"))
            }
            Required::Absent => {
                table.push_str(&format!("{specifier}: () => __caddis_absent({module}), "));
                continue;
            }
        };
        imports.push_str(&format!("import {binding} from {module}; "));
        table.push_str(&format!("{specifier}: {load}, "));
    }
    let (file, directory) = (quote(&format!("/{name}")), quote(&format!("/{}", super::source::directory(name))));
    // A line with `#!` is only allowed at the very beginning.
    let code = code.strip_prefix("#!").map_or_else(|| code.to_owned(), |rest| format!("//{rest}"));
    format!(
        "import {{ __caddis_require, __caddis_namespace, __caddis_absent }} from {runtime}; {imports}var __caddis_module; \
         export function __caddis_load() {{ if (__caddis_module === undefined) {{ \
         const module = (__caddis_module = {{ exports: {{}}, id: {file}, filename: {file}, loaded: false }}); \
         try {{ __caddis_define.call(module.exports, module, module.exports, \
         __caddis_require({own}, {{ __proto__: null, {table}}}), {file}, {directory}); module.loaded = true; }} \
         catch (error) {{ __caddis_module = undefined; throw error; }} }} return __caddis_module.exports; }} \
         function __caddis_define(module, exports, require, __filename, __dirname) {{\n{code}\n}}\n",
        runtime = quote(RUNTIME),
        own = quote(name),
    )
}

/// The code of the facade.
pub(super) fn facade(name: &str, names: &BTreeSet<String>) -> String {
    let mut code = format!(
        "import {{ __caddis_load }} from {};\nconst module = __caddis_load();\n\
         export default module?.__esModule && \"default\" in module ? module.default : module;\n",
        quote(name)
    );
    let exported = names.iter().filter(|name| is_identifier_name(name) && *name != "default" && *name != "__esModule");
    for (index, export) in exported.enumerate() {
        code.push_str(&format!("const _{index} = module?.{export};\nexport {{ _{index} as {export} }};\n"));
    }
    code
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Finds the usual ways to export.
pub(super) fn find_exports(program: &Program<'_>) -> ExportNames {
    let mut exports = ExportNames::default();
    exports.visit_program(program);
    exports
}

impl<'a> Visit<'a> for ExportNames {
    fn visit_ts_export_assignment(&mut self, export: &TSExportAssignment<'a>) {
        self.add_whole(&export.expression);
        walk::walk_ts_export_assignment(self, export);
    }

    fn visit_assignment_expression(&mut self, assignment: &AssignmentExpression<'a>) {
        match &assignment.left {
            AssignmentTarget::StaticMemberExpression(member) if is_exports(&member.object) => {
                self.names.insert(member.property.name.to_string());
            }
            AssignmentTarget::StaticMemberExpression(member)
                if is_identifier(&member.object, "module") && member.property.name == "exports" =>
            {
                self.add_whole(&assignment.right);
            }
            AssignmentTarget::ComputedMemberExpression(member) if is_exports(&member.object) => {
                if let Expression::StringLiteral(name) = &member.expression {
                    self.names.insert(name.value.to_string());
                }
            }
            _ => {}
        }
        walk::walk_assignment_expression(self, assignment);
    }

    fn visit_call_expression(&mut self, call: &CallExpression<'a>) {
        match call.arguments.as_slice() {
            // Object.defineProperty(exports, "name", …)
            [target, Argument::StringLiteral(name), ..] if target.as_expression().is_some_and(is_exports) => {
                self.names.insert(name.value.to_string());
            }
            // __exportStar(require("…"), exports)
            [source, target, ..] if target.as_expression().is_some_and(is_exports) => {
                self.passed_on.extend(source.as_expression().and_then(required));
            }
            _ => {}
        }
        walk::walk_call_expression(self, call);
    }
}

impl ExportNames {
    /// `module.exports = …`
    fn add_whole(&mut self, value: &Expression<'_>) {
        match value {
            Expression::ObjectExpression(object) => self.add_object(object),
            other => self.passed_on.extend(required(other)),
        }
    }

    fn add_object(&mut self, object: &ObjectExpression<'_>) {
        for property in &object.properties {
            match property {
                ObjectPropertyKind::ObjectProperty(property) => {
                    self.names.extend(property.key.static_name().map(|name| name.to_string()));
                }
                ObjectPropertyKind::SpreadProperty(spread) => self.passed_on.extend(required(&spread.argument)),
            }
        }
    }
}

fn is_identifier(expression: &Expression<'_>, name: &str) -> bool {
    matches!(expression, Expression::Identifier(identifier) if identifier.name == name)
}

/// `exports` or `module.exports`.
fn is_exports(expression: &Expression<'_>) -> bool {
    match expression {
        Expression::StaticMemberExpression(member) => {
            is_identifier(&member.object, "module") && member.property.name == "exports"
        }
        other => is_identifier(other, "exports"),
    }
}

/// The specifier of a `require("…")`.
fn required(expression: &Expression<'_>) -> Option<String> {
    let Expression::CallExpression(call) = expression else { return None };
    match call.arguments.first() {
        Some(Argument::StringLiteral(specifier)) if is_identifier(&call.callee, "require") => {
            Some(specifier.value.to_string())
        }
        _ => None,
    }
}
