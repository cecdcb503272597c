//! Where the parts of a test stand on disk.

use std::path::{Path, PathBuf};

/// The root of the workspace.
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
