//! What a token of one issuer must say.

use std::time::Duration;

use crate::algorithm::Algorithm;

/// Longest token read, in bytes. Real ones are 0.5 to 4 KiB; a header field rarely passes with more than 8.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Most leeway that a policy may give to clocks.
pub const LEEWAY_MAX: Duration = Duration::from_mins(5);

/// What a token of one issuer must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Exact value of `iss`. It chooses the policy of a token where there are several.
    pub issuer: String,
    /// Names of ours, one of which `aud` must hold, compared byte by byte. Spec: RFC 8707 §2.
    pub audiences: Vec<String>,
    /// Algorithms allowed, of those that the key itself allows.
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may be apart; at most [`LEEWAY_MAX`].
    pub leeway: Duration,
    /// Longest time from `iat` (or `nbf`, or now, where it is absent) to `exp`.
    pub lifetime_max: Duration,
    /// Registered claims that a token must hold.
    pub required: Required,
    /// Further claims that must have one of these values, by path: `token_use` = `access`.
    pub claims: Vec<ClaimRule>,
    /// Where groups are, tried in this order and joined; without any, `groups`.
    pub groups: Vec<ClaimPath>,
}

/// Which registered claims a token must hold. All, unless relaxed by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Required {
    /// `exp`.
    pub expiry: bool,
    /// `iss`. Without it, a token that names no issuer belongs to this policy if it is the only one; one that
    /// names another is refused all the same.
    pub issuer: bool,
    /// `aud`. Without it, a token that names no audience passes; one that names only others does not, unless
    /// `audiences` is empty.
    pub audience: bool,
    /// `sub`.
    pub subject: bool,
}

impl Default for Required {
    fn default() -> Self {
        Self { expiry: true, issuer: true, audience: true, subject: true }
    }
}

/// A claim that must have one of some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRule {
    /// Where the claim is.
    pub path: ClaimPath,
    /// Its values: text equal to one of these, or an array that holds one.
    pub any_of: Vec<String>,
}

/// Where a claim is: names from the outermost object inwards, as in `realm_access.roles`.
///
/// A name that itself holds dots (`https://example.com/roles`, `cognito:groups` has none) is one step if the
/// whole path is a claim's name; that is looked for first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(pub(crate) String);

impl ClaimPath {
    /// # Errors
    /// [`BadPath`] when a step is empty, or the path is longer than 256 bytes.
    pub fn parse(path: &str) -> Result<Self, BadPath> {
        if path.len() > 256 || path.is_empty() || path.split('.').any(str::is_empty) {
            return Err(BadPath);
        }
        Ok(Self(path.to_owned()))
    }

    /// The path as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A path of a claim that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a claim's path is 1 to 256 bytes, names joined by single dots")]
pub struct BadPath;
