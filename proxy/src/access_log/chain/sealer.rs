//! Writing a chain.

use std::time::SystemTime;

use super::{
    AuditKey, ChainId, ChainStart, Checkpoint, CheckpointReason, Event, Mac, Notice, State, Torn,
    keys::Signed, line,
};
use crate::config::SinkFormat;

/// Seals lines, one after the other.
#[derive(Debug, Clone)]
pub struct Sealer {
    key: AuditKey,
    format: SinkFormat,
    state: State,
    /// Records since the last checkpoint.
    records: u64,
}

impl Sealer {
    /// A chain that begins.
    #[must_use]
    pub const fn begin(key: AuditKey, format: SinkFormat, chain: ChainId) -> Self {
        Self::resume(key, format, State { chain, seq: 0, mac: Mac::NONE })
    }

    /// A chain that goes on after this line.
    #[must_use]
    pub const fn resume(key: AuditKey, format: SinkFormat, state: State) -> Self {
        Self { key, format, state, records: 0 }
    }

    /// Where the chain stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Goes on to a line that somebody else wrote.
    pub const fn set_state(&mut self, state: State) {
        self.state = state;
    }

    /// Goes on to the last of so many records that are sealed already.
    pub const fn sealed(&mut self, records: u64, last: State) {
        self.state = last;
        self.records += records;
    }

    /// Records sealed since the last checkpoint.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Appends a record, given as `{…}` with or without its line feed, as a sealed line.
    pub fn seal(&mut self, record: &[u8], out: &mut Vec<u8>) {
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        let from = out.len();
        out.extend_from_slice(record.strip_suffix(b"}").unwrap_or(record));
        self.close(out, from);
        self.records += 1;
    }

    /// Appends an event of the log as a sealed line.
    pub fn event(&mut self, event: &Event, time: SystemTime, out: &mut Vec<u8>) {
        let from = out.len();
        event.write_to(out, self.format, time);
        self.close(out, from);
    }

    /// Appends the line that begins a file or a run.
    pub fn start(
        &mut self,
        (torn, notice): (Option<Torn>, Option<Notice>),
        time: SystemTime,
        out: &mut Vec<u8>,
    ) {
        let State { chain, seq, mac } = self.state;
        let resumes = (seq > 0).then_some((seq, mac));
        let start = ChainStart { chain, key: self.key.id(), resumes, torn, notice };
        self.event(&Event::ChainStart(start), time, out);
    }

    /// Appends a signed line.
    pub fn checkpoint(&mut self, reason: CheckpointReason, time: SystemTime, out: &mut Vec<u8>) {
        let State { chain, seq, mac: previous } = self.state;
        let signed = Signed { chain, seq: seq + 1, previous };
        let signature = self.key.sign(&signed);
        let records = std::mem::take(&mut self.records);
        let checkpoint = Checkpoint { chain, records, reason, previous, signature };
        self.event(&Event::Checkpoint(checkpoint), time, out);
    }

    /// Numbers and seals what stands in `out` from `from` on.
    fn close(&mut self, out: &mut Vec<u8>, from: usize) {
        self.state.seq += 1;
        line::write_seq(out, self.state.seq);
        let covered = out.get(from..).unwrap_or_default();
        self.state.mac = self.key.seal(&self.state.mac, covered);
        line::write_mac(out, self.state.mac);
    }
}
