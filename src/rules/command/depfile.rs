//! Depfiles: the inputs that a command found while it ran, as compilers write them for make.

use std::path::{Component, Path, PathBuf};

/// The prerequisites that a depfile names, in its order, each once. `Err` is the number of a line that is no rule.
pub(super) fn parse(text: &str) -> Result<Vec<String>, usize> {
    let mut found: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (number, line) in rules(text) {
        let (words, colon) = words(&line);
        if words.is_empty() {
            continue;
        }
        let Some(colon) = colon else { return Err(number) };
        found.extend(words.into_iter().skip(colon).filter(|word| seen.insert(word.clone())));
    }
    Ok(found)
}

/// The lines, those that a `\` at their end joins as one, with their numbers.
fn rules(text: &str) -> Vec<(usize, String)> {
    let mut rules: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(text.lines()) {
        let (line, more) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        match rules.last_mut().filter(|_| goes_on) {
            Some((_, rule)) => {
                rule.push(' ');
                rule.push_str(line);
            }
            None => rules.push((number, line.to_owned())),
        }
        goes_on = more;
    }
    rules
}

/// The words of a rule, and how many of them stand before its colon: the first that a blank or the end follows, so that
/// `C:/x` is one word. `\ ` is a blank, `\#` a `#`, `$$` a `$`; any other backslash is itself.
fn words(line: &str) -> (Vec<String>, Option<usize>) {
    let (mut words, mut word, mut colon) = (Vec::new(), String::new(), None);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if matches!(chars.peek(), Some(' ' | '#' | '\\' | ':')) => word.extend(chars.next()),
            '$' if chars.peek() == Some(&'$') => word.extend(chars.next()),
            '#' if word.is_empty() => break,
            ':' if colon.is_none() && chars.peek().is_none_or(|c| c.is_whitespace()) => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                colon = Some(words.len());
            }
            c if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    (words, colon)
}

/// A path as records have it: relative to the root where it lies below, `.` the root itself, otherwise absolute; other `.`
/// and `..` resolved by their text.
pub(super) fn normal(path: &str, root: &Path) -> String {
    let mut clean = PathBuf::new();
    for part in root.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    let below = clean.strip_prefix(root).unwrap_or(&clean);
    if below.as_os_str().is_empty() { ".".to_owned() } else { below.to_string_lossy().into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compilers_write_is_read() {
        let gcc = "out/a.o: src/a.c src/my\\ header.h \\\n /usr/include/stdio.h src/a$$b.h\\\n\n\nsrc/x.h:\n";
        assert_eq!(parse(gcc).unwrap(), ["src/a.c", "src/my header.h", "/usr/include/stdio.h", "src/a$b.h"]);
        assert_eq!(parse("a b: c # d\n# e\nf : c g:h i\\#j\r\n").unwrap(), ["c", "g:h", "i#j"]);
        assert_eq!(parse("C:\\x.o: C:\\x.c\n").unwrap(), ["C:\\x.c"]);
        assert_eq!(parse("").unwrap(), [""; 0]);
        assert_eq!(parse("a: b\nno rule\n"), Err(2));
    }

    #[test]
    fn paths_are_told_from_the_root() {
        let root = Path::new("/a/b");
        for (path, told) in [
            ("c", "c"),
            ("./c/../d", "d"),
            (".", "."),
            ("/a/b/", "."),
            ("c/..", "."),
            ("/a/b/c", "c"),
            ("../x", "/a/x"),
            ("/usr/x", "/usr/x"),
            ("/a/bc", "/a/bc"),
        ] {
            assert_eq!(normal(path, root), told);
        }
    }
}
