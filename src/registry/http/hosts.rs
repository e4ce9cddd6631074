//! How many requests a host is sent at once: as many as a source may have under way, and fewer where the host does not
//! bear them. The limit is halved where too much goes wrong, and grows by one with each windowful that goes well
//! (additive increase, multiplicative decrease). A host that asks to be left alone is left alone by all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::registry::address::Origin;

/// A few faults among many answers are chance; from this part of a windowful on (one in so many) they are not.
const CHANCE: usize = 4;
/// No host is left alone for longer, whatever it asks for.
const LONGEST_REST: Duration = Duration::from_secs(86_400);
/// As many hosts are remembered, unless requests to more of them are under way.
const HOSTS_MAX: usize = 1024;

/// The hosts that a source talks to.
pub struct Hosts {
    most: usize,
    all: Mutex<HashMap<Origin, Arc<Host>>>,
}

struct Host {
    turns: Semaphore,
    state: Mutex<State>,
}

struct State {
    most: usize,
    limit: usize,
    /// Turns that are over the limit: they are not given again when they end.
    over: usize,
    /// How often the limit was halved: what was sent before that says nothing about the new one.
    halvings: u64,
    /// Answers since the limit last changed.
    good: usize,
    faults: usize,
    /// Until when it is left alone, and what it answered that asked for it.
    rests_until: Option<(Instant, StatusCode)>,
}

/// A host is to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    pub left: Duration,
    /// What it answered.
    pub status: StatusCode,
}

/// What came of a request, as far as its host's strength goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Well,
    /// It failed, broke off or was silent.
    Fault,
    /// It has too much to do, as this answer says, and may say for how long it wants to be left alone.
    Refusal(StatusCode, Option<Duration>),
}

/// Leave for one request to a host, until it is dropped.
pub struct Turn {
    host: Arc<Host>,
    halvings: u64,
}

impl Hosts {
    pub fn new(most: usize) -> Self {
        Self { most, all: Mutex::default() }
    }

    /// Waits for a turn at a host; how long the host wants to be left alone, where that is for longer than our
    /// `patience`.
    pub async fn enter(&self, origin: &Origin, patience: Duration) -> Result<Turn, Rest> {
        let host = self.of(origin);
        if let Ok(turn) = host.turns.acquire().await {
            turn.forget();
        }
        let mut turn = Turn { halvings: 0, host };
        while let Some(rest) = turn.host.rest() {
            if rest.left > patience {
                return Err(rest);
            }
            tokio::time::sleep(rest.left).await;
        }
        turn.halvings = turn.host.state().halvings;
        Ok(turn)
    }

    fn of(&self, origin: &Origin) -> Arc<Host> {
        let mut all = lock(&self.all);
        if all.len() >= HOSTS_MAX && !all.contains_key(origin) {
            all.retain(|_, host| Arc::strong_count(host) > 1);
        }
        all.entry(origin.clone()).or_insert_with(|| Arc::new(Host::new(self.most))).clone()
    }
}

impl Host {
    fn new(most: usize) -> Self {
        let state = State { most, limit: most, over: 0, halvings: 0, good: 0, faults: 0, rests_until: None };
        Self { turns: Semaphore::new(most), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// How long it is still to be left alone.
    fn rest(&self) -> Option<Rest> {
        let (until, status) = self.state().rests_until?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(Rest { left, status })
    }

    /// One turn more than before; called when one ends, too.
    fn give(&self, state: &mut State) {
        match state.over {
            0 => self.turns.add_permits(1),
            _ => state.over -= 1,
        }
    }

    fn grow(&self, state: &mut State) {
        (state.good, state.faults) = (0, 0);
        if state.limit < state.most {
            state.limit += 1;
            self.give(state);
        }
    }

    /// Whether there was anything left to halve.
    fn halve(&self, state: &mut State) -> bool {
        (state.good, state.faults) = (0, 0);
        state.halvings += 1;
        let less = state.limit / 2;
        state.limit -= less;
        state.over += less - self.turns.forget_permits(less);
        less > 0
    }
}

impl Turn {
    /// Takes in what came of the request. Whether the host is now sent less at once.
    pub fn tells(&self, sign: Sign) -> bool {
        let mut state = self.host.state();
        if let Sign::Refusal(status, Some(rest)) = sign {
            let until = Instant::now() + rest.min(LONGEST_REST);
            state.rests_until = state.rests_until.max(Some((until, status)));
        }
        if state.halvings != self.halvings {
            return false;
        }
        match sign {
            Sign::Well => state.good += 1,
            Sign::Fault => state.faults += 1,
            Sign::Refusal(..) => return self.host.halve(&mut state),
        }
        if state.faults * CHANCE > state.limit {
            return self.host.halve(&mut state);
        }
        if state.good >= state.limit {
            self.host.grow(&mut state);
        }
        false
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.host.give(&mut self.host.state());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn origin() -> Origin {
        Origin::of(&"https://r.example.com".parse().unwrap())
    }

    /// As many turns as there are now.
    fn turns(hosts: &Hosts) -> Vec<Turn> {
        std::iter::from_fn(|| hosts.enter(&origin(), PATIENCE).now_or_never()?.ok()).collect()
    }

    fn limit(hosts: &Hosts) -> usize {
        let host = hosts.of(&origin());
        let state = host.state();
        state.limit
    }

    #[test]
    fn a_refusal_halves_once_a_window_and_what_goes_well_gives_back() {
        let hosts = Hosts::new(32);
        let window = turns(&hosts);
        assert_eq!(window.len(), 32);
        let halved: Vec<_> =
            window.iter().map(|turn| turn.tells(Sign::Refusal(StatusCode::TOO_MANY_REQUESTS, None))).collect();
        assert_eq!((halved.iter().filter(|h| **h).count(), limit(&hosts)), (1, 16));
        drop(window);
        let window = turns(&hosts);
        assert_eq!(window.len(), 16, "what was over the limit is not given again");
        window.iter().for_each(|turn| assert!(!turn.tells(Sign::Well)));
        assert_eq!(limit(&hosts), 17);
        drop(window);
        assert_eq!(turns(&hosts).len(), 17);
    }

    #[test]
    fn faults_are_chance_unless_they_are_many() {
        let hosts = Hosts::new(32);
        for n in 0..500 {
            let turn = hosts.enter(&origin(), PATIENCE).now_or_never().unwrap().ok().unwrap();
            turn.tells(if n % 10 == 0 { Sign::Fault } else { Sign::Well });
        }
        assert_eq!(limit(&hosts), 32, "one in ten");
        for turn in turns(&hosts) {
            turn.tells(Sign::Fault);
        }
        assert_eq!(limit(&hosts), 16);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_asks_for_rest_is_left_alone_by_all_who_have_the_patience() {
        let hosts = Hosts::new(4);
        let began = Instant::now();
        let first = hosts.enter(&origin(), PATIENCE).await.ok().unwrap();
        first.tells(Sign::Refusal(StatusCode::TOO_MANY_REQUESTS, Some(Duration::from_secs(7))));
        first.tells(Sign::Refusal(StatusCode::SERVICE_UNAVAILABLE, Some(Duration::from_secs(3))));
        drop(first);
        let rest = Rest { left: Duration::from_secs(7), status: StatusCode::TOO_MANY_REQUESTS };
        assert_eq!(hosts.enter(&origin(), Duration::ZERO).await.err(), Some(rest));
        let other = Origin::of(&"https://elsewhere.example.com".parse().unwrap());
        assert!(hosts.enter(&other, Duration::ZERO).await.is_ok());
        let origin = origin();
        let (a, b) = tokio::join!(hosts.enter(&origin, PATIENCE), hosts.enter(&origin, PATIENCE));
        assert!(a.is_ok() && b.is_ok());
        drop(b);
        assert_eq!(began.elapsed().as_secs(), 7);
        // As long as it likes, but not for ever.
        a.ok().unwrap().tells(Sign::Refusal(StatusCode::TOO_MANY_REQUESTS, Some(Duration::MAX)));
        let rest = hosts.enter(&origin, PATIENCE).await.err().unwrap();
        assert_eq!(rest.left, LONGEST_REST);
        tokio::time::sleep(rest.left).await;
        assert!(hosts.enter(&origin, Duration::ZERO).await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_goes_when_another_ends_and_who_gives_up_takes_no_turn() {
        let hosts = Hosts::new(1);
        let first = hosts.enter(&origin(), PATIENCE).await;
        assert!(hosts.enter(&origin(), PATIENCE).now_or_never().is_none());
        drop(first);
        assert!(hosts.enter(&origin(), PATIENCE).now_or_never().is_some());
        assert_eq!(turns(&hosts).len(), 1);
    }

    #[test]
    fn hosts_without_end_are_not_remembered_without_end() {
        let hosts = Hosts::new(2);
        let held = hosts.enter(&origin(), PATIENCE).now_or_never().unwrap();
        for n in 0..5000 {
            let other = Origin::of(&format!("https://{n}.example.com").parse().unwrap());
            assert!(hosts.enter(&other, PATIENCE).now_or_never().unwrap().is_ok());
        }
        assert!(lock(&hosts.all).len() <= HOSTS_MAX && held.is_ok());
        assert_eq!(turns(&hosts).len(), 1, "one is taken still");
    }

    #[derive(Clone, Copy, Debug)]
    enum Act {
        Enter,
        End(usize, Option<Sign>),
    }

    fn act() -> impl Strategy<Value = Act> {
        let sign = prop_oneof![
            3 => Just(Some(Sign::Well)),
            1 => Just(Some(Sign::Fault)),
            1 => Just(Some(Sign::Refusal(StatusCode::TOO_MANY_REQUESTS, None))),
            1 => Just(None)
        ];
        prop_oneof![2 => Just(Act::Enter), 1 => (any::<usize>(), sign).prop_map(|(n, sign)| Act::End(n, sign))]
    }

    proptest! {
        /// Never more at once than may be, never none for ever, and as many as ever once all goes well.
        #[test]
        fn the_limit_keeps_its_bounds_and_recovers(most in 1usize..20, acts in prop::collection::vec(act(), 0..200)) {
            let hosts = Hosts::new(most);
            let mut under_way = Vec::new();
            for act in acts {
                match act {
                    Act::Enter => {
                        let bound = limit(&hosts);
                        match hosts.enter(&origin(), PATIENCE).now_or_never() {
                            Some(turn) => under_way.push(turn.ok().unwrap()),
                            None => prop_assert!(under_way.len() >= bound, "{} of {bound}", under_way.len()),
                        }
                        prop_assert!(under_way.len() <= most);
                    }
                    Act::End(n, sign) if !under_way.is_empty() => {
                        let turn = under_way.swap_remove(n % under_way.len());
                        if let Some(sign) = sign {
                            turn.tells(sign);
                        }
                    }
                    Act::End(..) => {}
                }
                prop_assert!((1..=most).contains(&limit(&hosts)));
            }
            drop(under_way);
            for _ in 0..most {
                for turn in turns(&hosts) {
                    turn.tells(Sign::Well);
                }
            }
            prop_assert_eq!(turns(&hosts).len(), most);
        }
    }
}
