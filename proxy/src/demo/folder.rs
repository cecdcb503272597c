//! The demo's temporary folder, and those that crashed demos left behind.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

/// What our folders' names begin with.
const PREFIX: &str = "promgate-demo-";

/// The file in each folder that its demo holds locked while it lives.
const LOCK: &str = "lock";

/// A folder younger than this is left alone: its demo may be about to lock it.
const SETTLED: Duration = Duration::from_secs(10);

/// A folder of one running demo, removed when dropped.
#[derive(Debug)]
pub(super) struct Folder {
    dir: TempDir,
    // The kernel lets go of the lock however the process ends, which a file with a pid cannot say.
    _lock: File,
}

impl Folder {
    /// Makes one in `parent`, after it removed those whose demos are gone.
    pub(super) fn create(parent: &Path) -> io::Result<Self> {
        sweep(parent, SystemTime::now());
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let lock = File::create(dir.path().join(LOCK))?;
        lock.try_lock()?;
        Ok(Self { dir, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes what crashed demos of this user left. A folder that resists does no harm, so failures
/// are passed over.
fn sweep(parent: &Path, now: SystemTime) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if ours && is_abandoned(&entry.path(), now) && fs::remove_dir_all(entry.path()).is_ok() {
            tracing::info!(folder = %entry.path().display(), "removed what a crashed demo left");
        }
    }
}

/// True when `folder` is ours to remove and no living demo holds its lock.
fn is_abandoned(folder: &Path, now: SystemTime) -> bool {
    let user = rustix::process::geteuid().as_raw();
    let owned = |found: fs::Metadata| found.is_dir() && found.uid() == user;
    let lock = folder.join(LOCK);
    let settled = |found: fs::Metadata| {
        found.is_file() && found.modified().is_ok_and(|made| made + SETTLED < now)
    };
    folder.symlink_metadata().is_ok_and(owned)
        && lock.symlink_metadata().is_ok_and(settled)
        && File::open(&lock).is_ok_and(|file| file.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_mins(1)
    }

    #[test]
    fn the_folder_goes_with_its_owner() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path()).unwrap();
        let path = folder.path().to_owned();
        fs::write(path.join("data"), "x").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_crash_left_is_removed_and_a_living_demo_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let living = Folder::create(parent.path()).unwrap();
        let stale = parent.path().join("promgate-demo-stale");
        fs::create_dir(&stale).unwrap();
        fs::write(stale.join(LOCK), "").unwrap();
        sweep(parent.path(), later());
        assert!(!stale.exists());
        assert!(living.path().exists());
    }

    #[test]
    fn what_is_not_known_to_be_ours_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["promgate-demo-without-lock", "other"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        fs::write(parent.path().join("other").join(LOCK), "").unwrap();
        std::os::unix::fs::symlink(
            parent.path().join("other"),
            parent.path().join("promgate-demo-link"),
        )
        .unwrap();
        let young = parent.path().join("promgate-demo-young");
        fs::create_dir(&young).unwrap();
        fs::write(young.join(LOCK), "").unwrap();
        sweep(parent.path(), SystemTime::now());
        assert!(parent.path().join("promgate-demo-without-lock").exists());
        assert!(parent.path().join("other").join(LOCK).exists());
        assert!(young.exists());
        sweep(parent.path(), later());
        assert!(parent.path().join("other").join(LOCK).exists(), "a link is never followed");
    }
}
