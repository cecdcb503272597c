//! Where keys are loaded from.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Semaphore;

use super::Snapshot;
use crate::{
    key::{KeySet, KeySetError, RejectedKey},
    live::{Load, Loaded, Pace},
    source::Terms,
};

#[cfg(feature = "fetch")]
mod web;

#[cfg(feature = "fetch")]
pub(super) use self::web::Web;

/// Largest key file read, in bytes: as large as a fetched document may be.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// How often a file is read. It is small and mostly in the page cache; comparing what it holds
/// sees every change, which times and sizes do not: a Kubernetes secret is a link to a link.
const FILE_INTERVAL: Duration = Duration::from_secs(2);

/// Longest time that reading a file may take: network file systems hang.
const FILE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why keys could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The keys did not come.
    #[cfg(feature = "fetch")]
    #[error("the keys did not come")]
    Fetch(#[source] crate::fetch::FetchError),
    /// It is not known where the keys are.
    #[cfg(feature = "fetch")]
    #[error(transparent)]
    Discovery(#[from] crate::discovery::DiscoveryError),
    /// The file cannot be read.
    #[error("the key file `{}` cannot be read", .path.display())]
    File {
        /// The file.
        path: Arc<Path>,
        /// Why.
        #[source]
        fault: FileFault,
    },
    /// What came is no key set.
    #[error("the key set {place} cannot be used")]
    Keys {
        /// Where it is, as in `at https://…` or `in the file …`.
        place: Arc<str>,
        /// Why.
        #[source]
        fault: KeySetError,
    },
    /// Text without any key that can be used is a mistake, as it never changes. A provider or a
    /// file may have none: its keys may all have been withdrawn, and then none may count any more.
    #[error("the key set in the configuration has no key that can be used{}", listed(.rejected))]
    NoUsableKey {
        /// What it has instead.
        rejected: Vec<RejectedKey>,
    },
}

/// Why a key file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// The system says why.
    #[error("check the path and that this user may read it")]
    Io(#[source] io::Error),
    /// A pipe, a folder, a device.
    #[error("it is no regular file; name one")]
    NotAFile,
    /// Too large.
    #[error("it is larger than {FILE_BYTES_MAX} bytes; is it the right file?")]
    TooLarge,
    /// It takes too long.
    #[error("reading it takes longer than {} s; is its file system there?", FILE_TIMEOUT.as_secs())]
    Slow,
}

/// Where keys are loaded from.
#[derive(Debug)]
pub(super) enum Origin {
    #[cfg(feature = "fetch")]
    Web(Box<Web>),
    File(KeyFile),
}

/// A key file.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    /// One place for one thread that reads: reading cannot be called off, and while a file system
    /// hangs, each attempt would take another thread of the pool that everything shares.
    place: Arc<Semaphore>,
}

impl Origin {
    /// Keys in a file.
    pub(super) fn file(path: PathBuf) -> Self {
        Self::File(KeyFile { path, place: Arc::new(Semaphore::new(1)) })
    }

    /// The times to keep for a file.
    pub(super) fn file_pace(terms: &Terms) -> Pace {
        Pace {
            stale_max: Some(terms.stale_max),
            retry_max: FILE_INTERVAL,
            load_timeout: FILE_TIMEOUT,
        }
    }
}

impl Load for Origin {
    type Value = Snapshot;
    type Error = LoadError;

    async fn load(&self) -> Result<Loaded<Snapshot>, LoadError> {
        match self {
            #[cfg(feature = "fetch")]
            Self::Web(web) => web.load().await,
            Self::File(file) => {
                let path = &file.path;
                let wanted = path.clone();
                let json = (file.reading(move || read(&wanted)).await)
                    .map_err(|fault| LoadError::File { path: path.as_path().into(), fault })?;
                let value = parsed(&json, || format!("in the file `{}`", path.display()).into())?;
                Ok(Loaded { value, lifetime: FILE_INTERVAL })
            }
        }
    }
}

impl KeyFile {
    /// Runs a reader on a thread that may wait, unless the last one is still at it.
    async fn reading<R>(&self, reader: R) -> Result<Vec<u8>, FileFault>
    where
        R: FnOnce() -> Result<Vec<u8>, FileFault> + Send + 'static,
    {
        let place = Arc::clone(&self.place).try_acquire_owned();
        let place = place.map_err(|_taken| FileFault::Slow)?;
        let reading = tokio::task::spawn_blocking(move || {
            let read = reader();
            drop(place);
            read
        });
        match tokio::time::timeout(FILE_TIMEOUT, reading).await {
            Ok(Ok(read)) => read,
            Ok(Err(stopped)) => Err(FileFault::Io(io::Error::other(stopped))),
            Err(_elapsed) => Err(FileFault::Slow),
        }
    }
}

/// Reads a key set from text that never changes, and wants at least one key that can be used.
pub(super) fn fixed(json: &[u8]) -> Result<Snapshot, LoadError> {
    let snapshot = parsed(json, || "in the configuration".into())?;
    if snapshot.keys.keys().is_empty() {
        return Err(LoadError::NoUsableKey { rejected: snapshot.keys.rejected().to_vec() });
    }
    Ok(snapshot)
}

/// Reads a key set, which may have no key that can be used.
fn parsed(json: &[u8], place: impl FnOnce() -> Arc<str>) -> Result<Snapshot, LoadError> {
    match KeySet::parse(json) {
        Ok(keys) => {
            let useless = keys.keys().is_empty().then(|| {
                let place = place();
                let instead = listed(keys.rejected());
                format!("the key set {place} has no key that can be used{instead}")
            });
            Ok(Snapshot { generation: 1, keys, useless })
        }
        Err(fault) => Err(LoadError::Keys { place: place(), fault }),
    }
}

/// Reads the file that the path leads to now.
fn read(path: &Path) -> Result<Vec<u8>, FileFault> {
    // Opening a pipe would wait for whoever writes to it.
    let kind = std::fs::metadata(path).map_err(FileFault::Io)?.file_type();
    if !kind.is_file() {
        return Err(FileFault::NotAFile);
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(FileFault::Io)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(FileFault::Io)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_BYTES_MAX);
    if fits { Ok(bytes) } else { Err(FileFault::TooLarge) }
}

/// `: 2 rejected (symmetric, too_small)`
fn listed(rejected: &[RejectedKey]) -> String {
    if rejected.is_empty() {
        return "; it is empty".to_owned();
    }
    let mut words: Vec<&str> = rejected.iter().map(|key| key.reason.word()).collect();
    words.sort_unstable();
    words.dedup();
    format!(": {} rejected ({})", rejected.len(), words.join(", "))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn while_a_read_hangs_no_second_one_is_started() {
        let file = KeyFile { path: PathBuf::new(), place: Arc::new(Semaphore::new(1)) };
        let (release, released) = mpsc::channel::<()>();
        let hanging = file.reading(move || {
            assert!(released.recv().is_err(), "the other end was dropped");
            Ok(Vec::new())
        });
        let (hung, ()) = tokio::join!(hanging, advance(FILE_TIMEOUT));
        assert!(matches!(hung, Err(FileFault::Slow)), "{hung:?}");
        for _ in 0..3 {
            let refused = file.reading(|| panic!("a second thread")).await;
            assert!(matches!(refused, Err(FileFault::Slow)), "{refused:?}");
        }
        drop(release);
        let ended = file.place.acquire();
        drop(tokio::time::timeout(FILE_TIMEOUT, ended).await.unwrap().unwrap());
        assert_eq!(file.reading(|| Ok(vec![7])).await.unwrap(), [7]);
    }
}
