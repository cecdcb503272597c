//! What a verified token says.

use std::{fmt, sync::Arc, time::SystemTime};

/// What a verified token says, as far as anyone here wants to know it.
///
/// Its `Debug` shows no names but the issuer's: subjects are often e-mail addresses.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// Which of the verifier's issuers it is from.
    pub issuer_index: usize,
    /// The `issuer` of that issuer's policy.
    pub issuer: Arc<str>,
    /// `sub`. None only where the policy does not require it.
    pub subject: Option<String>,
    /// `client_id`, else `azp`.
    pub client_id: Option<String>,
    /// Scopes from `scope` and `scp`, each once, in their order.
    pub scopes: Vec<String>,
    /// Groups from where the policy says that they are, each once, in their order.
    pub groups: Vec<String>,
    /// `exp`. None only where the policy does not require it.
    pub expires: Option<SystemTime>,
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("issuer", &self.issuer)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}
