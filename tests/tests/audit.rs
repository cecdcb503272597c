//! The access log as evidence: sinks that fail, processes that die, and a chain that holds.

#[cfg(test)]
mod audit {
    mod faults;
    mod parts;
    mod runs;
    mod syslog;
}
