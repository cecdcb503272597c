//! `promgate audit reveal`: under which pseudonym does somebody stand in the log?

use std::fmt;

use mcp_core::session::SessionId;
use serde_json::{Value, json};

use super::{AuditError, Facts, Keys, Log, grep::unreadable};
use crate::{
    access_log::{
        chain::{Fault, KeyId, Trust},
        pseudonym::{Meaning, Pseudonym},
    },
    enquiry::{Row, shown, table},
    field::Field,
};

/// Who or what is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// The subject of a token.
    Subject(String),
    /// The client of a token.
    ClientId(String),
    /// A group of a token.
    Group(String),
    /// An issuer of tokens.
    Issuer(String),
    /// A session.
    Session(SessionId),
}

impl Name {
    fn meaning(&self) -> (Meaning, Field) {
        match self {
            Self::Subject(_) => (Meaning::Subject, Field::Subject),
            Self::ClientId(_) => (Meaning::ClientId, Field::ClientId),
            Self::Group(_) => (Meaning::Group, Field::Groups),
            Self::Issuer(_) => (Meaning::Issuer, Field::Issuer),
            Self::Session(_) => (Meaning::Session, Field::Session),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Subject(text) | Self::ClientId(text) | Self::Group(text) | Self::Issuer(text) => {
                text
            }
            Self::Session(id) => id.as_str(),
        }
    }

    const fn needs_issuer(&self) -> bool {
        matches!(self, Self::Subject(_) | Self::ClientId(_) | Self::Group(_))
    }
}

/// One pseudonym.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    key: KeyId,
    issuer: String,
    pseudonym: Pseudonym,
    /// A rule of `fields.redact` makes it, not the form of identity.
    by_field: bool,
    records: u64,
}

/// What stands in the log in place of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revealed {
    field: Field,
    made: Vec<Made>,
    /// Records that hold the name in the clear. Not counted of sessions, which never do.
    clear: u64,
    /// A log was looked through.
    is_counted: bool,
    unread: Option<String>,
}

/// The pseudonyms of a name under each key, and how many records of the logs hold them.
///
/// An issuer names people, clients and groups; without one, each of the keys' configuration is tried.
///
/// # Errors
/// When no issuer is known, or a log cannot be read.
pub fn reveal(
    keys: &Keys,
    name: &Name,
    issuer: Option<&str>,
    logs: &[Log],
) -> Result<Revealed, AuditError> {
    let issuers: Vec<String> = match issuer {
        _ if !name.needs_issuer() => vec![String::new()],
        Some(issuer) => vec![issuer.to_owned()],
        None if keys.issuers().is_empty() => return Err(AuditError::NoIssuer),
        None => keys.issuers().to_vec(),
    };
    let (meaning, field) = name.meaning();
    let mut made = Vec::new();
    for issuer in &issuers {
        for (key, pseudonym) in keys.pseudonyms(meaning, issuer, name.text()) {
            made.push(Made { key, issuer: issuer.clone(), pseudonym, by_field: false, records: 0 });
        }
    }
    if field.kind().is_redactable() && !matches!(name, Name::Session(_)) {
        for (key, pseudonym) in keys.pseudonyms(Meaning::Field(field), "", name.text()) {
            made.push(Made { key, issuer: String::new(), pseudonym, by_field: true, records: 0 });
        }
    }
    let mut revealed =
        Revealed { field, made, clear: 0, is_counted: !logs.is_empty(), unread: None };
    for log in logs {
        revealed.count(log, name)?;
    }
    Ok(revealed)
}

impl Revealed {
    fn count(&mut self, log: &Log, name: &Name) -> Result<(), AuditError> {
        let mut reader = log.reader(Trust::default())?;
        while let Some(entry) = reader.read() {
            if let Some(Fault::Unreadable(kind)) = entry.fault {
                self.unread.get_or_insert_with(|| unreadable(entry.file, entry.line, kind));
                continue;
            }
            let Some(facts) = Facts::of(entry.text).filter(|_| entry.event.is_none()) else {
                continue;
            };
            for text in facts.texts(self.field) {
                self.clear += u64::from(**text == *name.text());
                for made in &mut self.made {
                    made.records += u64::from(**text == *made.pseudonym.as_str());
                }
            }
        }
        Ok(())
    }

    /// # Errors
    /// [`AuditError::Unread`] when a log could not be read to its end.
    pub fn verdict(self) -> Result<(), AuditError> {
        self.unread.map_or(Ok(()), |unread| Err(AuditError::Unread(unread)))
    }

    /// It for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let counted = |records: u64| self.is_counted.then_some(records);
        let made = |made: &Made| {
            json!({
                "key": made.key.to_string(),
                "pseudonym": made.pseudonym.as_str(),
                "issuer": Some(&made.issuer).filter(|issuer| !issuer.is_empty()),
                "made_by": if made.by_field { "fields.redact" } else { "identity" },
                "records": counted(made.records),
            })
        };
        json!({
            "field": self.field.name(),
            "pseudonyms": self.made.iter().map(made).collect::<Vec<_>>(),
            "clear_records": counted(self.clear),
        })
    }
}

impl fmt::Display for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Few redact a field that `identity` names anyhow.
        let is_told = |made: &&Made| !made.by_field || !self.is_counted || made.records > 0;
        let rows = self.made.iter().filter(is_told).map(|made| {
            let by = if made.by_field { "fields.redact" } else { "identity" };
            let issuer = if made.issuer.is_empty() { "-".to_owned() } else { shown(&made.issuer) };
            let mut cells = vec![
                made.key.to_string(),
                self.field.name().to_owned(),
                made.pseudonym.as_str().to_owned(),
                by.to_owned(),
                issuer,
            ];
            if self.is_counted {
                cells.push(made.records.to_string());
            }
            Row { cells, remark: None }
        });
        let header = ["key", "field", "pseudonym", "made by", "issuer", "records"];
        let columns = if self.is_counted { &header[..] } else { &header[..5] };
        f.write_str(&table(columns, rows))?;
        if self.is_counted && self.clear > 0 {
            writeln!(f, "{} records hold the name in the clear", self.clear)?;
        }
        Ok(())
    }
}
