//! `promgate demo`: a real Prometheus behind the real edge, with something to ask about.
//!
//! The demo keeps a small imaginary shop. [`Backend::start`] writes three hours of its history,
//! starts Prometheus as a child over it, and serves the shop's present, so that the story goes on
//! for as long as the demo runs. [`config`] is what the edge is then started with, and [`show`]
//! asks one question through it and prints the answer and how to connect clients.
//!
//! Modules in their order: [`error`](DemoError); `programs` finds Prometheus; `folder` owns what is
//! written; `shop` is the story, `exporter` tells its present; [`child`] ties a process's life to
//! ours, `supervisor` keeps it running; `backend` puts these together; `settings` is the edge's
//! configuration; `call` asks, `clients` prints.

mod error;

mod programs;

mod folder;

mod shop;

mod exporter;

pub mod child;

mod supervisor;

mod backend;

mod settings;

mod call;

mod clients;

use std::{env, io::Write};

use clients::Setting;

pub use backend::{Backend, Options};
pub use error::DemoError;
pub use settings::{Listeners, config};

/// Asks one question through the edge, and prints it with its answer and the ways to connect.
///
/// Waits for the edge to accept connections first, so it may be called while that starts. The last
/// line says that Ctrl-C ends the demo, so what makes that true must stand before.
///
/// # Errors
/// [`DemoError`] when the edge does not answer in time, when the call fails, or when `out` cannot
/// be written.
pub async fn show(
    out: &mut (impl Write + Send),
    listeners: Listeners,
    backend: &Backend,
) -> Result<(), DemoError> {
    let mcp = listeners.endpoint();
    let exchange = call::ask(&mcp).await?;
    let setting = Setting {
        mcp: &mcp,
        backend: backend.url(),
        remarks: &listeners.remarks(),
        executable: &env::current_exe().unwrap_or_else(|_| "promgate".into()),
        stdio_config: &backend.stdio_config(),
    };
    exchange.print(out).and_then(|()| setting.print(out)).map_err(DemoError::Print)
}
