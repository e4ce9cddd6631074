//! The one entry: a [`Session`] knows a pipeline and its rules; [`build`] brings steps up to date, [`look`] only looks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::pipeline::model::Pipeline;
use crate::pipeline::problem::Problems;
use crate::registry::{Budgets, Traffic};
use crate::rules::command::strays;
use crate::rules::{Lane, Rule};
use crate::store::blobs::Blobs;
use crate::store::lock::{Attempt, Holder, Lock};
use crate::store::state::{Access, SetAside, State, StateError};

use super::bystander::Bystander;
use super::clock::{self, Clock};
use super::engine::assembly::engine;
use super::engine::{Engine, Mode, Selection};
use super::events::{Event, Listener, Silence};
use super::execute::started;
use super::execute::task::Message;
use super::failures::{Failed, Failures};
use super::outcome::Summary;
use super::request::{self, Asked};

/// A pipeline that is ready to be worked on.
pub struct Session {
    pub pipeline: Pipeline,
    /// The rule of each target; `None` for a group.
    pub rules: Vec<Option<Arc<dyn Rule>>>,
    pub traffic: Arc<Traffic>,
    pub budgets: Arc<Budgets>,
    /// `.layermill` in the pipeline's folder.
    pub work_dir: PathBuf,
    /// Where the blobs are.
    pub store: PathBuf,
    pub offline: bool,
    pub clock: Clock,
    pub bystander: Bystander,
}

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub struct Order {
    pub asked: Vec<Asked>,
    pub refresh: Selection,
    pub force: Selection,
    /// Processes and processor work at once.
    pub jobs: usize,
    pub fail_fast: bool,
    /// Fail where another build holds the lock, instead of waiting.
    pub no_wait: bool,
    /// Wait for what a source has no more of, instead of putting it off.
    pub wait_budget: bool,
}

/// Why a run could not be.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The pipeline turned out wrong when its values were read.
    #[error("the pipeline is wrong")]
    Pipeline(Problems),
    #[error("another build is running: {}", holder(.0.as_ref()))]
    Locked(Option<Holder>),
    #[error("interrupted while another build was running")]
    Interrupted,
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Unknown(#[from] request::Unknown),
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: String, source: std::io::Error },
}

/// How often a lock that is held is tried again.
const LOCK_EVERY: Duration = Duration::from_millis(100);

/// Brings what was asked for up to date. It stops early, keeping what is done, once `stop` holds true.
pub fn build(
    session: &Session,
    order: &Order,
    stop: watch::Receiver<bool>,
    listener: &mut dyn Listener,
) -> Result<Summary, BuildError> {
    write(session, order, Mode::Build, stop, listener)
}

/// Takes the outputs of the steps asked for as up to date, where they are there, without running anything.
pub fn adopt(
    session: &Session,
    order: &Order,
    stop: watch::Receiver<bool>,
    listener: &mut dyn Listener,
) -> Result<Summary, BuildError> {
    write(session, order, Mode::Adopt, stop, listener)
}

fn write(
    session: &Session,
    order: &Order,
    mode: Mode,
    stop: watch::Receiver<bool>,
    listener: &mut dyn Listener,
) -> Result<Summary, BuildError> {
    let started = Instant::now();
    listener.hear(&Event::Begun { jobs: order.jobs });
    std::fs::create_dir_all(&session.work_dir).map_err(io("make", &session.work_dir))?;
    let _lock = take_lock(session, order, &stop, listener)?;
    let (state, set_aside) = State::open(&session.work_dir.join("state"), Access::Write)?;
    for aside in &set_aside {
        listener.hear(&Event::SetAside { what: &aside.0 });
    }
    let begun: Vec<(String, Failed)> = started::begun(&session.work_dir).collect();
    // What a killed build left half-made is worth nothing.
    let _ = std::fs::remove_dir_all(session.work_dir.join("tmp"));
    let blobs = Blobs::open(&session.store).map_err(io("open the store", &session.store))?;
    let (mut engine, receive) = engine(session, order, state, blobs, mode)?;
    engine.keep_interrupted(begun);
    session.budgets.set_waits(order.wait_budget);
    let watcher = watch_for_stop(&engine, stop);
    let driven = drive(&mut engine, &receive, listener);
    watcher.abort();
    // Whatever commands left in their temporary folder.
    let _ = std::fs::remove_dir_all(session.work_dir.join("tmp"));
    if mode == Mode::Build {
        engine.tidy_failures();
    }
    let mut summary = engine.summary(started, set_aside.into_iter().map(|s| s.0).collect());
    summary.interrupted = engine.interrupted;
    let problems = std::mem::take(&mut engine.problems);
    let unknown = engine.not_found(order);
    let closed = engine.state.close().map_err(BuildError::from);
    match driven.and(closed) {
        Err(error @ BuildError::State(_)) => {
            // What was done until then is told all the same.
            listener.hear(&Event::Done(&summary));
            return Err(error);
        }
        other => other?,
    }
    if !problems.is_empty() {
        return Err(BuildError::Pipeline(problems));
    }
    if let Some(unknown) = unknown.filter(|_| summary.exit_code() == 0) {
        return Err(unknown.into());
    }
    listener.hear(&Event::Done(&summary));
    Ok(summary)
}

/// Finds out what a build would do, and changes nothing. What would run is counted as stale.
pub fn look(session: &Session, order: &Order, listener: &mut dyn Listener) -> Result<Summary, BuildError> {
    let started = Instant::now();
    let (engine, set_aside) = looked(session, order, listener)?;
    let unknown = engine.not_found(order);
    let summary = summed_up(engine, session, started, set_aside);
    match unknown {
        Some(unknown) if summary.unknown.is_empty() && summary.exit_code() == 0 => Err(unknown.into()),
        _ => Ok(summary),
    }
}

/// The same where steps clash: those are counted as failed, where a build would not begin.
pub fn look_through(session: &Session, order: &Order) -> Result<Summary, BuildError> {
    let started = Instant::now();
    Ok(summed_up(looked_through(session, order)?, session, started, Vec::new()))
}

fn summed_up(mut engine: Engine<'_>, session: &Session, started: Instant, set_aside: Vec<String>) -> Summary {
    let mut summary = engine.summary(started, set_aside);
    if engine.wanted.iter().all(|wanted| wanted.all) {
        let mut orphans = engine.orphan_paths();
        orphans.sort_unstable();
        orphans.dedup();
        let is_there = |path: &&String| session.pipeline.root.join(path).symlink_metadata().is_ok();
        summary.orphans = orphans.iter().filter(is_there).count();
    }
    summary
}

/// An engine that has looked at all that was asked for, with what was found damaged on the way.
pub(super) fn looked<'p>(
    session: &'p Session,
    order: &Order,
    listener: &mut dyn Listener,
) -> Result<(Engine<'p>, Vec<String>), BuildError> {
    let (ready, set_aside) = unlooked(session, order)?;
    let engine = at_an_end(ready, listener)?;
    Ok((engine, set_aside.into_iter().map(|s| s.0).collect()))
}

/// The same where steps clash: those are told as failed, where a build would not begin.
pub(super) fn looked_through<'p>(session: &'p Session, order: &Order) -> Result<Engine<'p>, BuildError> {
    let ((mut engine, receive), _) = unlooked(session, order)?;
    engine.before_build = false;
    at_an_end((engine, receive), &mut Silence)
}

fn at_an_end<'p>((mut engine, receive): Ready<'p>, listener: &mut dyn Listener) -> Result<Engine<'p>, BuildError> {
    drive(&mut engine, &receive, listener)?;
    engine.mark_failures();
    engine.mark_finders();
    engine.mark_scarce();
    match std::mem::take(&mut engine.problems) {
        problems if problems.is_empty() => Ok(engine),
        problems => Err(BuildError::Pipeline(problems)),
    }
}

/// An engine that knows the records, and no step yet.
pub(super) fn unlooked<'p>(session: &'p Session, order: &Order) -> Result<(Ready<'p>, Vec<SetAside>), BuildError> {
    let (state, set_aside) = session.open_state(Access::Look)?;
    Ok((engine(session, order, state, Blobs::look(&session.store), Mode::Look)?, set_aside))
}

pub(super) fn take_lock(
    session: &Session,
    order: &Order,
    stop: &watch::Receiver<bool>,
    listener: &mut dyn Listener,
) -> Result<Lock, BuildError> {
    let mut told = false;
    loop {
        match Lock::attempt(&session.work_dir).map_err(io("lock", &session.work_dir))? {
            Attempt::Taken(lock) => {
                if lock.is_inherited {
                    end_strays(session, listener);
                }
                return Ok(lock);
            }
            Attempt::Held(_) if *stop.borrow() => return Err(BuildError::Interrupted),
            Attempt::Held(who) if order.no_wait => return Err(BuildError::Locked(who)),
            Attempt::Held(who) => {
                if !told {
                    listener.hear(&Event::Waiting { holder: holder(who.as_ref()) });
                    told = true;
                }
                std::thread::sleep(LOCK_EVERY);
            }
        }
    }
}

/// What a killed build started goes on writing to outputs that are to be made now.
fn end_strays(session: &Session, listener: &mut dyn Listener) {
    let what = match strays::end(&session.work_dir.join("tmp")) {
        0 => return,
        1 => "a process that a killed build had left running was ended".to_owned(),
        many => format!("{many} processes that a killed build had left running were ended"),
    };
    // What a command left running after its own end does not tell of which it was: the others are named.
    let of = cut_off(session);
    let of = if of.is_empty() { String::new() } else { format!(" (it was killed while it ran {})", of.join(", ")) };
    listener.hear(&Event::SetAside { what: &(what + &of) });
}

/// The steps whose commands a killed build had begun and not brought to an end.
fn cut_off(session: &Session) -> Vec<String> {
    const SHOWN: usize = 3;
    let Ok((state, _)) = session.open_state(Access::Look) else { return Vec::new() };
    let failed = Failures::kept(&session.work_dir);
    let is_command = |step: &str| {
        let target = session.pipeline.targets.iter().position(|t| Some(t.name.as_str()) == step.split('@').next());
        let rule = target.and_then(|target| session.rules[target].as_ref());
        rule.is_some_and(|rule| rule.common().lane == Lane::Process)
    };
    let begun = started::begun(&session.work_dir).filter(|(path, begun)| {
        let is_told = failed.get(path).is_some_and(|failed| failed.at >= begun.at);
        !is_told && is_command(&begun.step) && begun.stands(state.step(path).as_ref())
    });
    let mut steps: Vec<String> = begun.map(|(_, begun)| begun.step).collect();
    steps.sort();
    steps.dedup();
    let more = steps.len().saturating_sub(SHOWN);
    steps.truncate(SHOWN);
    steps.extend((more > 0).then(|| format!("and {more} more")));
    steps
}

fn holder(who: Option<&Holder>) -> String {
    who.map_or_else(
        || "it did not say who it is".to_owned(),
        |w| {
            let held = Duration::from_millis(u64::try_from(clock::now_ms() - w.since).unwrap_or(0));
            format!("process {}, for {}", w.pid, super::reason::span(held))
        },
    )
}

pub(super) fn io<'a>(
    action: &'static str,
    path: &'a std::path::Path,
) -> impl FnOnce(std::io::Error) -> BuildError + 'a {
    move |source| BuildError::Io { action, path: path.display().to_string(), source }
}

fn watch_for_stop(engine: &Engine<'_>, mut stop: watch::Receiver<bool>) -> tokio::task::JoinHandle<()> {
    let send = engine.send.clone();
    engine.runtime.spawn(async move {
        // A sender that is gone can stop nothing.
        if stop.wait_for(|s| *s).await.is_ok() {
            let _ = send.send(Message::Interrupt);
        }
    })
}

/// Expands and runs; a mistake that expanding finds ends it before anything runs.
fn drive(engine: &mut Engine<'_>, receive: &Receiver<Message>, listener: &mut dyn Listener) -> Result<(), BuildError> {
    engine.expand_static();
    if !engine.problems.is_empty() {
        return Err(BuildError::Pipeline(std::mem::take(&mut engine.problems)));
    }
    engine.drive(receive, listener)?;
    Ok(())
}

/// An engine, and what its tasks tell it by.
pub(super) type Ready<'p> = (Engine<'p>, Receiver<Message>);
