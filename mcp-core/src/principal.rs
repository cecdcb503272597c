//! Who calls, as far as a verified token says it.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A caller whose token was verified.
///
/// Its `Debug` shows no name: subjects are often e-mail addresses.
#[derive(Clone, PartialEq, Eq)]
pub struct Principal {
    /// `iss` of the token.
    pub issuer: Arc<str>,
    /// `sub` of the token.
    pub subject: Arc<str>,
    /// The client that acts for the subject, where the token names one.
    pub client_id: Option<Arc<str>>,
    /// Groups, roles and the like.
    pub groups: Vec<String>,
    /// Scopes granted to the token.
    pub scopes: Vec<String>,
}

/// Names a principal in tables: a digest of its issuer and subject. Where it is written, it is 32 lower-case
/// hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PrincipalId(pub [u8; 16]);

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal").finish_non_exhaustive()
    }
}

impl Serialize for PrincipalId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", u128::from_be_bytes(self.0)))
    }
}

impl<'de> Deserialize<'de> for PrincipalId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let number = u128::from_str_radix(&text, 16);
        match number {
            Ok(number) if text.len() == 32 && text.bytes().all(digit) => {
                Ok(Self(number.to_be_bytes()))
            }
            Ok(_) | Err(_) => Err(de::Error::custom("a principal is 32 hexadecimal digits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_written_in_32_digits_and_read_from_no_other_text() {
        let id = PrincipalId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 254, 255]);
        let text = "\"000102030405060708090a0b0c0dfeff\"".to_owned();
        assert_eq!(serde_json::to_string(&id).unwrap(), text);
        assert_eq!(serde_json::from_str::<PrincipalId>(&text).unwrap(), id);
        for bad in [
            "\"\"".to_owned(),
            text.to_uppercase(),
            text.replacen("00", "", 1),
            text.replacen("00", "+0", 1),
            text.replacen("00", "000", 1),
            text.replacen("00", "0g", 1),
        ] {
            assert!(serde_json::from_str::<PrincipalId>(&bad).is_err(), "{bad}");
        }
    }
}
