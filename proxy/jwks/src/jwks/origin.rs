//! Where keys are loaded from.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

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
    /// A key set without any key that can be used counts as a failure: a provider that empties its
    /// set by mistake is more likely than one that wants all of its tokens refused, and the old
    /// keys end with `stale_max` all the same.
    #[error("the key set {place} has no key that can be used{}", listed(.rejected))]
    NoUsableKey {
        /// Where it is, as in `at https://…` or `in the file …`.
        place: Arc<str>,
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
    File(PathBuf),
}

impl Origin {
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
            Self::File(path) => {
                let read = read(path.clone()).await;
                let json =
                    read.map_err(|fault| LoadError::File { path: path.as_path().into(), fault })?;
                let value = usable(&json, || format!("in the file `{}`", path.display()).into())?;
                Ok(Loaded { value, lifetime: FILE_INTERVAL })
            }
        }
    }
}

/// Reads a key set and wants at least one key that can be used.
pub(super) fn usable(json: &[u8], place: impl FnOnce() -> Arc<str>) -> Result<Snapshot, LoadError> {
    let keys = match KeySet::parse(json) {
        Ok(keys) => keys,
        Err(fault) => return Err(LoadError::Keys { place: place(), fault }),
    };
    if keys.keys().is_empty() {
        let rejected = keys.rejected().to_vec();
        return Err(LoadError::NoUsableKey { place: place(), rejected });
    }
    Ok(Snapshot { generation: 1, keys })
}

/// Reads the file that the path leads to now.
async fn read(path: PathBuf) -> Result<Vec<u8>, FileFault> {
    let reading = tokio::task::spawn_blocking(move || {
        // Opening a pipe would wait for whoever writes to it.
        let kind = std::fs::metadata(&path).map_err(FileFault::Io)?.file_type();
        if !kind.is_file() {
            return Err(FileFault::NotAFile);
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).map_err(FileFault::Io)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(FileFault::Io)?;
        let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_BYTES_MAX);
        if fits { Ok(bytes) } else { Err(FileFault::TooLarge) }
    });
    match tokio::time::timeout(FILE_TIMEOUT, reading).await {
        Ok(Ok(read)) => read,
        Ok(Err(stopped)) => Err(FileFault::Io(io::Error::other(stopped))),
        Err(_elapsed) => Err(FileFault::Slow),
    }
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
