//! The engine: steps become ready, are decided in parallel, run in their lanes, and wake what waits for them.

pub(super) mod assembly;
mod deferral;
mod ends;
pub(super) mod lacking;
mod late;
mod results;
mod schedule;
pub(super) mod settings;
mod stuck;
mod summary;
mod waves;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::pipeline::makers::Makers;
use crate::pipeline::model::{Pattern, Pipeline, TargetId};
use crate::pipeline::problem::Problems;
use crate::registry::{Budgets, Traffic};
use crate::rules::Rule;
use crate::store::blobs::Blobs;
use crate::store::state::{PathId, State, StateError};
use crate::store::{Digest, Sha256};

use self::deferral::Deferrals;
use self::lacking::Lacking;
use self::schedule::Schedule;
use self::settings::Settings;
use super::clock::Clock;
use super::decide::Run;
use super::decide::key::Template;
use super::decide::risk::FailedSteps;
use super::events::{Event, Listener, Progress};
use super::execute::scratch::ScratchFolders;
use super::execute::task::Message;
use super::failures::Failures;
use super::files::Eyes;
use super::files::found::Finders;
use super::files::place::Placer;
use super::files::protected::Protected;
use super::files::unusable::Unusable;
use super::outcome::Account;
use super::request::{Asked, Wanted};
use super::steps::expand::Pending;
use super::steps::expand::{Rhythm, Scratch};
use super::steps::parents::ByValues;
use super::steps::possible::AxisValues;
use super::steps::waits::GroupId;
use super::steps::{Bound, FileId, StepId, Steps};

/// A target's rule, and what all its steps share of their keys.
pub(super) struct Compiled {
    pub rule: Arc<dyn Rule>,
    pub template: Template,
    /// What keys hash of it.
    pub template_digest: Digest,
    /// What they hashed of it before they told folders from files, where it makes folders.
    pub template_before: Option<Digest>,
    /// What records name: its whole text.
    pub recorded: Digest,
    /// Its outputs go to the store.
    pub cached: bool,
    /// It asks or reads a source.
    pub by_source: bool,
    /// The bindings that are read, by name: in which order the axes stand is in no key.
    pub reads: Vec<usize>,
}

#[derive(Default)]
pub(super) struct Stats {
    pub total: usize,
    pub done: usize,
    /// Of those done, the ones that were given to their rule.
    pub ran: usize,
    /// No more steps can be found.
    pub all_known: bool,
}

pub(super) struct Engine<'p> {
    pub pipeline: &'p Pipeline,
    pub rules: Vec<Option<Compiled>>,
    pub settings: Vec<Settings>,
    pub state: State,
    pub blobs: Blobs,
    pub placer: Arc<Placer>,
    pub work_dir: PathBuf,
    pub scratch_folders: Arc<ScratchFolders>,
    pub traffic: Arc<Traffic>,
    pub budgets: Arc<Budgets>,
    pub deferrals: Deferrals,
    /// Steps that lack what other steps may bring, until nothing else can be done.
    pub lacking: Vec<Lacking>,
    /// What failed when it was last tried (only where nothing is run).
    pub failures: Failures,
    /// The path by which each of those is kept, by each output that it had then, once one is looked for.
    pub failed_by_output: OnceLock<HashMap<String, String>>,
    /// The steps that those are of, once one is looked for.
    pub failed_steps: OnceLock<FailedSteps>,
    /// Where those of this build are kept, once there is one.
    pub failure_log: Option<File>,
    /// Where the commands that this build begins are written down, once there is one.
    pub start_log: Option<File>,
    /// The logs of commands that builds before this one have left, once a command is begun.
    pub logs_before: OnceLock<HashSet<String>>,
    pub mode: Mode,
    /// What [`Mode::Adopt`] takes.
    pub adopt: Vec<Asked>,
    pub offline: bool,
    pub fail_fast: bool,
    pub refresh: Selection,
    pub force: Selection,
    pub clock: Clock,
    /// When the run began: what the ages of answers are reckoned from.
    pub now_ms: i64,

    pub steps: Steps<'p>,
    pub wanted: Vec<Wanted>,
    /// For each target, those that read values out of its outputs, producers first.
    pub readers: Vec<Vec<TargetId>>,
    /// Targets that can get no more rows.
    pub closed: Vec<bool>,
    /// Targets that read from several others and wait for them.
    pub waiting: Vec<TargetId>,
    pub eyes: Eyes,
    /// What was seen of each file that no step makes.
    pub looks: Vec<Leaf>,
    /// Why those of them that are there cannot be read.
    pub unusable: HashMap<FileId, Unusable>,
    /// The paths of each target's last two steps, to find the next one near.
    pub rhythm: Rhythm,
    pub scratch: Scratch,
    pub protected: Protected,
    /// The values of the axes that were read from files, by what they are.
    pub columns: HashMap<String, Vec<Bound>>,
    /// The values of targets that were not expanded.
    pub axis_values: AxisValues,
    /// What keeps steps that need it from being settled before a build, of those that were looked at for that.
    pub asked_behind: Mutex<HashMap<StepId, Option<StepId>>>,
    /// The outputs of all targets, once one is looked for.
    pub makers: OnceLock<Makers<'p>>,
    /// The steps that values were read out of.
    pub by_values: ByValues,
    /// Paths by the hashes that records have of them, once one is asked for.
    pub input_names: OnceLock<HashMap<[u8; 8], PathId>>,
    /// The digests of all blobs, sorted, once something needs them.
    pub stored: OnceLock<Vec<Sha256>>,
    /// The first output of the step that made each further one, as it was recorded when that was first asked for.
    pub kept_by: OnceLock<HashMap<PathId, PathId>>,
    /// The recorded outputs without a step that makes them, by their paths, once a folder is looked through for such.
    pub without_maker: OnceLock<Vec<PathId>>,
    /// The names of the targets whose steps had several outputs when they were made, once one is asked for.
    pub had_several: OnceLock<HashSet<String>>,
    /// For each target, the path of each input that is one file; `None` for a group of steps.
    pub direct: Vec<Vec<Option<Pattern>>>,
    pub ready: Vec<StepId>,
    /// Those that came to wait for more, or failed, meanwhile, or may be ready now.
    pub withdrawn: BTreeSet<StepId>,
    /// Where nothing is run: targets that may come to describe a step, too.
    pub may_be_joined: HashMap<StepId, Vec<TargetId>>,
    /// Those that others may come to describe, too, by the groups of the steps that tell.
    pub withheld: HashMap<GroupId, Vec<StepId>>,
    /// Lists that could not be asked for again and that are there as their last answers gave them.
    pub old_lists: HashSet<StepId>,
    pub to_expand: Vec<Pending>,
    pub check_group: Vec<GroupId>,
    pub problems: Problems,
    /// True until something may run: what clashes is then a mistake of the pipeline.
    pub before_build: bool,

    pub schedule: Schedule,
    pub runs: HashMap<StepId, Box<Run>>,
    pub accounts: HashMap<StepId, Account>,
    /// Steps that make the file of others, or need a folder where those make a file: none of them can be.
    pub clashes: HashMap<StepId, Vec<StepId>>,
    /// Steps that found files which others may come to make.
    pub finders: Finders,
    pub stats: Stats,
    /// Steps that failed where no one listened; they are told next.
    pub untold: Vec<StepId>,
    /// Steps that failed after they were done, and what is still to come of that.
    pub(super) late: late::Late,
    /// Nothing more is started.
    pub stopping: bool,
    /// The person wanted to stop.
    pub interrupted: bool,
    /// Steps that turned out to be wrong while they ran, and why.
    pub doomed: HashMap<StepId, String>,
    /// Those whose answer was partly learnt by an earlier try.
    pub resumed: HashSet<StepId>,
    pub runtime: Arc<tokio::runtime::Runtime>,
    pub cancel: tokio::sync::watch::Sender<bool>,
    pub send: Sender<Message>,
}

/// What was seen of a file that no step makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Leaf {
    #[default]
    Unseen,
    /// It is there, and the state has its record.
    There,
    /// The same, and it is a folder.
    Folder,
    Missing,
    /// [`Engine::unusable`] says why.
    Unusable,
}

/// What a run may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Bring steps up to date.
    Build,
    /// Change nothing; what would run is stale.
    Look,
    /// Run nothing; outputs of the steps asked for are taken as they are.
    Adopt,
}

/// What `--refresh[=TARGET]` and `--force[=TARGET]` choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    #[default]
    None,
    All,
    /// Targets, steps, and the steps that make these outputs.
    Named(Vec<Asked>),
}

/// How often what changed is made safe against the loss of power.
const SYNC_EVERY: Duration = Duration::from_millis(500);
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

impl<'p> Engine<'p> {
    pub(crate) fn makers(&self) -> &Makers<'p> {
        self.makers.get_or_init(|| Makers::new(&self.pipeline.targets))
    }

    /// Whether the steps of a target ask or read a source.
    pub(crate) fn reads_a_source(&self, target: TargetId) -> bool {
        self.rules[target].as_ref().is_some_and(|compiled| compiled.by_source)
    }

    pub(super) fn forced(&self, id: StepId) -> bool {
        self.chosen(&self.force, id)
    }

    pub(super) fn refreshed(&self, id: StepId) -> bool {
        self.chosen(&self.refresh, id)
    }

    fn chosen(&self, selection: &Selection, id: StepId) -> bool {
        match selection {
            Selection::None => false,
            Selection::All => true,
            Selection::Named(named) => {
                named.iter().any(|asked| self.is_asked(asked, id) || self.may_come_to_be_asked(asked, id))
            }
        }
    }

    /// Runs until nothing is ready and nothing is under way.
    pub(super) fn drive(&mut self, receive: &Receiver<Message>, listener: &mut dyn Listener) -> Result<(), StateError> {
        let (mut synced, mut told) = (Instant::now(), Instant::now() - TELL_EVERY);
        self.before_build = false;
        loop {
            self.decide_ready(listener);
            while self.take_back(listener) {
                self.decide_ready(listener);
            }
            self.tell_untold(listener);
            if !self.stopping {
                self.launch(listener);
            }
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                listener.hear(&Event::Progress(self.progress()));
            }
            if self.schedule.running() == 0 && (self.stopping || self.ready.is_empty()) {
                if self.decide_lacking(listener) || self.decide_put_off(listener) {
                    continue;
                }
                if !self.stopping && self.fail_circles() {
                    continue;
                }
                break;
            }
            if self.mode != Mode::Build {
                continue;
            }
            self.state.flush()?;
            match receive.recv_timeout(TELL_EVERY) {
                Ok(message) => self.handle(message, listener),
                Err(_) => continue,
            }
            while let Ok(message) = receive.try_recv() {
                self.handle(message, listener);
            }
            if synced.elapsed() >= SYNC_EVERY {
                self.state.flush()?;
                self.state.sync()?;
                synced = Instant::now();
            }
        }
        if !self.stopping {
            self.fail_unreached();
        }
        self.tell_untold(listener);
        Ok(())
    }

    fn progress(&mut self) -> Progress {
        self.stats.all_known = self.stats.all_known || !self.may_grow();
        Progress {
            total: self.stats.total,
            grows: !self.stats.all_known,
            done: self.stats.done,
            ran: self.stats.ran,
            running: self.schedule.running(),
            requests: self.traffic.requests(),
            bytes: self.traffic.bytes(),
            retries: self.traffic.retries(),
            budget_wait: self.budgets.waits_for(),
        }
    }

    /// Steps are left that others are read out of.
    fn may_grow(&self) -> bool {
        let unread = |target: TargetId| {
            !self.readers[target].is_empty()
                && self.steps.rows[target].steps.iter().any(|&id| !self.steps.step(id).status.is_done())
        };
        !self.waiting.is_empty() || (0..self.readers.len()).any(unread)
    }
}
