//! All causes for which a step runs: one type, told alike by every verb, by the events and by records.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::reason::Reason;

/// So many causes are kept by themselves; of more, it is counted how many there are.
const KEPT: usize = 1000;
/// So many of them go into a record.
const RECORDED: usize = 20;

/// What a record says beside the causes where a step's outputs came back from the store.
const RESTORED: &str = "restored from the store, without being run";

/// Why a step runs: at least one cause, the most telling first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reasons {
    pub first: Reason,
    more: Vec<Reason>,
    /// How many there are beyond those that are kept.
    unlisted: usize,
}

impl From<Reason> for Reasons {
    fn from(first: Reason) -> Self {
        Self { first, more: Vec::new(), unlisted: 0 }
    }
}

impl Reasons {
    /// One that was found later.
    pub fn add(&mut self, cause: Reason) {
        if self.more.len() + 1 >= KEPT {
            self.unlisted += 1;
        } else if self.iter().all(|known| *known != cause) {
            self.more.push(cause);
        }
    }

    /// `None` where nothing is a cause.
    pub fn of(causes: Vec<Reason>) -> Option<Self> {
        let mut causes = causes.into_iter();
        let mut all = Self::from(causes.next()?);
        causes.for_each(|cause| all.add(cause));
        Some(all)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Reason> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// How many causes there are beside the first.
    pub fn others(&self) -> usize {
        self.more.len() + self.unlisted
    }

    /// Whether the step may not run after all.
    pub fn are_uncertain(&self) -> bool {
        self.unlisted == 0 && self.iter().all(Reason::is_uncertain)
    }

    /// How many causes there are that [`Reasons::iter`] does not show.
    pub fn unlisted(&self) -> usize {
        self.unlisted
    }

    /// The same of a step whose outputs came back from the store.
    pub fn to_record_of_restored(&self) -> String {
        let causes = if *self == Reason::FirstBuild.into() { self.to_string() } else { self.to_record() };
        format!("{causes}\n{RESTORED}")
    }

    /// As records keep them: a line a cause, and of a first build, which most are, nothing.
    pub fn to_record(&self) -> String {
        if self.first == Reason::FirstBuild && self.others() == 0 {
            return String::new();
        }
        let mut lines: Vec<String> =
            self.iter().take(RECORDED).map(|cause| cause.to_string().replace('\n', " ")).collect();
        if self.others() >= RECORDED {
            lines.push(format!("and {} more", self.others() + 1 - RECORDED));
        }
        lines.join("\n")
    }

    /// The causes that a record tells.
    pub fn recorded(why: &str) -> Vec<String> {
        match why {
            "" => vec![Reason::FirstBuild.to_string()],
            why => why.lines().map(str::to_owned).collect(),
        }
    }
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
