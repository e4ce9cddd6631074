//! Inputs that a step's last run did without, and that are there now.

use crate::store::state::StepRecord;

use crate::build::engine::Engine;
use crate::build::failures::Failures;
use crate::build::outcome::Status;
use crate::build::reason::Reason;
use crate::build::reasons::is_first_build;
use crate::build::steps::StepId;

impl Engine<'_> {
    /// An input that a step's last run did not read: where it was left out then, or was not there, that is told.
    pub(crate) fn new_input(&self, id: StepId, record: &StepRecord, input: String) -> Reason {
        match self.left_out_by_the_last_run(id, record, &input) {
            Some(before) => Reason::BackInput { input, before },
            None => Reason::NewInput(input),
        }
    }

    /// Whether a `partial` input that a step's last run did not read was left out by that: what came to be since was not.
    pub(crate) fn was_done_without(&self, id: StepId, record: &StepRecord, input: &str, maker: Option<StepId>) -> bool {
        let at = record.last_made();
        let root = maker.and_then(|maker| self.at_risk(maker));
        root.is_some_and(|root| self.came_to_nothing(root, at).is_some())
            || self.left_out_by_the_last_run(id, record, input).is_some()
    }

    fn left_out_by_the_last_run(&self, id: StepId, record: &StepRecord, input: &str) -> Option<String> {
        let told = format!("left out: {input}, since ");
        let mut causes = record.why.iter().flat_map(|why| why.lines());
        if let Some(why) = causes.find_map(|cause| cause.strip_prefix(&told)) {
            let was = |status: Status| {
                Some(format!("{} was {}", why.strip_suffix(&format!(" is {}", status.word()))?, status.word()))
            };
            let was = [Status::Blocked, Status::Deferred, Status::Interrupted].into_iter().find_map(was);
            return Some(format!("left out before, since {}", was.as_deref().unwrap_or(why)));
        }
        let maker = self.steps.find_path(&self.state, input)?;
        if let Some((step, word)) =
            self.came_to_nothing(maker, record.last_made()).filter(|_| self.reads_in_part(id, maker))
        {
            let was = if word == Status::Deferred.word() { "was " } else { "" };
            return Some(format!("left out before, since {} {was}{word}", self.steps.label(step)));
        }
        let made = self.record_of(maker).filter(|made| made.last_made() >= record.last_made())?;
        let was_absent = Reason::WasAbsent(String::new()).to_string();
        let label = || format!("{} was absent before", self.steps.label(maker));
        made.why?.lines().any(|cause| cause.starts_with(&was_absent)).then(label)
    }

    /// What came to nothing when it was last tried before a time, so that a step was not to be had then: that itself, or
    /// what its values are read out of, where it had been made before that.
    fn came_to_nothing(&self, step: StepId, at: i64) -> Option<(StepId, &'static str)> {
        let failures = self.failures_before.get_or_init(|| Failures::kept(&self.work_dir));
        let failed = failures.get(self.path(step, 0)).filter(|failed| !failed.interrupted);
        if let Some(word) = failed.and_then(|failed| failed.word_at(at)) {
            return Some((step, word));
        }
        let first_made = |made: StepRecord| made.last_made() > at && made.why.as_deref().is_some_and(is_first_build);
        if self.record_of(step).is_none_or(first_made) {
            return None;
        }
        let target = self.steps.step(step).target as usize;
        self.parent_steps(target, step).find_map(|(_, parent)| self.came_to_nothing(parent, at))
    }
}
