//! What a source has not got in one repository, another step may bring from elsewhere: which of the two is asked first must
//! not decide what the files say. Who lacks something is decided when nothing else is left to do.

use crate::build::decide::{Run, Work};
use crate::build::events::Listener;
use crate::build::steps::StepId;
use crate::rules::{Failure, Made};
use crate::store::Sha256;

use super::Engine;

/// A step that was made without what its source has not got.
#[derive(Debug)]
pub(crate) struct Lacking {
    pub id: StepId,
    pub run: Box<Run>,
    pub made: Made,
    /// What that is, in words.
    pub what: String,
}

impl Engine<'_> {
    pub(crate) fn hold(&mut self, lacking: Lacking) {
        self.lacking.push(lacking);
    }

    /// Once nothing else is left to do, makes again what others have brought something for; where there is nothing of the
    /// kind, the rest is as it was found. Whether there is more to do.
    pub(crate) fn decide_lacking(&mut self, listener: &mut dyn Listener) -> bool {
        let all = std::mem::take(&mut self.lacking);
        if all.is_empty() {
            return false;
        }
        if self.stopping {
            // What would have come is not known, and the next build asks again.
            for Lacking { id, run, .. } in all {
                self.failed(id, *run, Failure::interrupted(), listener);
            }
            return true;
        }
        let has_come = |lacking: &Lacking| self.still_lacks(lacking).as_ref() != Some(&lacking.what);
        let (come, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(has_come);
        let is_over = come.is_empty();
        let (taken_up, held) = if is_over { (rest, Vec::new()) } else { (come, rest) };
        self.lacking = held;
        for Lacking { id, mut run, made, .. } in taken_up {
            run.lacking = true;
            run.given = Some(made).filter(|_| is_over);
            self.queue(id, run);
        }
        true
    }

    /// Makes a step again, or takes what it came to.
    pub(crate) fn go_on(&mut self, id: StepId) {
        let answer = self.runs.get(&id).filter(|run| run.given.is_none()).and_then(|run| answer_of(run));
        match answer {
            Some(answer) => self.make_from(id, answer),
            None => self.make(id, None),
        }
    }

    fn still_lacks(&self, Lacking { id, run, .. }: &Lacking) -> Option<String> {
        let compiled = self.rules[self.steps.step(*id).target as usize].as_ref()?;
        let answer = answer_of(run).and_then(|digest| self.blobs.peek(&digest));
        compiled.rule.lacks(&self.view(*id), answer.as_deref(), &self.blobs)
    }
}

/// What a step is made from.
fn answer_of(run: &Run) -> Option<Sha256> {
    match run.work {
        Work::Ask => run.record.answer,
        Work::Make(answer) => answer,
        Work::Restore(_) => None,
    }
}
