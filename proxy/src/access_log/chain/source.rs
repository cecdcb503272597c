//! Where lines come from: a file, compressed or not, or standard input.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;

/// How much of a file is read at once.
const BUFFER_BYTES: usize = 128 << 10;

/// What stands for standard input where a file could be named.
const STANDARD_INPUT: &str = "-";

/// How every gzip file begins. Spec: RFC 1952 §2.3.1. No line of a log does.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// From so many bytes on a compressed file must hold less than [`UNPACKED_RATIO_MAX`] times what was read of it.
const UNPACKED_FREE_BYTES: u64 = 64 << 20;

/// A sealed line has 32 bytes that cannot be compressed and is rarely longer than 4 KiB, which gives 128. A file made to
/// keep its reader busy reaches 1000.
const UNPACKED_RATIO_MAX: u64 = 200;

/// The lines of a file.
pub(super) type Source = Box<dyn BufRead + Send>;

/// Opens a file of a log to read it, compressed or not; `-` is standard input. It may have been compressed since it was
/// listed.
pub(super) fn open(path: &Path) -> io::Result<Source> {
    if path.as_os_str() == STANDARD_INPUT {
        return over(io::stdin(), path);
    }
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let packed = beside(path, ".gz");
            over(File::open(&packed).map_err(|_neither| error)?, &packed)
        }
        file => over(file?, path),
    }
}

/// Reads a file that is open already.
pub(super) fn over(from: impl Read + Send + 'static, path: &Path) -> io::Result<Source> {
    let mut from = BufReader::with_capacity(BUFFER_BYTES, from);
    // A pipe may give a single byte at first; then its name must say what it is.
    let is_packed = from.fill_buf()?.starts_with(&GZIP);
    Ok(if is_packed || path.extension().is_some_and(|end| end == "gz") {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, Unpacked::of(from)))
    } else {
        Box::new(from)
    })
}

/// The path with something appended to the file's name.
pub(in crate::access_log) fn beside(log: &Path, end: &str) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(end);
    path.into()
}

/// A compressed file, as long as it is not made to keep us busy for ever.
struct Unpacked<R> {
    from: MultiGzDecoder<Counted<R>>,
    bytes: u64,
}

/// Counts what is read.
struct Counted<R> {
    from: R,
    bytes: u64,
}

impl<R: Read> Unpacked<R> {
    fn of(from: R) -> Self {
        Self { from: MultiGzDecoder::new(Counted { from, bytes: 0 }), bytes: 0 }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        let most = self.from.get_ref().bytes.saturating_mul(UNPACKED_RATIO_MAX);
        if self.bytes > UNPACKED_FREE_BYTES && self.bytes > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(read)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn read(name: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut all = Vec::new();
        open(&path)?.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn a_compressed_file_is_known_by_its_name_and_by_its_bytes() {
        assert_eq!(read("a.log", b"{}\n").unwrap(), b"{}\n");
        assert_eq!(read("a.log", &packed(b"{}\n")).unwrap(), b"{}\n");
        assert_eq!(read("a.log.gz", &packed(b"{}\n")).unwrap(), b"{}\n");
        let two = [packed(b"{}\n"), packed(b"[]\n")].concat();
        assert_eq!(read("a.log.gz", &two).unwrap(), b"{}\n[]\n");
        assert!(read("a.log.gz", b"{}\n").is_err());
        assert_eq!(read("empty", b"").unwrap(), b"");
    }

    #[test]
    fn a_file_that_unpacks_to_nothing_but_length_is_not_read_to_its_end() {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        for _ in 0..(UNPACKED_FREE_BYTES >> 20) + 8 {
            packer.write_all(&vec![b'0'; 1 << 20]).unwrap();
        }
        let bomb = packer.finish().unwrap();
        let error = read("a.log.gz", &bomb).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
