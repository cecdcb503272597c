//! Sessions over many replicas, end to end: real processes, a real Redis, and a balancer in front.
//!
//! Every file holds one topic. The parts (replicas, the balancer, a network that can be cut, the crowd) are in the
//! `e2e` library.

#[cfg(test)]
mod sessions {
    mod admin;
    mod death;
    mod drain;
    mod hands;
    mod keys;
    mod load;
    mod membership;
    mod partition;
    mod parts;
    mod peer_port;
    mod records;
    mod router;
    mod store;
    mod streams;
}
