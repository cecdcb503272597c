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
//! 7. [`jwks`]: an issuer's keys as they stand now
//! 8. [`verified`]: what a verified token says
//! 9. [`explain`]: what each check of a token found, for whoever asks why
//! 10. `token`: a token's parts and its header
//! 11. `claims`: a token's claims against a policy
//! 12. `cache`: tokens that were verified before
//! 13. [`verifier`]: all of it together

pub mod algorithm;

pub mod policy;

pub mod refused;

pub mod source;

mod strict;

pub mod key;

pub mod jwks;

pub mod verified;

pub mod explain;

mod token;

mod claims;

mod cache;

pub mod verifier;
