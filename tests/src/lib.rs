//! Whole-system tests of Promgate against real parts, and what they are made of.
//!
//! Modules stand in this order and name only modules before them:
//!
//! 1. [`fixture`]: an MCP handler with the conformance suite's tools and with tools that misbehave

pub mod fixture;
