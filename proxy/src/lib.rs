//! Promgate's edge.

pub mod config;

pub mod telemetry;

pub mod metrics;

pub mod access_log;

pub mod ring;

pub mod admin;

pub mod refusal;

pub mod request_id;

pub mod hygiene;

pub mod media;

pub mod workers;

mod guard;

pub mod edge;

pub mod listener;

pub mod server;
