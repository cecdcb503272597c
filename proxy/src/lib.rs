//! Promgate's edge.

pub mod config;

pub mod telemetry;

pub mod metrics;

pub mod access_log;
