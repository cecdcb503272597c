//! Why the store did not do what it was asked.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::figures::Outcome;

/// The store did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreDown {
    /// It was not tried, since the store is known not to answer.
    #[error("the session store is down")]
    Known,
    /// There is no connection, or it broke.
    #[error("the session store cannot be reached")]
    Unreachable,
    /// It did not answer in time. A session may have been written all the same.
    #[error("the session store did not answer in time")]
    Timeout,
    /// It does not trust us: name, password, or what they allow.
    #[error("the session store does not let us in")]
    Credentials,
    /// It has no room for more.
    #[error("the session store is full")]
    Full,
    /// It takes no writes: a replica, or one that cannot write to its disk.
    #[error("the session store takes no writes")]
    ReadOnly,
    /// It reads its data at the moment, or is busy with something long.
    #[error("the session store is busy")]
    Busy,
    /// It spreads keys over nodes: Redis Cluster, with which this does not work.
    #[error("the session store is a cluster")]
    Cluster,
    /// It answered something else than expected.
    #[error("the session store refused")]
    Refused,
    /// The session cannot be written: too large, or it cannot be sealed.
    #[error("the session does not fit into the store")]
    Unfit,
}

impl StoreDown {
    /// A word for logs and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Known => "down",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Credentials => "credentials",
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::Busy => "busy",
            Self::Cluster => "cluster",
            Self::Refused => "refused",
            Self::Unfit => "unfit",
        }
    }

    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Known => Outcome::Down,
            Self::Unreachable => Outcome::Unreachable,
            Self::Timeout => Outcome::Timeout,
            Self::Full => Outcome::Full,
            Self::Credentials
            | Self::ReadOnly
            | Self::Busy
            | Self::Cluster
            | Self::Refused
            | Self::Unfit => Outcome::Refused,
        }
    }

    /// Whether another connection may fare better: after a failover the name leads to another server.
    pub(super) fn ends_connection(self) -> bool {
        match self {
            Self::Unreachable | Self::Timeout | Self::Credentials | Self::ReadOnly => true,
            Self::Known | Self::Full | Self::Busy | Self::Cluster | Self::Refused | Self::Unfit => {
                false
            }
        }
    }

    /// What an error of the library means here. Its text is dropped: it may repeat what was sent.
    pub(super) fn of(error: &RedisError) -> Self {
        if let Some(fault) = error.code().and_then(Self::of_code) {
            return fault;
        }
        #[expect(clippy::wildcard_enum_match_arm, reason = "the library's list is open")]
        match error.kind() {
            ErrorKind::Io | ErrorKind::Parse => Self::Unreachable,
            ErrorKind::AuthenticationFailed => Self::Credentials,
            ErrorKind::Server(ServerErrorKind::ReadOnly) => Self::ReadOnly,
            _ => Self::Refused,
        }
    }

    /// By the first word of a server's refusal.
    fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "OOM" => Self::Full,
            "READONLY" | "MISCONF" | "NOREPLICAS" => Self::ReadOnly,
            "NOAUTH" | "WRONGPASS" | "NOPERM" => Self::Credentials,
            "LOADING" | "BUSY" | "MASTERDOWN" | "TRYAGAIN" => Self::Busy,
            "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" => Self::Cluster,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_a_server_are_told_apart_by_their_first_word() {
        assert_eq!(StoreDown::of_code("OOM"), Some(StoreDown::Full));
        assert_eq!(StoreDown::of_code("READONLY"), Some(StoreDown::ReadOnly));
        assert_eq!(StoreDown::of_code("WRONGPASS"), Some(StoreDown::Credentials));
        assert_eq!(StoreDown::of_code("LOADING"), Some(StoreDown::Busy));
        assert_eq!(StoreDown::of_code("MOVED"), Some(StoreDown::Cluster));
        assert_eq!(StoreDown::of_code("WRONGTYPE"), None);
    }

    #[test]
    fn a_broken_connection_is_unreachable_and_what_is_unknown_is_refused() {
        let broken = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(StoreDown::of(&broken), StoreDown::Unreachable);
        let unknown = RedisError::from((ErrorKind::UnexpectedReturnType, "not a number"));
        assert_eq!(StoreDown::of(&unknown), StoreDown::Refused);
    }
}
