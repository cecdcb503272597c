//! JWKS cache and strict claim policy on `jsonwebtoken`, usable by anyone.
//!
//! Modules stand in this order and name only modules before them:
//!
//! 1. [`algorithm`]: the signature algorithms that exist here
//! 2. [`policy`]: what a token of one issuer must say
//! 3. [`refused`]: why a token is refused, under a closed set of reasons
//! 4. [`source`]: where an issuer's keys come from

pub mod algorithm;

pub mod policy;

pub mod refused;

pub mod source;
