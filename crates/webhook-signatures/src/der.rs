//! Just enough DER to take a public key out of `SubjectPublicKeyInfo`, a certificate or a bare RSA key.
//!
//! Of a certificate the dates are read too. Its own signature is not checked: it comes over TLS from an address that the
//! provider's rule allows, or from the operator's hand.

use crate::time;

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

/// From when until when a certificate is good, in Unix seconds; both belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OID: u8 = 0x06;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The key in a `SubjectPublicKeyInfo`, an X.509 certificate, or a PKCS #1 RSA public key; and the certificate's dates.
pub(crate) fn spki(der: &[u8]) -> Option<(Public, Option<Validity>)> {
    let (outer, _) = take(der, SEQUENCE)?;
    let bare = || from_spki(outer).or_else(|| rsa(der)).map(|key| (key, None));
    let certificate = || from_certificate(outer).map(|(key, valid)| (key, Some(valid)));
    bare().or_else(certificate)
}

/// Whether this is a public key of whatever kind, or a certificate.
pub(crate) fn is_key(der: &[u8]) -> bool {
    let named = |inside| {
        let (algorithm, rest) = take(inside, SEQUENCE)?;
        take(algorithm, OID).and_then(|_| take(rest, BITS))
    };
    let outer = take(der, SEQUENCE).map(|(inside, _)| inside).unwrap_or_default();
    // What a certificate says, and then how it is signed.
    let signed = || named(take(outer, SEQUENCE)?.1);
    named(outer).or_else(signed).is_some() || spki(der).is_some()
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
fn from_certificate(inside: &[u8]) -> Option<(Public, Validity)> {
    let (tbs, _) = take(inside, SEQUENCE)?;
    let tbs = take(tbs, VERSION).map_or(tbs, |(_, rest)| rest);
    let (_serial, rest) = take(tbs, INTEGER)?;
    let (_algorithm, rest) = take(rest, SEQUENCE)?;
    let (_issuer, rest) = take(rest, SEQUENCE)?;
    let (dates, rest) = take(rest, SEQUENCE)?;
    let (_subject, rest) = take(rest, SEQUENCE)?;
    Some((from_spki(take(rest, SEQUENCE)?.0)?, validity(dates)?))
}

fn validity(dates: &[u8]) -> Option<Validity> {
    let (from, rest) = date(dates)?;
    let (until, _) = date(rest)?;
    Some(Validity { from, until })
}

/// `YYMMDDHHMMSSZ`, whose years end with 2049, or `YYYYMMDDHHMMSSZ` (RFC 5280, 4.1.2.5).
fn date(der: &[u8]) -> Option<(i64, &[u8])> {
    if let Some((text, rest)) = take(der, GENERALIZED_TIME) {
        return Some((time::compact(text)?, rest));
    }
    let (text, rest) = take(der, UTC_TIME)?;
    let century = if text.first()? < &b'5' { b"20" } else { b"19" };
    Some((time::compact(&[century, text].concat())?, rest))
}

fn rsa(der: &[u8]) -> Option<Public> {
    let (inside, _) = take(der, SEQUENCE)?;
    let (n, rest) = take(inside, INTEGER)?;
    let (e, _) = take(rest, INTEGER)?;
    Some(Public::Rsa { n: unpadded(n), e: unpadded(e) })
}

/// Without leading zeros.
pub(crate) fn unpadded(number: &[u8]) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_certificates() {
        let read = |tag: u8, text: &str| {
            let length = u8::try_from(text.len()).unwrap();
            let der = [&[tag, length], text.as_bytes(), b"rest"].concat();
            date(&der).map(|(at, rest)| (at, rest == b"rest"))
        };
        let (utc, general) = (|text| read(UTC_TIME, text), |text| read(GENERALIZED_TIME, text));
        assert_eq!(utc("700101000000Z"), Some((0, true)));
        assert_eq!(utc("260101000000Z"), Some((1_767_225_600, true)));
        assert_eq!(utc("491231235959Z"), Some((2_524_607_999, true)));
        assert_eq!(utc("500101000000Z"), Some((-631_152_000, true)));
        assert_eq!(general("20500101000000Z"), Some((2_524_608_000, true)));
        for bad in ["", "Z", "2601010000Z", "260101000000", "261301000000Z", "2601010000000Z"] {
            assert_eq!((utc(bad), general(bad)), (None, None), "{bad}");
        }
        assert_eq!(general("20260101000000+"), None);
        assert_eq!(validity(&[UTC_TIME, 13]), None);
    }
}
