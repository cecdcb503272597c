use std::time::Duration;

use bytes::Bytes;
use rmcp::model::{ClientCapabilities, Implementation, InitializeRequestParams, ProtocolVersion};

use super::*;
use crate::server::{facts::FactsTable, service::dead_peer};

const ALICE: Option<PrincipalId> = Some(PrincipalId([1; 16]));
const BOB: Option<PrincipalId> = Some(PrincipalId([2; 16]));
/// Seconds of life of the sessions that [`Tables::open`] opens.
const LIFE_S: u64 = 1000;

/// Tables of one process.
struct Tables {
    facts: Arc<Facts>,
    counts: Arc<PrincipalCounts>,
    limits: WorkerLimits,
}

impl Tables {
    fn new() -> Self {
        let client = Implementation::new("test", "1");
        let init = InitializeRequestParams::new(ClientCapabilities::default(), client);
        let version = ProtocolVersion::LATEST_WITH_INITIALIZE;
        let facts = FactsTable::new(1).of(init, version, |_agreed| dead_peer()).unwrap();
        let limits = WorkerLimits {
            sessions_max: 3,
            principal_sessions_max: 2,
            idle_timeout: Duration::from_mins(1),
            ..WorkerLimits::default()
        };
        Self { facts, counts: Arc::default(), limits }
    }

    fn table(&self) -> Table {
        Table::new(self.limits, Arc::clone(&self.counts))
    }

    fn open(
        &self,
        table: &Table,
        name: &str,
        owner: Option<PrincipalId>,
    ) -> Result<(), CannotOpen> {
        table.open(opening(name), Arc::clone(&self.facts), owner)
    }

    fn restore(
        &self,
        table: &Table,
        name: &str,
        owner: Option<PrincipalId>,
    ) -> Result<bool, CannotOpen> {
        table.restore(opening(name), Arc::clone(&self.facts), owner)
    }

    fn counted(&self) -> [usize; 2] {
        [ALICE, BOB].map(|principal| self.counts.of(principal.unwrap()))
    }
}

fn id(name: &str) -> SessionId {
    SessionId::parse(name.as_bytes()).unwrap()
}

fn opening(name: &str) -> Opening {
    Opening { id: id(name), expires: SystemTime::now() + Duration::from_secs(LIFE_S) }
}

/// So many seconds from now, by all clocks.
fn later(table: &Table, s: u32) -> Now {
    let Now { up_s, unix_s } = table.now();
    Now { up_s: up_s + s, unix_s: unix_s + u64::from(s) }
}

fn names(ended: &[EndedSession]) -> Vec<&str> {
    let mut names: Vec<_> = ended.iter().map(|ended| ended.id.as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_principal_has_its_bound_of_sessions_over_all_tables() {
    let tables = Tables::new();
    let (one, other) = (tables.table(), tables.table());
    assert_eq!(tables.open(&one, "a", ALICE), Ok(()));
    assert_eq!(tables.open(&other, "b", ALICE), Ok(()));
    assert_eq!(one.room_for(ALICE), Err(CannotOpen::PrincipalFull));
    assert_eq!(tables.open(&one, "c", ALICE), Err(CannotOpen::PrincipalFull));
    assert_eq!(tables.open(&one, "c", BOB), Ok(()));
    assert!(other.close(&id("b"), ALICE));
    assert_eq!(tables.open(&one, "d", ALICE), Ok(()));
    assert_eq!(tables.counted(), [2, 1]);
    assert_eq!(tables.open(&other, "e", None), Ok(()), "nobody is counted");
}

#[tokio::test]
async fn who_is_refused_is_not_counted() {
    let tables = Tables::new();
    let table = tables.table();
    for name in ["a", "b", "c"] {
        assert_eq!(tables.open(&table, name, None), Ok(()));
    }
    assert_eq!(table.room_for(ALICE), Err(CannotOpen::Full));
    assert_eq!(tables.open(&table, "d", ALICE), Err(CannotOpen::Full));
    assert_eq!(tables.restore(&table, "d", ALICE), Err(CannotOpen::Full));
    assert_eq!(tables.restore(&table, "a", ALICE), Ok(false), "it is here already");
    assert_eq!(tables.counts.principals(), 0);
}

#[tokio::test]
async fn a_restored_session_counts_but_is_not_refused_for_its_principal() {
    let tables = Tables::new();
    let table = tables.table();
    for name in ["a", "b", "c"] {
        assert_eq!(tables.restore(&table, name, ALICE), Ok(true));
    }
    assert_eq!(tables.counted(), [3, 0]);
    assert!(table.close(&id("a"), ALICE));
    assert_eq!(table.room_for(ALICE), Err(CannotOpen::PrincipalFull));
    assert_eq!(table.room_for(BOB), Ok(()));
}

#[tokio::test]
async fn however_a_session_leaves_its_principal_may_open_another() {
    let tables = Tables::new();
    let table = tables.table();
    let open_two = || {
        assert_eq!(tables.open(&table, "a", ALICE), Ok(()));
        assert_eq!(tables.open(&table, "b", BOB), Ok(()));
    };
    open_two();
    assert_eq!(table.release(&|id| id.as_str() == "b"), 1);
    assert_eq!((tables.counted(), table.ids()), ([0, 1], vec![id("b")]));
    assert_eq!(tables.open(&table, "a", ALICE), Ok(()));
    assert_eq!(table.end_of(ALICE.unwrap()), [id("a")]);
    assert_eq!(tables.counted(), [0, 1]);
    assert!(!table.close(&id("b"), ALICE) && table.close(&id("b"), BOB));
    assert_eq!(tables.counts.principals(), 0);
    open_two();
    table.expire(later(&table, 2000));
    assert_eq!((tables.counts.principals(), table.len()), (0, 0));
}

#[tokio::test]
async fn a_session_ends_at_its_age_however_busy_it_is() {
    let tables = Tables::new();
    let table = tables.table();
    tables.open(&table, "busy", ALICE).unwrap();
    let session = table.get(&id("busy"), ALICE).unwrap();
    let call = session.begin(&rmcp::model::RequestId::Number(1), 1).unwrap();
    let stream = session.open_stream(1, Bytes::new()).unwrap();
    assert_eq!(table.expire(later(&table, 900)), Expired::default(), "it is not idle");
    let expired = table.expire(later(&table, 1001));
    assert_eq!((expired.aged, expired.idle), (1, 0));
    assert_eq!(expired.ended, [EndedSession { id: id("busy"), principal: ALICE }]);
    assert!(call.ct.is_cancelled() && stream.try_push("x".into()).is_err());
}

#[tokio::test]
async fn an_old_session_is_ended_before_the_next_look_for_idle_ones() {
    let mut tables = Tables::new();
    // Those in which nothing happens are looked for once in ten minutes.
    tables.limits.idle_timeout = Duration::from_hours(10);
    let table = tables.table();
    let short = Opening { id: id("short"), expires: SystemTime::now() + Duration::from_secs(100) };
    table.open(short, Arc::clone(&tables.facts), None).unwrap();
    tables.open(&table, "long", None).unwrap();
    assert_eq!(table.expire(later(&table, 90)), Expired::default());
    assert_eq!(names(&table.expire(later(&table, 101)).ended), ["short"]);
    assert_eq!(table.expire(later(&table, 600)), Expired::default());
    assert_eq!(names(&table.expire(later(&table, 1001)).ended), ["long"]);
}

#[tokio::test]
async fn a_session_in_which_nothing_happens_ends_and_is_told() {
    let tables = Tables::new();
    let table = tables.table();
    tables.open(&table, "idle", BOB).unwrap();
    tables.open(&table, "listens", BOB).unwrap();
    let _stream = table.get(&id("listens"), BOB).unwrap().open_stream(1, Bytes::new()).unwrap();
    let expired = table.expire(later(&table, 61));
    assert_eq!((expired.aged, expired.idle), (0, 1));
    assert_eq!(expired.ended, [EndedSession { id: id("idle"), principal: BOB }]);
}

#[tokio::test]
async fn a_session_with_a_stream_is_not_idle_however_short_the_idle_timeout_is() {
    let mut tables = Tables::new();
    tables.limits.idle_timeout = Duration::from_millis(500);
    let table = tables.table();
    tables.open(&table, "listens", None).unwrap();
    let session = table.get(&id("listens"), None).unwrap();
    let stream = session.open_stream(1, Bytes::new()).unwrap();
    assert_eq!(table.expire(later(&table, 5)), Expired::default());
    session.close_stream(&stream);
    assert_eq!(table.expire(later(&table, 6)).idle, 1);
}

#[tokio::test]
async fn a_session_is_not_found_from_the_second_of_its_expiry_on() {
    let tables = Tables::new();
    let table = tables.table();
    let now = SystemTime::now();
    table.open(Opening { id: id("a"), expires: now }, Arc::clone(&tables.facts), ALICE).unwrap();
    assert!(table.get(&id("a"), ALICE).is_none());
    assert_eq!(table.len(), 1, "the next look ends it");
}

#[tokio::test]
async fn whoever_asks_whether_a_session_is_here_does_not_keep_it_alive() {
    let tables = Tables::new();
    let table = tables.table();
    tables.open(&table, "a", ALICE).unwrap();
    let session = table.look(&id("a")).unwrap();
    session.seen_s.store(7, Ordering::Relaxed);
    assert!(table.look(&id("a")).is_some() && table.get(&id("a"), BOB).is_none());
    assert_eq!(session.seen_s.load(Ordering::Relaxed), 7);
    table.get(&id("a"), ALICE).unwrap();
    assert_ne!(session.seen_s.load(Ordering::Relaxed), 7);
}
