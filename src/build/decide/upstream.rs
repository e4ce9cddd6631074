//! What a step waits for, and what becomes of it where that did not come out well.

use std::collections::{HashMap, HashSet};

use rustix::fs::AtFlags;

use crate::pipeline::model::InputKind;
use crate::store::state::StepRecord;

use super::Decision;
use super::key::{crowd_name, has_read, input_name};
use super::left_out::was_left_out;
use super::named::missing;
use crate::build::engine::{Engine, Leaf, Mode};
use crate::build::files::unusable::Unusable;
use crate::build::files::{self, Look};
use crate::build::outcome::{ASK, Status};
use crate::build::reason::Reason;
use crate::build::steps::waits::Group;
use crate::build::steps::waits::{GroupId, Wait, is_crowd};
use crate::build::steps::{NONE, StepId};

/// What a step waits for, and what that leaves of it.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    /// Where nothing is run: the steps that are stale, or may be blocked.
    pub stale: Vec<StepId>,
    /// What comes of the step without being tried.
    pub end: Option<Decision>,
    /// What comes of it where it would have to run, since that which it only waits for did not come out well.
    pub held_back: Option<Decision>,
}

impl Upstream {
    /// All that it waits for is there as a build leaves it.
    pub(super) fn is_settled(&self) -> bool {
        self.stale.is_empty() && self.end.is_none()
    }
}

impl Engine<'_> {
    /// What keeps a step from being tried; not that it cannot be a step at all.
    pub(crate) fn obstacle(&self, id: StepId) -> Option<Decision> {
        let is_refused = self.steps.slots_of(id).iter().any(|slot| slot.wait == Wait::File(NONE));
        let Upstream { end, held_back, .. } = if is_refused { Upstream::default() } else { self.upstream(id) };
        end.or(held_back.filter(|_| matches!(self.steps.step(id).status, Status::Blocked | Status::Deferred)))
    }

    /// Whether a step reads nothing of what it waits for at this place: it is only made after that.
    pub(super) fn only_waits(&self, id: StepId, position: usize) -> bool {
        // A list that tells what folders there are around files which it names is waited for as an input is.
        position >= self.steps.target(id).inputs.len()
            && matches!(self.steps.slots_of(id)[position].wait, Wait::Group(_))
    }

    pub(crate) fn upstream(&self, id: StepId) -> Upstream {
        let inputs = self.steps.target(id).inputs.len();
        let mut upstream = Upstream::default();
        // Another input may have failed, which is worse.
        let (mut deferred, mut held_back_by) = (None, None);
        let mut is_unsure = [false; 2];
        for (position, slot) in self.steps.slots_of(id).iter().enumerate() {
            // What it only waits for is read by no one, so that it makes nothing stale.
            let reads = position < inputs;
            let partial = self.goes_on_without(id, position);
            let only_waits = self.only_waits(id, position);
            let deferred = if only_waits { &mut held_back_by } else { &mut deferred };
            let end = match slot.wait {
                Wait::Step(step) => {
                    let decides = || reads || self.tells_what_is_named(id, step) || self.tells_a_circle(id, step);
                    upstream.stale.extend(Some(step).filter(|&step| self.steps.is_open(step) && decides()));
                    match self.steps.step(step).status {
                        status if status.fails() && !partial => Some(self.blocked(self.first_rival(step))),
                        Status::Deferred if !partial => {
                            deferred.get_or_insert(step);
                            None
                        }
                        Status::Absent if reads => Some(self.absent_with(id, step)),
                        Status::Stale if reads && self.is_still_absent(step) => Some(self.absent_until_asked(step)),
                        _ => None,
                    }
                }
                Wait::None => None,
                Wait::Group(group) => {
                    if reads {
                        upstream.stale.extend(self.stale_of(group));
                    }
                    let by = self.steps.groups[group as usize].blocked_by.filter(|_| !partial);
                    match (self.alone(id, position, group), by) {
                        _ if let Some(circle) = self.waits_for_itself(id, position) => Some(circle),
                        (Some(step), _) if self.steps.step(step).status == Status::Absent => {
                            Some(self.absent_with(id, step))
                        }
                        (Some(step), _) if self.is_still_absent(step) => Some(self.absent_until_asked(step)),
                        (_, Some(step)) if self.steps.step(step).status.fails() => Some(self.blocked(step)),
                        (_, by) => {
                            *deferred = deferred.or(by);
                            None
                        }
                    }
                }
                Wait::File(file) => {
                    self.in_a_made_folder(id, position, file).or_else(|| self.check_file(id, position, file).err())
                }
            };
            let what = if only_waits { &mut upstream.held_back } else { &mut upstream.end };
            let so_far = &mut is_unsure[usize::from(only_waits)];
            if end.as_ref().is_some_and(is_blocked) {
                // What is sure to block it is named before what may not.
                let unsure = self.is_unsure_of(slot.wait);
                *what = what.take().filter(|what| unsure || !*so_far || !is_blocked(what));
                *so_far = unsure && (*so_far || what.is_none());
            }
            *what = worse(what.take(), end);
            let is_absent = matches!(upstream.end, Some(Decision::Done { status: Status::Absent, .. }));
            if is_absent && self.mode != Mode::Look {
                return upstream;
            }
            upstream.stale.extend(self.may_go_without(id, position));
        }
        if !self.steps.waits_also.is_empty() {
            // A list may tell of several entries, and of steps of which one is read.
            let mut seen = HashSet::new();
            upstream.stale.retain(|&step| seen.insert(step));
        }
        let [deferred, held_back_by] = [deferred, held_back_by].map(|step| step.map(Decision::PutOff));
        let held_back = worse(upstream.held_back.take(), self.held_back_by_list(id));
        upstream.held_back = held_back;
        if upstream.end.is_some() || deferred.is_some() {
            upstream.end = worse(upstream.end, upstream.held_back.take()).or(deferred);
        } else {
            upstream.held_back = upstream.held_back.or(held_back_by);
        }
        upstream
    }

    /// The stale steps of a group: all of them, unless so many wait for so many that one has to do.
    pub(crate) fn stale_of(&self, group: GroupId) -> Vec<StepId> {
        let this = &self.steps.groups[group as usize];
        let Some(first) = this.stale else { return Vec::new() };
        let mut all = vec![first];
        self.add_stale_of(group, this.readers, &mut all);
        all.sort_by_key(|&s| (self.steps.step(s).target, self.steps.step(s).row));
        all.dedup();
        all
    }

    /// Where the rows themselves are still to be read, what they are read out of is among them.
    fn add_stale_of(&self, group: GroupId, readers: u32, all: &mut Vec<StepId>) {
        let this = &self.steps.groups[group as usize];
        if this.stale.is_none() || is_crowd(readers, this.rows.len()) {
            return;
        }
        let of = &self.steps.rows[this.target].steps;
        all.extend(this.rows.iter().map(|&row| of[row as usize]).filter(|&s| self.steps.is_open(s)));
        for source in self.sources(group) {
            self.add_stale_of(source, readers, all);
        }
    }

    /// This input of the step is `partial`: it does without what failed.
    pub(crate) fn goes_on_without(&self, id: StepId, position: usize) -> bool {
        let input = self.steps.target(id).inputs.get(position);
        input.is_some_and(|i| matches!(i.kind, InputKind::Target { partial: true, .. }))
    }

    /// A step was made without this `partial` input, which may not come again.
    pub(crate) fn goes_without(&self, id: StepId, input: StepId, record: &StepRecord) -> bool {
        let was_read = |path: &str| has_read(record, path);
        self.at_risk(input).is_some() && self.reads_in_part(id, input) && !self.paths(input).any(was_read)
    }

    /// How the stale inputs of a step are told as causes. One that its last run did not read is new, whatever it holds.
    pub(crate) fn upstream_causes(&self, id: StepId, stale: &[StepId], record: &StepRecord) -> Vec<Reason> {
        if stale.is_empty() {
            return Vec::new();
        }
        let read: HashSet<[u8; 8]> = record.parts.iter().map(|part| part.name).collect();
        let inputs = self.steps.target(id).inputs.len();
        let is_told = record.absent.is_none() && (0..inputs).all(|position| !read.contains(&crowd_name(position)));
        let is_unread = |path: &str| !read.contains(&input_name(path));
        // What a step did without does not come where that fails again which this only waits for, either, nor where it is put
        // off again.
        let tried_again = |step: StepId| {
            let is_put_off = self.steps.step(step).status == Status::Deferred && self.may_come_out_well(step);
            let by_what_failed = || {
                let root = self.at_risk(step).filter(|&root| self.has_failed(root))?;
                (!self.may_come_out_well(step) && self.goes_without(id, step, record)).then_some(root)
            };
            let root = if is_put_off { Some(step) } else { by_what_failed() };
            let root = root.filter(|_| is_told && self.reads_step(id, step))?;
            let read = self.paths_read(id, step);
            if is_put_off && !read.iter().any(|path| was_left_out(record, path)) {
                return None;
            }
            let first = read.first().cloned().unwrap_or_default();
            let without = Some((first, read.len().saturating_sub(1)));
            Some(Reason::UpstreamThatFailed { step: self.steps.label(root), without })
        };
        let causes = |&step: &StepId| match (tried_again(step), self.upstream_cause(step)) {
            (Some(tried), _) => vec![tried],
            // What is done without as far as is known was left out before, or is so now, which is told by that.
            _ if self.may_come_out_well(step) => {
                let new = self.paths_read(id, step).into_iter().filter(|path| is_told && is_unread(path));
                new.map(|path| self.new_input(id, record, path)).collect()
            }
            (None, cause @ (Reason::Upstream(_) | Reason::UpstreamAsked(_)))
                if is_told
                    && self.paths_read(id, step).iter().any(|path| is_unread(path))
                    && self.reads_step(id, step)
                    && self.in_doubt(step).is_none()
                    && !self.was_absent(step) =>
            {
                let mut paths = self.paths_read(id, step);
                let is_new = paths.iter().all(|path| is_unread(path));
                if self.may_be_absent(self.steps.step(step).target as usize) {
                    return vec![if is_new { Reason::UpstreamNew(self.steps.label(step)) } else { cause }];
                }
                paths.retain(|path| is_unread(path));
                let new = paths.into_iter().map(|path| self.new_input(id, record, path));
                new.chain((!is_new).then_some(cause)).collect()
            }
            (None, cause) => vec![cause],
        };
        each_root_once(stale.iter().flat_map(causes))
    }

    /// Whether a stale step, that a step waits for, is among its inputs, and not what rows of these are read out of.
    fn reads_step(&self, id: StepId, step: StepId) -> bool {
        self.steps.inputs_of(id).iter().any(|slot| self.comes_by(slot.wait, step))
    }

    /// Whether a step, that is waited for, is what a slot stands for, or among that.
    pub(super) fn comes_by(&self, wait: Wait, step: StepId) -> bool {
        match wait {
            Wait::Step(input) => input == step,
            Wait::Group(group) => {
                let Group { target: of, rows, .. } = &self.steps.groups[group as usize];
                // Rows come in the order of their numbers.
                self.steps.rows_of(step).any(|(target, row)| target == *of && rows.binary_search(&row).is_ok())
            }
            Wait::File(_) | Wait::None => false,
        }
    }

    /// How a stale input is told as a cause.
    pub(crate) fn upstream_cause(&self, input: StepId) -> Reason {
        // What may be made whatever comes of that, is told so; that it may be blocked is told beside it.
        let is_by_it = |why: &Reason| matches!(why, Reason::UpstreamThatFailed { .. });
        let account = self.accounts.get(&input).filter(|_| self.steps.is_open(input));
        let tells = |&root: &StepId| {
            let reasons = account.and_then(|account| account.reasons.as_ref());
            self.has_failed(root) && (root == input || reasons.is_none_or(|reasons| reasons.all(is_by_it)))
        };
        if let Some(root) = self.at_risk_by_inputs(input).filter(tells) {
            return Reason::UpstreamThatFailed { step: self.steps.label(root), without: None };
        }
        let label = self.steps.label(input);
        match self.accounts.get(&input) {
            Some(account) if account.perhaps => Reason::UpstreamPerhaps(label),
            Some(account) if account.work == Some(ASK) => Reason::UpstreamAsked(label),
            // It is told of since it may be blocked.
            _ if !self.steps.is_open(input) => Reason::UpstreamPerhaps(label),
            _ => Reason::Upstream(label),
        }
    }

    pub(crate) fn blocked(&self, by: StepId) -> Decision {
        Decision::Done { status: Status::Blocked, message: Some(self.steps.label(by)), record: None }
    }

    /// The step that is all of a group, where the group is a join on all bindings: one to one, not an aggregate.
    fn alone(&self, id: StepId, position: usize, group: GroupId) -> Option<StepId> {
        let InputKind::Target { target: of, on, .. } = &self.steps.target(id).inputs.get(position)?.kind else {
            return None;
        };
        let [row] = *self.steps.groups[group as usize].rows.as_slice() else { return None };
        let step = self.steps.rows[*of].steps[row as usize];
        let one_to_one = !on.is_empty() && on.len() == self.pipeline.targets[*of].bindings.len();
        one_to_one.then_some(step)
    }

    /// A file that no step makes has to be there.
    fn check_file(&self, id: StepId, position: usize, file: u32) -> Result<(), Decision> {
        let path = || self.state.path(self.steps.files[file as usize]);
        match self.looks[file as usize] {
            Leaf::There | Leaf::Folder => Ok(()),
            Leaf::Unseen | Leaf::Missing => {
                Err(Decision::Failed { message: missing(path()), help: Some(self.if_missing(id, position, path())) })
            }
            Leaf::Unusable => {
                let why = self.unusable.get(&file);
                let told = why.map_or_else(|| "it is no file".to_owned(), Unusable::to_string);
                let help = why.and_then(Unusable::help);
                Err(Decision::Failed { message: format!("cannot read the input {}: {told}", path()), help })
            }
        }
    }

    /// Looks at a file that no step makes; `None` where it is as recorded.
    pub(crate) fn look_at_file(&self, file: u32) -> Option<Look> {
        let path = self.steps.files[file as usize];
        let known = self.state.file_at(path);
        if known.is_some_and(|known| self.eyes.same(self.state.path(path), &known, AtFlags::empty())) {
            return None;
        }
        Some(files::look_at_input(&self.pipeline.root.join(self.state.path(path)), known))
    }
}

fn is_blocked(end: &Decision) -> bool {
    matches!(end, Decision::Done { status: Status::Blocked, .. })
}

/// What two ends come to, in whichever order they are come upon, so that what fails while building changes nothing of what
/// was told before: there is nothing to make where an input is absent; what is at fault with the step itself is told
/// before what it waits for, and with that.
fn worse(one: Option<Decision>, other: Option<Decision>) -> Option<Decision> {
    use Decision::{Done, Failed};
    let (one, other) = match (one, other) {
        (Some(one), Some(other)) => (one, other),
        (one, other) => return one.or(other),
    };
    Some(match (one, other) {
        (absent @ Done { status: Status::Absent, .. }, _) | (_, absent @ Done { status: Status::Absent, .. }) => absent,
        (Failed { message, help }, Failed { message: more, .. }) => Failed { message: with(message, &more), help },
        (Failed { message, help }, Done { message: Some(by), .. })
        | (Done { message: Some(by), .. }, Failed { message, help }) => {
            Failed { message: with(message, &format!("it is blocked by {by}, too")), help }
        }
        (one, _) => one,
    })
}

/// What is told of a step, and more of it: of a file that it names twice, the same is told once.
fn with(told: String, more: &str) -> String {
    let is_told = format!("; {told}; ").contains(&format!("; {more}; "));
    if is_told { told } else { format!("{told}; {more}") }
}

/// What is tried again is one cause, whatever needs it.
fn each_root_once(causes: impl Iterator<Item = Reason>) -> Vec<Reason> {
    let (mut each, mut places): (Vec<Reason>, HashMap<String, usize>) = (Vec::new(), HashMap::new());
    for cause in causes {
        let Reason::UpstreamThatFailed { step, without } = &cause else {
            each.push(cause);
            continue;
        };
        let place = *places.entry(step.clone()).or_insert(each.len());
        match (each.get_mut(place), without) {
            (Some(Reason::UpstreamThatFailed { without: Some((_, more)), .. }), Some((_, others))) => {
                *more += 1 + others
            }
            (Some(Reason::UpstreamThatFailed { without: none @ None, .. }), _) => none.clone_from(without),
            (Some(_), _) => {}
            (None, _) => each.push(cause),
        }
    }
    each
}
