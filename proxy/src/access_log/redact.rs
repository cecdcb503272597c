//! What of a record is written, and in which form: the configuration's rules, worked out once.

mod arguments;
mod headers;
mod texts;

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::HeaderMap;
use mcp_core::call::QueryNotes;

use self::{arguments::ArgumentRules, headers::HeaderRules};
pub use self::{arguments::Arguments, headers::RuledHeaders};
pub(super) use self::{headers::Shown, texts::put_plain};
use super::{
    Field, Value,
    detect::{self, Findings},
    pseudonym::{Meaning, Pseudonym, Pseudonyms},
    short,
};
use crate::config::{self, Detectors, Queries, Redaction};

/// What stands for a value that is not shown. It tells neither its length nor any part of it.
pub(super) const MASK: &[u8] = b"***";

/// What is done with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Show,
    Redact(Redaction),
    Leave,
}

/// Tells the rules of one log from those of all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RulesId(u64);

impl RulesId {
    /// One that no others have.
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The rules of a log. `Debug` shows no key.
#[derive(Debug)]
pub struct Rules {
    id: RulesId,
    fields: [Rule; Field::COUNT],
    headers: HeaderRules,
    arguments: ArgumentRules,
    detectors: Detectors,
    queries: Queries,
    query_notes: QueryNotes,
    pseudonyms: Option<Arc<Pseudonyms>>,
}

/// Appends a text, at most so many bytes of it, in the way of a format.
pub(super) type Put = fn(&mut Vec<u8>, &[u8], usize);

impl Rules {
    /// Works out the rules. What is to be hashed is masked where there are no pseudonyms.
    #[must_use]
    pub fn new(config: &config::AccessLog, pseudonyms: Option<Arc<Pseudonyms>>) -> Self {
        let records = &config.records;
        let mut fields = [Rule::Show; Field::COUNT];
        for (rule, field) in fields.iter_mut().zip(Field::ALL) {
            let redacted = records.fields_redacted.iter().find(|(redacted, _)| redacted == field);
            *rule = match redacted {
                // Each format writes these itself, at its beginning.
                _ if field.is_fixed() => Rule::Leave,
                _ if !records.shows(*field) => Rule::Leave,
                Some((_, redaction)) if field.kind().is_redactable() => Rule::Redact(*redaction),
                Some(_) | None => Rule::Show,
            };
        }
        Self {
            id: RulesId::next(),
            fields,
            headers: HeaderRules::new(config),
            arguments: ArgumentRules::new(&records.arguments),
            detectors: records.detectors,
            queries: records.queries,
            query_notes: config.query_notes(),
            pseudonyms,
        }
    }

    /// `headers` as the rules let them be seen, for [`Record::headers`](super::Record::headers).
    #[must_use]
    pub fn headers<'a>(&'a self, headers: &'a HeaderMap) -> Option<RuledHeaders<'a>> {
        self.headers.apply(headers)
    }

    /// What makes pseudonyms, where there is an audit key.
    #[must_use]
    pub fn pseudonyms(&self) -> Option<&Pseudonyms> {
        self.pseudonyms.as_deref()
    }

    /// Whether, and how, PromQL is written.
    #[must_use]
    pub const fn queries(&self) -> Queries {
        self.queries
    }

    /// What is kept of the PromQL that a call asks.
    #[must_use]
    pub const fn query_notes(&self) -> QueryNotes {
        self.query_notes
    }

    /// Whether records hold the field, so that nobody need find out what is not written. Filters may want it all the same.
    #[must_use]
    pub fn shows(&self, field: Field) -> bool {
        field.is_fixed() || self.rule(field) != Rule::Leave
    }

    /// What tells them from all others.
    pub(super) const fn id(&self) -> RulesId {
        self.id
    }

    pub(super) fn rule(&self, field: Field) -> Rule {
        self.fields.get(field.index()).copied().unwrap_or(Rule::Leave)
    }

    /// Appends a client's text without what the detectors find.
    pub(super) fn put_client(&self, out: &mut Vec<u8>, text: &[u8], bytes_max: usize, put: Put) {
        if detect::is_plain(text, bytes_max) {
            return short::append(out, text);
        }
        // What is encoded for a URL is shown decoded where something is found in it only then.
        let decoded = detect::decoded(text, bytes_max);
        let found_in =
            |text: &Vec<u8>| Findings::in_text(text, bytes_max, self.detectors).is_some();
        let text = decoded.as_ref().filter(|text| found_in(text)).map_or(text, Vec::as_slice);
        let Some(findings) = Findings::in_text(text, bytes_max, self.detectors) else {
            return put(out, text, bytes_max);
        };
        // Places are those of the text as it came: what lies beyond was not looked at, however much is taken out.
        let mut from = 0;
        for found in findings.take_while(|found| found.start < bytes_max) {
            put(out, text.get(from..found.start).unwrap_or_default(), usize::MAX);
            put(out, found.mark.as_bytes(), usize::MAX);
            from = found.end;
        }
        let rest = text.get(from..).unwrap_or_default();
        put(out, rest, bytes_max.saturating_sub(from));
    }

    /// Like [`Rules::put_client`] for the text of a field. An id that looks like one is left as it is.
    pub(super) fn put_field(&self, out: &mut Vec<u8>, field: Field, text: &[u8], put: Put) {
        if is_id(field, text) {
            short::append(out, text);
        } else {
            self.put_client(out, text, field.bytes_max(), put);
        }
    }

    /// Appends what stands for a value that is not shown. It needs no escapes in any format.
    pub(super) fn put_redacted(
        &self,
        out: &mut Vec<u8>,
        (field, redaction): (Field, Redaction),
        value: Value<'_>,
    ) {
        let hash = |text: &[u8]| {
            let pseudonyms = self.pseudonyms.as_ref()?;
            Some(pseudonyms.of(Meaning::Field(field), "", text))
        };
        match value {
            Value::Client(text) => put_redacted(out, redaction, text, hash),
            Value::Text(text) => put_redacted(out, redaction, text.as_bytes(), hash),
            // The port is another one for each connection.
            Value::Socket(peer) => texts::with_address(peer.ip(), |text| {
                put_redacted(out, redaction, text, hash);
            }),
            Value::Address(address) => texts::with_address(address, |text| {
                put_redacted(out, redaction, text, hash);
            }),
            Value::Seat(node, _) => put_redacted(out, redaction, node.as_bytes(), hash),
            Value::Word(_)
            | Value::Number(_)
            | Value::Time(_)
            | Value::Span(_)
            | Value::List(_)
            | Value::ClientList(_)
            | Value::Headers(_)
            | Value::Arguments(_) => out.extend_from_slice(MASK),
        }
    }
}

/// Whether the text of a field is an id that looks like one.
fn is_id(field: Field, text: &[u8]) -> bool {
    matches!(field, Field::RequestId | Field::RpcId) && detect::is_id(text)
}

/// Whether nothing in the text of a field could have to be taken out, and it is written as it stands in every format.
pub(super) fn is_plain(field: Field, text: &[u8]) -> bool {
    is_id(field, text) || detect::is_plain(text, field.bytes_max())
}

fn put_redacted(
    out: &mut Vec<u8>,
    redaction: Redaction,
    text: &[u8],
    hash: impl Fn(&[u8]) -> Option<Pseudonym>,
) {
    match redaction {
        Redaction::Mask => out.extend_from_slice(MASK),
        Redaction::Hash => match hash(text) {
            Some(pseudonym) => out.extend_from_slice(pseudonym.as_str().as_bytes()),
            None => out.extend_from_slice(MASK),
        },
        // Writing into a `Vec` cannot fail.
        Redaction::Length => write!(out, "len:{}", text.len()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
