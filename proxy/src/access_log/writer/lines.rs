//! Writing records: chunk by chunk, sealed where they are to be.

use std::mem;

use memchr::memchr;

use super::{Work, put::Put};
use crate::access_log::{otlp, queue::Batch, value::Format};

/// Bytes that are sealed before they are written: with its seals a batch goes out at once, since many small writes cost a
/// file system more than a large one.
const CHUNK_BYTES: usize = 512 << 10;

/// Bytes of one request by OTLP. Receivers take 4 MiB unless they are told otherwise.
const OTLP_BYTES: usize = 1 << 20;

/// Bytes by which sealing makes a line longer, at most.
const SEAL_BYTES: usize = 90;

impl Work {
    /// Writes the records of a batch.
    pub(super) fn records(&mut self, mut rest: &[u8], batch: &mut Batch) {
        while !rest.is_empty() {
            if self.output.is_full() {
                self.rotate();
            }
            let before = self.sealer.clone();
            let mut sealed = mem::take(&mut self.buffer);
            sealed.clear();
            let (taken, count) = self.chunk(rest, &mut sealed);
            let (chunk, after) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            let bytes = if self.sealer.is_some() { sealed.as_slice() } else { chunk };
            let put = self.put(bytes);
            let next = match put {
                Put::All(rejected) => {
                    let taken = count.saturating_sub(rejected);
                    self.output.recorded();
                    // Where it is asked for, what is not on the disk is not written.
                    if self.sync(false) {
                        self.wrote(taken);
                        self.lost(rejected);
                    } else {
                        self.lost(count);
                    }
                    batch.records = batch.records.saturating_sub(count);
                    after
                }
                Put::Elsewhere(written) => {
                    let whole = self.elsewhere(bytes, written, before).min(count);
                    self.wrote(whole);
                    batch.records = batch.records.saturating_sub(whole);
                    rest.get(start_of_line(chunk, whole)..).unwrap_or_default()
                }
                Put::Ended(written) => {
                    let whole = self.ended(bytes, written, before).min(count);
                    self.wrote(whole);
                    self.lost(mem::take(&mut batch.records).saturating_sub(whole));
                    &[]
                }
            };
            self.buffer = sealed;
            self.queue.done(batch, rest.len() - next.len());
            rest = next;
        }
    }

    /// Takes as many records as fit, and seals them into `sealed` if they are to be sealed. Says how many bytes and
    /// how many records that are.
    fn chunk(&mut self, rest: &[u8], sealed: &mut Vec<u8>) -> (usize, u64) {
        if self.format == Format::Otlp {
            return otlp::entries(rest, OTLP_BYTES);
        }
        let room = if self.rotates_later() { usize::MAX } else { self.output.room() };
        let room = room.min(CHUNK_BYTES);
        let (mut taken, mut count) = (0, 0);
        while let Some(ahead) = rest.get(taken..).filter(|ahead| !ahead.is_empty()) {
            let end = memchr(b'\n', ahead).map_or(ahead.len(), |end| end + 1);
            let record = ahead.get(..end).unwrap_or(ahead);
            let bytes = if self.sealer.is_some() { sealed.len() + SEAL_BYTES } else { taken };
            if count > 0 && bytes + record.len() > room {
                break;
            }
            if let Some(sealer) = &mut self.sealer {
                sealer.seal(record, sealed);
            }
            taken += record.len();
            count += 1;
        }
        (taken, count)
    }

    /// Records in bytes that end where a record does, or within one.
    pub(super) fn whole(&self, bytes: &[u8]) -> u64 {
        match self.format {
            Format::Json | Format::Ecs => lines(bytes),
            Format::Otlp if bytes.is_empty() => 0,
            Format::Otlp => otlp::entries(bytes, usize::MAX).1,
        }
    }

    fn wrote(&self, records: u64) {
        self.queue.counters.written.inc_by(records);
    }

    fn lost(&mut self, records: u64) {
        self.untold.0 += records;
        self.queue.counters.dropped.inc_by(records);
    }
}

/// Line feeds in it.
fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// Where the line begins that follows so many.
pub(super) fn start_of_line(bytes: &[u8], lines: u64) -> usize {
    let count = usize::try_from(lines).unwrap_or(usize::MAX);
    bytes.split_inclusive(|byte| *byte == b'\n').take(count).map(<[u8]>::len).sum()
}
