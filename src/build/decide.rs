//! Whether a step is up to date, and if not, why and what is to be done. Looks; changes nothing.

mod absent;
pub(super) mod adoption;
pub(super) mod around;
pub(super) mod changes;
mod circle;
mod doubt;
pub(super) mod former;
mod freshness;
pub(super) mod key;
pub(super) mod left_out;
mod moved;
mod named;
mod outputs;
pub(super) mod parts;
mod plain;
pub(super) mod risk;
mod run;
pub(super) mod upstream;

use std::collections::BTreeSet;

use crate::pipeline::model::Freshness;
use crate::rules::Failure;
use crate::store::state::{FileRecord, PathId, StepRecord, StoredOutput};
use crate::store::{Digest, Sha256};

use self::adoption::TAKEN_OVER;
use self::moved::rearranged;
pub(super) use self::run::{Run, Work};
use self::upstream::Upstream;
use super::engine::settings::Storing;
use super::engine::{Compiled, Engine, Mode};
use super::files::place::listed;
use super::files::{Look, found};
use super::outcome::Status;
use super::reason::Reason;
use super::reasons::Reasons;
use super::steps::StepId;

pub(super) const ABSENT_IS_ERROR: &str =
    "`missing: error` makes an absence a failure; without that setting it is left out";
/// The same of what is not asked about again.
const KEPT_AS_ERROR: &str =
    "`missing: error` makes an absence a failure; `--refresh` asks again, and without that setting it is left out";

/// What was found of a step.
#[derive(Debug)]
pub(super) struct Verdict {
    pub decision: Decision,
    /// Why it would run, where what it waits for keeps it from that (only where nothing is run).
    pub kept_from: Option<Reasons>,
    /// Whether it is blocked or put off is seen only while building (told where nothing is run).
    pub perhaps: bool,
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
    /// With this step, whose source has no more to give.
    PutOff(StepId),
    Run(Box<Run>),
}

/// How the outputs on disk compare with what was recorded.
pub(super) struct Outputs {
    pub looks: Vec<(PathId, Look)>,
    /// Why they are not what was recorded; empty where they are.
    pub off: Vec<Reason>,
}

impl Engine<'_> {
    pub(super) fn decide(&self, id: StepId) -> Option<Box<Verdict>> {
        if self.is_plainly_up_to_date(id) {
            return None;
        }
        let (upstream, mut files) = (self.upstream(id), Vec::new());
        let is_settled = upstream.is_settled();
        let (decision, run) = match upstream.end {
            None => match (self.decision(id, &upstream, &mut files), upstream.held_back) {
                // What comes back from the store runs nothing, and so is not held back.
                (Decision::Run(run), Some(held_back)) if !matches!(run.work, Work::Restore(_)) => {
                    (held_back, Some(run))
                }
                (decision, _) => (decision, None),
            },
            Some(_) => {
                let run = self.would_run(id, &upstream);
                (upstream.end?, run)
            }
        };
        let may_be_restored = run.as_ref().is_some_and(|run| match is_settled {
            true => self.is_restored_perhaps(id, run),
            false => self.may_be_restored(id, run),
        });
        let kept_from = run.and_then(|run| self.kept_from(run.reasons));
        let perhaps = self.is_held_up_perhaps(id, &decision, kept_from.as_ref().filter(|_| !may_be_restored));
        Some(Box::new(Verdict { decision, kept_from, perhaps, files }))
    }

    /// How a step would run that does not come to it, since something that it waits for is at fault.
    fn would_run(&self, id: StepId, upstream: &Upstream) -> Option<Box<Run>> {
        match upstream.end {
            Some(Decision::Done { status: Status::Absent, .. }) => None,
            _ if self.mode != Mode::Look => None,
            _ => match self.decision(id, upstream, &mut Vec::new()) {
                Decision::Run(run) => Some(run),
                Decision::Done { .. } | Decision::Failed { .. } | Decision::PutOff(_) => None,
            },
        }
    }

    /// Those of them that hold once what is at fault is mended: what is done without now may be there, too, then.
    fn kept_from(&self, reasons: Reasons) -> Option<Reasons> {
        let is_left_out = |cause: &Reason| matches!(cause, Reason::LeftOut { .. });
        (self.mode == Mode::Look).then(|| reasons.without(is_left_out)).flatten()
    }

    /// What is to be done with a step, were nothing that it waits for at fault.
    fn decision(&self, id: StepId, upstream: &Upstream, files: &mut Vec<(PathId, FileRecord)>) -> Decision {
        let is_settled = upstream.is_settled();
        let target = self.steps.step(id).target as usize;
        let Some(compiled) = &self.rules[target] else {
            if let Some(message) = (!is_settled).then(|| self.group_lacks_as_before(id)).flatten() {
                return Decision::Failed { message, help: None };
            }
            let status = if is_settled { Status::UpToDate } else { Status::Stale };
            let message = (!is_settled).then(|| self.may_lack(id)).flatten();
            return Decision::Done { status, message, record: None };
        };
        let view = self.view(id);
        let mut record = self.record_of(id).filter(|record| !self.is_blind(id, record));
        let (mut adopted, mut not_adopted) = (None, None);
        let mut outputs = self.look_at_outputs(id);
        let is_nothing = matches!(outputs.looks.first(), Some((_, Look::Missing)));
        if record.is_none() && !is_nothing && !self.forced(id) {
            match self.adopt(id, compiled, &view, files) {
                Ok(taken) => adopted = Some(taken),
                Err(why) => not_adopted = why,
            }
            record.clone_from(&adopted);
        }
        if adopted.is_some() {
            outputs.off.clear();
        } else if outputs.off.is_empty()
            && record.as_ref().is_some_and(|r| r.absent.is_none() && !self.made_these(id, r))
        {
            outputs.off.push(Reason::ChangedOutput {
                path: view.outputs.join(", "),
                from: "what this step made".to_owned(),
                to: "what another step wrote there".to_owned(),
            });
        }
        files.extend(outputs.looks.iter().filter_map(|(path, look)| match look {
            // Only what is as recorded: a changed output is recorded when it has been made again.
            Look::Hashed(r) if outputs.off.is_empty() => Some((*path, *r)),
            _ => None,
        }));
        let mut notes = Vec::new();
        if self.mode == Mode::Adopt && self.takes_over(id, compiled, &outputs) {
            match self.not_taken_over(compiled, upstream) {
                None => return self.taken_over(id, compiled, &view, &outputs, files),
                Some(why) => notes.push(why),
            }
        }
        let run = |reasons, work, record| {
            let intact = outputs.off.is_empty();
            let outputs = self.destinations(id, &outputs.looks);
            Decision::Run(Box::new(Run {
                reasons,
                work,
                record,
                outputs,
                intact,
                notes: notes.clone(),
                of_made: Vec::new(),
                by: BTreeSet::new(),
                lacking: false,
                given: None,
                adopted: adopted.clone(),
                started: None,
                attempts: 0,
            }))
        };
        let question = compiled.rule.question(&view).map(|q| Digest::of(q.as_bytes()));
        let fresh_record = StepRecord {
            question: question.unwrap_or_default(),
            template: compiled.recorded,
            more_outputs: view.outputs[1..].to_vec(),
            ..StepRecord::default()
        };
        let Some(record) = record else {
            let work =
                if question.is_some() { Work::Ask } else { self.make_or_restore(id, compiled, None, !is_settled) };
            let reasons = self.unrecorded(id, &outputs, not_adopted);
            return run(reasons, work, self.keyed(id, fresh_record, None));
        };
        let answer = record.answer.filter(|_| Some(record.question) == question);
        let mut causes = self.ask_again(id, compiled, &record, question);
        // Another question is asked also where no record tells what is other about it.
        let asks = !causes.is_empty() || question.is_some_and(|q| q != record.question);
        // What another step took over of its outputs is in its record no more.
        let is_whole = record.more_outputs.len() + 1 == view.outputs.len();
        let is_key = || {
            record.key == self.key(id, compiled, answer.as_ref())
                // Folders that are there as recorded were made as folders.
                || outputs.off.is_empty() && self.was_key(&record, id, compiled, answer.as_ref())
        };
        let same = !asks && is_settled && is_whole && is_key();
        // What its source does not have it does not have for other parameters either.
        let no_answer = question.is_some() && answer.is_none() && !asks;
        if let Some(why) = record.absent.clone().filter(|_| same || no_answer) {
            if self.settings_of(id).missing_is_error {
                return Decision::Failed { message: why, help: Some(KEPT_AS_ERROR.to_owned()) };
            }
            let record = StepRecord { template: compiled.recorded, more_outputs: fresh_record.more_outputs, ..record };
            let record = (!same).then(|| Box::new(self.keyed(id, record, None)));
            return Decision::Done { status: Status::Absent, message: Some(why), record };
        }
        if !same {
            // Where it asks otherwise, that was told with what it asks.
            let mut moved = self.changes(id, compiled, &record, answer.as_ref());
            let is_told = is_settled || upstream.end.is_some() || !moved.is_empty();
            if !is_told && self.reads_otherwise(id, compiled, &record, answer.as_ref()) {
                moved.push(self.unexplained(compiled, &record));
            }
            causes.extend(moved.into_iter().filter(|_| question.is_none_or(|q| q == record.question)));
        }
        match &record.absent {
            Some(why) if record.went_with_input() || causes.is_empty() && is_settled => {
                causes.push(Reason::WasAbsent(why.clone()))
            }
            Some(_) => {}
            None => {
                // That a folder lies where a file is to be now, or a file where a folder is, is told by that.
                let turns = |path: &str| {
                    causes.iter().any(|c| matches!(c, Reason::TurnedOutput { path: turned, .. } if turned == path))
                };
                let is_told = |off: &Reason| matches!(off, Reason::ChangedOutput { path, .. } if turns(path));
                let off: Vec<Reason> = outputs.off.iter().filter(|off| !is_told(off)).cloned().collect();
                causes.extend(off);
                causes.extend(self.found_changed(&record, files));
            }
        }
        causes.extend(self.upstream_causes(id, &upstream.stale, &record));
        let Some(reasons) =
            Reasons::of(causes).or_else(|| (!same && is_settled).then(|| self.unexplained(compiled, &record).into()))
        else {
            // It would be made of what lies there before that is made.
            if let Some(Failure { message, help, .. }) = self.undeclared(id, found::paths(&record)) {
                return Decision::Failed { message, help };
            }
            let status = if adopted.is_some() { Status::Adopted } else { Status::UpToDate };
            let message = self.blocked_as_before(id, None);
            return Decision::Done { status, message, record: adopted.map(Box::new) };
        };
        let why_asked = match record.asked_because() {
            _ if question.is_none() => String::new(),
            Some(why) => Reasons::of_asking(why).join("\n"),
            None if record.why.is_none() => TAKEN_OVER.to_owned(),
            None => String::new(),
        };
        let (asked_at, asking) = (record.asked_at, record.asking.clone());
        let fresh_record = StepRecord { answer, asked_at, why_asked, asking, ..fresh_record };
        if asks {
            let work = if question.is_some() { Work::Ask } else { Work::Make(None) };
            run(reasons, work, self.keyed(id, fresh_record, answer.as_ref()))
        } else if is_settled {
            self.remake(id, compiled, reasons, answer, fresh_record, run)
        } else {
            run(reasons, Work::Make(answer), fresh_record)
        }
    }

    /// Why the key of a step moved of which all that is recorded is as it was.
    fn unexplained(&self, compiled: &Compiled, record: &StepRecord) -> Reason {
        let (old, new) = (self.template_of(record), &compiled.template);
        match old {
            Some(old) if old.bindings == new.bindings => rearranged(Some(&old), new),
            // It is of a version that made keys of the bindings in another order.
            Some(_) | None => Reason::Untold,
        }
    }

    /// Makes a step again: from its answer where the store still has it, from the store where the outputs are there.
    fn remake(
        &self,
        id: StepId,
        compiled: &Compiled,
        mut reasons: Reasons,
        answer: Option<Sha256>,
        record: StepRecord,
        run: impl Fn(Reasons, Work, StepRecord) -> Decision,
    ) -> Decision {
        let record = self.keyed(id, record, answer.as_ref());
        match answer {
            Some(digest) if !self.is_kept(&digest) => {
                reasons.add(Reason::LostAnswer);
                run(reasons, Work::Ask, record)
            }
            _ => run(reasons, self.make_or_restore(id, compiled, answer, false), record),
        }
    }

    /// The one place that says whether outputs come back from the store: for those who look, too.
    fn make_or_restore(&self, id: StepId, compiled: &Compiled, answer: Option<Sha256>, unknown_key: bool) -> Work {
        if !unknown_key && self.is_restorable(id, self.surely_kept(id)) {
            let key = self.key(id, compiled, answer.as_ref());
            if let Some(stored) = self.stored_under(id, &key, self.surely_kept(id)) {
                return Work::Restore(stored);
            }
        }
        Work::Make(answer)
    }

    /// Whether it is seen only while building that a step runs, and is not brought back from the store: it hangs on a target
    /// that may turn out not to describe it.
    pub(crate) fn is_restored_perhaps(&self, id: StepId, run: &Run) -> bool {
        let kept = self.perhaps_kept(id);
        let is_open = self.mode == Mode::Look && matches!(run.work, Work::Make(_)) && kept != self.surely_kept(id);
        is_open && self.is_restorable(id, kept) && self.stored_under(id, &run.record.key, kept).is_some()
    }

    fn is_restorable(&self, id: StepId, Storing { cached, fresh }: Storing) -> bool {
        cached && !self.forced(id) && fresh != Freshness::Always
    }

    /// The outputs that are stored under a key, where they are there and not too old.
    fn stored_under(&self, id: StepId, key: &Digest, Storing { fresh, .. }: Storing) -> Option<Vec<StoredOutput>> {
        self.state.action(key).filter(|stored| self.are_young(stored, fresh) && self.are_kept(id, stored))
    }

    /// Whether the outputs of a step, whose inputs are still to be made, may turn out to be in the store.
    fn may_be_restored(&self, id: StepId, run: &Run) -> bool {
        let is_asked = matches!(run.work, Work::Ask) || run.reasons.iter().any(Reason::only_asks);
        !is_asked && self.is_restorable(id, self.perhaps_kept(id)) && self.state.has_actions()
    }

    /// Whether the store has these outputs, each one's blob and, of a folder, those that it names.
    fn are_kept(&self, id: StepId, stored: &[StoredOutput]) -> bool {
        let named =
            |blob: &Sha256| listed(&self.blobs.path(blob)).is_some_and(|all| all.iter().all(|b| self.is_kept(b)));
        let is_folder = |position: usize| self.steps.target(id).outputs.get(position).is_some_and(|o| o.folder);
        stored.iter().enumerate().all(|(position, output)| {
            self.is_kept(&output.blob) && (self.mode != Mode::Look || !is_folder(position) || named(&output.blob))
        })
    }

    /// Who builds reads the blob, and sees then whether it is whole. Who looks has to read it for that.
    fn is_kept(&self, blob: &Sha256) -> bool {
        match self.mode {
            Mode::Look => self.blobs.is_whole(blob),
            Mode::Build | Mode::Adopt => self.blobs.contains(blob),
        }
    }
}
