//! What access records say, in checked form.

use mcp_core::{call::QueryNotes, secret::Secret};

use super::AccessLog;
use crate::field::Field;

impl AccessLog {
    /// Whether records go anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.sinks.is_empty()
    }

    /// What seals records and makes pseudonyms.
    #[must_use]
    pub fn audit_keys(&self) -> &[Secret] {
        &self.audit.keys
    }

    /// What calls keep of the PromQL that they ask.
    #[must_use]
    pub fn query_notes(&self) -> QueryNotes {
        if self.is_on() { self.records.query_notes() } else { QueryNotes::Off }
    }
}

/// What access records say, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// Fields that are written; when empty, all. Those that every record holds need not be named.
    pub fields_included: Vec<Field>,
    /// Fields that are not written.
    pub fields_excluded: Vec<Field>,
    /// Fields that are written in another form.
    pub fields_redacted: Vec<(Field, Redaction)>,
    /// How the caller is named.
    pub identity: Identity,
    /// Arguments of tools that are written. No other appears.
    pub arguments: Vec<ToolArguments>,
    /// What is looked for in a client's text, to be taken out.
    pub detectors: Detectors,
    /// Whether, and how, PromQL is written.
    pub queries: Queries,
}

impl Default for Records {
    /// As where nothing is configured.
    fn default() -> Self {
        Self {
            fields_included: Vec::new(),
            fields_excluded: Vec::new(),
            fields_redacted: Vec::new(),
            identity: Identity::default(),
            arguments: Vec::new(),
            detectors: Detectors::ALL,
            queries: Queries::Off,
        }
    }
}

impl Records {
    /// Whether the field is written.
    #[must_use]
    pub fn shows(&self, field: Field) -> bool {
        let included = self.fields_included.is_empty() || self.fields_included.contains(&field);
        field.is_fixed() || (included && !self.fields_excluded.contains(&field))
    }

    fn query_notes(&self) -> QueryNotes {
        let query = self.shows(Field::Query);
        match self.queries {
            Queries::Masked if query => return QueryNotes::Masked,
            Queries::Clear if query => return QueryNotes::Clear,
            Queries::Off | Queries::Masked | Queries::Clear => {}
        }
        let of_shape = [
            Field::QueryFingerprint,
            Field::QueryForm,
            Field::QueryMetrics,
            Field::QueryFunctions,
            Field::QueryLabels,
        ];
        let shape = of_shape.into_iter().any(|field| self.shows(field));
        if shape { QueryNotes::Shape } else { QueryNotes::Off }
    }

    /// Whether something is written as a pseudonym, which needs an audit key. That of a session is written where there
    /// is one, and left out where there is none.
    #[must_use]
    pub fn need_pseudonyms(&self) -> bool {
        let Identity { issuer, subject, client_id, groups } = self.identity;
        let hash = Redaction::Hash;
        [issuer, subject, client_id, groups].contains(&IdentityForm::Hashed)
            || self.fields_redacted.iter().any(|(_, form)| *form == hash)
            || self.arguments.iter().any(|tool| {
                tool.arguments.iter().any(|(_, form)| *form == ArgumentForm::Redacted(hash))
            })
    }
}

/// A form that shows less than the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redaction {
    /// `***`: that there is a value.
    Mask,
    /// A pseudonym: which of two values are equal.
    Hash,
    /// How many bytes it has.
    Length,
}

/// How the caller is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Issuer of the token.
    pub issuer: IdentityForm,
    /// Subject of the token.
    pub subject: IdentityForm,
    /// Client of the token.
    pub client_id: IdentityForm,
    /// Groups of the caller.
    pub groups: IdentityForm,
}

impl Default for Identity {
    fn default() -> Self {
        let clear = IdentityForm::Clear;
        Self { issuer: clear, subject: clear, client_id: clear, groups: IdentityForm::Off }
    }
}

/// How a part of the caller's identity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityForm {
    /// As the token says it.
    Clear,
    /// As a pseudonym.
    Hashed,
    /// Not at all.
    Off,
}

/// Arguments of one tool that are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolArguments {
    /// The tool.
    pub tool: String,
    /// Each argument with its form.
    pub arguments: Vec<(String, ArgumentForm)>,
}

/// How an argument is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentForm {
    /// As it is, but for what the detectors find.
    Clear,
    /// In a form that shows less.
    Redacted(Redaction),
}

/// What is looked for in a client's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detectors {
    /// JSON Web Tokens.
    pub jwt: bool,
    /// Private keys, API keys of known makers, passwords beside their names.
    pub key: bool,
    /// E-mail addresses.
    pub email: bool,
    /// Numbers of payment cards.
    pub card: bool,
    /// Texts that look random.
    pub entropy: bool,
}

impl Detectors {
    /// All of them.
    pub const ALL: Self = Self { jwt: true, key: true, email: true, card: true, entropy: true };

    /// None of them.
    pub const NONE: Self =
        Self { jwt: false, key: false, email: false, card: false, entropy: false };
}

/// Whether, and how, PromQL is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queries {
    /// Not at all. Its shape and its fingerprint are written all the same.
    Off,
    /// With its label values masked.
    Masked,
    /// As it was asked, but for what the detectors find.
    Clear,
}
