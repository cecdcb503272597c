//! Where the parts of a test stand on disk.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use tempfile::TempDir;

/// The root of the workspace.
///
/// # Panics
/// Never: the crate stands in a workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the crate stands in the workspace").to_path_buf()
}

/// A tool that `make setup-test` installs, by its path under `target/tools`.
///
/// # Panics
/// When it is missing: a test that skips what it cannot run would pass without having shown
/// anything.
#[must_use]
pub fn tool(relative: &str) -> PathBuf {
    let path = workspace().join("target/tools").join(relative);
    assert!(path.exists(), "{} is missing: run `make setup-test`", path.display());
    path
}

/// A program of this workspace, as built with the profile of the running test.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let profile = test.parent().and_then(Path::parent).expect("tests stand in target/PROFILE/deps");
    let path = profile.join(name);
    assert!(
        path.exists(),
        "{} is missing: run `cargo build --workspace --bins`, as `make test` does",
        path.display()
    );
    path
}

/// Where temporary folders are made.
///
/// Parts that all tests share live until the process ends, and nothing runs after that which could
/// remove their folders. The next run does: it knows them by the process id in their names.
static TEMPORARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let all = workspace().join("target/tmp/e2e");
    fs::create_dir_all(&all).expect("the target folder is writable");
    for entry in fs::read_dir(&all).expect("it was just made").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(owner).exists() {
            let _another_run_removes_it_too = fs::remove_dir_all(entry.path());
        }
    }
    all
});

/// A folder that is removed when it is dropped, or else by the next run.
///
/// # Panics
/// When the target folder is not writable.
#[must_use]
pub fn temporary_folder() -> TempDir {
    let prefix = format!("{}-", std::process::id());
    tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir_in(&*TEMPORARY)
        .expect("the target folder is writable")
}
