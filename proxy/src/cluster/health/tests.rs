use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn damping(down_after: u8, up_after: u8) -> Damping {
    Damping::new(&Probe {
        interval: SECOND,
        timeout: SECOND,
        down_after: NonZeroU8::new(down_after).unwrap(),
        up_after: NonZeroU8::new(up_after).unwrap(),
    })
}

/// A peer with a clock of its own: each event is a second after the one before.
struct Watched {
    health: Health,
    now: Instant,
    changes: u32,
}

impl Watched {
    fn new(damping: Damping) -> Self {
        Self { health: Health::new(damping), now: Instant::now(), changes: 0 }
    }

    fn tick(&mut self, event: impl FnOnce(&mut Health, Instant)) -> Standing {
        let before = self.health.standing();
        self.now += SECOND;
        event(&mut self.health, self.now);
        self.changes +=
            u32::from((before == Standing::Up) != (self.health.standing() == Standing::Up));
        self.health.standing()
    }

    /// Answers until it is up, and says how many that took.
    fn rises_after(&mut self) -> u32 {
        (1..=1000).find(|_| self.tick(Health::answered) == Standing::Up).unwrap()
    }

    fn falls_after(&mut self) -> u32 {
        (1..=1000).find(|_| self.tick(Health::failed) == Standing::Down).unwrap()
    }
}

#[test]
fn one_failure_moves_nothing_and_a_row_of_them_does() {
    let mut peer = Watched::new(damping(3, 2));
    assert_eq!(peer.rises_after(), 2);
    for _ in 0..5 {
        assert_eq!(peer.tick(Health::failed), Standing::Up);
        assert_eq!(peer.tick(Health::failed), Standing::Up);
        assert_eq!(peer.tick(Health::answered), Standing::Up);
    }
    assert_eq!(peer.falls_after(), 3);
    assert_eq!(peer.health.flaps(), 1);
}

#[test]
fn each_fall_soon_after_another_doubles_what_a_rise_takes() {
    let mut peer = Watched::new(damping(1, 2));
    let mut rises = Vec::new();
    for _ in 0..8 {
        rises.push(peer.rises_after());
        peer.falls_after();
    }
    assert_eq!(rises, [2, 2, 4, 8, 16, 32, 64, 64]);
}

#[test]
fn a_steady_peer_is_forgiven_step_by_step() {
    let mut peer = Watched::new(damping(1, 1));
    for _ in 0..4 {
        peer.rises_after();
        peer.falls_after();
    }
    assert_eq!(peer.rises_after(), 8);
    for expected in [8, 8, 8, 8] {
        // One fall is forgiven in the quiet minute, and the next one takes its place.
        for _ in 0..FORGIVEN_AFTER {
            peer.tick(Health::answered);
        }
        peer.falls_after();
        assert_eq!(peer.rises_after(), expected);
    }
    for _ in 0..FORGIVEN_AFTER * FALLS_MAX {
        peer.tick(Health::answered);
    }
    peer.falls_after();
    assert_eq!(peer.rises_after(), 1, "everything is forgiven");
    peer.now += SECOND * FORGIVEN_AFTER;
    let now = peer.now;
    assert!(peer.health.is_blank(now));
}

#[test]
fn a_refused_connection_ends_it_at_once_and_counts_once() {
    let mut peer = Watched::new(damping(5, 3));
    peer.rises_after();
    assert_eq!(peer.tick(Health::refused), Standing::Down);
    assert_eq!(peer.tick(Health::refused), Standing::Down);
    assert_eq!(peer.health.flaps(), 1);
    assert_eq!(peer.rises_after(), 3);
}

#[test]
fn a_peer_that_said_goodbye_has_not_fallen() {
    let mut peer = Watched::new(damping(2, 2));
    for _ in 0..20 {
        assert_eq!(peer.rises_after(), 2);
        assert_eq!(peer.tick(|health, _| health.drains()), Standing::Draining);
        assert_eq!(peer.tick(Health::failed), Standing::Draining);
        assert_eq!(peer.tick(Health::refused), Standing::Down);
    }
    assert_eq!(peer.health.flaps(), 0);
}

#[test]
fn a_peer_that_flaps_each_second_for_minutes_hardly_moves_the_ring() {
    let mut peer = Watched::new(damping(1, 1));
    for _ in 0..300 {
        peer.tick(Health::answered);
        peer.tick(Health::failed);
    }
    // Up at once, up again after the first fall; from then on one answer is never enough.
    assert!(peer.changes <= 4 + 2 * 600 / FORGIVEN_AFTER, "{} changes", peer.changes);
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Answers,
    Fails,
    Refuses,
    Drains,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => Just(Event::Answers),
        4 => Just(Event::Fails),
        1 => Just(Event::Refuses),
        1 => Just(Event::Drains),
    ]
}

impl Watched {
    fn meet(&mut self, event: Event) -> Standing {
        match event {
            Event::Answers => self.tick(Health::answered),
            Event::Fails => self.tick(Health::failed),
            Event::Refuses => self.tick(Health::refused),
            Event::Drains => self.tick(|health, _| health.drains()),
        }
    }
}

proptest! {
    #[test]
    fn it_is_never_up_without_enough_answers_in_a_row(
        events in proptest::collection::vec(event(), 0..300),
        down_after in 1_u8..5,
        up_after in 1_u8..5,
    ) {
        let mut peer = Watched::new(damping(down_after, up_after));
        let (mut in_a_row, mut before) = (0_u32, Standing::Down);
        for event in events {
            let standing = peer.meet(event);
            in_a_row = if matches!(event, Event::Answers) { in_a_row + 1 } else { 0 };
            if before != Standing::Up && standing == Standing::Up {
                prop_assert!(in_a_row >= u32::from(up_after));
            }
            before = standing;
        }
    }

    #[test]
    fn it_is_never_down_before_enough_failures_in_a_row_unless_refused(
        events in proptest::collection::vec(event(), 0..300),
        down_after in 1_u8..5,
    ) {
        let mut peer = Watched::new(damping(down_after, 1));
        let (mut in_a_row, mut before) = (0_u32, Standing::Down);
        for event in events {
            let standing = peer.meet(event);
            in_a_row = if matches!(event, Event::Fails) { in_a_row + 1 } else { 0 };
            if before == Standing::Up && standing == Standing::Down {
                let refused = matches!(event, Event::Refuses);
                prop_assert!(refused || in_a_row >= u32::from(down_after));
            }
            before = standing;
        }
    }

    #[test]
    fn however_it_flaps_it_moves_the_ring_a_bounded_number_of_times(
        events in proptest::collection::vec(prop_oneof![
            6 => Just(Event::Answers), 1 => Just(Event::Fails), 1 => Just(Event::Refuses),
        ], 1800),
        // The worst there is: it falls as soon as it has risen.
        falls_when_up in any::<bool>(),
    ) {
        let mut peer = Watched::new(damping(1, 1));
        for event in &events {
            let up = peer.health.standing() == Standing::Up;
            peer.meet(if falls_when_up && up { Event::Refuses } else { *event });
        }
        // Rises get longer up to 32 or 64 answers, which also is how long forgiving takes.
        let falls_max = 8 + 1800 / (FORGIVEN_AFTER / 2);
        prop_assert!(peer.changes <= 2 * falls_max, "{} changes", peer.changes);
    }

    #[test]
    fn whatever_was_before_a_steady_peer_is_up_in_bounded_time(
        events in proptest::collection::vec(event(), 0..500),
        up_after in 1_u8..5,
    ) {
        let mut peer = Watched::new(damping(2, up_after));
        for event in events {
            peer.meet(event);
        }
        if peer.health.standing() != Standing::Up {
            prop_assert!(peer.rises_after() <= ANSWERS_MAX);
        }
    }
}
