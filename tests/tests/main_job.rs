//! The main job, end to end: MCP clients ask metrics backends through the Pingora edge.
//!
//! Every file holds one topic. The parts (processes, clients, backends) are in the `e2e` library.

#![expect(
    clippy::needless_pass_by_value,
    reason = "values made by `json!` where they are used read best as they are"
)]

#[cfg(test)]
mod main_job {
    mod access_log;
    mod admin;
    mod backends;
    mod bounds;
    mod clients;
    mod configuration;
    mod conformance;
    mod drain;
    mod eras;
    mod framing;
    mod h2c;
    mod hygiene;
    mod records;
    mod sessions;
    mod stdio;
    mod tools;
    mod unread;
    mod workers;
}
