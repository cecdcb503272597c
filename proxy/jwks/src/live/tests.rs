use std::sync::{
    Weak,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use tokio::time::{advance, sleep};

use super::*;

#[derive(Debug, PartialEq)]
struct Number {
    value: u32,
    generation: u64,
}

impl Versioned for Number {
    fn same(&self, other: &Self) -> bool {
        self.value == other.value
    }

    fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    fn useless(&self) -> Option<&str> {
        (self.value == 0).then_some("nothing")
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the provider is down")]
struct Down;

/// What the provider does now.
#[derive(Debug)]
struct Provider {
    answers: Option<u32>,
    takes: Duration,
    lifetime: Duration,
    panics: bool,
    loads: Vec<Instant>,
}

#[derive(Debug, Clone)]
struct Loader(Arc<Mutex<Provider>>);

impl Loader {
    fn new(answers: Option<u32>) -> Self {
        let takes = Duration::from_millis(100);
        let lifetime = Duration::from_mins(5);
        Self(Arc::new(Mutex::new(Provider {
            answers,
            takes,
            lifetime,
            panics: false,
            loads: Vec::new(),
        })))
    }

    fn set(&self, answers: Option<u32>) {
        self.0.lock().answers = answers;
    }

    fn loads(&self) -> usize {
        self.0.lock().loads.len()
    }

    /// Times between the loads, in seconds.
    fn gaps(&self) -> Vec<f64> {
        let loads = self.0.lock().loads.clone();
        loads.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
    }

    fn start(&self, pace: Pace) -> Live<Number> {
        Live::start("numbers".into(), pace, self.clone())
    }
}

impl Load for Loader {
    type Value = Number;
    type Error = Down;

    async fn load(&self) -> Result<Loaded<Number>, Down> {
        let takes = {
            let mut provider = self.0.lock();
            provider.loads.push(Instant::now());
            provider.takes
        };
        sleep(takes).await;
        let provider = self.0.lock();
        assert!(!provider.panics, "canary");
        let value = Number { value: provider.answers.ok_or(Down)?, generation: 0 };
        Ok(Loaded { value, lifetime: provider.lifetime })
    }
}

fn pace() -> Pace {
    Pace {
        stale_max: Some(Duration::from_hours(1)),
        retry_max: Duration::from_secs(30),
        load_timeout: Duration::from_secs(5),
    }
}

/// A provider that answers 1, and what was loaded from it.
async fn running() -> (Loader, Live<Number>) {
    let loader = Loader::new(Some(1));
    let live = loader.start(pace());
    assert!(live.loaded(Duration::from_secs(1)).await);
    (loader, live)
}

#[tokio::test(start_paused = true)]
async fn the_first_load_begins_at_once() {
    let (loader, live) = running().await;
    assert_eq!(loader.loads(), 1);
    assert_eq!(*live.current().unwrap(), Number { value: 1, generation: 1 });
    assert_eq!(live.generation(), 1);
    let health = live.health();
    assert_eq!((health.successes, health.failures), (1, 0));
    assert!(health.last_success.is_some() && health.last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_load_comes_ahead_of_each_expiry_and_not_always_at_the_same_moment() {
    let (loader, live) = running().await;
    sleep(Duration::from_hours(10)).await;
    let gaps = loader.gaps();
    assert!(gaps.len() > 100);
    assert!(gaps.iter().all(|gap| (240.0..=270.2).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| (gap - gaps[0]).abs() > 0.1), "{gaps:?}");
    assert_eq!(live.generation(), 1, "nothing has changed");
}

#[tokio::test(start_paused = true)]
async fn callers_at_once_share_one_load() {
    let (loader, live) = running().await;
    loader.set(Some(2));
    let answers = join_all((0..200).map(|_| live.refetch(1))).await;
    assert_eq!(loader.loads(), 2);
    assert!(answers.into_iter().all(|answer| answer == Refetched::Newer));
    assert_eq!(*live.current().unwrap(), Number { value: 2, generation: 2 });
}

#[tokio::test(start_paused = true)]
async fn a_caller_joins_a_load_that_is_under_way_by_itself() {
    let loader = Loader::new(Some(1));
    let live = loader.start(pace());
    assert_eq!(live.refetch(0).await, Refetched::Newer);
    assert_eq!(loader.loads(), 1);
    // It was not asked for, so the next may be.
    assert_eq!(live.refetch(1).await, Refetched::Unchanged);
    assert_eq!(loader.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn within_the_cooldown_a_caller_is_answered_at_once() {
    let (loader, live) = running().await;
    assert_eq!(live.refetch(1).await, Refetched::Unchanged);
    assert_eq!(loader.loads(), 2);
    let before = Instant::now();
    for _ in 0..3000 {
        assert_eq!(live.refetch(1).await, Refetched::Unchanged);
    }
    assert_eq!(Instant::now(), before, "nobody waited");
    assert_eq!(loader.loads(), 2);
    advance(COOLDOWN).await;
    loader.set(Some(2));
    assert_eq!(live.refetch(1).await, Refetched::Newer);
    assert_eq!(loader.loads(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_saw_an_older_generation_waits_for_nothing() {
    let (loader, live) = running().await;
    assert_eq!(live.refetch(0).await, Refetched::Newer);
    assert_eq!(loader.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_was_asked_for_leads_to_no_further_one() {
    let (loader, live) = running().await;
    assert_eq!(live.refetch(1).await, Refetched::Unchanged);
    sleep(Duration::from_secs(200)).await;
    assert_eq!(loader.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_caller_waits_longer_than_a_load_may_take() {
    let (loader, live) = running().await;
    loader.0.lock().takes = Duration::from_hours(1);
    let before = Instant::now();
    let answer = live.refetch(1).await;
    assert!(matches!(answer, Refetched::Failed(_)), "{answer:?}");
    assert_eq!(before.elapsed(), pace().load_timeout);
}

#[tokio::test(start_paused = true)]
async fn what_was_loaded_serves_while_the_provider_is_down_until_it_is_too_old() {
    let (loader, live) = running().await;
    loader.set(None);
    sleep(Duration::from_mins(59)).await;
    assert_eq!(live.current().unwrap().value, 1);
    assert_eq!(live.health().last_error.as_deref(), Some("the provider is down"));
    sleep(Duration::from_mins(1)).await;
    let Unavailable { retry_after } = live.current().unwrap_err();
    let seconds = Duration::from_secs(1)..=Duration::from_secs(30);
    assert!(seconds.contains(&retry_after), "{retry_after:?}");
    let answer = live.refetch(1).await;
    assert!(matches!(answer, Refetched::Failed(_)), "an old value is no newer generation");

    loader.set(Some(1));
    assert!(live.loaded(Duration::from_secs(31)).await);
    assert_eq!(live.current().unwrap().generation, 1, "it is the same as before");
    assert_eq!(live.health().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn a_start_while_the_provider_is_down_recovers() {
    let loader = Loader::new(None);
    let live = loader.start(pace());
    assert!(!live.loaded(Duration::from_mins(10)).await);
    assert!(live.current().is_err());
    assert_eq!(live.generation(), 0);
    loader.set(Some(1));
    assert!(live.loaded(Duration::from_secs(31)).await);
}

#[tokio::test(start_paused = true)]
async fn pauses_between_failures_grow_from_one_second_to_thirty() {
    let loader = Loader::new(None);
    loader.0.lock().takes = Duration::ZERO;
    let _live = loader.start(pace());
    sleep(Duration::from_mins(5)).await;
    let gaps = loader.gaps();
    let wanted = [1.0, 2.0, 4.0, 8.0, 16.0].into_iter().chain(std::iter::repeat(30.0));
    // Timers of tokio have steps of a millisecond.
    for (gap, most) in gaps.iter().zip(wanted) {
        assert!((0.75 * most..=most + 0.002).contains(gap), "{gaps:?}");
    }
    assert!(gaps.len() > 10, "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_longer_than_old_values_may_serve_is_cut() {
    let loader = Loader::new(Some(1));
    loader.0.lock().lifetime = Duration::from_hours(24);
    let live = loader.start(pace());
    for _minute in 0..600 {
        sleep(Duration::from_mins(1)).await;
        assert!(live.current().is_ok());
    }
    assert!(loader.gaps().iter().all(|gap| (1440.0..=1800.2).contains(gap)));
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_an_old_value_serves_for_ever() {
    let loader = Loader::new(Some(1));
    let live = loader.start(Pace { stale_max: None, ..pace() });
    assert!(live.loaded(Duration::from_secs(1)).await);
    loader.set(None);
    sleep(Duration::from_hours(1000)).await;
    assert_eq!(live.current().unwrap().value, 1);
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_reference() {
    let (loader, live) = running().await;
    let shared: Weak<_> = Arc::downgrade(&live.shared);
    drop(live);
    sleep(Duration::from_hours(1)).await;
    assert!(shared.upgrade().is_none());
    assert_eq!(loader.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_in_the_middle_of_a_load_ends_too() {
    let loader = Loader::new(Some(1));
    loader.0.lock().takes = Duration::MAX;
    let live = loader.start(pace());
    let shared = Arc::downgrade(&live.shared);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(loader.loads(), 1);
    drop(live);
    sleep(Duration::from_secs(1)).await;
    assert!(shared.upgrade().is_none());
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_learns_whether_the_load_failed_also_within_the_cooldown() {
    let (loader, live) = running().await;
    loader.set(None);
    let Refetched::Failed(first) = live.refetch(1).await else { panic!("the provider is down") };
    assert!(first.retry_after >= Duration::from_secs(1));
    let Refetched::Failed(second) = live.refetch(1).await else { panic!("it is still down") };
    assert!(second.retry_after >= Duration::from_secs(1));
    assert_eq!(loader.loads(), 2, "the second one fell into the cooldown");
    // Once a load by itself has gone well, it is known that there is nothing newer.
    loader.set(Some(1));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(live.refetch(1).await, Refetched::Unchanged);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_panics_is_a_failure_and_the_next_one_comes() {
    let (loader, live) = running().await;
    loader.0.lock().panics = true;
    let answer = live.refetch(1).await;
    assert!(matches!(answer, Refetched::Failed(_)), "{answer:?}");
    let health = live.health();
    assert_eq!((health.successes, health.failures), (1, 1));
    let error = health.last_error.unwrap();
    assert!(error.contains("panic") && !error.contains("canary"), "{error}");
    assert_eq!(live.current().unwrap().value, 1, "the old serves on");
    loader.0.lock().panics = false;
    loader.set(Some(2));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(live.current().unwrap().value, 2);
    assert_eq!(live.health().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn the_usable_generation_is_that_of_the_current_value() {
    let (loader, live) = running().await;
    assert_eq!(live.usable_generation(), Some(1));
    loader.set(None);
    sleep(Duration::from_mins(61)).await;
    assert_eq!((live.usable_generation(), live.generation()), (None, 1));
    assert!(live.current().is_err());
}

/// Counts errors in the log.
struct Errors(Arc<AtomicUsize>);

impl tracing::Subscriber for Errors {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR
    }

    fn new_span(&self, _span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _span: &tracing::span::Id, _values: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _span: &tracing::span::Id, _follows: &tracing::span::Id) {}

    fn event(&self, _event: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _span: &tracing::span::Id) {}

    fn exit(&self, _span: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn what_is_of_no_use_replaces_the_old_and_is_told_once_for_each_change() {
    let errors = Arc::new(AtomicUsize::new(0));
    let _log = tracing::subscriber::set_default(Errors(Arc::clone(&errors)));
    let told = || errors.load(Ordering::Relaxed);
    let (loader, live) = running().await;
    assert_eq!(told(), 0);
    loader.set(Some(0));
    sleep(Duration::from_hours(1)).await;
    assert_eq!((live.current().unwrap().value, told()), (0, 1));
    assert_eq!(live.health().failures, 0, "it was loaded well");
    loader.set(Some(3));
    sleep(Duration::from_mins(5)).await;
    assert_eq!(told(), 1);
    loader.set(Some(0));
    sleep(Duration::from_hours(1)).await;
    assert_eq!(told(), 2);
}

#[test]
fn a_chain_of_errors_names_each_level_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Level(&'static str, #[source] Option<Box<Self>>);
    let inner = Level("a: b", Some(Box::new(Level("b", None))));
    let outer = Level("no keys", Some(Box::new(inner)));
    assert_eq!(chain(&outer), "no keys: a: b");
}
