//! Which steps were asked for by name.

use std::collections::HashSet;
use std::sync::Arc;

use crate::pipeline::axis::read_values;
use crate::pipeline::model::{Axis, AxisKind, Binding, StepsOf, Target, TargetId};
use crate::pipeline::pattern::fill;
use crate::pipeline::problem::{meant, nearest};

use crate::build::engine::{Compiled, Engine, Selection};
use crate::build::files::folders;
use crate::build::reason::Reason;
use crate::build::request::{Asked, Unknown};
use crate::build::session::Order;
use crate::build::steps::values::{Values, each_once, list_of, made_list};
use crate::build::steps::{StepId, printable};

impl Engine<'_> {
    /// Whether a step was asked for, and not only because something needs it: by its name, or by that of a group, which
    /// stands for what it names.
    pub(crate) fn is_asked(&self, asked: &Asked, id: StepId) -> bool {
        let stands_for_it = |group: &Target| group.members().any(|of| self.is_of(of.target, &of.values, id));
        self.is_named(asked, id)
            || matches!(asked, Asked::Target(target) if stands_for_it(&self.pipeline.targets[*target]))
    }

    /// Whether a step is asked for once a target that may come to describe it, too, does.
    pub(crate) fn may_come_to_be_asked(&self, asked: &Asked, id: StepId) -> bool {
        let Some(joiners) = self.may_be_joined.get(&id) else { return false };
        let (own, bound) = (&self.steps.target(id).bindings, self.steps.values_of(id));
        let may_be_of = |target: TargetId, values: &[(usize, String)]| {
            let has = |binding: &Binding, value: &str| {
                own.iter().position(|of| of.name == binding.name).is_some_and(|place| bound[place] == value)
            };
            let theirs = &self.pipeline.targets[target].bindings;
            joiners.contains(&target)
                && self.is_heeded(id, target)
                && values.iter().all(|(b, value)| has(&theirs[*b], value))
        };
        match asked {
            Asked::Output(..) => false,
            Asked::Steps(target, values) => may_be_of(*target, values),
            Asked::Target(target) => {
                let mut members = self.pipeline.targets[*target].members();
                may_be_of(*target, &[]) || members.any(|of| may_be_of(of.target, &of.values))
            }
        }
    }

    /// Whether `--force` or `--refresh` names a step whatever comes of lists that are built first: as one of a target that may
    /// turn out not to describe it, it is named only perhaps.
    pub(crate) fn is_chosen_for_sure(&self, selection: &Selection, id: StepId) -> bool {
        let Selection::Named(named) = selection else { return true };
        let rows = self.steps.rows_of(id).filter(|&(target, row)| self.row_in_doubt(id, target, row).is_none());
        let sure: Vec<TargetId> = rows.map(|(target, _)| target).collect();
        let is_by = |asked: &Asked| match asked {
            Asked::Output(..) => true,
            Asked::Target(target) | Asked::Steps(target, _) => {
                let mut members = self.pipeline.targets[*target].members();
                let is_sure = |of: &StepsOf| sure.contains(&of.target) && self.is_of(of.target, &of.values, id);
                sure.contains(target) || members.any(|of| is_sure(&of))
            }
        };
        named.iter().any(|asked| self.is_asked(asked, id) && is_by(asked))
    }

    /// The paths by which alone a step was asked for, or a group names it; `None` where it is asked for as a whole.
    pub(crate) fn paths_asked(&self, asked: &[Asked], id: StepId) -> Option<Vec<String>> {
        let by_path = |asked: &Asked| -> Option<Vec<String>> {
            match asked {
                Asked::Output(path, _) => Some(vec![path.clone()]),
                Asked::Target(group) if !self.is_named(asked, id) => {
                    let members = self.pipeline.targets[*group].members();
                    members.filter(|of| self.is_of(of.target, &of.values, id)).map(|of| of.path).collect()
                }
                Asked::Target(_) | Asked::Steps(..) => None,
            }
        };
        let paths: Option<Vec<_>> = asked.iter().filter(|asked| self.is_asked(asked, id)).map(by_path).collect();
        Some(paths?.concat())
    }

    /// Whether a step is one of a target with these values, also where it goes by another target that describes it.
    pub(crate) fn is_of(&self, target: TargetId, values: &[(usize, String)], id: StepId) -> bool {
        let own = self.steps.step(id).target as usize;
        if own != target && !self.steps.shared.get(&id).is_some_and(|also| also.iter().any(|&(t, _)| t == target)) {
            return false;
        }
        let bound = if values.is_empty() { Vec::new() } else { self.steps.values_of(id) };
        values.iter().all(|(b, v)| bound.get(*b) == Some(&v.as_str()))
    }

    /// The same by its own name alone, for what tells of a group by itself.
    pub(crate) fn is_named(&self, asked: &Asked, id: StepId) -> bool {
        match asked {
            Asked::Target(target) => self.is_of(*target, &[], id),
            Asked::Steps(target, values) => self.is_of(*target, values, id),
            Asked::Output(path, _) => match self.maker_around(path) {
                Some(maker) => maker == id || self.clashes.get(&id).is_some_and(|others| others.contains(&maker)),
                None => self.is_refused_for(id, path),
            },
        }
    }

    /// Whether a step would make a file, and is refused.
    fn is_refused_for(&self, id: StepId, path: &str) -> bool {
        self.steps.is_refused(id) && self.files_of(id).iter().any(|file| file == path)
    }

    /// Whether a step makes a file, or a folder that it lies in, or would, and is refused.
    pub(crate) fn has_step_at(&self, path: &str) -> bool {
        let mut refused = self.steps.refused.values().flatten();
        self.maker_around(path).is_some() || refused.any(|&step| self.is_refused_for(step, path))
    }

    /// The step that makes a file, or a folder that it lies in.
    pub(crate) fn maker_around(&self, path: &str) -> Option<StepId> {
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
            Asked::Output(path, _) => self.has_step_at(path),
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
        let all = || "`layermill graph --steps` names all that can be told now".to_owned();
        let recorded = self.is_recorded(asked).then(|| {
            format!(
                "it was made before, and no step makes it now: `layermill explain {}` tells of it",
                self.name(asked)
            )
        });
        Unknown { message, help: Some(recorded.or_else(|| Some(meant(&self.near(asked)?))).unwrap_or_else(all)) }
    }

    /// That a name is meant, where there is something of it, or the one that is nearest to it.
    pub(super) fn help_to_name(&self, near: &Asked) -> Option<String> {
        let is_there = self.has_step(near) || !self.to_come(near).is_empty();
        let name = if is_there { Some(self.name(near)) } else { self.near(near) };
        name.map(|name| meant(&name)).or_else(|| near.targets().first().map(|&t| meant(&self.pipeline.targets[t].name)))
    }

    /// The name that is nearest to one that there is nothing of.
    fn near(&self, asked: &Asked) -> Option<String> {
        match asked {
            Asked::Target(_) => None,
            Asked::Steps(target, values) => Some(self.name(&Asked::Steps(*target, self.near_values(*target, values)?))),
            Asked::Output(path, makers) => {
                let near = makers.iter().filter_map(|(target, values)| {
                    let mut values = self.near_values(*target, values)?;
                    values.sort_by_key(|(binding, _)| *binding);
                    let filled: Vec<&str> = values.iter().map(|(_, value)| value.as_str()).collect();
                    let outputs = self.pipeline.targets[*target].outputs.iter();
                    // Of a path that does not tell all values, no other one can be made.
                    let all = values.iter().enumerate().all(|(at, (binding, _))| at == *binding);
                    let paths = outputs.map(move |output| fill(&output.pattern, &filled)).filter(move |_| all);
                    Some(paths.collect::<Vec<_>>())
                });
                let near: Vec<String> = near.flatten().collect();
                nearest(path, near.iter().map(String::as_str)).map(str::to_owned)
            }
        }
    }

    /// Values of which some are none of their target's, each of these as the nearest that is; `None` where there is no such.
    fn near_values(&self, target: TargetId, values: &[(usize, String)]) -> Option<Values> {
        let mut near = values.to_vec();
        for (binding, value) in &mut near {
            let known = self.known_values(target, *binding);
            let meant = if known.contains(value) { None } else { nearest(value, known.iter().map(String::as_str)) };
            if let Some(meant) = meant.map(str::to_owned) {
                *value = meant;
            }
        }
        (near != values).then_some(near)
    }

    /// The values that a binding may have, as far as its list, or what was looked at of that which they are read out of,
    /// tells them.
    fn known_values(&self, target: TargetId, binding: usize) -> Arc<HashSet<String>> {
        let this = &self.pipeline.targets[target];
        let Binding { axis, parent: theirs, .. } = this.bindings[binding];
        match (&this.axes[axis].kind, theirs) {
            (AxisKind::From { target: parent, .. }, Some(theirs)) => self.known_values(*parent, theirs),
            (AxisKind::From { target: parent, read, output }, None) => {
                let steps = self.steps.rows[*parent].steps.iter();
                let outputs = steps.filter_map(|&step| self.bytes_to_read(step, *output)?.ok());
                let values = outputs.filter_map(|bytes| read_values(read, &bytes).ok()).flatten();
                Arc::new(values.map(|(value, _)| value).collect())
            }
            _ => self.values_of_axis(target, axis).unwrap_or_default(),
        }
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
                [] if self.targets_asked(asked).into_iter().any(|target| self.may_get_steps(target)) => return None,
                [] if self.targets_asked(asked).iter().all(|&target| self.rules[target].is_none()) => {
                    "no step makes what it names"
                }
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

    /// The steps that were asked for, without those of groups, which make nothing.
    fn steps_asked(&self, asked: &Asked) -> Vec<StepId> {
        let makes = |id: &StepId| self.rules[self.steps.step(*id).target as usize].is_some();
        let ids = 0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        ids.filter(makes).filter(|&id| self.is_asked(asked, id)).collect()
    }

    /// The targets that what was asked for may be of, with those that a group stands for.
    fn targets_asked(&self, asked: &Asked) -> Vec<TargetId> {
        let named = asked.targets();
        let members = named.iter().flat_map(|&target| self.pipeline.targets[target].members());
        members.map(|of| of.target).chain(named.iter().copied()).collect()
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
        let unread = || {
            let lists = self.lists_without_values(target);
            (!lists.is_empty()).then(|| format!("no value is read out of {}", lists.join(" and ")))
        };
        this.axes.iter().enumerate().find_map(none_of).or_else(unread)
    }

    /// What a target without steps reads values out of, each once: of several lists, those that have none.
    fn lists_without_values(&self, target: TargetId) -> Vec<String> {
        let has_none = |(axis, parent): &(usize, TargetId)| {
            let mut steps = self.steps.rows[*parent].steps.iter();
            steps.all(|&step| self.values_read_out_of(step, target, *axis).is_some_and(|values| values.is_empty()))
        };
        let axes = self.pipeline.targets[target].axes.iter().enumerate();
        let mut read: Vec<(usize, TargetId)> = axes
            .filter_map(|(position, axis)| match axis.kind {
                AxisKind::From { target: parent, .. } => Some((position, parent)),
                _ => None,
            })
            .collect();
        if read.len() > 1 && read.iter().any(has_none) {
            read.retain(has_none);
        }
        each_once(read.into_iter().filter_map(|(axis, _)| made_list(self.pipeline, target, axis, &[])))
    }
}
