//! `promgate demo`: a real Prometheus behind the real edge, with something to ask about.
//!
//! The demo keeps a small imaginary shop. [`Backend::start`] writes three hours of its history,
//! starts Prometheus as a child over it, and serves the shop's present, so that the story goes on
//! for as long as the demo runs. [`Backend::config`] is what the edge is then started on;
//! [`ask`] puts one question to it and prints the answer, [`invite`] prints how to connect clients.
//!
//! Modules in their order: [`error`](DemoError); `programs` finds Prometheus and Redis; `folder` owns
//! what is written; `shop` is the story, `exporter` tells its present; [`child`] ties a process's life
//! to ours, `supervisor` keeps it running, `ready` waits for it; `settings` is the edge's
//! configuration; `prometheus` is the shop's history, `backend` what the edge stands before; `call`
//! asks, `clients` tells how to. `cluster` is the demo with several replicas: [`Cluster`].

mod error;

mod programs;

mod folder;

mod shop;

mod exporter;

pub mod child;

mod supervisor;

mod ready;

mod settings;

mod prometheus;

mod backend;

mod call;

mod clients;

mod cluster;

use std::{env, io::Write};

use clients::Setting;

pub use backend::{Backend, Options};
pub use cluster::{Cluster, ClusterOptions, Front};
pub use error::DemoError;
pub use settings::Listeners;

/// Asks one question through the edge at the backend's listeners, and prints it with its answer.
///
/// Waits for the edge to accept connections first, so it may be called while that starts.
///
/// # Errors
/// [`DemoError`] when the edge does not answer in time, when the call fails, or when `out` cannot
/// be written.
pub async fn ask(out: &mut (impl Write + Send), backend: &Backend) -> Result<(), DemoError> {
    let exchange = call::ask(&backend.listeners().endpoint()).await?;
    exchange.print(out).map_err(DemoError::Print)
}

/// Prints where everything is, and what to paste into which client.
///
/// The last line says that Ctrl-C ends the demo, so what makes that true must stand before.
///
/// # Errors
/// [`DemoError::Print`] when `out` cannot be written.
pub fn invite(out: &mut impl Write, backend: &Backend) -> Result<(), DemoError> {
    let setting = Setting {
        mcp: &backend.listeners().endpoint(),
        admin: backend.listeners().admin,
        busy: &backend.listeners().busy().collect::<Vec<_>>(),
        backend: backend.url(),
        executable: &env::current_exe().unwrap_or_else(|_| "promgate".into()),
        config_file: &backend.config_file(),
        access_log: &backend.access_log(),
    };
    setting.print(out).map_err(DemoError::Print)
}
