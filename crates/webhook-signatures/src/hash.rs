//! Digests and keyed digests. The only file that names the hashing libraries for them.
//!
//! SHA-1 comes from another library than the rest: ring's is written for size, and ten times slower than its SHA-256.

use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::{digest, hmac as ring_hmac};
use sha1::{Digest as _, Sha1};

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1: only where a provider leaves no choice.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// The length of a digest in bytes.
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        self.of_parts(&[bytes])
    }

    /// The digest of `parts`, one after the other.
    pub(crate) fn of_parts(self, parts: &[&[u8]]) -> Vec<u8> {
        self.tag(parts).bytes().to_vec()
    }

    /// The same, to be compared with.
    pub(crate) fn tag(self, parts: &[&[u8]]) -> Tag {
        let algorithm = match self {
            Self::Sha1 => {
                let mut context = Sha1::new();
                parts.iter().for_each(|part| context.update(part));
                return Tag::Sha1(context.finalize().into());
            }
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        let mut context = digest::Context::new(algorithm);
        parts.iter().for_each(|part| context.update(part));
        Tag::Digest(context.finish())
    }
}

/// An HMAC key, its two inner blocks already hashed.
#[derive(Clone)]
pub(crate) struct HmacKey {
    hash: Hash,
    key: Keyed,
}

#[derive(Clone)]
enum Keyed {
    Sha1(Box<Hmac<Sha1>>),
    Other(ring_hmac::Key),
}

impl HmacKey {
    pub(crate) fn new(hash: Hash, bytes: &[u8]) -> Self {
        let other = |algorithm| Keyed::Other(ring_hmac::Key::new(algorithm, bytes));
        let key = match hash {
            Hash::Sha1 => match Hmac::new_from_slice(bytes) {
                Ok(key) => Keyed::Sha1(Box::new(key)),
                // Does not come to pass: HMAC takes keys of any length.
                Err(_) => other(ring_hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            },
            Hash::Sha256 => other(ring_hmac::HMAC_SHA256),
            Hash::Sha384 => other(ring_hmac::HMAC_SHA384),
            Hash::Sha512 => other(ring_hmac::HMAC_SHA512),
        };
        Self { hash, key }
    }

    pub(crate) fn hash(&self) -> Hash {
        self.hash
    }

    /// The tag over `parts`, one after the other.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> Tag {
        match &self.key {
            Keyed::Sha1(key) => {
                let mut context = Hmac::clone(key);
                parts.iter().for_each(|part| context.update(part));
                Tag::Sha1(context.finalize().into_bytes().into())
            }
            Keyed::Other(key) => {
                let mut context = ring_hmac::Context::with_key(key);
                parts.iter().for_each(|part| context.update(part));
                Tag::Hmac(context.sign())
            }
        }
    }
}

/// A digest, keyed or not. It compares in constant time, and only so.
pub(crate) enum Tag {
    Sha1([u8; 20]),
    Digest(digest::Digest),
    Hmac(ring_hmac::Tag),
}

impl Tag {
    pub(crate) fn is(&self, other: &[u8]) -> bool {
        same(self.bytes(), other)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Sha1(bytes) => bytes,
            Self::Digest(digest) => digest.as_ref(),
            Self::Hmac(tag) => tag.as_ref(),
        }
    }
}

/// Whether two byte strings are equal, in a time that depends on their lengths alone.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    use subtle::{Choice, ConstantTimeEq as _};
    let ((a_words, a_rest), (b_words, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let word = |word: &[u8; 8]| u64::from_ne_bytes(*word);
    // Eight bytes at a time, for each step of such a comparison costs a call.
    let words = a_words.iter().zip(b_words).map(|(a, b)| word(a).ct_eq(&word(b)));
    let is_same = words.fold(Choice::from(1), |all, one| all & one) & a_rest.ct_eq(b_rest);
    a.len() == b.len() && is_same.into()
}

/// CRC-32 (ISO-HDLC), which PayPal signs in place of the body.
#[must_use]
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc32_table();
    let step = |crc: u32, byte: &u8| {
        let at = (crc ^ u32::from(*byte)) & 0xff;
        TABLE.get(at as usize).copied().unwrap_or(0) ^ (crc >> 8)
    };
    !bytes.iter().fold(!0, step)
}

const fn crc32_table() -> [u32; 256] {
    let mut table = [0_u32; 256];
    let mut index = 0_u32;
    while index < 256 {
        let mut crc = index;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        #[expect(
            clippy::indexing_slicing,
            reason = "evaluated at compile time, the index is below 256"
        )]
        {
            table[index as usize] = crc;
        }
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_is_equal() {
        let whole: Vec<u8> = (0..24).collect();
        let prefixes = || (0..=whole.len()).map(|length| &whole[..length]);
        for (a, b) in prefixes().flat_map(|a| prefixes().map(move |b| (a, b))) {
            assert_eq!(same(a, b), a == b, "{a:?} {b:?}");
        }
        for at in 0..whole.len() {
            let mut other = whole.clone();
            other[at] ^= 0x80;
            assert!(!same(&whole, &other) && !same(&whole[..=at], &other[..=at]), "{at}");
        }
    }

    #[test]
    fn known_answers() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(Hash::Sha256.of(b"abc"), Hash::Sha256.of_parts(&[b"a", b"bc"]));
        let tag = HmacKey::new(Hash::Sha256, b"key")
            .tag(&[b"The quick brown fox ", b"jumps over the lazy dog"]);
        let want = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
        assert_eq!(crate::Encoding::Hex.encode(tag.bytes()), want);
        // RFC 2202, cases 2 and 6 (a key longer than a block).
        let sha1 = |key: &[u8], parts: &[&[u8]]| {
            crate::Encoding::Hex.encode(HmacKey::new(Hash::Sha1, key).tag(parts).bytes())
        };
        let want = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79";
        assert_eq!(sha1(b"Jefe", &[b"what do ya want ", b"for nothing?"]), want);
        let long: &[u8] = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(sha1(&[0xaa; 80], &[long]), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
        assert_eq!(Hash::Sha1.of(b"abc"), Hash::Sha1.of_parts(&[b"a", b"", b"bc"]));
        assert!(!tag.is(&tag.bytes()[..31]));
        assert!(!tag.is(b""));
    }
}
