//! Lists in what comes from elsewhere, no longer than any that is meant: an entry of three bytes takes a hundred in memory,
//! and many more in what is made of it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// More than any image has layers, entries of its history, or platforms.
pub const ENTRIES_MAX: usize = 10_000;

/// A list of at most so many.
#[derive(Debug)]
pub struct Few<T, const MOST: usize = ENTRIES_MAX>(pub Vec<T>);

impl<T, const MOST: usize> Default for Few<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Few<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Entries(PhantomData))
    }
}

struct Entries<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Entries<T, MOST> {
    type Value = Few<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            if list.len() == MOST {
                return Err(A::Error::custom(format_args!("a list of more than {MOST}")));
            }
            list.push(entry);
        }
        Ok(Few(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_too_long_is_not_read_to_its_end() {
        let read = |text: &str| serde_json::from_str::<Option<Few<u8, 2>>>(text).map(|list| list.map(|list| list.0));
        assert_eq!(read("[1, 2]").unwrap(), Some(vec![1, 2]));
        assert_eq!((read("[]").unwrap(), read("null").unwrap()), (Some(vec![]), None));
        let error = read("[1, 2, 3, and no JSON").unwrap_err().to_string();
        assert!(error.starts_with("a list of more than 2"), "{error}");
        assert!(read("{}").is_err());
    }
}
