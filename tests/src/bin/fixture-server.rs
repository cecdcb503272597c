//! The fixture handler behind Promgate's own edge and workers.
//!
//! `fixture-server SETTINGS`, where SETTINGS is [`Settings`] as JSON. It logs `listening` with its
//! addresses on standard error, serves until SIGTERM or SIGINT, and ends as `promgate serve` does.

use std::{error::Error, process::ExitCode, sync::Arc};

use e2e::{fixture::Fixture, settings::Settings};
use mcp_core::{
    access::Edition,
    server::{Changes, Service},
};
use promgate::server;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let served = settings().and_then(|settings| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(serve(&settings))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn settings() -> Result<Settings, Box<dyn Error>> {
    let settings = std::env::args().nth(1).ok_or("usage: fixture-server SETTINGS")?;
    Ok(serde_json::from_str(&settings)?)
}

async fn serve(settings: &Settings) -> Result<(), Box<dyn Error>> {
    // Listened for first, so that a signal right after `listening` is not missed.
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let config = settings.config();
    let changes = Changes::default();
    let service = Arc::new(Service::new(Fixture::new(changes.clone()), changes));
    let metrics = server::metrics(&config, &[])?;
    let running = server::start(&config, (&service, Edition::default()), &metrics, None).await?;
    let admin = running.admin.ok_or("the settings have an admin listener")?;
    say(&format!("listening mcp=http://{}/mcp admin=http://{admin}", running.address));
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    let _calls_may_be_cut = running.stop().await;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the tests read it; there is no log to write it to")]
fn say(text: &str) {
    eprintln!("{text}");
}
