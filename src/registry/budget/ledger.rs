//! Who may go now: reckoned from what was spent, what is under way, and what the server said. It has no clock of its own.

use std::collections::VecDeque;
use std::time::Duration;

use crate::pipeline::node::written;

use super::announced::Announced;
use super::{Allowance, Deferral, Forecast, LONGEST_WITHIN, UNKNOWN_WAIT, millis};

#[derive(Debug, Default)]
pub struct Ledger {
    pub allowances: Vec<Allowance>,
    /// When each pull began, ascending.
    pub spent: VecDeque<i64>,
    /// What was read from the file has been written there as it is understood.
    pub taken_over: bool,
    /// Pulls under way.
    flying: usize,
    /// Pulls that are over.
    pub ended: u64,
    /// The server has answered a pull, or said what is left: until then it is not known whether it counts, and one goes
    /// ahead.
    pub heard: bool,
    /// Pulls that were denied before that.
    denied: usize,
    /// What the server last said that it had left, those under way not yet taken off.
    left: Option<u64>,
    said: Announced,
    no_pulls: Option<Refusal>,
    /// There is nothing at all.
    nothing: Option<Refusal>,
}

/// One denial tells nothing of pulls; but a host that denies one after the other is not asked by one after the other.
const DENIALS_MAX: usize = 8;

/// Why there is nothing, and for how long that is believed.
#[derive(Clone, Debug)]
struct Refusal {
    why: Deferral,
    since: i64,
    until: i64,
}

impl Refusal {
    /// One by a clock that went back meanwhile is not believed.
    fn holds(&self, now: i64) -> bool {
        (self.since..self.until).contains(&now)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Now; a pull is counted as begun at this time.
    Go(Option<i64>),
    /// What is left is known when pulls under way have ended.
    AfterOthers,
    Refused(Deferral),
}

impl Ledger {
    pub fn turn(&mut self, now: i64, is_pull: bool) -> Turn {
        self.clamp(now);
        self.nothing = self.nothing.take().filter(|refusal| refusal.holds(now));
        if self.no_pulls.as_ref().is_some_and(|refusal| !refusal.holds(now)) {
            self.no_pulls = None;
            // One finds out how many there are.
            self.left = self.said.remaining.map(|_| 1);
        }
        if let Some(refusal) = &self.nothing {
            return Turn::Refused(refusal.why.clone());
        }
        if !is_pull {
            return Turn::Go(None);
        }
        if let Some(refusal) = &self.no_pulls {
            return Turn::Refused(refusal.why.clone());
        }
        match self.over_allowance(now) {
            // One of them may turn out to cost nothing.
            Some(_) if self.flying > 0 => return Turn::AfterOthers,
            Some(refused) => return Turn::Refused(refused),
            None => {}
        }
        match self.left {
            _ if !self.heard && self.flying > 0 => return Turn::AfterOthers,
            Some(left) if left <= self.flying as u64 && self.flying > 0 => return Turn::AfterOthers,
            Some(0) => return Turn::Refused(self.none_left(now)),
            _ => {}
        }
        self.flying += 1;
        self.spent.push_back(now);
        Turn::Go(Some(now))
    }

    /// Whether there are only so many: by an allowance, or by what the server said.
    pub fn counts(&self, now: i64) -> bool {
        !self.allowances.is_empty() || self.left.is_some() || !self.has_pulls(now)
    }

    /// Whether there is one more, where none that is under way turns out to cost nothing.
    pub fn has_pulls(&self, now: i64) -> bool {
        let refused = [&self.nothing, &self.no_pulls].into_iter().flatten().any(|refusal| refusal.holds(now));
        let left = self.left.is_none_or(|left| left > self.flying as u64);
        !refused && left && self.over_allowance(now).is_none()
    }

    /// A pull is over; the server `said` what is left, or is taken to have one less.
    pub fn ends(&mut self, said: bool) {
        self.heard = true;
        self.ended += 1;
        self.flying = self.flying.saturating_sub(1);
        if !said {
            self.left = self.left.map(|left| left.saturating_sub(1));
        }
    }

    /// A pull was denied.
    pub fn denied(&mut self) {
        self.denied += 1;
        self.heard |= self.denied >= DENIALS_MAX;
    }

    /// A pull was not made after all.
    pub fn takes_back(&mut self, at: i64) {
        self.ended += 1;
        self.flying = self.flying.saturating_sub(1);
        if let Some(position) = self.spent.iter().rposition(|&s| s == at) {
            self.spent.remove(position);
        }
    }

    /// The server says what is left, to a request that began when so many pulls had `ended`; `own` of those under way is
    /// this one.
    pub fn announced(&mut self, announced: &Announced, own: usize, ended: u64, now: i64) {
        self.said = Announced { until: announced.until.filter(|until| *until > now), ..*announced };
        let Some(remaining) = announced.remaining else { return };
        self.heard = true;
        // Answers may come in another order than they were given in: only one that was alone may say that there is more.
        let others = self.flying > own || self.ended != ended;
        self.left = Some(self.left.filter(|_| others).map_or(remaining, |left| left.min(remaining)));
    }

    /// The server refused; only pulls where it `is_pull` that it refused.
    pub fn refused(&mut self, why: Deferral, is_pull: bool, now: i64) -> Deferral {
        let known = why.until.filter(|until| *until > now).or_else(|| self.given_again(why.window, now));
        let until = known.or_else(|| Some(now.saturating_add(self.window(why.window)?)));
        let why = Deferral { until, ..why };
        let until = until.unwrap_or(now + millis(UNKNOWN_WAIT)).min(now + millis(LONGEST_WITHIN));
        let refusal = Refusal { why: why.clone(), since: now, until };
        *(if is_pull { &mut self.no_pulls } else { &mut self.nothing }) = Some(refusal);
        self.left = None;
        why
    }

    /// Times to come are as if they were now: the clock went back, and nobody is to wait until it is there again.
    pub fn clamp(&mut self, now: i64) {
        clamp(&mut self.spent, now);
    }

    /// What there is for so many pulls, where others make none: when each is let go is reckoned as [`Ledger::turn`] does.
    pub fn forecast(&self, now: i64, pulls: usize) -> Option<Forecast> {
        let mut made = self.spent.clone();
        clamp(&mut made, now);
        let left = |allowance: &Allowance| allowance.pulls.saturating_sub(counted(allowance, &made, now));
        let narrowest = self.allowances.iter().min_by_key(|allowance| left(allowance))?;
        let (allowance, left) = (*narrowest, left(narrowest));
        let mut done = now;
        for _ in 0..pulls {
            done = opens(&self.allowances, &made, done).map_or(done, |(_, opens)| opens);
            made.push_back(done);
        }
        Some(Forecast { allowance, left, done })
    }

    /// How many pulls in which time the server said that it gives.
    pub fn announced_allowance(&self) -> Option<Allowance> {
        let pulls = usize::try_from(self.said.limit?).ok().filter(|pulls| *pulls > 0)?;
        Some(Allowance { pulls, within: self.said.window? })
    }

    fn over_allowance(&self, now: i64) -> Option<Deferral> {
        let (allowance, until) = opens(&self.allowances, &self.spent, now).filter(|(_, opens)| *opens > now)?;
        let why = format!("the budget of {allowance} is spent");
        Some(Deferral { why, until: Some(until), ..Deferral::default() })
    }

    fn none_left(&mut self, now: i64) -> Deferral {
        let of = match (self.said.limit, self.said.window) {
            (Some(limit), Some(window)) => format!(" of {limit} in {}", written(window)),
            (Some(limit), None) => format!(" of {limit}"),
            _ => String::new(),
        };
        let why = format!("the registry announces that no pulls{of} are left");
        let (until, window) = (self.said.until, self.said.window);
        self.refused(Deferral { why, until, window, ..Deferral::default() }, true, now)
    }

    /// When the first pull that the server still counts is counted no more.
    fn given_again(&self, window: Option<Duration>, now: i64) -> Option<i64> {
        let window = self.window(window)?;
        let first = self.spent.iter().find(|at| at.saturating_add(window) > now)?;
        Some(first.saturating_add(window))
    }

    fn window(&self, said: Option<Duration>) -> Option<i64> {
        said.or(self.said.window).map(millis)
    }
}

/// Forgets what is too old to count for any allowance; what is of the future is of now.
fn clamp(spent: &mut VecDeque<i64>, now: i64) {
    spent.iter_mut().rev().take_while(|at| **at > now).for_each(|at| *at = now);
    while spent.front().is_some_and(|at| *at <= now - millis(LONGEST_WITHIN)) {
        spent.pop_front();
    }
}

/// How many of these pulls an allowance still counts.
fn counted(allowance: &Allowance, spent: &VecDeque<i64>, now: i64) -> usize {
    spent.len() - spent.partition_point(|at| at + millis(allowance.within) <= now)
}

/// The allowance that lets the next pull wait for longest after these, and when it lets it go.
fn opens<'a>(allowances: &'a [Allowance], spent: &VecDeque<i64>, now: i64) -> Option<(&'a Allowance, i64)> {
    let of = |allowance: &'a Allowance| {
        let first = spent.len().checked_sub(allowance.pulls).and_then(|at| spent.get(at));
        (allowance, first.map_or(now, |first| now.max(first + millis(allowance.within))))
    };
    allowances.iter().map(of).max_by_key(|(_, opens)| *opens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(allowance: &str) -> Ledger {
        Ledger { allowances: vec![allowance.parse().unwrap()], ..Ledger::default() }
    }

    fn refused(turn: Turn) -> Deferral {
        let Turn::Refused(refused) = turn else { panic!("{turn:?}") };
        refused
    }

    fn remaining(n: u64) -> Announced {
        Announced { remaining: Some(n), limit: Some(9), window: Some(Duration::from_secs(10)), until: None }
    }

    #[test]
    fn a_window_slides() {
        let mut l = ledger("2/10s");
        assert_eq!(l.turn(0, true), Turn::Go(Some(0)));
        assert_eq!(l.turn(1, true), Turn::AfterOthers, "the first one goes ahead");
        l.ends(false);
        assert!(l.has_pulls(3_999));
        assert_eq!(l.turn(4_000, true), Turn::Go(Some(4_000)));
        assert!(!l.has_pulls(4_500));
        assert_eq!(l.turn(4_500, true), Turn::AfterOthers, "it may turn out to cost nothing");
        l.ends(false);
        assert_eq!(refused(l.turn(5_000, true)).until, Some(10_000));
        assert!(!l.has_pulls(9_999) && l.has_pulls(10_000));
        assert_eq!(l.turn(5_000, false), Turn::Go(None), "what is not charged for goes on");
        assert_eq!(l.turn(10_000, true), Turn::Go(Some(10_000)));
        l.ends(false);
        assert_eq!(refused(l.turn(10_001, true)).until, Some(14_000));
    }

    #[test]
    fn a_pull_that_was_not_made_is_not_counted() {
        let mut l = ledger("1/10s");
        assert_eq!(l.turn(0, true), Turn::Go(Some(0)));
        l.takes_back(0);
        assert_eq!(l.turn(1, true), Turn::Go(Some(1)));
    }

    #[test]
    fn what_the_server_has_left_is_not_overdrawn() {
        let mut l = Ledger::default();
        assert_eq!(l.turn(0, true), Turn::Go(Some(0)));
        l.announced(&remaining(2), 1, 0, 0);
        l.ends(true);
        assert!(matches!((l.turn(1, true), l.turn(2, true)), (Turn::Go(_), Turn::Go(_))));
        assert_eq!(l.turn(3, true), Turn::AfterOthers);
        // The later one is answered first.
        l.announced(&remaining(0), 1, 1, 3);
        l.ends(true);
        l.announced(&remaining(1), 1, 1, 3);
        l.ends(true);
        l.announced(&remaining(2), 0, 2, 3);
        // One that was alone is believed.
        l.announced(&remaining(1), 0, 3, 3);
        assert!(matches!(l.turn(4, true), Turn::Go(_)));
        l.announced(&remaining(0), 1, 3, 4);
        l.ends(true);
        assert!(!l.has_pulls(5));
        let refused = refused(l.turn(5, true));
        assert_eq!(refused.why, "the registry announces that no pulls of 9 in 10s are left");
        assert_eq!(refused.until, Some(10_000), "the first pull is given again then");
        assert!(matches!(l.turn(10_000, true), Turn::Go(_)), "then one is tried");
    }

    #[test]
    fn a_refused_pull_stops_pulls_and_any_other_refusal_everything() {
        let mut l = Ledger::default();
        l.refused(Deferral::default(), true, 0);
        assert_eq!(l.turn(1, false), Turn::Go(None));
        assert_eq!(refused(l.turn(1, true)).until, None, "nobody knows");
        l.refused(Deferral { until: Some(50), ..Deferral::default() }, false, 1);
        refused(l.turn(2, false));
        assert_eq!(l.turn(50, false), Turn::Go(None));
    }

    #[test]
    fn a_refusal_ends_when_the_clock_jumps_either_way() {
        let hour = 3_600_000;
        for (jump, is_pull) in [(-1, true), (-hour, false), (hour, true), (400 * 24 * hour, false)] {
            let mut l = Ledger::default();
            l.refused(Deferral { until: Some(11 * hour), ..Deferral::default() }, is_pull, 10 * hour);
            refused(l.turn(10 * hour, is_pull));
            assert!(matches!(l.turn(10 * hour + jump, is_pull), Turn::Go(_)), "{jump}");
        }
        let mut l = Ledger::default();
        l.refused(Deferral { until: Some(i64::MAX), ..Deferral::default() }, true, 0);
        assert!(matches!(l.turn(32 * 24 * hour, true), Turn::Go(_)), "nothing is believed for ever");
    }

    #[test]
    fn a_forecast_is_when_the_last_pull_could_be_made() {
        let mut l = ledger("2/10s");
        l.turn(1_000, true);
        let of = |l: &Ledger, pulls| l.forecast(2_000, pulls).map(|f| (f.left, f.done));
        assert_eq!(of(&l, 0), Some((1, 2_000)));
        assert_eq!(of(&l, 1), Some((1, 2_000)));
        assert_eq!(of(&l, 2), Some((1, 11_000)));
        assert_eq!(of(&l, 4), Some((1, 21_000)));
        // All allowances hold at once, and whoever is refused is told the same.
        l.allowances.push("3/1m".parse().unwrap());
        assert_eq!(of(&l, 4), Some((1, 62_000)));
        assert!(matches!(l.turn(2_000, true), Turn::AfterOthers));
        l.ends(false);
        assert!(matches!(l.turn(2_000, true), Turn::Go(_)));
        l.ends(false);
        let told = refused(l.turn(2_000, true)).until.unwrap();
        assert_eq!(of(&l, 1), Some((0, told)));
        assert_eq!(Ledger::default().forecast(0, 5), None);
    }
}
