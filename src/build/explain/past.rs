//! What a record tells of the past of a step: when and why it was made, and its source asked.

use super::Explanation;
use crate::build::decide::adoption::TAKEN_OVER;
use crate::build::decide::changes::template_changes;
use crate::build::decide::key::Template;
use crate::build::reasons::{Reasons, source_then, tells_earlier};
use crate::store::state::StepRecord;

/// When a step last ran, or its outputs were brought back or taken over.
#[derive(Clone, Debug)]
pub struct LastMade {
    /// Milliseconds since 1970.
    pub at: i64,
    /// Nothing was made: its source had none of it, and has had none since.
    pub is_absent: bool,
    /// In words; none where it was taken over as it was.
    pub causes: Vec<String>,
    /// What a file that was taken over says that it is of, in words, where that is not what is recorded.
    pub says: Option<String>,
    /// When and why it had been made before it was taken over by hand, in words.
    pub before: Option<String>,
    /// The target whose step it was then.
    pub target: Option<String>,
    /// The step itself, where there is none of its name now, or its target gave it another one then.
    pub step: Option<String>,
}

/// When a source was last asked, and with what outcome.
#[derive(Clone, Debug)]
pub struct LastAsked {
    /// Milliseconds since 1970.
    pub at: i64,
    pub outcome: &'static str,
    /// Why it is absent, where it is.
    pub absent: Option<String>,
    /// Who answered, where that was not the source's own address alone.
    pub by: Option<String>,
    /// What there is to be known of the answer.
    pub notes: Vec<String>,
    /// In words; none where that is not known.
    pub causes: Vec<String>,
    /// It was not then that the step last ran, and these are not the causes of that.
    pub otherwise: bool,
    /// How much of the answer an earlier try was told.
    pub earlier: Option<String>,
}

impl Explanation {
    /// What a record tells of a step, whoever made it.
    pub(super) fn of_record(record: &StepRecord, recorded: Option<&Template>) -> Self {
        let absent = record.absent.clone().filter(|_| !record.went_with_input());
        let mut causes = record.why.as_deref().map(Reasons::recorded).unwrap_or_default();
        causes.retain(|cause| source_then(cause).is_none());
        let last_made = LastMade {
            at: record.last_made(),
            is_absent: absent.is_some(),
            causes,
            says: None,
            before: (!record.before.is_empty()).then(|| record.before.clone()),
            target: recorded.and_then(|t| t.target.clone()),
            step: None,
        };
        let asking = &record.asking;
        let again = asking.unchanged || asking.before.is_none() && record.asked_at > record.last_made();
        let outcome = match &absent {
            Some(_) if again => "still absent",
            Some(_) => "absent",
            None if record.why_asked == TAKEN_OVER => TAKEN_OVER,
            None if again => "answer unchanged",
            None if record.why.is_none() => TAKEN_OVER,
            None => "answered",
        };
        let because = record.asked_because().filter(|_| outcome != TAKEN_OVER);
        let mut causes = because.map(Reasons::of_asking).unwrap_or_default();
        let earlier = causes.pop_if(|line| tells_earlier(line));
        let last_asked = record.last_asked().map(|at| LastAsked {
            at,
            outcome,
            absent,
            by: Some(asking.by.clone()).filter(|by| !by.is_empty()),
            notes: asking.notes.lines().map(str::to_owned).collect(),
            causes,
            otherwise: !record.why_asked.is_empty(),
            earlier,
        });
        Self {
            last_asked,
            last_made: Some(last_made),
            other_source: record.why.as_deref().and_then(source_then).map(str::to_owned),
            key: (!record.went_with_input()).then_some(record.key),
            ..Self::default()
        }
    }

    /// Tells of what only its record has told by which rule, parameters and source it is made now, and what of that moved
    /// since: these are causes as soon as there is such a step.
    pub(super) fn tell_as_it_is_now(&mut self, now: &Template) {
        let (rule, version) = std::mem::take(&mut self.rule);
        let then = Template {
            rule,
            version,
            params: std::mem::take(&mut self.params),
            source: self.source.take(),
            ..now.clone()
        };
        if !then.rule.is_empty() {
            template_changes(&then, now, &mut self.reasons);
        }
        let made_from = self.other_source.take().or(then.source);
        self.other_source = made_from.filter(|then| Some(then) != now.source.as_ref());
        self.rule = (now.rule.clone(), now.version);
        (self.params, self.source) = (now.params.clone(), now.source.clone());
    }
}
