//! Why one step is, or is not, up to date; what it reads, and what would make it run again.

use crate::pipeline::model::{AxisKind, TargetId};
use crate::pipeline::problem::Problems;
use crate::rules::Lane;
use crate::store::Digest;
use crate::store::state::StepRecord;

use super::again::fresh;
use super::engine::{Compiled, Engine};
use super::events::Silence;
use super::execute::relative;
use super::failures::Failed;
use super::key::Template;
use super::neighbourhood::list_of;
use super::outcome::{Account, Status};
use super::reason::{Reason, hex};
use super::reasons::Reasons;
use super::request::{self, Unknown};
use super::session::{BuildError, Order, Session, looked, unlooked};
use super::steps::{Bound, StepId};
use super::waits::Wait;

/// All that can be said of a step without running anything.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    pub step: String,
    pub standing: Standing,
    /// Every cause for which it would run.
    pub reasons: Vec<Reason>,
    /// How many more causes there are.
    pub more_reasons: usize,
    /// What a build would do first: `ask`, `make` or `restore`.
    pub work: Option<&'static str>,
    /// Why it fails, is absent, blocked, pending or an orphan; and what helps.
    pub message: Option<String>,
    pub help: Option<String>,
    pub outputs: Vec<String>,
    /// The rule, its version, and its parameters as they are hashed.
    pub rule: (String, u32),
    pub params: Vec<(String, String)>,
    /// Its bindings with their values, and the digest that came with a value.
    pub values: Vec<(String, String, Option<String>)>,
    /// What its values were read out of: a step's label, or a list.
    pub read_out_of: Vec<String>,
    /// The step that has to be built before it is seen whether there still is this one, and where that stands.
    pub in_doubt: Option<(String, &'static str)>,
    /// How long answers are kept, as the pipeline says it.
    pub fresh: Option<String>,
    /// The source that it asks or reads, by its identity.
    pub source: Option<String>,
    pub inputs: Vec<Read>,
    /// Targets that are only waited for.
    pub after: Vec<String>,
    /// Other targets that describe this step, and those that make its output otherwise.
    pub same_as: Vec<String>,
    pub rivals: Vec<String>,
    pub last_made: Option<LastMade>,
    pub last_asked: Option<LastAsked>,
    pub key: Option<Digest>,
    /// How it failed when it was last tried, where it did not come to an end since.
    pub last_failure: Option<Failed>,
    /// What its command printed when it last ran, where it printed anything.
    pub log: Option<String>,
    /// What would make it run again, in words.
    pub again: Vec<String>,
}

/// Where a step stands, as far as it is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    Step(Status),
    /// Its values are to be read again out of what is not built: there is a record of it only.
    #[default]
    Pending,
    /// No step makes what is recorded.
    Orphan,
}

impl Standing {
    pub fn word(self) -> &'static str {
        match self {
            Self::Step(status) => status.word(),
            Self::Pending => "pending",
            Self::Orphan => "orphan",
        }
    }
}

/// A file that a step reads.
#[derive(Clone, Debug)]
pub struct Read {
    pub path: String,
    /// The start of its digest; none where it is not there.
    pub digest: Option<String>,
    /// Of the entry under `inputs:` that it comes from.
    pub name: Option<String>,
    /// The step that makes it, and where that stands unless it is well.
    pub step: Option<(String, Option<&'static str>)>,
    /// The step found it while it ran.
    pub found: bool,
    /// The step was made without it.
    pub left_out: bool,
}

/// When a step last ran, or its outputs were brought back or taken over.
#[derive(Clone, Debug)]
pub struct LastMade {
    /// Milliseconds since 1970.
    pub at: i64,
    /// In words; none where it was taken over as it was.
    pub causes: Vec<String>,
    /// The target whose step it was then.
    pub target: Option<String>,
}

/// When a source was last asked, and with what outcome.
#[derive(Clone, Debug)]
pub struct LastAsked {
    /// Milliseconds since 1970.
    pub at: i64,
    pub outcome: &'static str,
}

/// Explains every step that was asked for; of `paths`, which no target makes, what is recorded, or why there is nothing.
pub fn explain(
    session: &Session,
    order: &Order,
    paths: Vec<(String, Unknown)>,
) -> Result<Vec<Explanation>, BuildError> {
    let engine = match looked(session, order, &mut Silence) {
        Ok((engine, _)) => engine,
        Err(BuildError::Pipeline(problems)) => return unlisted(session, order, problems),
        Err(error) => return Err(error),
    };
    let mut asked: Vec<StepId> = (0..u32::try_from(engine.steps.len()).unwrap_or(u32::MAX))
        .filter(|&id| order.asked.iter().any(|a| engine.is_asked(a, id)))
        .collect();
    asked.sort_by_key(|&id| (engine.steps.step(id).target, engine.steps.step(id).row));
    let mut told: Vec<Explanation> = asked.into_iter().map(|id| engine.explanation(id)).collect();
    told.extend(order.asked.iter().flat_map(|asked| engine.remembered(asked)));
    for (path, unknown) in paths {
        told.push(engine.orphan(&path).ok_or_else(|| engine.not_recorded(&path, unknown))?);
    }
    if told.is_empty()
        && let Some(unknown) = engine.not_found(order)
    {
        return Err(unknown.into());
    }
    Ok(told)
}

/// The same where the values of a target cannot be told: what its records say, as far as there are any.
fn unlisted(session: &Session, order: &Order, problems: Problems) -> Result<Vec<Explanation>, BuildError> {
    let ((engine, _), _) = unlooked(session, order)?;
    let why: Vec<String> = problems.0.iter().map(|p| format!("{}: {}", p.message, p.label)).collect();
    let told: Vec<Explanation> =
        order.asked.iter().flat_map(|asked| engine.remembered_all(asked, &why.join("; "))).collect();
    if told.is_empty() { Err(BuildError::Pipeline(problems)) } else { Ok(told) }
}

impl Explanation {
    /// What a record tells of a step, whoever made it.
    pub(super) fn of_record(record: &StepRecord, recorded: Option<&Template>) -> Self {
        let last_made = LastMade {
            at: if record.why.is_some() { record.last_made() } else { record.asked_at },
            causes: record.why.as_deref().map(Reasons::recorded).unwrap_or_default(),
            target: recorded.and_then(|t| t.target.clone()),
        };
        let asked = record.question != Digest::default() || record.absent.is_some();
        let outcome = match &record.absent {
            Some(_) if record.asked_at > record.last_made() => "still absent",
            Some(_) => "absent",
            None if record.why.is_none() => "taken over with the file",
            None if record.asked_at > record.last_made() => "answer unchanged",
            None => "answered",
        };
        Self {
            last_asked: (asked && record.asked_at != 0).then_some(LastAsked { at: record.asked_at, outcome }),
            last_made: Some(last_made),
            key: Some(record.key),
            ..Self::default()
        }
    }
}

impl Engine<'_> {
    fn explanation(&self, id: StepId) -> Explanation {
        let step = self.steps.step(id);
        let target = self.steps.target(id);
        let outputs: Vec<String> = self.paths(id).map(str::to_owned).collect();
        let record = outputs.first().and_then(|path| self.state.step(path));
        let recorded = record.as_ref().and_then(|r| self.state.template(&r.template)).and_then(Template::parse);
        let mut told = match &record {
            Some(record) => Explanation::of_record(record, recorded.as_ref()),
            None => Explanation::default(),
        };
        told.step = self.steps.label(id);
        told.standing = Standing::Step(step.status);
        if let Some(account) = self.accounts.get(&id) {
            told.reasons = account.reasons.iter().flat_map(Reasons::iter).cloned().collect();
            told.more_reasons = account.reasons.as_ref().map_or(0, Reasons::unlisted);
            told.work = account.work;
            told.message.clone_from(&account.message);
            told.help.clone_from(&account.help);
            told.last_failure.clone_from(&account.last_failure);
        }
        told.values = self.values(id);
        told.read_out_of = self.read_out_of(id);
        told.in_doubt = self.in_doubt(id).map(|step| (self.steps.label(step), self.doubt_word(step)));
        told.inputs = self.reads(id, record.as_ref());
        told.after = target.after.iter().map(|&t| self.waited_for(t)).collect();
        match &self.rules[step.target as usize] {
            Some(compiled) => {
                told.rule = (compiled.template.rule.clone(), compiled.template.version);
                told.params.clone_from(&compiled.template.params);
                told.source.clone_from(&compiled.template.source);
                told.fresh = Some(fresh(self.settings_of(id).fresh));
                told.log = (!outputs.is_empty())
                    .then(|| self.log_of(id))
                    .filter(|log| compiled.rule.lane() == Lane::Process && log.is_file())
                    .map(|log| relative(&log, &self.pipeline.root));
                (told.same_as, told.rivals) = self.other_makers(id, compiled);
                told.again = self.again(id, compiled, record.as_ref(), &told);
            }
            None => {
                told.rule = ("group".to_owned(), 0);
                let stale = self.upstream(id).unwrap_or_default();
                told.reasons = stale.into_iter().map(|s| self.upstream_cause(id, s, None)).collect();
            }
        }
        told.outputs = outputs;
        told
    }

    fn values(&self, id: StepId) -> Vec<(String, String, Option<String>)> {
        let names = self.steps.target(id).bindings.iter().map(|b| b.name.clone());
        let value = |bound: &Bound| {
            let digest = self.steps.fingerprint(bound).map(ToString::to_string);
            (self.steps.names.get(bound.value).to_owned(), digest)
        };
        names.zip(self.steps.bound(id).iter().map(value)).map(|(name, (value, digest))| (name, value, digest)).collect()
    }

    fn read_out_of(&self, id: StepId) -> Vec<String> {
        let target = self.steps.target(id);
        let lists = target.axes.iter().filter_map(|axis| match &axis.kind {
            AxisKind::List(_) => Some("a list in the pipeline file".to_owned()),
            AxisKind::Glob(pattern) => Some(format!("the files of {pattern}")),
            kind => list_of(kind).map(str::to_owned),
        });
        let values = self.steps.values_of(id);
        let parents = (0..target.axes.len())
            .filter_map(|axis| self.parent_step(self.steps.step(id).target as usize, axis, |b| values.get(b).copied()));
        lists.chain(parents.map(|parent| self.steps.label(parent))).collect()
    }

    /// The step that an axis of a target reads these values out of.
    pub(super) fn parent_step<'v>(
        &self,
        target: TargetId,
        axis: usize,
        value: impl Fn(usize) -> Option<&'v str>,
    ) -> Option<StepId> {
        let this = &self.pipeline.targets[target];
        let AxisKind::From { target: parent, .. } = this.axes[axis].kind else { return None };
        let ours = this.bindings.iter().enumerate().filter(|(_, b)| b.axis == axis);
        let theirs: Vec<(usize, &str)> = ours.filter_map(|(i, b)| Some((b.parent?, value(i)?))).collect();
        let is_it = |&&id: &&StepId| {
            let bound = self.steps.bound(id);
            theirs.iter().all(|&(b, value)| self.steps.names.get(bound[b].value) == value)
        };
        self.steps.rows[parent].steps.iter().find(is_it).copied()
    }

    fn reads(&self, id: StepId, record: Option<&StepRecord>) -> Vec<Read> {
        let target = self.steps.target(id);
        let mut reads = Vec::new();
        for (input, slot) in target.inputs.iter().zip(self.steps.slots_of(id)) {
            let mut add = |path: &str, step: Option<StepId>| {
                let there = step.is_none_or(|s| {
                    let status = self.steps.step(s).status;
                    status.has_outputs() || status == Status::Stale
                });
                let left_out = step.zip(record).is_some_and(|(s, record)| self.goes_without(id, s, record));
                let there = there && !left_out;
                let restored = step.and_then(|s| self.restored(s, path));
                let content = restored.or_else(|| self.state.file(path).filter(|_| there).map(|record| record.content));
                reads.push(Read {
                    path: path.to_owned(),
                    digest: content.map(|content| hex(&content.short())),
                    name: input.name.clone(),
                    step: step.map(|s| (self.steps.label(s), self.trouble(s))),
                    found: false,
                    left_out,
                });
            };
            let mut add_step = |step: StepId| self.paths(step).for_each(|path| add(path, Some(step)));
            match slot.wait {
                Wait::Step(step) => add_step(step),
                Wait::Group(group) => self.steps.ordered(group).into_iter().for_each(add_step),
                Wait::File(file) => {
                    if let Some(&path) = self.steps.files.get(file as usize) {
                        add(self.state.path(path), None);
                    }
                }
                Wait::None => {}
            }
        }
        reads.extend(record.into_iter().flat_map(found_inputs));
        reads
    }

    /// A target that is only waited for, and what is the matter with it.
    fn waited_for(&self, target: TargetId) -> String {
        let name = self.pipeline.targets[target].name.clone();
        match self.steps.rows[target].steps.iter().find_map(|&step| self.trouble(step)) {
            Some(trouble) => format!("{name} ({trouble})"),
            None => name,
        }
    }

    /// Where a step stands that is not there as it should be.
    fn trouble(&self, step: StepId) -> Option<&'static str> {
        let status = self.steps.step(step).status;
        match self.accounts.get(&step) {
            Some(Account { last_failure: Some(last), .. }) if last.deferred => Some("deferred when it was last tried"),
            Some(Account { last_failure: Some(_), .. }) => Some("failed when it was last tried"),
            _ => (!status.has_outputs()).then(|| status.word()),
        }
    }

    /// The other targets that may make a step's output: those that describe the same step, and those that do not.
    fn other_makers(&self, id: StepId, compiled: &Compiled) -> (Vec<String>, Vec<String>) {
        let own = self.steps.step(id).target as usize;
        let mut others: Vec<TargetId> =
            self.paths(id).flat_map(|path| request::makers(self.pipeline, path)).map(|(target, _)| target).collect();
        others.sort_unstable();
        others.dedup();
        let names = |target: TargetId| self.pipeline.targets[target].bindings.iter().map(|b| &b.name);
        let same = |target: &TargetId| {
            self.steps.shared.get(&id).is_some_and(|also| also.iter().any(|(t, _)| t == target))
                || names(*target).eq(names(own))
                    && self.rules[*target].as_ref().is_some_and(|c| c.template_digest == compiled.template_digest)
        };
        let (same, rivals): (Vec<_>, Vec<_>) = others.into_iter().filter(|&t| t != own).partition(same);
        let named = |targets: Vec<TargetId>| targets.iter().map(|&t| self.pipeline.targets[t].name.clone()).collect();
        (named(same), named(rivals))
    }
}

/// The inputs that a record says were found.
pub(super) fn found_inputs(record: &StepRecord) -> impl Iterator<Item = Read> + '_ {
    record.found.iter().map(|found| Read {
        path: found.path.clone(),
        digest: (found.content != Digest::default()).then(|| hex(&found.content.short())),
        name: None,
        step: None,
        found: true,
        left_out: false,
    })
}

/// Milliseconds since 1970, in UTC to the second.
pub fn time(ms: i64) -> String {
    jiff::Timestamp::from_second(ms.div_euclid(1000)).map_or_else(|_| ms.to_string(), |t| t.to_string())
}
