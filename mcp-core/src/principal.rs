//! Who calls, as far as a verified token says it.

use std::{fmt, sync::Arc};

/// A caller whose token was verified.
///
/// Its `Debug` shows no name: subjects are often e-mail addresses.
#[derive(Clone, PartialEq, Eq)]
pub struct Principal {
    /// `iss` of the token.
    pub issuer: Arc<str>,
    /// `sub` of the token.
    pub subject: Arc<str>,
    /// The client that acts for the subject, where the token names one.
    pub client_id: Option<Arc<str>>,
    /// Groups, roles and the like.
    pub groups: Vec<String>,
    /// Scopes granted to the token.
    pub scopes: Vec<String>,
}

/// Names a principal in tables: a digest of its issuer and subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PrincipalId(pub [u8; 16]);

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal").finish_non_exhaustive()
    }
}
