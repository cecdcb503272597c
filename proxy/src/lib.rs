//! Promgate's edge.

pub mod config;

pub mod telemetry;

pub mod metrics;

pub mod access_log;

pub mod ring;

pub mod admin;
