//! Where a log that is opened stands: what its chain goes on from.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use aws_lc_rs::digest;

use super::{
    AuditKeys, ChainId, Event, LINE_BYTES_MAX, Mac, Notice, Sealed, State, Torn, Trust,
    files::{self, RawLine},
    keys::Signed,
};

/// Lines at the end of a file that are looked at. Whoever puts more behind them is found out all the same: the chain
/// then goes on from the head file, and the gap shows.
const LINES: usize = 256;

/// Largest number from which a chain goes on though nobody vouches for it. No log comes near it, and far more lines fit
/// behind it than will ever be written.
const CLAIMED_MAX: u64 = 1 << 53;

/// What a log holds.
#[derive(Debug, Default)]
pub struct Found {
    /// The line after which its chain goes on; none where none has begun.
    pub state: Option<State>,
    /// What its last line says of itself, where none of the last lines is sealed by one of our keys.
    pub claimed: Option<State>,
    /// What is there was written without seals, and belongs to no chain.
    pub unsealed: bool,
    /// A piece of a line at its end, which nobody can finish.
    pub torn: Option<Torn>,
    /// The last line lacks its line feed, and nothing else.
    pub unended: bool,
    /// What is amiss with it.
    pub notice: Option<Notice>,
}

/// Finds out where the chain of a log goes on.
///
/// # Errors
/// When a file of it cannot be read.
pub fn find(log: &Path, keys: &AuditKeys) -> io::Result<Found> {
    let mut found = Found::default();
    let mut files = files::log_files(log)?;
    while let Some(file) = files.pop() {
        let end = End::read(&file)?;
        if end.lines.is_empty() && end.rest.is_empty() {
            continue;
        }
        let is_written = file == *log;
        found.state = end.state(keys, &mut found.notice);
        if found.state.is_none() {
            found.claimed = end.claimed(&mut found.notice);
        }
        if is_written {
            found.unsealed = found.state.is_none() && !end.is_sealed();
            end.rest_of(keys, &mut found);
        }
        if found.state.is_some() || found.claimed.is_some() {
            break;
        }
    }
    with_head(&mut found, &files::head_path(log), keys)?;
    // Sealed by a key that is gone, or not by us at all: the numbers go on, and the log says so.
    found.state = found.state.or(found.claimed);
    Ok(found)
}

/// Holds what was found against the head file.
fn with_head(found: &mut Found, path: &Path, keys: &AuditKeys) -> io::Result<()> {
    let trust = Trust::of_keys(keys.clone());
    let head = match read_head(path) {
        Ok(line) if line.is_empty() => None,
        Ok(line) => Some(head_state(&line, &trust)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let Some(head) = head else {
        if found.state.is_some() || found.claimed.is_some() {
            found.notice.get_or_insert(Notice::HeadMissing);
        }
        return Ok(());
    };
    let Some(head) = head else {
        found.notice.get_or_insert(Notice::HeadForged);
        return Ok(());
    };
    match found.state {
        Some(state) if state.chain != head.chain => {
            found.notice.get_or_insert(Notice::HeadForged);
        }
        Some(state) if state.seq >= head.seq => {}
        // What is signed comes before what nobody vouches for, wherever that says that it stands.
        None => {
            found.notice.get_or_insert(Notice::CutShort);
            found.state = Some(head);
        }
        Some(_) => {
            found.notice = Some(Notice::CutShort);
            found.state = Some(head);
        }
    }
    Ok(())
}

/// The line in a head file.
pub(super) fn read_head(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    File::open(path)?.take(most).read_to_end(&mut text)?;
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    Ok(text)
}

/// What a head file's line says, if it is signed by somebody who is believed.
pub(super) fn head_state(line: &[u8], trust: &Trust) -> Option<State> {
    let Sealed { seq, mac, .. } = Sealed::of(line)?;
    let Some(Event::Checkpoint(checkpoint)) = Event::of(line) else { return None };
    let signed = Signed { chain: checkpoint.chain, seq, previous: checkpoint.previous };
    trust.signed(&signed, &checkpoint.signature).then_some(State {
        chain: checkpoint.chain,
        seq,
        mac,
    })
}

/// The last lines of a file.
struct End {
    /// Those with their line feeds.
    lines: VecDeque<Vec<u8>>,
    /// The first of the file, which names its chain.
    first: Vec<u8>,
    /// What follows the last line feed.
    rest: Vec<u8>,
}

impl End {
    fn read(path: &Path) -> io::Result<Self> {
        let mut end = Self { lines: VecDeque::new(), first: Vec::new(), rest: Vec::new() };
        let compressed = path.extension().is_some_and(|end| end == "gz");
        let mut from = files::Lines::over(vec![path.to_owned()]);
        let mut line = RawLine::default();
        if from.read(&mut line) {
            end.first.clone_from(&line.text);
            if compressed {
                end.take(&mut from, line)?;
            } else {
                end.tail(path)?;
            }
        }
        Ok(end)
    }

    /// All lines from this one on, of which the last are kept.
    fn take(&mut self, from: &mut files::Lines, mut line: RawLine) -> io::Result<()> {
        loop {
            if let Some(error) = line.failed.take() {
                return Err(error);
            }
            let text = std::mem::take(&mut line.text);
            if line.ended {
                self.push(text);
            } else {
                self.rest = text;
            }
            if !from.read(&mut line) {
                return Ok(());
            }
        }
    }

    fn push(&mut self, line: Vec<u8>) {
        if self.lines.len() >= LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The last part of a file that can be read from anywhere.
    fn tail(&mut self, path: &Path) -> io::Result<()> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let most = u64::try_from(LINE_BYTES_MAX * 2).unwrap_or(u64::MAX);
        let from = length.saturating_sub(most);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        let mut pieces: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        self.rest = pieces.pop().unwrap_or_default().to_vec();
        // The first may be a part of a line.
        let whole = pieces.get(usize::from(from > 0)..).unwrap_or_default();
        for line in whole {
            self.push(line.to_vec());
        }
        Ok(())
    }

    /// The last line that is of the chain, counted from the end.
    fn state(&self, keys: &AuditKeys, notice: &mut Option<Notice>) -> Option<State> {
        let sealed: Vec<Option<Sealed<'_>>> =
            self.lines.iter().map(|line| Sealed::of(line)).collect();
        let each = self.lines.iter().zip(&sealed).enumerate().rev();
        for (place, (line, sealed)) in each {
            let Some(sealed) = sealed else { continue };
            let before = place.checked_sub(1).and_then(|before| self.lines.get(before));
            let before = before.and_then(|line| Sealed::of(line)).map(|before| before.mac);
            let stated = || Event::of(line).as_ref().and_then(Event::previous);
            if follows(keys, sealed, before) || follows(keys, sealed, stated()) {
                if place + 1 < self.lines.len() {
                    notice.get_or_insert(Notice::EndForged);
                }
                return Some(State { chain: self.chain(place), seq: sealed.seq, mac: sealed.mac });
            }
        }
        None
    }

    /// What the last line that looks sealed says of itself, if that can be.
    fn claimed(&self, notice: &mut Option<Notice>) -> Option<State> {
        let mut each = self.lines.iter().enumerate().rev();
        let (place, last) = each.find_map(|(place, line)| Some((place, Sealed::of(line)?)))?;
        notice.get_or_insert(Notice::EndForged);
        (last.seq <= CLAIMED_MAX).then(|| State {
            chain: self.chain(place),
            seq: last.seq,
            mac: last.mac,
        })
    }

    /// Whether anything in it looks sealed.
    fn is_sealed(&self) -> bool {
        let lines = self.lines.iter().map(Vec::as_slice).chain([self.first.as_slice()]);
        lines.into_iter().any(|line| Sealed::of(line).is_some())
    }

    /// The chain of the line at a place.
    fn chain(&self, place: usize) -> ChainId {
        let until = self.lines.iter().take(place + 1).rev();
        let named = until.map(Vec::as_slice).chain([self.first.as_slice()]);
        let chain = |line: &[u8]| match Event::of(line)? {
            Event::ChainStart(start) => Some(start.chain),
            Event::Checkpoint(checkpoint) => Some(checkpoint.chain),
            Event::RecordsDropped(_) | Event::RequestsRefused(_) => None,
        };
        named.into_iter().find_map(chain).unwrap_or(ChainId::UNKNOWN)
    }

    /// What follows the last line feed: a line without one, or a piece of one.
    fn rest_of(&self, keys: &AuditKeys, found: &mut Found) {
        if self.rest.is_empty() {
            return;
        }
        if let (Some(state), Some(sealed)) = (found.state, Sealed::of(&self.rest))
            && follows(keys, &sealed, Some(state.mac))
        {
            found.unended = true;
            found.state = Some(State { seq: sealed.seq, mac: sealed.mac, ..state });
            return;
        }
        found.torn = Some(Torn::of(&self.rest));
    }
}

impl Torn {
    /// That these bytes are a piece of a line.
    #[must_use]
    pub fn of(piece: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, piece);
        Self {
            bytes: u64::try_from(piece.len()).unwrap_or(u64::MAX),
            sha256: digest.as_ref().try_into().unwrap_or_default(),
        }
    }
}

fn follows(keys: &AuditKeys, line: &Sealed<'_>, previous: Option<Mac>) -> bool {
    previous.is_some_and(|previous| {
        keys.all().iter().any(|key| key.seal(&previous, line.covered) == line.mac)
    })
}
