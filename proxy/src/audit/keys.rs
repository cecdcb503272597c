//! The keys with which a log was sealed and its pseudonyms made.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use mcp_core::{secret::Secret, signing::SECRET_BYTES_MIN};

use super::AuditError;
use crate::{
    access_log::{
        chain::{AuditKey, AuditKeys, KeyId, PublicKey, Trust},
        pseudonym::{Meaning, Pseudonym, Pseudonyms},
    },
    config::Config,
};

/// Largest file that is read as a key, in bytes. Keys are below a hundred; more is the wrong file.
const KEY_FILE_BYTES_MAX: u64 = 64 << 10;

/// Keys, and whom the configuration lets name people. `Debug` shows the names of the keys alone.
#[derive(Debug)]
pub struct Keys {
    each: Vec<(AuditKey, Pseudonyms)>,
    issuers: Vec<String>,
}

impl Keys {
    /// The keys of a configuration.
    ///
    /// # Errors
    /// [`AuditError::NotSealed`] when it has none.
    pub fn of_config(config: &Config) -> Result<Self, AuditError> {
        let secrets = config.access_log.audit_keys();
        if secrets.is_empty() {
            return Err(AuditError::NotSealed);
        }
        let issuers = config.authentication.verification().map(|verification| {
            verification.issuers.iter().map(|issuer| issuer.policy.issuer.clone()).collect()
        });
        Self::of(secrets, issuers.unwrap_or_default())
    }

    /// The keys in these files, one in each; a line feed at the end is no part of it.
    ///
    /// # Errors
    /// [`AuditError`] when one cannot be read or holds no key.
    pub fn of_files(paths: &[PathBuf]) -> Result<Self, AuditError> {
        let secrets: Vec<Secret> =
            paths.iter().map(|path| secret(path)).collect::<Result<_, _>>()?;
        Self::of(&secrets, Vec::new())
    }

    fn of(secrets: &[Secret], issuers: Vec<String>) -> Result<Self, AuditError> {
        let key = |secret: &Secret| {
            let sealing = AuditKey::new(secret).map_err(|_no_key| AuditError::Unusable)?;
            let naming = Pseudonyms::new(std::slice::from_ref(secret));
            Ok((sealing, naming.map_err(|_weak| AuditError::Unusable)?))
        };
        let each = secrets.iter().map(key).collect::<Result<_, AuditError>>()?;
        Ok(Self { each, issuers })
    }

    /// Whom a reader with these keys believes.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust::of_keys(self.each.iter().map(|(key, _)| key.clone()).collect::<AuditKeys>())
    }

    /// What checks the checkpoints of each key.
    pub fn public(&self) -> impl Iterator<Item = (KeyId, PublicKey)> {
        self.each.iter().map(|(key, _)| (key.id(), key.public_key()))
    }

    /// The issuers that the configuration trusts; none where there is no configuration.
    #[must_use]
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// The pseudonyms of a text under each key. `issuer` is who named it, and empty where nobody did.
    pub fn pseudonyms(
        &self,
        meaning: Meaning,
        issuer: &str,
        text: &str,
    ) -> impl Iterator<Item = (KeyId, Pseudonym)> {
        let each = self.each.iter();
        each.map(move |(key, naming)| (key.id(), naming.of(meaning, issuer, text.as_bytes())))
    }
}

/// The secret in a file.
fn secret(path: &Path) -> Result<Secret, AuditError> {
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(AuditError::NotAKey { path: path.to_owned() });
        }
        Err(source) => return Err(AuditError::KeyFile { path: path.to_owned(), source }),
    }
    let key = text.trim_end_matches(['\r', '\n']);
    if key.len() < SECRET_BYTES_MIN || key.contains('\n') {
        return Err(AuditError::NotAKey { path: path.to_owned() });
    }
    Ok(Secret::new(key))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_key_file_holds_one_long_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let read = |text: &[u8]| {
            fs::write(&path, text).unwrap();
            Keys::of_files(std::slice::from_ref(&path))
        };
        let good = "k".repeat(32);
        let keys = read(format!("{good}\r\n").as_bytes()).unwrap();
        let same = read(good.as_bytes()).unwrap();
        assert!(keys.public().eq(same.public()));
        let shown = format!("{keys:?}");
        assert!(!shown.contains(&good), "{shown}");
        for bad in [&b"short"[..], format!("{good}\n{good}").as_bytes(), &[0xff; 40], b""] {
            let error = read(bad).unwrap_err();
            assert!(matches!(error, AuditError::NotAKey { .. }), "{error:?}");
            assert!(!error.to_string().contains("short"), "{error}");
        }
        let gone = Keys::of_files(&[folder.path().join("gone")]).unwrap_err();
        assert!(matches!(gone, AuditError::KeyFile { .. }), "{gone:?}");
    }
}
