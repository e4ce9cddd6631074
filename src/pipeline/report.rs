//! Problems as people see them: one report, with every problem and its place in the file.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

use super::problem::{Problem, Problems, Span};
use super::text::strike_out;

/// All problems of a pipeline file.
#[derive(Debug)]
pub struct Report {
    file: String,
    items: Vec<Item>,
}

/// One problem, with the file that it is in.
#[derive(Debug)]
struct Item {
    problem: Problem,
    source: Arc<NamedSource<String>>,
}

impl Problems {
    /// Makes a report of the problems in `text`, the content of `file`: in the order of their places, those without
    /// one first. Secrets that stand in the text are struck out.
    pub fn report(&self, file: &Path, text: &str) -> Report {
        let file = file.display().to_string();
        let source = Arc::new(NamedSource::new(&file, strike_out(text)));
        let mut problems = self.clone();
        problems.tidy();
        let items = problems.0.into_iter().map(|problem| Item { problem, source: source.clone() }).collect();
        Report { file, items }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.items.len() {
            1 => write!(f, "{} has a problem", self.file),
            n => write!(f, "{} has {n} problems", self.file),
        }
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.items.iter().map(|item| item as &dyn Diagnostic)))
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Item {}

impl Diagnostic for Item {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.problem.span.map(|_| &*self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let own = self.problem.span?;
        let label = |span: Span, words: &str| {
            let span = first_line(self.source.inner(), span);
            LabeledSpan::new((!words.is_empty()).then(|| words.to_owned()), span.start, span.len)
        };
        let also = self.problem.also.iter().map(move |(span, words)| label(*span, words));
        Some(Box::new(std::iter::once(label(own, &self.problem.label)).chain(also)))
    }
}

/// A mark over many lines draws a frame around them and says no more than one at their start.
fn first_line(text: &str, span: Span) -> Span {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.floor_char_boundary(span.start.saturating_add(span.len).min(text.len()));
    let marked = text.get(start..end).unwrap_or("");
    Span { start, len: marked.lines().next().unwrap_or("").trim_end().len() }
}
