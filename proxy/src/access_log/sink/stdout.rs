//! Standard output.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::AsFd as _,
};

use crate::access_log::{
    AccessLogError,
    output::{Done, Output},
};

/// Standard output, or another stream of bytes that is open.
pub(in crate::access_log) struct Stream {
    to: File,
    /// Nobody reads it, and nobody will.
    gone: bool,
}

impl Stream {
    /// A descriptor of its own: the standard library's handle buffers lines and hides `EBADF`.
    pub(in crate::access_log) fn stdout() -> Result<Self, AccessLogError> {
        let descriptor =
            io::stdout().as_fd().try_clone_to_owned().map_err(AccessLogError::Stdout)?;
        Ok(Self::to(File::from(descriptor)))
    }

    /// This one.
    pub(in crate::access_log) const fn to(to: File) -> Self {
        Self { to, gone: false }
    }
}

impl Output for Stream {
    fn write(&mut self, records: &[u8]) -> io::Result<Done> {
        let done = self.to.write(records).inspect_err(|error| {
            self.gone = error.kind() == io::ErrorKind::BrokenPipe;
        });
        written(done?)
    }

    fn is_gone(&self) -> bool {
        self.gone
    }
}

/// What a stream took, which must be something.
pub(super) fn written(bytes: usize) -> io::Result<Done> {
    if bytes == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(Done::bytes(bytes)) }
}
