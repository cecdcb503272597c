//! Promgate's edge.
//!
//! Modules stand in this order and name only modules before them:
//!
//! - what an operator says: [`config`]
//! - what is told of a run: [`telemetry`], [`metrics`], [`access_log`]
//! - who serves: [`ring`], [`workers`]
//! - who may do what, and how often: [`condition`], [`policy`], [`client_address`],
//!   [`limits`]
//! - one request: [`refusal`], [`request_id`], [`hygiene`], [`media`], [`edge`]
//! - the process: [`listener`], [`admin`], [`server`], [`demo`], [`run`],
//!   [`online`], [`explain`], [`cli`]

pub mod config;

pub mod telemetry;

pub mod metrics;

pub mod access_log;

pub mod ring;

pub mod workers;

pub mod condition;

pub mod policy;

pub mod client_address;

pub mod limits;

pub mod refusal;

pub mod request_id;

pub mod hygiene;

pub mod media;

mod guard;

pub mod edge;

pub mod listener;

pub mod admin;

pub mod server;

pub mod demo;

pub mod run;

pub mod online;

pub mod explain;

pub mod cli;
