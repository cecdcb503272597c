//! Where a request falls among all, of which a sink takes a share.

use std::hash::{BuildHasher as _, RandomState};

use mcp_core::signing::SigningKeys;

use crate::config::AccessLog;

/// Gives each request its number, the same for all its records. Nobody who names requests can know what falls where.
pub(super) enum Draw {
    /// By the audit key: the same at every replica that has it.
    Keyed(Box<SigningKeys>),
    /// By chance, as long as the process lives.
    Alone(RandomState),
}

impl Draw {
    /// As a log draws: by its first audit key, where it has one.
    pub(super) fn of_log(log: &AccessLog) -> Self {
        SigningKeys::new(log.audit_keys(), "audit sample")
            .map_or_else(|_no_key| Self::Alone(RandomState::new()), |keys| Self::Keyed(keys.into()))
    }

    /// The number of a request, any of which is as likely as any other.
    pub(super) fn number(&self, request_id: &[u8]) -> u32 {
        match self {
            Self::Keyed(keys) => {
                let mac = keys.first().mac(&[request_id]);
                mac.first_chunk().copied().map_or(0, u32::from_be_bytes)
            }
            // The lower half is as random as the whole.
            Self::Alone(state) => {
                u32::try_from(state.hash_one(request_id) & u64::from(u32::MAX)).unwrap_or(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::secret::Secret;

    use super::*;

    fn keyed(key: char) -> Draw {
        let secret = Secret::new(key.to_string().repeat(32));
        Draw::Keyed(SigningKeys::new(&[secret], "audit sample").unwrap().into())
    }

    fn numbers(draw: &Draw) -> Vec<u32> {
        (0..1000).map(|id| draw.number(id.to_string().as_bytes())).collect()
    }

    #[test]
    fn replicas_with_the_same_key_draw_the_same_and_others_do_not() {
        assert_eq!(numbers(&keyed('a')), numbers(&keyed('a')));
        assert_ne!(numbers(&keyed('a')), numbers(&keyed('b')));
        let alone = Draw::of_log(&AccessLog::off());
        assert_eq!(numbers(&alone), numbers(&alone));
        assert_ne!(numbers(&alone), numbers(&Draw::of_log(&AccessLog::off())));
    }

    #[test]
    fn every_number_is_as_likely_as_any_other() {
        for draw in [keyed('a'), Draw::of_log(&AccessLog::off())] {
            let low = numbers(&draw).into_iter().filter(|number| *number < u32::MAX / 2).count();
            // Half of a thousand is missed by more than a hundred once in 10^10 times.
            assert!((400..600).contains(&low), "{low} of 1000");
        }
    }
}
