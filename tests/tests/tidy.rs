//! Reads the sources and holds them to the order that the design gives them.
//!
//! What a compiler cannot say: which crate may name which library, in which order modules build on
//! each other, and how long a file or function may be.

#![expect(clippy::string_slice, reason = "places come from searching the text itself")]

#[cfg(test)]
mod tidy {
    mod order;
    mod size;
    mod source;
    mod words;
}
