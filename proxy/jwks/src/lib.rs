//! JWKS cache and strict claim policy on `jsonwebtoken`, usable by anyone.
//!
//! Modules stand in this order and name only modules before them:
//!
//! 1. [`algorithm`]: the signature algorithms that exist here
//! 2. [`policy`]: what a token of one issuer must say
//! 3. [`refused`]: why a token is refused, under a closed set of reasons
//! 4. [`source`]: where an issuer's keys come from
//! 5. `strict`: base64url and JSON, read strictly
//! 6. [`key`]: the keys of a JWKS document, each judged alone
//! 7. [`fetch`]: one careful GET, for keys and for metadata
//! 8. [`cache_control`]: how long an answer may be used
//! 9. `live`: a value that is kept fresh in the background
//! 10. [`discovery`]: an issuer's metadata, where it is and whether it is what it says
//! 11. [`jwks`]: an issuer's keys, kept fresh
//! 12. [`metadata`]: an authorization server's metadata, kept fresh to be served
//! 13. [`verified`]: what a verified token says
//! 14. [`explain`]: what each check of a token found, for whoever asks why
//! 15. `token`: a token's parts and its header
//! 16. `claims`: a token's claims against a policy
//! 17. `cache`: tokens that were verified before
//! 18. [`verifier`]: all of it together

pub mod algorithm;

pub mod policy;

pub mod refused;

pub mod source;

mod strict;

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

pub mod verified;

pub mod explain;

mod token;

mod claims;

mod cache;

pub mod verifier;

/// The code in the README is compiled and run with the other examples in the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
