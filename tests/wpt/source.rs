//! Where the tests come from: the source package of Node.js in Debian carries those of web-platform-tests that need no browser. It has
//! none of `URLPattern`, but the crate `urlpattern` carries their data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// The package is one of a stable release, which stays where it is for years.
const SUITE: &str = "trixie";
const VERSION: &str = "20.19.2+dfsg-1+deb13u2";
const ARCHIVE: &str = "nodejs_20.19.2+dfsg.orig.tar.xz";
const ARCHIVE_SHA256: &str = "5e5559381ad031d245a8efa403458abbb73755f74c3e6380f185a4dd342b7949";

/// The crate with the data for `URLPattern`, where they are in it, and where in web-platform-tests.
const CRATE: (&str, &str) = ("urlpattern", "0.6.0");
const CRATE_DATA: &str = "src/testdata/urlpatterntestdata.json";
const CRATE_DATA_SHA256: &str = "4cecfe5bb8a9e688235f75e1fad603cfe1b0e87455b1feece858f143c57af0da";
const PATTERNS: &str = "urlpattern/resources/urlpatterntestdata.json";

/// Where the tests are in the archive, below a folder that has the name of the version.
const TESTS: &str = "test/fixtures/wpt";

/// The folder with the tests, fetched when it is not there yet; or why it cannot be had.
///
/// # Panics
/// When what is fetched is not the one this was written for.
pub(crate) fn folder() -> Result<PathBuf, String> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wpt");
    let folder = cache.join(format!("{VERSION}+{}-{}", CRATE.0, CRATE.1));
    if folder.is_dir() {
        return Ok(folder);
    }
    // What is half done has another name.
    let work = cache.join("new");
    drop(fs::remove_dir_all(&work));
    fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    download(&work)?;
    check_sum(&work.join(ARCHIVE), ARCHIVE_SHA256)?;
    let tests = work.join("tests");
    fs::create_dir(&tests).map_err(|error| format!("{}: {error}", tests.display()))?;
    run(Command::new("tar")
        .args(["--extract", "--strip-components=4", "--wildcards", "--directory=tests", "--file", ARCHIVE])
        .arg(format!("*/{TESTS}/*"))
        .current_dir(&work))?;
    add_patterns(&work, &tests)?;
    fs::rename(&tests, &folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    fs::remove_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    Ok(folder)
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

/// Lets apt fetch the archive, with lists of its own: those of the system may lack this suite, and are not ours to change.
fn download(work: &Path) -> Result<(), String> {
    let apt = work.join("apt");
    for folder in ["lists/partial", "state", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(folder)).map_err(|error| format!("{}: {error}", apt.display()))?;
    }
    let path = apt.display();
    let configuration = format!(
        "Dir::Etc::sourcelist \"{path}/sources.list\";\nDir::Etc::sourceparts \"-\";\nDir::State \"{path}/state\";\n\
         Dir::State::lists \"{path}/lists\";\nDir::Cache \"{path}/cache\";\nAPT::Sandbox::User \"\";\n"
    );
    let sources = format!("deb-src {} {SUITE} main\n", mirror());
    for (name, text) in [("apt.conf", configuration), ("sources.list", sources)] {
        fs::write(apt.join(name), text).map_err(|error| format!("{name}: {error}"))?;
    }
    let get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["-q", "-o", "Acquire::Retries=2"]).args(arguments);
        run(command.env("APT_CONFIG", apt.join("apt.conf")).current_dir(work))
    };
    get(&["update"])?;
    get(&["source", "--download-only", "--only-source", &format!("nodejs={VERSION}")])
}

/// The mirror this machine is set up for.
fn mirror() -> String {
    let listed =
        Command::new("apt-get").args(["indextargets", "--format", "$(ORIGIN) $(RELEASE) $(REPO_URI)"]).output();
    let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let debian = listed.lines().filter_map(|line| line.strip_prefix("Debian ")?.split_once(' '));
    let main = debian.filter(|(release, _)| !release.ends_with("-security")).map(|(_, address)| address.to_owned());
    main.into_iter().next().unwrap_or_else(|| "http://deb.debian.org/debian".to_owned())
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
