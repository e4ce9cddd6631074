//! Which steps were asked for by name.

use crate::pipeline::model::{Axis, AxisKind, TargetId};

use super::neighbourhood::list_of;
use crate::build::engine::{Compiled, Engine, Selection};
use crate::build::files::folders;
use crate::build::reason::Reason;
use crate::build::request::{Asked, Unknown};
use crate::build::session::Order;
use crate::build::steps::expand::parents_of;
use crate::build::steps::{StepId, printable};

impl Engine<'_> {
    /// Whether a step was asked for by name, and not only because something needs it.
    pub(crate) fn is_asked(&self, asked: &Asked, id: StepId) -> bool {
        let rows = |target: usize| {
            self.steps.step(id).target as usize == target
                || self.steps.shared.get(&id).is_some_and(|also| also.iter().any(|&(t, _)| t == target))
        };
        match asked {
            Asked::Target(target) => rows(*target),
            Asked::Steps(target, values) => {
                let bound = self.steps.values_of(id);
                rows(*target) && values.iter().all(|(b, v)| bound.get(*b) == Some(&v.as_str()))
            }
            Asked::Output(path, _) => self.maker_around(path).is_some_and(|maker| {
                maker == id || self.clashes.get(&id).is_some_and(|others| others.contains(&maker))
            }),
        }
    }

    /// The step that makes a file, or a folder that it lies in.
    pub(super) fn maker_around(&self, path: &str) -> Option<StepId> {
        let of_folder = |folder: &str| {
            let maker = self.steps.find_path(&self.state, folder)?;
            let place = self.paths(maker).position(|output| output == folder)?;
            self.steps.target(maker).outputs.get(place)?.folder.then_some(maker)
        };
        self.steps.find_path(&self.state, path).or_else(|| folders::around(path).rev().find_map(of_folder))
    }

    /// What was asked for by name and turns out not to be.
    pub(crate) fn not_found(&self, order: &Order) -> Option<Unknown> {
        let found = |asked: &Asked| match asked {
            Asked::Target(_) => true,
            Asked::Steps(target, _) => self.steps.rows[*target].steps.iter().any(|&id| self.is_asked(asked, id)),
            Asked::Output(path, _) => self.maker_around(path).is_some(),
        };
        // What `--refresh` and `--force` name may lie outside of what is built; it is missed only where it could be told.
        let told = |asked: &&Asked| match asked {
            Asked::Target(_) => false,
            Asked::Steps(target, _) => self.wanted[*target].all,
            Asked::Output(_, makers) => makers.iter().all(|(target, _)| self.wanted[*target].all),
        };
        let chosen = [&order.refresh, &order.force].into_iter().flat_map(|selection| match selection {
            Selection::Named(named) => named.as_slice(),
            Selection::None | Selection::All => &[],
        });
        let missing = order.asked.iter().chain(chosen.filter(told)).find(|asked| !found(asked))?;
        Some(self.nothing_of(missing))
    }

    /// That there is nothing of this name.
    pub(crate) fn nothing_of(&self, asked: &Asked) -> Unknown {
        let message = match asked {
            Asked::Target(target) => {
                let why = self.why_none(*target).map(|why| format!(": {why}")).unwrap_or_default();
                format!("no step of {} now{why}", self.name(asked))
            }
            Asked::Output(..) => format!("no step makes {}", self.name(asked)),
            Asked::Steps(..) => format!("no step {}", self.name(asked)),
        };
        Unknown { message, help: Some("`layermill graph --steps` names all that can be told now".to_owned()) }
    }

    /// As it is named on the command line.
    fn name(&self, asked: &Asked) -> String {
        match asked {
            Asked::Target(target) => self.pipeline.targets[*target].name.clone(),
            Asked::Output(path, _) => path.clone(),
            Asked::Steps(target, values) => {
                let target = &self.pipeline.targets[*target];
                let values: Vec<String> =
                    values.iter().map(|(b, v)| format!("{}={}", target.bindings[*b].name, printable(v))).collect();
                format!("{}@{}", target.name, values.join(","))
            }
        }
    }

    /// What `--refresh` and `--force` named and does nothing, each with why.
    pub(crate) fn in_vain(&self) -> Vec<String> {
        if self.offline && self.refresh != Selection::None {
            return vec!["`--refresh` does nothing: with `--offline`, no source is asked".to_owned()];
        }
        let named = [("--refresh", &self.refresh), ("--force", &self.force)].into_iter().flat_map(|(flag, chosen)| {
            let named = if let Selection::Named(named) = chosen { named.as_slice() } else { &[] };
            named.iter().map(move |asked| (flag, asked))
        });
        let told = named.filter_map(|(flag, asked)| {
            let why = match self.steps_asked(asked).as_slice() {
                [] if asked.targets().into_iter().any(|target| self.may_get_steps(target)) => return None,
                [] => "it is not among what is built",
                steps if flag == "--refresh" && !steps.iter().any(|&id| self.is_asked_anew(id)) => {
                    "it asks no source by itself; `--force` makes it again"
                }
                _ => return None,
            };
            Some(format!("`{flag}={}` does nothing: {why}", self.name(asked)))
        });
        told.collect()
    }

    fn steps_asked(&self, asked: &Asked) -> Vec<StepId> {
        (0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX)).filter(|&id| self.is_asked(asked, id)).collect()
    }

    fn may_get_steps(&self, target: TargetId) -> bool {
        self.wanted[target].is_wanted() && self.unknown(target, &|step| !self.is_settled(step)).is_some()
    }

    /// Whether `--refresh` makes a step ask its source.
    fn is_asked_anew(&self, id: StepId) -> bool {
        let compiled = self.rules[self.steps.step(id).target as usize].as_ref();
        let asks = |compiled: &Compiled| compiled.by_source && compiled.rule.question(&self.view(id)).is_some();
        // One that was absent is looked for again.
        let reasons = self.accounts.get(&id).and_then(|account| account.reasons.as_ref());
        compiled.is_some_and(asks) || reasons.is_some_and(|reasons| reasons.iter().any(|why| *why == Reason::Refreshed))
    }

    /// Which list of a target without steps, or of what its values are read out of, has nothing.
    pub(crate) fn why_none(&self, target: TargetId) -> Option<String> {
        let this = &self.pipeline.targets[target];
        let none_of = |(position, axis): (usize, &Axis)| match &axis.kind {
            AxisKind::From { target: parent, .. } if self.steps.rows[*parent].steps.is_empty() => {
                self.why_none(*parent)
            }
            AxisKind::From { .. } => None,
            kind => self.has_no_values(target, position).then(|| match kind {
                AxisKind::Glob(pattern) => format!("no file is there of {pattern}"),
                kind => match list_of(kind) {
                    Some(list) => format!("no value is in {list}"),
                    None => format!("the list of `{}` is empty", this.bindings[axis.binding].name),
                },
            }),
        };
        let parents: Vec<&str> = parents_of(this).map(|parent| self.pipeline.targets[parent].name.as_str()).collect();
        let unread = || (!parents.is_empty()).then(|| format!("no value is read out of {}", parents.join(" and ")));
        this.axes.iter().enumerate().find_map(none_of).or_else(unread)
    }
}
