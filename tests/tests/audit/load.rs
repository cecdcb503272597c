//! Requests by the thousand while the places to which records go fail: what was asked, and what was recorded.

mod asked;
mod files;
mod full;
mod kill;
mod pipe;
mod syslog;
