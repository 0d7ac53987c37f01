//! Where the tests come from: source packages of Ubuntu, in which Node.js and undici (its `fetch`) carry those of web-platform-tests that need
//! no browser. Neither has those of `URLPattern`, but the crate `urlpattern` carries their data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// A source package with tests.
struct Archive {
    name: &'static str,
    /// The package is one of a release with long support, which stays where it is for years.
    url: &'static str,
    sha256: &'static str,
    /// Where the tests are, below a folder that has the name of the version; all are four levels deep.
    tests: &'static [&'static str],
}

const ARCHIVES: [Archive; 2] = [
    Archive {
        name: "nodejs-22.22.1",
        url: "http://archive.ubuntu.com/ubuntu/pool/universe/n/nodejs/nodejs_22.22.1+dfsg+~cs22.19.15.orig.tar.xz",
        sha256: "3b0dc941e4145fcb4c4a904a4c6149829e6255c05d0e01dbe8acda03277e2e74",
        tests: &["test/fixtures/wpt/*"],
    },
    Archive {
        name: "undici-5.26.3",
        url: "http://archive.ubuntu.com/ubuntu/pool/universe/n/node-undici/node-undici_5.26.3+dfsg1+~cs23.10.12.orig.tar.xz",
        sha256: "20eebb73155ca8b35f4a6d4e028d7a1312c71948d71294434de260f61a734186",
        tests: &[
            "test/wpt/tests/fetch/api/*",
            "test/wpt/tests/fetch/data-urls/*",
            "test/wpt/tests/mimesniff/*",
            "test/wpt/tests/xhr/*",
        ],
    },
];

/// The crate with the data for `URLPattern`, where they are in it, and where in web-platform-tests.
const CRATE: (&str, &str) = ("urlpattern", "0.6.0");
const CRATE_DATA: &str = "src/testdata/urlpatterntestdata.json";
const CRATE_DATA_SHA256: &str = "4cecfe5bb8a9e688235f75e1fad603cfe1b0e87455b1feece858f143c57af0da";
const PATTERNS: &str = "urlpattern/resources/urlpatterntestdata.json";

/// The folder with the tests, fetched when it is not there yet; or why it cannot be had.
///
/// # Panics
/// When what is fetched is not the one this was written for.
pub(crate) fn folder() -> Result<PathBuf, String> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wpt");
    let [nodejs, undici] = &ARCHIVES;
    let folder = cache.join(format!("{}+{}+{}-{}", nodejs.name, undici.name, CRATE.0, CRATE.1));
    if folder.is_dir() {
        return Ok(folder);
    }
    // What is half done has another name.
    let work = cache.join("new");
    drop(fs::remove_dir_all(&work));
    let tests = work.join("tests");
    fs::create_dir_all(&tests).map_err(|error| format!("{}: {error}", tests.display()))?;
    for archive in &ARCHIVES {
        add(archive, &work)?;
    }
    add_patterns(&work, &tests)?;
    fs::rename(&tests, &folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    fs::remove_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    Ok(folder)
}

/// Lets apt fetch the archive, and takes the tests out of it.
fn add(archive: &Archive, work: &Path) -> Result<(), String> {
    let file = format!("{}.tar.xz", archive.name);
    let options = ["-q", "-o", "Acquire::Retries=3", "-o", "APT::Sandbox::User=", "download-file"];
    run(Command::new("/usr/lib/apt/apt-helper").args(options).args([archive.url, &file]).current_dir(work))?;
    check_sum(&work.join(&file), archive.sha256)?;
    run(Command::new("tar")
        .args(["--extract", "--strip-components=4", "--wildcards", "--directory=tests", "--file", &file])
        .args(archive.tests.iter().map(|tests| format!("*/{tests}")))
        .current_dir(work))
}

/// Insists on the file this was written for.
fn check_sum(file: &Path, expected: &str) -> Result<(), String> {
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sum, expected, "the sum of {}", file.display());
    Ok(())
}

/// Lets cargo fetch the crate, for a package that nobody builds, and takes the data out of it.
fn add_patterns(work: &Path, tests: &Path) -> Result<(), String> {
    let package = work.join("package");
    let target = tests.join(PATTERNS);
    for folder in [&package.join("src"), &target.with_file_name("")] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let (name, version) = CRATE;
    // A workspace of its own, as it is below one.
    let manifest = format!(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{name} = \"={version}\"\n"
    );
    for (file, text) in [("Cargo.toml", manifest.as_str()), ("src/lib.rs", "")] {
        fs::write(package.join(file), text).map_err(|error| format!("{file}: {error}"))?;
    }
    run(Command::new(env!("CARGO")).args(["vendor", "--quiet", "vendor"]).current_dir(&package))?;
    let data = package.join("vendor").join(name).join(CRATE_DATA);
    check_sum(&data, CRATE_DATA_SHA256)?;
    fs::copy(&data, &target).map_err(|error| format!("{}: {error}", target.display()))?;
    Ok(())
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name} does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name}: {}", text.lines().last().unwrap_or("it failed, and does not say why")))
}
