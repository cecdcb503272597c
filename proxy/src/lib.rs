//! Promgate's edge.

pub mod config;

pub mod demo;

pub mod cli;
