//! How many requests a host is sent at once: as many as a source may have under way, and fewer where the host does not
//! bear them. The limit is halved where too much goes wrong, and grows by one with each windowful that goes well
//! (additive increase, multiplicative decrease). A host that asks to be left alone is left alone by all, and one that
//! cannot be reached is tried by one at a time.

mod reach;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::fault::{Fault, Rest, Sign, Unreached};
use crate::registry::SourceError;
use crate::registry::address::Origin;
use crate::sync::lock;
pub use reach::Endurance;
use reach::{Attempt, Reach};

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
    reach: Reach,
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

/// Leave for one request to a host, until it is dropped.
pub struct Turn {
    host: Arc<Host>,
    halvings: u64,
    attempt: Option<Attempt>,
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
        let mut turn = Turn { halvings: 0, host, attempt: None };
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
        if let Some(host) = all.get(origin) {
            return host.clone();
        }
        if all.len() >= HOSTS_MAX {
            all.retain(|_, host| Arc::strong_count(host) > 1);
        }
        all.entry(origin.clone()).or_insert_with(|| Arc::new(Host::new(self.most))).clone()
    }
}

impl Host {
    fn new(most: usize) -> Self {
        let state = State { most, limit: most, over: 0, halvings: 0, good: 0, faults: 0, rests_until: None };
        Self { turns: Semaphore::new(most), state: Mutex::new(state), reach: Reach::default() }
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
    /// Waits for leave to make an attempt where the host is out of reach; why there is none, where whoever has this
    /// endurance would have given up.
    pub async fn attempts(&mut self, endurance: Endurance) -> Result<(), SourceError> {
        self.attempt = Some(self.host.reach.attempt(endurance).await?);
        Ok(())
    }

    /// The host was reached.
    pub fn reached(&self) {
        self.host.reach.is_there();
    }

    /// The host was not reached: what that is for whoever has this endurance.
    pub fn not_reached(&self, unreached: Unreached, endurance: Endurance) -> Fault {
        let gives_up = self.attempt.is_some_and(|attempt| self.host.reach.is_not_there(attempt, &unreached, endurance));
        if gives_up { Fault::Final(unreached.error) } else { Fault::Unreached(unreached) }
    }

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
        self.attempt.iter().for_each(|attempt| self.host.reach.has_ended(*attempt));
        self.host.give(&mut self.host.state());
    }
}
