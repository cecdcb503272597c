//! Promgate's edge.

pub mod config;
