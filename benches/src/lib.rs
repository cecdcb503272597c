//! What the edge costs: its parts under criterion, and the whole beside a bare Pingora.
//!
//! `bench-edge` starts servers as processes of their own, sends them requests in rotating rounds, and reads from
//! `/proc` what each round cost the processes that served it. Modules stand in this
//! order and name only modules before them:
//!
//! - why a run ends early: [`failure`]
//! - what is served, and to whom: [`stub`], [`tokens`], [`cpus`], [`serve`]
//! - who serves it, from outside: [`process`], [`access_log`], [`receiver`], [`stage`]
//! - what is asked: [`connection`], [`cases`]
//! - what is measured: [`load`], [`memory`]
//! - what is said about it: [`report`]
//! - the program: [`cli`], [`crowd`], [`run`]

pub mod failure;

pub mod stub;

pub mod tokens;

pub mod cpus;

pub mod serve;

pub mod process;

pub mod access_log;

pub mod receiver;

pub mod stage;

pub mod connection;

pub mod cases;

pub mod load;

pub mod memory;

pub mod report;

pub mod cli;

pub mod crowd;

pub mod run;
