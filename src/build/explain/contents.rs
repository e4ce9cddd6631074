//! What a step read of its source by digest when it last ran, and what it will ask there: by its record, whoever made that.

use crate::pipeline::axis::read_values;
use crate::pipeline::model::{AxisKind, Binding, TargetId};
use crate::rules::StepView;
use crate::rules::contents::{self, Past, TagDigest};
use crate::store::state::StepRecord;
use crate::store::{Digest, Sha256, told as told_digests};

use super::Explanation;
use crate::build::clock::time;
use crate::build::decide::key::{Part, Template};
use crate::build::engine::Engine;
use crate::build::files;
use crate::build::outcome::{ASK, Status};
use crate::build::reason::Reason;
use crate::build::reasons::Reasons;
use crate::build::steps::StepId;
use crate::build::steps::values::{self, Value};

impl Engine<'_> {
    /// What the last run read by digest, and with which digests its values came then, where they are not told yet.
    pub(super) fn tell_contents(&self, first: &str, record: &StepRecord, told: &mut Explanation) {
        let Some(recorded) = self.template_of(record) else { return };
        let past = self.past(first, record, &recorded, &told.values);
        // What was taken over as it was has read nothing.
        match (&record.why, &mut told.last_made) {
            (Some(_), _) => told.contents = contents::contents(&past, &self.blobs),
            (None, Some(taken)) => taken.says = contents::of_file(&past),
            (None, None) => {}
        }
        told.unmeasured = contents::unmeasured(&past);
        let digest = past.tag.filter(|_| record.answer.is_none());
        for (name, _, came) in told.values.iter_mut().filter(|(_, _, came)| came.is_none()) {
            *came = digest.filter(|_| fingerprint(record, name).is_some()).map(|digest| digest.to_string());
        }
    }

    fn past(&self, first: &str, record: &StepRecord, recorded: &Template, values: &[Value]) -> Past {
        let mut past = Past {
            rule: recorded.rule.clone(),
            params: filled(&recorded.params, values),
            source: recorded.source.clone(),
            is_absent: record.absent.is_some(),
            said: record
                .why
                .iter()
                .flat_map(|why| Reasons::notes(why))
                .chain(record.absent.as_deref())
                .map(str::to_owned)
                .collect(),
            ..Past::default()
        };
        if recorded.source.is_some() {
            past.made = self.as_made(first);
            past.tag = self.tag_then(record, recorded, values, &past);
        }
        past
    }

    /// The digest that a step's tag had when it last ran.
    fn tag_then(&self, record: &StepRecord, recorded: &Template, values: &[Value], past: &Past) -> Option<TagDigest> {
        if let Some(answer) = record.answer.and_then(|digest| self.blobs.peek(&digest)) {
            return contents::answered(&recorded.rule, &answer).map(TagDigest::Whole);
        }
        let start = recorded.bindings.iter().find_map(|binding| fingerprint(record, binding))?;
        let of_now = values.iter().filter_map(|(_, _, digest)| digest.as_ref()?.parse::<Sha256>().ok());
        let whole = of_now.into_iter().find(|digest| digest.0.starts_with(&start));
        let whole = whole.or_else(|| contents::told(past, start)).or_else(|| self.stored(start));
        Some(whole.map_or(TagDigest::Begins(start), TagDigest::Whole))
    }

    /// The blob whose digest begins so.
    pub(crate) fn stored(&self, start: [u8; 8]) -> Option<Sha256> {
        let all = self.stored.get_or_init(|| {
            let mut all = self.blobs.digests().unwrap_or_default();
            all.sort_unstable_by_key(|digest| digest.0);
            all
        });
        let at = all.partition_point(|digest| digest.0[..8] < start[..]);
        all.get(at).copied().filter(|digest| digest.0.starts_with(&start))
    }

    /// The bytes of an output, where it is as it was recorded.
    fn as_made(&self, path: &str) -> Option<Vec<u8>> {
        let (full, known) = (self.pipeline.root.join(path), self.state.file(path)?);
        let now = files::look_at_output(&full, Some(known), false);
        std::fs::read(full).ok().filter(|_| now.content() == Some(known.content))
    }

    /// The digests that come with the values of a step that is to come, as far as what these are read out of tells them now,
    /// and what it then may ask for; which of them are others than when it was last made.
    pub(super) fn tell_tags_now(
        &self,
        target: TargetId,
        known: &[(usize, String)],
        path: &str,
        told: &mut Explanation,
    ) -> Vec<Reason> {
        let Some((record, compiled)) = self.state.step(path).zip(self.rules[target].as_ref()) else {
            return Vec::new();
        };
        // Of some of its values, what they come along with may be any of several.
        if known.len() < self.pipeline.targets[target].bindings.len() {
            return Vec::new();
        }
        let mut fingerprints = vec![None; known.len()];
        for &binding in &compiled.reads {
            fingerprints[binding] = self.digest_now(target, binding, known);
        }
        let values = told.values.iter().map(|(_, value, _)| value.as_str().into()).collect();
        let view = StepView { values, fingerprints, outputs: told.outputs.clone() };
        if view.fingerprints.iter().any(Option::is_some) && compiled.rule.question(&view).is_none() {
            told.asks = compiled.rule.lacks(&view, None, &self.blobs).or(told.asks.take());
        }
        // What its source does not have it does not have under another digest either.
        let is_kept = record.absent.is_some() && record.question != Digest::default() && record.answer.is_none();
        let now = told.values.iter_mut().zip(view.fingerprints);
        let moved = now.filter_map(|((name, value, came), digest)| {
            let digest = digest?;
            *came = Some(digest.to_string());
            let now = Part::Fingerprint { binding: name, value, digest: &digest }.value();
            let then = fingerprint(&record, name).filter(|then| *then != now && !is_kept)?;
            let (from, to) = told_digests(&then, &now);
            Some(Reason::MovedTag { tag: value.clone(), from, to })
        });
        moved.collect()
    }

    /// The digest that comes with a value: as the step has it along which the value comes, or as the list has it.
    fn digest_now(&self, target: TargetId, binding: usize, values: &[(usize, String)]) -> Option<Sha256> {
        let this = &self.pipeline.targets[target];
        let Binding { axis, parent: along, .. } = this.bindings[binding];
        let AxisKind::From { read, output, .. } = &this.axes[axis].kind else { return None };
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        match (along, self.parent_step(target, axis, value)) {
            (Some(along), Some(step)) => self.steps.fingerprint(&self.steps.bound(step)[along]).copied(),
            (Some(along), None) => {
                let (parent, theirs) = self.read_from(target, axis, values)?;
                self.digest_now(parent, along, &theirs)
            }
            (None, list) => {
                let listed = read_values(read, &self.bytes_to_read(list?, *output)?.ok()?).ok()?;
                listed.into_iter().find(|(listed, _)| Some(listed.as_str()) == value(binding))?.1.map(Sha256)
            }
        }
    }

    /// What a build will ask a step's source for.
    pub(super) fn will_ask(&self, id: StepId, record: Option<&StepRecord>, told: &Explanation) -> Option<String> {
        let status = self.steps.step(id).status;
        // Its source has no more to give, or others come first.
        let is_put_off = status == Status::Deferred && !told.reasons.is_empty();
        if told.work.is_none() && !is_put_off {
            return None;
        }
        let compiled =
            self.rules[self.steps.step(id).target as usize].as_ref().filter(|compiled| compiled.by_source)?;
        let answer = record.and_then(|record| self.blobs.peek(&record.answer?));
        let is_asked = told.work == Some(ASK) || is_put_off && answer.is_none() && self.asks(id, compiled);
        if is_asked {
            let what = contents::asked_for(&compiled.template.rule, &filled(&compiled.template.params, &told.values))?;
            return Some(self.told_earlier(id).map_or(what.clone(), |earlier| {
                format!("{what}, but for {earlier} that a try that did not end was told since {}", time(earlier.since))
            }));
        }
        compiled.rule.lacks(&self.view(id), answer.as_deref(), &self.blobs)
    }

    /// The same of a step that is still to come, as far as its values are known.
    pub(super) fn will_ask_then(&self, target: usize, values: &[Value]) -> Option<String> {
        let compiled = self.rules[target].as_ref()?;
        contents::asked_for(&compiled.template.rule, &filled(&compiled.template.params, values))
    }
}

/// The start of the digest that came with a value, as the record has it.
fn fingerprint(record: &StepRecord, binding: &str) -> Option<[u8; 8]> {
    let none = Sha256([0; 32]);
    let name = Part::Fingerprint { binding, value: "", digest: &none }.name_hash();
    record.parts.iter().find(|part| part.name == name).map(|part| part.value)
}

/// Parameters with the values that are known.
fn filled(params: &[(String, String)], known: &[Value]) -> Vec<(String, String)> {
    params.iter().map(|(name, text)| (name.clone(), values::filled(text, known))).collect()
}
