//! Tokens and policy, end to end: who gets in, to what, how often, and what everybody else is told.
//!
//! Every file holds one topic. The parts (the minter of tokens, the OpenID provider, clients) are in the `e2e`
//! library.

#![expect(
    clippy::needless_pass_by_value,
    reason = "values made by `json!` where they are used read best as they are"
)]

#[cfg(test)]
mod tokens {
    mod challenges;
    mod cli;
    mod flow;
    mod gate;
    mod hostile;
    mod limits;
    mod policy;
    mod provider;
    mod records;
    mod reload;
    mod strategies;
}
