//! Keys and passwords of one run.

use std::fmt::Write as _;

use mcp_core::secret::Secret;

use crate::demo::error::DemoError;

/// 256 random bits as hexadecimal digits, which need no quotes anywhere.
pub(super) fn random_key() -> Result<Secret, DemoError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(DemoError::NoRandomness)?;
    let text = bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing into a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    });
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_and_never_the_same() {
        let [one, other] = [random_key().unwrap(), random_key().unwrap()];
        assert_eq!(one.expose().len(), 64);
        assert_ne!(one.expose(), other.expose());
    }
}
