//! What the demo's edge stands before: Prometheus, and the configuration that names it.

use std::{fs, path::PathBuf};

use url::Url;

use super::{
    error::DemoError,
    folder::Folder,
    programs::Programs,
    prometheus::Prometheus,
    settings::{ACCESS_LOG, Listeners, config_text},
};
use crate::config::{self, Config, ProcessEnvironment};

/// The name of Promgate's config in the folder.
const CONFIG: &str = "promgate.yaml";

/// What [`Backend::start`] needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `prometheus` to run, where the user named one.
    pub prometheus: Option<PathBuf>,
    /// The edge's listeners; Prometheus scrapes the second.
    pub listeners: Listeners,
}

/// The demo's Prometheus. Dropping it ends the process and removes all that was written.
#[derive(Debug)]
pub struct Backend {
    // Dropped in this order: nothing may be written to the folder any more when it goes.
    prometheus: Prometheus,
    folder: Folder,
    listeners: Listeners,
}

impl Backend {
    /// Finds Prometheus, writes the shop's past, starts both and waits until questions are
    /// answered, which takes a second or two. Blocks.
    ///
    /// # Errors
    /// [`DemoError`] when a program is missing or fails, or the temporary folder cannot be written.
    pub fn start(options: &Options) -> Result<Self, DemoError> {
        let programs = Programs::find(options.prometheus.as_deref())?;
        let folder = Folder::create(&std::env::temp_dir()).map_err(DemoError::Folder)?;
        let listeners = options.listeners;
        let prometheus = Prometheus::start(&programs, folder.path(), &[listeners.admin])?;
        let config = config_text(prometheus.url(), listeners);
        fs::write(folder.path().join(CONFIG), config).map_err(DemoError::Folder)?;
        Ok(Self { prometheus, folder, listeners })
    }

    /// Where Prometheus answers.
    pub(super) fn url(&self) -> &Url {
        self.prometheus.url()
    }

    /// What to start the edge on, with this Prometheus as its backend.
    ///
    /// # Errors
    /// [`DemoError::Config`] when the demo's own file is refused, which no input brings about.
    pub fn config(&self) -> Result<Config, DemoError> {
        Ok(config::load(&self.config_file(), &ProcessEnvironment)?)
    }

    /// The file with that configuration; `promgate stdio` can be started on it too. It exists as
    /// long as this does.
    pub(super) fn config_file(&self) -> PathBuf {
        self.folder.path().join(CONFIG)
    }

    /// The file in which each request leaves its line.
    pub(super) fn access_log(&self) -> PathBuf {
        self.folder.path().join(ACCESS_LOG)
    }

    /// The edge's listeners, as given to [`Backend::start`].
    pub(super) fn listeners(&self) -> Listeners {
        self.listeners
    }
}
