//! Keys of what access records say.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
