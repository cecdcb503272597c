//! Promgate's access log, from outside: a record that was dropped would be a cost not paid.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
    time::{Duration, Instant},
};

use crate::failure::Failure;

/// How long records may take from the answer to the file.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked for them.
const LOOK: Duration = Duration::from_millis(5);

/// The file.
#[derive(Debug)]
pub struct AccessLogFile(File);

impl AccessLogFile {
    /// Opens the file at `path`, which the server appends to.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        file.map(Self).map_err(Failure::system("open the access log"))
    }

    /// Waits until the file holds `records`, and empties it.
    ///
    /// # Errors
    /// [`Failure::Records`] when they do not come.
    pub async fn take(&mut self, records: u64) -> Result<(), Failure> {
        let began = Instant::now();
        let mut found = 0;
        self.0.seek(SeekFrom::Start(0)).map_err(Failure::system("read the access log"))?;
        while found < records {
            found += self.more().map_err(Failure::system("read the access log"))?;
            if began.elapsed() > PATIENCE {
                return Err(Failure::Records { found, expected: records });
            }
            tokio::time::sleep(LOOK).await;
        }
        // The server appends, so it goes on at the new end.
        self.0.set_len(0).map_err(Failure::system("empty the access log"))
    }

    /// Records written since the last look.
    fn more(&mut self) -> io::Result<u64> {
        let mut buffer = vec![0; 256 << 10];
        let mut lines = 0;
        loop {
            let read = self.0.read(&mut buffer)?;
            let new = buffer.get(..read).unwrap_or_default();
            lines += new.iter().map(|&byte| u64::from(byte == b'\n')).sum::<u64>();
            if read == 0 {
                return Ok(lines);
            }
        }
    }
}
