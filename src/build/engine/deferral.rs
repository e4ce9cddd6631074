//! What sources have no more of: told by those who were refused it, and reckoned beforehand where nothing is run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::registry::{Allowance, Budget, Deferral};
use crate::rules::{Failure, Pull};
use crate::store::Sha256;

use super::results::End;
use super::{Engine, Mode};
use crate::build::clock::time_to_come;
use crate::build::decide::{Run, Work};
use crate::build::events::{Event, Listener};
use crate::build::outcome::{Deferred, Pulls, Status, Told};
use crate::build::reason::Reason;
use crate::build::steps::StepId;
use crate::build::steps::waits::Wait;

/// By source.
#[derive(Debug, Default)]
pub(crate) struct Deferrals {
    refused: BTreeMap<String, Deferred>,
    /// What each step was told.
    told: HashMap<StepId, Told>,
    needed: BTreeMap<String, Needed>,
    /// Until nothing else can be done: what they lack may be fetched for others.
    waiting: Vec<Waiting>,
    /// Those of them that were given to their rule once more.
    taken_up: HashSet<StepId>,
}

/// Why a step would be deferred.
#[derive(Debug)]
pub(crate) struct PutOff {
    pub why: String,
    /// Whether it comes to that is seen only while building.
    pub perhaps: bool,
}

/// A step that a source refused something.
#[derive(Debug)]
struct Waiting {
    id: StepId,
    run: Box<Run>,
    deferral: Box<Deferral>,
}

/// What would be fetched of a source.
#[derive(Debug)]
struct Needed {
    budget: Arc<Budget>,
    /// How much may be fetched at once; `None`: there is no budget.
    left: Option<usize>,
    things: HashMap<String, Thing>,
    /// The steps that what is left would do for, if they came first.
    served: Vec<StepId>,
}

#[derive(Debug)]
struct Thing {
    /// In the order in which they are fetched.
    place: usize,
    /// Some step is sure to ask for it; otherwise that is only likely.
    is_sure: bool,
    /// It is to be fetched of another source, too: from there it comes for all, if it comes first.
    is_shared: bool,
    /// The steps that are put off for certain since it is out of reach, as long as it is not shared.
    put_off: Vec<StepId>,
}

impl Deferrals {
    /// A step was refused something.
    fn add(&mut self, step: StepId, deferral: &Deferral, gives: Option<Allowance>) {
        let Deferral { source, why, until, .. } = deferral.clone();
        let gives = gives.map(|a| (a.pulls, i64::try_from(a.within.as_millis()).unwrap_or(i64::MAX)));
        self.told.insert(step, Told { source: source.clone(), why: why.clone(), until, gives });
        let told = self.refused.entry(source.clone());
        let told = told.or_insert(Deferred { source, why: String::new(), until: None, steps: 0 });
        told.steps += 1;
        // The latest word of it holds.
        if told.why.is_empty() || until >= told.until {
            told.why = why;
            told.until = until;
        }
    }

    pub(crate) fn told_to(&self, step: StepId) -> Option<&Told> {
        self.told.get(&step)
    }

    pub(crate) fn told(&self) -> Vec<Deferred> {
        self.refused.values().cloned().collect()
    }

    /// What is needed of each source, and what it `told` us last.
    pub(crate) fn pulls(&self, told: &HashMap<String, Told>) -> Vec<Pulls> {
        let pulls = |needed: &Needed| Pulls {
            source: needed.budget.name().to_owned(),
            needed: needed.things.values().filter(|thing| thing.is_sure && !thing.is_shared).count(),
            likely: needed.things.len(),
            // Where none is likely to be needed, when there is one more.
            forecast: needed.budget.forecast(needed.things.len().max(1)),
            told: told.get(needed.budget.name()).cloned(),
        };
        self.needed.values().map(pulls).collect()
    }

    /// Marks what is to be fetched of other sources than this one, too: the steps that were put off for it, if there is any.
    fn share(&mut self, what: &str, source: &str) -> Option<Vec<StepId>> {
        let others = self.needed.iter_mut().filter(|(name, _)| *name != source);
        let things = others.filter_map(|(_, needed)| needed.things.get_mut(what));
        let put_off = things.map(|thing| {
            thing.is_shared = true;
            std::mem::take(&mut thing.put_off)
        });
        put_off.reduce(|all, more| [all, more].concat())
    }
}

impl Engine<'_> {
    /// A step is put off: told so at once, and decided when nothing else is left to do.
    pub(crate) fn put_off(
        &mut self,
        id: StepId,
        run: Run,
        deferral: Box<Deferral>,
        end: End,
        listener: &mut dyn Listener,
    ) {
        self.account_of_run(id, Status::Deferred, &run, end);
        if let Some(account) = self.accounts.get(&id) {
            listener.hear(&Event::Finished { id, account });
        }
        self.keep_failure(id, Some(&run), false);
        self.deferrals.waiting.push(Waiting { id, run: Box::new(run), deferral });
    }

    /// Once nothing else is left to do, takes up what was put off and has all that it needs in the store now; where
    /// there is nothing of the kind, the rest is deferred. Whether there is more to do.
    pub(crate) fn decide_put_off(&mut self, listener: &mut dyn Listener) -> bool {
        let waiting = std::mem::take(&mut self.deferrals.waiting);
        let any = !waiting.is_empty();
        let takes_up =
            |w: &Waiting| !self.stopping && !self.deferrals.taken_up.contains(&w.id) && self.has_all(w.id, &w.run);
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(takes_up);
        if !ready.is_empty() {
            self.deferrals.waiting = rest;
            for Waiting { id, mut run, .. } in ready {
                self.deferrals.taken_up.insert(id);
                if run.work == Work::Ask {
                    run.work = Work::Make(run.record.answer);
                }
                self.queue(id, run);
            }
            return true;
        }
        for Waiting { id, run, deferral } in rest {
            match self.doomed.remove(&id) {
                // What clashes with another step would only clash later.
                Some(message) => self.failed(id, *run, Failure::new(message), listener),
                None => {
                    let gives = self.budgets.of(&deferral.source, None).announced();
                    self.deferrals.add(id, &deferral, gives);
                    self.stats.ran += 1;
                    self.keep_failure(id, Some(&run), false);
                    self.finish(id, Status::Deferred);
                }
            }
        }
        any
    }

    /// Whether a step that was put off while it was made has all that is counted in the store.
    fn has_all(&self, id: StepId, run: &Run) -> bool {
        let answer = match run.work {
            Work::Restore(_) => return false,
            // Its source did not even answer.
            Work::Ask if run.record.asked_at < self.now_ms => return false,
            Work::Ask => run.record.answer,
            Work::Make(answer) => answer,
        };
        let Some(compiled) = self.rules[self.steps.step(id).target as usize].as_ref() else { return false };
        let answer = answer.and_then(|digest| self.blobs.peek(&digest));
        compiled.by_source && compiled.rule.pull(&self.view(id), answer.as_deref(), &self.blobs).is_none()
    }

    /// What the `partial` inputs of a step lack, in words.
    pub(crate) fn went_without(&self, id: StepId) -> Option<String> {
        let lacking: Vec<Status> = self.does_without(id).map(|step| self.steps.step(step).status).collect();
        let count = match lacking.len() {
            1 => "1 step".to_owned(),
            n => format!("{n} steps"),
        };
        let are = if lacking.len() == 1 { "is" } else { "are" };
        let word = |status: Status| match status {
            Status::Failed => status.word().to_owned(),
            _ => format!("{are} {}", status.word()),
        };
        let all = [Status::Failed, Status::Blocked, Status::Deferred, Status::Interrupted];
        let words: Vec<String> = all.into_iter().filter(|status| lacking.contains(status)).map(word).collect();
        let lacking = (!words.is_empty()).then(|| format!("{count} that {}", words.join(" or ")));
        let unknown = self.lacks_lists(id).then(|| "steps that cannot be told yet".to_owned());
        let without: Vec<String> = [lacking, unknown].into_iter().flatten().collect();
        (!without.is_empty()).then(|| format!("made without {}", without.join(", and without ")))
    }

    /// Whether lists could not be made which steps that it would read in part come of.
    pub(crate) fn lacks_lists(&self, id: StepId) -> bool {
        self.steps.slots_of(id).iter().enumerate().any(|(position, slot)| match slot.wait {
            Wait::Group(group) if self.goes_on_without(id, position) => self.is_kept_from_rows(group),
            _ => false,
        })
    }

    /// What a step cannot be made without that only its source has, where that is not asked: `--offline`.
    pub(crate) fn needs_network(&self, id: StepId, run: &Run) -> Option<String> {
        let compiled = self.rules[self.steps.step(id).target as usize].as_ref()?;
        if self.mode != Mode::Look || !self.offline || !compiled.rule.common().is_remote {
            return None;
        }
        let what = match run.work {
            Work::Restore(_) => return None,
            Work::Ask => format!("what it asks of {}", compiled.template.source.as_deref().unwrap_or("its source")),
            Work::Make(answer) => {
                let answer = answer.and_then(|digest| self.blobs.peek(&digest));
                compiled.rule.lacks(&self.view(id), answer.as_deref(), &self.blobs)?
            }
        };
        Some(format!("offline, and {what} is not in the store"))
    }

    /// Counts what a step would fetch; why it would be deferred, where the budget is spent before its turn comes.
    pub(crate) fn puts_off(&mut self, id: StepId, run: &Run) -> Option<PutOff> {
        if self.mode != Mode::Look || self.offline {
            return None;
        }
        let only_asks = || run.reasons.iter().all(Reason::only_asks);
        let made_from = match run.work {
            Work::Restore(_) => return None,
            Work::Ask => match self.answered_in_vain(id) {
                Some(answer) => Some(answer),
                // What was absent most likely still is, and costs nothing.
                None if self.was_absent(id) && only_asks() => return None,
                None => run.record.answer.or_else(|| self.answered_elsewhere(id, run)),
            },
            Work::Make(None) => run.record.answer,
            Work::Make(answer) => answer,
        };
        let rule = &self.rules[self.steps.step(id).target as usize].as_ref().filter(|c| c.by_source)?.rule;
        let answer = made_from.and_then(|digest| self.blobs.peek(&digest));
        let view = self.view(id);
        let pull = rule.pull(&view, answer.as_deref(), &self.blobs);
        // Most are answered as before, and need none; where the budget is spent, the others would be put off.
        let is_spent = |pull: &Pull| pull.budget.forecast(0).is_some_and(|forecast| forecast.left == 0);
        let otherwise = || (run.work == Work::Ask).then(|| rule.pull(&view, None, &self.blobs)).flatten();
        let budget = match &pull {
            Some(pull) => pull.budget.clone(),
            None => otherwise().filter(is_spent)?.budget,
        };
        // What its source answers may be in the store, or be that there is none.
        let is_sure = run.work != Work::Ask
            && pull.as_ref().is_some_and(|pull| pull.is_sure)
            && !self.may_not_run(id, &run.reasons)
            && self.blocked_as_before(id, Some(&run.reasons)).is_none();
        let shared = pull.as_ref().and_then(|pull| self.deferrals.share(&pull.what, budget.name()));
        let is_shared = shared.is_some();
        shared.into_iter().flatten().for_each(|other| self.mark_perhaps(other, true));
        let needed = self.deferrals.needed.entry(budget.name().to_owned()).or_insert_with(|| {
            let left = budget.forecast(0).map(|forecast| forecast.left);
            Needed { budget, left, things: HashMap::new(), served: Vec::new() }
        });
        let pull = pull?;
        let next = Thing { place: needed.things.len(), is_sure, is_shared, put_off: Vec::new() };
        let thing = needed.things.entry(pull.what).or_insert(next);
        thing.is_sure |= is_sure;
        let left = needed.left?;
        if thing.place < left {
            needed.served.push(id);
            return None;
        }
        // When there is more, as whoever is refused the first one is told.
        let forecast = needed.budget.forecast(left + 1)?;
        let spent = if left == 0 { "is spent" } else { "does not reach so far now" };
        let (name, until) = (needed.budget.name(), time_to_come(forecast.done));
        // Of what is left, others may have less.
        let perhaps = left > 0 || !is_sure || is_shared;
        if !perhaps {
            thing.put_off.push(id);
        }
        let why = format!("{name}: the budget of {} {spent}; build again at {until}", forecast.allowance);
        Some(PutOff { why, perhaps })
    }

    /// What its source answered a step at another address, where nothing else moved of what it asks.
    fn answered_elsewhere(&self, id: StepId, run: &Run) -> Option<Sha256> {
        let is_source = |cause: &Reason| matches!(cause, Reason::ChangedQuestion { what, .. } if what == "source");
        let asks_the_same = run.reasons.iter().all(|cause| is_source(cause) || !cause.is_known_to_have_moved());
        asks_the_same.then(|| self.record_of(id)?.answer)?
    }

    /// Whether a step needs something of a source that has a budget (only where nothing is run).
    pub(crate) fn draws_on_a_budget(&self) -> bool {
        self.deferrals.needed.values().any(|needed| needed.left.is_some())
    }

    /// Where a budget does not reach all that need it, it is seen only then whom it reaches.
    pub(crate) fn mark_scarce(&mut self) {
        let scarce = self.deferrals.needed.values().filter(|n| n.left.is_some_and(|left| n.things.len() > left));
        for id in scarce.flat_map(|needed| &needed.served) {
            if let Some(account) = self.accounts.get_mut(id).filter(|account| account.status == Status::Stale) {
                account.perhaps = true;
            }
        }
    }

    /// Its source had nothing for it when it was last asked.
    pub(crate) fn was_absent(&self, id: StepId) -> bool {
        self.state.step(self.path(id, 0)).is_some_and(|record| record.absent.is_some() && !record.went_with_input())
    }
}
