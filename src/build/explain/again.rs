//! What would make a step run again, in words.

use std::time::Duration;

use crate::pipeline::model::{
    AxisKind, Binding, Freshness, InputKind, Pattern, Read as Reads, Select, Target, TargetId,
};
use crate::pipeline::node::written;
use crate::pipeline::pattern;
use crate::rules::SOURCE;
use crate::store::Digest;
use crate::store::state::StepRecord;

use super::Explanation;
use super::reads::Read;
use crate::build::clock::{time, time_to_come};
use crate::build::decide::Decision;
use crate::build::engine::settings::Storing;
use crate::build::engine::{Compiled, Engine};
use crate::build::outcome::Status;
use crate::build::reason::Aged;
use crate::build::steps::values::{each_once, joined_words, list_of, made_list};
use crate::build::steps::{StepId, printable};

/// A step whose source had no more to give.
const PUT_OFF: &str = "a build comes once its source has more to give, which `plan` tells";
const MENDED: &str = "a build comes once what is at fault is mended";
const ONLINE: &str = "a build comes without `--offline`";
const HAD: &str = "a build comes once what it waits for can be had, which `plan` tells";

impl Engine<'_> {
    /// What would make a step run again: each by itself, unless the first says that it goes before the others.
    pub(crate) fn again(
        &self,
        id: StepId,
        compiled: &Compiled,
        record: Option<&StepRecord>,
        told: &Explanation,
    ) -> Vec<String> {
        if self.steps.is_refused(id) {
            return vec![MENDED.to_owned()];
        }
        let obstacle = self.obstacle(id);
        if matches!(obstacle, Some(Decision::Done { status: Status::Absent, .. })) {
            return std::iter::once("what it reads is not absent any more".to_owned()).chain(self.ends(id)).collect();
        }
        let first = self.goes_before(id, compiled, obstacle.as_ref());
        let Some(record) = record else {
            let unmade = match self.steps.step(id).status {
                Status::Adopted => "a build has taken it over, and what it is made from changes then",
                Status::Failed => MENDED,
                _ => "a build comes: it is not recorded as made",
            };
            return vec![first.unwrap_or(unmade).to_owned()];
        };
        let mut again: Vec<String> = first.into_iter().map(|first| self.beside(id, first)).collect();
        let (fresh, asks) = (self.settings_of(id).fresh, self.asks(id, compiled));
        if fresh != Freshness::Exists || self.steps.step(id).status != Status::Deferred {
            again.extend(self.as_it_ages(compiled, record, fresh, asks));
        }
        again.extend(self.as_sizes_come(compiled, told));
        again.extend(self.as_values_move(id, compiled, told));
        again.extend(as_inputs_come(told));
        again.push(as_it_is_changed(compiled, record, told, asks));
        again.extend(as_outputs_change(record, self.surely_kept(id)));
        again
    }

    /// The same of a step that is to come, as far as its record tells: `then` says what has to come before it is seen whether
    /// there still is such a step.
    pub(super) fn again_then(
        &self,
        (target, values): (TargetId, &[(usize, String)]),
        compiled: &Compiled,
        record: &StepRecord,
        told: &Explanation,
        then: &str,
    ) -> Vec<String> {
        let losses = self.losses(target, values).into_iter().map(|loss| format!("{loss}: then there is no such step"));
        // Where it has a cause to run, that is all.
        if !told.reasons.is_empty() {
            let comes = format!("a build comes, where there still is such a step once {then}");
            return std::iter::once(comes).chain(losses).collect();
        }
        let (settings, asks) = (self.settings[target], record.question != Digest::default());
        let mut hang = self.as_it_ages(compiled, record, settings.fresh, asks);
        hang.extend(self.as_sizes_come(compiled, told));
        hang.extend(self.as_tags_move(target, values, compiled));
        if values.len() == self.pipeline.targets[target].bindings.len() {
            let mut all = values.to_vec();
            all.sort_unstable();
            hang.extend(self.members(target, &all.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>()));
        }
        hang.push(as_it_is_changed(compiled, record, told, asks));
        let kept = Storing { cached: settings.cached, fresh: settings.fresh };
        hang.extend(as_outputs_change(record, kept));
        losses.chain(hang.into_iter().map(|what| format!("{what}, which is seen only once {then}"))).collect()
    }

    /// When the tags among the values of a step that is to come, whose digests it reads, move.
    fn as_tags_move(&self, target: TargetId, values: &[(usize, String)], compiled: &Compiled) -> Vec<String> {
        let reads = &compiled.rule.common().reads;
        let tags = values.iter().filter(|(binding, _)| reads.contains(binding));
        let moves = tags.filter_map(|(binding, tag)| {
            let (of, axis, values) = self.first_read(target, *binding, values)?;
            let is_tag =
                matches!(self.pipeline.targets[of].axes[axis].kind, AxisKind::From { read: Reads::Tags(_), .. });
            let list = self.list_to_come(of, axis, &values).filter(|_| is_tag);
            Some(format!("the tag {tag} has another digest in {}", list?))
        });
        moves.collect()
    }

    /// What has to come before a step that is kept from being made.
    fn goes_before(&self, id: StepId, compiled: &Compiled, obstacle: Option<&Decision>) -> Option<&'static str> {
        match (obstacle, self.steps.step(id).status) {
            (Some(Decision::PutOff(_)), _) => Some(HAD),
            (Some(_), _) => Some(MENDED),
            (None, Status::Deferred) => Some(PUT_OFF),
            (None, Status::Failed) if self.is_cut_off(compiled) => Some(ONLINE),
            (None, _) => None,
        }
    }

    /// What has to come before: where a step has a cause to run, that is all.
    fn beside(&self, id: StepId, first: &str) -> String {
        match self.accounts.get(&id).and_then(|account| account.reasons.as_ref()) {
            Some(reasons) if !reasons.all(|cause| self.hangs(id, cause)) => first.to_owned(),
            _ => format!("{first}, and beside that one of these:"),
        }
    }

    /// When what it was told, or made, is not fresh any more.
    fn as_it_ages(&self, compiled: &Compiled, record: &StepRecord, fresh: Freshness, asks: bool) -> Vec<String> {
        if !asks && compiled.by_source && record.absent.is_none() {
            return Vec::new();
        }
        let online = if self.is_cut_off(compiled) { " without `--offline`" } else { "" };
        match fresh {
            Freshness::Exists if record.absent.is_some() && compiled.by_source => {
                vec![format!("`--refresh`{online} asks again (unasked, what is absent stays so)")]
            }
            Freshness::Exists if asks => vec![format!(
                "`--refresh`{online} asks again, and is answered otherwise (unasked, an answer is kept for ever)"
            )],
            Freshness::Within(limit) => {
                let refresh = asks.then(|| format!("`--refresh`{online} asks at once, and is answered otherwise"));
                let what = if asks { Aged::Answer } else { Aged::Output };
                std::iter::once(self.once_it_is_old(what, record, limit, online)).chain(refresh).collect()
            }
            Freshness::Digest if asks => vec![format!("its source, asked in each build{online}, answers otherwise")],
            Freshness::Always => vec![format!("a build{online} comes: it is never fresh")],
            Freshness::Exists | Freshness::Digest => Vec::new(),
        }
    }

    /// When the sizes can be told that were not to be had.
    fn as_sizes_come(&self, compiled: &Compiled, told: &Explanation) -> Option<String> {
        let (first, more) = told.unmeasured.split_first()?;
        let or = match more.len() {
            0 => ",".to_owned(),
            1 => ", or of the other one,".to_owned(),
            more => format!(", or of one of {more} more,"),
        };
        let online = if self.is_cut_off(compiled) { " without `--offline`" } else { "" };
        Some(format!(
            "`--refresh` or `--force`{online} looks again for the size unpacked of {first}{or} and it is to be had then \
             (unasked, that of its blob stays)"
        ))
    }

    fn once_it_is_old(&self, what: Aged, record: &StepRecord, limit: Duration, online: &str) -> String {
        let (word, at) = (what.word(), record.asked_at);
        if at > self.now_ms {
            return format!("a build{online} comes before {}: the clock went back since it was {word}", time(at));
        }
        let from = time_to_come(at.saturating_add(i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)));
        let then = if what == Aged::Answer { ", and its source answers otherwise" } else { "" };
        format!("a build{online} comes after {from}: it was {word} {} before{then}", written(limit))
    }

    /// When its tags move, its values are gone, or what it reads as a whole gets or loses steps.
    fn as_values_move(&self, id: StepId, compiled: &Compiled, told: &Explanation) -> Vec<String> {
        let (target, values) = (self.steps.step(id).target as usize, self.steps.values_of(id));
        let reads = &compiled.rule.common().reads;
        let mut moves = Vec::new();
        // The digest of a value that is not read is no part of the key.
        for (binding, (_, value, digest)) in told.values.iter().enumerate().filter(|(b, _)| reads.contains(b)) {
            let teller = self.teller(target, binding, &values);
            let list = teller.map(|(step, target, axis)| format!(" in {}", self.in_list(step, target, axis)));
            let file = list.unwrap_or_default();
            moves.extend(digest.as_ref().map(|_| format!("the tag {value} has another digest{file}")));
        }
        moves.extend(self.ends(id));
        moves.extend(self.members(target, &values));
        moves
    }

    pub(super) fn asks(&self, id: StepId, compiled: &Compiled) -> bool {
        compiled.rule.question(&self.view(id)).is_some()
    }

    /// Whether another source may make it otherwise.
    pub(super) fn hangs_on_source(&self, id: StepId, compiled: &Compiled) -> bool {
        self.asks(id, compiled) || names_source(compiled)
    }

    /// Its source is not asked: `--offline`.
    pub(crate) fn is_cut_off(&self, compiled: &Compiled) -> bool {
        self.offline && compiled.by_source
    }

    /// When a target that is read as a whole, or as far as some of its values are those of the step, gets other steps, or a group
    /// other inputs: wherever it stands which these are.
    pub(crate) fn members(&self, target: TargetId, values: &[&str]) -> Vec<String> {
        let read = self.pipeline.targets[target].inputs.iter().filter_map(|input| match &input.kind {
            // What is named by its path is the same whatever other steps there are.
            InputKind::Target { target, on, .. } if input.path.is_none() => Some((&self.pipeline.targets[*target], on)),
            InputKind::Target { .. } | InputKind::Path(_) => None,
        });
        let this = &self.pipeline.targets[target];
        let grows = |(of, on): &(&Target, &Vec<(usize, Pattern)>)| {
            of.bindings.iter().enumerate().any(|(b, binding)| {
                let axis = &of.axes[binding.axis].kind;
                // Where the step has the value from the same place, there is no such step either once the value is gone.
                let ours =
                    on.iter().find(|(joined, _)| *joined == b).and_then(|(_, value)| pattern::bindings(value).next());
                let comes_along = ours.is_some_and(|own| match &this.axes[this.bindings[own].axis].kind {
                    AxisKind::From { target, .. } if std::ptr::eq(&self.pipeline.targets[*target], *of) => true,
                    kind => kind == axis,
                });
                !comes_along
            })
        };
        let word = |(of, on): (&Target, &Vec<(usize, Pattern)>)| {
            let joined = on.iter().map(|(b, value)| (of.bindings[*b].name.clone(), pattern::fill(value, values), None));
            let with = joined_words(&joined.collect::<Vec<_>>());
            let order = if on.len() < of.bindings.len() { ", or has them in another order" } else { "" };
            format!("{} gets or loses a step{with}{order}", of.name)
        };
        let groups = this.inputs.iter().filter_map(|input| Some(&self.pipeline.targets[input.group?].name));
        let groups = groups.map(|group| format!("{group} gets or loses an input, or has them in another order"));
        each_once(read.filter(grows).map(word).chain(groups))
    }

    /// When there is no such step any more: of one that several targets describe, when it is no step of one of them.
    fn ends(&self, id: StepId) -> Vec<String> {
        let values = self.all_values_of(id);
        let of: Vec<(TargetId, Vec<String>)> =
            self.described_by(id).into_iter().map(|target| (target, self.losses(target, &values))).collect();
        let mut all: Vec<&String> = Vec::new();
        for loss in of.iter().flat_map(|(_, losses)| losses) {
            all.extend((!all.contains(&loss)).then_some(loss));
        }
        let tell = |loss: &String| {
            let lose: Vec<TargetId> =
                of.iter().filter(|(_, all)| all.contains(loss)).map(|&(target, _)| target).collect();
            let then = if lose.len() == of.len() {
                "there is no such step".to_owned()
            } else {
                format!("it is no step of {} any more", self.names(&lose).join(" and "))
            };
            format!("{loss}: then {then}")
        };
        all.into_iter().map(tell).collect()
    }

    /// When a value is no more in what it was read out of; the same of those that came along with it.
    fn losses(&self, target: TargetId, values: &[(usize, String)]) -> Vec<String> {
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        let mut ends = Vec::new();
        for (position, axis) in self.pipeline.targets[target].axes.iter().enumerate() {
            // A step that several targets describe is read as one of the target that is read: its lists are those of that.
            if let Some((parent, known)) = self.read_from(target, position, values) {
                let step = self.parent_step(target, position, value);
                ends.extend(self.losses(parent, &step.map_or(known, |step| self.all_values_of(step))));
            }
            let gone = self.where_listed(target, position, || self.list_to_come(target, position, values));
            ends.extend(
                gone.zip(value(axis.binding)).map(|(gone, value)| format!("{} is no more {gone}", printable(value))),
            );
        }
        ends
    }

    fn all_values_of(&self, id: StepId) -> Vec<(usize, String)> {
        self.steps.values_of(id).into_iter().map(str::to_owned).enumerate().collect()
    }

    /// The place of the values of an axis that are read out of what a step makes, which may still be to come.
    fn list_to_come(&self, target: TargetId, axis: usize, values: &[(usize, String)]) -> Option<String> {
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        if let Some(step) = self.parent_step(target, axis, value) {
            return Some(self.in_list(step, target, axis));
        }
        let (parent, _) = self.read_from(target, axis, values)?;
        let list = made_list(self.pipeline, target, axis, values)?;
        Some(if self.pipeline.targets[parent].outputs.len() > 1 { list } else { format!("what {list} makes") })
    }

    /// Where the values of an axis stand, as what follows "is not"; `parent` is the step that they are read out of. What the
    /// pipeline file lists is edited there.
    pub(crate) fn where_read(&self, target: TargetId, axis: usize, parent: Option<StepId>) -> Option<String> {
        self.where_listed(target, axis, || Some(self.in_list(parent?, target, axis)))
    }

    /// The same; `made` is what a step makes that they are read out of.
    fn where_listed(&self, target: TargetId, axis: usize, made: impl Fn() -> Option<String>) -> Option<String> {
        match &self.pipeline.targets[target].axes[axis].kind {
            AxisKind::List(_) => None,
            AxisKind::Glob(pattern) => Some(format!("among the files of {pattern}")),
            AxisKind::From {
                read: Reads::Tags(Select::All) | Reads::Lines | Reads::Csv(_) | Reads::Json(_), ..
            } => made().map(|made| format!("in {made}")),
            AxisKind::From { read: Reads::Tags(_), .. } => made().map(|made| format!("chosen out of {made}")),
            kind => list_of(kind).map(|list| format!("in {list}")),
        }
    }

    /// The step out of whose output a value was first read, and the axis that reads it, by its target and its place there:
    /// those in between only pass it on.
    pub(crate) fn teller(
        &self,
        target: TargetId,
        binding: usize,
        values: &[&str],
    ) -> Option<(StepId, TargetId, usize)> {
        let this = &self.pipeline.targets[target];
        let Binding { axis, parent: theirs, .. } = this.bindings[binding];
        let AxisKind::From { target: parent, .. } = this.axes[axis].kind else { return None };
        let step = self.parent_step(target, axis, |b| values.get(b).copied())?;
        theirs.map_or(Some((step, target, axis)), |theirs| self.teller(parent, theirs, &self.steps.values_of(step)))
    }
}

fn names_source(compiled: &Compiled) -> bool {
    compiled.template.params.iter().any(|(name, _)| name == SOURCE)
}

fn as_it_is_changed(compiled: &Compiled, record: &StepRecord, told: &Explanation, asks: bool) -> String {
    // What its source does not have it does not have for other parameters either.
    if asks && record.absent.is_some() && record.answer.is_none() {
        return "it asks its source another question (the source, or what is asked of it: a repository, a tag, a \
                filter), or the rule's version changes; no other parameter"
            .to_owned();
    }
    let inputs = match (told.inputs.is_empty(), told.inputs_to_come.is_empty()) {
        (true, true) => "",
        (false, true) => "an input, ",
        (true, false) => "an input that is to come, ",
        (false, false) => "an input, or one that is to come, ",
    };
    let source = if asks || names_source(compiled) { "its source, " } else { "" };
    format!("{inputs}{source}a parameter or the rule's version changes")
}

/// When there is what the last run had to do without.
fn as_inputs_come(told: &Explanation) -> Option<String> {
    // What is there may still be as it was when its step failed, or was put off.
    let is_kept_back =
        |read: &Read| read.done_without && read.step.as_ref().is_some_and(|(_, trouble)| trouble.is_some());
    let is_gone = |read: &Read| read.left_out && read.there() == Some(false);
    let mut lacking = told.inputs.iter().filter(|read| is_gone(read) || is_kept_back(read));
    let (first, more) = (lacking.next()?, lacking.count());
    let or = match more {
        0 => String::new(),
        1 => ", or another one,".to_owned(),
        more => format!(", or one of {more} more,"),
    };
    let comes = if is_gone(first) { "is made" } else { "can be had again" };
    Some(format!("{}{or} {comes}, which its last run did without", first.path))
}

/// What is absent has no outputs.
fn as_outputs_change(record: &StepRecord, kept: Storing) -> Option<String> {
    let stored = match kept.fresh {
        _ if !kept.cached => "",
        Freshness::Always => "",
        Freshness::Within(_) => " (while it is young, it comes back from the store, where that has it)",
        _ => " (it comes back from the store, where that has it)",
    };
    record.absent.is_none().then(|| format!("an output is changed or removed{stored}"))
}

/// How long answers are kept, as the pipeline says it.
pub(crate) fn fresh(fresh: Freshness) -> String {
    match fresh {
        Freshness::Exists => "exists".to_owned(),
        Freshness::Within(limit) => written(limit),
        Freshness::Digest => "digest".to_owned(),
        Freshness::Always => "always".to_owned(),
    }
}
