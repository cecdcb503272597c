//! Keys of the access log, and of what its records say.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audit, Sink, Size, size};

/// The access log: one JSON line for each request. Headers appear only by the rules below.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AccessLogs {
    /// `stdout`, `off`, or the path of a file, which must hold a `/`. A relative path starts at
    /// the folder of the configuration file. It stands for a sink of that kind, and not beside
    /// `sinks`; `stdout` when both are absent.
    pub(crate) output: Option<String>,
    /// The places to which records go, each with a queue of its own.
    pub(crate) sinks: Vec<Sink>,
    /// What makes the log fit for an audit: keys and checkpoints.
    pub(crate) audit: Audit,
    /// Request headers that are written in the clear.
    pub(crate) included_headers: Vec<String>,
    /// Request headers that never appear, not even masked.
    pub(crate) excluded_headers: Vec<String>,
    /// Request headers that are recorded as present, with the value masked whole.
    pub(crate) redacted_headers: Vec<String>,
    /// Which fields a record holds, and in which form.
    pub(crate) fields: RecordFields,
    /// How the caller is named.
    pub(crate) identity: RecordIdentity,
    /// Arguments that are written, by tool and argument: `clear`, `mask`, `hash` (which needs an audit key) or
    /// `length`. What is not named never appears.
    pub(crate) arguments: BTreeMap<String, BTreeMap<String, ArgumentForm>>,
    /// What is taken out of a client's text that is written in the clear.
    pub(crate) detectors: Vec<Detector>,
    /// Whether PromQL is written: `masked` without its label values, or `clear`. Its fingerprint and the names in it
    /// are written all the same, unless `fields` leaves them out.
    pub(crate) queries: Queries,
    /// Bytes of records that may wait to be written. What a sink does with more is said by its `when_full`; without
    /// `sinks` it is dropped and counted.
    pub(crate) queue_bytes_max: Size,
}

impl Default for AccessLogs {
    fn default() -> Self {
        Self {
            output: None,
            sinks: Vec::new(),
            audit: Audit::default(),
            included_headers: Vec::new(),
            excluded_headers: Vec::new(),
            redacted_headers: Vec::new(),
            fields: RecordFields::default(),
            identity: RecordIdentity::default(),
            arguments: BTreeMap::new(),
            detectors: Detector::ALL.into(),
            queries: Queries::default(),
            queue_bytes_max: size("8MiB"),
        }
    }
}

/// Fields of a record, by their names in JSON; docs/access-log.md lists them.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RecordFields {
    /// Fields that are written; when empty, all.
    pub(crate) include: Vec<String>,
    /// Fields that are not written.
    pub(crate) exclude: Vec<String>,
    /// Fields that are written in another form: `mask`, `hash` (a pseudonym, which needs an audit key) or `length`.
    pub(crate) redact: BTreeMap<String, Redaction>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Redaction {
    Mask,
    Hash,
    Length,
}

/// How the caller is named: `clear`, `hashed` (a pseudonym, which needs an audit key) or `off`.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RecordIdentity {
    /// Issuer of the token.
    pub(crate) issuer: IdentityForm,
    /// Subject of the token.
    pub(crate) subject: IdentityForm,
    /// Client of the token.
    pub(crate) client_id: IdentityForm,
    /// Groups of the caller.
    pub(crate) groups: IdentityForm,
}

impl Default for RecordIdentity {
    fn default() -> Self {
        let clear = IdentityForm::Clear;
        Self { issuer: clear, subject: clear, client_id: clear, groups: IdentityForm::Off }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum IdentityForm {
    Clear,
    Hashed,
    Off,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ArgumentForm {
    Clear,
    Mask,
    Hash,
    Length,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Detector {
    Jwt,
    Key,
    Email,
    Card,
    Entropy,
}

impl Detector {
    pub(crate) const ALL: [Self; 5] =
        [Self::Jwt, Self::Key, Self::Email, Self::Card, Self::Entropy];
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Queries {
    #[default]
    Off,
    Masked,
    Clear,
}
