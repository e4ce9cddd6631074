//! How fast a build is, and how long it may still take.

use std::collections::VecDeque;
use std::time::Duration;

use crate::build::events::Progress;

/// Rates are those of this long.
const WINDOW: Duration = Duration::from_secs(15);
/// A guess from less would jump about.
const LEAST_TIME: Duration = Duration::from_secs(2);
const LEAST_STEPS: usize = 3;

/// Looks at progress as it comes.
#[derive(Debug, Default)]
pub struct Pace {
    seen: VecDeque<(Duration, usize, u64)>,
}

impl Pace {
    /// `at` is the time since the build began.
    pub fn see(&mut self, at: Duration, progress: &Progress) {
        self.seen.push_back((at, progress.ran, progress.requests));
        while self.seen.len() > 2 && self.seen[1].0 + WINDOW < at {
            self.seen.pop_front();
        }
    }

    /// Steps that really ran, a second; steps that were up to date say nothing about those that are not.
    pub fn steps(&self) -> Option<f64> {
        let (span, ran, _) = self.moved()?;
        (ran >= LEAST_STEPS).then(|| as_float(ran as u64) / span)
    }

    /// Requests a second.
    pub fn requests(&self) -> Option<f64> {
        let (span, _, requests) = self.moved()?;
        (requests > 0).then(|| as_float(requests) / span)
    }

    /// How long what is left takes at this pace. Nothing is said while more may be found, nor where a step has been
    /// running for longer than that: it does not keep this pace. `longest` is the one that has run for longest.
    pub fn left(&self, progress: &Progress, longest: Duration) -> Option<Duration> {
        let remaining = progress.total.saturating_sub(progress.done);
        if progress.grows || remaining == 0 {
            return None;
        }
        Duration::try_from_secs_f64(as_float(remaining as u64) / self.steps()?).ok().filter(|left| *left >= longest)
    }

    fn moved(&self) -> Option<(f64, usize, u64)> {
        let (&(from, ran, requests), &(to, ran_now, requests_now)) = (self.seen.front()?, self.seen.back()?);
        let span = to.saturating_sub(from);
        (span >= LEAST_TIME)
            .then(|| (span.as_secs_f64(), ran_now.saturating_sub(ran), requests_now.saturating_sub(requests)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is shown with few digits")]
fn as_float(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(steps: &[(u64, usize)]) -> Pace {
        let mut pace = Pace::default();
        for &(at, ran) in steps {
            pace.see(Duration::from_secs(at), &Progress { ran, ..Progress::default() });
        }
        pace
    }

    #[test]
    fn what_is_left_is_told_from_the_steps_that_ran() {
        let pace = seen(&[(0, 0), (5, 5), (10, 10)]);
        // 900 of those done were up to date; they make it no faster.
        let progress = Progress { total: 1000, done: 910, ran: 10, ..Progress::default() };
        assert_eq!(pace.left(&progress, Duration::ZERO), Some(Duration::from_secs(90)));
        let longest = Duration::from_secs(91);
        assert_eq!(pace.left(&progress, longest), None, "a step takes longer than all that is left would");
        assert_eq!(pace.left(&Progress { grows: true, ..progress }, Duration::ZERO), None, "more may be found");
        assert_eq!(pace.left(&Progress { done: 1000, ..progress }, Duration::ZERO), None, "nothing is left");
    }

    #[test]
    fn too_little_is_no_ground_for_a_guess() {
        let progress = Progress { total: 10, ..Progress::default() };
        assert_eq!(seen(&[(0, 0), (1, 9)]).left(&progress, Duration::ZERO), None);
        assert_eq!(seen(&[(0, 0), (10, 1)]).left(&progress, Duration::ZERO), None);
        assert_eq!(seen(&[]).left(&progress, Duration::ZERO), None);
    }

    #[test]
    fn the_pace_is_that_of_late() {
        let pace = seen(&[(0, 0), (10, 1000), (20, 1010), (30, 1020), (40, 1030)]);
        assert!(pace.steps().is_some_and(|s| (s - 1.0).abs() < 0.01), "{pace:?}");
    }
}
