//! Whether a step is up to date, and if not, why and what is to be done. Looks; changes nothing.

use crate::pipeline::model::{Freshness, InputKind};
use crate::rules::StepView;
use crate::store::state::{FileRecord, KeyPart, StepRecord, StoredOutput};
use crate::store::{Digest, Sha256};

use super::clock;
use super::engine::{Compiled, Engine, Mode};
use super::files::{self, Look};
use super::key::{KeyHasher, Part, Template};
use super::outcome::Status;
use super::place::Destination;
use super::reason::{self, Reason};
use super::steps::{StepId, Wait};

/// What was found of a step.
#[derive(Debug)]
pub(super) struct Verdict {
    pub decision: Decision,
    /// Files that were hashed on the way: to be recorded, whatever becomes of the step.
    pub files: Vec<(String, FileRecord)>,
}

#[derive(Debug)]
pub(super) enum Decision {
    /// Nothing is to be done.
    Done {
        status: Status,
        message: Option<String>,
        record: Option<StepRecord>,
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

/// How the outputs on disk compare with what was recorded.
struct Outputs {
    looks: Vec<(String, Look)>,
    /// Why they are not what was recorded.
    off: Option<Reason>,
}

impl Engine<'_> {
    pub(super) fn decide(&self, id: StepId) -> Verdict {
        let mut files = Vec::new();
        let decision = self.decision(id, &mut files);
        Verdict { decision, files }
    }

    fn decision(&self, id: StepId, files: &mut Vec<(String, FileRecord)>) -> Decision {
        let upstream = match self.upstream(id, files) {
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
        if record.is_none() && !self.forced(target) {
            adopted = self.adopt(id, compiled, &view, files);
            record.clone_from(&adopted);
        }
        let mut outputs = self.look_at_outputs(id, &view);
        if adopted.is_some() {
            outputs.off = None;
        }
        files.extend(outputs.looks.iter().filter_map(|(path, look)| match look {
            // Only what is as recorded: a changed output is recorded when it has been made again.
            Look::Hashed(r) if outputs.off.is_none() => Some((path.clone(), *r)),
            _ => None,
        }));
        if self.mode == Mode::Adopt && upstream.is_none() && self.takes_over(id, compiled, &outputs) {
            return self.taken_over(id, compiled, &view, &outputs, files);
        }
        let run = |reason, work, record| {
            let intact = outputs.off.is_none();
            let outputs = self.destinations(id, &outputs.looks);
            Decision::Run(Box::new(Run { reason, work, record, outputs, intact, notes: Vec::new() }))
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
        if let Some(reason) = self.ask_again(target, &record, question) {
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
                return Decision::Done { status: Status::Absent, message: Some(why), record: None };
            }
            let Some(reason) = outputs.off.clone() else {
                let status = if adopted.is_some() { Status::Adopted } else { Status::UpToDate };
                return Decision::Done { status, message: None, record: adopted };
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
        let reason = self.moved(id, compiled, &record, answer.as_ref()).unwrap_or_else(|| match &record.absent {
            Some(why) => Reason::WasAbsent(why.clone()),
            None => outputs.off.clone().unwrap_or(Reason::FirstBuild),
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
        let target = self.steps.step(id).target as usize;
        if compiled.cached && !unknown_key && !self.forced(target) && self.settings[target].fresh != Freshness::Always {
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
    fn ask_again(&self, target: usize, record: &StepRecord, question: Option<Digest>) -> Option<Reason> {
        if self.forced(target) {
            return Some(Reason::Forced);
        }
        let settings = &self.settings[target];
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
        if by_source && self.refreshed(target) {
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
    fn upstream(&self, id: StepId, files: &mut Vec<(String, FileRecord)>) -> Result<Option<StepId>, Decision> {
        let target = self.steps.target(id);
        let mut stale = None;
        for (position, slot) in self.steps.slots_of(id).iter().enumerate() {
            let partial =
                target.inputs.get(position).is_some_and(|i| matches!(i.kind, InputKind::Target { partial: true, .. }));
            match slot.wait {
                Wait::Step(step) => {
                    let status = self.steps.step(step).status;
                    match status {
                        _ if status.blocks() && !partial => return Err(self.blocked(step)),
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
                Wait::Group(group) => {
                    if !partial && let Some(step) = self.blocker(group) {
                        return Err(self.blocked(step));
                    }
                    stale = stale.or_else(|| self.stale_in(group));
                }
                Wait::File(file) => match self.look_at_file(file, files) {
                    Look::Same(_) | Look::Hashed(_) => {}
                    Look::Missing => {
                        return Err(Decision::Failed {
                            message: format!("the input {} is missing", self.steps.files.get(file)),
                            help: Some("no target makes it; put it there, or correct the path".to_owned()),
                        });
                    }
                    Look::Unusable(why) => {
                        return Err(Decision::Failed {
                            message: format!("cannot read the input {}: {why}", self.steps.files.get(file)),
                            help: None,
                        });
                    }
                },
            }
        }
        Ok(stale)
    }

    fn blocked(&self, by: StepId) -> Decision {
        Decision::Done { status: Status::Blocked, message: Some(self.steps.label(by)), record: None }
    }

    fn stale_in(&self, group: super::steps::GroupId) -> Option<StepId> {
        if self.mode == Mode::Build {
            return None;
        }
        let group = &self.steps.groups[group as usize];
        let steps = &self.steps.rows[group.target].steps;
        group.rows.iter().map(|&r| steps[r as usize]).find(|&s| self.steps.step(s).status == Status::Stale)
    }

    /// Looks at a file that no step makes: once a run, whoever asks.
    pub(super) fn look_at_file(&self, file: u32, files: &mut Vec<(String, FileRecord)>) -> &Look {
        self.looks[file as usize].get_or_init(|| {
            let path = self.steps.files.get(file);
            let look = files::look_at_input(&self.pipeline.root.join(path), self.state.file(path));
            if let Look::Hashed(record) = &look {
                files.push((path.to_owned(), *record));
            }
            look
        })
    }

    fn look_at_outputs(&self, id: StepId, view: &StepView) -> Outputs {
        let folders = self.steps.target(id).outputs.iter().map(|o| o.folder);
        let mut off = None;
        let mut looks = Vec::with_capacity(view.outputs.len());
        for (path, folder) in view.outputs.iter().zip(folders) {
            let known = self.state.file(path);
            let full = self.pipeline.root.join(path);
            let look = files::look_at_output(&full, known);
            let reason = match (&look, known) {
                (Look::Missing, _) => Some(Reason::MissingOutput(path.clone())),
                (Look::Unusable(why), _) => {
                    Some(Reason::ChangedOutput { path: path.clone(), from: "a file".to_owned(), to: why.clone() })
                }
                (Look::Same(_) | Look::Hashed(_), None) => Some(Reason::ChangedOutput {
                    path: path.clone(),
                    from: "what no record tells".to_owned(),
                    to: "a file".to_owned(),
                }),
                (Look::Hashed(now), Some(known)) if now.content != known.content => Some(Reason::ChangedOutput {
                    path: path.clone(),
                    from: reason::hex(&known.content.short()),
                    to: reason::hex(&now.content.short()),
                }),
                _ if full.is_dir() != folder => Some(Reason::ChangedOutput {
                    path: path.clone(),
                    from: if folder { "a folder" } else { "a file" }.to_owned(),
                    to: if folder { "a file" } else { "a folder" }.to_owned(),
                }),
                _ => None,
            };
            off = off.or(reason);
            looks.push((path.clone(), look));
        }
        Outputs { looks, off }
    }

    fn destinations(&self, id: StepId, looks: &[(String, Look)]) -> Vec<Destination> {
        let outputs = &self.steps.target(id).outputs;
        looks
            .iter()
            .zip(outputs)
            .map(|((path, look), output)| Destination {
                path: path.clone(),
                folder: output.folder,
                there: match look {
                    Look::Same(r) | Look::Hashed(r) => Some(*r),
                    Look::Missing | Look::Unusable(_) => None,
                },
            })
            .collect()
    }

    /// Takes over an output without a record, where its rule knows it for one of its own.
    fn adopt(
        &self,
        id: StepId,
        compiled: &Compiled,
        view: &StepView,
        files: &mut Vec<(String, FileRecord)>,
    ) -> Option<StepRecord> {
        /// No tag or layer file is larger, in bytes.
        const LARGEST: u64 = 256 << 20;
        let path = self.pipeline.root.join(&view.outputs[0]);
        let meta = std::fs::symlink_metadata(&path).ok().filter(|m| m.is_file() && m.len() <= LARGEST)?;
        if !compiled.by_source {
            return None;
        }
        let before = clock::now_ns();
        let bytes = std::fs::read(&path).ok()?;
        let answer = match compiled.rule.adopt(view, &bytes)? {
            Some(answer) if self.mode == Mode::Look => Some(Sha256::of(&answer)),
            Some(answer) => Some(self.blobs.put(&answer).ok()?),
            None => None,
        };
        let question = compiled.rule.question(view).map(|q| Digest::of(q.as_bytes()));
        if question.is_some() != answer.is_some() {
            return None;
        }
        let stamp = files::stamp(&meta);
        files.push((view.outputs[0].clone(), files::record(stamp, Digest::of(&bytes), before)));
        let record = StepRecord {
            question: question.unwrap_or_default(),
            answer,
            asked_at: stamp.mtime / 1_000_000,
            template: compiled.template_digest,
            ..StepRecord::default()
        };
        Some(self.keyed(id, record, answer.as_ref()))
    }

    /// Whether `adopt` takes this step's outputs as they are: it was asked for, all of them are there, and no source's
    /// answer is needed to tell what they were made from.
    fn takes_over(&self, id: StepId, compiled: &Compiled, outputs: &Outputs) -> bool {
        !compiled.by_source
            && self.adopt.iter().any(|asked| self.is_asked(asked, id))
            && outputs.looks.iter().zip(&self.steps.target(id).outputs).all(|((path, look), output)| {
                look.content().is_some() && self.pipeline.root.join(path).is_dir() == output.folder
            })
    }

    fn taken_over(
        &self,
        id: StepId,
        compiled: &Compiled,
        view: &StepView,
        outputs: &Outputs,
        files: &mut Vec<(String, FileRecord)>,
    ) -> Decision {
        if let Some(key) = self.state.step_key(&view.outputs[0])
            && outputs.off.is_none()
            && key == self.key(id, compiled, None)
        {
            return Decision::Done { status: Status::UpToDate, message: None, record: None };
        }
        files.extend(outputs.looks.iter().filter_map(|(path, look)| match look {
            Look::Hashed(r) => Some((path.clone(), *r)),
            _ => None,
        }));
        let record = StepRecord {
            asked_at: self.now_ms,
            template: compiled.template_digest,
            more_outputs: view.outputs[1..].to_vec(),
            ..StepRecord::default()
        };
        let record = Some(self.keyed(id, record, None));
        Decision::Done { status: Status::Adopted, message: None, record }
    }

    /// Which part of the key moved since the record.
    fn moved(&self, id: StepId, compiled: &Compiled, record: &StepRecord, answer: Option<&Sha256>) -> Option<Reason> {
        self.changes(id, compiled, record, answer).into_iter().next()
    }

    pub(super) fn changes(
        &self,
        id: StepId,
        compiled: &Compiled,
        record: &StepRecord,
        answer: Option<&Sha256>,
    ) -> Vec<Reason> {
        let old = self.state.template(&record.template).and_then(Template::parse);
        let mut changes = reason::Changes::new(record, old.as_ref(), &compiled.template);
        self.each_part(id, compiled, answer, &mut |part| changes.see(part));
        changes.finish()
    }

    /// A record with its key and the parts that it was made from.
    pub(super) fn keyed(&self, id: StepId, record: StepRecord, answer: Option<&Sha256>) -> StepRecord {
        let target = self.steps.step(id).target as usize;
        let Some(compiled) = &self.rules[target] else { return record };
        let mut parts: Vec<KeyPart> = Vec::new();
        let mut hasher = KeyHasher::new(&compiled.template_digest);
        self.each_part(id, compiled, answer, &mut |part| {
            hasher.add(part);
            parts.push(part.record());
        });
        StepRecord { key: hasher.key(), parts, ..record }
    }

    fn key(&self, id: StepId, compiled: &Compiled, answer: Option<&Sha256>) -> Digest {
        let mut hasher = KeyHasher::new(&compiled.template_digest);
        self.each_part(id, compiled, answer, &mut |part| hasher.add(part));
        hasher.key()
    }

    /// Shows every part of a step's key, in order.
    fn each_part(&self, id: StepId, compiled: &Compiled, answer: Option<&Sha256>, see: &mut dyn FnMut(&Part<'_>)) {
        let bindings = &self.steps.target(id).bindings;
        let bound = self.steps.bound(id);
        for &b in compiled.rule.reads() {
            let (name, value) = (bindings[b].name.as_str(), self.steps.names.get(bound[b].value));
            see(&Part::value_of(name, value));
            if let Some(digest) = self.steps.fingerprint(&bound[b]) {
                see(&Part::fingerprint(name, value, digest));
            }
        }
        if let Some(answer) = answer {
            see(&Part::answer(answer));
        }
        self.each_input(id, &mut |_, path, content| see(&Part::input(path, content)));
    }

    /// Shows every input file of a step with its content, in order, with the position of its entry under `inputs:`.
    pub(super) fn each_input(&self, id: StepId, see: &mut dyn FnMut(usize, &str, Digest)) {
        let inputs = self.steps.target(id).inputs.len();
        for (position, slot) in self.steps.slots_of(id)[..inputs].iter().enumerate() {
            match slot.wait {
                Wait::Step(step) => self.each_output(step, &mut |path, content| see(position, path, content)),
                Wait::Group(group) => {
                    for step in self.steps.ordered(group) {
                        self.each_output(step, &mut |path, content| see(position, path, content));
                    }
                }
                Wait::File(file) => {
                    if let Some(content) = self.looks[file as usize].get().and_then(Look::content) {
                        see(position, self.steps.files.get(file), content);
                    }
                }
            }
        }
    }

    /// Shows every output of a done step; a group shows those of its inputs.
    fn each_output(&self, step: StepId, see: &mut dyn FnMut(&str, Digest)) {
        if self.rules[self.steps.step(step).target as usize].is_none() {
            return self.each_input(step, &mut |_, path, content| see(path, content));
        }
        if !self.steps.step(step).status.has_outputs() && self.steps.step(step).status != Status::Stale {
            return;
        }
        let mut path = String::new();
        for position in 0..self.steps.target(step).outputs.len() {
            path.clear();
            self.steps.output_into(step, position, &mut path);
            if let Some(record) = self.state.file(&path) {
                see(&path, record.content);
            }
        }
    }

    /// A step as its rule sees it.
    pub(super) fn view(&self, id: StepId) -> StepView {
        let bound = self.steps.bound(id);
        StepView {
            values: bound.iter().map(|b| self.steps.names.get(b.value).into()).collect(),
            fingerprints: bound.iter().map(|b| self.steps.fingerprint(b).copied()).collect(),
            outputs: (0..self.steps.target(id).outputs.len()).map(|o| self.steps.output(id, o)).collect(),
        }
    }
}
