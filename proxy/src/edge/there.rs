//! What another replica knows of a request that it served for us, so that both records say the same.

use std::time::Duration;

use mcp_core::{
    call::{Call, Noted},
    server::Client,
};
use serde::{Deserialize, Serialize};

use super::context::Context;

/// Largest form of it that travels, in bytes: what is larger goes without the names and the text of the query.
const BYTES_MAX: usize = 4096;

/// Facts of a request, as one replica tells another. All that is missing is not known.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct There {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) backend: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tenant: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fingerprint: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    form: Option<Box<str>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) metrics: Box<[Box<str>]>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) functions: Box<[Box<str>]>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) labels: Box<[Box<str>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) query: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) range: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rows_total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncation: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protocol_version: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_version: Option<Box<str>>,
}

impl There {
    /// What is known here of a request.
    fn of(noted: Noted<'_>, client: Option<&Client>) -> Self {
        let text = |text: Option<&str>| text.map(Into::into);
        let names = |of: fn(&mcp_core::promql::Shape) -> &Box<[Box<str>]>| {
            noted.shape.map(|shape| of(shape).clone()).unwrap_or_default()
        };
        Self {
            backend: text(noted.backend),
            tenant: text(noted.tenant),
            status: noted.upstream_status,
            time: noted.upstream_time,
            retries: noted.retries,
            fingerprint: text(noted.fingerprint),
            form: text(noted.query_form.map(mcp_core::promql::Form::label)),
            metrics: names(|shape| &shape.metrics),
            functions: names(|shape| &shape.functions),
            labels: names(|shape| &shape.labels),
            query: text(noted.query),
            range: noted.range,
            step: noted.step,
            rows: noted.rows,
            rows_total: noted.rows_total,
            bytes: noted.bytes,
            truncation: text(noted.truncation.map(mcp_core::call::Truncation::label)),
            protocol_version: text(client.map(Client::protocol_version)),
            client_name: text(client.and_then(Client::name)),
            client_version: text(client.and_then(Client::version)),
        }
    }

    /// What is known of a request, as it travels; none where nothing is known.
    pub(super) fn written(context: &Context) -> Option<Vec<u8>> {
        let (call, client) = (context.call.as_ref(), context.client.as_ref());
        if call.is_none() && client.is_none() {
            // Passed on once more: as it came.
            let there = context.there.as_deref()?;
            return serde_json::to_vec(there).ok();
        }
        let mut there = Self::of(call.map(Call::notes).unwrap_or_default(), client);
        let written = serde_json::to_vec(&there).ok()?;
        if written.len() <= BYTES_MAX {
            return Some(written);
        }
        (there.metrics, there.functions, there.labels) = Default::default();
        there.query = None;
        serde_json::to_vec(&there).ok()
    }

    /// Reads what another replica wrote. What cannot be read says nothing.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn form(&self) -> Option<&'static str> {
        word(self.form.as_deref(), &["parsed", "lexical"])
    }

    pub(super) fn truncation(&self) -> Option<&'static str> {
        word(self.truncation.as_deref(), &["size", "limit", "page"])
    }
}

/// Our own word of that text.
fn word(text: Option<&str>, words: &[&'static str]) -> Option<&'static str> {
    words.iter().find(|word| Some(**word) == text).copied()
}
