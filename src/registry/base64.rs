//! Base64 (RFC 4648, 4), as headers and login files have it, and its alphabet for URLs (5), as signatures do.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text of these bytes.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let all = chunk.iter().fold(0u32, |all, b| all << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = ALPHABET[(all >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { digit.into() } else { '=' });
        }
    }
    out
}

/// The bytes of a text, with or without its padding. `None` where it is none.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if digits.len() % 4 == 1 || text.len() - digits.len() > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.chunks(4) {
        let mut all = 0u32;
        for &digit in chunk {
            all = all << 6 | u32::try_from(ALPHABET.iter().position(|&d| d == digit)?).ok()?;
        }
        all <<= 6 * (4 - chunk.len());
        out.extend_from_slice(&all.to_be_bytes()[1..chunk.len()]);
    }
    Some(out)
}

/// The bytes of a text in the alphabet for URLs.
pub fn decode_url(text: &str) -> Option<Vec<u8>> {
    decode(&text.replace('-', "+").replace('_', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc_4648() {
        for (text, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(encode(text.as_bytes()), expected);
            assert_eq!(decode(expected).as_deref(), Some(text.as_bytes()));
            assert_eq!(decode(expected.trim_end_matches('=')).as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(decode_url("-_-_").as_deref(), Some(&b"\xfb\xff\xbf"[..]));
        for bad in ["Z", "Zg===", "Zm9v!", "Zm 9", "====", "Zg=a"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
