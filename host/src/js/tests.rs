//! Sources in, modules or diagnostics out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Platform;
use super::bundle::{Bundle, bundle};
use super::diagnostic::Diagnostics;
use super::frame::Position;
use super::packages::{NoPackages, NodeModules};
use super::source::Source;

const PLATFORM: Platform<'static> = Platform {
    node_modules: &[("buffer", "export {}"), ("events", "export {}"), ("util", "export {}")],
    absent_globals: &[
        ("WebAssembly", "Upload the module as a component"),
        ("Worker", "Requests run in parallel already"),
    ],
};

fn source(files: &[(&str, &str)]) -> Source {
    let map: BTreeMap<String, String> =
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    Source::from_files(map, files[0].0).unwrap()
}

/// Bundles files, the first being the entry; packages come from `node_modules` among them.
fn build(files: &[(&str, &str)]) -> Result<Bundle, Diagnostics> {
    let source = source(files);
    bundle(&source, PLATFORM, &NodeModules(source.clone()))
}

fn code(bundle: &Bundle, name: &str) -> String {
    bundle.module(name).unwrap_or_else(|| panic!("{name} is not in {:?}", names(bundle))).code.clone()
}

fn names(bundle: &Bundle) -> Vec<&str> {
    bundle.modules.iter().map(|module| module.name.as_str()).collect()
}

fn target<'b>(bundle: &'b Bundle, module: &str, specifier: &str) -> &'b str {
    &bundle.module(module).unwrap().imports[specifier]
}

fn error(files: &[(&str, &str)]) -> super::diagnostic::Diagnostic {
    build(files).unwrap_err().as_slice()[0].clone()
}

fn at(line: u32, column: u32) -> Position {
    Position { line, column }
}

mod typescript {
    use super::*;

    #[test]
    fn types_go_and_names_stay() {
        let text = "import type { A } from './gone.ts';\nimport { type B, c } from './c.ts';\nenum Color { Red, Green = 'g' }\n\
            namespace N { export const x = 1 }\ninterface I { a: string }\nabstract class K<T> { constructor(private readonly v: T) {} }\n\
            export default async function handler(req: Request, ctx: any): Promise<Response> {\n  const n = (ctx as I)!.a satisfies string;\n\
            return new Response(`${n}${c}${Color.Red}${N.x}${K}`);\n}\n";
        let bundle = build(&[("index.ts", text), ("c.ts", "export const c: number = 1")]).unwrap();
        let code = code(&bundle, "index.ts");
        assert!(code.contains("export default async function handler(req, ctx)"), "{code}");
        assert!(!code.contains("interface") && !code.contains("satisfies") && !code.contains("gone"), "{code}");
        assert!(code.contains("Color[\"Red\"]") || code.contains("Color[Color[\"Red\"]"), "{code}");
        assert_eq!(names(&bundle), ["c.ts", "index.ts"]);
    }

    #[test]
    fn modern_syntax_is_left_alone() {
        let text = "using r = open(); await using s = open();\nclass A { #x = 1; static { this.y = 2 } has(o) { return #x in o } }\n\
            a ??= b?.c ** 2n; const re = /(?<y>\\d)/v; for await (const x of y) {}\nfunction open() {}\nlet a, b, y, A2 = A;\nexport {};";
        let code = code(&build(&[("index.ts", text)]).unwrap(), "index.ts");
        for kept in ["await using s", "#x in o", "static {", "??=", "for await", "/v"] {
            assert!(code.contains(kept), "{kept} in {code}");
        }
    }

    #[test]
    fn decorators_become_calls() {
        let text = "function d(...a: any[]): any {}\n@d class A { @d m(@d x: number) {} @d p = 1 }\nexport default A;";
        let bundle = build(&[("index.ts", text)]).unwrap();
        assert!(names(&bundle).contains(&"caddis:toolchain/helpers/decorate"), "{:?}", names(&bundle));
        assert!(names(&bundle).contains(&"caddis:toolchain/helpers/decorateParam"));
        assert!(!code(&bundle, "index.ts").contains("@d"));
    }

    #[test]
    fn jsx_is_automatic_or_as_configured() {
        let react = ("node_modules/react/package.json", r#"{"name": "react"}"#);
        let runtime = ("node_modules/react/jsx-runtime.js", "export const jsx = () => {}");
        let bundle = build(&[("index.tsx", "export default () => <p>hi</p>;"), react, runtime]).unwrap();
        assert_eq!(target(&bundle, "index.tsx", "react/jsx-runtime"), "npm:node_modules/react/jsx-runtime.js");

        let pragma = "/** @jsx h */\nconst h = (...a: any[]) => a;\nexport default () => <p>hi</p>;";
        let pragma = format!("/** @jsxRuntime classic */\n{pragma}");
        let classic = build(&[("index.tsx", &pragma)]).unwrap();
        assert!(code(&classic, "index.tsx").contains("h(\"p\", null, \"hi\")"), "{}", code(&classic, "index.tsx"));

        let config = r#"{"compilerOptions": {"jsx": "react", "jsxFactory": "h"}}"#;
        let text = "import { h } from './h.ts';\nexport default () => <p/>;";
        let configured = build(&[("index.tsx", text), ("deno.json", config), ("h.ts", "export const h = 1")]).unwrap();
        assert!(code(&configured, "index.tsx").contains("h(\"p\""), "{}", code(&configured, "index.tsx"));

        let config = r#"{"compilerOptions": {"jsx": "react-jsx", "jsxImportSource": "npm:hono/jsx"}}"#;
        let missing = error(&[("index.tsx", "export default () => <p/>;"), ("deno.json", config)]);
        assert!(missing.message.contains("Cannot find the package \"hono\""), "{}", missing.message);
    }

    #[test]
    fn json_is_a_module() {
        let text = "import data from './data.json' with { type: 'json' };\nexport default data;";
        let bundle = build(&[("index.ts", text), ("data.json", "{\"__proto__\": \"\u{2028}\"}")]).unwrap();
        assert_eq!(
            code(&bundle, "data.json"),
            "export default JSON.parse(\"{\\\"__proto__\\\": \\\"\u{2028}\\\"}\");\n"
        );
        assert!(!code(&bundle, "index.ts").contains("with"));
        let broken = error(&[("index.ts", text), ("data.json", "{\n  \"a\": nope\n}")]);
        assert_eq!((broken.file.as_str(), broken.position.line), ("data.json", 2));
    }
}

mod errors {
    use super::*;

    #[test]
    fn a_syntax_error_has_a_place_and_a_frame() {
        let found = error(&[("index.ts", "export default function () {\r\n\tconst x = ;\r\n}\r\n")]);
        assert_eq!((found.file.as_str(), found.position), ("index.ts", at(2, 12)));
        assert!(found.frame.contains("> 2 |     const x = ;\n    |               ^"), "{}", found.frame);
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!((&json["line"], &json["column"]), (&2.into(), &12.into()));
    }

    #[test]
    fn errors_of_the_language_are_found_too() {
        assert!(error(&[("index.ts", "let a = 1;\nlet a = 2;")]).message.contains('a'));
        assert_eq!(error(&[("index.ts", "for (;;) {}\nbreak;")]).position.line, 2);
        let mixed = error(&[("index.ts", "import x = require('./x.ts');\nexport default x;"), ("x.ts", "")]);
        assert!(mixed.message.contains("import … = require()"), "{}", mixed.message);
    }

    #[test]
    fn all_files_are_checked_but_not_without_end() {
        let bad = "import './b.ts';\nimport './no1.ts';\nimport './no2.ts';";
        let found = build(&[("index.ts", bad), ("b.ts", "let = ;")]).unwrap_err();
        assert_eq!(found.as_slice().len(), 3, "{found}");
        let many: String = (0..100).map(|i| format!("import './no{i}.ts';\n")).collect();
        assert_eq!(build(&[("index.ts", &many)]).unwrap_err().as_slice().len(), 20);
    }

    #[test]
    fn a_missing_import_names_the_nearest_file() {
        let found =
            error(&[("fn/index.ts", "\nimport { cors } from \"../_shard/cros.ts\";\ncors;"), ("_shared/cors.ts", "")]);
        assert_eq!(found.position, at(2, 22));
        assert_eq!(found.message, "Cannot find the file \"../_shard/cros.ts\"");
        assert!(found.hint.unwrap().contains("_shared/cors.ts"));
        assert!(found.frame.contains("^^^^^"), "{}", found.frame);
    }

    #[test]
    fn what_the_engine_lacks_is_said_with_a_hint() {
        let found = error(&[("index.ts", "const ä = '😀'; const m = new WebAssembly.Module(ä);")]);
        assert_eq!((found.message.as_str(), found.position), ("WebAssembly is not available here", at(1, 31)));
        assert_eq!(found.hint.unwrap(), "Upload the module as a component");
        for fine in [
            "if (typeof WebAssembly !== 'undefined') WebAssembly.compile(x); declare const x: any;",
            "const Worker = class {}; new Worker();",
            "let w: Worker | undefined; export type T = typeof Worker; console.log(w, { Worker: 1 }.Worker);",
            "function f(Worker: any) { return Worker }",
        ] {
            build(&[("index.ts", fine)]).unwrap();
        }
    }

    #[test]
    fn a_built_in_module_of_node_that_is_not_there() {
        let found = error(&[("index.ts", "import fs from 'node:fs';\nfs;")]);
        assert_eq!(found.message, "The built-in module node:fs is not available here");
        assert!(found.hint.unwrap().contains("no files"));
        let found = error(&[("index.ts", "import x from 'node:wasi';\nx;")]);
        assert!(found.hint.unwrap().contains("node:buffer"));
        assert!(error(&[("index.ts", "import fs from 'fs';\nfs;")]).message.contains("node:fs"));
        let bundle =
            build(&[("index.ts", "import { Buffer } from 'buffer';\nimport u from 'node:util';\n[Buffer, u];")])
                .unwrap();
        assert_eq!(target(&bundle, "index.ts", "buffer"), "node:buffer");
        assert_eq!(target(&bundle, "index.ts", "node:util"), "node:util");
    }
}

mod fetching {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::js::bundle::{Bundler, Progress};
    use crate::js::packages::{Manifest, Package, PackageError, PackageRequest, Packages};

    /// Packages of one file, which are here when they have been asked for before.
    #[derive(Default)]
    struct Slow {
        here: Mutex<BTreeSet<String>>,
        asked: Mutex<Vec<String>>,
    }

    impl Packages for Slow {
        fn find(&self, request: PackageRequest<'_>) -> Result<Package, PackageError> {
            let name = request.name.to_owned();
            if name == "down" {
                return Err(PackageError::Unavailable("it rains".to_owned()));
            }
            if self.here.lock().unwrap().contains(&name) {
                return Ok(Package { id: name, manifest: Arc::new(Manifest::parse("{}")?) });
            }
            self.asked.lock().unwrap().push(name);
            Err(PackageError::Wanted)
        }

        fn read(&self, package: &Package, path: &str) -> Option<String> {
            let next = match package.id.as_str() {
                "a" => "import 'b'; import './more.js';",
                "b" => "module.exports = require('c')",
                "c" => "try { require('down') } catch {}",
                _ => "export {}",
            };
            matches!(path, "index.js" | "more.js").then(|| next.to_owned())
        }
    }

    #[test]
    fn a_bundle_goes_on_where_it_waited() {
        let packages = Slow::default();
        let files = [("index.ts", "import 'a'; import './z.ts';"), ("z.ts", "import 'd'; import 'a';")];
        let mut bundler = Bundler::new(source(&files), PLATFORM).unwrap();
        let mut rounds = Vec::new();
        while bundler.advance(&packages).unwrap() == Progress::Waiting {
            let asked = std::mem::take(&mut *packages.asked.lock().unwrap());
            packages.here.lock().unwrap().extend(asked.iter().filter(|name| *name != "c").cloned());
            rounds.push(asked);
            if rounds.len() == 3 {
                break;
            }
        }
        assert_eq!(rounds, [vec!["a", "d", "a"], vec!["b", "b"], vec!["c"]]);
        packages.here.lock().unwrap().insert("c".to_owned());
        // What cannot be had now is an error, even where a package could do without it: the next time it would be another bundle.
        let refused = bundler.advance(&packages).unwrap_err().to_string();
        assert!(refused.contains("it rains") && refused.contains("npm:"), "{refused}");
    }

    #[test]
    fn directories_of_a_package_have_manifests_and_scripts_have_this() {
        let files = [
            ("index.ts", "import a from 'p/option'; import 'p/script.js'; export default a;"),
            ("node_modules/p/package.json", "{}"),
            ("node_modules/p/option/package.json", r#"{"main": "../lib/option.js", "module": "../es/option"}"#),
            ("node_modules/p/option/index.js", "module.exports = 'index'"),
            ("node_modules/p/es/option.js", "export default require('./../option')"),
            ("node_modules/p/lib/option.js", "module.exports = 1"),
            ("node_modules/p/script.js", "(function (root) { root.x = 1 })(this)"),
        ];
        let bundle = build(&files).unwrap();
        assert_eq!(target(&bundle, "index.ts", "p/option"), "npm:node_modules/p/es/option.js");
        assert_eq!(target(&bundle, "index.ts", "p/script.js"), "npm:node_modules/p/script.js#exports");
    }

    #[test]
    fn nothing_has_the_names_that_are_imported_from_it() {
        let manifest =
            ("node_modules/p/package.json", r#"{"main": "m.js", "browser": {"fs": false, "./n.js": "./w.js"}}"#);
        let main = (
            "node_modules/p/m.js",
            "import fs, { readFile } from 'fs'; import './n.js'; export { readFile }; export default fs;",
        );
        let files = [("index.ts", "import 'p'; import 'https://deno.land/x/xhr@0.1.0/mod.ts';"), manifest, main];
        let files = [&files[..], &[("node_modules/p/n.js", "node"), ("node_modules/p/w.js", "1")]].concat();
        let bundle = build(&files).unwrap();
        let empty = target(&bundle, "npm:node_modules/p/m.js", "fs");
        assert_eq!(
            code(&bundle, empty),
            "const nothing = undefined;\nexport default {};\nexport { nothing as readFile };\n"
        );
        assert_eq!(target(&bundle, "npm:node_modules/p/m.js", "./n.js"), "npm:node_modules/p/w.js#exports");
        assert_eq!(target(&bundle, "index.ts", "https://deno.land/x/xhr@0.1.0/mod.ts"), empty);
    }
}

mod hostile {
    use std::sync::Arc;

    use super::*;
    use crate::js::nesting::{MAX_OPEN_BRACKETS, MAX_TOKENS};
    use crate::js::packages::{Manifest, Package, PackageError, PackageRequest, Packages};

    /// Nesting without brackets, as deep as a file may have tokens.
    #[test]
    fn nesting_never_overflows_the_stack() {
        let levels = MAX_TOKENS - 16;
        let deep = |unit: &str, tokens: usize, end: &str| format!("{}{end}", unit.repeat(levels / tokens));
        for text in [
            deep("!", 1, "1"),
            format!("x{}", deep("+a", 2, "")),
            format!("x{}", deep(".a", 2, "")),
            deep("typeof ", 1, "1"),
            deep("a=>", 3, "1"),
            deep("a=", 2, "1"),
            deep("if(a)", 4, ";"),
            deep("if(a);else ", 6, ";"),
            deep("a?b:", 4, "1"),
            format!("let x:{}", deep("A<", 2, "")),
            format!("let x:{}", deep("keyof ", 1, "a")),
            deep("new ", 1, "x"),
            deep("<a>", 3, ""),
            deep("do ", 1, ";"),
        ] {
            // Whether it is refused does not matter here; that the process lives does.
            let name = if text.starts_with('<') { "index.tsx" } else { "index.ts" };
            drop(build(&[(name, &text)]));
        }
    }

    #[test]
    fn brackets_are_refused_beyond_their_limit() {
        for (open, middle, close) in
            [("(", "1", ")"), ("[", "", "]"), ("{", "", "}"), ("`${", "1", "}`"), ("f(a=>{", "", "})")]
        {
            let depth = MAX_OPEN_BRACKETS / open.matches(['(', '[', '{']).count();
            let nested = |n: usize| format!("{}{middle}{}", open.repeat(n), close.repeat(n));
            build(&[("index.ts", &nested(depth))]).unwrap();
            let refused = error(&[("index.ts", &nested(depth + 1))]);
            assert!(refused.message.contains("brackets"), "{}", refused.message);
        }
    }

    #[test]
    fn a_file_of_the_largest_size_is_no_problem() {
        let data = format!("export default \"{}\";", "x".repeat(super::super::source::MAX_BYTES - 20));
        build(&[("index.ts", &data)]).unwrap();
        let long = error(&[("index.ts", &"a;\n".repeat(MAX_TOKENS))]);
        assert!(long.message.contains("tokens"), "{}", long.message);
    }

    /// A package whose every file imports the next.
    struct Endless {
        file_bytes: usize,
    }

    impl Packages for Endless {
        fn find(&self, _: PackageRequest<'_>) -> Result<Package, PackageError> {
            Ok(Package { id: "endless@1".to_owned(), manifest: Arc::new(Manifest::parse(r#"{"main": "0.js"}"#)?) })
        }

        fn read(&self, _: &Package, path: &str) -> Option<String> {
            let index: u64 = path.strip_suffix(".js")?.parse().ok()?;
            Some(format!("import './{}.js';//{}", index + 1, "x".repeat(self.file_bytes)))
        }
    }

    #[test]
    fn packages_without_end_have_an_end() {
        let source = source(&[("index.ts", "import 'endless'")]);
        for file_bytes in [0, 1 << 20] {
            let refused = bundle(&source, PLATFORM, &Endless { file_bytes }).unwrap_err().to_string();
            assert!(refused.contains("4000 modules or 25165824 bytes"), "{}", &refused[..200.min(refused.len())]);
        }
    }

    #[test]
    fn bytes_without_sense_are_an_error_or_code() {
        for text in [
            "\u{0}",
            "\u{feff}export {}",
            "#!/usr/bin/env deno\nexport {}",
            "<!-- a",
            "\u{2028}\u{2029}\u{85}",
            "\\u{110000}",
            "`${",
            "/*",
            "'\r'",
            "@@@",
        ] {
            for name in ["index.ts", "index.js", "index.cjs", "index.tsx", "index.json"] {
                drop(build(&[(name, text)]));
            }
        }
    }
}

mod resolution {
    use super::*;

    #[test]
    fn files_are_found_as_authors_write_them() {
        let entry = "import './a';\nimport './b.ts';\nimport './c';\nimport './d.js';\nimport '../_shared/e.ts';\nimport '_shared/e';\n\
            import './a.ts?x=1';\nimport '/f/a';\nimport('./late.ts');";
        let bundle = build(&[
            ("f/index.ts", entry),
            ("f/a.ts", ""),
            ("f/b.ts", ""),
            ("f/c/index.tsx", ""),
            ("f/d.ts", ""),
            ("_shared/e.ts", ""),
            ("f/late.ts", ""),
            ("unused.ts", "syntax error"),
        ])
        .unwrap();
        for (specifier, name) in [
            ("./a", "f/a.ts"),
            ("./b.ts", "f/b.ts"),
            ("./c", "f/c/index.tsx"),
            ("./d.js", "f/d.ts"),
            ("../_shared/e.ts", "_shared/e.ts"),
            ("_shared/e", "_shared/e.ts"),
            ("./a.ts?x=1", "f/a.ts"),
            ("/f/a", "f/a.ts"),
            ("./late.ts", "f/late.ts"),
        ] {
            assert_eq!(target(&bundle, "f/index.ts", specifier), name, "{specifier}");
        }
        // A function deployed without its parent directory still finds what it calls `../_shared`.
        let flat = build(&[("index.ts", "import '../_shared/e.ts'"), ("_shared/e.ts", "")]).unwrap();
        assert_eq!(target(&flat, "index.ts", "../_shared/e.ts"), "_shared/e.ts");
    }

    #[test]
    fn import_maps_are_honoured() {
        let entry =
            "import 'zod';\nimport 'lib/x.ts';\nimport 'hono/cors';\nimport 'deep/a/b.ts';\nimport '@std/http';";
        let map = r#"{"imports": {"zod": "npm:zod@3", "lib/": "../lib/", "hono": "npm:hono@4", "deep/": "./far/", "deep/a/": "./near/",
            "@std/http": "https://deno.land/std@0.200.0/http/server.ts"}}"#;
        let bundle = build(&[
            ("f/index.ts", entry),
            ("f/deno.json", map),
            ("deno.json", r#"{"imports": {"zod": "./wrong.ts"}}"#),
            ("lib/x.ts", ""),
            ("f/near/b.ts", ""),
            ("node_modules/zod/package.json", "{}"),
            ("node_modules/zod/index.js", "export const z = 1"),
            ("node_modules/hono/package.json", r#"{"exports": {"./cors": {"import": "./dist/cors.mjs"}}}"#),
            ("node_modules/hono/dist/cors.mjs", "export const cors = 1"),
        ])
        .unwrap();
        assert_eq!(target(&bundle, "f/index.ts", "zod"), "npm:node_modules/zod/index.js");
        assert_eq!(target(&bundle, "f/index.ts", "lib/x.ts"), "lib/x.ts");
        assert_eq!(target(&bundle, "f/index.ts", "hono/cors"), "npm:node_modules/hono/dist/cors.mjs");
        assert_eq!(target(&bundle, "f/index.ts", "deep/a/b.ts"), "f/near/b.ts");
        assert_eq!(target(&bundle, "f/index.ts", "@std/http"), "caddis:std-http");
        let broken = error(&[("index.ts", ""), ("import_map.json", "{\n\"imports\": [}")]);
        assert_eq!((broken.file.as_str(), broken.position.line), ("import_map.json", 2));
        // One that maps to itself ends.
        error(&[("index.ts", "import 'a'"), ("deno.json", r#"{"imports": {"a": "b", "b": "a"}}"#)]);
    }

    #[test]
    fn addresses_are_mapped_and_never_fetched() {
        let entry = "import 'https://deno.land/x/xhr@0.1.0/mod.ts';\nimport 'jsr:@supabase/functions-js/edge-runtime.d.ts';\n\
            import { serve } from 'https://deno.land/std@0.168.0/http/server.ts';\nimport { z } from 'https://esm.sh/zod@3.22.4?target=deno';\n\
            serve(() => new Response(z));";
        let zod = [("node_modules/zod/package.json", "{}"), ("node_modules/zod/index.js", "export const z = 1")];
        let bundle = build(&[("index.ts", entry), zod[0], zod[1]]).unwrap();
        assert_eq!(target(&bundle, "index.ts", "https://deno.land/x/xhr@0.1.0/mod.ts"), "caddis:toolchain/empty");
        assert_eq!(
            target(&bundle, "index.ts", "jsr:@supabase/functions-js/edge-runtime.d.ts"),
            "caddis:toolchain/empty"
        );
        assert_eq!(target(&bundle, "index.ts", "https://deno.land/std@0.168.0/http/server.ts"), super::super::STD_HTTP);
        assert!(names(&bundle).contains(&"caddis:toolchain/empty"));
        let found = error(&[("index.ts", "import 'https://example.com/a.ts';")]);
        assert!(found.message.contains("https://example.com/a.ts") && found.hint.unwrap().contains("npm:"));
        let source =
            source(&[("index.ts", "import { createClient } from 'npm:@supabase/supabase-js@2';\ncreateClient;")]);
        let found = bundle_error(&source);
        assert!(found.contains("Cannot find the package \"@supabase/supabase-js@2\""), "{found}");
    }

    fn bundle_error(source: &Source) -> String {
        bundle(source, PLATFORM, &NoPackages).unwrap_err().to_string()
    }
}

mod packages {
    use super::*;

    #[test]
    fn commonjs_gets_a_definition_and_a_facade() {
        let bundle = build(&[
            ("index.ts", "import lib, { later } from 'lib';\nimport * as all from 'lib';\nexport default () => [lib, later, all];"),
            ("node_modules/lib/package.json", r#"{"main": "main"}"#),
            ("node_modules/lib/main.js", "#!/usr/bin/env node\n'use strict';\nexports.a = 1;\nObject.defineProperty(exports, 'b', {});\n\
                __exportStar(require('./more'), exports);\nconst d = require('./data.json'), e = require('events'), f = require(name);\n\
                try { require('not-there') } catch {}"),
            ("node_modules/lib/more/index.js", "module.exports = { c: 1, ['d']: 2, 'not an identifier': 3, default: 4 };"),
            ("node_modules/lib/data.json", "{}"),
        ])
        .unwrap();
        let name = "npm:node_modules/lib/main.js";
        assert_eq!(target(&bundle, "index.ts", "lib"), format!("{name}#exports"));
        let facade = code(&bundle, &format!("{name}#exports"));
        for export in ["a", "b", "c", "d", "later"] {
            assert!(facade.contains(&format!(" as {export} }}")), "{export} in {facade}");
        }
        let definition = bundle.module(name).unwrap();
        assert_eq!(definition.imports["npm:node_modules/lib/more/index.js"], "npm:node_modules/lib/more/index.js");
        assert_eq!(definition.imports["node:events"], "node:events");
        assert!(definition.code.contains("\n///usr/bin/env node\n"), "{}", definition.code);
        assert!(names(&bundle).contains(&"caddis:toolchain/commonjs"));
        // The author's line 3 is line 4 of the code.
        assert_eq!(bundle.original(name, 4, 1), Some(at(3, 1)));
        assert_eq!(bundle.original(name, 1, 1), None);
    }

    #[test]
    fn a_function_may_be_commonjs() {
        let text = "const { x } = require('./x.ts');\nmodule.exports = async function (request: Request) { return x };";
        let bundle = build(&[("index.ts", text), ("x.ts", "export const x = 1")]).unwrap();
        assert_eq!(bundle.entry, "index.ts#exports");
        assert_eq!(bundle.original("index.ts", 3, 1), Some(at(2, 1)));
        let typed =
            build(&[("index.ts", "import x = require('./x.ts');\nexport = { x, y: 1 };"), ("x.ts", "export = 1")])
                .unwrap();
        assert!(code(&typed, "index.ts#exports").contains(" as y }"));
        let found = error(&[("index.cjs", "const name = 'x';\nmodule.exports = require(name);")]);
        assert_eq!((found.message.as_str(), found.position), ("The argument of require() must be a string", at(2, 18)));
    }

    #[test]
    fn packages_have_packages_of_their_own() {
        let bundle = build(&[
            ("index.ts", "import a from 'a';\nimport b from 'b';\n[a, b];"),
            ("node_modules/a/package.json", r##"{"main": "i.mjs", "imports": {"#x": "./x.js", "#b": "b"}}"##),
            ("node_modules/a/i.mjs", "import '#x';\nexport { default } from '#b';\nimport('optional');"),
            ("node_modules/a/x.js", "export {}"),
            ("node_modules/a/node_modules/b/package.json", "{}"),
            ("node_modules/a/node_modules/b/index.js", "export default 2"),
            ("node_modules/b/package.json", "{}"),
            ("node_modules/b/index.js", "export default 1"),
        ])
        .unwrap();
        assert_eq!(target(&bundle, "index.ts", "b"), "npm:node_modules/b/index.js");
        assert_eq!(target(&bundle, "npm:node_modules/a/i.mjs", "#b"), "npm:node_modules/a/node_modules/b/index.js");
        assert_eq!(target(&bundle, "npm:node_modules/a/i.mjs", "#x"), "npm:node_modules/a/x.js");
        let found =
            error(&[("index.ts", "import 'a/hidden';"), ("node_modules/a/package.json", r#"{"exports": "./a.js"}"#)]);
        assert_eq!(found.message, "The package \"node_modules/a\" does not export \"./hidden\"");
    }
}

mod stacks {
    use super::*;

    #[test]
    fn places_become_those_of_the_author() {
        let text = "interface A {\n  b: string\n}\n\nexport default function handler(req: Request): A {\n\tconst s = '😀'; throw new Error(`no ${req}`);\n}\n";
        let bundle = build(&[("index.ts", text)]).unwrap();
        let generated = code(&bundle, "index.ts");
        let (row, line) = generated.lines().enumerate().find(|(_, line)| line.contains("new Error")).unwrap();
        let row = row + 1;
        let column = line.chars().count() - line[line.find("new Error").unwrap()..].chars().count() + 1;
        let stack = format!(
            "Error: no\n    at handler (index.ts:{row}:{column})\n    at call (native)\n    at caddis:handler:10:2\n"
        );
        let mapped = bundle.map_stack(&stack);
        assert_eq!(
            mapped.text, "Error: no\n    at handler (index.ts:6:24)\n    at call (native)\n    at caddis:handler:10:2",
            "{generated}"
        );
        assert_eq!(mapped.top.unwrap().position, at(6, 24));
        assert!(mapped.frame.unwrap().contains("> 6 |     const s = '😀'; throw new Error"));
    }

    #[test]
    fn stacks_are_mapped_without_the_code_of_packages() {
        let package = ("node_modules/p/package.json", "{}");
        let main = ("node_modules/p/index.js", "module.exports = () => {\n  throw 1\n}");
        let files = [("index.ts", "import p from 'p';\ntype A = 1;\nexport default () => p();"), package, main];
        let bundle = build(&files).unwrap();
        let stack = "at p (npm:node_modules/p/index.js:3:9)\nat default (index.ts:2:24)";
        let whole = bundle.map_stack(stack);
        assert!(whole.text.starts_with("at p (npm:node_modules/p/index.js:2:9)\nat default (index.ts:3:"), "{whole:?}");
        let bundle = bundle.for_stacks();
        assert_eq!(bundle.map_stack(stack), whole);
        assert!(bundle.module("npm:node_modules/p/index.js").unwrap().code.is_empty());
    }

    /// The engine counts code points, authors' editors UTF-16.
    #[test]
    fn columns_are_converted() {
        let bundle = build(&[("index.js", "export const a = '😀😀' + boom();\nfunction boom() {}")]).unwrap();
        let line = code(&bundle, "index.js").lines().next().unwrap().to_owned();
        let code_points = line.chars().position(|c| c == 'b').unwrap() + 1;
        let column = u32::try_from(code_points).unwrap();
        assert_eq!(bundle.original("index.js", 1, column), Some(at(1, column + 2)));
    }

    #[test]
    fn stacks_without_sense_stay_as_they_are() {
        let bundle = build(&[("index.ts", "export {}")]).unwrap();
        let odd = "at\nat (::)\nat x (index.ts:0:0)\nat index.ts:4294967295:4294967295\nat index.ts:99999999999:1\n";
        assert_eq!(bundle.map_stack(odd).text.lines().count(), 5);
        assert_eq!(bundle.map_stack(&"at a (index.ts:1:1)\n".repeat(10_000)).text.lines().count(), 100);
    }

    #[test]
    fn source_maps_can_be_handed_to_tools() {
        let bundle = build(&[("index.ts", "export const a: number = 1;")]).unwrap();
        let map: serde_json::Value =
            serde_json::from_str(&bundle.module("index.ts").unwrap().source_map().unwrap()).unwrap();
        assert_eq!((&map["version"], &map["sources"][0]), (&3.into(), &"index.ts".into()));
    }
}

/// Published functions, in our own words: one for each way to be called.
mod functions {
    use super::*;

    #[test]
    fn supabase() {
        let index = "import { corsHeaders, admin } from \"../_shared/supabase.ts\";\n\nDeno.serve(async (req) => {\n  if (req.method === \"OPTIONS\") return new Response(\"ok\", { headers: corsHeaders });\n  try {\n    const token = req.headers.get(\"Authorization\")!.replace(\"Bearer \", \"\");\n    const { data: { user }, error } = await admin.auth.getUser(token);\n    if (error || !user) throw new Error(\"who?\");\n    return Response.json({ hello: user.email }, { headers: { ...corsHeaders } });\n  } catch (error) {\n    return Response.json({ error: (error as Error).message }, { status: 500 });\n  }\n});\n";
        let shared = "import { createClient } from \"https://esm.sh/@supabase/supabase-js@2\";\nexport const corsHeaders = { \"Access-Control-Allow-Origin\": \"*\" };\nexport const admin = createClient(Deno.env.get(\"SUPABASE_URL\")!, Deno.env.get(\"SUPABASE_SERVICE_ROLE_KEY\")!);\n";
        let bundle = build(&[
            ("hello/index.ts", index),
            ("_shared/supabase.ts", shared),
            ("node_modules/@supabase/supabase-js/package.json", r#"{"main": "m.js", "module": "m.mjs"}"#),
            ("node_modules/@supabase/supabase-js/m.mjs", "export const createClient = () => ({})"),
        ])
        .unwrap();
        assert_eq!(bundle.entry, "hello/index.ts");
        assert_eq!(bundle.modules.len(), 3);
    }

    #[test]
    fn butterbase_and_fluxbase() {
        for text in [
            "export default async function handler(req: Request, ctx: any): Promise<Response> {\n  const orders = await ctx.db.query('SELECT * FROM orders');\n  return new Response(JSON.stringify(orders.rows));\n}",
            "async function handler(req) { const data = JSON.parse(req.body); return { status: 200, body: JSON.stringify({ sent: true, to: data.email }) }; }",
            "interface FunctionRequest { method: string; headers: Record<string, string>; body: string; user_id?: string }\nexport async function handler(req: FunctionRequest) { return { status: 200, body: req.user_id ?? '' } }",
            "export default { async fetch(request: Request, env: unknown, ctx: { waitUntil(p: Promise<unknown>): void }) { ctx.waitUntil(Promise.resolve()); return new Response('x') } }",
        ] {
            let bundle = build(&[("index.ts", text)]).unwrap();
            assert!(code(&bundle, "index.ts").contains("async"));
        }
    }
}

/// A function of about 5 kB is ready well within the time a deploy may take. The figure is printed with `--nocapture`.
#[test]
#[expect(clippy::print_stderr, reason = "the figure is what the test is run for")]
fn a_typical_function_takes_no_time() {
    let part = "interface Row$ { id: number; name: string | null }\nexport async function part$(ctx: { db: any }, input: Row$): Promise<Row$[]> {\n  const { rows } = await ctx.db.query(`SELECT id, name FROM t WHERE id > ?`, [input.id]);\n  return (rows as Row$[]).filter((row) => row.name?.trim() !== \"\").map((row) => ({ ...row, name: row.name ?? `row ${row.id}` }));\n}\n";
    let text: String = (0..13).map(|index| part.replace('$', &index.to_string())).collect();
    let source = Source::from_code(text.clone()).unwrap();
    let fastest = (0..50).map(|_| {
        let start = Instant::now();
        bundle(&source, PLATFORM, &NoPackages).unwrap();
        start.elapsed()
    });
    let fastest = fastest.min().unwrap();
    eprintln!("{} bytes of TypeScript: {fastest:?}", text.len());
    assert!(fastest < Duration::from_millis(20), "{fastest:?}");
}
