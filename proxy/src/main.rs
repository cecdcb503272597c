//! The promgate binary.
fn main() {}
