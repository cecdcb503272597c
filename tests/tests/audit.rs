//! The access log as evidence, end to end: sinks that fail, processes that die, a chain that holds, and what the
//! commands say of what the real program wrote.
//!
//! Every file holds one topic.

#![expect(
    clippy::needless_pass_by_value,
    reason = "values made by `json!` where they are used read best as they are"
)]

#[cfg(test)]
mod audit {
    mod faults;
    mod incident;
    mod parts;
    mod read_back;
    mod runs;
    mod syslog;
    mod tamper;
}
