//! Crawls of some hundred tags of a real registry, while it, or what is before it, misbehaves.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::support::clock::Clock;
use crate::support::fault::{self, Seen};
use crate::support::images::{Format, Manifest};
use crate::support::project::{Project, Report, Running, Snapshot};
use crate::support::registry::Registry;
use crate::support::spoiler::{Fate, Faults, Spoiler};
use crate::support::stock;
use crate::support::words::{exit, outcome};

const REPOSITORIES: [&str; 4] = ["team/api", "team/web", "library/base", "deep/er/tool"];
/// Of each repository; the last one is a second name of the one before.
const TAGS: usize = 50;
/// Every so many tags, one is an index.
const INDEX_EVERY: usize = 10;
/// What a whole crawl fetches by GET: a manifest for each tag but the second names, one more for an index.
const MANIFESTS: usize = REPOSITORIES.len() * (TAGS - 1 + (TAGS - 1).div_ceil(INDEX_EVERY));

/// What is crawled.
struct Bed {
    address: SocketAddr,
    /// What a crawl that nothing disturbs comes to.
    whole: Snapshot,
    _registry: Mutex<Registry>,
}

/// The registry, which the tests that run at the same time share: it takes longer to fill than to crawl.
fn bed() -> Arc<Bed> {
    static SHARED: Mutex<Weak<Bed>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let bed = Arc::new(Bed::new());
        *shared = Arc::downgrade(&bed);
        bed
    })
}

impl Bed {
    fn new() -> Self {
        let registry = Registry::start();
        let base = stock::busybox();
        for repo in REPOSITORIES {
            let image = |tag: usize| {
                let format = if tag.is_multiple_of(2) { Format::Oci } else { Format::Docker };
                let image = base.clone().env("NAME", &format!("{repo}:{tag}")).manifest(format);
                if tag.is_multiple_of(INDEX_EVERY) { Manifest::index(format, &[&image], false, "") } else { image }
            };
            for tag in 0..TAGS - 1 {
                registry.push(&format!("{repo}:{tag}"), &image(tag));
            }
            registry.push(&format!("{repo}:latest"), &image(TAGS - 2));
        }
        let project = project(&registry.url(), "");
        let report = project.build(&[]);
        assert_eq!(report.of("get_layer_all").len(), REPOSITORIES.len() * TAGS, "{}", report.listing());
        Self { address: registry.address(), whole: project.snapshot(), _registry: Mutex::new(registry) }
    }

    fn assert_whole(&self, project: &Project, front: &Spoiler) {
        project.snapshot().assert_same_bytes(&self.whole, "result/");
        let asked = front.seen().len();
        project.build(&[]).assert_nothing_done();
        assert_eq!(front.seen().len(), asked, "what is there is not asked for");
    }
}

fn project(url: &str, keys: &str) -> Project {
    let project = Project::new(&stock::pipeline_for(url, &REPOSITORIES));
    project.edit("{kind: registry, ", &format!("{{kind: registry, {keys}"));
    project
}

fn is_pull(seen: &Seen) -> bool {
    seen.method == Method::GET && seen.path.contains("/manifests/")
}

/// How often each manifest was fetched, of requests from the first of these on.
fn pulls(front: &Spoiler, from: usize) -> BTreeMap<String, usize> {
    let mut pulls = BTreeMap::new();
    for seen in front.seen().iter().skip(from).filter(|s| is_pull(s)) {
        *pulls.entry(seen.path.clone()).or_default() += 1;
    }
    pulls
}

#[test]
fn a_crawl_of_which_a_fifth_of_all_requests_fails_ends_with_every_image_right() {
    let seed = 20_261_124;
    let faults = Faults::new(seed, 20);
    let bed = bed();
    let front = Spoiler::of(bed.address, move |seen| faults.fate(seen));
    let project = project(&front.url(), "idle_timeout: 1s, ");
    let run = project.run(&["build"]);
    assert_eq!(run.code, exit::DONE, "with the seed {seed}\n{run}");
    let requests = front.seen().len();
    let needed = REPOSITORIES.len() * TAGS + 2 * MANIFESTS;
    assert!(run.stderr.contains(" retries"), "the summary says that requests were repeated: {run}");
    assert!(requests < needed * 3 / 2, "{requests} requests with the seed {seed}, where {needed} would do");
    bed.assert_whole(&project, &front);
}

#[test]
fn a_mirror_that_sends_something_else_is_passed_over() {
    let bed = bed();
    let is_content = |seen: &Seen| seen.path.contains("sha256:");
    let mirror = Spoiler::of(bed.address, move |seen| if is_content(seen) { Fate::Flipped } else { Fate::Passed });
    let own = Spoiler::of(bed.address, |_| Fate::Passed);
    let project = project(&own.url(), &format!("mirrors: [\"{}\"], ", mirror.url()));
    project.build(&[]);
    assert!(own.seen().iter().all(is_content), "the rest the mirror has told");
    assert_eq!(mirror.seen().iter().filter(|s| is_content(s)).count(), own.seen().len(), "each is tried once");
    bed.assert_whole(&project, &own);
}

#[test]
fn what_is_never_what_it_is_said_to_be_fails_after_all_attempts() {
    let bed = bed();
    let front = Spoiler::of(bed.address, |seen| if is_pull(seen) { Fate::Flipped } else { Fate::Passed });
    let project = Project::new(&stock::pipeline_for(&front.url(), &["team/api"]));
    let report = project.build_exits(exit::FAILED, &["get_layer_latest"]);
    assert!(report.listing().contains("expected content of this digest, but what came is"), "{}", report.listing());
    assert_eq!(pulls(&front, 0).values().collect::<Vec<_>>(), [&9]);
}

/// Six hours of a registry that counts pulls, and refuses more than a hundred; it says so only then.
fn counting(bed: &Bed, more: impl Fn(usize) + Send + Sync + 'static) -> (Spoiler, Arc<AtomicUsize>) {
    let pulled = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pulled);
    let front = Spoiler::of(bed.address, move |seen| {
        if !is_pull(seen) {
            return Fate::Passed;
        }
        let before = counted.fetch_add(1, Ordering::SeqCst);
        more(before);
        match before < 100 {
            true => Fate::Passed,
            false => Fate::Answered(fault::error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS")),
        }
    });
    (front, pulled)
}

fn build_by(clock: &Clock, project: &Project, code: i32) -> Report {
    Running::spawn(clock.of(project.command(&["build", "--format", "json"]))).wait().report(code)
}

#[test]
fn a_crawl_within_a_budget_is_complete_some_runs_later_and_no_manifest_was_got_twice() {
    let bed = bed();
    let (front, pulled) = counting(&bed, |_| {});
    let project = project(&front.url(), "budget: 100/6h, ");
    let clock = Clock::new();
    let mut runs = 0;
    for window in 1.. {
        let left = MANIFESTS - 100 * (window - 1);
        if left <= 100 {
            break;
        }
        let report = build_by(&clock, &project, exit::DEFERRED);
        assert!(report.deferred > 0 && report.failed + report.blocked == 0, "{}", report.listing());
        assert!(report.stderr.contains("(in 6 h)"), "{}", report.stderr);
        assert_eq!(pulled.swap(0, Ordering::SeqCst), 100, "all that there is, and no more");
        // Asked too early, nothing is fetched.
        build_by(&clock, &project, exit::DEFERRED);
        assert_eq!(pulled.load(Ordering::SeqCst), 0);
        clock.jump(6 * i64::try_from(window).expect("few"));
        runs += 1;
    }
    assert!(runs >= 2, "{MANIFESTS} manifests are more than a few budgets");
    assert_eq!(build_by(&clock, &project, exit::DONE).deferred, 0);
    let pulls = pulls(&front, 0);
    assert_eq!((pulls.len(), pulls.values().max()), (MANIFESTS, Some(&1)), "each once");
    bed.assert_whole(&project, &front);
}

/// Before the registry, tokens are wanted; each repository gets its own, numbered from 0. They are good as long as
/// `is_good` says of the position of the repository, and of the number.
fn with_tokens(bed: &Bed, is_good: impl Fn(usize, usize) -> bool + Send + Sync + 'static) -> Spoiler {
    let granted: [AtomicUsize; REPOSITORIES.len()] = Default::default();
    let position = |text: &str| REPOSITORIES.iter().position(|repo| text.contains(repo)).expect("one of ours");
    Spoiler::of(bed.address, move |seen| {
        if seen.path == "/token" {
            let repo = position(&seen.query.replace("%2F", "/"));
            let token = format!("{repo}-{}", granted[repo].fetch_add(1, Ordering::SeqCst));
            return Fate::Answered(fault::json(StatusCode::OK, &json!({"token": token, "expires_in": 300})));
        }
        let repo = position(&seen.path);
        let token = seen.header("authorization").strip_prefix("Bearer ").and_then(|token| token.split_once('-'));
        match token.and_then(|(of, number)| Some((of.parse::<usize>().ok()?, number.parse().ok()?))) {
            Some((of, number)) if repo == of && is_good(repo, number) => Fate::Passed,
            _ => {
                let realm = format!("Bearer realm=\"{}/token\",service=\"bed\"", seen.server());
                Fate::Answered(fault::challenge(&realm))
            }
        }
    })
}

#[test]
fn a_token_that_ends_in_mid_crawl_costs_a_repository_one_more() {
    let bed = bed();
    let used: [AtomicUsize; REPOSITORIES.len()] = Default::default();
    // The first token of each ends after seventy requests, when many are under way.
    let front = with_tokens(&bed, move |repo, number| number > 0 || used[repo].fetch_add(1, Ordering::SeqCst) < 70);
    let project = project(&front.url(), "");
    let run = project.run(&["build"]).exits(exit::DONE);
    assert!(run.stderr.contains(" retries"), "the summary says that requests were repeated: {run}");
    assert_eq!(front.count("/token"), 2 * REPOSITORIES.len());
    bed.assert_whole(&project, &front);
}

#[test]
fn after_a_storm_of_401_a_crawl_goes_on_where_it_was() {
    let bed = bed();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // In the middle of the images, no token is good enough any more.
    let storm = REPOSITORIES.len() * (TAGS + 1) + MANIFESTS / 2;
    let front = with_tokens(&bed, move |_, _| {
        let before = count.fetch_add(1, Ordering::SeqCst);
        before < storm || before >= 1_000_000
    });
    let project = project(&front.url(), "");
    let report = project.build_exits(exit::FAILED, &[]);
    assert!(report.failed > 0 && report.built > REPOSITORIES.len() as u64, "{}", report.listing());
    assert!(report.stderr.contains("401") && report.stderr.contains("did not help"), "{}", report.stderr);
    let stopped = front.seen().len();
    let most = storm + 4 * REPOSITORIES.len() * TAGS;
    assert!(stopped < most, "{stopped} requests, and the storm began after {storm}");
    assert!(front.count("/token") <= 5 * REPOSITORIES.len(), "{} tokens", front.count("/token"));

    asked.store(1_000_000, Ordering::SeqCst);
    project.build(&[]);
    let again = pulls(&front, stopped);
    assert!(again.values().sum::<usize>() <= again.len() + 1, "but for the one that met the challenge, each once");
    assert!(again.len() < MANIFESTS - 20, "{} of {MANIFESTS} again: what was got before is in the store", again.len());
    bed.assert_whole(&project, &front);
}

#[test]
fn a_list_of_which_half_is_not_there_is_crawled_as_far_as_it_is_and_the_summary_says_so() {
    let bed = bed();
    // As many tags that are listed and gone as there are; two of the four repositories are not there at all.
    let gone = |tag: &str| format!("{tag}-gone");
    let listed: Vec<String> = (0..TAGS - 1).map(|n| n.to_string()).chain(["latest".into()]).collect();
    let all: Vec<String> = listed.iter().cloned().chain(listed.iter().map(|tag| gone(tag))).collect();
    let front = Spoiler::of(bed.address, move |seen| match seen.path.strip_suffix("/tags/list") {
        Some(repo) if repo.contains("team") => Fate::Answered(fault::tag_list(repo, all.iter().map(String::as_str))),
        _ => Fate::Passed,
    });
    let project = Project::new(&stock::pipeline_for(&front.url(), &["team/api", "none/a", "team/web", "none/b"]));
    let run = project.run(&["build", "--format", "json"]);
    let summary = run.stderr.clone();
    let report = run.report(exit::DONE);
    assert_eq!((report.absent, report.failed), (2, 0), "{}", report.listing());
    assert_eq!(report.step("get_tag@repo=none/a").outcome, outcome::ABSENT);
    assert_eq!(report.of("get_layer_all").len(), 2 * TAGS, "{}", report.listing());
    assert!(summary.contains(&format!("{TAGS} tags left out: `0-gone`")), "{summary}");
    assert!(summary.contains("has no repository none/a"), "{summary}");
    let seen = front.seen();
    let gone = seen.iter().filter(|seen| seen.path.contains("-gone"));
    let (heads, gets): (Vec<_>, Vec<_>) = gone.partition(|seen| seen.method == "HEAD");
    assert_eq!(heads.len(), 2 * TAGS, "each is asked about once");
    assert!(gets.len() <= 1, "and the first of all may be looked for by GET: {gets:?}");
    for folder in ["result/tags/team", "result/layers/team"] {
        project.snapshot().assert_same_bytes(&bed.whole, folder);
    }
    let asked = seen.len();
    project.build(&[]).assert_nothing_done();
    assert_eq!(front.seen().len(), asked, "nor is what is not there asked for again");
}

#[test]
fn a_clock_that_jumps_in_mid_crawl_does_no_harm() {
    let bed = bed();
    for hours in [7, -7, 24 * 365] {
        let clock = Clock::new();
        let jump = clock.jumper();
        let asked = AtomicUsize::new(0);
        let front = with_tokens(&bed, move |_, _| {
            if asked.fetch_add(1, Ordering::SeqCst) == REPOSITORIES.len() * TAGS + MANIFESTS {
                jump(hours);
            }
            true
        });
        let project = project(&front.url(), "");
        let report = build_by(&clock, &project, exit::DONE);
        assert_eq!(report.requests, front.seen().len() as u64);
        assert_eq!(front.count("/token"), REPOSITORIES.len(), "tokens last as long as they do, whatever the time is");
        let pulls = pulls(&front, 0);
        assert_eq!((pulls.len(), pulls.values().max()), (MANIFESTS, Some(&1)), "{hours}");
        bed.assert_whole(&project, &front);
    }
}

#[test]
fn a_budget_is_kept_to_though_the_clock_goes_back_and_nobody_waits_until_it_is_there_again() {
    let bed = bed();
    let clock = Clock::new();
    let jump = clock.jumper();
    let once = Once::new();
    let (front, pulled) = counting(&bed, move |before| {
        if before == 50 {
            once.call_once(|| jump(-48));
        }
    });
    let project = project(&front.url(), "budget: 100/6h, ");
    let report = build_by(&clock, &project, exit::DEFERRED);
    assert_eq!(pulled.swap(0, Ordering::SeqCst), 100, "{}", report.stderr);
    assert!(report.stderr.contains("(in 6 h)"), "{}", report.stderr);
    build_by(&clock, &project, exit::DEFERRED);
    assert_eq!(pulled.load(Ordering::SeqCst), 0);
    // Six hours later, by the clock that went back.
    clock.jump(-42);
    build_by(&clock, &project, exit::DEFERRED);
    assert_eq!(pulled.load(Ordering::SeqCst), 100);
    assert!(pulls(&front, 0).values().all(|times| *times == 1));
}

#[test]
fn answers_from_a_time_to_come_are_asked_for_again_and_cost_no_manifest() {
    let bed = bed();
    let clock = Clock::new();
    let front = Spoiler::of(bed.address, |_| Fate::Passed);
    let project = project(&front.url(), "");
    project.edit("    output: result/tags/{repo}.json\n", "    output: result/tags/{repo}.json\n    fresh: 24h\n");
    clock.jump(100);
    build_by(&clock, &project, exit::DONE);
    let asked = front.seen().len();
    build_by(&clock, &project, exit::DONE).assert_nothing_done();
    assert_eq!(front.seen().len(), asked, "they are young");
    clock.jump(0);
    build_by(&clock, &project, exit::DONE);
    let (lists, heads) = (REPOSITORIES.len(), REPOSITORIES.len() * TAGS);
    assert_eq!(front.seen().len() - asked, lists + heads, "their age is not known");
    assert!(pulls(&front, asked).is_empty());
    let asked = front.seen().len();
    build_by(&clock, &project, exit::DONE).assert_nothing_done();
    assert_eq!(front.seen().len(), asked);
}
