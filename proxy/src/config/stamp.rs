//! What tells one state of a file from another, without reading it.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    time::SystemTime,
};

/// The state of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

/// A file that a configuration was read from, or would have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Its state when it was opened to be read, so that no later change goes unnoticed; none if it is not there.
    pub stamp: Option<Stamp>,
}

impl Source {
    /// The file as it is now. Follows links, as Kubernetes swaps one to change a mounted file.
    #[must_use]
    pub fn now(&self) -> Self {
        let stamp = fs::metadata(&self.path).ok().as_ref().map(Stamp::from);
        Self { path: self.path.clone(), stamp }
    }
}

impl From<&Metadata> for Stamp {
    fn from(about: &Metadata) -> Self {
        Self { modified: about.modified().ok(), bytes: about.len(), inode: about.ino() }
    }
}
