//! Files named by the configuration, secrets among them.

use mcp_core::secret::Secret;

use super::{Check, filled};
use crate::config::{file, place::At, raw};

/// Largest secret file, in bytes. Tokens are below 16 KiB; more is the wrong file.
const SECRET_FILE_BYTES_MAX: u64 = 64 << 10;

/// Shortest key, in bytes: as many as HMAC-SHA256 gives. Spec: RFC 2104 §3.
const KEY_BYTES_MIN: usize = 32;

/// Most keys of one kind: each new one costs a look at every id of an old one, and two are enough to change them.
const KEYS_MAX: usize = 8;

/// How a key comes to be.
pub(super) const MAKE_KEY: &str = "make a random one, as with `openssl rand -base64 32`";

/// A secret and its `_file` sibling, as written.
pub(super) struct Pair<'a> {
    /// The secret's key; the sibling is this with `_file`.
    pub(super) key: &'static str,
    pub(super) value: Option<raw::SecretText>,
    pub(super) file: Option<&'a str>,
}

impl<'a> Pair<'a> {
    /// An empty secret counts as absent, as in prometheus-mcp, and so does an empty name of a file.
    pub(super) fn new(
        key: &'static str,
        value: Option<raw::SecretText>,
        file: Option<&'a str>,
    ) -> Self {
        let value = value.filter(|raw::SecretText(text)| !text.expose().is_empty());
        Self { key, value, file: filled(file) }
    }

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

    /// The keys in the list `keys` of a section, then those in the files of its `key_files`.
    pub(super) fn keys(
        &mut self,
        section: &At,
        list: Vec<raw::SecretText>,
        files: &[String],
    ) -> Vec<Secret> {
        let (of_list, of_files) = (section.key("keys"), section.key("key_files"));
        let mut found: Vec<(At, Secret)> = Vec::new();
        for (index, raw::SecretText(key)) in list.into_iter().enumerate() {
            found.push((of_list.item(index), key));
        }
        for (place, file) in self.items(&of_files, files) {
            found.extend(self.secret_file(&place, file).map(|key| (place, key)));
        }
        if found.len() > KEYS_MAX {
            let place = if files.is_empty() { of_list } else { of_files };
            let what = format!("there are more than {KEYS_MAX} keys");
            self.faults.push(&place, what, "remove those with which nothing is signed any more");
        }
        let mut keys: Vec<Secret> = Vec::with_capacity(found.len());
        for (place, key) in found {
            if key.expose().is_empty() {
                self.faults.push_unless_known(&place, "this item is empty", "remove it");
            } else if key.expose().len() < KEY_BYTES_MIN {
                let what = format!("is shorter than {KEY_BYTES_MIN} bytes");
                self.faults.push(&place, what, MAKE_KEY);
            } else if keys.iter().any(|other| other.expose() == key.expose()) {
                self.faults.push(&place, "this key is given twice", "keep one of them");
            }
            keys.push(key);
        }
        keys
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
