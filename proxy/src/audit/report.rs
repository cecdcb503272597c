//! `promgate audit report`: who used what, what was refused, and what cost most?

mod costs;
mod text;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use self::costs::{Cost, Costs};
use super::{
    AuditError, Facts, Filter, Log,
    grep::unreadable,
    logs::may_end,
    tally::{End, NAMES_MAX, NOBODY, Tally, Top, Usage, end},
};
use crate::{
    access_log::chain::{Entry, Event, Fault, Trust},
    field::Field,
};

/// What usage is summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum By {
    /// Who called: subject and issuer of the token.
    Person,
    /// The tool that was called.
    Tool,
    /// The backend that answered.
    Backend,
    /// The program that called: what it calls itself, and the client of its token.
    Client,
    /// The session, by its pseudonym.
    Session,
}

impl By {
    /// Those that are shown where none is asked for.
    const USUAL: [Self; 3] = [Self::Person, Self::Tool, Self::Backend];

    /// The columns of its name.
    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Person => &["person", "issuer"],
            Self::Tool => &["tool"],
            Self::Backend => &["backend"],
            Self::Client => &["client", "client_id"],
            Self::Session => &["session", "person"],
        }
    }

    /// The parts of its name in a record; none where the record has nothing to do with it.
    fn name<'f>(self, facts: &'f Facts<'_>) -> Option<Vec<&'f str>> {
        let or_nobody = |field| facts.text(field).unwrap_or(NOBODY);
        match self {
            Self::Person => Some(vec![or_nobody(Field::Subject), or_nobody(Field::Issuer)]),
            Self::Tool => facts.text(Field::Tool).map(|tool| vec![tool]),
            Self::Backend => facts.text(Field::Backend).map(|backend| vec![backend]),
            Self::Client => Some(vec![or_nobody(Field::ClientName), or_nobody(Field::ClientId)]),
            Self::Session => {
                facts.text(Field::Session).map(|session| vec![session, or_nobody(Field::Subject)])
            }
        }
    }
}

/// What a report is to hold.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// What usage is summed by; by person, tool and backend when none.
    pub by: Option<By>,
    /// Rows of each table.
    pub rows_max: usize,
    /// Names that each table tells apart.
    pub names_max: usize,
    /// Whom to believe: with keys, a log that looks sealed is verified on the way.
    pub trust: Trust,
}

impl Default for ReportOptions {
    fn default() -> Self {
        Self { by: None, rows_max: 10, names_max: NAMES_MAX, trust: Trust::default() }
    }
}

/// A report.
#[derive(Debug)]
pub struct Report {
    logs: Vec<String>,
    rows_max: usize,
    names_max: usize,
    /// Faults of the chain; none where it was not checked.
    faults: Option<u64>,
    /// Where a log could not be read on.
    unread: Option<String>,
    /// Lines that are no records at all.
    strange: u64,
    /// Records that were counted: requests that ended.
    records: u64,
    /// Requests that another replica passed on. They count where their client reached us, or they would count twice.
    relayed: u64,
    /// Streams that opened, and those that ended.
    streams: (u64, u64),
    /// Places at which the log tells of lost records, and how many.
    dropped: (u64, u64),
    /// Time of the first and of the last record that was counted.
    times: Option<(String, String)>,
    all: Tally,
    usage: BTreeMap<By, Tally>,
    refusals: Tally,
    limits: Tally,
    queries: Tally,
    costs: Costs,
}

/// Makes a report of the records that the filter admits.
///
/// Memory is bounded: each table tells [`ReportOptions::names_max`] names apart, in the order in which they came, and
/// sums up what comes after them as others.
///
/// # Errors
/// When a log cannot be read at all.
pub fn report(
    logs: &[Log],
    filter: &mut Filter<'_>,
    options: &ReportOptions,
) -> Result<Report, AuditError> {
    let mut report = Report::new(logs, options);
    for log in logs {
        let is_sealed = log.looks_sealed();
        let trust = if is_sealed { options.trust.clone() } else { Trust::default() };
        let mut reader = log.reader(trust)?;
        let mut ended = false;
        while let Some(entry) = reader.read() {
            ended = may_end(&entry);
            report.take(&entry, filter);
        }
        let ending = reader.end();
        let faults = ending.faults + u64::from(log.is_faulted_by(ending.head, ended));
        report.faults = report.faults.filter(|_| is_sealed).map(|known| known + faults);
    }
    Ok(report)
}

impl Report {
    fn new(logs: &[Log], options: &ReportOptions) -> Self {
        let table = || Tally::new(options.names_max);
        let by = options.by.as_ref().map_or(&By::USUAL[..], std::slice::from_ref);
        Self {
            logs: logs.iter().map(|log| log.name.to_string_lossy().into_owned()).collect(),
            rows_max: options.rows_max,
            names_max: options.names_max,
            faults: options.trust.checks_seals().then_some(0),
            unread: None,
            strange: 0,
            records: 0,
            relayed: 0,
            streams: (0, 0),
            dropped: (0, 0),
            times: None,
            all: Tally::new(1),
            usage: by.iter().map(|by| (*by, table())).collect(),
            refusals: table(),
            limits: table(),
            queries: table(),
            costs: Costs::new(options.rows_max),
        }
    }

    /// # Errors
    /// [`AuditError`] when a log was not as it was written, or could not be read to its end.
    pub fn verdict(self) -> Result<(), AuditError> {
        match (self.unread, self.faults) {
            (Some(unread), _) => Err(AuditError::Unread(unread)),
            (None, Some(faults)) if faults > 0 => Err(AuditError::Faults(faults)),
            (None, _) => Ok(()),
        }
    }

    fn take(&mut self, entry: &Entry<'_>, filter: &mut Filter<'_>) {
        if let Some(Fault::Unreadable(kind)) = entry.fault {
            self.unread.get_or_insert_with(|| unreadable(entry.file, entry.line, kind));
            return;
        }
        match &entry.event {
            Some(Event::RecordsDropped(records)) => {
                self.dropped.0 += 1;
                self.dropped.1 = self.dropped.1.saturating_add(*records);
            }
            Some(Event::ChainStart(_) | Event::Checkpoint(_) | Event::RequestsRefused(_)) => {}
            None => match Facts::of(entry.text) {
                Some(facts) if filter.admits(&facts) => self.count(&facts),
                Some(_) => {}
                None => self.strange += 1,
            },
        }
    }

    fn count(&mut self, facts: &Facts<'_>) {
        if facts.number(Field::Hop).is_some_and(|hop| hop > 0) {
            self.relayed += 1;
            return;
        }
        match facts.event() {
            "stream_open" => {
                self.streams.0 += 1;
                return;
            }
            "stream_end" => self.streams.1 += 1,
            _ => {}
        }
        self.records += 1;
        self.all.add(&[], facts);
        if let Some(time) = facts.text(Field::Time).filter(|time| time.len() < 40) {
            let (_, last) = self.times.get_or_insert_with(|| (time.to_owned(), time.to_owned()));
            time.clone_into(last);
        }
        for (by, tally) in &mut self.usage {
            if let Some(name) = by.name(facts) {
                tally.add(&name, facts);
            }
        }
        if matches!(end(facts), Some(End::Refused | End::Failed)) {
            let fields = [Field::Outcome, Field::Reason, Field::Rule];
            let name = fields.map(|field| facts.text(field).unwrap_or(NOBODY));
            self.refusals.add(&name, facts);
        }
        if let Some(limit) = facts.text(Field::Limit) {
            self.limits.add(&[limit], facts);
        }
        if let Some(fingerprint) = facts.text(Field::QueryFingerprint) {
            let metrics = facts.texts(Field::QueryMetrics).join(", ");
            self.queries.add(&[fingerprint, &metrics], facts);
        }
        self.costs.add(facts);
    }

    /// Every table: its name, the columns of its names, and its rows.
    fn tables(&self) -> Vec<Table> {
        let requests = |usage: &Usage| usage.requests;
        let top = |tally: &Tally| tally.top(self.rows_max, requests);
        let mut tables: Vec<Table> = self
            .usage
            .iter()
            .map(|(by, tally)| Table {
                name: by.columns().first().copied().unwrap_or_default(),
                columns: by.columns(),
                top: top(tally),
            })
            .collect();
        tables.push(Table {
            name: "refusals",
            columns: &["outcome", "reason", "rule"],
            top: top(&self.refusals),
        });
        tables.push(Table { name: "limits", columns: &["limit"], top: top(&self.limits) });
        tables.push(Table {
            name: "queries",
            columns: &["fingerprint", "metrics"],
            top: self.queries.top(self.rows_max, |usage| usage.longest_us),
        });
        tables
    }

    /// It for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut tables = Map::new();
        for Table { name, columns, top } in self.tables() {
            let row = |(parts, usage): &(Vec<String>, Usage)| {
                let named = columns.iter().zip(parts);
                let mut row: Map<String, Value> =
                    named.map(|(column, part)| ((*column).to_owned(), json!(part))).collect();
                row.extend(usage.json());
                Value::Object(row)
            };
            let rows: Vec<Value> = top.rows.iter().map(row).collect();
            let table = json!({
                "rows": rows,
                "others": top.others.as_ref().map(Usage::json),
                "other_names": top.other_names,
                "other_names_is_all": !top.is_full,
            });
            tables.insert(name.to_owned(), table);
        }
        let costs = |costs: &[Cost]| costs.iter().map(Cost::json).collect::<Vec<_>>();
        let (first, last) = self.times.clone().unzip();
        let all = self.all.top(1, |usage| usage.requests).rows;
        json!({
            "logs": self.logs,
            "faults": self.faults,
            "unread": self.unread,
            "strange_lines": self.strange,
            "records": self.records,
            "relayed": self.relayed,
            "first": first,
            "last": last,
            "streams": { "opened": self.streams.0, "ended": self.streams.1 },
            "dropped": { "places": self.dropped.0, "records": self.dropped.1 },
            "names_max": self.names_max,
            "all": all.first().map(|(_, usage)| usage.json()),
            "tables": tables,
            "costs": {
                "longest": costs(self.costs.longest()),
                "largest": costs(self.costs.largest()),
                "most_rows": costs(self.costs.most_rows()),
            },
        })
    }
}

/// One table of a report.
struct Table {
    name: &'static str,
    columns: &'static [&'static str],
    top: Top,
}
