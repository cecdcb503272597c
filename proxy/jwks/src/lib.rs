//! JWKS cache and claim policy on `jsonwebtoken`, usable by anyone.
//!
//! This crate will hold what the edge needs to check tokens strictly: sources of signing keys, their
//! cache and rotation, and the rules a claim set must meet. This version holds this page only.
