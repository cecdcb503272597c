//! What access records say.

use std::collections::BTreeMap;

use mcp_core::tools::TOOL_NAMES;

use super::Check;
use crate::{
    config::{
        ArgumentForm, Detectors, Identity, IdentityForm, Queries, Records, Redaction,
        ToolArguments, place::At, raw,
    },
    field::Field,
};

/// Most arguments of one tool. The tools have fewer.
const ARGUMENTS_MAX: usize = 32;

/// Least likeness of a name that is suggested, by Jaro-Winkler similarity.
const LIKENESS_MIN: f64 = 0.8;

const NAME_FIELD: &str =
    "name a field as docs/access-log.md and `promgate schema --access-log` list them";

impl Check<'_> {
    /// What records say; `has_keys` says that there is an audit key, of which pseudonyms are made.
    pub(super) fn records(&mut self, at: &At, raw: &raw::AccessLogs, has_keys: bool) -> Records {
        let raw::AccessLogs { fields, identity, arguments, detectors, queries, .. } = raw;
        let fields_at = at.key("fields");
        let included = self.fields(&fields_at.key("include"), &fields.include);
        let excluded = self.fields(&fields_at.key("exclude"), &fields.exclude);
        for (place, field) in &excluded {
            if field.is_fixed() {
                let what = "every record holds this field";
                self.faults.push(place, what, "remove it from the list");
            } else if included.iter().any(|(_, included)| included == field) {
                let what = "this field is in `include` too";
                self.faults.push(place, what, "keep it in one of the two lists");
            }
        }
        let bare = |list: Vec<(At, Field)>| list.into_iter().map(|(_, field)| field).collect();
        let mut records = Records {
            fields_included: bare(included),
            fields_excluded: bare(excluded),
            fields_redacted: Vec::new(),
            identity: self.identity(&at.key("identity"), identity, has_keys),
            arguments: self.arguments(&at.key("arguments"), arguments, has_keys),
            detectors: of_detectors(detectors),
            queries: match queries {
                raw::Queries::Off => Queries::Off,
                raw::Queries::Masked => Queries::Masked,
                raw::Queries::Clear => Queries::Clear,
            },
        };
        records.fields_redacted = self.redacted(&fields_at, fields, (&records, has_keys));
        records
    }

    fn fields(&mut self, at: &At, list: &[String]) -> Vec<(At, Field)> {
        let mut fields = Vec::new();
        for (place, name) in self.items(at, list) {
            if let Some(field) = self.field(&place, name) {
                fields.push((place, field));
            }
        }
        fields
    }

    fn field(&mut self, at: &At, name: &str) -> Option<Field> {
        let field = Field::of_name(name);
        if field.is_none() {
            let like = |field: &Field| strsim::jaro_winkler(field.name(), name);
            let likest = Field::ALL.iter().max_by(|a, b| like(a).total_cmp(&like(b)));
            let mend = match likest.filter(|field| like(field) >= LIKENESS_MIN) {
                Some(field) => format!("write `{}`, if you mean that", field.name()),
                None => NAME_FIELD.to_owned(),
            };
            self.faults.push(at, "a record has no such field", mend);
        }
        field
    }

    fn redacted(
        &mut self,
        fields_at: &At,
        raw: &raw::RecordFields,
        (records, has_keys): (&Records, bool),
    ) -> Vec<(Field, Redaction)> {
        let at = fields_at.key("redact");
        let mut redacted = Vec::new();
        for (name, form) in &raw.redact {
            let place = at.key(name);
            let Some(field) = self.field(&place, name) else { continue };
            if !field.kind().is_redactable() {
                self.faults.push(
                    &place,
                    "this field holds no text that could be masked, hashed or measured",
                    "remove it, or put it into `exclude`",
                );
            } else if !records.shows(field) {
                let what = "this field is not written by the other lists";
                self.faults.push(&place, what, "remove it here, or let it be written");
            }
            let form = redaction(*form);
            if form == Redaction::Hash {
                self.key_needed(&place, has_keys);
                if is_pseudonym(field, records.identity) {
                    self.faults.push(
                        &place,
                        "this field holds a pseudonym already, and of a pseudonym's pseudonym nobody finds the name again",
                        "remove it here",
                    );
                }
            }
            redacted.push((field, form));
        }
        redacted
    }

    fn identity(&mut self, at: &At, raw: &raw::RecordIdentity, has_keys: bool) -> Identity {
        let mut form = |key: &str, raw: raw::IdentityForm| match raw {
            raw::IdentityForm::Clear => IdentityForm::Clear,
            raw::IdentityForm::Off => IdentityForm::Off,
            raw::IdentityForm::Hashed => {
                self.key_needed(&at.key(key), has_keys);
                IdentityForm::Hashed
            }
        };
        Identity {
            issuer: form("issuer", raw.issuer),
            subject: form("subject", raw.subject),
            client_id: form("client_id", raw.client_id),
            groups: form("groups", raw.groups),
        }
    }

    fn arguments(
        &mut self,
        at: &At,
        raw: &BTreeMap<String, BTreeMap<String, raw::ArgumentForm>>,
        has_keys: bool,
    ) -> Vec<ToolArguments> {
        let mut of_tools = Vec::new();
        for (tool, raw) in raw {
            let place = at.key(tool);
            if !TOOL_NAMES.contains(&tool.as_str()) {
                let mend = format!("the tools are `{}`", TOOL_NAMES.join("`, `"));
                self.faults.push(&place, "there is no such tool", mend);
            }
            if raw.len() > ARGUMENTS_MAX {
                let what = format!("there are more than {ARGUMENTS_MAX} arguments");
                self.faults.push(&place, what, "name those that the tool has");
            }
            let mut arguments = Vec::new();
            for (name, form) in raw {
                let form = match form {
                    raw::ArgumentForm::Clear => ArgumentForm::Clear,
                    raw::ArgumentForm::Mask => ArgumentForm::Redacted(Redaction::Mask),
                    raw::ArgumentForm::Length => ArgumentForm::Redacted(Redaction::Length),
                    raw::ArgumentForm::Hash => {
                        self.key_needed(&place.key(name), has_keys);
                        ArgumentForm::Redacted(Redaction::Hash)
                    }
                };
                arguments.push((name.clone(), form));
            }
            of_tools.push(ToolArguments { tool: tool.clone(), arguments });
        }
        of_tools
    }

    fn key_needed(&mut self, at: &At, has_keys: bool) {
        if !has_keys {
            self.faults.push(
                at,
                "a pseudonym is made by an audit key, and there is none",
                "write `middleware.access_logs.audit.keys` or `key_files`, the same for all replicas, or take another form",
            );
        }
    }
}

/// Whether a field is written as a pseudonym without any rule for it.
fn is_pseudonym(field: Field, identity: Identity) -> bool {
    let named = [
        (Field::Session, IdentityForm::Hashed),
        (Field::Issuer, identity.issuer),
        (Field::Subject, identity.subject),
        (Field::ClientId, identity.client_id),
    ];
    named.contains(&(field, IdentityForm::Hashed))
}

const fn redaction(raw: raw::Redaction) -> Redaction {
    match raw {
        raw::Redaction::Mask => Redaction::Mask,
        raw::Redaction::Hash => Redaction::Hash,
        raw::Redaction::Length => Redaction::Length,
    }
}

fn of_detectors(list: &[raw::Detector]) -> Detectors {
    let on = |detector| list.contains(&detector);
    Detectors {
        jwt: on(raw::Detector::Jwt),
        key: on(raw::Detector::Key),
        email: on(raw::Detector::Email),
        card: on(raw::Detector::Card),
        entropy: on(raw::Detector::Entropy),
    }
}
