//! What may fail again as it did when it was last tried, and block what needs it: told where nothing is run.

use std::collections::HashMap;

use crate::pipeline::model::{InputKind, StepsOf, TargetId};
use crate::pipeline::pattern;

use crate::build::engine::{Engine, Mode};
use crate::build::outcome::{self, Account, RESTORE, Status};
use crate::build::reason::{Reason, as_before};
use crate::build::reasons::Reasons;
use crate::build::steps::StepId;
use crate::build::steps::values::Values;
use crate::build::steps::waits::{Risk, Wait};

/// By target.
pub(crate) type FailedSteps = HashMap<TargetId, Vec<FailedStep>>;

/// A step, of now or not, that failed when it was last tried.
pub(crate) struct FailedStep {
    /// Of its first output.
    path: String,
    values: Values,
    step: String,
}

impl Engine<'_> {
    /// The step that failed, or was put off, when it was last tried, or may lack an input that it names, and without which a
    /// build does not come to this one.
    pub(crate) fn at_risk(&self, id: StepId) -> Option<StepId> {
        self.steps.at_risk.get(&id).map(|risk| risk.root)
    }

    /// The same of what reaches the step through what is read.
    pub(crate) fn at_risk_by_inputs(&self, id: StepId) -> Option<StepId> {
        self.steps.at_risk.get(&id).filter(|risk| !risk.by_after).map(|risk| risk.root)
    }

    /// Sees whether a step that is told now is at risk. What it hangs on has been told before.
    pub(crate) fn mark_risk(&mut self, id: StepId) {
        let is_own = self.steps.is_open(id) && (self.has_failed(id) || self.may_not_be_tried(id));
        if !is_own && self.steps.at_risk.is_empty() || self.steps.step(id).status.blocks() {
            return;
        }
        let own = is_own.then_some(Risk { root: id, by_after: false });
        let blocked_or_gone = || Risk::worse(self.may_be_blocked(id, self.runs(id)), self.may_be_gone(id));
        if let Some(risk) = own.or_else(blocked_or_gone) {
            self.steps.at_risk.insert(id, risk);
        }
    }

    pub(super) fn has_failed(&self, id: StepId) -> bool {
        self.failure_of(id).is_some_and(|failed| failed.may_recur())
    }

    /// What is to be said of a step that others are at risk by.
    pub(crate) fn risk_of(&self, root: StepId) -> String {
        let label = self.steps.label(root);
        match self.may_lack(root).filter(|_| !self.has_failed(root)) {
            Some(lack) => format!("{label} may fail: {lack}"),
            None => as_before(&label),
        }
    }

    /// Whether a step that is told has to run: what is up to date, or comes back from the store, is so whatever becomes of
    /// what it only waits for.
    pub(crate) fn runs(&self, id: StepId) -> bool {
        let restores = || self.accounts.get(&id).is_some_and(|account| account.work == Some(RESTORE));
        self.steps.step(id).status == Status::Stale && !restores()
    }

    /// What would block a step that waits for it: by `after`, only where the step `runs`.
    pub(crate) fn may_be_blocked(&self, id: StepId, runs: bool) -> Option<Risk> {
        let risks = self.waits_of(id, runs).map(|(position, wait)| {
            let risk = match wait {
                Wait::Step(step) => self.steps.at_risk.get(&step).copied(),
                Wait::Group(group) => self.steps.groups[group as usize].at_risk,
                Wait::File(_) | Wait::None => None,
            };
            risk.map(|risk| Risk { by_after: risk.by_after || self.only_waits(id, position), ..risk })
        });
        risks.fold(None, Risk::worse)
    }

    /// What has to come out well for a step to be made, each with its place: what it only waits for where it `runs`, too.
    pub(crate) fn waits_of(&self, id: StepId, runs: bool) -> impl Iterator<Item = (usize, Wait)> + '_ {
        let slots = self.steps.slots_of(id).iter().map(|slot| slot.wait).enumerate();
        slots.filter(move |&(at, _)| !self.goes_on_without(id, at) && (runs || !self.only_waits(id, at)))
    }

    /// What is to be said of a step that may be blocked as before, or may not be known where its list is, unless that is told
    /// among the causes for which it `runs` and none of which is its own. Of what runs not, its list alone is told.
    pub(crate) fn blocked_as_before(&self, id: StepId, runs: Option<&Reasons>) -> Option<String> {
        let (mut root_is_told, mut any_is_told) = (false, false);
        let gone = self.may_be_gone(id);
        let risk = self.may_be_blocked(id, runs.is_some()).or(gone.filter(|_| runs.is_some()));
        let label = risk.map(|risk| self.steps.label(risk.root));
        for cause in runs.filter(|runs| runs.all(Reason::is_uncertain)).into_iter().flat_map(Reasons::iter) {
            if let Reason::UpstreamThatFailed { step, .. } = cause {
                (root_is_told, any_is_told) = (root_is_told || Some(step) == label.as_ref(), true);
            }
        }
        match risk.zip(label) {
            Some((risk, _)) => {
                let is_gone = runs.is_none() && gone.is_some_and(|gone| gone.root == risk.root);
                (!root_is_told && !is_gone).then(|| self.risk_of(risk.root))
            }
            None if any_is_told => None,
            None => self
                .pending_at_risk(id, runs.is_some())
                .map(|step| format!("{step} is pending, and may fail or be put off as before")),
        }
    }

    /// Among what a step waits for, one that is to come, and that failed, or was put off, when it was last tried.
    fn pending_at_risk(&self, id: StepId, runs: bool) -> Option<&str> {
        if self.failures.is_empty() {
            return None;
        }
        self.waits_of(id, runs).find_map(|(position, wait)| {
            let Wait::Group(group) = wait else { return None };
            let group = &self.steps.groups[group as usize];
            if self.rules[group.target].is_none() {
                // A path that may be made in several ways is known by the group that names it.
                let mut named = group.rows.iter().map(|&row| self.steps.rows[group.target].steps[row as usize]);
                return named.find_map(|named| self.pending_at_risk(named, runs));
            }
            let failed = self.failed_steps().get(&group.target).filter(|_| group.stale.is_some())?;
            let meant = self.values_waited_for(id, position, group.target);
            let is_read = |values: &Values| meant.iter().any(|meant| meant.iter().all(|value| values.contains(value)));
            // What the list had no more when it was last built hardly comes back.
            let is_pending = |values: &Values| {
                self.awaited(group.target, values).is_some() && !self.was_read_without(group.target, values)
            };
            let mut failed = failed.iter().filter(|failed| self.steps.find_path(&self.state, &failed.path).is_none());
            failed
                .find(|failed| is_read(&failed.values) && is_pending(&failed.values))
                .map(|failed| failed.step.as_str())
        })
    }

    /// The values of the steps of a target that a step waits for by a slot: any of these are meant.
    fn values_waited_for(&self, id: StepId, position: usize, of: TargetId) -> Vec<Values> {
        match self.steps.target(id).inputs.get(position).map(|input| &input.kind) {
            Some(InputKind::Target { on, .. }) => vec![pattern::joined(on, &self.steps.values_of(id))],
            Some(InputKind::Path(_)) => Vec::new(),
            // What another target that describes the step too names under `after:` has a slot as well.
            None => {
                let after = self.after_of(id).into_iter().filter(|after| after.target == of);
                after.map(|after| after.values.clone()).collect()
            }
        }
    }

    /// What failed when it was last tried, by the targets whose steps it may be of.
    fn failed_steps(&self) -> &FailedSteps {
        self.failed_steps.get_or_init(|| {
            let mut all = FailedSteps::new();
            for path in self.failures.that_may_recur() {
                for (target, values) in self.makers().of(path) {
                    let step = self.label_of(target, &values);
                    if self.failure_at(path, &step).is_some() {
                        all.entry(target).or_default().push(FailedStep { path: path.clone(), values, step });
                    }
                }
            }
            all
        })
    }

    /// What a step's values are read out of, where that may not come: for all of the targets that describe it.
    fn may_be_gone(&self, id: StepId) -> Option<Risk> {
        if self.steps.at_risk.is_empty() {
            return None;
        }
        let risks: Option<Vec<Risk>> =
            self.steps.rows_of(id).map(|(target, row)| self.row_may_be_gone(id, target, row)).collect();
        risks?.into_iter().map(Some).fold(None, Risk::worse)
    }

    fn row_may_be_gone(&self, id: StepId, target: TargetId, row: u32) -> Option<Risk> {
        let parents = self.parents_at_risk(id, target, row).into_iter();
        parents.map(|parent| self.steps.at_risk.get(&parent).copied()).fold(None, Risk::worse)
    }

    /// The steps at risk that a row of a target was read out of, or that these were: another target that describes one of
    /// them may have it all the same.
    pub(crate) fn parents_at_risk(&self, id: StepId, target: TargetId, row: u32) -> Vec<StepId> {
        let at_risk = |(parent, of, row): (StepId, TargetId, u32)| match self.at_risk(parent) {
            Some(_) => vec![parent],
            None => self.parents_at_risk(parent, of, row),
        };
        self.parent_rows(id, target, row).into_iter().flat_map(at_risk).collect()
    }

    /// The steps that a step reads from and would do without, and that may fail or may come not to, beside those that are made
    /// again anyway.
    pub(crate) fn may_go_without(&self, id: StepId, position: usize) -> Vec<StepId> {
        let is_open = || !self.steps.at_risk.is_empty() || self.mode == Mode::Look && self.any_is_lacking(id, position);
        if !self.goes_on_without(id, position) || !is_open() {
            return Vec::new();
        }
        let wait = self.steps.slots_of(id)[position].wait;
        // What their values are read out of is told by itself.
        let is_stale = matches!(wait, Wait::Group(group) if self.steps.groups[group as usize].stale.is_some());
        let is_told = |step| is_stale && self.at_risk_by_inputs(step).is_none() && self.in_doubt(step).is_some();
        let mut steps = match wait {
            Wait::Step(step) => vec![step],
            Wait::Group(group) if !self.steps.groups[group as usize].is_crowded() => self.steps.ordered(group),
            Wait::Group(_) | Wait::File(_) | Wait::None => Vec::new(),
        };
        let may_fail = |step| self.at_risk(step).is_some() && !self.steps.is_open(step) && !is_told(step);
        steps.retain(|&step| may_fail(step) || self.may_come_out_well(step));
        steps
    }

    fn any_is_lacking(&self, id: StepId, position: usize) -> bool {
        match self.steps.slots_of(id)[position].wait {
            Wait::Step(step) => self.steps.step(step).status.blocks(),
            Wait::Group(group) => self.steps.groups[group as usize].blocked_by.is_some(),
            Wait::File(_) | Wait::None => false,
        }
    }

    /// Whether a step fails, is blocked or put off as far as is known, and a build may have it otherwise.
    pub(crate) fn may_come_out_well(&self, id: StepId) -> bool {
        let is_told_so = || self.accounts.get(&id).is_some_and(|account| account.perhaps);
        self.mode == Mode::Look && self.steps.step(id).status.blocks() && is_told_so()
    }

    /// All that a step reads of another, or of what is read out of it, comes in by entries that are `partial`.
    pub(crate) fn reads_in_part(&self, id: StepId, input: StepId) -> bool {
        let inputs = self.steps.target(id).inputs.len();
        let by = (0..inputs).filter(|&position| match self.steps.slots_of(id)[position].wait {
            Wait::Step(step) => step == input,
            Wait::Group(group) => {
                let group = &self.steps.groups[group as usize];
                let also = self.steps.shared.get(&input).into_iter().flatten().map(|&(target, _)| target);
                let mut of = std::iter::once(self.steps.step(input).target as usize).chain(also);
                group.stale == Some(input) || of.any(|target| target == group.target)
            }
            Wait::File(_) | Wait::None => false,
        });
        let mut by = by.peekable();
        by.peek().is_some() && by.all(|position| self.goes_on_without(id, position))
    }

    /// What is only waited for, and what is the matter with it.
    pub(crate) fn waited_for(&self, StepsOf { target, values, path }: &StepsOf) -> String {
        let name = self.label_of(*target, values);
        let mut steps = self.steps.rows[*target].steps.iter().filter(|&&step| self.is_of(*target, values, step));
        let is_none = steps.clone().next().is_none();
        let mut trouble = || steps.find_map(|&step| self.trouble(step));
        let unknown = || self.unknown(*target, &|step| !self.is_settled(step)).map(|unknown| unknown.to_string());
        match (trouble().or_else(unknown), path) {
            (Some(trouble), _) => format!("{name} ({trouble})"),
            // No step makes it: it is a file.
            (None, Some(path)) if is_none => path.clone(),
            (None, _) => name,
        }
    }

    /// Where a step stands that is not there as it should be.
    pub(crate) fn trouble(&self, step: StepId) -> Option<String> {
        let status = self.steps.step(step).status;
        match (self.accounts.get(&step), self.at_risk(step)) {
            (Some(Account { status: Status::Stale, last_failure: Some(last), .. }), _) => Some(last.last()),
            (_, Some(root)) if self.has_failed(root) => Some(as_before(&self.steps.label(root))),
            _ => (!status.has_outputs()).then(|| self.standing_word(step).to_owned()),
        }
    }

    /// The word for where a step stands, as `status` counts it.
    pub(crate) fn standing_word(&self, step: StepId) -> &'static str {
        let account = self.accounts.get(&step);
        let because = account.and_then(|account| account.reasons.as_ref()).into_iter().flat_map(Reasons::iter);
        let last_failure = account.and_then(|account| account.last_failure.as_ref());
        outcome::standing(self.steps.step(step).status, last_failure, because)
    }
}
