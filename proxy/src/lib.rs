//! Promgate's edge.
//!
//! Modules stand in this order and name only modules before them:
//!
//! - what a record can say: [`field`]
//! - what an operator says: [`expression`], [`config`]
//! - what is told of a run: [`telemetry`], [`metrics`], [`otlp`], [`trace`], [`access_log`]
//! - who serves: [`store`], [`ring`], [`hop`], [`cluster`], [`upgrade`], [`workers`]
//! - who is let in, to what, and how often: [`condition`], [`policy`], [`sessions`], [`client_address`], [`limits`],
//!   [`refusal`], [`challenge`], [`well_known`], [`gate`], [`live`]
//! - one request: [`request_id`], [`hygiene`], [`media`], [`edge`]
//! - the process: [`listener`], [`sockets`], [`admin`], [`server`], [`reload`], [`demo`], [`run`],
//!   [`enquiry`], [`online`], [`explain`], [`ring_report`], [`cli`]

pub mod field;

pub mod expression;

pub mod config;

pub mod telemetry;

pub mod metrics;

pub mod otlp;

pub mod trace;

pub mod access_log;

pub mod store;

pub mod ring;

pub mod hop;

pub mod cluster;

pub mod upgrade;

pub mod workers;

pub mod condition;

pub mod policy;

pub mod sessions;

pub mod client_address;

pub mod limits;

pub mod refusal;

pub mod challenge;

pub mod well_known;

pub mod gate;

pub mod live;

pub mod request_id;

pub mod hygiene;

pub mod media;

mod guard;

pub mod edge;

pub mod listener;

pub mod sockets;

pub mod admin;

pub mod server;

pub mod reload;

pub mod demo;

pub mod run;

pub mod enquiry;

pub mod online;

pub mod explain;

pub mod ring_report;

pub mod cli;
