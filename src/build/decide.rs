//! Whether a step is up to date, and if not, why and what is to be done. Looks; changes nothing.

use std::time::Instant;

use crate::pipeline::model::{Freshness, InputKind};
use rustix::fs::AtFlags;

use crate::rules::Asks;
use crate::store::state::{FileRecord, PathId, StepRecord, StoredOutput};
use crate::store::{Digest, Sha256};

use super::engine::{Compiled, Engine, Leaf, Mode};
use super::files::{self, Look};
use super::outcome::Status;
use super::place::Destination;
use super::reason::{self, Reason};
use super::steps::StepId;
use super::waits::{GroupId, Wait};

pub(super) const ABSENT_IS_ERROR: &str = "`missing: error` makes an absence a failure; `--refresh` asks again";

/// What was found of a step.
#[derive(Debug)]
pub(super) struct Verdict {
    pub decision: Decision,
    /// Files that were hashed on the way: to be recorded, whatever becomes of the step.
    pub files: Vec<(PathId, FileRecord)>,
}

#[derive(Debug)]
pub(super) enum Decision {
    /// Nothing is to be done.
    Done {
        status: Status,
        message: Option<String>,
        record: Option<Box<StepRecord>>,
    },
    Failed {
        message: String,
        help: Option<String>,
    },
    Run(Box<Run>),
}

/// A step that is to be run, and all that is known of it.
#[derive(Debug)]
pub(super) struct Run {
    pub reason: Reason,
    pub work: Work,
    /// What is recorded once it is done; the key is not known before the answer is.
    pub record: StepRecord,
    pub outputs: Vec<Destination>,
    /// The outputs on disk are those that were recorded.
    pub intact: bool,
    /// What the person should know of it.
    pub notes: Vec<String>,
    pub started: Option<Instant>,
    /// How often its command was run.
    pub attempts: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Ask the source, then see.
    Ask,
    /// Make it, from this answer where it has one.
    Make(Option<Sha256>),
    /// Bring its outputs back from the store.
    Restore(Vec<StoredOutput>),
}

impl Work {
    /// The word for events.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Make(_) => "make",
            Self::Restore(_) => "restore",
        }
    }
}

/// How the outputs on disk compare with what was recorded.
pub(super) struct Outputs {
    pub looks: Vec<(PathId, Look)>,
    /// Why they are not what was recorded.
    pub off: Option<Reason>,
}

impl Engine<'_> {
    pub(super) fn decide(&self, id: StepId) -> Option<Box<Verdict>> {
        if self.is_plainly_up_to_date(id) {
            return None;
        }
        let mut files = Vec::new();
        let decision = self.decision(id, &mut files);
        Some(Box::new(Verdict { decision, files }))
    }

    /// The common case of a step to which nothing happened, told without keeping anything: it has one output and its
    /// answer cannot age.
    fn is_plainly_up_to_date(&self, id: StepId) -> bool {
        let target = self.steps.step(id).target as usize;
        let Some(compiled) = self.rules[target].as_ref().filter(|_| self.settings_of(id).plain) else { return false };
        let asks = match compiled.rule.asks() {
            Asks::Never => false,
            Asks::Always => true,
            Asks::Unless(binding) => self.steps.fingerprint(&self.steps.bound(id)[binding]).is_none(),
        };
        let upstream = self.steps.slots_of(id).iter().all(|slot| match slot.wait {
            Wait::Step(step) => self.steps.step(step).status.has_outputs(),
            Wait::Group(group) => {
                let group = &self.steps.groups[group as usize];
                // A group of one may be absent: that is told at length.
                group.blocked_by.is_none() && group.stale.is_none() && group.rows.len() > 1
            }
            Wait::File(file) => self.looks[file as usize] == Leaf::There,
            Wait::None => true,
        });
        let &[path] = self.steps.outputs(id) else { return false };
        !asks
            && upstream
            && self
                .state
                .file_at(path)
                .is_some_and(|file| self.eyes.same(self.state.path(path), &file, AtFlags::SYMLINK_NOFOLLOW))
            && self.state.step_key_at(path) == Some(self.key(id, compiled, None))
    }

    fn decision(&self, id: StepId, files: &mut Vec<(PathId, FileRecord)>) -> Decision {
        let upstream = match self.upstream(id) {
            Ok(stale) => stale,
            Err(decision) => return decision,
        };
        let target = self.steps.step(id).target as usize;
        let Some(compiled) = &self.rules[target] else {
            let status = if upstream.is_some() { Status::Stale } else { Status::UpToDate };
            return Decision::Done { status, message: None, record: None };
        };
        let view = self.view(id);
        let mut record = self.state.step(&view.outputs[0]);
        let mut adopted = None;
        if record.is_none() && !self.forced(id) {
            adopted = self.adopt(id, compiled, &view, files);
            record.clone_from(&adopted);
        }
        let mut outputs = self.look_at_outputs(id);
        if adopted.is_some() {
            outputs.off = None;
        } else if outputs.off.is_none()
            && record.as_ref().is_some_and(|r| r.absent.is_none() && !self.made_these(id, r))
        {
            outputs.off = Some(Reason::ChangedOutput {
                path: view.outputs.join(", "),
                from: "what this step made".to_owned(),
                to: "what another step wrote there".to_owned(),
            });
        }
        files.extend(outputs.looks.iter().filter_map(|(path, look)| match look {
            // Only what is as recorded: a changed output is recorded when it has been made again.
            Look::Hashed(r) if outputs.off.is_none() => Some((*path, *r)),
            _ => None,
        }));
        if self.mode == Mode::Adopt && upstream.is_none() && self.takes_over(id, compiled, &outputs) {
            return self.taken_over(id, compiled, &view, &outputs, files);
        }
        let run = |reason, work, record| {
            let intact = outputs.off.is_none();
            let outputs = self.destinations(id, &outputs.looks);
            Decision::Run(Box::new(Run {
                reason,
                work,
                record,
                outputs,
                intact,
                notes: Vec::new(),
                started: None,
                attempts: 0,
            }))
        };
        let question = compiled.rule.question(&view).map(|q| Digest::of(q.as_bytes()));
        let fresh_record = StepRecord {
            question: question.unwrap_or_default(),
            template: compiled.template_digest,
            more_outputs: view.outputs[1..].to_vec(),
            ..StepRecord::default()
        };
        let Some(record) = record else {
            let work = if question.is_some() {
                Work::Ask
            } else {
                self.make_or_restore(id, compiled, None, upstream.is_some())
            };
            return run(Reason::FirstBuild, work, self.keyed(id, fresh_record, None));
        };
        let answer = record.answer.filter(|_| Some(record.question) == question);
        if let Some(reason) = self.ask_again(id, &record, question) {
            let work = if question.is_some() { Work::Ask } else { Work::Make(None) };
            let fresh_record = StepRecord { answer, asked_at: record.asked_at, ..fresh_record };
            return run(reason, work, self.keyed(id, fresh_record, answer.as_ref()));
        }
        if let Some(step) = upstream {
            let reason = outputs.off.clone().unwrap_or(Reason::Upstream(self.steps.label(step)));
            return run(reason, Work::Make(answer), fresh_record);
        }
        let key = self.key(id, compiled, answer.as_ref());
        if record.key == key {
            if let Some(why) = record.absent.clone() {
                if self.settings_of(id).missing_is_error {
                    return Decision::Failed { message: why, help: Some(ABSENT_IS_ERROR.to_owned()) };
                }
                return Decision::Done { status: Status::Absent, message: Some(why), record: None };
            }
            let off = outputs.off.clone().or_else(|| self.found_changed(&record, files));
            let Some(reason) = off else {
                let status = if adopted.is_some() { Status::Adopted } else { Status::UpToDate };
                return Decision::Done { status, message: None, record: adopted.map(Box::new) };
            };
            return self.remake(
                id,
                compiled,
                reason,
                answer,
                StepRecord { asked_at: record.asked_at, ..fresh_record },
                run,
            );
        }
        let moved = self.changes(id, compiled, &record, answer.as_ref()).into_iter().next();
        let reason = moved.unwrap_or_else(|| match &record.absent {
            Some(why) => Reason::WasAbsent(why.clone()),
            // All parts are there, in another order.
            None => {
                outputs.off.clone().unwrap_or(Reason::Parameter { name: "inputs".to_owned(), from: None, to: None })
            }
        });
        self.remake(id, compiled, reason, answer, StepRecord { asked_at: record.asked_at, ..fresh_record }, run)
    }

    /// Makes a step again: from its answer where the store still has it, from the store where the outputs are there.
    fn remake(
        &self,
        id: StepId,
        compiled: &Compiled,
        reason: Reason,
        answer: Option<Sha256>,
        record: StepRecord,
        run: impl Fn(Reason, Work, StepRecord) -> Decision,
    ) -> Decision {
        let record = self.keyed(id, StepRecord { answer, ..record }, answer.as_ref());
        match answer {
            Some(digest) if !self.blobs.contains(&digest) => run(Reason::LostAnswer, Work::Ask, record),
            _ => run(reason, self.make_or_restore(id, compiled, answer, false), record),
        }
    }

    fn make_or_restore(&self, id: StepId, compiled: &Compiled, answer: Option<Sha256>, unknown_key: bool) -> Work {
        if compiled.cached && !unknown_key && !self.forced(id) && self.settings_of(id).fresh != Freshness::Always {
            let key = self.key(id, compiled, answer.as_ref());
            if let Some(stored) = self.state.action(&key)
                && stored.iter().all(|s| self.blobs.contains(&s.blob))
            {
                return Work::Restore(stored);
            }
        }
        Work::Make(answer)
    }

    /// Why the answer (or, for a rule without questions, the output) is too old to be believed.
    fn ask_again(&self, id: StepId, record: &StepRecord, question: Option<Digest>) -> Option<Reason> {
        if self.forced(id) {
            return Some(Reason::Forced);
        }
        let target = self.steps.step(id).target as usize;
        let settings = self.settings_of(id);
        let by_source = self.rules[target].as_ref().is_some_and(|c| c.by_source);
        // The output of a source's rule that asks nothing itself is made from content that never changes; only that
        // there is none may change.
        let ages = question.is_some() || !by_source || record.absent.is_some();
        if question.is_some_and(|q| q != record.question) {
            return Some(Reason::ChangedQuestion);
        }
        if question.is_some() && record.answer.is_none() && record.absent.is_none() {
            return Some(Reason::FirstBuild);
        }
        if !ages || self.offline && by_source {
            return None;
        }
        if by_source && self.refreshed(id) {
            return Some(Reason::Refreshed);
        }
        let old = match settings.fresh {
            Freshness::Exists => false,
            Freshness::Within(limit) => {
                let age = self.now_ms - record.asked_at;
                // A clock that went back makes an answer from the future: its age is not known, so it is old.
                age < 0 || age >= i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)
            }
            Freshness::Digest => by_source,
            Freshness::Always => true,
        };
        old.then_some(Reason::NotFresh { asked_at: record.asked_at, fresh: settings.fresh })
    }

    /// What the inputs leave of a step: an end to it, or the stale step that it waits for where nothing is run.
    fn upstream(&self, id: StepId) -> Result<Option<StepId>, Decision> {
        let target = self.steps.target(id);
        let mut stale = None;
        // Another input may have failed, which is worse.
        let mut deferred = None;
        for (position, slot) in self.steps.slots_of(id).iter().enumerate() {
            let partial = self.goes_on_without(id, position);
            match slot.wait {
                Wait::Step(step) => {
                    let status = self.steps.step(step).status;
                    match status {
                        _ if status.fails() && !partial => return Err(self.blocked(step)),
                        Status::Deferred if !partial => deferred = deferred.or(Some(step)),
                        Status::Absent if position < target.inputs.len() => {
                            let message = format!("{} is absent", self.steps.label(step));
                            return Err(Decision::Done {
                                status: Status::Absent,
                                message: Some(message),
                                record: None,
                            });
                        }
                        Status::Stale => stale = stale.or(Some(step)),
                        _ => {}
                    }
                }
                Wait::None => {}
                Wait::Group(group) => {
                    if let Some(step) = self.absent_alone(id, position, group) {
                        let message = format!("{} is absent", self.steps.label(step));
                        return Err(Decision::Done { status: Status::Absent, message: Some(message), record: None });
                    }
                    if !partial && let Some(step) = self.steps.groups[group as usize].blocked_by {
                        if self.steps.step(step).status.fails() {
                            return Err(self.blocked(step));
                        }
                        deferred = deferred.or(Some(step));
                    }
                    stale = stale.or(self.steps.groups[group as usize].stale);
                }
                Wait::File(file) => self.check_file(file)?,
            }
        }
        if let Some(step) = deferred {
            return Err(self.ended_by(Status::Deferred, step));
        }
        Ok(stale)
    }

    /// This input of the step is `partial`: it does without what failed.
    pub(super) fn goes_on_without(&self, id: StepId, position: usize) -> bool {
        let input = self.steps.target(id).inputs.get(position);
        input.is_some_and(|i| matches!(i.kind, InputKind::Target { partial: true, .. }))
    }

    fn blocked(&self, by: StepId) -> Decision {
        self.ended_by(Status::Blocked, by)
    }

    fn ended_by(&self, status: Status, by: StepId) -> Decision {
        Decision::Done { status, message: Some(self.steps.label(by)), record: None }
    }

    /// The absent step that is all of a group, where the group is a join on all bindings: one to one, not an aggregate.
    fn absent_alone(&self, id: StepId, position: usize, group: GroupId) -> Option<StepId> {
        let InputKind::Target { target: of, on, .. } = &self.steps.target(id).inputs.get(position)?.kind else {
            return None;
        };
        let [row] = *self.steps.groups[group as usize].rows.as_slice() else { return None };
        let step = self.steps.rows[*of].steps[row as usize];
        let one_to_one = !on.is_empty() && on.len() == self.pipeline.targets[*of].bindings.len();
        (one_to_one && self.steps.step(step).status == Status::Absent).then_some(step)
    }

    /// A file that no step makes has to be there.
    fn check_file(&self, file: u32) -> Result<(), Decision> {
        let path = || self.state.path(self.steps.files[file as usize]);
        match self.looks[file as usize] {
            Leaf::There => Ok(()),
            Leaf::Unseen | Leaf::Missing => Err(Decision::Failed {
                message: format!("the input {} is missing", path()),
                help: Some("no target makes it; put it there, or correct the path".to_owned()),
            }),
            Leaf::Unusable => {
                let why = self.unusable.get(&file).map_or("it is no file", String::as_str);
                Err(Decision::Failed { message: format!("cannot read the input {}: {why}", path()), help: None })
            }
        }
    }

    /// Looks at a file that no step makes; `None` where it is as recorded.
    pub(super) fn look_at_file(&self, file: u32) -> Option<Look> {
        let path = self.steps.files[file as usize];
        let known = self.state.file_at(path);
        if known.is_some_and(|known| self.eyes.same(self.state.path(path), &known, AtFlags::empty())) {
            return None;
        }
        Some(files::look_at_input(&self.pipeline.root.join(self.state.path(path)), known))
    }

    fn look_at_outputs(&self, id: StepId) -> Outputs {
        let mut outputs = Outputs { looks: Vec::new(), off: None };
        for (&path, output) in self.steps.outputs(id).iter().zip(&self.steps.target(id).outputs) {
            let known = self.state.file_at(path);
            let look = files::look_at_output(&self.pipeline.root.join(self.state.path(path)), known, output.folder);
            outputs.off = outputs.off.or_else(|| off(self.state.path(path), &look, known));
            outputs.looks.push((path, look));
        }
        outputs
    }

    fn destinations(&self, id: StepId, looks: &[(PathId, Look)]) -> Vec<Destination> {
        let outputs = &self.steps.target(id).outputs;
        looks
            .iter()
            .zip(outputs)
            .map(|((path, look), output)| Destination {
                path: self.state.path(*path).to_owned(),
                folder: output.folder,
                ours: self.state.file_at(*path).is_some(),
                there: match look {
                    Look::Same(r) | Look::Hashed(r) => Some(*r),
                    Look::Missing | Look::Unusable(_) => None,
                },
            })
            .collect()
    }
}

/// Why an output is not what was recorded.
fn off(path: &str, look: &Look, known: Option<FileRecord>) -> Option<Reason> {
    let changed = |from: String, to: String| Some(Reason::ChangedOutput { path: path.to_owned(), from, to });
    match (look, known) {
        (Look::Missing, _) => Some(Reason::MissingOutput(path.to_owned())),
        (Look::Unusable(why), _) => changed("what was recorded".to_owned(), why.clone()),
        (Look::Same(_) | Look::Hashed(_), None) => changed("what no record tells".to_owned(), "a file".to_owned()),
        (Look::Hashed(now), Some(known)) if now.content != known.content => {
            changed(reason::hex(&known.content.short()), reason::hex(&now.content.short()))
        }
        _ => None,
    }
}
