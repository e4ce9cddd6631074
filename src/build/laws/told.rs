//! What is said before a build is what the build then does.

use std::collections::HashMap;

use super::*;
use crate::build::explain::reads::Now;
use crate::build::explain::{Explanation, Standing, explain};
use crate::build::look;
use crate::build::outcome::{ASK, Account, RESTORE};
use crate::build::reason::Reason;
use crate::build::reasons::Reasons;

/// What is wrong with what was said before a build.
pub(super) fn misled(plan: &Summary, built: &Summary) -> Vec<String> {
    let (told, done) = (by_step(plan), by_step(built));
    let mut wrong = untold(plan, &told, &done);
    for account in told.values() {
        let done = done.get(account.step.as_str()).copied();
        match account.status {
            Status::Stale if !account.perhaps => {
                wrong.extend(undone(account, done));
                wrong.extend(other_causes(account, done, plan.unknown.is_empty()));
                // Where values are still to be read, other inputs may come of them.
                if plan.unknown.is_empty() {
                    wrong.extend(more_causes(account, done));
                }
            }
            Status::Failed | Status::Blocked if !account.perhaps => wrong.extend(not_wrong(account, done)),
            _ => {}
        }
    }
    wrong.sort();
    wrong
}

type ByStep<'s> = HashMap<&'s str, &'s Account>;

fn by_step(summary: &Summary) -> ByStep<'_> {
    summary.accounts.iter().map(|account| (account.step.as_str(), account)).collect()
}

/// What was done of which nothing was told.
fn untold(plan: &Summary, told: &ByStep<'_>, done: &ByStep<'_>) -> Vec<String> {
    let to_come = |account: &Account| plan.unknown.iter().any(|unknown| unknown.target == account.target);
    let acts = |account: &Account| matches!(account.status, Status::Built | Status::Restored | Status::Absent);
    let lacks = |account: &Account| account.message.as_ref().is_some_and(|message| message.contains(" is missing"));
    let untold = done.values().filter(|account| match told.get(account.step.as_str()) {
        Some(told) => acts(account) && matches!(told.status, Status::UpToDate | Status::Adopted),
        None => acts(account) || account.status == Status::Failed && lacks(account),
    });
    // What is up to date, or taken over, of a list that is still to be asked is so as of what that says now.
    let untold = untold.filter(|account| !to_come(account));
    untold.map(|a| format!("untold: {} is {} ({:?})", a.step, a.status.word(), a.reasons)).collect()
}

/// That a step did not run of which that was told.
fn undone(told: &Account, done: Option<&Account>) -> Option<String> {
    let came = done.map(|done| done.status);
    let kept = match (told.work, came) {
        // What a source answers may be what it answered before.
        (Some(ASK), _) => true,
        (_, None | Some(Status::UpToDate | Status::Adopted)) => false,
        (Some(RESTORE), Some(status)) => status != Status::Built,
        _ => true,
    };
    (!kept).then(|| format!("not done: {} ({:?}), but {came:?}", told.step, told.reasons))
}

/// The causes that were told of a step as certain and that it did not run for. Where not all that it reads is known, what
/// else comes may stand among that.
fn other_causes(told: &Account, done: Option<&Account>, all_known: bool) -> Vec<String> {
    let Some(done) = done.filter(|done| done.status == Status::Built) else { return Vec::new() };
    let causes: Vec<&Reason> = done.reasons.iter().flat_map(Reasons::iter).collect();
    // A `partial` input that was to come may have failed.
    let lacks = done.message.as_ref().is_some_and(|message| message.contains("made without"));
    // What an input is now, it may be otherwise once that is made again.
    let is_open = told.reasons.iter().flat_map(Reasons::iter).any(Reason::is_uncertain);
    let is_certain = |why: &&Reason| match why {
        Reason::NewInput(_) | Reason::BackInput { .. } | Reason::Reordered { .. } => all_known && !lacks,
        // A list may come to say that another target, which asked for it, does not describe the step.
        Reason::ChangedInputs { .. } | Reason::NotFresh { .. } | Reason::Forced | Reason::Refreshed => all_known,
        Reason::ChangedInput { .. } => all_known && !is_open,
        why => !why.is_uncertain(),
    };
    let certain = told.reasons.iter().flat_map(Reasons::iter).filter(is_certain);
    certain
        .filter(|why| !causes.iter().any(|done| is_same(why, done)))
        .map(|why| format!("other cause: {}: told {why:?}, done {causes:?}", told.step))
        .collect()
}

/// The causes that a step ran for and that were not told, though nothing was left to be seen; or in another order.
fn more_causes(told: &Account, done: Option<&Account>) -> Option<String> {
    let done = done.filter(|done| done.status == Status::Built)?;
    let told_causes: Vec<&Reason> = told.reasons.iter().flat_map(Reasons::iter).collect();
    let causes = || done.reasons.iter().flat_map(Reasons::iter);
    let place = |cause: &Reason| told_causes.iter().position(|told| is_same(told, cause));
    // What an input came to, or brought, is seen then, and so is what came of asking.
    let open = told_causes.iter().any(|why| why.is_uncertain());
    // What failed and is tried again may come, too.
    let brings = |why: &&Reason| matches!(why, Reason::UpstreamNew(_) | Reason::UpstreamThatFailed { .. });
    let may_be_new = told_causes.iter().any(brings);
    let seen = |cause: &Reason| match cause {
        Reason::UpstreamRebuilt { .. } | Reason::ChangedInput { .. } | Reason::LeftOut { .. } => open,
        Reason::NewInput(_) | Reason::BackInput { .. } => may_be_new,
        _ => false,
    };
    let is_told = told.work == Some(ASK) || causes().all(|cause| place(cause).is_some() || seen(cause));
    let places: Vec<usize> = causes().filter_map(place).collect();
    (!is_told || !places.is_sorted())
        .then(|| format!("more causes: {}: told {told_causes:?}, done {:?}", told.step, causes().collect::<Vec<_>>()))
}

fn is_same(told: &Reason, done: &Reason) -> bool {
    match (told, done) {
        (Reason::ChangedInput { input, from, to }, Reason::UpstreamRebuilt { input: i, from: f, to: t, .. }) => {
            (input, from, to) == (i, f, t)
        }
        (Reason::LeftOut { input, .. } | Reason::LostInput(input), Reason::LeftOut { input: i, .. }) => input == i,
        // What two steps come to write has no record any more, and its name is forgotten.
        (Reason::LostInput(_), Reason::LostInputs(_)) => true,
        // Which is seen only where nothing else moved the key.
        (Reason::Rearranged(_), _) => true,
        _ => told == done,
    }
}

/// That a step did not go wrong of which that was told.
fn not_wrong(told: &Account, done: Option<&Account>) -> Option<String> {
    let came = done.map(|done| done.status);
    // What is absent cannot be made either; that an input is missing, too, may be seen once lists are built.
    let is_blocked_too = |done: &Account| done.message.as_ref().is_some_and(|why| why.contains("it is blocked by "));
    let cannot_be = |done: &Account| match done.status {
        Status::Absent => true,
        status => status == Status::Failed && is_blocked_too(done),
    };
    let also = told.status == Status::Blocked && done.is_some_and(cannot_be);
    let word = told.status.word();
    (came != Some(told.status) && !also)
        .then(|| format!("not {word}: {} ({:?}), but {came:?}", told.step, told.message))
}

/// In what an explanation of all steps, or of one by itself, says something else than the plan, or than each other.
pub(super) fn unlike(session: &Session, order: &Order, plan: &Summary, one: &prop::sample::Index) -> Vec<String> {
    let accounts: HashMap<&str, &Account> = plan.accounts.iter().map(|a| (a.step.as_str(), a)).collect();
    let ((told, _), _) = explain(session, order, Vec::new()).unwrap();
    let steps: Vec<_> = told.iter().filter(|told| matches!(told.standing, Standing::Step(_))).collect();
    let mut unlike = Vec::new();
    for told in &steps {
        if told.rule.0 == "group" {
            continue;
        }
        let account = accounts.get(told.step.as_str());
        let status = account.map_or(Status::UpToDate, |account| account.status);
        let reasons: Vec<_> = account.iter().flat_map(|a| &a.reasons).flat_map(Reasons::iter).cloned().collect();
        let perhaps = account.is_some_and(|account| account.perhaps);
        if (told.standing, &told.reasons, told.perhaps) != (Standing::Step(status), &reasons, perhaps) {
            unlike.push(format!("{told:?}, but the plan says {account:?}"));
        }
    }
    if !steps.is_empty() {
        let all = steps[one.index(steps.len())];
        let asked = vec![request::parse(&session.pipeline, &all.step).unwrap()];
        let ((alone, _), _) = explain(session, &Order { asked, ..order.clone() }, Vec::new()).unwrap();
        let found = alone.iter().find(|told| told.step == all.step);
        let mut all = (*all).clone();
        // A file that no build has seen, another step may have been looked at with.
        for (all, alone) in all.inputs.iter_mut().zip(found.iter().flat_map(|found| &found.inputs)) {
            if all.path == alone.path && matches!((&all.now, &alone.now), (Now::Is(_), Now::Unknown)) {
                all.now = Now::Unknown;
            }
        }
        let found = found.map(|told| format!("{told:?}"));
        if found.as_ref() != Some(&format!("{all:?}")) {
            unlike.push(format!("{all:?}, but by itself {found:?}"));
        }
    }
    unlike
}

/// What is told of all steps, and of files.
pub(super) struct Told {
    steps: Vec<Explanation>,
    /// The files that are said to be no step's any more.
    orphans: BTreeSet<String>,
}

/// The inputs that are told to have been left out before, of steps that there never were. `known` is what those of before make.
pub(super) fn never_left_out(summary: &Summary, known: &BTreeSet<String>) -> Vec<String> {
    let causes = |account: &Account| account.reasons.iter().flat_map(Reasons::iter).cloned().collect::<Vec<_>>();
    let all = summary.accounts.iter().flat_map(|account| causes(account).into_iter().map(|why| (&account.step, why)));
    let is_new = |why: &Reason| matches!(why, Reason::BackInput { input, .. } if !known.contains(input));
    all.filter(|(_, why)| is_new(why)).map(|(step, why)| format!("never left out: {step}: {why}")).collect()
}

/// The reads of orphans that were told before a build and are not, after it; or the other way round where all was known.
pub(super) fn unwarned(plan: &Summary, built: &Summary) -> Vec<String> {
    let reads = |summary: &Summary| {
        let all = summary.reads_orphans.iter();
        all.flat_map(|reads| reads.files.iter().map(|file| format!("{}: {}", reads.step, file.file))).collect()
    };
    let (told, warned): (BTreeSet<String>, BTreeSet<String>) = (reads(plan), reads(built));
    let untold = warned.difference(&told).filter(|_| plan.unknown.is_empty()).map(|read| format!("untold: {read}"));
    told.difference(&warned).map(|read| format!("not warned of: {read}")).chain(untold).collect()
}

impl Told {
    /// What the steps make.
    pub fn outputs(&self) -> impl Iterator<Item = &String> {
        self.steps.iter().flat_map(|told| &told.outputs)
    }

    pub fn of(session: &Session, order: &Order, files: &[String]) -> Self {
        let mut steps = explain(session, order, Vec::new()).map(|((told, _), _)| told).unwrap_or_default();
        steps.retain(|told| matches!(told.standing, Standing::Step(_)) && told.rule.0 != "group");
        let mut orphans = BTreeSet::new();
        if !files.is_empty() {
            let (mut asked, mut nobodys) = (Vec::new(), Vec::new());
            for path in files {
                match request::parse(&session.pipeline, path) {
                    Ok(output) => asked.push(output),
                    Err(unknown) => nobodys.push((path.clone(), unknown)),
                }
            }
            let by_path = explain(session, &Order { asked, ..order.clone() }, nobodys).map(|((told, _), _)| told);
            // What a list had no more when it was last built may come back with that.
            let may_be_back =
                |told: &Explanation| told.message.iter().any(|why| why.contains(", as of the last build"));
            let gone = by_path.unwrap_or_default().into_iter();
            let gone = gone.filter(|told| told.standing == Standing::Orphan && !may_be_back(told));
            let path = |output: String| output.split(" (").next().unwrap_or_default().to_owned();
            orphans.extend(gone.flat_map(|told| told.outputs).map(path));
            let to_go = orphans::orphans(session).map(|candidates| candidates.list).unwrap_or_default();
            orphans.extend(to_go.into_iter().map(|candidate| candidate.path));
        }
        Self { steps, orphans }
    }

    /// The same with other names of steps.
    pub fn renamed(mut self, rename: fn(&mut String)) -> Self {
        self.steps.iter_mut().for_each(|told| rename(&mut told.step));
        self
    }

    /// What the build after it did with what was told to be up to date, or of no step.
    pub fn belied_by(&self, built: &Summary, after: &Self) -> Vec<String> {
        let done = by_step(built);
        let mut wrong = Vec::new();
        let is_plain = |told: &&Explanation| {
            told.standing == Standing::Step(Status::UpToDate) && told.message.is_none() && told.in_doubt.is_none()
        };
        let came_to = |told: &Explanation| done.get(told.step.as_str());
        for told in self.steps.iter().filter(is_plain) {
            let clashes = |account: &&&Account| {
                let says = |word| account.message.as_ref().is_some_and(|why: &String| why.contains(word));
                says("two steps for one file") || says("pair@")
            };
            let came = came_to(told).filter(|came| came.status != Status::UpToDate && !clashes(came));
            if let Some(came) = came.filter(|came| !self.waits_for_more(came, &done)) {
                wrong.push(format!("up to date: {}, but {:?} ({:?})", told.step, came.status, came.message));
            }
        }
        let is_made = |told: &&Explanation| told.standing == Standing::Step(Status::UpToDate);
        for output in after.steps.iter().filter(is_made).flat_map(|told| &told.outputs) {
            if self.orphans.contains(output) {
                wrong.push(format!("an orphan: {output}, but made"));
            }
        }
        wrong
    }

    /// Whether a step is blocked by one that was to be brought back first, and that waited in vain for what never failed before.
    fn waits_for_more(&self, came: &Account, done: &ByStep<'_>) -> bool {
        let Some(by) = came.message.as_deref().filter(|_| came.status == Status::Blocked) else { return false };
        let is_told = |told: &&Explanation| told.step == by && told.standing == Standing::Step(Status::UpToDate);
        match self.steps.iter().find(is_told) {
            Some(_) => done.get(by).is_some_and(|by| self.waits_for_more(by, done)),
            None => true,
        }
    }

    /// The steps that a build ran and that read something else than is told of them after it. `given` is what each was given
    /// to read, by its name.
    pub fn misread(&self, built: &Summary, given: &BTreeMap<String, Vec<String>>) -> Vec<String> {
        let done = by_step(built);
        let ran = |told: &&Explanation| done.get(told.step.as_str()).is_some_and(|done| done.status == Status::Built);
        let mut wrong = Vec::new();
        for told in self.steps.iter().filter(ran) {
            let read = told.inputs.iter().filter(|read| !read.left_out && !read.done_without).map(|read| &read.path);
            let read: BTreeSet<&String> = read.collect();
            let given = given.get(&told.step).map(|given| given.iter().collect::<BTreeSet<_>>());
            if given.as_ref() != Some(&read) {
                wrong.push(format!("{} was given {given:?}, told {read:?}", told.step));
            }
        }
        wrong
    }
}

fn told_history(
    mut drawn: Drawn,
    repos: BTreeMap<usize, BTreeMap<usize, u8>>,
    rounds: &[(Vec<Edit>, usize)],
    offline: &[bool],
    one: &prop::sample::Index,
) -> Result<(), TestCaseError> {
    let bed = Bed::new(Arc::new(Fake { repos: Mutex::new(repos), ..Fake::default() }));
    for ((edits, jobs), &offline) in rounds.iter().zip(offline) {
        for edit in edits {
            bed.apply(edit, &mut drawn);
        }
        let session = Session { offline, ..bed.drawn(&drawn) };
        let failing = bed.source.failing.lock().unwrap().clone();
        if offline {
            // As a source does that needs the network.
            bed.source.failing.lock().unwrap().extend(0..REPOS.len());
        }
        let order = Order { asked: request::everything(&session.pipeline), jobs: *jobs, ..Order::default() };
        let plan = look(&session, &order, &mut Silence).unwrap();
        prop_assert_eq!(unlike(&session, &order, &plan, one), Vec::<String>::new());
        let built = Bed::build(&session, *jobs, Selection::None);
        prop_assert_eq!(misled(&plan, &built), Vec::<String>::new());
        *bed.source.failing.lock().unwrap() = failing;
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn what_a_plan_says_is_what_the_build_after_it_does(
        (drawn, rounds) in cases(),
        repos in repos(),
        offline in prop::collection::vec(prop::bool::weighted(0.2), 4),
        one in any::<prop::sample::Index>(),
    ) {
        told_history(drawn, repos, &rounds, &offline, &one)?;
    }
}
