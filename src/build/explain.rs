//! Why one step is, or is not, up to date; what it reads, and what would make it run again.

mod again;
mod alone;
mod asked;
pub(super) mod blame;
mod contents;
pub mod graph;
mod in_words;
mod list_failures;
mod misread;
pub mod neighbourhood;
mod orphan;
mod past;
pub mod reads;
mod record;
mod remembered;
mod rivals;
mod to_come;
mod told;
mod unlisted;

use std::collections::HashMap;

use crate::pipeline::model::TargetId;
use crate::pipeline::problem::Problems;
use crate::store::Digest;

use self::alone::Alone;
use self::blame::Known;
use self::past::{LastAsked, LastMade};
use self::reads::Read;
use self::unlisted::one_by_one;
use super::engine::Engine;
use super::events::Silence;
use super::failures::Failed;
use super::files::folders;
use super::outcome::{self, Status};
use super::reason::Reason;
use super::request::{self, Asked, Unknown};
use super::session::{BuildError, Order, Session, looked, looked_through, unlooked};
use super::steps::StepId;

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
    /// Why it is not sure that it fails or is blocked.
    pub doubt: Option<String>,
    /// Its message is why it may fail before it is tried.
    pub may_fail: bool,
    /// Why it fails, is absent, blocked, pending or an orphan; and what helps.
    pub message: Option<String>,
    pub help: Option<String>,
    /// It is put off since what it waits for is, which the message names.
    pub waits: bool,
    /// Of a blocked step: what is at fault, each with what is the matter with it.
    pub faults: Vec<String>,
    pub outputs: Vec<String>,
    /// Of each file that was asked for by its path in one of these, a folder: whether it is there, and was made.
    pub inside: Vec<String>,
    /// The rule, its version, and its parameters as they are hashed.
    pub rule: (String, u32),
    pub params: Vec<(String, String)>,
    /// `retries`, `timeout`, `pool` and `missing`, where the pipeline sets them.
    pub settings: Vec<(&'static str, String)>,
    /// Its bindings with their values, and the digest that came with a value.
    pub values: Vec<(String, String, Option<String>)>,
    /// What its values were read out of: a step's label, or a list.
    pub read_out_of: Vec<String>,
    /// How that failed when it was last tried.
    pub list_failures: Vec<String>,
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
    /// What of that the file tells no size of, though it was wanted.
    pub unmeasured: Vec<String>,
    /// What a build will ask its source for, in words.
    pub asks: Option<String>,
    pub inputs: Vec<Read>,
    /// What it names under `inputs:` of which there is nothing to read, in words.
    pub inputs_of_none: Vec<String>,
    /// Targets that it reads from, and what has to be built before all their steps are told.
    pub inputs_to_come: Vec<ToCome>,
    /// Of a step that is to come, what has to be built before it beside what the message names, a line each.
    pub told_after: Vec<String>,
    /// Targets that are only waited for.
    pub after: Vec<String>,
    /// Other targets that describe this step; in what they differ, and what of that holds where they are built together.
    pub same_as: Vec<String>,
    pub held: Vec<String>,
    /// Targets that make its output otherwise.
    pub rivals: Vec<String>,
    /// Of a step that fails, or is blocked, since two make one file: where it stands without the other.
    pub alone: Option<String>,
    pub last_made: Option<LastMade>,
    pub last_asked: Option<LastAsked>,
    pub key: Option<Digest>,
    /// How it failed when it was last tried, where it was not made since.
    pub last_failure: Option<Failed>,
    /// What its command printed when it last ran, where it printed anything.
    pub log: Option<String>,
    /// It was written after what is there was made, by a run that failed.
    pub log_is_later: bool,
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

/// What is to come among the inputs of a step.
#[derive(Clone, Debug)]
pub struct ToCome {
    /// The target, or the files as far as their names are known, and what they wait for.
    pub text: String,
    /// What they wait for beside what that names, a line each.
    pub and: Vec<String>,
}

/// What is told, and what there is nothing to tell of, with why.
type Told = (Vec<Explanation>, Vec<Unknown>);

/// Explains every step that was asked for as a build of all targets would come upon it; of `paths`, which no target makes,
/// what is recorded. With it comes what is wrong with the pipeline, where something that was asked for cannot be told for
/// that.
pub fn explain(
    session: &Session,
    order: &Order,
    paths: Vec<(String, Unknown)>,
) -> Result<(Told, Option<Problems>), BuildError> {
    match told_together(session, order, paths.clone()) {
        Err(BuildError::Pipeline(problems)) => one_by_one(session, order, paths, problems),
        told => Ok((told?, None)),
    }
}

fn told_together(session: &Session, order: &Order, paths: Vec<(String, Unknown)>) -> Result<Told, BuildError> {
    let engine = around(session, order, &paths)?;
    let (mut told, mut missing) = told_by(&engine, session, order);
    if told.iter().any(|told| told.standing == Standing::Step(Status::Deferred)) {
        let alone = looked_through(session, order)?;
        let alone: HashMap<String, Explanation> =
            told_by(&alone, session, order).0.into_iter().map(|told| (told.step.clone(), told)).collect();
        told.iter_mut().for_each(|told| told.compare(alone.get(&told.step)));
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

/// An engine that has looked at what was asked for and at what may be the matter with it in a build of all targets; at
/// that alone, where the rest cannot be looked at.
fn around<'p>(session: &'p Session, order: &Order, paths: &[(String, Unknown)]) -> Result<Engine<'p>, BuildError> {
    let asked = request::around(&session.pipeline, &order.asked);
    let looked = match looked_through(session, &Order { asked: asked.clone(), ..order.clone() }) {
        Err(BuildError::Pipeline(_)) => return looked_through(session, order),
        looked => looked?,
    };
    let targets = 0..session.pipeline.targets.len();
    let mut more = looked.may_make_what_was_found();
    if looked.tells_of_records(&order.asked, paths) {
        // Who makes what a record names may be any of them, or none any more.
        more = targets.map(Asked::Target).collect();
    } else if looked.draws_on_a_budget() {
        // What is left of it goes to all who need it.
        more.extend(targets.filter(|&target| looked.reads_a_source(target)).map(Asked::Target));
    }
    if more.is_empty() {
        return Ok(looked);
    }
    let asked = asked.into_iter().chain(more).collect();
    match looked_through(session, &Order { asked, ..order.clone() }) {
        Err(BuildError::Pipeline(_)) => Ok(looked),
        all => all,
    }
}

fn told_by(engine: &Engine<'_>, session: &Session, order: &Order) -> Told {
    let (mut told, mut missing) = (Vec::new(), Vec::new());
    let mut alone = Alone::new(engine, session, order);
    for (id, clashing) in engine.explained(&order.asked) {
        let is_rival = engine.clashes.contains_key(&id);
        let is_blocked = clashing.standing == Standing::Step(Status::Blocked);
        if !is_rival && (engine.clashes.is_empty() || !is_blocked) {
            told.push(clashing);
            continue;
        }
        told.push(match alone.of(id, &clashing) {
            // What fails for its own sake does so beside another, too.
            Some(alone) if is_rival && alone.message.is_some() && alone.message == clashing.message => clashing,
            Some(alone) if is_rival => alone.beside_another(clashing, engine.in_the_way(id)),
            // What it waits for is then no more at fault.
            Some(alone) if alone.standing != clashing.standing => {
                Explanation { alone: Some(alone.alone("without the other")), ..clashing }
            }
            Some(_) | None => clashing,
        });
    }
    for asked in &order.asked {
        let mut remembered = engine.remembered(asked);
        if remembered.is_empty() && !engine.has_step(asked) {
            remembered.extend(engine.to_come(asked));
            missing.extend(remembered.is_empty().then(|| engine.nothing_of(asked)));
        }
        told.extend(remembered);
    }
    (told, missing)
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

/// What was made by a step of this name, as records tell it: by a target that is gone, or that had other bindings then.
pub fn made_as(session: &Session, label: &str) -> Result<Vec<String>, BuildError> {
    Ok(unlooked(session, &Order::default())?.0.0.made_as(label))
}

/// What helps where no step goes by a name and this one is near: that, where there is such a step, or what is nearest to it.
pub fn help_to_name(session: &Session, near: &Asked) -> Option<String> {
    let order = Order { asked: vec![near.clone()], ..Order::default() };
    // The mistake of the pipeline is told where the step is asked for.
    let (engine, _) = looked(session, &order, &mut Silence).ok()?;
    engine.help_to_name(near)
}

/// Tells of each of these paths that lies in a folder of those that are told whether it is there, and was made.
pub fn tell_inside(
    session: &Session,
    order: &Order,
    named: &[String],
    told: &mut [Explanation],
) -> Result<(), BuildError> {
    if named.is_empty() {
        return Ok(());
    }
    let engine = unlooked(session, order)?.0.0;
    for told in told {
        // One that is recorded, and made no more, stands there with what became of it.
        let is_output = |folder: &&str| {
            let mut behind = told.outputs.iter().filter_map(|output| output.strip_prefix(folder));
            behind.any(|behind| behind.is_empty() || behind.starts_with(" ("))
        };
        let of = |path: &String| Some(engine.told_inside(folders::around(path).rev().find(is_output)?, path));
        told.inside = named.iter().filter_map(of).collect();
    }
    Ok(())
}

impl Explanation {
    /// The word for where it stands, as `status` counts it.
    pub fn word(&self) -> &'static str {
        match self.standing {
            Standing::Step(status) => outcome::standing(status, self.last_failure.as_ref(), &self.reasons),
            Standing::Pending => "pending",
            Standing::Orphan => "orphan",
        }
    }
}

impl Engine<'_> {
    /// Every step that was asked for, in the order of the targets and their rows.
    pub(crate) fn explained(&self, asked: &[Asked]) -> Vec<(StepId, Explanation)> {
        let ids = 0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        let mut ids: Vec<StepId> = ids.filter(|&id| asked.iter().any(|a| self.is_named(a, id))).collect();
        ids.sort_by_key(|&id| (self.steps.step(id).target, self.steps.step(id).row));
        let mut known = Known::new();
        let tell = |id| {
            let told = Explanation { faults: self.faults(id, &mut known), ..self.explanation(id) };
            (id, self.named_as_asked(id, asked, told))
        };
        ids.into_iter().map(tell).collect()
    }

    /// A step of several targets goes by the name of the one that was asked for.
    fn named_as_asked(&self, id: StepId, asked: &[Asked], told: Explanation) -> Explanation {
        let own = self.steps.step(id).target as usize;
        let targets: Vec<TargetId> = asked.iter().filter(|a| self.is_named(a, id)).flat_map(Asked::targets).collect();
        let other = self.steps.shared.get(&id).into_iter().flatten().map(|&(target, _)| target);
        let Some(other) = other.into_iter().find(|other| targets.contains(other) && !targets.contains(&own)) else {
            return told;
        };
        let step = self.steps.label_as(id, other);
        let [own, other] = [own, other].map(|target| self.pipeline.targets[target].name.as_str());
        let same_as = told.same_as.into_iter().map(|name| if name == other { own.to_owned() } else { name });
        Explanation { step, same_as: same_as.collect(), ..told }
    }

    /// Whether this is asked of any step that there is.
    fn has_step(&self, asked: &Asked) -> bool {
        (0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX)).any(|id| self.is_named(asked, id))
    }
}
