//! The MCP service of Promgate: workers and sessions, tools, and the metrics backends behind them.
//!
//! It knows nothing of Pingora. Modules stand in this order and name only modules before them:
//!
//! 1. [`recent`]: what was last worked out, for what comes again and again
//! 2. [`hex`]: hexadecimal digits
//! 3. [`secret`]: values that are never shown, and [`signing`]: what is signed with them
//! 4. [`principal`], [`session`]: the name of a caller, and of a session
//! 5. [`config`]: checked settings
//! 6. [`access`]: what a caller may use
//! 7. [`observe`]: what is reported to whoever counts
//! 8. [`promql`]: what a query is made of
//! 9. [`trace`]: the trace that a call belongs to
//! 10. [`call`]: a tool's line to its client and to the record
//! 11. [`backend`]: clients of the metrics backends
//! 12. [`tools`]: the tools and the MCP handler that offers them
//! 13. [`server`]: messages, sessions, workers
//! 14. [`stdio`]: the same over standard input and output

pub mod recent;

pub mod hex;

pub mod secret;

pub mod signing;

pub mod principal;

pub mod session;

pub mod config;

pub mod access;

pub mod observe;

pub mod promql;

pub mod trace;

pub mod call;

pub mod backend;

pub mod tools;

pub mod server;

pub mod stdio;
