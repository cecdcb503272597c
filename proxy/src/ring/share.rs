//! Which part of all seats each replica owns, exactly.
//!
//! Let `far(d)` be the part of the circle that lies further than `d` before the next point. A point wins a seat from
//! the distance `d` when one of the seat's places lies there and all others are further from theirs. So of all seats a
//! point at the end of a gap of length `g` owns the integral of `PLACES · far(d)^(PLACES - 1)` over `d` from 0 to `g`.
//! Between the lengths of two gaps, `far` is a straight line, so the integral is a sum of closed terms.

use super::{PLACES, Point};

/// The share of each of `nodes` replicas, by their index.
pub(super) fn shares(points: &[Point], nodes: usize) -> Box<[f64]> {
    let mut shares = vec![0.0; nodes].into_boxed_slice();
    let mut owned = 0.0;
    let mut reached = 0.0;
    let gaps = gaps(points);
    let mut longer: f64 = gaps.iter().map(|_| 1.0).sum();
    let mut length_of_longer: f64 = gaps.iter().map(|(gap, _)| gap).sum();
    // From the shortest gap on: those that are as long as the distance reached are over.
    for (gap, node) in gaps {
        let far = |distance: f64| (length_of_longer - longer * distance).clamp(0.0, 1.0);
        owned += integral(far(reached), far(gap), gap - reached);
        reached = gap;
        longer -= 1.0;
        length_of_longer -= gap;
        if let Some(share) = usize::try_from(node).ok().and_then(|node| shares.get_mut(node)) {
            *share += owned;
        }
    }
    shares
}

/// The way before each point, as a part of the circle, with the index of the point's replica; the shortest first.
fn gaps(points: &[Point]) -> Vec<(f64, u32)> {
    let mut places: Vec<(u64, u32)> =
        points.iter().map(|point| (point.place, point.node)).collect();
    places.sort_unstable();
    let last = places.last().map(|(place, _)| *place);
    let before = last.into_iter().chain(places.iter().map(|(place, _)| *place));
    let mut gaps: Vec<(f64, u32)> = before
        .zip(&places)
        .map(|(before, (place, node))| (part_of_circle(place.wrapping_sub(before)), *node))
        .collect();
    gaps.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    gaps
}

/// The integral of `PLACES · far^(PLACES - 1)` over `width`, on which `far` falls in a straight line between two values:
/// the width times the sum of all products of so many of the two.
fn integral(from: f64, to: f64, width: f64) -> f64 {
    let mut sum = 0.0;
    let mut power = 1.0;
    for _ in 0..PLACES {
        sum = sum * to + power;
        power *= from;
    }
    sum * width
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "53 bits are enough for a share"
)]
fn part_of_circle(gap: u64) -> f64 {
    gap as f64 / 2_f64.powi(64)
}
