//! What is wrong with a pipeline file: collected while it is checked, shown all at once.

/// A place in the text of the pipeline file, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub start: usize,
    pub len: usize,
}

impl Span {
    /// Whether another one begins in this one, or where it would be if it had any length.
    pub fn has(self, other: Self) -> bool {
        (self.start..self.start + self.len.max(1)).contains(&other.start)
    }
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, e.g. `unknown target`.
    pub message: String,
    /// The text to mark; `None` where it has no place (a value given by `--set`, say).
    pub span: Option<Span>,
    /// The words under the mark, e.g. `no target of this name`.
    pub label: String,
    /// What to do, e.g. "did you mean `get_tag`?".
    pub help: Option<String>,
    /// Other places that have to do with it, e.g. the first of two equal keys, each with words of its own.
    pub also: Vec<(Span, String)>,
}

impl Problem {
    /// Says what to do about it.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to do about it, where something is known.
    pub fn maybe_help(&mut self, help: Option<String>) -> &mut Self {
        self.help = help;
        self
    }

    /// Marks another place that has to do with it.
    pub fn also(&mut self, span: Span, label: impl Into<String>) -> &mut Self {
        self.also.push((span, label.into()));
        self
    }
}

/// Every problem of a file, in the order found.
#[derive(Clone, Debug, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds a problem at a place.
    pub fn at(&mut self, span: Span, message: impl Into<String>, label: impl Into<String>) -> &mut Problem {
        let problem = Problem { message: message.into(), span: Some(span), label: label.into(), ..Problem::default() };
        self.push(problem)
    }

    /// Adds a problem that has no place in the text.
    pub fn bare(&mut self, message: impl Into<String>) -> &mut Problem {
        self.push(Problem { message: message.into(), ..Problem::default() })
    }

    /// Takes in what else is found of an entry of this name in which something is wrong, but for what comes of that: what is
    /// said of the entry as a whole, or where something was said before.
    pub fn further(&mut self, name: Span, find: impl FnOnce(&mut Self)) {
        let mut found = Self::default();
        find(&mut found);
        let is_new = |place: Span| {
            let mut known = self.0.iter().filter_map(|problem| problem.span);
            place != name && !known.any(|known| known.has(place) || place.has(known))
        };
        found.0.retain(|problem| problem.span.is_some_and(is_new));
        self.0.extend(found.0);
    }

    fn push(&mut self, problem: Problem) -> &mut Problem {
        self.0.push(problem);
        self.0.last_mut().expect("pushed above")
    }

    /// Leaves one of each, in the order of their places; those without a place come first.
    pub fn tidy(&mut self) {
        self.0.sort_by_key(|p| p.span.map(|s| (s.start, s.len)));
        let mut seen = std::collections::HashSet::new();
        self.0.retain(|p| seen.insert((p.span, p.message.clone())));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The nearest of `known` to a misspelt `name`, as a help line.
pub fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(meant)
}

/// As a help line.
pub fn meant(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// The one of `known` that is near enough to a misspelt `name`, and the nearest.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = |k: &str| 1 + k.len().min(name.len()) / 3;
    known
        .into_iter()
        // Most are out of the question by their length alone: a pipeline may have many thousands of names.
        .filter(|k| k.len().abs_diff(name.len()) <= most(k))
        .map(|k| (strsim::damerau_levenshtein(name, k), k))
        .filter(|(d, k)| *d <= most(k))
        .min()
        .map(|(_, k)| k)
}
