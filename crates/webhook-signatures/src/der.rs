//! Just enough DER to take a public key out of `SubjectPublicKeyInfo`, a certificate or a bare RSA key.
//!
//! A certificate's own signature and dates are not checked here: it comes over TLS from an address that the provider's
//! rule allows, or from the operator's hand.

/// One public key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Public {
    /// The 32 bytes of RFC 8032.
    Ed25519(Vec<u8>),
    /// The uncompressed point, 65 bytes.
    P256(Vec<u8>),
    /// Modulus and exponent, big endian without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OID: u8 = 0x06;
const VERSION: u8 = 0xa0;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The key in a `SubjectPublicKeyInfo`, an X.509 certificate, or a PKCS #1 RSA public key.
pub(crate) fn spki(der: &[u8]) -> Option<Public> {
    let (outer, _) = take(der, SEQUENCE)?;
    from_spki(outer).or_else(|| from_certificate(outer)).or_else(|| rsa(der))
}

fn from_spki(inside: &[u8]) -> Option<Public> {
    let (algorithm, rest) = take(inside, SEQUENCE)?;
    let (oid, parameters) = take(algorithm, OID)?;
    let (bits, _) = take(rest, BITS)?;
    let (0, key) = bits.split_first()? else { return None };
    match oid {
        RSA => rsa(key),
        EC if take(parameters, OID)?.0 == P256 && key.len() == 65 => {
            Some(Public::P256(key.to_vec()))
        }
        ED25519 if key.len() == 32 => Some(Public::Ed25519(key.to_vec())),
        _ => None,
    }
}

/// Certificate → tbsCertificate → the seventh field, counting the version that may be left out (RFC 5280, 4.1).
fn from_certificate(inside: &[u8]) -> Option<Public> {
    let (tbs, _) = take(inside, SEQUENCE)?;
    let tbs = take(tbs, VERSION).map_or(tbs, |(_, rest)| rest);
    let (_, rest) = take(tbs, INTEGER)?;
    let (_, rest) = take(rest, SEQUENCE)?;
    let (_, rest) = take(rest, SEQUENCE)?;
    let (_, rest) = take(rest, SEQUENCE)?;
    let (_, rest) = take(rest, SEQUENCE)?;
    from_spki(take(rest, SEQUENCE)?.0)
}

fn rsa(der: &[u8]) -> Option<Public> {
    let (inside, _) = take(der, SEQUENCE)?;
    let (n, rest) = take(inside, INTEGER)?;
    let (e, _) = take(rest, INTEGER)?;
    Some(Public::Rsa { n: unpadded(n), e: unpadded(e) })
}

fn unpadded(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// The content of the element with this tag that starts `der`, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = match rest.split_first()? {
        (short @ 0..=0x7f, rest) => (usize::from(*short), rest),
        (0x81, rest) => rest.split_first().map(|(one, rest)| (usize::from(*one), rest))?,
        (0x82, rest) => {
            let (two, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*two)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}
