//! Requests by the thousand while the places to which records go fail: what was asked, and what was recorded,
//! request by request.

mod asked;
mod closed;
mod disk;
mod files;
mod pipe;
mod syslog;
