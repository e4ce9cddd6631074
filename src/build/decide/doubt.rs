//! Steps that there are as of the last build only: what their values were read out of is to be made again.

use std::collections::{HashSet, VecDeque};

use crate::pipeline::model::{AxisKind, Freshness, TargetId, is_read_out_of};

use super::Decision;
use crate::build::engine::{Engine, Mode};
use crate::build::outcome::{ASK, Account, Status, Summary, Unknown};
use crate::build::reason::Reason;
use crate::build::reasons::Reasons;
use crate::build::steps::StepId;
use crate::build::steps::expand::parent_of;
use crate::build::steps::waits::Wait;
use crate::sync::lock;

impl Engine<'_> {
    /// The step that has to be built before it is seen whether there still is this one.
    pub(crate) fn in_doubt(&self, id: StepId) -> Option<StepId> {
        // There is the step as long as one of the targets that describe it has it.
        let doubts: Option<Vec<StepId>> =
            self.steps.rows_of(id).map(|(target, row)| self.row_in_doubt(id, target, row)).collect();
        doubts?.first().copied()
    }

    /// Whether it is seen only while building that there still is this step: told where nothing is run.
    pub(crate) fn is_in_doubt(&self, id: StepId) -> bool {
        self.mode == Mode::Look && self.in_doubt(id).is_some()
    }

    pub(crate) fn row_in_doubt(&self, id: StepId, target: TargetId, row: u32) -> Option<StepId> {
        let doubt = |(parent, of, row): (StepId, TargetId, u32)| match self.is_unread(parent) {
            true => Some(parent),
            false => self.row_in_doubt(parent, of, row),
        };
        self.parent_rows(id, target, row).into_iter().find_map(doubt)
    }

    /// What a target read the values of one of its rows out of: the steps, each with the target that was read and its row
    /// there. Whoever else describes such a step has no say over what is read out of this target.
    pub(crate) fn parent_rows(&self, id: StepId, target: TargetId, row: u32) -> Vec<(StepId, TargetId, u32)> {
        match parent_of(&self.pipeline.targets[target]) {
            Some(of) => {
                let row = self.steps.rows[target].parents.get(row as usize);
                row.map(|&row| (self.steps.rows[of].steps[row as usize], of, row)).into_iter().collect()
            }
            None => {
                let values = self.steps.values_of(id);
                let axes = self.pipeline.targets[target].axes.iter().enumerate();
                let read = axes.filter_map(|(position, axis)| {
                    let AxisKind::From { target: of, .. } = axis.kind else { return None };
                    let parent = self.parent_step(target, position, |b| values.get(b).copied())?;
                    let (_, row) = self.steps.rows_of(parent).find(|(target, _)| *target == of)?;
                    Some((parent, of, row))
                });
                read.collect()
            }
        }
    }

    /// Whether it is seen only while building that a step runs: each cause, or the step itself, hangs on what is made before.
    pub(crate) fn may_not_run(&self, id: StepId, reasons: &Reasons) -> bool {
        reasons.all(|cause| self.hangs(id, cause)) || self.in_doubt(id).is_some() || self.may_not_be_tried(id)
    }

    /// Whether it is seen only while building that a cause for which a step runs holds.
    pub(crate) fn hangs(&self, id: StepId, cause: &Reason) -> bool {
        let maker = |input: &str| self.maker_around(input);
        let is_open = |maker: StepId| self.steps.is_open(maker);
        match cause {
            // What it is as of the last build, it may have been before, too; what may be made again may come out as it was.
            Reason::ChangedInput { input, .. } => {
                maker(input).is_some_and(|maker| is_open(maker) || self.in_doubt(maker).is_some())
            }
            Reason::NewInput(input) | Reason::BackInput { input, .. } => {
                // What is done without where it fails may fail.
                let may_not_come = |maker| !self.is_settled(maker) && self.reads_in_part(id, maker);
                maker(input).is_some_and(|maker| {
                    !self.is_read_for_sure(id, maker)
                        || may_not_come(maker)
                        || self.is_inside(maker, input) && is_open(maker)
                })
            }
            Reason::LostInput(input) => {
                let in_folder = || maker(input).filter(|&maker| self.is_inside(maker, input));
                self.may_come_back(id, input) || self.may_come(id, input) || in_folder().is_some_and(is_open)
            }
            Reason::LeftOut { input, .. } => {
                let left_out = maker(input).or_else(|| self.would_make(id, input));
                cause.is_uncertain() || left_out.is_some_and(|step| self.may_come_out_well(step))
            }
            Reason::Reordered { .. } => self.may_grow_inputs(id),
            Reason::Forced => !self.is_chosen_for_sure(&self.force, id),
            Reason::Refreshed => !self.is_chosen_for_sure(&self.refresh, id),
            Reason::NotFresh { .. } => self.sure_settings(id).fresh != self.settings_of(id).fresh,
            cause => cause.is_uncertain(),
        }
    }

    /// Whether a file lies in a folder that a step makes, and is no output by itself.
    fn is_inside(&self, maker: StepId, file: &str) -> bool {
        self.paths(maker).all(|output| output != file)
    }

    /// Whether a step that is to be made again, as far as is known, may be left as it is and read so: no cause is sure to
    /// hold, but that its source is asked, which may answer as before.
    pub(crate) fn may_stay(&self, id: StepId) -> bool {
        self.accounts.get(&id).is_some_and(|Account { reasons, work, .. }| {
            let may_come_to_nothing = |cause: &Reason| *work == Some(ASK) && cause.only_asks() || self.hangs(id, cause);
            reasons.as_ref().is_some_and(|reasons| reasons.all(may_come_to_nothing))
        })
    }

    /// Whether a step is among the inputs of another whatever comes of what values are read out of: it may be there for a
    /// target that is not among these, too.
    fn is_read_for_sure(&self, id: StepId, input: StepId) -> bool {
        self.steps.inputs_of(id).iter().any(|slot| match slot.wait {
            Wait::Step(step) => step == input && self.in_doubt(input).is_none(),
            Wait::Group(group) => {
                let of = self.steps.groups[group as usize].target;
                let mut rows = self.steps.rows_of(input).filter(|(target, _)| *target == of);
                rows.any(|(target, row)| self.row_in_doubt(input, target, row).is_none())
            }
            Wait::File(_) | Wait::None => false,
        })
    }

    /// Whether a step that is kept from being made may turn out not to be there, or all that keeps it from that may, or may not
    /// hold it back since it does not come to run.
    pub(super) fn is_held_up_perhaps(&self, id: StepId, decision: &Decision, kept_from: Option<&Reasons>) -> bool {
        let runs = || kept_from.is_some_and(|why| !self.may_not_run(id, why));
        match decision {
            _ if self.mode != Mode::Look => false,
            Decision::Done { status: Status::Blocked, .. } => {
                self.in_doubt(id).is_some() || self.is_blocked_perhaps(id, runs())
            }
            Decision::PutOff(by) => {
                let perhaps = self.accounts.get(by).is_some_and(|account| account.perhaps);
                perhaps || !self.waits_of(id, false).any(|(_, wait)| self.puts_off_others(wait)) && !runs()
            }
            Decision::Done { .. } | Decision::Failed { .. } | Decision::Run(_) => false,
        }
    }

    fn puts_off_others(&self, wait: Wait) -> bool {
        match wait {
            Wait::Step(step) => self.steps.step(step).status == Status::Deferred,
            Wait::Group(group) => self.steps.groups[group as usize].blocked_by.is_some(),
            Wait::File(_) | Wait::None => false,
        }
    }

    fn is_blocked_perhaps(&self, id: StepId, runs: bool) -> bool {
        self.at_fault(id, runs).all(|(step, of)| self.fails_perhaps(step) || self.may_not_be_of(step, of))
    }

    /// Whether a step that is read as one of a target, or as what its steps are read out of, may turn out to be one of another
    /// alone, that describes it too.
    pub(crate) fn may_not_be_of(&self, id: StepId, target: Option<TargetId>) -> bool {
        let Some(target) = target else { return false };
        let is_meant = |of| of == target || is_read_out_of(&self.pipeline.targets, target, of);
        let mut rows = self.steps.rows_of(id).filter(|&(of, _)| is_meant(of)).peekable();
        rows.peek().is_some() && rows.all(|(of, row)| self.row_in_doubt(id, of, row).is_some())
    }

    /// Whether that which is waited for may turn out not to fail, or not to be there.
    pub(super) fn is_unsure_of(&self, wait: Wait) -> bool {
        let by = match wait {
            Wait::Step(step) => Some(step),
            Wait::Group(group) => self.steps.groups[group as usize].blocked_by,
            Wait::File(_) | Wait::None => None,
        };
        by.is_some_and(|by| self.steps.unsure.contains(&by))
    }

    fn fails_perhaps(&self, id: StepId) -> bool {
        self.accounts.get(&id).is_some_and(|account| account.perhaps)
    }

    /// What fails, or is blocked, among what has to come out well for a step to be made, with the target of which it is read.
    fn at_fault(&self, id: StepId, runs: bool) -> impl Iterator<Item = (StepId, Option<TargetId>)> + '_ {
        let awaited = self.waits_of(id, runs).filter(move |&(position, _)| !self.may_be_anothers(id, position));
        let awaited = awaited.flat_map(|(_, wait)| {
            let (one, of, rows, steps) = match wait {
                Wait::Step(step) => (Some(step), None, &[][..], &[][..]),
                Wait::Group(group) => {
                    let this = &self.steps.groups[group as usize];
                    let rows = if this.is_crowded() { &[][..] } else { &this.rows };
                    // What it is blocked by may be no step of its own.
                    (this.blocked_by, Some(this.target), rows, &self.steps.rows[this.target].steps[..])
                }
                Wait::File(_) | Wait::None => (None, None, &[][..], &[][..]),
            };
            one.into_iter().chain(rows.iter().map(|&row| steps[row as usize])).map(move |step| (step, of))
        });
        awaited.filter(|&(step, _)| self.steps.step(step).status.fails())
    }

    /// Why it is not sure that a step fails or is blocked, where it is not.
    pub(crate) fn why_in_doubt(&self, id: StepId) -> Option<String> {
        const BY_LIST: &str =
            "as of the last build of what values are read out of: that is built first, and may have others";
        let fails = |step: StepId| self.steps.step(step).status.fails() && self.fails_perhaps(step);
        let (mut open, mut seen, mut only_waits) = (VecDeque::from([id]), HashSet::from([id]), None);
        open.retain(|&step| fails(step));
        while let Some(step) = open.pop_front() {
            let is_open = || self.in_doubt(step).is_some() || self.waits_for_names(step);
            if self.steps.step(step).status != Status::Blocked || is_open() {
                return Some(BY_LIST.to_owned());
            }
            if self.is_blocked_perhaps(step, true) {
                let at_fault: Vec<_> = self.at_fault(step, true).collect();
                // Nothing is where a path may turn out to be that of another step.
                if at_fault.is_empty() || at_fault.iter().any(|&(by, of)| self.may_not_be_of(by, of)) {
                    return Some(BY_LIST.to_owned());
                }
                open.extend(at_fault.into_iter().map(|(by, _)| by).filter(|&by| seen.insert(by)));
            } else {
                only_waits.get_or_insert(step);
            }
        }
        let who = only_waits.map(|step| if step == id { "it".to_owned() } else { self.steps.label(step) })?;
        Some(format!("{who} only waits for what is at fault, and is not blocked where it comes to have nothing to run"))
    }

    /// What a build makes of it is still to be seen: also of what may come not to fail.
    fn is_unread(&self, id: StepId) -> bool {
        self.steps.is_open(id) || self.steps.step(id).status == Status::Deferred || self.may_come_out_well(id)
    }

    /// Its source is asked in each build, whatever was answered: before a build, there is never more than its last answer.
    pub(crate) fn is_always_asked(&self, id: StepId) -> bool {
        let always =
            |reason: &Reason| matches!(reason, Reason::NotFresh { fresh: Freshness::Digest | Freshness::Always, .. });
        match self.accounts.get(&id) {
            Some(Account { status: Status::Stale, reasons: Some(reasons), .. }) => reasons.iter().all(always),
            _ => false,
        }
    }

    /// The step that is asked in each build, and keeps another from being settled before one: this itself, or what it needs,
    /// where that is all for which it would run. Of several, one that asks no source, and so is run offline, too.
    pub(crate) fn asked_behind(&self, id: StepId) -> Option<StepId> {
        let needs = |Account { status, reasons, .. }: &Account| {
            *status == Status::Stale && reasons.as_ref().is_some_and(|reasons| reasons.all(Reason::is_uncertain))
        };
        if self.is_always_asked(id) {
            return Some(id);
        }
        self.accounts.get(&id).filter(|account| needs(account))?;
        let known = lock(&self.asked_behind).get(&id).copied();
        if let Some(known) = known {
            return known;
        }
        let asked: Option<Vec<StepId>> =
            self.upstream(id).stale.into_iter().map(|step| self.asked_behind(step)).collect();
        let asked = asked.and_then(|asked| {
            let by_source = |step: &&StepId| self.reads_a_source(self.steps.step(**step).target as usize);
            asked.iter().find(|step| !by_source(step)).or(asked.first()).copied()
        });
        lock(&self.asked_behind).insert(id, asked);
        asked
    }

    pub(crate) fn doubt_word(&self, id: StepId) -> &'static str {
        if self.is_always_asked(id) { "asked in each build" } else { self.standing_word(id) }
    }

    /// Tells a summary which targets may get other steps, and how many of those that are up to date may not be any more.
    pub(crate) fn tell_doubts(&self, summary: &mut Summary) {
        let targets = &self.pipeline.targets;
        summary.in_doubt = vec![0; targets.len()];
        for &target in self.pipeline.order.iter().filter(|&&target| self.wanted[target].is_wanted()) {
            let open = |id| self.is_unread(id) || self.mode == Mode::Look && self.steps.step(id).status.fails();
            let Some(unknown) = self.unknown(target, &open) else { continue };
            let mut rivals = if self.mode == Mode::Look { self.rivals_to_come(target) } else { Vec::new() };
            rivals.retain(|&rival| self.wanted[rival].is_wanted());
            summary.unknown.push(Unknown { rivals: self.names(&rivals), ..unknown });
            if self.mode != Mode::Look {
                continue;
            }
            let well = |id: &&StepId| self.steps.step(**id).status.has_outputs() && self.in_doubt(**id).is_some();
            summary.in_doubt[target] = self.steps.rows[target].steps.iter().filter(well).count();
        }
    }
}
