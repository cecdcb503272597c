use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const SKEW_MS: u64 = 1000;
const NOW_MS: u64 = 1_000_000;

fn replays() -> Replays {
    Replays::new(SKEW_MS, 0)
}

fn admit(replays: &Replays, instance: u64, number: u64) -> Result<(), Replayed> {
    replays.admit(Nonce { instance, number }, NOW_MS, NOW_MS)
}

#[test]
fn a_number_is_taken_once_and_in_any_order_within_the_window() {
    let replays = replays();
    for number in [10, 12, 11, 0, 10 + WIDTH] {
        assert_eq!(admit(&replays, 1, number), Ok(()), "{number}");
        assert_eq!(admit(&replays, 1, number), Err(Replayed::Seen), "{number}");
    }
    assert_eq!(admit(&replays, 1, 10), Err(Replayed::Seen), "too old to tell");
    assert_eq!(admit(&replays, 1, 11), Err(Replayed::Seen), "the oldest of the window");
    assert_eq!(admit(&replays, 1, 13), Ok(()), "in the window, and did not come");
}

#[test]
fn a_leap_over_the_whole_window_leaves_nothing_behind() {
    for leap in [WIDTH - 1, WIDTH, WIDTH + 1, WIDTH * 7 + 5, u64::MAX] {
        let replays = replays();
        assert_eq!(admit(&replays, 1, 0), Ok(()));
        assert_eq!(admit(&replays, 1, leap), Ok(()));
        for back in (1..WIDTH).step_by(97) {
            let number = leap - back;
            let expected = if number == 0 { Err(Replayed::Seen) } else { Ok(()) };
            assert_eq!(admit(&replays, 1, number), expected, "{leap} {back}");
        }
        assert_eq!(admit(&replays, 1, 0), Err(Replayed::Seen));
    }
}

#[test]
fn signers_do_not_disturb_one_another() {
    let replays = replays();
    for instance in [0, 1, u64::MAX] {
        assert_eq!(admit(&replays, instance, 5), Ok(()));
    }
    assert_eq!(admit(&replays, 1, 5), Err(Replayed::Seen));
}

#[test]
fn no_more_signers_are_remembered_than_there_is_room_for_and_silent_ones_make_room() {
    let replays = replays();
    let most = u64::try_from(SIGNERS_MAX).unwrap();
    for instance in 0..most {
        assert_eq!(admit(&replays, instance, 0), Ok(()));
    }
    assert_eq!(admit(&replays, most, 0), Err(Replayed::TooMany));
    assert_eq!(admit(&replays, 0, 1), Ok(()), "those that are known go on");
    assert_eq!(admit(&replays, 0, 1), Err(Replayed::Seen));
    let later = |instance, after_ms| {
        let (nonce, at_ms) = (Nonce { instance, number: 9 }, NOW_MS + after_ms);
        replays.admit(nonce, at_ms, at_ms)
    };
    assert_eq!(later(7, SKEW_MS), Ok(()));
    assert_eq!(later(most, SKEW_MS * 2), Err(Replayed::TooMany));
    assert_eq!(later(most, SKEW_MS * 2 + 1), Ok(()));
    let kept: HashSet<u64> = replays.seen.lock().windows.keys().copied().collect();
    assert_eq!(kept, [7, most].into());
}

#[test]
fn what_a_forgotten_signer_signed_is_not_taken_again_even_if_the_clock_steps_back() {
    let replays = replays();
    // Its clock is ahead of ours.
    let nonce = Nonce { instance: 1, number: 1 };
    assert_eq!(replays.admit(nonce, NOW_MS + SKEW_MS, NOW_MS), Ok(()));
    let later_ms = NOW_MS + SKEW_MS * 2 + 1;
    let other = Nonce { instance: 2, number: 1 };
    assert_eq!(replays.admit(other, later_ms, later_ms), Ok(()));
    assert!(!replays.seen.lock().windows.contains_key(&1));
    assert_eq!(replays.admit(nonce, NOW_MS + SKEW_MS, NOW_MS), Err(Replayed::Early));
    // Nobody whose time is within the difference of clocks is refused for that.
    let slow = Nonce { instance: 3, number: 1 };
    assert_eq!(replays.admit(slow, later_ms - SKEW_MS, later_ms), Ok(()));
}

#[test]
fn what_was_signed_before_the_start_is_early() {
    let replays = Replays::new(SKEW_MS, NOW_MS + 1);
    assert_eq!(admit(&replays, 1, 1), Err(Replayed::Early));
    assert_eq!(replays.admit(Nonce { instance: 1, number: 1 }, NOW_MS + 1, NOW_MS), Ok(()));
}

#[test]
fn first_answers_of_more_signers_than_hops_are_remembered_of_are_not_noted() {
    let answers = FirstAnswers::default();
    for instance in 0..=u64::try_from(SIGNERS_MAX).unwrap() {
        answers.note(Signer(instance), NOW_MS);
    }
    answers.note(Signer(0), NOW_MS - 1);
    assert_eq!(answers.0.lock().len(), SIGNERS_MAX);
    assert!(answers.came_by(0, NOW_MS) && !answers.came_by(0, NOW_MS - 1), "the first counts");
    assert!(!answers.came_by(u64::try_from(SIGNERS_MAX).unwrap(), NOW_MS));
}

proptest! {
    /// The window against a set that forgets nothing.
    #[test]
    fn a_window_refuses_all_that_came_and_all_that_is_too_old(
        first in 0_u64..1 << 20,
        steps in proptest::collection::vec((-70_000_i64..70_000, 0_u64..4), 1..400),
    ) {
        let mut window = Window::new(first);
        let (mut came, mut highest, mut at) = (HashSet::new(), first, first);
        for (step, again) in steps {
            at = at.saturating_add_signed(step);
            for number in at..=at + again {
                let old = highest.saturating_sub(number) >= WIDTH;
                let new = came.insert(number) && !old;
                prop_assert_eq!(window.admit(number), new, "{} after {}", number, highest);
                highest = highest.max(number);
            }
        }
    }
}
