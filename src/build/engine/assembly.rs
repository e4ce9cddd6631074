//! An engine for a session and an order, before it has seen any step.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::watch;

use crate::pipeline::model::{InputKind, Pipeline, Target, TargetId};
use crate::pipeline::pattern;
use crate::pipeline::problem::Problems;
use crate::rules::{Lane, Rule};
use crate::store::blobs::Blobs;
use crate::store::state::State;
use crate::store::{Digest, hex};

use super::deferral::Deferrals;
use super::schedule::Schedule;
use super::settings;
use super::{Compiled, Engine, Mode, Selection, Stats};
use crate::build::decide::key::{INPUT_NAMES, KEYS, Template};
use crate::build::execute::scratch::ScratchFolders;
use crate::build::failures::Failures;
use crate::build::files::Eyes;
use crate::build::files::found::Finders;
use crate::build::files::place::Placer;
use crate::build::files::protected::Protected;
use crate::build::request;
use crate::build::session::{BuildError, Order, Ready, Session, io};
use crate::build::steps::Steps;
use crate::build::steps::expand::{Rhythm, Scratch};
use crate::build::steps::parents::ByValues;
use crate::build::steps::possible::AxisValues;
use crate::build::steps::values;

/// The engine, and what its tasks tell it by.
pub(crate) fn engine<'p>(
    session: &'p Session,
    order: &Order,
    mut state: State,
    blobs: Blobs,
    mode: Mode,
) -> Result<Ready<'p>, BuildError> {
    let pipeline = &session.pipeline;
    let (send, receive) = channel();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8)))
        .enable_all()
        .build()
        .map_err(|source| BuildError::Io { action: "start", path: "the runtime".to_owned(), source })?;
    let wanted = request::wanted(pipeline, &order.asked);
    let rules: Vec<Option<Compiled>> = session
        .rules
        .iter()
        .enumerate()
        .map(|(id, rule)| rule.as_ref().map(|rule| compiled(rule.clone(), id, pipeline)))
        .collect();
    let targets = pipeline.targets.len();
    Ok((
        Engine {
            pipeline,
            settings: settings::of(
                pipeline,
                &rules,
                mode != Mode::Adopt && order.force == Selection::None,
                order.refresh != Selection::None,
            ),
            rules,
            blobs,
            placer: Arc::new(Placer::new(&pipeline.root).map_err(io("open", &pipeline.root))?),
            work_dir: session.work_dir.clone(),
            scratch_folders: Arc::new(ScratchFolders::new(session.work_dir.join("tmp"))),
            traffic: session.traffic.clone(),
            budgets: session.budgets.clone(),
            deferrals: Deferrals::default(),
            lacking: Vec::new(),
            failed_steps: OnceLock::new(),
            failures: if mode == Mode::Look { Failures::load(&session.work_dir) } else { Failures::default() },
            failure_log: None,
            start_log: None,
            logs_before: OnceLock::new(),
            mode,
            adopt: if mode == Mode::Adopt { order.asked.clone() } else { Vec::new() },
            offline: session.offline,
            fail_fast: order.fail_fast,
            refresh: order.refresh.clone(),
            force: order.force.clone(),
            clock: session.clock.clone(),
            now_ms: session.clock.now_ms(),
            steps: Steps::new(pipeline),
            wanted,
            readers: vec![Vec::new(); targets],
            closed: vec![false; targets],
            waiting: Vec::new(),
            eyes: Eyes::new(&pipeline.root).map_err(io("open", &pipeline.root))?,
            looks: Vec::new(),
            unusable: HashMap::new(),
            rhythm: Rhythm::new(pipeline),
            scratch: Scratch::default(),
            protected: Protected::of(pipeline, &mut state),
            state,
            columns: HashMap::new(),
            axis_values: AxisValues::default(),
            asked_behind: Mutex::default(),
            makers: OnceLock::new(),
            by_values: ByValues::default(),
            input_names: OnceLock::new(),
            stored: OnceLock::new(),
            kept_by: OnceLock::new(),
            failed_by_output: OnceLock::new(),
            had_several: OnceLock::new(),
            without_maker: OnceLock::new(),
            direct: Vec::new(),
            ready: Vec::new(),
            withdrawn: BTreeSet::new(),
            withheld: HashMap::new(),
            old_lists: HashSet::new(),
            may_be_joined: HashMap::new(),
            to_expand: Vec::new(),
            check_group: Vec::new(),
            problems: Problems::default(),
            before_build: true,
            schedule: Schedule::new(order.jobs, &pipeline.pools),
            runs: HashMap::new(),
            accounts: HashMap::new(),
            clashes: HashMap::new(),
            finders: Finders::default(),
            stats: Stats::default(),
            untold: Vec::new(),
            late: super::late::Late::default(),
            stopping: false,
            interrupted: false,
            doomed: HashMap::new(),
            resumed: HashSet::new(),
            runtime: Arc::new(runtime),
            cancel: watch::channel(false).0,
            send,
        },
        receive,
    ))
}

fn compiled(rule: Arc<dyn Rule>, id: TargetId, pipeline: &Pipeline) -> Compiled {
    let target = &pipeline.targets[id];
    let common = rule.common();
    let mut params = common.params.clone();
    let names: Vec<&str> = target.inputs.iter().filter_map(|i| i.name.as_deref()).collect();
    if !names.is_empty() {
        params.push((INPUT_NAMES.to_owned(), names.join(",")));
    }
    let mut reads = common.reads.clone();
    reads.sort_unstable_by_key(|&binding| target.bindings[binding].name.as_str());
    let (inputs, entries) = inputs_in_words(target, pipeline);
    let template = Template {
        keys: KEYS,
        rule: common.name.to_owned(),
        version: common.version,
        params,
        bindings: reads.iter().map(|&b| target.bindings[b].name.clone()).collect(),
        folders: Some((0..target.outputs.len()).filter(|&place| target.outputs[place].folder).collect()),
        target: Some(target.name.clone()),
        lists: Some(values::of_target(pipeline, id)),
        inputs,
        entries,
        outputs: Some(target.outputs.len()).filter(|outputs| *outputs > 1),
        output: target.outputs.first().map(|output| pattern::template(&output.pattern, &target.bindings)),
        named: Some(target.bindings.iter().map(|binding| binding.name.clone()).collect()),
        source: match &common.lane {
            Lane::Source(identity, _) => Some(identity.clone()),
            Lane::Compute | Lane::Process => None,
        },
    };
    Compiled {
        template_digest: template.hashed(),
        template_before: template.hashed_before(),
        recorded: Digest::of(template.text().as_bytes()),
        template,
        cached: common.cached && target.cache,
        by_source: matches!(common.lane, Lane::Source(..)),
        reads,
        rule,
    }
}

/// What a target names under `inputs:`, where that is not too long to be kept, and the hash of all of it with the names
/// that it gives that, where there is any.
fn inputs_in_words(target: &Target, pipeline: &Pipeline) -> (Option<String>, Option<String>) {
    const LONGEST: usize = 4096;
    let (mut words, mut names) = (String::new(), String::new());
    for input in &target.inputs {
        names.push_str(input.name.as_deref().unwrap_or_default());
        names.push('\n');
        words.push_str(if words.is_empty() { "" } else { ", " });
        match (&input.path, &input.kind) {
            (Some(path), _) | (None, InputKind::Path(path)) => {
                words.push_str(&pattern::template(path, &target.bindings));
            }
            (None, InputKind::Target { target, .. }) => words.push_str(&pipeline.targets[*target].name),
        }
    }
    let entries = (!target.inputs.is_empty()).then(|| hex(&Digest::of((names + &words).as_bytes()).short()));
    (Some(words).filter(|words| words.len() <= LONGEST), entries)
}
