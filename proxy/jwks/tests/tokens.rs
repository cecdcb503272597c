//! Tokens and key sets, good and hostile, against the verifier.

#[cfg(test)]
mod tokens {
    mod explain;
    mod good;
    mod hostile;
    mod key_sets;
    mod mint;
    mod mutation;
    mod remembered;
}
