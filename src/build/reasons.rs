//! All causes for which a step runs: one type, told alike by every verb, by the events and by records.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::registry::Earlier;
use crate::store::state::StepRecord;

use super::clock::time;
use super::reason::Reason;

/// So many causes are kept by themselves; of more, it is counted how many there are.
const KEPT: usize = 1000;
/// So many of them go into a record.
const RECORDED: usize = 20;

/// What a record says beside the causes where a step's outputs came back from the store.
const RESTORED: &str = "restored from the store, without being run";
/// The beginning of what it says there that is no cause.
const NOTE: &str = "note: ";
/// The beginning of what it then says of how they were made.
const MADE: &str = "what came back was made at ";

/// The beginning of what a record says beside why a source was asked, where an earlier try was told a part of the answer.
const EARLIER: &str = "from a try that did not end: ";

/// The beginning of what the record of a step says that was absent, and was seen to be so again without being asked about.
const AGAIN: &str = "gone through again at ";

/// Around the source of a step that was made by its answer, where another one has said the same since.
const SOURCE: [&str; 2] = ["its source was ", " then"];

/// Why a step runs: at least one cause, the most telling first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reasons {
    pub first: Reason,
    more: Vec<Reason>,
    /// How many there are beyond those that are kept.
    unlisted: usize,
    /// One of those holds whatever a build does before.
    is_unlisted_certain: bool,
}

impl From<Reason> for Reasons {
    fn from(first: Reason) -> Self {
        Self { first, more: Vec::new(), unlisted: 0, is_unlisted_certain: false }
    }
}

impl Reasons {
    /// One more, in its place.
    pub fn add(&mut self, cause: Reason) {
        if self.more.len() + 1 >= KEPT {
            self.unlisted += 1;
            self.is_unlisted_certain |= !cause.is_uncertain();
        } else if cause.place() < self.first.place() {
            self.more.insert(0, std::mem::replace(&mut self.first, cause));
        } else if self.iter().all(|known| *known != cause) {
            let at = self.more.partition_point(|known| known.place() <= cause.place());
            self.more.insert(at, cause);
        }
    }

    /// `None` where nothing is a cause.
    pub fn of(mut causes: Vec<Reason>) -> Option<Self> {
        causes.sort_by(|a, b| a.place().cmp(&b.place()));
        let mut causes = causes.into_iter();
        let mut all = Self::from(causes.next()?);
        causes.for_each(|cause| all.add(cause));
        Some(all)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Reason> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// Those that are left without some; `None` where that is none.
    pub fn without(self, goes: impl Fn(&Reason) -> bool) -> Option<Self> {
        let Self { first, more, .. } = self;
        let mut kept = std::iter::once(first).chain(more).filter(|cause| !goes(cause));
        Some(Self { first: kept.next()?, more: kept.collect(), ..self })
    }

    /// How many causes there are beside the first.
    pub fn others(&self) -> usize {
        self.more.len() + self.unlisted
    }

    /// Whether `hangs` is true of all causes; of those that are not kept, whether they hang on what a build does before.
    pub fn all(&self, hangs: impl Fn(&Reason) -> bool) -> bool {
        !self.is_unlisted_certain && self.iter().all(hangs)
    }

    /// How many causes there are that [`Reasons::iter`] does not show.
    pub fn unlisted(&self) -> usize {
        self.unlisted
    }

    /// They all tell why a source is asked once more, and nothing else.
    pub fn only_ask(&self) -> bool {
        self.unlisted == 0 && self.iter().all(Reason::only_asks)
    }

    /// The same of a step whose outputs came back from the store; `made` is when and why they had been made, where the
    /// record before this one is of them, and `first_made` when they first were, as the store knows it, or 0.
    pub fn to_record_of_restored(&self, made: Option<(i64, &str)>, first_made: i64) -> String {
        let mut lines = self.listed();
        lines.push(RESTORED.to_owned());
        let by_store = (first_made != 0).then(|| format!("{MADE}{}", time(first_made)));
        lines.extend(made.and_then(|(at, why)| really_made(at, why)).or(by_store));
        lines.join("\n")
    }

    /// What a record says that was to be known of what was made.
    pub fn notes(why: &str) -> impl Iterator<Item = &str> {
        why.lines().filter_map(|line| line.strip_prefix(NOTE))
    }

    /// Of the causes that a record tells of a run for which a source was asked, those for which it was: not what it said.
    pub fn of_asking(why: &str) -> Vec<String> {
        let all = Self::recorded(why);
        let tells_why = |cause: &str| {
            let is_note = [NOTE, AGAIN].iter().any(|note| cause.starts_with(note));
            !is_note && source_then(cause).is_none() && !Reason::is_outcome(cause)
        };
        let causes: Vec<String> = all.iter().filter(|cause| tells_why(cause)).cloned().collect();
        if causes.is_empty() { all } else { causes }
    }

    /// As records keep them: a line a cause, and of a first build, which most are, nothing.
    pub fn to_record(&self) -> String {
        if self.first == Reason::FirstBuild && self.others() == 0 {
            return String::new();
        }
        self.listed().join("\n")
    }

    /// The first of them in words, and how many there are behind those.
    pub fn listed(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.iter().take(RECORDED).map(|cause| cause.to_string().replace('\n', " ")).collect();
        if self.others() >= RECORDED {
            lines.push(format!("and {} more", self.others() + 1 - RECORDED));
        }
        lines
    }

    /// The causes that a record tells.
    pub fn recorded(why: &str) -> Vec<String> {
        match why {
            "" => vec![Reason::FirstBuild.to_string()],
            why => why.lines().map(str::to_owned).collect(),
        }
    }
}

/// Why a step ran, as records keep it, with what is to be known of what was made.
pub(super) fn noted(why: String, notes: &[String]) -> String {
    if notes.is_empty() {
        return why;
    }
    let notes = notes.iter().map(|note| format!("{NOTE}{}", note.replace('\n', " ")));
    Reasons::recorded(&why).into_iter().chain(notes).collect::<Vec<_>>().join("\n")
}

/// Why a source was asked, as records keep it, and what of the answer an earlier try was told.
pub(super) fn told_earlier(reasons: &Reasons, earlier: Earlier) -> String {
    let mut lines = reasons.listed();
    lines.push(format!("{EARLIER}{earlier}, of then or later; all else was asked for after that"));
    lines.join("\n")
}

/// Whether a line of a record tells that, and is no cause.
pub(super) fn tells_earlier(line: &str) -> bool {
    line.starts_with(EARLIER)
}

/// What a record tells of why a step ran, with the source that it had `then`. The first such is that which it ran by.
pub(super) fn by_source(why: &str, then: &str) -> String {
    let mut lines = Reasons::recorded(why);
    lines.extend(source_then(why).is_none().then(|| SOURCE.join(then)));
    lines.join("\n")
}

/// What a record tells of why a step is absent, with why it was gone through again `now`, in milliseconds since 1970.
pub(super) fn gone_through(why: &str, now: i64, reasons: &Reasons) -> String {
    let mut lines = Reasons::recorded(why);
    lines.retain(|line| !line.starts_with(AGAIN));
    lines.push(format!("{AGAIN}{}: {}", time(now), reasons.listed().join("; ")));
    lines.join("\n")
}

/// The source that a step ran by, where its record tells that beside the causes.
pub(super) fn source_then(why: &str) -> Option<&str> {
    let [before, behind] = SOURCE;
    why.lines().find_map(|line| line.strip_prefix(before)?.strip_suffix(behind))
}

/// When and why what is taken over by hand was made, as the record before that tells.
pub(super) fn past(record: &StepRecord) -> String {
    let at = time(record.last_made());
    match &record.why {
        Some(why) => {
            let word = if record.absent.is_some() && !record.went_with_input() { "absent since" } else { "made at" };
            format!("{word} {at}: {}", Reasons::recorded(why).join("; "))
        }
        None if record.before.is_empty() => format!("taken over at {at}"),
        None => record.before.clone(),
    }
}

/// When and why what a record is of was made, and not only brought back, as far as it tells.
fn really_made(at: i64, why: &str) -> Option<String> {
    if why.lines().any(|line| line == RESTORED) {
        return why.lines().find(|line| line.starts_with(MADE)).map(str::to_owned);
    }
    Some(format!("{MADE}{}: {}", time(at), Reasons::recorded(why).join("; ")))
}

/// In a line: the first cause, and how many there are beside it.
impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.others() {
            0 => write!(f, "{}", self.first),
            1 => write!(f, "{} (+1 more cause)", self.first),
            more => write!(f, "{} (+{more} more causes)", self.first),
        }
    }
}

/// For programs: the first cause, with the others under `more`.
impl Serialize for Reasons {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.first.serialize_into(&mut map)?;
        if !self.more.is_empty() {
            map.serialize_entry("more", &self.more)?;
        }
        if self.unlisted > 0 {
            map.serialize_entry("unlisted", &self.unlisted)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: usize) -> Reasons {
        Reasons::of((0..count).map(|n| Reason::NewInput(format!("{n}.txt"))).collect()).unwrap()
    }

    #[test]
    fn a_line_names_the_first_cause_and_counts_the_others() {
        assert_eq!(Reasons::of(Vec::new()), None);
        assert_eq!(of(1).to_string(), "new input: 0.txt");
        assert_eq!(of(2).to_string(), "new input: 0.txt (+1 more cause)");
        assert_eq!(of(3).to_string(), "new input: 0.txt (+2 more causes)");
        assert_eq!(of(2000).to_string(), "new input: 0.txt (+1999 more causes)");
        assert_eq!(Reasons::of(vec![Reason::Forced, Reason::Forced]).unwrap().others(), 0);
    }

    #[test]
    fn a_restored_step_keeps_how_its_outputs_were_made() {
        let causes = Reasons::from(Reason::MissingOutput("a".into()));
        let once = causes.to_record_of_restored(Some((1000, "")), 500);
        let made = "what came back was made at 1970-01-01T00:00:01Z: first build";
        assert_eq!(once, format!("missing output: a\n{RESTORED}\n{made}"));
        assert_eq!(causes.to_record_of_restored(Some((2000, &once)), 0), once, "the second time as well");
        let unknown = causes.to_record_of_restored(None, 0);
        assert_eq!(unknown, format!("missing output: a\n{RESTORED}"));
        assert_eq!(causes.to_record_of_restored(Some((2000, &unknown)), 0), unknown);
        let earlier = causes.to_record_of_restored(None, 1000);
        assert_eq!(earlier, format!("missing output: a\n{RESTORED}\nwhat came back was made at 1970-01-01T00:00:01Z"));
        assert_eq!(causes.to_record_of_restored(Some((2000, &unknown)), 1000), earlier);
    }

    #[test]
    fn what_came_of_asking_is_told_before_why_it_was_tried_whatever_else_is_told() {
        let answer = Reason::ChangedAnswer { what: None, from: "1".into(), to: "2".into() };
        let missing = Reason::MissingOutput("a".into());
        for why in [Reason::Refreshed, Reason::Forced] {
            let told = [missing.clone(), answer.clone(), why.clone()];
            let mut causes = Reasons::of(vec![why.clone(), missing.clone()]).unwrap();
            causes.add(answer.clone());
            causes.add(answer.clone());
            assert_eq!(causes.iter().collect::<Vec<_>>(), told.iter().collect::<Vec<_>>());
            let mut causes = Reasons::from(why.clone());
            causes.add(answer.clone());
            assert_eq!(causes.iter().collect::<Vec<_>>(), [&answer, &why]);
        }
    }

    #[test]
    fn of_causes_that_are_not_kept_it_is_known_whether_they_hang_on_others() {
        let many = |last: Reason| {
            let causes = (0..1500).map(|n| Reason::Upstream(n.to_string())).chain([last]);
            Reasons::of(causes.collect()).unwrap()
        };
        assert!(many(Reason::Upstream("one more".into())).all(Reason::is_uncertain));
        assert!(!many(Reason::NewInput("one more".into())).all(Reason::is_uncertain));
    }

    #[test]
    fn programs_get_every_cause() {
        let json = serde_json::to_value(of(3)).unwrap();
        assert_eq!((&json["kind"], &json["what"]), (&"changed-input".into(), &"0.txt".into()));
        assert_eq!((&json["more"][0]["what"], &json["more"][1]["what"]), (&"1.txt".into(), &"2.txt".into()));
        assert_eq!(serde_json::to_value(of(1200)).unwrap()["unlisted"], 200);
    }

    #[test]
    fn records_keep_a_line_a_cause_and_not_without_end() {
        assert_eq!(Reasons::from(Reason::FirstBuild).to_record(), "");
        assert_eq!(Reasons::recorded(""), ["first build"]);
        assert_eq!(Reasons::recorded(&of(2).to_record()), ["new input: 0.txt", "new input: 1.txt"]);
        let many = Reasons::recorded(&of(2000).to_record());
        assert_eq!((many.len(), many[20].as_str()), (21, "and 1980 more"));
        assert_eq!(of(20).to_record().lines().count(), 20);
    }
}
