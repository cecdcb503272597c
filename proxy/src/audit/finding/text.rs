//! A verdict as text.

use std::{fmt, path::Path};

use super::{Finding, Place, Verdict, What};
use crate::{
    access_log::chain::Head,
    enquiry::{Row, shown, table},
};

/// Width of what stands before each fact.
const NAME_CHARS: usize = 12;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.findings.is_empty() {
            let rows = self.findings.iter().map(row);
            f.write_str(&table(&["file:line", "seq", "what"], rows))?;
            let shown = u64::try_from(self.findings.len()).unwrap_or(u64::MAX);
            if self.faults > shown {
                writeln!(f, "and {} more", self.faults - shown)?;
            }
            f.write_str("\n")?;
        }
        self.write_facts(f)?;
        let proof = self.proof();
        let all = [("proved", proof.proved), ("not proved", proof.open)];
        for (name, sentences) in all {
            for (place, sentence) in sentences.iter().enumerate() {
                fact(f, if place == 0 { name } else { "" }, sentence)?;
            }
        }
        Ok(())
    }
}

impl Verdict {
    fn write_facts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = &self.ending;
        let name = path(&self.name);
        let files = match self.files.as_slice() {
            [] | [_] => name,
            [first, .., last] => {
                format!("{name}: {} files, {} to {}", self.files.len(), path(first), path(last))
            }
        };
        fact(f, "log", &files)?;
        fact(f, "lines", &format!("{}, of which {} are records", ending.lines, ending.records))?;
        fact(f, "first", &place(&self.ends.0))?;
        fact(f, "last", &place(&self.ends.1))?;
        if let Some(last) = ending.last {
            let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
            fact(f, "chain", &format!("{}, keys {}", last.chain, keys.join(", ")))?;
        }
        let last =
            ending.checkpoint.map_or_else(String::new, |seq| format!(", the last is line {seq}"));
        fact(f, "checkpoints", &format!("{} with a good signature{last}", self.checkpoints))?;
        fact(f, "starts", &format!("{} of files and runs", self.starts))?;
        fact(f, "end", self.end())?;
        let head = match ending.head {
            Head::Absent => "no head file".to_owned(),
            Head::Reached(seq) => format!("the head file's checkpoint, line {seq}, is there"),
            head @ (Head::Forged
            | Head::OtherChain
            | Head::Contradicted(_)
            | Head::CutShort { .. }) => What::Head(head).to_string(),
        };
        fact(f, "head", &head)?;
        if self.pieces > 0 {
            fact(
                f,
                "torn",
                &format!(
                    "{} pieces of lines, as a killed process leaves them, all accounted for",
                    self.pieces
                ),
            )?;
        }
        if self.dropped.0 > 0 {
            let (places, records) = self.dropped;
            fact(
                f,
                "dropped",
                &format!("{records} records at {places} places, as the log itself tells"),
            )?;
        }
        if self.refused > 0 {
            let what = "requests were refused, since their records could not have been written";
            fact(f, "refused", &format!("{} {what}", self.refused))?;
        }
        fact(f, "faults", &self.faults.to_string())
    }

    fn end(&self) -> &'static str {
        match (self.ending.closed, self.ending.torn) {
            (true, _) => "the process ended properly",
            (false, Some(_)) => "in the middle of a line, as a killed process leaves it",
            (false, None) => "open: the process still writes, or was killed",
        }
    }
}

fn fact(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    writeln!(f, "{name:NAME_CHARS$}{value}")
}

fn row(finding: &Finding) -> Row {
    let file = path(&finding.file);
    let place = finding.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"));
    let seq = finding.seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
    Row { cells: vec![place, seq, finding.what.to_string()], remark: None }
}

fn place(place: &Place) -> String {
    let seq = place.seq.map_or_else(|| "no number".to_owned(), |seq| format!("seq {seq}"));
    let time = place.time.as_deref().unwrap_or("an unknown time");
    format!("{seq} at {time}")
}

fn path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}
