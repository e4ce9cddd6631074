//! What a source lets us have: the `budget:` of its entry, and what the server announces by itself. Only pulls (GETs of
//! manifests) are counted, which is what hubs charge for; a server that refuses everything is asked for nothing.

mod announced;
mod ledger;
mod spent;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderMap;
use tokio::sync::Notify;

use super::SourceError;
use crate::pipeline::node::{duration, written};
use crate::sync::lock;
pub use announced::{Announced, retry_after, until};
use ledger::{Ledger, Turn};
use spent::Spent;

/// How long a server that does not say when it has more to give is left alone.
const UNKNOWN_WAIT: Duration = Duration::from_secs(300);
/// How long one sleep is at most: a machine that was asleep itself sees late that the time has come.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// No budget is for longer.
const LONGEST_WITHIN: Duration = Duration::from_secs(31 * 86_400);

/// So many pulls in so much time, as in `100/6h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub pulls: usize,
    pub within: Duration,
}

impl FromStr for Allowance {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pulls, within) = text.split_once('/').ok_or("pulls and a time are missing, as in `100/6h`")?;
        let pulls = pulls.trim().parse().ok().filter(|n| *n > 0).ok_or("the pulls are a whole number, at least 1")?;
        let within = duration(within.trim()).ok_or("the time is one such as `90s` or `6h`")?;
        if within.is_zero() || within > LONGEST_WITHIN {
            return Err("the time is at most 31 days, and more than none");
        }
        Ok(Self { pulls, within })
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pulls = if self.pulls == 1 { "pull" } else { "pulls" };
        write!(f, "{} {pulls} in {}", self.pulls, written(self.within))
    }
}

/// Why a request is not made now. Whoever needs its answer is put off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deferral {
    /// The address of the source that has no more to give.
    pub source: String,
    pub why: String,
    /// From when on it is worth asking again, milliseconds since 1970, where that is known.
    pub until: Option<i64>,
    /// How long it takes until the server gives again what it gave, where that is all it says.
    pub window: Option<Duration>,
}

/// The budgets of all sources of a session.
#[derive(Debug, Default)]
pub struct Budgets {
    common: Arc<Common>,
    all: Mutex<HashMap<String, Arc<Budget>>>,
}

#[derive(Debug, Default)]
struct Common {
    spent: Spent,
    waits: AtomicBool,
    /// The times that somebody waits for, and how many do.
    awaited: Mutex<BTreeMap<i64, usize>>,
}

/// The budget of one address, shared by all who ask there.
#[derive(Debug)]
pub struct Budget {
    name: String,
    common: Arc<Common>,
    ledger: Mutex<Ledger>,
    /// A pull has ended.
    ended: Notify,
}

/// What a budget has for a number of pulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    pub allowance: Allowance,
    /// Pulls that can be made at once.
    pub left: usize,
    /// When the last one could be made, milliseconds since 1970.
    pub done: i64,
}

impl Budgets {
    /// What is spent outlives the run in a file of this folder.
    pub fn kept_in(folder: PathBuf) -> Self {
        let common = Common { spent: Spent::kept_in(folder), ..Common::default() };
        Self { common: Arc::new(common), all: Mutex::default() }
    }

    /// The budget of an address. Where several say what it may be, all of it holds.
    pub fn of(&self, name: &str, allowance: Option<Allowance>) -> Arc<Budget> {
        let mut all = lock(&self.all);
        let budget = all.entry(name.to_owned()).or_insert_with(|| {
            let (common, ledger) = (self.common.clone(), Mutex::default());
            Arc::new(Budget { name: name.to_owned(), common, ledger, ended: Notify::new() })
        });
        if let Some(allowance) = allowance {
            let mut ledger = budget.ledger();
            if ledger.allowances.is_empty() {
                ledger.spent.extend(self.common.spent.read(name));
            }
            ledger.allowances.push(allowance);
        }
        budget.clone()
    }

    /// Whether what is spent is waited for: `--wait-budget`.
    pub fn set_waits(&self, waits: bool) {
        self.common.waits.store(waits, Ordering::Relaxed);
    }

    /// How long the next of those who wait has still to wait.
    pub fn waits_for(&self) -> Option<Duration> {
        let until = *lock(&self.common.awaited).first_key_value()?.0;
        Some(Duration::from_millis(u64::try_from(until - now_ms()).unwrap_or(0)))
    }
}

impl Budget {
    /// Leave for one request, or why there is none. Who is `patient` waits for it, where waiting is asked for.
    pub async fn enter(&self, is_pull: bool, patient: bool) -> Result<Pass<'_>, SourceError> {
        if is_pull {
            self.take_over()?;
        }
        loop {
            let ended = self.ended.notified();
            let (turn, ended_before) = {
                let mut ledger = self.ledger();
                (ledger.turn(now_ms(), is_pull), ledger.ended)
            };
            let refused = match turn {
                Turn::Go(at) => {
                    if let Some(at) = at
                        && let Err(error) = self.write(at, false)
                    {
                        self.takes_back(at);
                        return Err(error);
                    }
                    return Ok(Pass { budget: self, at, ended_before, seen: false });
                }
                Turn::AfterOthers => {
                    ended.await;
                    continue;
                }
                Turn::Refused(refused) => Deferral { source: self.name.clone(), ..refused },
            };
            if !(patient && self.waits()) {
                return Err(SourceError::deferred(refused));
            }
            self.sleep_towards(worth_asking(&refused)).await;
        }
    }

    /// Waits until it is worth asking again.
    pub async fn wait_for(&self, refused: &Deferral) {
        let until = worth_asking(refused);
        while now_ms() < until {
            self.sleep_towards(until).await;
        }
    }

    pub fn waits(&self) -> bool {
        self.common.waits.load(Ordering::Relaxed)
    }

    /// Whether it is known that there are only so many pulls.
    pub fn counts(&self) -> bool {
        self.ledger().counts(now_ms())
    }

    /// Whether a pull could be made now, as far as is known.
    pub fn has_pulls(&self) -> bool {
        self.ledger().has_pulls(now_ms())
    }

    /// What there is for so many pulls; `None` where the source has no `budget:`.
    pub fn forecast(&self, pulls: usize) -> Option<Forecast> {
        self.ledger().forecast(now_ms(), pulls)
    }

    /// How many pulls in which time the server says that it gives.
    pub fn announced(&self) -> Option<Allowance> {
        self.ledger().announced_allowance()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// Before the first pull, what is kept is read again, since another build may have ended meanwhile, and written as
    /// it is understood: times to come, of a clock that went back, are as if they were now, and must not be so again in
    /// the next run.
    fn take_over(&self) -> Result<(), SourceError> {
        let mut ledger = self.ledger();
        if ledger.allowances.is_empty() || ledger.taken_over {
            return Ok(());
        }
        ledger.spent = self.common.spent.read(&self.name).into();
        ledger.clamp(now_ms());
        self.common.spent.rewrite(&self.name, &ledger.spent).map_err(|e| cannot_keep(&e))?;
        ledger.taken_over = true;
        Ok(())
    }

    fn write(&self, at: i64, back: bool) -> Result<(), SourceError> {
        if self.ledger().allowances.is_empty() {
            return Ok(());
        }
        self.common.spent.add(&self.name, at, back).map_err(|e| cannot_keep(&e))
    }

    /// A pull was not made after all: whoever waits for that may look again.
    fn takes_back(&self, at: i64) {
        self.ledger().takes_back(at);
        self.ended.notify_waiters();
    }

    /// Sleeps until then, or for a while: the clock may jump, and then it is another time that is waited for.
    async fn sleep_towards(&self, until: i64) {
        let _awaited = Awaited::new(&self.common.awaited, until);
        let left = Duration::from_millis(u64::try_from(until - now_ms()).unwrap_or(0));
        tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
    }
}

/// Leave for one request; it is over when this is dropped.
#[derive(Debug)]
pub struct Pass<'a> {
    budget: &'a Budget,
    /// When the pull began; `None` for what is not counted.
    at: Option<i64>,
    /// How many pulls were over when it began.
    ended_before: u64,
    /// The server said what is left.
    seen: bool,
}

impl Pass<'_> {
    /// Takes in what the server announces with its answer.
    pub fn answered(&mut self, headers: &HeaderMap) {
        let now = now_ms();
        let mut ledger = self.budget.ledger();
        // What answers something else need not say what it says of pulls.
        ledger.heard |= self.at.is_some();
        if let Some(announced) = Announced::of(headers, now) {
            self.seen = announced.remaining.is_some();
            ledger.announced(&announced, usize::from(self.at.is_some()), self.ended_before, now);
        }
    }

    /// The server refuses to give more. What is known of when that will be over is added.
    pub fn refused(&mut self, why: Deferral) -> Deferral {
        let is_pull = self.at.is_some();
        self.in_vain();
        let refused = self.budget.ledger().refused(why, is_pull, now_ms());
        Deferral { source: self.budget.name.clone(), ..refused }
    }

    /// Nothing came of it. A host that hangs is not to be waited for by one after the other.
    pub fn failed(&mut self) {
        self.budget.ledger().heard |= self.at.is_some();
        self.in_vain();
    }

    /// We may not have it.
    pub fn denied(&mut self) {
        if self.at.is_some() {
            self.budget.ledger().denied();
        }
        self.in_vain();
    }

    /// Nothing was given, and nothing is charged.
    pub fn in_vain(&mut self) {
        if let Some(at) = self.at.take() {
            // What cannot be written stays counted.
            let _ = self.budget.write(at, true);
            self.budget.takes_back(at);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.at.is_some() {
            self.budget.ledger().ends(self.seen);
            self.budget.ended.notify_waiters();
        }
    }
}

/// A time that somebody waits for.
struct Awaited<'a>(&'a Mutex<BTreeMap<i64, usize>>, i64);

impl<'a> Awaited<'a> {
    fn new(all: &'a Mutex<BTreeMap<i64, usize>>, until: i64) -> Self {
        *lock(all).entry(until).or_default() += 1;
        Self(all, until)
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let mut all = lock(self.0);
        if let Some(count) = all.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.1);
            }
        }
    }
}

fn cannot_keep(error: &std::io::Error) -> SourceError {
    SourceError::new(format!("cannot keep count of what is spent in .layermill/{}: {error}", spent::NAME))
}

/// When it is worth asking again: as the server said, or after a while.
fn worth_asking(refused: &Deferral) -> i64 {
    refused.until.unwrap_or_else(|| now_ms() + millis(UNKNOWN_WAIT))
}

pub fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}
