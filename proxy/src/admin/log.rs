//! What an operator sees of the program's own log, and changes.

use http::{Method, StatusCode};
use pingora::protocols::http::ServerSession;
use serde::{Deserialize, Serialize};

use super::{AdminState, Answer, operator};
use crate::{
    config::LogFormat,
    telemetry::{self, Chosen, Log},
};

/// Path of the log.
pub(super) const LOG: &str = "/admin/log";

/// Methods that it takes.
pub(super) const METHODS: &str = "GET, PUT";

/// What is logged.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    chosen: Chosen,
    format: &'static str,
}

/// What is to be logged.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// A filter; null takes back what an operator has said.
    level: Option<String>,
}

/// Shows what is logged, or changes it.
pub(super) async fn answer(session: &mut ServerSession, state: &AdminState) -> Answer {
    if let Err(refused) = operator::check(session, state) {
        return refused;
    }
    let Some(log) = telemetry::log() else {
        return Answer::plain(StatusCode::SERVICE_UNAVAILABLE, "the log is not set up\n");
    };
    match session.req_header().method {
        Method::GET => shown(log, log.chosen()),
        Method::PUT => match operator::body(session).await {
            Ok(body) => change(log, &body),
            Err(refused) => refused,
        },
        _ => Answer::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and PUT\n"),
    }
}

fn change(log: &Log, body: &[u8]) -> Answer {
    let Ok(Wanted { level }) = serde_json::from_slice(body) else {
        let form = "send {\"level\": \"info,promgate=debug\"}, or null to go back\n";
        return Answer::plain(StatusCode::BAD_REQUEST, form);
    };
    match log.operate(level.as_deref()) {
        Ok(chosen) => {
            tracing::info!(level = %chosen.level, "an operator changed what is logged");
            shown(log, chosen)
        }
        Err(error) => {
            let why = format!("{error}; write a level, or pairs as in `info,promgate=debug`\n");
            Answer::plain(StatusCode::BAD_REQUEST, &why)
        }
    }
}

fn shown(log: &Log, chosen: Chosen) -> Answer {
    let format = match log.format() {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    Answer::json(StatusCode::OK, &Shown { chosen, format })
}
