//! Where Prometheus, promtool and Redis are.

use std::{
    env,
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::error::DemoError;

/// Where `make setup-run` unpacks Prometheus, seen from the project's folder.
const PROMETHEUS_UNPACKED: &str = "target/tools/prometheus/usr/bin";

/// Where `make setup-run-cluster` unpacks Redis, seen from the project's folder.
const REDIS_UNPACKED: &str = "target/tools/redis";

/// How many folders above the executable may be the project's: `target/release` and one to spare.
const ABOVE_MAX: usize = 4;

/// What helps when Prometheus or promtool is missing.
const GET_PROMETHEUS: &str = "run `make setup-run` in the project's folder, or install Prometheus \
                              2.42 or newer (Debian, Ubuntu: apt-get install prometheus), or name \
                              it with --prometheus FILE; promtool must lie beside it or in PATH";

/// What helps when Redis is missing.
const GET_REDIS: &str = "run `make setup-run-cluster` in the project's folder, or install Redis 6 or \
                         newer (Debian, Ubuntu: apt-get install redis-server), or name it with \
                         --redis FILE";

/// The two programs that a Prometheus with a past needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs {
    pub(super) prometheus: PathBuf,
    pub(super) promtool: PathBuf,
}

impl Programs {
    /// Finds `prometheus` at the path given, else in `PATH`, else where the project's set-up unpacks
    /// it; `promtool` beside it, else in the same places.
    pub(super) fn find(given: Option<&Path>) -> Result<Self, DemoError> {
        let path = env::var_os("PATH");
        Self::find_in(given, folders(path.as_deref(), &project_roots(), PROMETHEUS_UNPACKED))
    }

    fn find_in(given: Option<&Path>, mut folders: Vec<PathBuf>) -> Result<Self, DemoError> {
        let find = |program, given, folders: &[PathBuf]| {
            let found = first(program, given, folders);
            found.map_err(|looked| missing(program, looked, GET_PROMETHEUS))
        };
        let prometheus = find("prometheus", given, &folders)?;
        folders.splice(..0, prometheus.parent().map(Path::to_owned));
        Ok(Self { promtool: find("promtool", None, &folders)?, prometheus })
    }
}

/// Finds `redis-server` at the path given, else in `PATH`, else where the project's set-up unpacks it.
pub(super) fn redis_server(given: Option<&Path>) -> Result<PathBuf, DemoError> {
    let path = env::var_os("PATH");
    redis_server_in(given, &folders(path.as_deref(), &project_roots(), REDIS_UNPACKED))
}

fn redis_server_in(given: Option<&Path>, folders: &[PathBuf]) -> Result<PathBuf, DemoError> {
    const NAME: &str = "redis-server";
    first(NAME, given, folders).map_err(|looked| missing(NAME, looked, GET_REDIS))
}

fn missing(program: &'static str, looked: Vec<PathBuf>, remedy: &'static str) -> DemoError {
    DemoError::ProgramMissing { program, looked, remedy }
}

/// `PATH` first, then the set-up's folder in each root.
fn folders(path: Option<&OsStr>, roots: &[PathBuf], unpacked: &str) -> Vec<PathBuf> {
    // An empty element of PATH means the current folder, which is nobody's wish.
    let path = path.map(env::split_paths).into_iter().flatten().filter(|f| f.is_absolute());
    path.chain(roots.iter().map(|root| root.join(unpacked))).collect()
}

/// The folders that may be the project's: those above the executable, and the current one.
fn project_roots() -> Vec<PathBuf> {
    let executable = env::current_exe().unwrap_or_default();
    let above = executable.ancestors().skip(1).take(ABOVE_MAX).map(Path::to_owned);
    above.chain(env::current_dir()).collect()
}

/// The first that is there, or every path that was tried.
fn first(
    program: &'static str,
    given: Option<&Path>,
    folders: &[PathBuf],
) -> Result<PathBuf, Vec<PathBuf>> {
    let places: Vec<PathBuf> = match given {
        Some(path) => vec![path.to_owned()],
        None => folders.iter().map(|folder| folder.join(program)).collect(),
    };
    match places.iter().find(|place| is_program(place)) {
        Some(place) => Ok(place.clone()),
        None => Err(places),
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn place(folder: &Path, name: &str, mode: u32) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn path_is_preferred_to_the_unpacked_folder() {
        let root = tempfile::tempdir().unwrap();
        let unpacked = root.path().join(PROMETHEUS_UNPACKED);
        place(&unpacked, "prometheus", 0o755);
        let promtool = place(&unpacked, "promtool", 0o755);
        let bin = root.path().join("bin");
        let prometheus = place(&bin, "prometheus", 0o755);
        let found = folders(Some(bin.as_os_str()), &[root.path().to_owned()], PROMETHEUS_UNPACKED);
        let programs = Programs::find_in(None, found).unwrap();
        assert_eq!(programs, Programs { prometheus, promtool });
    }

    #[test]
    fn promtool_is_taken_from_beside_the_prometheus_that_was_named() {
        let root = tempfile::tempdir().unwrap();
        let named = place(&root.path().join("named"), "prometheus-3", 0o755);
        let beside = place(&root.path().join("named"), "promtool", 0o755);
        place(&root.path().join("bin"), "promtool", 0o755);
        let programs = Programs::find_in(Some(&named), vec![root.path().join("bin")]).unwrap();
        assert_eq!(programs.promtool, beside);
    }

    #[test]
    fn a_program_that_was_named_is_not_looked_for_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        for name in ["prometheus", "promtool"] {
            place(root.path(), name, 0o755);
        }
        let missing = root.path().join("missing");
        let folders = vec![root.path().to_owned()];
        assert!(Programs::find_in(Some(&missing), folders.clone()).is_err());
        assert!(Programs::find_in(None, folders).is_ok());
    }

    #[test]
    fn a_file_that_cannot_be_run_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        place(root.path(), "prometheus", 0o644);
        let error = Programs::find_in(None, vec![root.path().to_owned()]).unwrap_err();
        assert!(matches!(error, DemoError::ProgramMissing { program: "prometheus", .. }));
    }

    #[test]
    fn the_error_says_where_it_looked_and_what_to_install() {
        let error = Programs::find_in(None, vec!["/nowhere/bin".into()]).unwrap_err().to_string();
        for part in ["/nowhere/bin/prometheus", "apt-get install prometheus", "--prometheus FILE"] {
            assert!(error.contains(part), "{error}");
        }
        let error = redis_server_in(None, &["/nowhere/bin".into()]).unwrap_err().to_string();
        for part in ["/nowhere/bin/redis-server", "apt-get install redis-server", "--redis FILE"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_current_folder_in_path_is_not_searched() {
        assert!(folders(Some(OsStr::new(":.:bin")), &[], REDIS_UNPACKED).is_empty());
    }
}
