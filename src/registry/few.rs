//! Lists and objects in what comes from elsewhere, no longer than any that is meant: an entry of three bytes takes a hundred
//! in memory, and many more in what is made of it.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

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

/// An object of at most so many names; of one that comes again, the last counts.
#[derive(Debug)]
pub struct FewNamed<T, const MOST: usize>(pub BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for FewNamed<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Names(PhantomData))
    }
}

struct Names<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Names<T, MOST> {
    type Value = FewNamed<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut named = BTreeMap::new();
        while let Some((name, entry)) = entries.next_entry()? {
            named.insert(name, entry);
            if named.len() > MOST {
                return Err(A::Error::custom(format_args!("an object of more than {MOST} names")));
            }
        }
        Ok(FewNamed(named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_is_too_large_is_not_read_to_its_end() {
        let read = |text: &str| serde_json::from_str::<FewNamed<u8, 2>>(text).map(|object| object.0);
        let expected = BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 2)]);
        assert_eq!(read(r#"{"a": 1, "b": 2, "a": 3}"#).unwrap(), expected);
        let error = read(r#"{"a": 1, "b": 2, "c": 3, and no JSON"#).unwrap_err().to_string();
        assert!(error.starts_with("an object of more than 2 names"), "{error}");
        assert!(read("[]").is_err());
    }

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
