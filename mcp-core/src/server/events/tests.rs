use proptest::prelude::*;
use rmcp::model::{ResourceUpdatedNotification, ResourceUpdatedNotificationParam};

use super::*;

/// An event that can be told from others.
fn say(log: &mut EventLog, number: u64) {
    let params = ResourceUpdatedNotificationParam::new(format!("test:{number}"));
    log.record(ResourceUpdatedNotification::new(params).into()).unwrap();
}

fn log_of(events: u64) -> EventLog {
    let mut log = EventLog::new();
    (1..=events).for_each(|number| say(&mut log, number));
    log
}

fn catch_up() -> Vec<Bytes> {
    vec!["data: caught\n\n".into(), "data: up\n\n".into()]
}

/// The beginning of a stream after the event of this number.
fn after(log: &mut EventLog, number: u64) -> Result<String, NoLongerKept> {
    let place = Place { epoch: log.epoch, number, beginning: None };
    begin(log, Some(&place.to_string()))
}

fn begin(log: &mut EventLog, id: Option<&str>) -> Result<String, NoLongerKept> {
    let frames = log.begin(id.map(str::as_bytes), true, catch_up)?;
    Ok(String::from_utf8(frames.to_vec()).unwrap())
}

/// The last id in what a stream has said.
fn last_id(frames: &str) -> &str {
    frames.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap()
}

/// Numbers of the events in what a stream has said.
fn numbers(frames: &str) -> Vec<u64> {
    let after = frames.split("test:").skip(1);
    after.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn an_event_goes_out_with_its_id_before_its_data_or_without() {
    let mut log = EventLog::new();
    let params = ResourceUpdatedNotificationParam::new("test:1");
    let event = log.record(ResourceUpdatedNotification::new(params).into()).unwrap();
    let plain = str::from_utf8(&event.plain).unwrap();
    assert!(plain.starts_with("event: message\ndata: {\"jsonrpc\":\"2.0\""), "{plain}");
    assert_eq!(event.numbered, format!("id: {:016x}-1\n{plain}", log.epoch));
}

#[test]
fn a_new_stream_begins_with_an_id_and_without_what_was_said_before() {
    let mut log = log_of(3);
    let frames = begin(&mut log, None).unwrap();
    assert_eq!(frames, format!("id: {:016x}-3.1\ndata:\n\n", log.epoch));
}

#[test]
fn a_client_that_comes_back_gets_what_it_missed_and_nothing_twice() {
    let mut log = log_of(5);
    let frames = after(&mut log, 3).unwrap();
    assert_eq!(numbers(&frames), [4, 5]);
    let frames = begin(&mut log, Some(last_id(&frames))).unwrap();
    assert_eq!(numbers(&frames), Vec::<u64>::new());
    say(&mut log, 6);
    let frames = begin(&mut log, Some(last_id(&frames))).unwrap();
    assert_eq!(numbers(&frames), [6], "the beginning of a stream is a place to come back to");
}

#[test]
fn no_two_events_have_one_id() {
    let mut log = log_of(1);
    let (a, b) = (begin(&mut log, None).unwrap(), begin(&mut log, None).unwrap());
    let again = begin(&mut log, Some(last_id(&b))).unwrap();
    let mut ids = [last_id(&a), last_id(&b), last_id(&again)];
    ids.sort_unstable();
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
}

#[test]
fn what_is_out_of_the_window_or_not_yet_said_is_refused() {
    let last = 100;
    let mut log = log_of(last);
    let kept = u64::try_from(EVENTS_MAX).unwrap();
    let all = after(&mut log, last - kept).unwrap();
    assert_eq!(numbers(&all), (last - kept + 1..=last).collect::<Vec<_>>());
    assert_eq!(after(&mut log, last - kept - 1), Err(NoLongerKept));
    assert_eq!(after(&mut log, 0), Err(NoLongerKept));
    assert_eq!(after(&mut log, last + 1), Err(NoLongerKept));
    assert_eq!(after(&mut log, u64::MAX), Err(NoLongerKept));
    assert_eq!(log.events.len(), EVENTS_MAX);
}

#[test]
fn whoever_listened_elsewhere_is_told_all_that_may_have_changed_and_goes_on_here() {
    let mut log = log_of(2);
    let mut elsewhere = log_of(200);
    let id = last_id(&begin(&mut elsewhere, None).unwrap()).to_owned();
    let frames = begin(&mut log, Some(&id)).unwrap();
    assert!(frames.starts_with("data: caught\n\ndata: up\n\nid: "), "{frames}");
    let id = last_id(&frames).to_owned();
    say(&mut log, 3);
    assert_eq!(numbers(&begin(&mut log, Some(&id)).unwrap()), [3]);
}

#[test]
fn a_client_without_ids_gets_none() {
    let mut log = log_of(2);
    assert_eq!(log.begin(None, false, catch_up), Ok(Bytes::new()));
    let elsewhere = format!("{:016x}-7", log.epoch ^ 1);
    let frames = log.begin(Some(elsewhere.as_bytes()), false, catch_up).unwrap();
    assert_eq!(frames, catch_up().concat());
}

#[test]
fn an_id_that_is_not_in_our_form_is_refused() {
    let mut log = log_of(2);
    let epoch = format!("{:016x}", 0xabc_u64);
    assert_eq!(begin(&mut log, Some(&format!("{epoch}-1"))).map(drop), Ok(()));
    for bad in [
        String::new(),
        "1".into(),
        "-1".into(),
        epoch.clone(),
        format!("{epoch}-"),
        format!("{epoch}-01"),
        format!("{epoch}-+1"),
        format!("{epoch}-1."),
        format!("{epoch}-1.2.3"),
        format!("{epoch}-1 "),
        "abc-1".into(),
        format!("{}-1", epoch.to_uppercase()),
        format!("{epoch}-18446744073709551616"),
        "é".into(),
    ] {
        assert_eq!(begin(&mut log, Some(&bad)), Err(NoLongerKept), "{bad:?}");
    }
    assert_eq!(log.begin(Some(b"\xff"), true, catch_up), Err(NoLongerKept));
}

proptest! {
    #[test]
    fn an_id_is_read_as_it_was_written(epoch: u64, number: u64, beginning: Option<u64>) {
        let place = Place { epoch, number, beginning };
        let id = place.to_string();
        prop_assert!(id.len() <= 58 && id.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert_eq!(Place::parse(id.as_bytes()), Some(place));
    }

    #[test]
    fn no_id_of_a_client_is_too_much(id in proptest::collection::vec(any::<u8>(), 0..80)) {
        drop(log_of(2).begin(Some(&id), true, catch_up));
    }

    #[test]
    fn a_client_that_comes_back_in_time_hears_everything_once(
        said_while in proptest::collection::vec((0_u64..20, any::<bool>()), 1..20),
    ) {
        let mut log = EventLog::new();
        let mut heard = Vec::new();
        let mut stream = begin(&mut log, None).unwrap();
        for (count, comes_back) in said_while {
            for _each in 0..count {
                let next = log.last + 1;
                say(&mut log, next);
            }
            // Away for more than the window: the refusal is tested elsewhere.
            if comes_back || log.last - heard.last().copied().unwrap_or(0) > 40 {
                stream = begin(&mut log, Some(last_id(&stream))).unwrap();
                heard.extend(numbers(&stream));
            }
        }
        let all: Vec<u64> = (1..=u64::try_from(heard.len()).unwrap()).collect();
        prop_assert_eq!(heard, all);
    }
}
