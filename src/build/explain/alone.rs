//! Where steps stand that others keep from being made, if those were not asked for.

use std::collections::HashMap;

use crate::pipeline::model::TargetId;

use super::{Explanation, Standing};
use crate::build::engine::Engine;
use crate::build::events::Silence;
use crate::build::files::folders;
use crate::build::outcome;
use crate::build::request::Asked;
use crate::build::session::{Order, Session, looked};
use crate::build::steps::StepId;

/// What is told of steps if the others that make their files were not asked for.
pub(super) struct Alone<'e, 'p> {
    engine: &'e Engine<'p>,
    session: &'e Session,
    order: &'e Order,
    told: HashMap<TargetId, Vec<Explanation>>,
}

impl<'e, 'p> Alone<'e, 'p> {
    pub fn new(engine: &'e Engine<'p>, session: &'e Session, order: &'e Order) -> Self {
        Self { engine, session, order, told: HashMap::new() }
    }

    pub fn of(&mut self, id: StepId, clashing: &Explanation) -> Option<Explanation> {
        let target = self.engine.steps.step(id).target as usize;
        if !self.told.contains_key(&target) {
            let told = self.of_target(target);
            self.told.insert(target, told);
        }
        self.told[&target].iter().find(|alone| alone.step == clashing.step).cloned()
    }

    /// What would be told of a target's steps that were asked for, if no other one made their files.
    fn of_target(&self, target: TargetId) -> Vec<Explanation> {
        let asked = self.order.asked.iter().flat_map(Asked::each).filter(|asked| asked.targets() == [target]);
        let mut told = self.by_themselves(asked.collect());
        for apart in self.engine.apart(target) {
            let values = |id| self.engine.steps.values_of(id).into_iter().map(str::to_owned).enumerate().collect();
            told.extend(self.by_themselves(apart.into_iter().map(|id| Asked::Steps(target, values(id))).collect()));
        }
        told
    }

    /// What is told where only this is asked for, of the steps that nothing clashes with then.
    fn by_themselves(&self, asked: Vec<Asked>) -> Vec<Explanation> {
        let order = Order { asked, ..self.order.clone() };
        let Ok((engine, _)) = looked(self.session, &order, &mut Silence) else { return Vec::new() };
        let told = engine.explained(&order.asked).into_iter();
        told.filter(|(id, _)| !engine.clashes.contains_key(id)).map(|(_, told)| told).collect()
    }
}

impl Engine<'_> {
    /// The steps of a target that clash with others of it, so divided that none clashes with one beside it.
    fn apart(&self, target: TargetId) -> Vec<Vec<StepId>> {
        let is_its = |id: &StepId| self.steps.step(*id).target as usize == target;
        let clashing = self.clashes.iter().filter(|(id, others)| is_its(id) && others.iter().any(is_its));
        let mut clashing: Vec<StepId> = clashing.map(|(&id, _)| id).collect();
        clashing.sort_unstable();
        let mut apart: Vec<Vec<StepId>> = Vec::new();
        for id in clashing {
            let goes = |beside: &&mut Vec<StepId>| !beside.iter().any(|&other| self.clash(id, other));
            match apart.iter_mut().find(goes) {
                Some(beside) => beside.push(id),
                None => apart.push(vec![id]),
            }
        }
        apart
    }

    /// Whether one of two steps makes a file that the other makes, or needs a folder for.
    fn clash(&self, a: StepId, b: StepId) -> bool {
        let (ours, theirs) = (self.files_of(a), self.files_of(b));
        let meets = |a: &String, b: &String| a == b || folders::around(a).any(|folder| folder == b);
        ours.iter().any(|ours| theirs.iter().any(|theirs| meets(ours, theirs) || meets(theirs, ours)))
    }

    /// A file that lies where a folder for the outputs of a step is to be.
    pub(super) fn in_the_way(&self, id: StepId) -> Option<String> {
        let is_file = |path: &&str| self.pipeline.root.join(path).is_file();
        self.files_of(id).iter().find_map(|path| folders::around(path).find(is_file).map(str::to_owned))
    }
}

impl Explanation {
    /// Where it stands, where this is told of it without what keeps it from being made.
    pub(super) fn alone(&self, how: &str) -> String {
        let why = self.reasons.first().map(|why| format!(": {why}")).unwrap_or_default();
        // How it fared among the others says nothing of that.
        let word = match self.standing {
            Standing::Step(status) => outcome::standing(status, None, &self.reasons),
            Standing::Pending | Standing::Orphan => self.word(),
        };
        format!("asked for {how}, it is {word}{why}")
    }

    /// Tells of what is put off since others come first where it stands by itself.
    pub(super) fn compare(&mut self, alone: Option<&Self>) {
        if self.alone.is_none() {
            let differs = |alone: &&Self| alone.standing != self.standing;
            self.alone = alone.filter(differs).map(|alone| alone.alone("by itself"));
        }
    }

    /// The same of a step that makes the file of another one: where both are built, both fail. What the other has made may
    /// lie in its way.
    pub(super) fn beside_another(self, clash: Self, in_the_way: Option<String>) -> Self {
        let mut again = vec!["only one of them makes the file: a build comes then".to_owned()];
        again.extend(self.again.iter().cloned());
        let build = format!("`layermill build {}` makes it without the other", self.step);
        let (alone, help) = match in_the_way {
            Some(path) => (
                format!("asked for without the other, it fails as long as {path} lies in its way"),
                format!("leave the file to one of them; once {path} is removed, {build}"),
            ),
            None => (self.alone("without the other"), format!("leave the file to one of them; {build}")),
        };
        Self {
            standing: clash.standing,
            perhaps: clash.perhaps,
            doubt: clash.doubt,
            message: clash.message,
            alone: Some(alone),
            again,
            reasons: Vec::new(),
            more_reasons: 0,
            work: None,
            help: Some(help),
            last_failure: None,
            ..self
        }
    }
}
