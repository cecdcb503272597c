//! The access log as evidence, end to end: what the real program writes, what never gets into it, what it survives, and
//! what its commands say of it.
//!
//! Every file holds one topic.

#![expect(
    clippy::needless_pass_by_value,
    reason = "values made by `json!` where they are used read best as they are"
)]
#![expect(clippy::string_slice, reason = "what is cut here is ASCII")]

#[cfg(test)]
mod audit {
    mod canaries;
    mod chosen;
    mod faults;
    mod incident;
    mod load;
    mod otlp;
    mod parts;
    mod questions;
    mod read_back;
    mod runs;
    mod syslog;
    mod tamper;
    mod tls;
}
