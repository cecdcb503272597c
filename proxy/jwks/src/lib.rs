//! JWKS cache and strict claim policy on `jsonwebtoken`, usable by anyone.
//!
//! Modules stand in this order and name only modules before them:
//!
//! 1. [`algorithm`]: the signature algorithms that exist here
//! 2. [`policy`]: what a token of one issuer must say
//! 3. [`refused`]: why a token is refused, under a closed set of reasons
//! 4. [`bearer`]: the token of a request, found in its headers
//! 5. [`source`]: where an issuer's keys come from
//! 6. `strict`: base64url and JSON, read strictly
//! 7. [`key`]: the keys of a JWKS document, each judged alone
//! 8. [`fetch`]: one careful GET, for keys and for metadata
//! 9. [`cache_control`]: how long an answer may be used
//! 10. `live`: a value that is kept fresh in the background
//! 11. [`discovery`]: an issuer's metadata, where it is and whether it is what it says
//! 12. [`jwks`]: an issuer's keys, kept fresh
//! 13. [`metadata`]: an authorization server's metadata, kept fresh to be served
//! 14. [`verified`]: what a verified token says
//! 15. [`explain`]: what each check of a token found, for whoever asks why
//! 16. `token`: a token's parts and its header
//! 17. `claims`: a token's claims against a policy
//! 18. `cache`: tokens that were verified before
//! 19. [`verifier`]: all of it together

pub mod algorithm;

pub mod policy;

pub mod refused;

pub mod bearer;

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
