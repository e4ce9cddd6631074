//! Which tags of a tag file an axis takes.

use std::cmp::Ordering;

use super::model::Select;

/// A value, and the fingerprint of what stands behind it, where that is known: a tag's digest.
pub type Valued = (String, Option<[u8; 32]>);

/// The tags chosen out of `tags`, which are in name order, in that order.
pub fn select(select: &Select, tags: Vec<(String, [u8; 32])>) -> Result<Vec<Valued>, String> {
    let chosen: Vec<(String, [u8; 32])> = match select {
        Select::All => tags,
        Select::Latest => {
            let at = tags
                .iter()
                .position(|(t, _)| t == "latest")
                .or_else(|| tags.iter().rposition(|(t, _)| !is_digest_tag(t)));
            at.and_then(|at| tags.into_iter().nth(at)).into_iter().collect()
        }
        Select::Glob(glob) => tags.into_iter().filter(|(t, _)| glob.is_match(t)).collect(),
        Select::Regex(regex) => tags.into_iter().filter(|(t, _)| regex.is_match(t)).collect(),
        Select::Newest(count) => {
            let mut order: Vec<_> = tags.into_iter().filter(|(t, _)| !is_digest_tag(t)).collect();
            order.sort_by(|a, b| natural(&b.0, &a.0));
            order.truncate(*count);
            order.sort();
            order
        }
        Select::Semver(range) => {
            tags.into_iter().filter(|(t, _)| version(t).is_some_and(|v| range.matches(&v))).collect()
        }
    };
    Ok(chosen.into_iter().map(|(tag, digest)| (tag, Some(digest))).collect())
}

/// `sha256-<64 hex>…`: how signatures and attestations hang on an image, no version of it.
pub fn is_digest_tag(tag: &str) -> bool {
    tag.strip_prefix("sha256-")
        .is_some_and(|rest| rest.len() >= 64 && rest.as_bytes()[..64].iter().all(u8::is_ascii_hexdigit))
}

/// Version order: runs of digits count as numbers (`1.9` before `1.10`), all else by its bytes; where two say the
/// same number (`1.9`, `1.09`) their bytes decide, so that no two names are equal.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(&p), Some(&q)) = (x.first(), y.first()) else {
            return x.len().cmp(&y.len()).then_with(|| a.cmp(b));
        };
        if p.is_ascii_digit() && q.is_ascii_digit() {
            let (m, n) = (digits(x), digits(y));
            // Without leading zeros, the longer number is the larger one, and of two as long their bytes tell.
            let (v, w) = (significant(&x[..m]), significant(&y[..n]));
            let order = v.len().cmp(&w.len()).then_with(|| v.cmp(w));
            if order != Ordering::Equal {
                return order;
            }
            (x, y) = (&x[m..], &y[n..]);
        } else if p != q {
            return p.cmp(&q);
        } else {
            (x, y) = (&x[1..], &y[1..]);
        }
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

fn significant(digits: &[u8]) -> &[u8] {
    &digits[digits.iter().take_while(|b| **b == b'0').count()..]
}

/// A tag as a version: `v?MAJOR[.MINOR[.PATCH]][-PRE]`, missing parts 0.
pub fn version(tag: &str) -> Option<semver::Version> {
    let tag = tag.strip_prefix('v').unwrap_or(tag);
    let (numbers, pre) = match tag.split_once('-') {
        Some((numbers, pre)) => (numbers, semver::Prerelease::new(pre).ok().filter(|p| !p.is_empty())?),
        None => (tag, semver::Prerelease::EMPTY),
    };
    let mut parts = [0u64; 3];
    for (count, part) in numbers.split('.').enumerate() {
        if count == 3 || part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        parts[count] = part.parse().ok()?;
    }
    Some(semver::Version { pre, ..semver::Version::new(parts[0], parts[1], parts[2]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(by: Select, tags: &[&str]) -> Vec<String> {
        let mut tags: Vec<(String, [u8; 32])> = tags.iter().map(|t| (t.to_string(), [7; 32])).collect();
        tags.sort();
        select(&by, tags).unwrap().into_iter().map(|(t, d)| (t, d.unwrap())).map(|(t, _)| t).collect()
    }

    fn digest_tag() -> String {
        format!("sha256-{}.sig", "a".repeat(64))
    }

    #[test]
    fn latest_is_the_seeds_rule() {
        let sig = digest_tag();
        assert_eq!(chosen(Select::Latest, &["1", "latest", "zzz"]), ["latest"]);
        assert_eq!(chosen(Select::Latest, &["1.9", "1.10", &sig]), ["1.9"]);
        assert_eq!(chosen(Select::Latest, &[&sig]), Vec::<String>::new());
        assert_eq!(chosen(Select::Latest, &[]), Vec::<String>::new());
    }

    #[test]
    fn newest_counts_digits_as_numbers() {
        let sig = digest_tag();
        assert_eq!(chosen(Select::Newest(2), &["1.2", "1.10", "1.9", &sig]), ["1.10", "1.9"]);
        assert_eq!(chosen(Select::Newest(9), &["b", "a"]), ["a", "b"]);
        let mut tags = ["1.10", "1.9", "1.09", "1.9-rc1", "1", "v2", "1.99999999999999999999999"];
        tags.sort_by(|a, b| natural(a, b));
        assert_eq!(tags, ["1", "1.09", "1.9", "1.9-rc1", "1.10", "1.99999999999999999999999", "v2"]);
    }

    #[test]
    fn globs_expressions_and_ranges() {
        let glob = Select::Glob(globset::Glob::new("1.*-alpine").unwrap().compile_matcher());
        assert_eq!(chosen(glob, &["1.2-alpine", "1.2", "11-alpine"]), ["1.2-alpine"]);
        let regex = Select::Regex(regex::Regex::new("^v[0-9]+$").unwrap());
        assert_eq!(chosen(regex, &["v1", "v1.2", "xv1"]), ["v1"]);
        let range = Select::Semver(semver::VersionReq::parse(">=1.2, <2").unwrap());
        assert_eq!(
            chosen(range, &["1", "1.2", "v1.3.0", "1.3-rc1", "2", "latest", "1.2.3.4", "01.5"]),
            ["01.5", "1.2", "v1.3.0"]
        );
        assert_eq!(chosen(Select::All, &["b", "a", &digest_tag()]).len(), 3);
    }

    #[test]
    fn versions() {
        let text = |tag: &str| version(tag).map(|v| v.to_string());
        assert_eq!(text("v1"), Some("1.0.0".into()));
        assert_eq!(text("1.2-rc.1"), Some("1.2.0-rc.1".into()));
        for bad in ["", "v", "vv1", "1.", ".1", "1.2.3.4", "1-", "1-ä", "x1", "1.x", "99999999999999999999"] {
            assert_eq!(text(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn version_order_is_an_order(a in "[0-2a.]{0,6}", b in "[0-2a.]{0,6}", c in "[0-2a.]{0,6}") {
            proptest::prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
            proptest::prop_assert_eq!(natural(&a, &b) == Ordering::Equal, a == b);
            if natural(&a, &b).is_le() && natural(&b, &c).is_le() {
                proptest::prop_assert!(natural(&a, &c).is_le());
            }
        }
    }
}
