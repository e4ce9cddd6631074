//! Bytes out and bytes in, little-endian. Reading trusts no length: what is not there is `None`.

/// Reads forward through bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn take(&mut self, n: u64) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(usize::try_from(n).ok()?)?;
        self.0 = rest;
        Some(head)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// LEB128: seven bits a byte, the low ones first.
    pub fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits.leading_zeros() < shift {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.varint()?;
        self.take(len)
    }

    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that `put_varint` writes.
pub(super) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Five bytes hold an offset of up to 1 TiB, which no arena in memory grows to; eight would cost 3 MB more per 10^6.
pub(super) type Offset = [u8; 5];

pub(super) fn offset(value: u64) -> Offset {
    let bytes = value.to_le_bytes();
    assert!(bytes[5..] == [0; 3], "an arena of the state has outgrown 1 TiB");
    [bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]]
}

pub(super) fn position(o: Offset) -> u64 {
    u64::from_le_bytes([o[0], o[1], o[2], o[3], o[4], 0, 0, 0])
}

/// Rows of N bytes each, end to end: a snapshot's section is read straight into them.
#[derive(Default)]
pub(super) struct Rows<const N: usize>(pub Vec<u8>);

impl<const N: usize> Rows<N> {
    pub fn len(&self) -> usize {
        self.0.len() / N
    }

    pub fn get(&self, i: usize) -> Option<&[u8; N]> {
        self.0.get(i.checked_mul(N)?..)?.first_chunk()
    }

    pub fn get_mut(&mut self, i: usize) -> Option<&mut [u8; N]> {
        self.0.get_mut(i.checked_mul(N)?..)?.first_chunk_mut()
    }

    pub fn push(&mut self, row: &[u8; N]) {
        self.0.extend_from_slice(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_come_back(value: u64, small in 0u64..300) {
            for v in [value, small, u64::MAX] {
                let mut out = Vec::new();
                put_varint(&mut out, v);
                prop_assert_eq!(out.len(), varint_len(v));
                let mut c = Cursor(&out);
                prop_assert_eq!(c.varint(), Some(v));
                prop_assert!(c.is_empty());
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let mut c = Cursor(&bytes);
            while c.text().is_some() {}
            let mut c = Cursor(&bytes);
            while c.varint().is_some() {}
        }
    }

    #[test]
    fn offsets_come_back() {
        for v in [0, 1, 1 << 32, (1 << 40) - 1] {
            assert_eq!(position(offset(v)), v);
        }
    }
}
