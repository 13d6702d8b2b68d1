//! Login codes: what a printed address carries, so that a browser gets in once. They are in memory only, as hashes.

use super::token::{base62, sha256};
use doorbell_core::id::TokenId;
use doorbell_core::limits;
use doorbell_core::time::Time;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq as _;

/// Digits in base 62 that hold 128 bits (62^22 > 2^128).
const CODE_LEN: usize = 22;

/// A login code's text; printed once, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginCode(String);

impl LoginCode {
    /// The code of these random bits.
    #[must_use]
    pub fn new(random: u128) -> Self {
        Self(base62(&random.to_be_bytes(), CODE_LEN))
    }

    /// The text itself, for the one place that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(&self.0)
    }
}

impl fmt::Debug for LoginCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginCode(***)")
    }
}

/// The codes that were given out and not yet used.
#[derive(Debug, Default)]
pub(super) struct Logins(Mutex<VecDeque<GivenOut>>);

#[derive(Debug)]
pub(super) struct GivenOut {
    hash: [u8; 32],
    until: Time,
    /// The token whose holder let someone in; `None`: the node itself, or who holds its root token.
    pub(super) issuer: Option<TokenId>,
}

impl Logins {
    /// Lets a code in once from now on; until when. Of more than a few the oldest is forgotten.
    pub(super) fn add(&self, hash: [u8; 32], issuer: Option<TokenId>, now: Time) -> Time {
        let until = now.after(limits::LOGIN_CODE_LIFE);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|code| now < code.until);
        while all.len() >= limits::LOGIN_CODES {
            all.pop_front();
        }
        all.push_back(GivenOut { hash, until, issuer });
        until
    }

    /// Uses a code up, if it is good. Every code is compared, in constant time.
    pub(super) fn take(&self, text: &str, now: Time) -> Option<GivenOut> {
        let hash = sha256(text);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|code| now < code.until);
        let same = |code: &GivenOut| bool::from(code.hash.ct_eq(&hash));
        let at = all.iter().enumerate().fold(None, |at, (n, code)| same(code).then_some(n).or(at));
        all.remove(at?)
    }

    /// A code that was taken and came to nothing is good again, to the same moment.
    pub(super) fn give_back(&self, code: GivenOut) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < limits::LOGIN_CODES {
            all.push_front(code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Time = Time::from_ms(1_000);

    #[test]
    fn a_code_is_good_once_and_for_a_while() {
        let (logins, one, two) = (Logins::default(), LoginCode::new(1), LoginCode::new(u128::MAX));
        assert!(logins.take(one.reveal(), NOW).is_none(), "never given out");
        let until = logins.add(one.hash(), None, NOW);
        logins.add(two.hash(), None, NOW);
        assert!(logins.take(one.reveal(), NOW).is_some());
        assert!(logins.take(one.reveal(), NOW).is_none(), "used");
        assert_eq!(until, NOW.after(limits::LOGIN_CODE_LIFE));
        assert!(logins.take(two.reveal(), until).is_none(), "too old");
    }

    #[test]
    fn a_code_is_good_to_its_last_moment() {
        let (logins, one) = (Logins::default(), LoginCode::new(1));
        let until = logins.add(one.hash(), None, NOW);
        assert!(logins.take(one.reveal(), Time::from_ms(until.ms() - 1)).is_some());
    }

    #[test]
    fn one_that_is_given_back_is_good_again_to_the_same_moment() {
        let (logins, one) = (Logins::default(), LoginCode::new(1));
        let until = logins.add(one.hash(), None, NOW);
        logins.give_back(logins.take(one.reveal(), NOW).unwrap());
        assert!(logins.take(one.reveal(), until).is_none());
        logins.add(one.hash(), None, NOW);
        logins.give_back(logins.take(one.reveal(), NOW).unwrap());
        assert!(logins.take(one.reveal(), NOW).is_some());
    }

    #[test]
    fn of_too_many_the_oldest_is_forgotten() {
        let logins = Logins::default();
        let codes: Vec<_> = (0..=limits::LOGIN_CODES as u128).map(LoginCode::new).collect();
        for code in &codes {
            logins.add(code.hash(), None, NOW);
        }
        let good: Vec<bool> =
            codes.iter().map(|code| logins.take(code.reveal(), NOW).is_some()).collect();
        assert!(!good[0] && good[1..].iter().all(|good| *good), "{good:?}");
    }

    #[test]
    fn old_ones_make_room() {
        let logins = Logins::default();
        for random in 0..limits::LOGIN_CODES as u128 {
            logins.add(LoginCode::new(random).hash(), None, NOW);
        }
        let later = NOW.after(limits::LOGIN_CODE_LIFE + Duration::from_secs(1));
        logins.add(LoginCode::new(1_000).hash(), None, later);
        assert_eq!(logins.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_code_is_letters_and_digits_and_shows_itself_to_no_log() {
        for random in [0, 7, u128::MAX] {
            let code = LoginCode::new(random);
            assert_eq!(code.reveal().len(), CODE_LEN);
            assert!(code.reveal().bytes().all(|b| b.is_ascii_alphanumeric()));
            assert!(!format!("{code:?}").contains(code.reveal()));
        }
    }
}
