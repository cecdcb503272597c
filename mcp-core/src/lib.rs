//! The MCP service of Promgate: workers and sessions, tools, and the metrics backends behind them.
//!
//! It knows nothing of Pingora. Modules stand in this order and name only modules before them:
//!
//! 1. [`recent`]: what was last worked out, for what comes again and again
//! 2. [`secret`]: values that are never shown, and [`signing`]: what is signed with them
//! 3. [`principal`], [`session`]: the name of a caller, and of a session
//! 4. [`config`]: checked settings
//! 5. [`access`]: what a caller may use
//! 6. [`observe`]: what is reported to whoever counts
//! 7. [`promql`]: what a query is made of
//! 8. [`trace`]: the trace that a call belongs to
//! 9. [`call`]: a tool's line to its client and to the record
//! 10. [`backend`]: clients of the metrics backends
//! 11. [`tools`]: the tools and the MCP handler that offers them
//! 12. [`server`]: messages, sessions, workers
//! 13. [`stdio`]: the same over standard input and output

pub mod recent;

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
