//! Whole-system tests of Promgate against real parts, and what they are made of.
//!
//! Modules stand in this order and name only modules before them:
//!
//! 1. [`fixture`]: an MCP handler with the conformance suite's tools and with tools that misbehave
//! 2. [`settings`]: how the server that mounts it is configured
//! 3. [`paths`]: where programs and tools stand
//! 4. [`process`]: child processes that never outlive the test
//! 5. [`http`]: HTTP/1.1 by hand
//! 6. [`mcp`]: an MCP client that hides nothing
//! 7. [`backend`]: a metrics backend that misbehaves as told
//! 8. [`tls`]: certificates for servers that speak TLS
//! 9. [`prometheus`]: a real one
//! 10. [`place`]: addresses that are free, and stay so
//! 11. [`redis`]: a real Redis
//! 12. [`name_server`]: a real name server
//! 13. [`minter`]: keys and tokens of an issuer made by hand
//! 14. [`server`]: the server under test
//! 15. [`clients`]: real MCP clients and the official conformance suite
//! 16. [`provider`]: a real OpenID provider
//! 17. [`cut`]: a piece of network that can be cut
//! 18. [`balancer`]: a round-robin balancer
//! 19. [`replicas`]: several servers that share sessions
//! 20. [`crowd`]: many clients that ask at once
//! 21. [`collector`]: a real OpenTelemetry collector
//! 22. [`syslog`]: a syslog server that goes away and comes back
//! 23. [`canary`]: secrets, and the search for them

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test's parts fail the test by panicking"
)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "values made by `json!` where they are used read best as they are"
)]

pub mod fixture;
pub mod settings;

pub mod paths;
pub mod process;

pub mod http;
pub mod mcp;

pub mod backend;

pub mod tls;

pub mod prometheus;

pub mod place;

pub mod redis;

pub mod name_server;

pub mod minter;

pub mod server;

pub mod clients;

pub mod provider;

pub mod cut;

pub mod balancer;

pub mod replicas;

pub mod crowd;

pub mod collector;

pub mod syslog;

pub mod canary;
