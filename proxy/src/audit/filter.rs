//! Which records are wanted.

use std::collections::BTreeMap;

use super::{Bound, Facts, Keys, when};
use crate::{
    access_log::pseudonym::{Meaning, Pseudonym},
    field::Field,
};

/// Issuers whose pseudonyms of a person are remembered; those of others are made anew for each record.
const ISSUERS_MAX: usize = 256;

/// Longest issuer that is remembered, in bytes. The writer's are shorter.
const ISSUER_BYTES_MAX: usize = 1024;

/// What every pseudonym begins with.
const PSEUDONYM_START: &str = "h:";

/// Which records are wanted: those that fit each of its parts. An empty part fits every record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// From this moment on.
    pub since: Option<Bound>,
    /// Before this moment.
    pub until: Option<Bound>,
    /// About one of these people, by subject.
    pub people: Vec<String>,
    /// Whose token is of one of these issuers.
    pub issuers: Vec<String>,
    /// Where one of these fields is one of these texts.
    pub texts: Vec<(Field, Vec<String>)>,
    /// Whose status is one of these.
    pub statuses: Vec<Statuses>,
}

/// A status, or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statuses {
    low: u64,
    high: u64,
}

impl Statuses {
    /// Reads `403` or `4xx`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(class) = text.strip_suffix("xx") {
            let class = class.parse::<u64>().ok().filter(|class| (1..=9).contains(class))?;
            return Some(Self { low: class * 100, high: class * 100 + 99 });
        }
        let status = text.parse().ok().filter(|status| (100..=999).contains(status))?;
        Some(Self { low: status, high: status })
    }

    fn holds(self, status: u64) -> bool {
        (self.low..=self.high).contains(&status)
    }
}

/// Chooses records.
#[derive(Debug)]
pub struct Filter<'k> {
    wanted: Wanted,
    keys: Option<&'k Keys>,
    /// Pseudonyms of the issuers.
    issuers: Vec<String>,
    /// Pseudonyms of the people as far as they need no issuer, or have one that was named.
    people: Vec<String>,
    /// Pseudonyms of the people under issuers that records name.
    by_issuer: BTreeMap<String, Vec<Pseudonym>>,
}

impl<'k> Filter<'k> {
    /// Chooses what is wanted. With keys, people and issuers are found under their pseudonyms too.
    ///
    /// The pseudonym of a person depends on the issuer: those that are wanted count, those of the keys' configuration,
    /// and the one that the record itself names in the clear.
    #[must_use]
    pub fn new(wanted: Wanted, keys: Option<&'k Keys>) -> Self {
        let (mut issuers, mut people) = (Vec::new(), Vec::new());
        if let Some(keys) = keys {
            let named = |meaning, issuer: &str, text: &str| {
                let made = keys.pseudonyms(meaning, issuer, text);
                made.map(|(_, made)| made.as_str().to_owned()).collect::<Vec<_>>()
            };
            for issuer in &wanted.issuers {
                issuers.extend(named(Meaning::Issuer, "", issuer));
                issuers.extend(named(Meaning::Field(Field::Issuer), "", issuer));
            }
            for person in &wanted.people {
                people.extend(named(Meaning::Field(Field::Subject), "", person));
                let issuers =
                    if wanted.issuers.is_empty() { keys.issuers() } else { &wanted.issuers };
                for issuer in issuers {
                    people.extend(named(Meaning::Subject, issuer, person));
                }
            }
        }
        Self { wanted, keys, issuers, people, by_issuer: BTreeMap::new() }
    }

    /// Whether a record is wanted.
    pub fn admits(&mut self, facts: &Facts<'_>) -> bool {
        self.admits_time(facts)
            && self.admits_status(facts)
            && self.admits_texts(facts)
            && self.admits_issuer(facts)
            && self.admits_person(facts)
    }

    fn admits_time(&self, facts: &Facts<'_>) -> bool {
        let (since, until) = (self.wanted.since, self.wanted.until);
        if since.is_none() && until.is_none() {
            return true;
        }
        let Some(time) = facts.text(Field::Time).and_then(when::moment) else { return false };
        since.is_none_or(|since| time >= since.timestamp())
            && until.is_none_or(|until| time < until.timestamp())
    }

    fn admits_status(&self, facts: &Facts<'_>) -> bool {
        let statuses = &self.wanted.statuses;
        statuses.is_empty()
            || facts
                .number(Field::Status)
                .is_some_and(|status| statuses.iter().any(|wanted| wanted.holds(status)))
    }

    fn admits_texts(&self, facts: &Facts<'_>) -> bool {
        self.wanted.texts.iter().all(|(field, wanted)| {
            let has = |text: &String| facts.texts(*field).iter().any(|known| known == text);
            wanted.is_empty() || wanted.iter().any(has)
        })
    }

    fn admits_issuer(&self, facts: &Facts<'_>) -> bool {
        if self.wanted.issuers.is_empty() {
            return true;
        }
        match facts.text(Field::Issuer) {
            Some(issuer) => {
                let mut known = self.wanted.issuers.iter().chain(&self.issuers);
                known.any(|known| known == issuer)
            }
            // A log that names no issuer tells people apart all the same, by their pseudonyms.
            None => !self.wanted.people.is_empty(),
        }
    }

    fn admits_person(&mut self, facts: &Facts<'_>) -> bool {
        if self.wanted.people.is_empty() {
            return true;
        }
        let Some(subject) = facts.text(Field::Subject) else { return false };
        if self.wanted.people.iter().chain(&self.people).any(|known| known == subject) {
            return true;
        }
        let Some(keys) = self.keys.filter(|_| subject.starts_with(PSEUDONYM_START)) else {
            return false;
        };
        let Some(issuer) = facts.text(Field::Issuer) else { return false };
        let is = |made: &Pseudonym| made.as_str() == subject;
        if let Some(known) = self.by_issuer.get(issuer) {
            return known.iter().any(is);
        }
        let people = self.wanted.people.iter();
        let made: Vec<Pseudonym> = people
            .flat_map(|person| keys.pseudonyms(Meaning::Subject, issuer, person))
            .map(|(_, made)| made)
            .collect();
        let found = made.iter().any(is);
        if self.by_issuer.len() < ISSUERS_MAX && issuer.len() <= ISSUER_BYTES_MAX {
            self.by_issuer.insert(issuer.to_owned(), made);
        }
        found
    }
}
