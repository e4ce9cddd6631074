//! JSON with two blanks a level, as `serde_json`'s own pretty form has it, but a line's end and its blanks are written at
//! once: there they are as many pieces as there are levels.

use std::io::{self, Write};

use serde_json::ser::Formatter;

/// What stands between two values, on the deepest level that is written at once.
const LINE: &[u8] = b",\n                                                                ";

#[derive(Default)]
pub struct Lines {
    depth: usize,
    /// The innermost list or object has a value.
    has_value: bool,
}

impl Lines {
    /// A new line, after a comma where it is not the first.
    fn line(&self, to: &mut (impl Write + ?Sized), first: bool) -> io::Result<()> {
        let (start, end) = (usize::from(first), 2 + 2 * self.depth);
        to.write_all(&LINE[start..end.min(LINE.len())])?;
        (LINE.len()..end).try_for_each(|_| to.write_all(b" "))
    }

    fn open(&mut self, to: &mut (impl Write + ?Sized), bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.has_value = false;
        to.write_all(bracket)
    }

    fn close(&mut self, to: &mut (impl Write + ?Sized), bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.has_value {
            self.line(to, true)?;
        }
        to.write_all(bracket)
    }
}

impl Formatter for Lines {
    fn begin_array<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.open(to, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.close(to, b"]")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.line(to, first)
    }

    fn end_array_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_object<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.open(to, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.close(to, b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.line(to, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::{Serializer, Value, json};

    use super::*;

    #[test]
    fn it_is_the_pretty_form_of_serde_json() {
        let deep =
            (0..100).fold(json!([1, {}]), |inner, n| if n % 3 == 0 { json!([inner]) } else { json!({"a": inner}) });
        for value in [json!([]), json!({}), json!({"a": [], "b": {"c": [1, 2, {}]}, "d": "\"\n"}), Value::Null, deep] {
            let mut written = Vec::new();
            value.serialize(&mut Serializer::with_formatter(&mut written, Lines::default())).unwrap();
            assert_eq!(written, serde_json::to_vec_pretty(&value).unwrap());
        }
    }
}
