//! The thread of one sink: takes records from its queue, seals them, and writes them until they are written.
//!
//! A write that fails is tried again, with pauses, from where it broke off; meanwhile the queue fills, and what is done
//! with more is up to it. So no line is written in part but by a process that is killed or has no more time, or to a file
//! that is left for another while its disk is full; the next line says then what the piece is.

mod lines;
mod own;
mod put;

use std::{
    io, mem,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    chain::{AuditKey, AuditKeys, ChainId, CheckpointReason, Sealer},
    output::Output,
    queue::{Batch, Queue},
    value::Format,
};
/// Largest buffer kept for the next batch; one that grew further in a burst is given back.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// How a chain is kept.
#[derive(Debug, Clone)]
pub(super) struct Sealing {
    /// All keys, to know what others have sealed.
    pub(super) keys: AuditKeys,
    /// What seals.
    pub(super) key: AuditKey,
    /// The name of a chain that begins.
    pub(super) chain: ChainId,
    /// Longest time between two checkpoints.
    pub(super) interval: Duration,
    /// Most records between two checkpoints.
    pub(super) records: u64,
}

/// What a sink's thread works with.
pub(super) struct Writer {
    pub(super) name: String,
    pub(super) queue: Arc<Queue>,
    pub(super) output: Box<dyn Output>,
    pub(super) format: Format,
    pub(super) sealing: Option<Sealing>,
}

/// A sink's thread.
struct Work {
    name: String,
    queue: Arc<Queue>,
    output: Box<dyn Output>,
    format: Format,
    sealing: Option<Sealing>,
    sealer: Option<Sealer>,
    /// When the next checkpoint is due, if there is something for it.
    checkpoint_at: Instant,
    /// There is something for a checkpoint that is no record of now: what the log tells of itself,
    /// what an earlier run left, or a checkpoint that the head file lacks.
    unsigned: bool,
    /// No rotation before this.
    rotate_after: Option<Instant>,
    /// The output is ours alone now.
    entered: bool,
    /// The log ended within a line. Nothing may follow that: whoever opens it next accounts for the piece.
    over: bool,
    /// Records and refusals of which no line tells yet.
    untold: (u64, u64),
    warned: Option<Instant>,
    /// Where records are sealed.
    buffer: Vec<u8>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(self) -> io::Result<()> {
        let Self { name, queue, output, format, sealing } = self;
        let thread = thread::Builder::new().name(format!("log-{name}"));
        let work = Work {
            name,
            queue,
            output,
            format,
            sealing,
            sealer: None,
            checkpoint_at: Instant::now(),
            unsigned: false,
            rotate_after: None,
            entered: false,
            over: false,
            untold: (0, 0),
            warned: None,
            buffer: Vec::new(),
        };
        let guard = Guard { name: work.name.clone(), queue: Arc::clone(&work.queue) };
        let run = move || {
            let _guard = guard;
            work.run();
        };
        thread.spawn(run).map(drop)
    }
}

/// Sees to it that the end of a thread by a panic is noticed: nobody may wait for what it will not write.
struct Guard {
    name: String,
    queue: Arc<Queue>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.queue.broken();
            tracing::error!(
                sink = self.name,
                "the thread of an access log has panicked: it writes nothing more until the process is restarted"
            );
        }
    }
}

impl Work {
    fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        self.enter();
        self.resume();
        self.leave();
        let mut spare = Vec::with_capacity(queue.batch_bytes);
        loop {
            let mut batch = queue.take(spare, self.due());
            if batch.reopen {
                self.reopen();
            }
            self.batch(&mut batch);
            if batch.last {
                break;
            }
            spare = batch.bytes;
            spare.clear();
            if spare.capacity() > KEPT_BYTES_MAX {
                spare = Vec::with_capacity(queue.batch_bytes);
            }
        }
        self.enter();
        self.checkpoint(CheckpointReason::Shutdown);
        self.sync(true);
        self.leave();
        queue.ended();
    }

    /// When there is something to do even if no record comes.
    fn due(&self) -> Option<Instant> {
        let checkpoint = self.wants_checkpoint().then_some(self.checkpoint_at);
        let full = self.output.full_at();
        let full = full.map(|at| self.rotate_after.map_or(at, |after| at.max(after)));
        [checkpoint, full, self.output.sync_at()].into_iter().flatten().min()
    }

    /// Whether there is something for a checkpoint.
    fn wants_checkpoint(&self) -> bool {
        self.sealer.as_ref().is_some_and(|sealer| self.unsigned || sealer.records() > 0)
    }

    /// Whether there are so many records that a checkpoint does not wait for its time.
    fn has_many_records(&self) -> bool {
        let (Some(sealing), Some(sealer)) = (&self.sealing, &self.sealer) else { return false };
        sealer.records() >= sealing.records
    }

    fn batch(&mut self, batch: &mut Batch) {
        self.enter();
        let bytes = mem::take(&mut batch.bytes);
        self.records(&bytes, batch);
        batch.bytes = bytes;
        self.untold.0 += batch.dropped;
        self.untold.1 += batch.refused;
        self.tell();
        if self.output.is_full() {
            self.rotate();
        }
        if self.has_many_records()
            || (self.wants_checkpoint() && Instant::now() >= self.checkpoint_at)
        {
            self.checkpoint(CheckpointReason::Interval);
        }
        self.sync(false);
        self.leave();
    }

    fn reopen(&mut self) {
        self.enter();
        self.sync(true);
        self.reopened();
        self.leave();
    }
}
