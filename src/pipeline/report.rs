//! Problems as people see them: one report, with every problem and its place in the file.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use super::problem::{Problem, Problems, Span};
use super::secrets::strike_out;

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
    source: Arc<Source>,
}

impl Problems {
    /// Makes a report of the problems in `text`, the content of `file`: in the order of their places, those without
    /// one first. Secrets that stand in the text are struck out.
    pub fn report(&self, file: &Path, text: &str) -> Report {
        let file = file.display().to_string();
        let source = Arc::new(Source::new(&file, strike_out(text)));
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
            let span = first_line(&self.source.text, span);
            LabeledSpan::new((!words.is_empty()).then(|| words.to_owned()), span.start, span.len)
        };
        let also = self.problem.also.iter().map(move |(span, words)| label(*span, words));
        Some(Box::new(std::iter::once(label(own, &self.problem.label)).chain(also)))
    }
}

/// The text of a file, with an index of its lines. What miette brings along reads a file from its start for every
/// mark, which takes minutes where a large file has a mistake in each of its targets.
#[derive(Debug)]
struct Source {
    name: String,
    text: String,
    /// Where each line starts.
    lines: Vec<usize>,
}

impl Source {
    fn new(name: &str, text: String) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name: name.to_owned(), text, lines }
    }

    /// The line, from 0, that a byte is in.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).saturating_sub(1)
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (start, end) = (span.offset(), span.offset().saturating_add(span.len()));
        if end > self.text.len() {
            return Err(MietteError::OutOfBounds);
        }
        let line = self.line(start);
        let first = line.saturating_sub(before);
        // Without lines before it, the span's own start is asked for.
        let (from, column) = match before {
            0 => (start, self.text[self.lines[line]..start].chars().count()),
            _ => (self.lines[first], 0),
        };
        // The last character decides which line a span ends in.
        let last = self.line(end.saturating_sub(1).max(start)) + after;
        let to = self.lines.get(last + 1).map_or(self.text.len(), |next| *next);
        let data = &self.text.as_bytes()[from..to];
        let covered = SourceSpan::from((from, to - from));
        let count = last + 1 - first;
        Ok(Box::new(MietteSpanContents::new_named(self.name.clone(), data, covered, first, column, count)))
    }
}

/// A mark over many lines draws a frame around them and says no more than one at their start.
fn first_line(text: &str, span: Span) -> Span {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.floor_char_boundary(span.start.saturating_add(span.len).min(text.len()));
    let marked = text.get(start..end).unwrap_or("");
    Span { start, len: marked.lines().next().unwrap_or("").trim_end().len() }
}
