//! Files named by the configuration, secrets among them.

use mcp_core::secret::Secret;

use super::Check;
use crate::config::{file, place::At, raw};

/// Largest secret file, in bytes. Tokens are below 16 KiB; more is the wrong file.
const SECRET_FILE_BYTES_MAX: u64 = 64 << 10;

/// A secret and its `_file` sibling, as written.
pub(super) struct Pair<'a> {
    /// The secret's key; the sibling is this with `_file`.
    pub(super) key: &'static str,
    pub(super) value: Option<raw::SecretText>,
    pub(super) file: Option<&'a str>,
}

impl Pair<'_> {
    pub(super) fn is_given(&self) -> bool {
        self.value.is_some() || self.file.is_some()
    }
}

impl Check<'_> {
    /// The secret from its key or from its file; both is a fault, neither is none.
    pub(super) fn secret(&mut self, section: &At, pair: Pair<'_>) -> Option<Secret> {
        let file_at = section.key(&format!("{}_file", pair.key));
        match (pair.value, pair.file) {
            (Some(_), Some(_)) => {
                let what = format!("both `{0}` and `{0}_file` are given", pair.key);
                self.faults.push(&file_at, what, "keep one of them");
                None
            }
            (Some(raw::SecretText(secret)), None) => Some(secret),
            (None, Some(file)) => self.secret_file(&file_at, file),
            (None, None) => None,
        }
    }

    /// The secret in a file, without the line end that editors and tools leave there.
    pub(super) fn secret_file(&mut self, at: &At, file: &str) -> Option<Secret> {
        let bytes = self.file(at, file, SECRET_FILE_BYTES_MAX)?;
        let Ok(text) = String::from_utf8(bytes) else {
            self.faults.push(at, "the file is not UTF-8 text", "name a file that holds the secret");
            return None;
        };
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            self.faults.push(at, "the file is empty", "write the secret into it");
            return None;
        }
        Some(Secret::new(secret))
    }

    /// The bytes of a file; relative paths start at the configuration's folder.
    pub(super) fn file(&mut self, at: &At, file: &str, bytes_max: u64) -> Option<Vec<u8>> {
        let path = self.folder.join(file);
        let (source, read) = file::read(&path, bytes_max);
        // Also where it cannot be read: a reload is to be tried again once it can.
        self.sources.push(source);
        match read {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let what = format!("the file {}", error.words(bytes_max));
                let mend = error.mend(
                    "check the path (a relative one starts at the folder of the configuration \
                     file) and that this user may read it",
                );
                self.faults.push(at, what, mend);
                None
            }
        }
    }
}
