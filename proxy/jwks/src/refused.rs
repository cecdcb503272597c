//! Why a token is refused.

use std::time::Duration;

/// Makes the reasons, each with its word.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// Why a token is refused: for the log, never for the client, whom the difference would teach.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $doc])+ $variant,)+ }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reason in one word of the log.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What the reason means, as a sentence for people.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// Longer than 8 KiB.
    TooLong = "too_long",
    /// Not three parts (five are `encrypted`).
    NotThreeParts = "not_three_parts",
    /// A JWE.
    Encrypted = "encrypted",
    /// A part that is not base64url without padding.
    BadBase64 = "bad_base64",
    /// A header that is not one JSON object, or has a member of the wrong type.
    BadHeader = "bad_header",
    /// A payload that is not one JSON object, or a claim of the wrong type.
    BadClaims = "bad_claims",
    /// A name twice in one object of header or payload.
    DuplicateName = "duplicate_name",
    /// JSON nested too deeply.
    TooDeep = "too_deep",
    /// No `alg`, or `none`.
    Unsigned = "unsigned",
    /// An `alg` that the policy or the key does not allow.
    AlgorithmNotAllowed = "algorithm_not_allowed",
    /// A `crit` header, or `b64: false`.
    CriticalHeader = "critical_header",
    /// A `typ` other than `JWT` and `at+jwt`.
    WrongType = "wrong_type",
    /// An issuer that is not configured.
    UnknownIssuer = "unknown_issuer",
    /// No key with that `kid`, or none for that algorithm, also among the keys that were fetched last.
    UnknownKey = "unknown_key",
    /// The signature does not fit.
    BadSignature = "bad_signature",
    /// A required claim is missing.
    MissingClaim = "missing_claim",
    /// `exp` has passed.
    Expired = "expired",
    /// `nbf` is yet to come.
    NotYetValid = "not_yet_valid",
    /// `iat` is in the future.
    IssuedInFuture = "issued_in_future",
    /// Valid for longer than allowed.
    LifetimeTooLong = "lifetime_too_long",
    /// For another audience.
    WrongAudience = "wrong_audience",
    /// A claim has none of the values that it must have.
    WrongClaim = "wrong_claim",
    /// The issuer's keys are not at hand: not fetched yet, or too old, or they lack the token's and newer ones could
    /// not be fetched.
    KeysUnavailable = "keys_unavailable",
}

/// A token that is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is refused: {}", reason.word())]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// The claim that it is about, where it is one that the policy names.
    pub claim: Option<&'static str>,
    /// When to try again, where that may help: [`Reason::KeysUnavailable`].
    pub retry_after: Option<Duration>,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self { reason, claim: None, retry_after: None }
    }
}
