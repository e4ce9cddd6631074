//! Why one step is, or is not, up to date; what it reads, and what would make it run again.

use crate::pipeline::model::{AxisKind, Binding, TargetId};
use crate::pipeline::problem::Problems;
use crate::rules::Lane;
use crate::store::Digest;
use crate::store::state::StepRecord;

use super::adoption::TAKEN_OVER;
use super::again::fresh;
use super::blame::Known;
use super::engine::{Compiled, Engine};
use super::events::Silence;
use super::execute::relative;
use super::failures::{Failed, Failures};
use super::files::mtime;
use super::key::Template;
use super::neighbourhood::list_of;
use super::outcome::{self, Status};
use super::reads::Read;
use super::reason::Reason;
use super::reasons::Reasons;
use super::request::{Asked, Unknown};
use super::session::{BuildError, Order, Session, looked, looked_through, unlooked};
use super::settings::Settings;
use super::steps::{Bound, StepId};

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
    /// Whether it comes to that is seen only while building.
    pub perhaps: bool,
    /// Why it fails, is absent, blocked, pending or an orphan; and what helps.
    pub message: Option<String>,
    pub help: Option<String>,
    /// Of a blocked step: what is at fault, each with what is the matter with it.
    pub faults: Vec<String>,
    pub outputs: Vec<String>,
    /// The rule, its version, and its parameters as they are hashed.
    pub rule: (String, u32),
    pub params: Vec<(String, String)>,
    /// `retries`, `timeout`, `pool` and `missing`, where the pipeline sets them.
    pub settings: Vec<(&'static str, String)>,
    /// Its bindings with their values, and the digest that came with a value.
    pub values: Vec<(String, String, Option<String>)>,
    /// What its values were read out of: a step's label, or a list.
    pub read_out_of: Vec<String>,
    /// The step that has to be built before it is seen whether there still is this one, and where that stands.
    pub in_doubt: Option<(String, &'static str)>,
    /// What its key does not tell: secrets, and what a command reads of its own.
    pub notes: Vec<String>,
    /// How long answers are kept, as the pipeline says it.
    pub fresh: Option<String>,
    /// The source that it asks or reads, by its identity.
    pub source: Option<String>,
    /// The source that it was made from, where the pipeline has another one now.
    pub other_source: Option<String>,
    /// What the last run read of its source by digest, each with what it is.
    pub contents: Vec<(String, String)>,
    pub inputs: Vec<Read>,
    /// Targets that it reads from, and what has to be built before all their steps are told.
    pub inputs_to_come: Vec<String>,
    /// Targets that are only waited for.
    pub after: Vec<String>,
    /// Other targets that describe this step, and those that make its output otherwise.
    pub same_as: Vec<String>,
    pub rivals: Vec<String>,
    pub last_made: Option<LastMade>,
    pub last_asked: Option<LastAsked>,
    pub key: Option<Digest>,
    /// How it failed when it was last tried, where it was not made since.
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

/// When a step last ran, or its outputs were brought back or taken over.
#[derive(Clone, Debug)]
pub struct LastMade {
    /// Milliseconds since 1970.
    pub at: i64,
    /// In words; none where it was taken over as it was.
    pub causes: Vec<String>,
    /// When and why it had been made before it was taken over by hand, in words.
    pub before: Option<String>,
    /// The target whose step it was then.
    pub target: Option<String>,
    /// The step itself, where there is none of its name now.
    pub step: Option<String>,
}

/// When a source was last asked, and with what outcome.
#[derive(Clone, Debug)]
pub struct LastAsked {
    /// Milliseconds since 1970.
    pub at: i64,
    pub outcome: &'static str,
    /// In words; none where that is not known.
    pub causes: Vec<String>,
    /// It was not then that the step last ran, and these are not the causes of that.
    pub otherwise: bool,
}

/// Explains every step that was asked for; of `paths`, which no target makes, what is recorded. With it goes what there is
/// nothing to tell of, and why.
pub fn explain(
    session: &Session,
    order: &Order,
    paths: Vec<(String, Unknown)>,
) -> Result<(Vec<Explanation>, Vec<Unknown>), BuildError> {
    let engine = match looked(session, order, &mut Silence) {
        Ok((engine, _)) => engine,
        Err(BuildError::Pipeline(problems)) => {
            let (told, missing) = apart(session, order)?;
            return Ok(if told.is_empty() {
                (unlisted(session, order, problems)?, Vec::new())
            } else {
                (told, missing)
            });
        }
        Err(error) => return Err(error),
    };
    let failures = Failures::load(&engine.work_dir);
    let (mut told, mut missing) = (engine.explained(&order.asked, &failures), Vec::new());
    for asked in &order.asked {
        let mut remembered = engine.remembered(asked);
        if remembered.is_empty() && !engine.has_step(asked) {
            remembered.extend(engine.to_come(asked));
            missing.extend(remembered.is_empty().then(|| engine.nothing_of(asked)));
        }
        told.extend(remembered);
    }
    for (path, unknown) in paths {
        match engine.orphan(&path) {
            Some(orphan) => told.push(orphan),
            None => missing.push(engine.not_recorded(&path, unknown)),
        }
    }
    missing.extend(engine.not_found(&Order { asked: Vec::new(), ..order.clone() }).filter(|_| told.is_empty()));
    Ok((told, missing))
}

/// The steps that are told by this name, of now or of the records. A value may hold what else ends one, `,name=`, and a
/// name does not tell all of a long value: only the steps themselves say which it is.
pub fn by_label(session: &Session, label: &str) -> Result<Vec<Asked>, BuildError> {
    let name = label.split_once('@').map(|(name, _)| name);
    let Some(target) = session.pipeline.targets.iter().position(|target| Some(target.name.as_str()) == name) else {
        return Ok(Vec::new());
    };
    let order = Order { asked: vec![Asked::Target(target)], ..Order::default() };
    let engine = match looked(session, &order, &mut Silence) {
        Ok((engine, _)) => engine,
        // The mistake of the pipeline is told where the step is asked for.
        Err(BuildError::Pipeline(_)) => unlooked(session, &order)?.0.0,
        Err(error) => return Err(error),
    };
    let ids = engine.steps.rows[target].steps.iter().copied().filter(|&id| engine.steps.label(id) == label);
    let values = |id| engine.steps.values_of(id).into_iter().map(str::to_owned).enumerate().collect();
    let mut named: Vec<Asked> = ids.map(|id| Asked::Steps(target, values(id))).collect();
    if named.is_empty() {
        let recorded = engine.recorded_values(target).into_iter().filter(|v| engine.label_of(target, v) == label);
        named.extend(recorded.map(|values| Asked::Steps(target, values)));
    }
    Ok(named)
}

/// The same of each target by itself: two that make one file cannot be built together, and may be one after the other.
/// What needs them both can be built by no one.
fn apart(session: &Session, order: &Order) -> Result<(Vec<Explanation>, Vec<Unknown>), BuildError> {
    let (mut told, mut missing) = (Vec::new(), Vec::new());
    for asked in &order.asked {
        let (mut found, mut nothing) = (Vec::new(), None);
        let each = match asked {
            Asked::Output(path, makers) => {
                makers.iter().map(|maker| Asked::Output(path.clone(), vec![maker.clone()])).collect()
            }
            Asked::Target(_) | Asked::Steps(..) => vec![asked.clone()],
        };
        for asked in each {
            let order = Order { asked: vec![asked.clone()], ..order.clone() };
            let engine = match looked(session, &order, &mut Silence) {
                Ok((engine, _)) => engine,
                Err(BuildError::Pipeline(problems)) => match looked_through(session, &order) {
                    Ok(engine) => engine,
                    Err(BuildError::Pipeline(_)) => {
                        found.extend(unlisted(session, &order, problems).unwrap_or_default());
                        continue;
                    }
                    Err(error) => return Err(error),
                },
                Err(error) => return Err(error),
            };
            found.extend(engine.explained(&order.asked, &Failures::load(&engine.work_dir)));
            nothing = Some(engine.nothing_of(&asked));
        }
        missing.extend(nothing.filter(|_| found.is_empty()));
        told.extend(found);
    }
    Ok((told, missing))
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
    /// The word for where it stands, as `status` counts it.
    pub fn word(&self) -> &'static str {
        match self.standing {
            Standing::Step(status) => outcome::standing(status, self.last_failure.as_ref(), self.reasons.first()),
            Standing::Pending => "pending",
            Standing::Orphan => "orphan",
        }
    }

    /// What a record tells of a step, whoever made it.
    pub(super) fn of_record(record: &StepRecord, recorded: Option<&Template>) -> Self {
        let last_made = LastMade {
            at: record.last_made(),
            causes: record.why.as_deref().map(Reasons::recorded).unwrap_or_default(),
            before: (!record.before.is_empty()).then(|| record.before.clone()),
            target: recorded.and_then(|t| t.target.clone()),
            step: None,
        };
        let asked = record.question != Digest::default() || record.absent.is_some();
        let outcome = match &record.absent {
            Some(_) if record.asked_at > record.last_made() => "still absent",
            Some(_) => "absent",
            None if record.why_asked == TAKEN_OVER => TAKEN_OVER,
            None if record.asked_at > record.last_made() => "answer unchanged",
            None if record.why.is_none() => TAKEN_OVER,
            None => "answered",
        };
        let because = record.asked_because().filter(|_| outcome != TAKEN_OVER);
        let causes = because.map(Reasons::recorded).unwrap_or_default();
        let otherwise = !record.why_asked.is_empty();
        let last_asked = LastAsked { at: record.asked_at, outcome, causes, otherwise };
        Self {
            last_asked: (asked && record.asked_at != 0).then_some(last_asked),
            last_made: Some(last_made),
            key: Some(record.key),
            ..Self::default()
        }
    }
}

impl Engine<'_> {
    /// Every step that was asked for, in the order of the targets and their rows.
    fn explained(&self, asked: &[Asked], failures: &Failures) -> Vec<Explanation> {
        let ids = 0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        let mut ids: Vec<StepId> = ids.filter(|&id| asked.iter().any(|a| self.is_asked(a, id))).collect();
        ids.sort_by_key(|&id| (self.steps.step(id).target, self.steps.step(id).row));
        let mut known = Known::new();
        let tell = |id| Explanation { faults: self.faults(id, &mut known), ..self.explanation(id, failures) };
        ids.into_iter().map(tell).collect()
    }

    /// Whether this is asked of any step that there is.
    fn has_step(&self, asked: &Asked) -> bool {
        (0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX)).any(|id| self.is_asked(asked, id))
    }

    fn explanation(&self, id: StepId, failures: &Failures) -> Explanation {
        let step = self.steps.step(id);
        let target = self.steps.target(id);
        let outputs: Vec<String> = self.paths(id).map(str::to_owned).collect();
        let record = self.record_of(id);
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
            (told.work, told.perhaps) = (account.work, account.perhaps);
            told.message.clone_from(&account.message);
            told.help.clone_from(&account.help);
            told.last_failure.clone_from(&account.last_failure);
        }
        if step.status.has_outputs() || step.status == Status::Absent {
            told.last_failure = self.failure_of(id, failures);
        }
        if step.status == Status::Adopted {
            let at = outputs.iter().find_map(|path| std::fs::metadata(self.pipeline.root.join(path)).ok());
            told.message = at.map(|meta| format!("what is there is of {}", time(mtime(&meta) / 1_000_000)));
        }
        told.settings = self.set_in_pipeline(step.target as usize, self.settings_of(id));
        told.values = self.values(id);
        told.contents = record.as_ref().map(|record| self.contents(id, record)).unwrap_or_default();
        told.read_out_of = self.read_out_of(id);
        told.in_doubt = self.in_doubt(id).map(|step| (self.steps.label(step), self.doubt_word(step)));
        told.inputs = self.reads(id, record.as_ref());
        told.inputs_to_come = self.inputs_to_come(id);
        if let Some(record) = record.as_ref().filter(|_| !told.inputs_to_come.is_empty()) {
            told.inputs.extend(self.read_before(id, record, &told.inputs));
        }
        told.after = target.after.iter().map(|&t| self.waited_for(t)).collect();
        match &self.rules[step.target as usize] {
            Some(compiled) => {
                told.rule = (compiled.template.rule.clone(), compiled.template.version);
                told.params.clone_from(&compiled.template.params);
                told.notes = notes(compiled);
                told.notes.extend(self.rival_inputs(id));
                told.source.clone_from(&compiled.template.source);
                told.other_source = recorded.and_then(|r| r.source).filter(|s| Some(s) != told.source.as_ref());
                let kept = if self.is_cut_off(compiled) { " (offline: an answer is kept, however old)" } else { "" };
                told.fresh = Some(fresh(self.settings_of(id).fresh) + kept);
                told.log = (!outputs.is_empty())
                    .then(|| self.log_of(id))
                    .filter(|log| compiled.rule.common().lane == Lane::Process && log.is_file())
                    .map(|log| relative(&log, &self.pipeline.root));
                (told.same_as, told.rivals) = self.other_makers(id);
                told.again = self.again(id, compiled, record.as_ref(), &told);
            }
            None => {
                told.rule = ("group".to_owned(), 0);
                let stale = self.upstream(id).unwrap_or_default();
                told.reasons = stale.into_iter().map(|s| self.upstream_cause(s)).collect();
            }
        }
        told.outputs = outputs;
        told
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

    fn read_out_of(&self, id: StepId) -> Vec<String> {
        let target = self.steps.target(id);
        let lists = target.axes.iter().filter_map(|axis| match &axis.kind {
            AxisKind::List(_) => {
                Some(format!("the list of `{}` in the pipeline file", target.bindings[axis.binding].name))
            }
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

    pub(super) fn set_in_pipeline(&self, target: TargetId, settings: Settings) -> Vec<(&'static str, String)> {
        let target = &self.pipeline.targets[target];
        let pool = target.pool.and_then(|(pool, taken)| Some((self.pipeline.pools.get(pool)?, taken)));
        let set = [
            ("retries", settings.retries.map(|retries| retries.to_string())),
            ("timeout", target.timeout.map(|timeout| format!("{timeout:?}"))),
            ("pool", pool.map(|((name, size), taken)| format!("{name} ({taken} of {size})"))),
            ("missing", settings.missing_is_error.then(|| "error".to_owned())),
        ];
        set.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// What the key of a command does not tell.
pub(super) fn notes(compiled: &Compiled) -> Vec<String> {
    const SECRET: &str = "${secret.";
    let values = compiled.template.params.iter().flat_map(|(_, value)| value.split(SECRET).skip(1));
    let mut notes: Vec<String> = values
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| format!("{name} is a secret: its value is no part of the key"))
        .collect();
    notes.sort();
    notes.dedup();
    if compiled.rule.common().lane == Lane::Process && !compiled.rule.common().finds {
        notes.push("what the command reads beside its inputs is not seen: it has no depfile".to_owned());
    }
    notes
}

/// Milliseconds since 1970, in UTC to the second.
pub fn time(ms: i64) -> String {
    jiff::Timestamp::from_second(ms.div_euclid(1000)).map_or_else(|_| ms.to_string(), |t| t.to_string())
}
