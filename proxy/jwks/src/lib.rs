//! JWKS cache and strict claim policy on `jsonwebtoken`, usable by anyone.
//!
//! Modules stand in this order and name only modules before them:
//!
//! 1. [`algorithm`]: the signature algorithms that exist here
//! 2. [`policy`]: what a token of one issuer must say
//! 3. [`refused`]: why a token is refused, under a closed set of reasons
//! 4. [`source`]: where an issuer's keys come from
//! 5. [`key`]: the keys of one issuer
//! 6. [`fetch`]: one careful GET, for keys and for metadata
//! 7. [`cache_control`]: how long an answer may be used
//! 8. `live`: a value that is kept fresh in the background
//! 9. [`discovery`]: an issuer's metadata, where it is and whether it is what it says
//! 10. [`jwks`]: an issuer's keys, kept fresh
//! 11. [`metadata`]: an authorization server's metadata, kept fresh to be served

pub mod algorithm;

pub mod policy;

pub mod refused;

pub mod source;

pub mod key;

#[cfg(feature = "fetch")]
pub mod fetch;

#[cfg(feature = "fetch")]
pub mod cache_control;

mod live;

#[cfg(feature = "fetch")]
pub mod discovery;

pub mod jwks;

#[cfg(feature = "fetch")]
pub mod metadata;
