//! Promgate's access log, from outside: a record that was dropped would be a cost not paid.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    mem,
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
pub struct AccessLogFile {
    file: File,
    mark: String,
    /// The beginning of a record whose end was not there yet.
    begun: Vec<u8>,
    /// Whether it is emptied when its records were counted. A chain would notice.
    emptied: bool,
}

impl AccessLogFile {
    /// Opens the file at `path`, which the server appends to. Only lines that contain `mark` count. It is emptied now
    /// and then, if it may be.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be opened.
    pub fn open(path: &Path, mark: String, emptied: bool) -> Result<Self, Failure> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(Failure::system("open the access log"))?;
        Ok(Self { file, mark, begun: Vec::new(), emptied })
    }

    /// Waits until the file holds `records` more.
    ///
    /// # Errors
    /// [`Failure::Records`] when they do not come.
    pub async fn take(&mut self, records: u64) -> Result<(), Failure> {
        let began = Instant::now();
        let mut found = 0;
        if self.emptied {
            self.file.seek(SeekFrom::Start(0)).map_err(Failure::system("read the access log"))?;
        }
        while found < records {
            found += self.more().map_err(Failure::system("read the access log"))?;
            if began.elapsed() > PATIENCE {
                return Err(Failure::Records { found, expected: records });
            }
            tokio::time::sleep(LOOK).await;
        }
        if !self.emptied {
            return Ok(());
        }
        // The server appends, so it goes on at the new end.
        self.begun.clear();
        self.file.set_len(0).map_err(Failure::system("empty the access log"))
    }

    /// Records written since the last look.
    fn more(&mut self) -> io::Result<u64> {
        self.file.read_to_end(&mut self.begun)?;
        let complete = self.begun.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let begun = self.begun.split_off(complete);
        let written = mem::replace(&mut self.begun, begun);
        let lines = String::from_utf8_lossy(&written);
        Ok(lines.lines().map(|line| u64::from(line.contains(&self.mark))).sum())
    }
}
