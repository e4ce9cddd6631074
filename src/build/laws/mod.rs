//! What holds of every pipeline after every history, with a source and a clock that do as they are told.

mod clock;
mod commands;
mod drawn;
mod edited;
mod edits;
mod shared;
mod source;
mod stuck;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tokio::sync::watch;

use self::drawn::{Drawn, drawn};
use self::source::{Fake, IMAGES, REPOS, TAGS};
use super::clock::Clock;
use super::events::{Event, Listener, Silence};
use super::outcome::{Status, Summary};
use super::upkeep::orphans;
use super::{Bystander, Order, Selection, Session, build, request};
use crate::pipeline::check::{Options, load_text};
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::Vocabulary;
use crate::registry::{self, Source, Traffic};
use crate::rules;

const HOUR: i64 = 3_600_000;

/// What happens between two builds.
#[derive(Clone, Debug)]
enum Edit {
    Tag(usize, usize, u8),
    DropTag(usize, usize),
    DropRepo(usize),
    Fail(usize),
    FailImages(usize),
    Work(usize),
    Remove(prop::sample::Index),
    Spoil(prop::sample::Index),
    Touch(prop::sample::Index),
    Pipeline(Box<Drawn>),
    Clock(i64),
    /// A build that is stopped at an event.
    Stopped(usize),
    /// What is remembered is lost, or only the state of it.
    Forget(bool),
}

fn edit(strict: bool) -> impl Strategy<Value = Edit> {
    let index = any::<prop::sample::Index>;
    let repo = 0..REPOS.len();
    prop_oneof![
        4 => (repo.clone(), 0..TAGS.len(), 0..IMAGES).prop_map(|(r, t, i)| Edit::Tag(r, t, i)),
        2 => (repo.clone(), 0..TAGS.len()).prop_map(|(r, t)| Edit::DropTag(r, t)),
        1 => repo.clone().prop_map(Edit::DropRepo),
        2 => repo.clone().prop_map(Edit::Fail),
        2 => repo.clone().prop_map(Edit::FailImages),
        2 => repo.prop_map(Edit::Work),
        2 => index().prop_map(Edit::Remove),
        2 => index().prop_map(Edit::Spoil),
        1 => index().prop_map(Edit::Touch),
        2 => drawn(strict).prop_map(|d| Edit::Pipeline(Box::new(d))),
        2 => prop_oneof![1..50 * HOUR, -200 * HOUR..0].prop_map(Edit::Clock),
        2 => (0..40usize).prop_map(Edit::Stopped),
        2 => any::<bool>().prop_map(Edit::Forget),
    ]
}

fn repos() -> impl Strategy<Value = BTreeMap<usize, BTreeMap<usize, u8>>> {
    let tags = prop::collection::btree_map(0..TAGS.len(), 0..IMAGES, 0..4);
    prop::collection::btree_map(0..REPOS.len(), tags, 1..4)
}

/// Stops the build at an event.
struct StopAt(usize, watch::Sender<bool>);

impl Listener for StopAt {
    fn hear(&mut self, _: &Event<'_>) {
        if self.0 == 0 {
            self.1.send_replace(true);
        }
        self.0 = self.0.saturating_sub(1);
    }
}

/// A folder with a pipeline, a source and a clock.
struct Bed {
    dir: tempfile::TempDir,
    source: Arc<Fake>,
    clock: Arc<AtomicI64>,
}

impl Bed {
    fn new(source: Arc<Fake>) -> Self {
        let now = Clock::System.now_ms();
        Self { dir: tempfile::tempdir().unwrap(), source, clock: Arc::new(AtomicI64::new(now)) }
    }

    fn session(&self, text: &str) -> Session {
        let root = self.dir.path();
        std::fs::write(root.join("pipeline.yaml"), text).unwrap();
        let vocabulary = Vocabulary { rules: rules::KINDS, sources: registry::KINDS };
        let file = root.join("pipeline.yaml");
        let loaded = load_text(text, &file, root.into(), &Options::default(), &vocabulary, &|_| None);
        assert!(loaded.problems.is_empty(), "{:?}\n{text}", loaded.problems);
        let pipeline = loaded.pipeline.unwrap();
        let mut problems = Problems::default();
        let sources: Vec<Option<Arc<dyn Source>>> = vec![Some(self.source.clone())];
        let rules = pipeline.targets.iter().map(|t| rules::compile(t, &pipeline, &sources, &mut problems)).collect();
        assert!(problems.is_empty(), "{problems:?}");
        let work_dir = root.join(".layermill");
        Session {
            pipeline,
            rules,
            traffic: Arc::new(Traffic::default()),
            budgets: Arc::default(),
            store: work_dir.join("store"),
            work_dir,
            offline: false,
            clock: Clock::Fake(self.clock.clone()),
            bystander: Bystander::new(|damage| panic!("{damage}")),
        }
    }

    fn drawn(&self, drawn: &Drawn) -> Session {
        let lines: String = drawn.list.iter().map(|r| format!("{}\n", REPOS[*r])).collect();
        std::fs::write(self.dir.path().join("repos.lst"), lines).unwrap();
        self.session(&drawn.text())
    }

    fn build(session: &Session, jobs: usize, refresh: Selection) -> Summary {
        let (_keep, stop) = watch::channel(false);
        let order = Order { asked: request::everything(&session.pipeline), jobs, refresh, ..Order::default() };
        build(session, &order, stop, &mut Silence).unwrap()
    }

    fn stopped(session: &Session, at: usize) {
        let (send, stop) = watch::channel(false);
        let order = Order { asked: request::everything(&session.pipeline), jobs: 2, ..Order::default() };
        build(session, &order, stop, &mut StopAt(at, send)).unwrap();
    }

    /// What is below `result/`.
    fn results(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let root = self.dir.path().join("result");
        if root.exists() {
            for (path, _) in super::files::files_in(&root).unwrap().into_iter().filter(|(_, meta)| meta.is_file()) {
                found.insert(format!("result/{path}"), std::fs::read(root.join(&path)).unwrap());
            }
        }
        found
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        std::fs::write(self.dir.path().join(path), bytes).unwrap();
    }

    fn apply(&self, edit: &Edit, drawn: &mut Drawn) {
        let there = self.results();
        let chosen = |i: &prop::sample::Index| {
            (!there.is_empty()).then(|| there.iter().nth(i.index(there.len())).expect("in it"))
        };
        let root = self.dir.path();
        match edit {
            Edit::Tag(r, t, i) => drop(self.source.repos.lock().unwrap().entry(*r).or_default().insert(*t, *i)),
            Edit::DropTag(r, t) => drop(self.source.repos.lock().unwrap().get_mut(r).map(|tags| tags.remove(t))),
            Edit::DropRepo(r) => drop(self.source.repos.lock().unwrap().remove(r)),
            Edit::Fail(r) => drop(self.source.failing.lock().unwrap().insert(*r)),
            Edit::FailImages(r) => drop(self.source.without_images.lock().unwrap().insert(*r)),
            Edit::Work(r) => {
                self.source.failing.lock().unwrap().remove(r);
                self.source.without_images.lock().unwrap().remove(r);
            }
            Edit::Remove(i) => chosen(i).iter().for_each(|(path, _)| std::fs::remove_file(root.join(path)).unwrap()),
            Edit::Spoil(i) => chosen(i).iter().for_each(|(path, _)| self.write(path, b"z")),
            Edit::Touch(i) => chosen(i).iter().for_each(|(path, bytes)| self.write(path, bytes)),
            Edit::Pipeline(now) => *drawn = (**now).clone(),
            Edit::Clock(by) => drop(self.clock.fetch_add(*by, Ordering::Relaxed)),
            Edit::Stopped(at) => Self::stopped(&self.drawn(drawn), *at),
            Edit::Forget(all) => {
                let _ = std::fs::remove_dir_all(root.join(if *all { ".layermill" } else { ".layermill/state" }));
            }
        }
    }
}

/// What a build ran that need not run each time.
fn needless(summary: &Summary, session: &Session) -> Vec<String> {
    use crate::pipeline::model::Freshness;
    let ran = summary.accounts.iter().filter(|a| matches!(a.status, Status::Built | Status::Restored));
    let always = |target: usize| session.pipeline.targets[target].fresh == Freshness::Always;
    ran.filter(|a| !always(a.target)).map(|a| format!("{}: {:?}", a.step, a.reasons)).collect()
}

fn same_as_clean(bed: &Bed, drawn: &Drawn, remembers: bool) -> Result<(), TestCaseError> {
    let clean = Bed::new(bed.source.clone());
    let summary = Bed::build(&clean.drawn(drawn), 3, Selection::None);
    prop_assert_eq!(summary.exit_code(), 0, "{:?}", summary.accounts);
    let (there, expected) = (bed.results(), clean.results());
    for (path, bytes) in &expected {
        prop_assert_eq!(there.get(path), Some(bytes), "{} is not what a clean build makes", path);
    }
    // What has to be asked about each time cannot be told by looking.
    let kept = Drawn { fresh: [0; 6], strict: false, ..drawn.clone() };
    let orphans = orphans::orphans(&bed.drawn(&kept)).unwrap();
    let known: BTreeSet<&str> = orphans.list.iter().map(|c| c.path.as_str()).collect();
    // Of what was forgotten nobody can tell that it is of a step that is made no more.
    let left = there.keys().filter(|_| remembers);
    let left = left.filter(|p| !expected.contains_key(*p) && !known.contains(p.as_str()));
    prop_assert_eq!(left.collect::<Vec<_>>(), Vec::<&String>::new(), "of steps that are made no more or absent");
    Ok(())
}

/// No question is answered for one build: what was there stays, and afterwards all is as if nothing had been.
fn outage(bed: &Bed, drawn: &Drawn) -> Result<(), TestCaseError> {
    let before = bed.results();
    bed.source.failing.lock().unwrap().extend(0..REPOS.len());
    Bed::build(&bed.drawn(drawn), 2, Selection::All);
    // An aggregate that goes on without what failed holds less meanwhile.
    let kept = |path: &str| !(drawn.partial && path.starts_with("result/sum/"));
    let during = bed.results();
    for (path, bytes) in before.iter().filter(|(path, _)| kept(path)) {
        prop_assert_eq!(during.get(path), Some(bytes), "{} was lost while the source failed", path);
    }
    bed.source.failing.lock().unwrap().clear();
    Bed::build(&bed.drawn(drawn), 2, Selection::None);
    prop_assert_eq!(bed.results(), before, "not as before the source failed");
    Ok(())
}

fn history(
    mut drawn: Drawn,
    repos: BTreeMap<usize, BTreeMap<usize, u8>>,
    rounds: &[(Vec<Edit>, usize)],
) -> Result<(), TestCaseError> {
    let source = Arc::new(Fake { repos: Mutex::new(repos), ..Fake::default() });
    let bed = Bed::new(source);
    for (edits, jobs) in rounds {
        for edit in edits {
            bed.apply(edit, &mut drawn);
        }
        let session = bed.drawn(&drawn);
        Bed::build(&session, *jobs, Selection::None);
        let built = bed.results();
        let mut again = Bed::build(&session, 2, Selection::None);
        // An index that came before its image could not be had lets a build take over what is there, as the first could not.
        if again.accounts.iter().any(|account| account.status == Status::Adopted) {
            again = Bed::build(&session, 2, Selection::None);
        } else {
            prop_assert_eq!(bed.results(), built, "a build after a build changed files");
        }
        prop_assert_eq!(needless(&again, &session), Vec::<String>::new(), "a build after a build");
    }
    bed.source.failing.lock().unwrap().clear();
    bed.source.without_images.lock().unwrap().clear();
    let refresh = if drawn.strict { Selection::None } else { Selection::All };
    Bed::build(&bed.drawn(&drawn), 8, refresh);
    let remembers = !rounds.iter().any(|(edits, _)| edits.iter().any(|edit| matches!(edit, Edit::Forget(_))));
    same_as_clean(&bed, &drawn, remembers)?;
    outage(&bed, &drawn)
}

fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(cases),
        max_shrink_iters: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn cases() -> impl Strategy<Value = (Drawn, Vec<(Vec<Edit>, usize)>)> {
    any::<bool>().prop_flat_map(|strict| {
        let round = (prop::collection::vec(edit(strict), 1..5), prop::sample::select(vec![1usize, 2, 8]));
        (drawn(strict), prop::collection::vec(round, 1..5))
    })
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn after_any_history_a_build_is_idle_and_like_a_clean_one_and_an_outage_loses_nothing(
        (drawn, rounds) in cases(),
        repos in repos(),
    ) {
        history(drawn, repos, &rounds)?;
    }

    #[test]
    fn an_answer_is_asked_for_again_once_it_is_older_than_its_span_or_from_the_future(
        moves in prop::collection::vec((prop_oneof![-100 * HOUR..100 * HOUR, Just(24 * HOUR), Just(24 * HOUR - 1), Just(-1)],
                                        prop::bool::weighted(0.2)), 1..12),
    ) {
        let tags = BTreeMap::from([(0, BTreeMap::from([(0, 1)]))]);
        let bed = Bed::new(Arc::new(Fake { repos: Mutex::new(tags), ..Fake::default() }));
        // An absence ages as an answer does.
        let text = "version: 1\nsources: {s: {kind: registry, url: 'https://r.example.com'}}\ntargets:\n  t: {rule: tags, \
                    source: s, foreach: {repo: [a, b]}, output: 'result/{repo}.json', fresh: 24h}\n";
        let session = bed.session(text);
        let mut asked_at: Option<i64> = None;
        for (by, fails) in moves {
            let now = bed.clock.fetch_add(by, Ordering::Relaxed) + by;
            bed.source.failing.lock().unwrap().clear();
            if fails {
                bed.source.failing.lock().unwrap().extend([0, 1]);
            }
            bed.source.asked.lock().unwrap().clear();
            Bed::build(&session, 2, Selection::None);
            let due = asked_at.is_none_or(|then| now < then || now - then >= 24 * HOUR);
            let mut asked = std::mem::take(&mut *bed.source.asked.lock().unwrap());
            asked.sort();
            prop_assert_eq!(asked, if due { vec!["a", "b"] } else { vec![] }, "asked at {:?}, now {}", asked_at, now);
            if due && !fails {
                asked_at = Some(now);
            }
            prop_assert_eq!(bed.dir.path().join("result/a.json").exists(), asked_at.is_some());
        }
    }
}
