//! Who makes what lies at a path: each file has one step, and no file lies where another step needs a folder.

use super::waits::Wait;
use super::{FileId, NONE, StepId, Steps};
use crate::build::files::folder_and_name;
use crate::store::state::{PathId, State};

/// Who makes a file, in four bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Maker(u32);

impl Maker {
    const UNKNOWN: Self = Self(NONE);
    /// Set where the rest is the number of a file that no step makes.
    const FILE: u32 = 1 << 31;
}

/// Why a new step cannot be.
#[derive(Debug, PartialEq, Eq)]
pub enum Clash {
    /// Another step makes the same file.
    SameFile(StepId),
    /// Another step needs a folder where this one makes a file, or the other way round.
    FileAndFolder(StepId),
    /// Some step that came before reads it as a file that no step makes: what tells of this one waits for that.
    Read,
}

impl Steps<'_> {
    /// The step that makes this file or folder.
    pub fn maker(&self, path: PathId) -> Option<StepId> {
        self.makers.get(path.index()).map(|m| m.0).filter(|m| m & Maker::FILE == 0)
    }

    /// A step of which an output lies in a folder at this path.
    pub fn writing_in(&self, path: PathId) -> Option<StepId> {
        self.folders.get(&path).copied()
    }

    /// Whether a step makes or reads what lies at a path.
    pub fn is_known(&self, path: PathId) -> bool {
        self.makers.get(path.index()).is_some_and(|&maker| maker != Maker::UNKNOWN)
    }

    /// The step that makes the file or folder of this path.
    pub fn find_path(&self, state: &State, path: &str) -> Option<StepId> {
        self.maker(state.find(path)?)
    }

    fn set_maker(&mut self, path: PathId, maker: Maker) {
        if self.makers.len() <= path.index() {
            self.makers.resize(path.index() + 1, Maker::UNKNOWN);
        }
        self.makers[path.index()] = maker;
    }

    /// What a path stands for as an input: a step, or a file that no step makes.
    pub fn wait_for_path(&mut self, path: PathId) -> Wait {
        match self.makers.get(path.index()) {
            Some(&maker) if maker != Maker::UNKNOWN => match maker.0 & Maker::FILE {
                0 => Wait::Step(maker.0),
                _ => Wait::File(maker.0 & !Maker::FILE),
            },
            _ => {
                let file = FileId::try_from(self.files.len()).expect("no more files than paths");
                self.files.push(path);
                self.set_maker(path, Maker(file | Maker::FILE));
                Wait::File(file)
            }
        }
    }

    /// Claims the paths of a step's outputs for it.
    pub fn claim(&mut self, id: StepId, paths: &[PathId], state: &mut State) -> Result<(), Clash> {
        for &path in paths {
            if let Some(other) = self.maker_that_can_be(path) {
                return Err(Clash::SameFile(other));
            }
            if self.is_known(path) {
                return Err(Clash::Read);
            }
            self.claim_folders(id, path, state)?;
        }
        self.give_paths(id, paths);
        Ok(())
    }

    /// Gives a step that is refused the paths that it would have, as far as no other step has to do with them.
    /// Whoever can be takes them from it.
    pub fn claim_in_vain(&mut self, id: StepId, paths: &[PathId]) {
        if paths.iter().all(|&path| !self.is_known(path) && self.writing_in(path).is_none()) {
            self.give_paths(id, paths);
        }
    }

    /// The step that makes this file or folder; one that cannot be gives way.
    fn maker_that_can_be(&mut self, path: PathId) -> Option<StepId> {
        let maker = self.maker(path)?;
        if !self.is_refused(maker) {
            return Some(maker);
        }
        for path in self.outputs(maker).to_vec() {
            self.set_maker(path, Maker::UNKNOWN);
        }
        self.step_mut(maker).first_path = NONE;
        None
    }

    /// The steps that make anything in a folder, in which a file was to be.
    pub fn inside(&self, file: PathId, state: &State) -> Vec<StepId> {
        if !self.contested.contains_key(&file) {
            return Vec::new();
        }
        let lies_in = |path: &str| path.strip_prefix(state.path(file)).is_some_and(|rest| rest.starts_with('/'));
        let makes_any = |id: &StepId| self.outputs(*id).iter().any(|&path| lies_in(state.path(path)));
        (0..self.steps.len() as StepId).filter(makes_any).collect()
    }

    fn give_paths(&mut self, id: StepId, paths: &[PathId]) {
        self.step_mut(id).first_path = u32::try_from(self.paths.len()).expect("fewer than 2^32 outputs fit in memory");
        self.paths.extend_from_slice(paths);
        for &path in paths {
            self.set_maker(path, Maker(id));
        }
    }

    fn claim_folders(&mut self, id: StepId, path: PathId, state: &mut State) -> Result<(), Clash> {
        if let Some(&other) = self.folders.get(&path) {
            self.contested.entry(path).or_insert(id);
            self.last_folder.clear();
            return Err(Clash::FileAndFolder(other));
        }
        let (folder, _) = folder_and_name(state.path(path));
        // Steps come in runs that share a folder.
        if folder == self.last_folder {
            return Ok(());
        }
        let folder = folder.to_owned();
        let ends = folder.match_indices('/').map(|(end, _)| end);
        for end in ends.chain((!folder.is_empty()).then_some(folder.len())) {
            let ancestor = state.intern(&folder[..end]);
            if let Some(other) = self.contested.get(&ancestor).copied().or_else(|| self.maker_that_can_be(ancestor)) {
                return Err(Clash::FileAndFolder(other));
            }
            self.folders.entry(ancestor).or_insert(id);
        }
        self.last_folder = folder;
        Ok(())
    }
}
