//! Whether a host can be reached. Where it cannot, one request at a time tries again, after waits that grow, and all others
//! wait for what comes of it. Whoever would not have made more attempts than were in vain by then fails at once; so a
//! host that is down costs all who want it as much time as one of them, and is used again once it is back.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::registry::SourceError;
use crate::registry::http::fault::Unreached;
use crate::registry::http::retry::backoff;
use crate::sync::lock;

#[derive(Default)]
pub struct Reach {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    was_reached: bool,
    /// Nothing where the last attempt reached it.
    vain: Option<Vain>,
    /// How often that changed: an attempt that began before says nothing new of a host that is out of reach.
    changes: u64,
}

/// How much somebody does to reach a host.
#[derive(Clone, Copy)]
pub struct Endurance {
    /// Attempts after the first.
    pub retries: u32,
    /// How long each waits for a connection.
    pub within: Duration,
}

/// Attempts that did not reach it, one after the other.
struct Vain {
    attempts: u32,
    /// The longest that one of them waited for a connection.
    within: Duration,
    why: SourceError,
    /// When the next one may be made.
    next: Instant,
    is_under_way: bool,
}

/// Leave for one attempt.
#[derive(Clone, Copy)]
pub struct Attempt {
    changes: u64,
    /// The others wait for what comes of it.
    is_alone: bool,
}

enum May {
    Now(Attempt),
    /// Once the one under way has ended, or at a time.
    Later(Option<Instant>),
    No(SourceError),
}

impl Reach {
    /// Waits for leave to make an attempt; why there is none, where whoever has this endurance would have given up.
    pub async fn attempt(&self, endurance: Endurance) -> Result<Attempt, SourceError> {
        loop {
            // It is told of what changes from here on.
            let changed = self.changed.notified();
            let may = self.state().may(endurance);
            match may {
                May::Now(attempt) => return Ok(attempt),
                May::No(why) => return Err(why),
                May::Later(None) => changed.await,
                May::Later(Some(at)) => drop(timeout_at(at, changed).await),
            }
        }
    }

    /// Something came of an attempt: whoever waits may go on.
    pub fn is_there(&self) {
        let mut state = self.state();
        state.was_reached = true;
        if state.vain.is_some() {
            state.vain = None;
            self.has_changed(&mut state);
        }
    }

    /// An attempt was in vain. Whether whoever has this endurance gives up now.
    pub fn is_not_there(&self, attempt: Attempt, unreached: &Unreached, endurance: Endurance) -> bool {
        let mut state = self.state();
        if state.changes == attempt.changes {
            let within = state.vain.as_ref().map_or(endurance.within, |vain| vain.within.max(endurance.within));
            // Those that waited for less say little to whoever waits for longer.
            let before = state.vain.as_ref().filter(|vain| vain.within == within).map_or(0, |vain| vain.attempts);
            // Of a host that was there, not all connections need be as this one.
            let attempts = if unreached.lasts && !state.was_reached { u32::MAX } else { before.saturating_add(1) };
            let next = Instant::now() + backoff(attempts);
            state.vain = Some(Vain { attempts, within, why: unreached.error.clone(), next, is_under_way: false });
            self.has_changed(&mut state);
        }
        unreached.lasts || state.vain.as_ref().is_some_and(|vain| vain.outlasts(endurance))
    }

    /// An attempt ended, or was given up.
    pub fn has_ended(&self, attempt: Attempt) {
        let mut state = self.state();
        if attempt.is_alone && attempt.changes == state.changes {
            state.vain.iter_mut().for_each(|vain| vain.is_under_way = false);
            self.changed.notify_waiters();
        }
    }

    fn has_changed(&self, state: &mut State) {
        state.changes += 1;
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Vain {
    /// Whether whoever has this endurance would have given up by now.
    fn outlasts(&self, endurance: Endurance) -> bool {
        self.attempts > endurance.retries && self.within >= endurance.within
    }
}

impl State {
    fn may(&mut self, endurance: Endurance) -> May {
        let changes = self.changes;
        match &mut self.vain {
            None => May::Now(Attempt { changes, is_alone: false }),
            Some(vain) if vain.is_under_way => May::Later(None),
            Some(vain) if vain.next <= Instant::now() => {
                vain.is_under_way = true;
                May::Now(Attempt { changes, is_alone: true })
            }
            Some(vain) if vain.outlasts(endurance) => May::No(vain.why.clone()),
            Some(vain) => May::Later(Some(vain.next)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn unreached(lasts: bool) -> Unreached {
        Unreached { error: SourceError::new("refused"), lasts }
    }

    fn of(retries: u32) -> Endurance {
        Endurance { retries, within: Duration::from_secs(1) }
    }

    /// Asks as requests do until there is an answer, or no more attempt; each attempt takes a second. Counts attempts.
    async fn ask(reach: &Reach, retries: u32, is_up: impl Fn() -> bool, made: &AtomicU32) -> bool {
        loop {
            let Ok(attempt) = reach.attempt(of(retries)).await else { return false };
            made.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            if is_up() {
                reach.is_there();
                return true;
            }
            if reach.is_not_there(attempt, &unreached(false), of(retries)) {
                return false;
            }
        }
    }

    async fn all(reach: &Reach, n: usize, is_up: impl Fn() -> bool, made: &AtomicU32) -> usize {
        let each = (0..n).map(|_| ask(reach, 8, &is_up, made));
        futures_util::future::join_all(each).await.into_iter().filter(|answered| *answered).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_down_costs_all_as_much_as_one_and_is_tried_now_and_then() {
        let (reach, made) = (Reach::default(), AtomicU32::new(0));
        let began = Instant::now();
        assert_eq!(all(&reach, 100, || false, &made).await, 0);
        let at_once = 100;
        assert_eq!(made.swap(0, Ordering::SeqCst), at_once + 8, "after those under way, one at a time");
        assert!(began.elapsed() < Duration::from_secs(9 + 23), "{:?}", began.elapsed());
        assert_eq!(all(&reach, 1000, || false, &made).await, 0);
        assert_eq!(made.load(Ordering::SeqCst), 0, "what comes later fails at once");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(all(&reach, 1000, || false, &made).await, 0);
        assert_eq!(made.swap(0, Ordering::SeqCst), 1);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(all(&reach, 1000, || true, &made).await, 1000, "one finds it back, and the others wait for that");
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_that_one_request_would_survive_all_survive() {
        let (reach, made) = (Reach::default(), AtomicU32::new(0));
        let began = Instant::now();
        let is_up = || began.elapsed() > Duration::from_secs(15);
        assert_eq!(all(&reach, 100, is_up, &made).await, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_tries_less_gives_up_earlier() {
        let (reach, made) = (Reach::default(), AtomicU32::new(0));
        assert!(!ask(&reach, 0, || false, &made).await);
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert!(!ask(&reach, 3, || false, &made).await);
        assert_eq!(made.load(Ordering::SeqCst), 4, "those of others count");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_to_what_was_sent_before_counts_and_a_failure_does_not() {
        let reach = Reach::default();
        let [first, second, third] = [(); 3].map(|()| reach.state().may(of(1)));
        let (May::Now(first), May::Now(second), May::Now(third)) = (first, second, third) else { panic!("all may") };
        assert!(
            !reach.is_not_there(first, &unreached(false), of(1))
                && !reach.is_not_there(second, &unreached(false), of(1))
        );
        reach.is_there();
        assert!(!reach.is_not_there(third, &unreached(false), of(0)), "it was reached since");
        assert!(reach.attempt(of(0)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_is_told_to_all_at_once_unless_the_host_was_there() {
        let reach = Reach::default();
        let attempt = reach.attempt(of(8)).await.unwrap();
        assert!(reach.is_not_there(attempt, &unreached(true), of(8)));
        assert!(reach.attempt(of(8)).await.is_err());
        let reach = Reach::default();
        reach.is_there();
        let attempt = reach.attempt(of(8)).await.unwrap();
        assert!(reach.is_not_there(attempt, &unreached(true), of(8)), "it itself fails");
        assert!(reach.attempt(of(8)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_while_others_wait_is_followed_by_one_of_them() {
        let reach = Arc::new(Reach::default());
        let attempt = reach.attempt(of(8)).await.unwrap();
        reach.is_not_there(attempt, &unreached(false), of(8));
        let alone = reach.attempt(of(8)).await.unwrap();
        let waits = tokio::spawn({
            let reach = reach.clone();
            async move { reach.attempt(of(8)).await.is_ok() }
        });
        tokio::task::yield_now().await;
        reach.has_ended(alone);
        assert!(waits.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_longer_for_a_connection_is_not_refused_for_those_who_wait_less() {
        let reach = Reach::default();
        let [short, long] = [1, 10].map(|seconds| Endurance { retries: 1, within: Duration::from_secs(seconds) });
        for gives_up in [false, true] {
            let attempt = reach.attempt(short).await.unwrap();
            assert_eq!(reach.is_not_there(attempt, &unreached(false), short), gives_up);
        }
        assert!(reach.attempt(short).await.is_err());
        for gives_up in [false, true] {
            let attempt = reach.attempt(long).await.unwrap();
            assert_eq!(reach.is_not_there(attempt, &unreached(false), long), gives_up);
        }
        assert!(reach.attempt(long).await.is_err() && reach.attempt(short).await.is_err());
    }
}
