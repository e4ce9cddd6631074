//! What an engine that has looked tells of one step.

use crate::pipeline::model::{Binding, InputKind, TargetId};
use crate::pipeline::node::written;
use crate::rules::{Lane, SOURCE};

use super::again::fresh;
use super::reads::Read;
use super::{Explanation, Standing};
use crate::build::clock::time;
use crate::build::decide::Decision;
use crate::build::engine::settings::Settings;
use crate::build::engine::{Compiled, Engine};
use crate::build::execute::relative;
use crate::build::files::mtime;
use crate::build::outcome::{ReadsOrphans, Status};
use crate::build::reasons::Reasons;
use crate::build::steps::values::{each_once, read_out_of};
use crate::build::steps::{Bound, StepId};
use crate::store::state::StepRecord;

impl Engine<'_> {
    pub(crate) fn explanation(&self, id: StepId) -> Explanation {
        if self.steps.is_misread(id) {
            return self.misread_explanation(id);
        }
        if let Some((axis, list)) = self.steps.unborn.by(id) {
            return self.unborn_explanation(id, axis, list);
        }
        let record = self.record_of(id);
        let template = record.as_ref().and_then(|record| self.template_of(record));
        let mut told = match &record {
            Some(record) => Explanation::of_record(record, template.as_ref()),
            None => Explanation::default(),
        };
        told.step = self.steps.label(id);
        if let Some(made) = told.last_made.as_mut() {
            made.step = self.made_as_another(id);
        }
        told.outputs = self.paths(id).map(str::to_owned).collect();
        self.tell_standing(id, &mut told);
        self.tell_values(id, &mut told);
        self.tell_inputs(id, record.as_ref(), &mut told);
        let target = self.steps.step(id).target as usize;
        told.settings = self.set_in_pipeline(self.settings_of(id));
        match &self.rules[target] {
            Some(compiled) => {
                told.other_source = told
                    .other_source
                    .or_else(|| template?.source)
                    .filter(|then| Some(then) != compiled.template.source.as_ref());
                self.tell_rule(id, compiled, &mut told);
                told.notes.extend(record.iter().flat_map(|record| self.untold_folders(record)));
                self.tell_other_targets(id, &mut told);
                if let Some(source) = told.source.as_ref().filter(|_| !self.hangs_on_source(id, compiled)) {
                    let why = "what it reads there is named by its digest: any other but imagelayers gives the same";
                    told.settings.push((SOURCE, format!("{source} ({why})")));
                }
                self.tell_orphans_read(id, false, &mut told);
                told.again = self.again(id, compiled, record.as_ref(), &told);
            }
            None => {
                self.tell_group(id, &mut told);
                self.tell_orphans_read(id, true, &mut told);
            }
        }
        told
    }

    /// Where it stands, and why.
    fn tell_standing(&self, id: StepId, told: &mut Explanation) {
        let status = self.steps.step(id).status;
        told.standing = Standing::Step(status);
        if let Some(account) = self.accounts.get(&id) {
            told.reasons = account.reasons.iter().flat_map(Reasons::iter).cloned().collect();
            told.more_reasons = account.reasons.as_ref().map_or(0, Reasons::unlisted);
            (told.work, told.perhaps, told.may_fail) = (account.work, account.perhaps, account.may_fail);
            told.message.clone_from(&account.message);
            told.help.clone_from(&account.help);
        }
        if let (Some(first), Some(message)) = (self.may_be_blocked(id, self.runs(id)), told.message.as_mut())
            && *message == self.risk_of(first.root)
        {
            let mut others = self.awaited_at_risk(id);
            others.retain(|&root| root != first.root);
            if !others.is_empty() {
                message.push_str(&format!(" (+{} more)", others.len()));
                told.told_after = others.into_iter().map(|root| format!("and {}", self.steps.label(root))).collect();
            }
        }
        told.doubt = self.why_in_doubt(id);
        told.waits = matches!(self.obstacle(id), Some(Decision::PutOff(_)));
        told.last_failure = self.earlier_failure(id);
        if status == Status::Adopted {
            let at = self.paths(id).find_map(|path| std::fs::metadata(self.pipeline.root.join(path)).ok());
            told.message = at.map(|meta| format!("what is there is of {}", time(mtime(&meta) / 1_000_000)));
        }
    }

    /// Its values, and what they were read out of.
    fn tell_values(&self, id: StepId, told: &mut Explanation) {
        told.values = self.values(id);
        let values: Vec<(usize, String)> =
            self.steps.values_of(id).into_iter().map(str::to_owned).enumerate().collect();
        let targets = self.described_by(id);
        told.read_out_of = each_once(targets.iter().flat_map(|&target| read_out_of(self.pipeline, target, &values)));
        told.list_failures = each_once(targets.iter().flat_map(|&target| self.list_failures(target, &values)));
        told.in_doubt = self.in_doubt(id).map(|step| (self.steps.label(step), self.doubt_word(step)));
    }

    /// What it reads, and what it only waits for.
    fn tell_inputs(&self, id: StepId, record: Option<&StepRecord>, told: &mut Explanation) {
        if let Some((record, &first)) = record.zip(self.steps.outputs(id).first()) {
            self.tell_contents(self.state.path(first), record, told);
        }
        told.asks = self.will_ask(id, record, told);
        told.inputs = self.reads(id, record);
        told.inputs_of_none = self.inputs_of_none(id);
        told.inputs_to_come = self.inputs_to_come(id);
        if let Some(record) = record.filter(|_| !told.inputs_to_come.is_empty()) {
            told.inputs.extend(self.read_before(id, record, &told.inputs));
            told.inputs.extend(self.done_without_before(id, record, &told.inputs));
        }
        told.after = self.after_of(id).into_iter().map(|after| self.waited_for(after)).collect();
    }

    /// That it reads, or a group names, what no step makes any more.
    fn tell_orphans_read(&self, id: StepId, is_group: bool, told: &mut Explanation) {
        let there = told.inputs.iter().filter(|read| read.step.is_none() && read.there() == Some(true));
        let orphans = |read: &Read| match read.orphan {
            true => self.orphan_read(&read.path).into_iter().collect(),
            false if self.pipeline.root.join(&read.path).is_dir() => self.orphans_inside(&read.path),
            false => Vec::new(),
        };
        let is_value = |file: &str| told.values.iter().any(|(_, value, _)| value == file);
        let lists = self.orphans_in_lists(self.steps.step(id).target as usize, &is_value);
        let files: Vec<_> = lists.into_iter().chain(there.flat_map(orphans)).collect();
        if !files.is_empty() {
            let reads = ReadsOrphans::new(told.step.clone(), is_group, files);
            told.notes.extend([format!("warning: {reads}"), ReadsOrphans::HELP.to_owned()]);
        }
    }

    /// What its target says of how it is made.
    fn tell_rule(&self, id: StepId, compiled: &Compiled, told: &mut Explanation) {
        told.rule = (compiled.template.rule.clone(), compiled.template.version);
        told.params.clone_from(&compiled.template.params);
        told.notes = notes(compiled);
        told.notes.extend(self.rival_inputs(id));
        told.notes.extend(self.misread_notes(id));
        told.source.clone_from(&compiled.template.source);
        let kept = if self.is_cut_off(compiled) { " (offline: an answer is kept, however old)" } else { "" };
        told.fresh = Some(fresh(self.settings_of(id).fresh) + kept);
        if !told.outputs.is_empty() {
            let first = self.kept_of(id).map_or_else(|| self.path(id, 0), |(first, _)| first);
            self.tell_log(first, compiled, told);
        }
    }

    /// What its command printed, where it left that.
    fn tell_log(&self, first: &str, compiled: &Compiled, told: &mut Explanation) {
        if compiled.rule.common().lane == Lane::Process {
            self.tell_printed(first, told);
        }
    }

    /// How the step that no target has any more, and that made this, last failed, where it was tried in vain since.
    pub(super) fn tell_last_try_of_orphan(&self, first: &str, told: &mut Explanation) {
        told.last_failure = self.failure_of_any(first);
        if told.last_failure.as_ref().is_some_and(|failed| failed.attempts > 0) {
            self.tell_printed(first, told);
        }
    }

    fn tell_printed(&self, first: &str, told: &mut Explanation) {
        let log = self.log_of(first);
        if let Ok(meta) = std::fs::metadata(&log) {
            told.log = Some(relative(&log, &self.pipeline.root));
            told.log_is_later = told.last_made.as_ref().is_some_and(|made| mtime(&meta) / 1_000_000 > made.at);
        }
    }

    /// What is told of a step that is to come by its target alone, and of its last try, where it had one: it is kept by the
    /// path of its first output.
    pub(super) fn tell_to_come(&self, target: TargetId, compiled: &Compiled, told: &mut Explanation, first: &str) {
        told.notes = notes(compiled);
        told.settings = self.set_in_pipeline(self.settings[target]);
        told.fresh = Some(fresh(self.settings[target].fresh));
        told.after = self.pipeline.targets[target].after.iter().map(|after| self.waited_for(after)).collect();
        told.rivals = self.names(&self.rivals_to_come(target));
        told.last_failure = self.failure_at(first, &told.step);
        self.tell_log(first, compiled, told);
    }

    fn tell_other_targets(&self, id: StepId, told: &mut Explanation) {
        let (same, rivals) = self.other_makers(id);
        let rows = self.described_by(id);
        let (same, joiners): (Vec<_>, Vec<_>) = same.into_iter().partition(|target| rows.contains(target));
        told.held = self.held(id, &same);
        told.notes.extend(self.joiners_note(id, &same, &joiners, &told.held));
        told.notes.extend(self.leavers_note(id));
        (told.same_as, told.rivals) = (self.names(&same), self.names(&rivals));
    }

    /// A group makes nothing: it stands as what it names does.
    fn tell_group(&self, id: StepId, told: &mut Explanation) {
        told.rule = ("group".to_owned(), 0);
        let causes = self.upstream(id).stale.into_iter().map(|step| self.upstream_cause(step)).collect();
        told.reasons = Reasons::of(causes).iter().flat_map(Reasons::iter).cloned().collect();
        let inputs = &self.steps.target(id).inputs;
        let has = |files: bool| inputs.iter().any(|input| matches!(input.kind, InputKind::Path(_)) == files);
        let moved = match (has(false), has(true)) {
            (true, true) => "one of its targets is made again, or one of its files changes, comes or goes",
            (true, false) => "one of its targets is made again",
            (false, _) => "one of its files changes, comes or goes",
        };
        told.again = vec![format!("{moved}: it makes nothing itself")];
        told.again.extend(self.members(self.steps.step(id).target as usize, &self.steps.values_of(id)));
    }

    fn values(&self, id: StepId) -> Vec<(String, String, Option<String>)> {
        let rule = self.rules[self.steps.step(id).target as usize].as_ref();
        // Whoever fills only a value into the path of an output reads nothing of what came with it.
        let reads = |binding: usize| rule.is_some_and(|compiled| compiled.rule.common().reads.contains(&binding));
        let bindings = self.steps.target(id).bindings.iter().zip(self.steps.bound(id)).enumerate();
        let value = |(position, (binding, bound)): (usize, (&Binding, &Bound))| {
            let digest = self.steps.fingerprint(bound).filter(|_| reads(position)).map(ToString::to_string);
            (binding.name.clone(), self.steps.names.get(bound.value).to_owned(), digest)
        };
        bindings.map(value).collect()
    }

    pub(crate) fn set_in_pipeline(&self, settings: Settings) -> Vec<(&'static str, String)> {
        let set = [
            ("retries", settings.retries.map(|retries| retries.to_string())),
            ("timeout", settings.timeout.map(written)),
            ("pool", settings.pool.map(|taken| self.pool_in_words(taken))),
            ("missing", settings.missing_is_error.then(|| "error".to_owned())),
        ];
        set.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    pub(super) fn pool_in_words(&self, (pool, taken): (usize, u32)) -> String {
        let (name, size) = &self.pipeline.pools[pool];
        format!("{name} ({taken} of {size})")
    }
}

/// What the key of a command does not tell.
fn notes(compiled: &Compiled) -> Vec<String> {
    const SECRET: &str = "${secret.";
    let values = compiled.template.params.iter().flat_map(|(_, value)| value.split(SECRET).skip(1));
    let mut notes: Vec<String> = values
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| format!("{name} is a secret: its value is no part of the key"))
        .collect();
    notes.sort();
    notes.dedup();
    if compiled.rule.common().lane == Lane::Process {
        notes.push(if compiled.rule.common().finds {
            "a step with a depfile runs, it does not come back from the store".to_owned()
        } else {
            "what the command reads beside its inputs is not seen: it has no depfile".to_owned()
        });
    }
    notes
}
