//! What is told of targets whose steps cannot be told, since a list cannot be read: their own, or one of what they need.

use std::collections::HashSet;

use crate::pipeline::model::{AxisKind, InputKind, Target, TargetId};
use crate::pipeline::problem::Problems;

use super::reads::Read;
use super::remembered::Recorded;
use super::{Explanation, Standing, Told, around, told_by, told_together};
use crate::build::engine::Engine;
use crate::build::request::{Asked, Unknown};
use crate::build::session::{BuildError, Order, Session, looked_through, unlooked};
use crate::build::steps::values::{Values, read_out_of};

/// Whose steps are kept from being told, by target.
struct Kept {
    /// By a list of its own, or of what its values are read out of.
    by_own: Vec<bool>,
    /// By that, or by a list of anything that it needs.
    at_all: Vec<bool>,
}

/// What ails one of those that were asked for must not keep the others from being told. Where nothing is known of one, that
/// is told of it alone, and what is wrong with the pipeline comes with it.
pub(super) fn one_by_one(
    session: &Session,
    order: &Order,
    paths: Vec<(String, Unknown)>,
    problems: Problems,
) -> Result<(Told, Option<Problems>), BuildError> {
    let (mut told, mut missing, mut is_untold) = (Vec::new(), Vec::new(), false);
    for asked in &order.asked {
        let (mut found, mut untold, mut nothing) = (Vec::new(), Vec::new(), Vec::new());
        for asked in asked.each() {
            let order = Order { asked: vec![asked], ..order.clone() };
            match around(session, &order, &[]) {
                Ok(engine) => {
                    let (told, missing) = told_by(&engine, session, &order);
                    found.extend(told);
                    nothing.extend(missing);
                }
                Err(BuildError::Pipeline(problems)) => {
                    let (recorded, unknown) = unlisted(session, &order, &problems)?;
                    found.extend(recorded);
                    untold.extend(unknown);
                }
                Err(error) => return Err(error),
            }
        }
        if found.is_empty() {
            is_untold |= !untold.is_empty();
            missing.extend(nothing.into_iter().take(1).filter(|_| untold.is_empty()));
            found = untold;
        }
        // A path may be read in several ways, and its record is told by the likeliest.
        let mut named = HashSet::new();
        found.retain(|found: &Explanation| named.insert((found.step.clone(), found.outputs.clone())));
        told.extend(found);
    }
    if !paths.is_empty() {
        let (orphans, unknown) = told_together(session, &Order { asked: Vec::new(), ..order.clone() }, paths)?;
        told.extend(orphans);
        missing.extend(unknown);
    }
    match told.is_empty() {
        true => Err(BuildError::Pipeline(problems)),
        false => Ok(((told, missing), is_untold.then_some(problems))),
    }
}

impl Kept {
    /// What is not told of a target, and is seen then, where that is not its own steps.
    fn what(&self, target: TargetId) -> Option<(&'static str, &'static str)> {
        (self.at_all[target] && !self.by_own[target]).then_some(("what it needs", "where it stands"))
    }
}

/// Where the steps of a target cannot be told, what its records say, as far as there are any; and what is told of each step
/// that was asked for where there are none.
fn unlisted(
    session: &Session,
    order: &Order,
    problems: &Problems,
) -> Result<(Vec<Explanation>, Vec<Explanation>), BuildError> {
    let ((engine, _), _) = unlooked(session, order)?;
    let kept = engine.kept_by_lists();
    // What needs no such list stands as ever, and so is told of among the inputs.
    let asked = (0..kept.at_all.len()).filter(|&target| !kept.at_all[target]).map(Asked::Target).collect();
    let engine = match looked_through(session, &Order { asked, ..order.clone() }) {
        Err(BuildError::Pipeline(_)) => engine,
        looked => looked?,
    };
    let mut why: Vec<String> = problems.0.iter().map(|p| format!("{}: {}", p.message, p.label)).collect();
    why.dedup();
    let why = why.join("; ");
    let recorded = order.asked.iter().flat_map(|asked| engine.remembered_all(asked, &kept, &why)).collect();
    let may_be = |target, values: &Values| engine.may_have(target, values) && !engine.is_refused(target, values);
    let unknown = order.asked.iter().flat_map(Asked::steps).filter(|(target, values)| may_be(*target, values));
    let unknown = unknown.map(|(target, values)| engine.told_by_pipeline(target, &values, &kept, &why)).collect();
    Ok((recorded, unknown))
}

impl Engine<'_> {
    fn kept_by_lists(&self) -> Kept {
        let targets = &self.pipeline.targets;
        let mut kept = Kept { by_own: vec![false; targets.len()], at_all: vec![false; targets.len()] };
        for &target in &self.pipeline.order {
            let this = &targets[target];
            let mut lists = (0..this.axes.len()).filter(|&a| !matches!(this.axes[a].kind, AxisKind::From { .. }));
            kept.by_own[target] = lists.any(|axis| self.values_of_axis(target, axis).is_none())
                || this.parents().any(|parent| kept.by_own[parent]);
            kept.at_all[target] = kept.by_own[target] || needed(this).any(|needed| kept.at_all[needed]);
        }
        kept
    }

    /// What is recorded of what was asked for, and why no more can be told of it.
    fn remembered_all(&self, asked: &Asked, kept: &Kept, why: &str) -> Vec<Explanation> {
        let tell = |Recorded { path, may_be }: Recorded| {
            let (target, values) = may_be.iter().find(|(target, values)| self.may_have(*target, values))?;
            let again = "what it reads or what it made was changed, which is seen only once what is at fault is mended";
            let (what, then) = kept.what(*target).unwrap_or(("its steps", "whether there still is such a step"));
            let mut told = Explanation {
                standing: Standing::Pending,
                step: self.label_of(*target, values),
                values: self.named(*target, values),
                message: Some(format!("{what} cannot be told: {why}")),
                help: Some(format!("once that is mended, it is seen {then}")),
                read_out_of: read_out_of(self.pipeline, *target, values),
                again: vec![again.to_owned()],
                ..self.told_by_record(&path)?
            };
            told.inputs.iter_mut().for_each(|read| self.tell_maker(read, kept));
            self.tell_contents_of_record(&path, &mut told);
            Some(told)
        };
        self.records_of(asked).into_iter().filter_map(tell).collect()
    }

    /// What the pipeline says of what was asked for and is not recorded, and why no more can be told of it.
    fn told_by_pipeline(&self, target: TargetId, values: &Values, kept: &Kept, why: &str) -> Explanation {
        let mut told = Explanation {
            standing: Standing::Pending,
            step: self.label_of(target, values),
            values: self.named(target, values),
            outputs: self.outputs_to_come(target, values),
            read_out_of: read_out_of(self.pipeline, target, values),
            ..Explanation::default()
        };
        let (what, then) = match &self.rules[target] {
            Some(compiled) => {
                told.tell_as_it_is_now(&compiled.template);
                let first = told.outputs.first().cloned().unwrap_or_default();
                self.tell_to_come(target, compiled, &mut told, &first);
                kept.what(target).unwrap_or(("its steps", "which there are"))
            }
            None => {
                told.rule.0 = "group".to_owned();
                ("its steps", "where it stands")
            }
        };
        told.message = Some(format!("{what} cannot be told: {why}"));
        told.help = Some(format!("once that is mended, it is seen {then}"));
        told
    }

    /// Of a file that is of no step which can be told, the step that may still make it.
    fn tell_maker(&self, read: &mut Read, kept: &Kept) {
        if read.step.is_some() {
            return;
        }
        let makers = self.recorded(&read.path, self.makers().of(&read.path)).may_be;
        let mut makers =
            makers.iter().filter(|(target, values)| kept.at_all[*target] && self.may_have(*target, values));
        if let Some((target, values)) = makers.next() {
            read.step = Some((self.label_of(*target, values), Some(Standing::Pending.word().to_owned())));
            read.orphan = false;
        }
    }
}

/// The targets that have to be told before the steps of one can be built.
fn needed(target: &Target) -> impl Iterator<Item = TargetId> + '_ {
    let inputs = target.inputs.iter().filter_map(|input| match input.kind {
        InputKind::Target { target, .. } => Some(target),
        InputKind::Path(_) => None,
    });
    inputs.chain(target.after.iter().map(|after| after.target)).chain(target.parents())
}
