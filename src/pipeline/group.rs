//! Groups: inputs under one name.

use super::model::{Input, InputKind, Meets, StepsOf, Target};
use super::pattern::{fill, joined};

impl Target {
    /// What a group stands for, groups in it replaced by what these do; of what is no group, nothing.
    pub fn members(&self) -> impl Iterator<Item = StepsOf> + '_ {
        self.members_of(|_| true)
    }

    /// The same without paths that may be made in several ways: by which of these one comes, the group itself sees.
    pub(super) fn sure_members(&self) -> impl Iterator<Item = StepsOf> + '_ {
        self.members_of(|input| input.others.is_empty())
    }

    fn members_of<'t>(&'t self, is_meant: impl Fn(&Input) -> bool + 't) -> impl Iterator<Item = StepsOf> + 't {
        let inputs = if self.rule.is_none() { self.inputs.as_slice() } else { &[] };
        inputs.iter().filter(move |input| is_meant(input)).flat_map(|input| {
            let meant = match &input.kind {
                InputKind::Target { target, on, .. } => Some((target, on)),
                InputKind::Path(_) => None,
            };
            let others = input.others.iter().filter(|other| other.meets == Meets::AsOne);
            let all = meant.into_iter().chain(others.map(|other| (&other.target, &other.on)));
            // A group has no values: a path in it is one file's.
            let path = input.path.as_ref().map(|path| fill(path, &[]));
            all.map(move |(&target, on)| StepsOf { target, values: joined(on, &[]), path: path.clone() })
        })
    }
}
