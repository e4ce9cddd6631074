//! Paths that turn out to be made by what waits for the step that names them, or by that step itself: nothing could come
//! first, and the step fails.

use super::Decision;
use crate::build::engine::{Engine, Mode};
use crate::build::steps::StepId;
use crate::build::steps::waits::Wait;
use crate::pipeline::model::{Input, InputKind, Meets, TargetId, is_read_out_of};
use crate::pipeline::pattern;

impl Engine<'_> {
    /// Whether a step may be what the path at a place of another's inputs stands for: each target that describes it comes before
    /// each that names the path.
    pub(super) fn is_way(&self, id: StepId, position: usize, step: StepId) -> bool {
        let inputs = self.steps.rows_of(id).filter_map(|(by, _)| self.pipeline.targets[by].inputs.get(position));
        let is_way = |input: &Input, of: TargetId| {
            let is_taken_for = matches!(input.kind, InputKind::Target { target, .. } if target == of);
            is_taken_for || input.others.iter().any(|other| other.target == of && other.meets == Meets::AsOne)
        };
        inputs.into_iter().all(|input| self.steps.rows_of(step).all(|(of, _)| is_way(input, of)))
    }

    /// The step that makes what a path stands for, also where it cannot be. Of two that make it, where neither can be, one that
    /// is a way to it.
    pub(super) fn found_maker(&self, id: StepId, position: usize, path: &str) -> Option<StepId> {
        let input = &self.steps.target(id).inputs[position];
        let others = || input.others.iter().filter(|other| other.meets != Meets::InFolder);
        let refused = || others().find_map(|other| self.steps.refused_with(other.target, &other.on, id));
        let found = self.steps.find_path(&self.state, path).or_else(refused)?;
        if self.clashes.is_empty() || self.is_way(id, position, found) {
            return Some(found);
        }
        let rivals = self.clashes.get(&found).into_iter().flatten().copied();
        let ways = rivals
            .filter(|&rival| self.is_way(id, position, rival) && self.files_of(rival).iter().any(|of| of == path));
        ways.min().or(Some(found))
    }

    /// The first by name of the steps that make one file with this one, none of which can be: whichever came first.
    pub(crate) fn first_rival(&self, step: StepId) -> StepId {
        let rivals = |of: StepId| self.clashes.get(&of).into_iter().flatten().copied();
        let makes_its_file = |rival: &StepId| {
            let files = self.files_of(step);
            self.files_of(*rival).iter().any(|file| files.contains(file))
        };
        let all = rivals(step).flat_map(|rival| rivals(rival).chain([rival])).filter(makes_its_file);
        all.fold(step, |first, rival| self.steps.earlier(Some(first), Some(rival)).unwrap_or(first))
    }

    /// Whether it is seen only by lists that a path names nothing which waits for the step itself.
    pub(super) fn may_lie_in_a_circle(input: &Input) -> bool {
        input.others.iter().any(|other| other.meets == Meets::InCircle)
    }

    /// What makes the path at a place of a step's inputs and waits for the step, or is that itself.
    pub(crate) fn in_circle(&self, id: StepId, position: usize) -> Option<(StepId, String)> {
        let input = self.steps.target(id).inputs.get(position).filter(|input| !input.others.is_empty())?;
        let Wait::Group(group) = self.steps.slots_of(id)[position].wait else { return None };
        let path = input.path.as_ref().filter(|_| self.steps.groups[group as usize].rows.is_empty())?;
        let path = pattern::fill(path, &self.steps.values_of(id));
        let maker = self.found_maker(id, position, &path).filter(|&maker| !self.is_way(id, position, maker))?;
        Some((self.first_rival(maker), path))
    }

    /// That a step waits for itself by a path.
    pub(super) fn waits_for_itself(&self, id: StepId, position: usize) -> Option<Decision> {
        let (maker, path) = self.in_circle(id, position)?;
        let message = match maker == id {
            true => format!("the input {path} is its own output"),
            false => {
                let is_later = |&(by, of): &(TargetId, TargetId)| {
                    let input = self.pipeline.targets[by].inputs.get(position);
                    let mut others = input.into_iter().flat_map(|input| &input.others);
                    others.any(|other| other.target == of && other.meets == Meets::InCircle)
                };
                let rows = self.steps.rows_of(id);
                let mut pairs = rows.flat_map(|(by, _)| self.steps.rows_of(maker).map(move |(of, _)| (by, of)));
                let [own, theirs] = [id, maker].map(|step| self.steps.step(step).target as usize);
                let (own, of) = pairs.find(is_later).unwrap_or((own, theirs));
                let label = self.steps.label_as(maker, of);
                format!("the input {path} is made by {label}, and {}", self.order_of(of, own))
            }
        };
        let help = "correct the path, or have it made by a target that does not wait for this one";
        Some(Decision::Failed { message, help: Some(help.to_owned()) })
    }

    /// That a target comes after another which names what it makes.
    fn order_of(&self, later: TargetId, own: TargetId) -> String {
        let name = |target: TargetId| &self.pipeline.targets[target].name;
        match later == own {
            true => format!("`{}` cannot wait for itself", name(own)),
            // By a path, it may come to.
            false if !self.pipeline.comes_after(later, own) => {
                format!("`{}` may wait for `{}`", name(later), name(own))
            }
            false => format!("`{}` waits for `{}`", name(later), name(own)),
        }
    }

    /// Whether what a step waits for by a path turns out to be made by what waits for it, as far as is known before a build.
    pub(crate) fn waits_for_itself_perhaps(&self, id: StepId) -> bool {
        let makers = (0..self.steps.target(id).inputs.len()).filter_map(|position| self.in_circle(id, position));
        makers.map(|(maker, _)| maker).any(|maker| self.is_in_doubt(maker))
    }

    /// Whether a list may come to tell that a step waits for itself.
    pub(super) fn tells_a_circle(&self, id: StepId, list: StepId) -> bool {
        !self.circles_of(id, list).is_empty()
    }

    /// The targets, each with the path that is named, by which a list may come to tell that.
    fn circles_of(&self, id: StepId, list: StepId) -> Vec<(TargetId, String)> {
        let of = self.steps.step(list).target as usize;
        let tells = |target: TargetId| target == of || is_read_out_of(&self.pipeline.targets, target, of);
        let inputs = self.steps.target(id).inputs.iter().zip(self.steps.inputs_of(id));
        let unseen = inputs.filter(|(_, slot)| !self.is_name_seen(slot.wait));
        let circles = unseen.flat_map(|(input, _)| {
            let told = input.others.iter().filter(|other| other.meets == Meets::InCircle && tells(other.target));
            told.filter_map(|other| Some((other.target, input.path.as_ref()?)))
        });
        circles.map(|(of, path)| (of, pattern::fill(path, &self.steps.values_of(id)))).collect()
    }

    /// What may come to be made by what waits for the step that reads it as it lies there, before a build.
    pub(super) fn may_wait_for_itself(&self, id: StepId) -> Vec<String> {
        if self.mode != Mode::Look || !self.steps.waits_also.contains_key(&id) {
            return Vec::new();
        }
        let own = self.steps.step(id).target as usize;
        let circles = self.open_lists(id).flat_map(|list| self.circles_of(id, list));
        let there = circles.filter(|(_, path)| self.pipeline.root.join(path).exists());
        let say = |(of, path): (TargetId, String)| {
            let maker = &self.pipeline.targets[of].name;
            format!("the input {path} may come to be made by `{maker}`, and {}", self.order_of(of, own))
        };
        there.map(say).collect()
    }
}
