//! Reading files whole: bounded, and never one that would block or that changes while it is read.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use super::{Source, stamp::Stamp};

/// How often a file is read that changes meanwhile.
const TRIES: usize = 5;

/// Why a file's bytes are not at hand.
#[derive(Debug)]
pub(super) enum FileError {
    /// It cannot be read.
    Io(io::Error),
    /// It is a pipe, a socket or a device, which may have no end or no writer.
    NotRegular,
    /// It is larger than the bound.
    TooLarge,
    /// It changed at every try.
    Changing,
}

impl FileError {
    /// It in words that follow the name of the file.
    pub(super) fn words(&self, bytes_max: u64) -> String {
        match self {
            Self::Io(error) => format!("cannot be read: {}", reason(error)),
            Self::NotRegular => "cannot be read: it is no regular file".to_owned(),
            Self::TooLarge if bytes_max >= 1 << 20 => {
                format!("is larger than {} MiB", bytes_max >> 20)
            }
            Self::TooLarge => format!("is larger than {} KiB", bytes_max >> 10),
            Self::Changing => "changes each time that it is read".to_owned(),
        }
    }

    /// How to mend it; `missing` is what helps against a file that cannot be read.
    pub(super) const fn mend(&self, missing: &'static str) -> &'static str {
        match self {
            Self::Io(_) => missing,
            Self::NotRegular => {
                "a pipe or a device cannot be read again: write it to a file and name that"
            }
            Self::TooLarge => "name the right file",
            Self::Changing => {
                "write it under another name and then rename it, so that it changes at once"
            }
        }
    }
}

/// Why a file cannot be used, in words.
pub(super) fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        "there is no such file".to_owned()
    } else {
        error.kind().to_string()
    }
}

/// The bytes of a file, and its state when it was opened, or as it is where it cannot be.
pub(super) fn read(path: &Path, bytes_max: u64) -> (Source, Result<Vec<u8>, FileError>) {
    read_despite(path, bytes_max, &mut || {})
}

/// As [`read()`], with what happens between reading and looking whether the file is still the same.
fn read_despite(
    path: &Path,
    bytes_max: u64,
    meanwhile: &mut dyn FnMut(),
) -> (Source, Result<Vec<u8>, FileError>) {
    let unread = |error| (Source { path: path.to_owned(), stamp: None }.now(), Err(error));
    for _ in 0..TRIES {
        match once(path, bytes_max, meanwhile) {
            Ok((before, after, bytes)) if before == after => {
                return (Source { path: path.to_owned(), stamp: Some(before) }, Ok(bytes));
            }
            Ok(_changed) => {}
            Err(error) => return unread(error),
        }
    }
    unread(FileError::Changing)
}

/// The bytes, and the file's state before and after they were read.
fn once(
    path: &Path,
    bytes_max: u64,
    meanwhile: &mut dyn FnMut(),
) -> Result<(Stamp, Stamp, Vec<u8>), FileError> {
    // Before it is opened: opening a pipe waits for its writer.
    let about = fs::metadata(path).map_err(FileError::Io)?;
    if about.is_dir() {
        return Err(FileError::Io(io::ErrorKind::IsADirectory.into()));
    }
    if !about.is_file() {
        return Err(FileError::NotRegular);
    }
    let file = File::open(path).map_err(FileError::Io)?;
    let stamp = || file.metadata().as_ref().map(Stamp::from).map_err(|error| error.kind().into());
    let before = stamp().map_err(FileError::Io)?;
    let mut bytes = Vec::new();
    (&file).take(bytes_max + 1).read_to_end(&mut bytes).map_err(FileError::Io)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > bytes_max) {
        return Err(FileError::TooLarge);
    }
    meanwhile();
    let after = stamp().map_err(FileError::Io)?;
    Ok((before, after, bytes))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_file_that_changes_while_it_is_read_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "half").unwrap();
        let mut changes = 0;
        let (source, bytes) = read_despite(&path, 100, &mut || {
            changes += 1;
            if changes < 3 {
                fs::write(&path, "whole".repeat(changes)).unwrap();
            }
        });
        assert_eq!((bytes.unwrap(), changes), (b"wholewhole".to_vec(), 3));
        assert_eq!(source, source.now());
    }

    #[test]
    fn a_file_that_changes_at_every_try_is_refused_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "").unwrap();
        let mut changes = 0;
        let (_, bytes) = read_despite(&path, 100, &mut || {
            changes += 1;
            fs::write(&path, "x".repeat(changes)).unwrap();
        });
        assert!(matches!(bytes, Err(FileError::Changing)), "{bytes:?}");
        assert_eq!(changes, TRIES);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_being_opened() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&pipe, Path::new("/dev/zero")] {
            let (source, bytes) = read(path, 100);
            assert!(matches!(bytes, Err(FileError::NotRegular)), "{bytes:?}");
            assert!(source.stamp.is_some());
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_a_source_without_a_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let (source, bytes) = read(&path, 100);
        assert!(matches!(bytes, Err(FileError::Io(_))), "{bytes:?}");
        assert_eq!(source, Source { path: path.clone(), stamp: None });
        fs::write(&path, "x").unwrap();
        assert_ne!(source, source.now(), "that it appears is noticed");
    }
}
