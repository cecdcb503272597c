//! Who calls, as far as the configuration lets it be seen.

use std::{fmt, sync::Arc};

use mcp_core::principal::Principal;

use super::pseudonym::{Meaning, Pseudonyms};
use crate::config::{self, IdentityForm};

/// Most groups of a caller that a record names.
const GROUPS_MAX: usize = 32;

/// A caller as records name it. It is worked out once for each token, and kept with it.
#[derive(Clone, Default)]
pub struct Identity {
    /// Issuer of the token.
    pub issuer: Option<Box<str>>,
    /// Subject of the token.
    pub subject: Option<Box<str>>,
    /// Client of the token.
    pub client_id: Option<Box<str>>,
    /// Groups, at most 32.
    pub groups: Box<[Box<str>]>,
}

/// Names callers as the configuration says.
#[derive(Debug, Clone)]
pub struct Identities {
    forms: config::Identity,
    pseudonyms: Option<Arc<Pseudonyms>>,
}

impl Identities {
    /// By these rules. What is to be hashed is left out where there are no pseudonyms.
    #[must_use]
    pub const fn new(forms: config::Identity, pseudonyms: Option<Arc<Pseudonyms>>) -> Self {
        Self { forms, pseudonyms }
    }

    /// Names nobody: for a process without an access log.
    #[must_use]
    pub const fn none() -> Self {
        let off = IdentityForm::Off;
        let forms = config::Identity { issuer: off, subject: off, client_id: off, groups: off };
        Self { forms, pseudonyms: None }
    }

    /// The caller as records name it.
    #[must_use]
    pub fn of(&self, principal: &Principal) -> Identity {
        let Principal { issuer, subject, client_id, groups, scopes: _ } = principal;
        let config::Identity {
            issuer: issuer_form,
            subject: subject_form,
            client_id: id_form,
            groups: groups_form,
        } = self.forms;
        let named = |form, meaning, text: &str| self.named(form, (meaning, issuer), text);
        Identity {
            issuer: self.named(issuer_form, (Meaning::Issuer, ""), issuer),
            subject: named(subject_form, Meaning::Subject, subject),
            client_id: client_id
                .as_deref()
                .and_then(|client_id| named(id_form, Meaning::ClientId, client_id)),
            groups: groups
                .iter()
                .take(GROUPS_MAX)
                .filter_map(|group| named(groups_form, Meaning::Group, group))
                .collect(),
        }
    }

    fn named(
        &self,
        form: IdentityForm,
        (meaning, issuer): (Meaning, &str),
        text: &str,
    ) -> Option<Box<str>> {
        if text.is_empty() {
            return None;
        }
        match form {
            IdentityForm::Clear => Some(text.into()),
            IdentityForm::Hashed => {
                let pseudonyms = self.pseudonyms.as_ref()?;
                Some(pseudonyms.of(meaning, issuer, text.as_bytes()).as_str().into())
            }
            IdentityForm::Off => None,
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::secret::Secret;

    use super::*;

    fn alice() -> Principal {
        Principal {
            issuer: "https://idp".into(),
            subject: "alice@example.com".into(),
            client_id: Some("grafana".into()),
            groups: vec!["sre".to_owned(), "dev".to_owned()],
            scopes: vec!["metrics".to_owned()],
        }
    }

    fn forms(form: IdentityForm) -> config::Identity {
        config::Identity { issuer: form, subject: form, client_id: form, groups: form }
    }

    fn pseudonyms() -> Arc<Pseudonyms> {
        Arc::new(Pseudonyms::new(&[Secret::new("k".repeat(32))]).unwrap())
    }

    #[test]
    fn each_part_is_clear_hashed_or_off() {
        let clear = Identities::new(forms(IdentityForm::Clear), None).of(&alice());
        assert_eq!(clear.subject.as_deref(), Some("alice@example.com"));
        assert_eq!(clear.issuer.as_deref(), Some("https://idp"));
        assert_eq!(clear.client_id.as_deref(), Some("grafana"));
        assert_eq!(clear.groups.len(), 2);
        let off = Identities::new(forms(IdentityForm::Off), Some(pseudonyms())).of(&alice());
        assert!(off.subject.is_none() && off.issuer.is_none() && off.client_id.is_none());
        assert!(off.groups.is_empty());
        let by = pseudonyms();
        let hashed =
            Identities::new(forms(IdentityForm::Hashed), Some(Arc::clone(&by))).of(&alice());
        let subject = by.of(Meaning::Subject, "https://idp", b"alice@example.com");
        assert_eq!(hashed.subject.as_deref(), Some(subject.as_str()));
        let group = by.of(Meaning::Group, "https://idp", b"dev");
        assert_eq!(hashed.groups.last().map(|group| &**group), Some(group.as_str()));
    }

    #[test]
    fn people_of_two_issuers_have_two_pseudonyms() {
        let identities = Identities::new(forms(IdentityForm::Hashed), Some(pseudonyms()));
        let other = Principal { issuer: "https://other".into(), ..alice() };
        assert_ne!(identities.of(&alice()).subject, identities.of(&other).subject);
    }

    #[test]
    fn without_a_key_nothing_is_shown_in_place_of_a_hash() {
        let identities = Identities::new(forms(IdentityForm::Hashed), None);
        assert!(identities.of(&alice()).subject.is_none());
    }

    #[test]
    fn a_caller_of_many_groups_is_cut() {
        let groups = (0..100).map(|number| number.to_string()).collect();
        let identities = Identities::new(forms(IdentityForm::Clear), None);
        assert_eq!(identities.of(&Principal { groups, ..alice() }).groups.len(), GROUPS_MAX);
    }

    #[test]
    fn debug_shows_nobody() {
        let identity = Identities::new(forms(IdentityForm::Clear), None).of(&alice());
        assert_eq!(format!("{identity:?}"), "Identity(..)");
    }
}
