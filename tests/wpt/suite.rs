//! The files of the tests: which area they count for, and what each needs to run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use caddis_tests::files_below;

/// One row of the table: its name, where its files are, and the share of the subtests that should pass.
pub(crate) struct Area {
    pub(crate) name: &'static str,
    folder: &'static str,
    /// Percent.
    pub(crate) aim: Option<usize>,
}

const fn area(name: &'static str, folder: &'static str, aim: Option<usize>) -> Area {
    Area { name, folder, aim }
}

pub(crate) const AREAS: [Area; 27] = [
    area("URL, URLSearchParams", "url/", Some(95)),
    area("Encoding", "encoding/", Some(95)),
    area("Base64", "html/webappapis/atob/", Some(95)),
    area("Structured clone", "html/webappapis/structured-clone/", Some(95)),
    area("Headers", "fetch/api/headers/", Some(95)),
    area("Headers (own cases)", "own/headers/", Some(95)),
    area("Request", "fetch/api/request/", Some(85)),
    area("Response", "fetch/api/response/", Some(85)),
    area("Bodies", "fetch/api/body/", Some(85)),
    area("Requests that are cancelled", "fetch/api/abort/request", Some(85)),
    area("Schemes of fetch", "fetch/api/basic/scheme-", Some(85)),
    area("Request and Response (own cases)", "own/messages/", Some(85)),
    area("data: URLs", "fetch/data-urls/", Some(85)),
    area("Media types", "mimesniff/", None),
    area("FormData", "xhr/formdata/", Some(85)),
    area("Streams", "streams/", Some(85)),
    area("Compression", "compression/", Some(85)),
    area("Compression (own cases)", "own/compression/", Some(85)),
    area("URLPattern (own cases, with their data)", "own/urlpattern/", Some(85)),
    area("Web Cryptography", "WebCryptoAPI/", Some(85)),
    area("AbortSignal, Event, EventTarget", "dom/", Some(85)),
    area("Blob, File", "FileAPI/", Some(85)),
    area("Timers, microtasks", "html/webappapis/", Some(85)),
    area("console", "console/", Some(85)),
    area("performance", "hr-time/", Some(85)),
    area("User Timing", "user-timing/", Some(85)),
    area("DOMException", "webidl/", Some(85)),
];

/// What is left out, by the beginning of the path: it is about things that functions do not have.
const LEFT_OUT: [&str; 12] = [
    // What a page may not send.
    "fetch/api/headers/headers-no-cors.any.js",
    // A server that tells what was sent to it.
    "fetch/api/headers/header-values",
    // A cache that a page shares with others.
    "fetch/api/request/request-cache-",
    // Blob URLs: there is no other document that could use one.
    "fetch/api/basic/scheme-blob",
    "FileAPI/url/",
    // An echo server.
    "FileAPI/file/send-file-formdata",
    // Pages that are not secure contexts.
    "WebCryptoAPI/historical.any.js",
    // XMLHttpRequest, and pages in legacy encodings.
    "encoding/replacement-encodings.any.js",
    "encoding/unsupported-encodings.any.js",
    // Streams that own their chunks, a proposal.
    "streams/readable-streams/owning-type",
    // Streams sent to other threads.
    "streams/transferable/",
    // Memory of WebAssembly.
    "streams/readable-byte-streams/non-transferable-buffers.any.js",
];

/// Of files that would compute for minutes: the queries of the parts that are run. A request may use ten seconds of
/// cryptography, and those that are run stay far below.
const SAMPLES: [(&str, &[&str]); 4] = [
    ("WebCryptoAPI/derive_bits_keys/pbkdf2.https.any.js", &["?1-50", "?3001-3050", "?6001-6050"]),
    ("WebCryptoAPI/generateKey/successes_RSA-OAEP.https.any.js", &["?1-3", "?51-53", "?101-103"]),
    ("WebCryptoAPI/generateKey/successes_RSA-PSS.https.any.js", &["?1-3", "?21-23"]),
    ("WebCryptoAPI/generateKey/successes_RSASSA-PKCS1-v1_5.https.any.js", &["?1-3", "?21-23"]),
];

/// One run: a file, and the query it runs with.
pub(crate) struct Run {
    /// The file's path, with the query when there is one.
    pub(crate) name: String,
    path: String,
    search: String,
}

impl Run {
    pub(crate) fn area(&self) -> usize {
        AREAS.iter().position(|area| self.path.starts_with(area.folder)).unwrap_or_default()
    }
}

/// The tests in two folders: those that were fetched, and ours (as `own/`).
pub(crate) struct Suite {
    fetched: PathBuf,
    own: PathBuf,
}

impl Suite {
    pub(crate) fn new(fetched: PathBuf) -> Self {
        Self { fetched, own: Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/wpt/own") }
    }

    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let file = match path.strip_prefix("own/") {
            Some(path) => self.own.join(path),
            None => self.fetched.join(path),
        };
        fs::read(file).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Every run there is, in order.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let mut paths: Vec<String> = [(&self.fetched, ""), (&self.own, "own/")]
            .into_iter()
            .flat_map(|(folder, prefix)| {
                let files = files_below(folder).into_iter();
                files.filter_map(move |file| Some(format!("{prefix}{}", file.strip_prefix(folder).ok()?.to_str()?)))
            })
            .filter(|path| path.ends_with(".any.js") && AREAS.iter().any(|area| path.starts_with(area.folder)))
            .filter(|path| !LEFT_OUT.iter().any(|prefix| path.starts_with(prefix)))
            .collect();
        paths.sort();
        paths.iter().flat_map(|path| self.variants(path)).collect()
    }

    fn variants(&self, path: &str) -> Vec<Run> {
        let source = self.text(path).expect("a file that was listed can be read");
        let sample = SAMPLES.iter().find(|(sampled, _)| *sampled == path);
        let mut searches: Vec<&str> =
            sample.map_or_else(|| meta(&source, "variant").collect(), |(_, parts)| parts.to_vec());
        if searches.is_empty() {
            searches.push("");
        }
        let run =
            |search: &str| Run { name: format!("{path}{search}"), path: path.to_owned(), search: search.to_owned() };
        searches.into_iter().map(run).collect()
    }

    /// What the deployed function wants to know.
    pub(crate) fn request(&self, run: &Run) -> serde_json::Value {
        let test = self.text(&run.path).expect("a file that was listed can be read");
        let scripts = meta(&test, "script").map(|script| {
            let script = match script {
                // The server of web-platform-tests has this one under another name.
                "/resources/WebIDLParser.js" => "resources/webidl2/lib/webidl2.js".to_owned(),
                script => resolve(&run.path, script),
            };
            self.text(&script).unwrap_or_else(|| panic!("{} wants {script}, which is not there", run.path))
        });
        // One text, as scripts of a page see each other's constants, and programs given to `eval` do not.
        let mut source: String = scripts.flat_map(|text| [text, "\n;\n".to_owned()]).collect();
        source.push_str(&test);
        let files = self.files(&run.path, &source);
        serde_json::json!({ "path": format!("/{}", run.path), "search": run.search, "source": source, "files": files })
    }

    /// The files a test may fetch: those that a string in its source is the path of.
    fn files(&self, path: &str, source: &str) -> BTreeMap<String, String> {
        let strings = source.lines().flat_map(|line| line.split(['"', '\'', '`']));
        let names = strings.filter(|text| !text.is_empty() && text.len() < 100 && !text.contains([' ', '\\', '\0']));
        let paths = names.flat_map(|name| {
            [resolve(path, name), resolve(path, &format!("../resources/{name}")), format!("interfaces/{name}.idl")]
        });
        // Those in Python are programs of a server.
        let paths = paths.filter(|path| !path.ends_with(".py"));
        paths.filter_map(|path| Some((format!("/{path}"), self.text(&path)?))).collect()
    }
}

/// The values of the `// META: key=value` lines.
fn meta<'a>(source: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    source
        .lines()
        .filter_map(move |line| line.strip_prefix("// META: ")?.strip_prefix(key)?.strip_prefix('='))
        .map(str::trim)
}

/// The path that a reference in the file `from` means.
fn resolve(from: &str, reference: &str) -> String {
    if let Some(path) = reference.strip_prefix('/') {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in reference.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}
