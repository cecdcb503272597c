//! Pseudonyms: names that are the same wherever the same thing is meant, and tell nothing of it.
//!
//! A pseudonym is a keyed hash. Whoever has the audit key can find out whether a name that is known belongs to it;
//! without the key nobody can, not even by trying all names.

use std::{
    cell::RefCell,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use mcp_core::{
    secret::Secret,
    session::SessionId,
    signing::{SigningKey, SigningKeys, WeakKey},
};

use crate::{config::AccessLog, field::Field};

/// What every pseudonym begins with.
const MARK: &[u8; 2] = b"h:";

/// Bytes of the hash that are kept: 128 bits, so that no two of a log meet by chance.
const HASH_BYTES: usize = 16;

/// Characters of a pseudonym: its mark, and the hash in base64url without padding.
pub const PSEUDONYM_CHARS: usize = MARK.len() + 22;

/// Sessions whose pseudonyms a thread remembers, a power of two. One that is not among them is worked out again, in a
/// third of a microsecond.
const REMEMBERED: usize = 512;

/// A pseudonym: `h:` and 22 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pseudonym([u8; PSEUDONYM_CHARS]);

/// What a pseudonym stands for. The same text has another one for each of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// A session.
    Session,
    /// An issuer of tokens.
    Issuer,
    /// The subject of a token, which its issuer named.
    Subject,
    /// The client of a token, which its issuer named.
    ClientId,
    /// A group, which its issuer named.
    Group,
    /// An argument of a tool.
    Argument,
    /// A field that a rule hashes.
    Field(Field),
}

/// Makes pseudonyms. `Debug` shows nothing of its keys.
pub struct Pseudonyms {
    keys: SigningKeys,
    /// Tells what a thread remembers of these from what it remembers of others.
    instance: u64,
}

struct Remembered {
    instance: u64,
    id: SessionId,
    pseudonym: Pseudonym,
}

thread_local! {
    static SESSIONS: RefCell<Vec<Option<Remembered>>> = const { RefCell::new(Vec::new()) };
}

impl Meaning {
    /// The word that goes into the hash.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Issuer => "issuer",
            Self::Subject => "subject",
            Self::ClientId => "client_id",
            Self::Group => "group",
            Self::Argument => "argument",
            Self::Field(field) => field.name(),
        }
    }

    /// Whether it is a field's value, whose name may be the word of another meaning.
    const fn is_field(self) -> bool {
        matches!(self, Self::Field(_))
    }
}

impl Pseudonym {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn of(hash: &[u8; 32]) -> Self {
        let mut text = [b'-'; PSEUDONYM_CHARS];
        let (mark, rest) = text.split_at_mut(MARK.len());
        mark.copy_from_slice(MARK);
        let kept = hash.first_chunk::<HASH_BYTES>().unwrap_or(&[0; HASH_BYTES]);
        // 16 bytes are 22 characters, for which there is room.
        let written = BASE64_URL_SAFE_NO_PAD.encode_slice(kept, rest);
        debug_assert!(written.is_ok(), "there is room");
        Self(text)
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Pseudonyms {
    /// Makes them by keys that are derived from `secrets`: the first makes, all are tried by [`Pseudonyms::every`].
    ///
    /// # Errors
    /// [`WeakKey`] when there is no secret, and for the first that is too short.
    pub fn new(secrets: &[Secret]) -> Result<Self, WeakKey> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let keys = SigningKeys::new(secrets, "audit pseudonym")?;
        Ok(Self { keys, instance: LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1) })
    }

    /// Those of an access log; none where it has no key.
    #[must_use]
    pub fn of_log(log: &AccessLog) -> Option<Self> {
        Self::new(log.audit_keys()).ok()
    }

    /// The pseudonym of a text. `issuer` is who named it, and empty where nobody did.
    #[must_use]
    pub fn of(&self, meaning: Meaning, issuer: &str, text: &[u8]) -> Pseudonym {
        by(self.keys.first(), meaning, issuer, text)
    }

    /// The pseudonyms of a text by each key, with the key's name: for a log that was written with an older one.
    pub fn every(
        &self,
        meaning: Meaning,
        issuer: &str,
        text: &[u8],
    ) -> impl Iterator<Item = (&str, Pseudonym)> {
        self.keys.all().map(move |key| (key.id(), by(key, meaning, issuer, text)))
    }

    /// The pseudonym of a session.
    #[must_use]
    pub fn session(&self, id: &SessionId) -> Pseudonym {
        SESSIONS.with_borrow_mut(|sessions| {
            if sessions.is_empty() {
                sessions.resize_with(REMEMBERED, || None);
            }
            let make = || self.of(Meaning::Session, "", id.as_str().as_bytes());
            let Some(place) = sessions.get_mut(place(id)) else { return make() };
            match place {
                Some(known) if known.instance == self.instance && known.id == *id => {
                    known.pseudonym
                }
                _ => {
                    let (instance, id, pseudonym) = (self.instance, id.clone(), make());
                    *place = Some(Remembered { instance, id, pseudonym });
                    pseudonym
                }
            }
        })
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms(..)")
    }
}

fn by(key: &SigningKey, meaning: Meaning, issuer: &str, text: &[u8]) -> Pseudonym {
    let kind: &[u8] = if meaning.is_field() { b"field" } else { b"" };
    let parts = [kind, meaning.word().as_bytes(), issuer.as_bytes(), text];
    Pseudonym::of(&key.mac(&parts))
}

/// Where a thread remembers a session: by the end of its id, which is that of a signature.
fn place(id: &SessionId) -> usize {
    let end = id.as_str().as_bytes().last_chunk::<4>().copied().unwrap_or_default();
    let mixed = u32::from_le_bytes(end).wrapping_mul(0x9e37_79b1);
    usize::try_from(mixed >> 16).unwrap_or_default() % REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: char) -> Secret {
        Secret::new(byte.to_string().repeat(32))
    }

    fn pseudonyms(of: &[char]) -> Pseudonyms {
        Pseudonyms::new(&of.iter().map(|byte| secret(*byte)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn replicas_with_the_same_key_make_the_same_pseudonyms() {
        let (one, other) = (pseudonyms(&['a']), pseudonyms(&['a', 'b']));
        let id = SessionId::parse(b"session-1").unwrap();
        assert_eq!(one.session(&id), other.session(&id));
        let of = |by: &Pseudonyms| by.of(Meaning::Subject, "https://idp", b"alice");
        assert_eq!(of(&one), of(&other));
        assert_ne!(of(&one), of(&pseudonyms(&['b'])));
    }

    #[test]
    fn a_pseudonym_is_short_plain_and_none_of_the_text() {
        let made = pseudonyms(&['a']).of(Meaning::Subject, "https://idp", b"alice");
        let text = made.as_str();
        assert_eq!(text.len(), PSEUDONYM_CHARS);
        assert!(text.starts_with("h:") && !text.contains("alice"), "{text}");
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_".contains(&b)), "{text}");
        assert_eq!(format!("{made:?}"), text);
    }

    #[test]
    fn each_meaning_issuer_and_text_has_its_own() {
        let by = pseudonyms(&['a']);
        let mut made: Vec<_> = [
            (Meaning::Session, "", "x"),
            (Meaning::Issuer, "", "x"),
            (Meaning::Subject, "", "x"),
            (Meaning::ClientId, "", "x"),
            (Meaning::Group, "", "x"),
            (Meaning::Argument, "", "x"),
            (Meaning::Field(Field::Subject), "", "x"),
            (Meaning::Field(Field::UserAgent), "", "x"),
            (Meaning::Subject, "i", "x"),
            (Meaning::Subject, "", "ix"),
        ]
        .map(|(meaning, issuer, text)| by.of(meaning, issuer, text.as_bytes()).as_str().to_owned())
        .into();
        made.sort_unstable();
        made.dedup();
        assert_eq!(made.len(), 10);
    }

    #[test]
    fn an_older_key_finds_what_it_made() {
        let old = pseudonyms(&['a']).of(Meaning::Group, "i", b"sre");
        let now = pseudonyms(&['b', 'a']);
        assert_ne!(now.of(Meaning::Group, "i", b"sre"), old);
        assert_eq!(
            now.every(Meaning::Group, "i", b"sre").filter(|(_, made)| *made == old).count(),
            1
        );
    }

    #[test]
    fn what_a_thread_remembers_is_right_for_every_session_and_key() {
        let by = [pseudonyms(&['a']), pseudonyms(&['b'])];
        for round in 0..3 {
            for number in 0..2000 {
                let id = SessionId::parse(format!("id-{number}").as_bytes()).unwrap();
                for by in &by {
                    let wanted = by.of(Meaning::Session, "", id.as_str().as_bytes());
                    assert_eq!(by.session(&id), wanted, "{round}");
                }
            }
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", pseudonyms(&['a'])), "Pseudonyms(..)");
    }
}
