//! What is told of an output that no step makes any more: all that its record says, and what becomes of it.

use crate::pipeline::model::TargetId;

use super::{Explanation, Standing};
use crate::build::engine::Engine;
use crate::build::files::folders;
use crate::build::files::{self, Look};
use crate::build::steps::printable;
use crate::build::steps::values::{Value, Values, each_once, filled, label, read_out_of};

/// What is said of an output that is not what was made.
const CHANGED: &str = "changed since";
/// The same of one that is not there.
const GONE: &str = "gone";

/// What `clean` does with an orphan that may be a step again.
fn leaves(list: &str) -> String {
    format!("`layermill clean --orphans` leaves it, since {list} may have it again")
}

impl Engine<'_> {
    /// A record that no target's output is of.
    pub(crate) fn orphan(&self, path: &str) -> Option<Explanation> {
        let first = self.recorded_by(path)?;
        let told = self.orphan_of(&first, None)?;
        if first == path || self.state.file(path).is_none() {
            return Some(told);
        }
        let is_of_first = told.help.as_ref() == Some(&self.help_on_orphan(&first));
        let help = if is_of_first { Some(self.help_on_orphan(path)) } else { told.help.clone() };
        // What was made beside it may still be.
        Some(Explanation { step: path.to_owned(), outputs: vec![self.output_now(path)], help, ..told })
    }

    /// What `clean` does with a recorded output that no step makes any more.
    fn help_on_orphan(&self, path: &str) -> String {
        let fate = match self.became_of(path) {
            Some(CHANGED) => "leaves it, since it was changed since it was made; with `--force`, it goes, too",
            Some(_) => "forgets it, and removes all others of its kind; `-n` lists them",
            None => "removes it, with all others of its kind; `-n` lists them",
        };
        format!("`layermill clean --orphans` {fate}")
    }

    /// The first output of the recorded step that made this file, or a folder that it lies in.
    pub(super) fn recorded_by(&self, path: &str) -> Option<String> {
        let made = |path: &str| {
            let id = self.state.find(path)?;
            let first = self.kept_by(id)?;
            (first == id || self.state.file_at(id).is_some()).then(|| self.state.path(first).to_owned())
        };
        made(path).or_else(|| folders::around(path).rev().find_map(made))
    }

    /// The record that is kept by this path, and the target that it was of, where there is that.
    pub(super) fn orphan_of(&self, path: &str, of: Option<&(TargetId, Values)>) -> Option<Explanation> {
        let mut told = self.told_by_record(path)?;
        told.standing = Standing::Orphan;
        told.step = of.map_or_else(|| path.to_owned(), |(target, values)| self.label_of(*target, values));
        // Without a target, the path has to tell by which values it was made.
        told.values = match of {
            Some((target, values)) => self.named(*target, values),
            None => self.values_in(path),
        };
        let then = self.lists_then(path, &told.values);
        self.tell_contents_of_record(path, &mut told);
        let own = of.map(|(target, _)| &self.pipeline.targets[*target].name);
        if let Some(made) = told.last_made.as_mut() {
            made.step = made.target.as_ref().map(|target| match own {
                Some(own) if own != target => label(target, &self.values_in(path)),
                _ => label(target, &told.values),
            });
        }
        told.message = Some(match of {
            Some((target, values)) => {
                let gone = match self.maker_that_is_gone(&told) {
                    Some(by) => format!("{by}, which made it, is no target now, and "),
                    None => String::new(),
                };
                format!("no step makes it any more: {gone}{}", self.what_it_lacks(*target, values, then.as_ref()))
            }
            None => {
                let moved = self.moved_pattern(path);
                let why = moved.unwrap_or_else(|| "no target has an output of this name".to_owned());
                format!("no step makes it any more: {why}")
            }
        });
        told.read_out_of = then.unwrap_or_default();
        self.tell_last_try_of_orphan(path, &mut told);
        told.help = Some(self.help_on_orphan(path));
        let has = match of.and_then(|(target, values)| self.gone_value(*target, values)) {
            Some((value, place)) => format!("{} is {place} again", printable(&value)),
            None => "the pipeline, or what values are read out of, has it again".to_owned(),
        };
        told.again = vec![format!("{has}: it is a step again then, and is made if something of it changed")];
        if let Some(asked) = of.and_then(|(target, values)| self.always_asked(*target, values)) {
            let label = self.steps.label(asked);
            let why = told.message.unwrap_or_default();
            told.message = Some(format!("{why}, as of the last build: {label} is asked in each"));
            let by_source = self.reads_a_source(self.steps.step(asked).target as usize);
            told.help = Some(if by_source {
                "`layermill clean --orphans --offline` goes by the last answer and removes it, with all others of its kind"
                    .to_owned()
            } else {
                leaves(&label)
            });
        } else if let Some((target, values)) = of.filter(|(target, values)| self.may_be_back(*target, values)) {
            self.tell_way_back(*target, values, &mut told);
        }
        Some(told)
    }

    /// The target that made what is told, where there is none of that name.
    fn maker_that_is_gone(&self, told: &Explanation) -> Option<String> {
        let by = told.last_made.as_ref()?.target.clone()?;
        self.pipeline.targets.iter().all(|target| target.name != by).then_some(by)
    }

    /// Why a target has no step of a recorded one's values; `then` is what those were read out of.
    fn what_it_lacks(&self, target: TargetId, values: &Values, then: Option<&Vec<String>>) -> String {
        if let Some((value, place)) = self.gone_value(target, values) {
            return format!("{} is not {place} now", printable(&value));
        }
        let now = read_out_of(self.pipeline, target, values);
        let other = if now.is_empty() || then == Some(&now) {
            String::new()
        } else {
            format!(", which are read out of {}", now.join(" and "))
        };
        format!("these values are not among those of {} now{other}", self.pipeline.targets[target].name)
    }

    /// The first of a recorded step's values that its list does not have any more, and where that is, as what follows "is not".
    fn gone_value(&self, target: TargetId, values: &[(usize, String)]) -> Option<(String, String)> {
        let this = &self.pipeline.targets[target];
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        if values.len() < this.bindings.len() {
            return None;
        }
        this.axes.iter().enumerate().find_map(|(axis, of)| {
            let list = match self.read_from(target, axis, values) {
                None => None,
                Some((parent, theirs)) => match self.parent_step(target, axis, value) {
                    None => return self.gone_value(parent, &theirs),
                    step => step,
                },
            };
            let own = value(of.binding).filter(|own| self.lacks_value(target, axis, list, own))?;
            let among = || format!("in the list of `{}` in the pipeline file", this.bindings[of.binding].name);
            Some((own.to_owned(), self.where_read(target, axis, list).unwrap_or_else(among)))
        })
    }

    /// That an orphan is one as its lists were last built, and what would make it a step again.
    fn tell_way_back(&self, target: TargetId, values: &[(usize, String)], told: &mut Explanation) {
        let Some((list, what, step)) = self.awaited(target, values) else { return };
        let label = self.steps.label(step);
        let why = told.message.take().unwrap_or_default();
        told.message = Some(format!("{why}, as of the last build of {list}: {what}"));
        told.help = Some(format!("{}; {}", leaves(&label), self.help_to_build(&[step], &label)));
    }

    /// What the values of a recorded step were read out of when it was last made, where the record tells.
    fn lists_then(&self, path: &str, values: &[Value]) -> Option<Vec<String>> {
        let template = self.template_of(&self.state.step(path)?)?;
        // Records of an earlier layermill name a step once for each of its files that is read.
        Some(each_once(template.lists?.iter().map(|list| filled(list, values))))
    }

    /// A recorded output, and what became of it.
    pub(super) fn output_now(&self, path: &str) -> String {
        self.became_of(path).map_or_else(|| path.to_owned(), |fate| format!("{path} ({fate})"))
    }

    /// The recorded outputs of a step that are not there any more.
    pub(super) fn missing_of(&self, path: &str) -> Vec<String> {
        let record = self.state.step(path).filter(|record| record.absent.is_none());
        let outputs = record.into_iter().flat_map(|record| std::iter::once(path.to_owned()).chain(record.more_outputs));
        outputs.filter(|output| self.became_of(output) == Some(GONE)).collect()
    }

    /// Whether a recorded output is not what it was.
    pub(crate) fn became_of(&self, path: &str) -> Option<&'static str> {
        let full = self.pipeline.root.join(path);
        let folder = std::fs::symlink_metadata(&full).is_ok_and(|m| m.is_dir());
        let known = self.state.file(path);
        match (files::look_at_output(&full, known, folder), known) {
            (Look::Missing, _) => Some(GONE),
            (Look::Same(_), _) => None,
            (Look::Hashed(now), Some(known)) if now.content == known.content => None,
            (Look::Hashed(_) | Look::Unusable(_), _) => Some(CHANGED),
        }
    }
}
