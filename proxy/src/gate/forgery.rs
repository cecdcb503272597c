//! Which refused tokens count against who brings them.

use jsonwebtoken_jwks::refused::Reason;

/// Whether the token was never good: whoever brings one that has run out, or is for somebody else, has not tried to
/// forge one, and is too easily counted against all who share the address.
pub(super) fn is_forgery(reason: Reason) -> bool {
    match reason {
        Reason::TooLong
        | Reason::NotThreeParts
        | Reason::Encrypted
        | Reason::BadBase64
        | Reason::BadHeader
        | Reason::BadClaims
        | Reason::DuplicateName
        | Reason::TooDeep
        | Reason::Unsigned
        | Reason::AlgorithmNotAllowed
        | Reason::CriticalHeader
        | Reason::WrongType
        | Reason::UnknownIssuer
        | Reason::UnknownKey
        | Reason::BadSignature => true,
        Reason::MissingClaim
        | Reason::Expired
        | Reason::NotYetValid
        | Reason::IssuedInFuture
        | Reason::LifetimeTooLong
        | Reason::WrongAudience
        | Reason::WrongClaim
        | Reason::KeysUnavailable => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_well_is_no_attempt_at_forging() {
        let harmless: Vec<&str> = Reason::ALL
            .iter()
            .filter(|reason| !is_forgery(**reason))
            .map(|reason| reason.word())
            .collect();
        assert_eq!(
            harmless,
            [
                "missing_claim",
                "expired",
                "not_yet_valid",
                "issued_in_future",
                "lifetime_too_long",
                "wrong_audience",
                "wrong_claim",
                "keys_unavailable"
            ]
        );
    }
}
