//! Answers by text message: reading `YES 4821`, the codes, and what is kept of them. Pure.
//!
//! A number and a code are kept as keyed hashes only: whoever reads the table can neither write to the manager nor
//! answer in their place.

use connectors::PhoneNumber;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use common::TenantId;

use crate::approval::Code;
use crate::operation::Verdict;

/// Digits of a code: short enough to type, and only [`crate::approval::MAX_WRONG_CODES`] guesses are allowed.
const CODE_DIGITS: usize = 4;

/// What a text message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// `YES 4821` or `NO 4821`.
    Answer {
        /// Yes or no.
        verdict: Verdict,
        /// The digits.
        code: String,
    },
    /// Anything else, both words at once, or no code.
    Unreadable,
}

/// Read a text message: one word and one code, in any case, with any spaces and punctuation around them.
///
/// Strict where it matters: a text with another word in it, such as `not yes 4821`, is no answer.
pub fn read(body: &str) -> Said {
    let mut words: Vec<String> = vec![];
    let mut codes: Vec<String> = vec![];
    let mut kind = None;
    for sign in body.chars() {
        let digit = sign.to_digit(10).and_then(|digit| char::from_digit(digit, 10));
        let next = if digit.is_some() {
            Some(true)
        } else if sign.is_alphabetic() {
            Some(false)
        } else {
            None
        };
        let list = if next == Some(true) {
            &mut codes
        } else {
            &mut words
        };
        if next.is_some() && next != kind {
            list.push(String::new());
        }
        if let (Some(_), Some(last)) = (next, list.last_mut()) {
            last.extend(digit.map_or_else(|| sign.to_lowercase().collect::<Vec<_>>(), |digit| vec![digit]));
        }
        kind = next;
    }
    let verdict = match words.as_slice() {
        [word] if word == "yes" => Verdict::Approve,
        [word] if word == "no" => Verdict::Deny,
        _ => return Said::Unreadable,
    };
    match codes.as_slice() {
        [code] if code.len() == CODE_DIGITS => Said::Answer {
            verdict,
            code: code.clone(),
        },
        _ => Said::Unreadable,
    }
}

/// A fresh code.
pub fn fresh_code(rng: &mut impl rand::Rng) -> SecretString {
    let number: u32 = rng.random_range(0..10_000);
    SecretString::from(format!("{number:0CODE_DIGITS$}"))
}

/// Makes the keyed hashes of one tenant.
#[derive(Clone)]
pub struct Hasher {
    key: SecretString,
    tenant: TenantId,
}

impl Hasher {
    /// Hashes under a key that the database never sees.
    pub fn new(key: SecretString, tenant: TenantId) -> Self {
        Self { key, tenant }
    }

    fn hash(&self, purpose: &str, parts: &[&str]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret().as_bytes())
            .expect("HMAC takes keys of any length");
        for part in [purpose, self.tenant.as_str()].iter().chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        hex::encode(mac.finalize().into_bytes())
    }

    /// What is kept of a number.
    pub fn number(&self, number: &PhoneNumber) -> String {
        self.hash("firstline/sms/number", &[number.as_e164()])
    }

    /// What is kept of a number and the code sent to it.
    pub fn answer(&self, number: &PhoneNumber, code: &str) -> String {
        self.hash("firstline/sms/answer", &[number.as_e164(), code])
    }

    /// What is kept of a message to `number` with `code`.
    pub fn code(&self, number: &PhoneNumber, code: &SecretString) -> Code {
        Code {
            number_hash: self.number(number),
            answer_hash: self.answer(number, code.expose_secret()),
            masked: number.to_string(),
            wrong: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn yes(code: &str) -> Said {
        Said::Answer {
            verdict: Verdict::Approve,
            code: code.to_owned(),
        }
    }

    fn no(code: &str) -> Said {
        Said::Answer {
            verdict: Verdict::Deny,
            code: code.to_owned(),
        }
    }

    #[test]
    fn people_write_yes_and_no_in_many_ways() {
        for text in [
            "YES 4821",
            "yes 4821",
            "Yes, 4821.",
            "yes4821",
            "  YES:\n4821 ",
            "4821 yes",
            "“Yes” 4821!",
            "YES-4821",
        ] {
            assert_eq!(read(text), yes("4821"), "{text:?}");
        }
        for text in ["NO 4821", "no4821", "No. 4821", "4821: no"] {
            assert_eq!(read(text), no("4821"), "{text:?}");
        }
        assert_eq!(
            read("YES 0007"),
            yes("0007"),
            "leading zeros are digits of the code"
        );
    }

    #[test]
    fn what_is_not_exactly_one_word_and_one_code_is_no_answer() {
        for text in [
            "",
            "YES",
            "4821",
            "NO YES 4821",
            "not yes 4821",
            "yes 4821 or 4822",
            "yes yes 4821",
            "yes 48210",
            "yes 482",
            "yesno 4821",
            "I say yes 4821",
            "no way 4821",
            "YES 48 21",
            "ye s 4821",
            "STOP",
            "да 4821",
        ] {
            assert_eq!(read(text), Said::Unreadable, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_finds_an_answer_only_with_its_word(text in "\\PC{0,40}") {
            if let Said::Answer { verdict, code } = read(&text) {
                let lower = text.to_lowercase();
                let word = if verdict == Verdict::Approve { "yes" } else { "no" };
                prop_assert!(lower.contains(word));
                prop_assert_eq!(code.len(), CODE_DIGITS);
            }
        }
    }

    #[test]
    fn hashes_tell_numbers_codes_tenants_and_keys_apart() {
        let hasher = |key: &str, tenant: &str| Hasher::new(SecretString::from(key), tenant.parse().unwrap());
        let megan: PhoneNumber = "+447700900123".parse().unwrap();
        let other: PhoneNumber = "+447700900124".parse().unwrap();
        let ours = hasher("k", "t");
        assert_eq!(
            ours.answer(&megan, "4821"),
            hasher("k", "t").answer(&megan, "4821")
        );
        let all = [
            ours.number(&megan),
            ours.number(&other),
            ours.answer(&megan, "4821"),
            ours.answer(&megan, "4822"),
            ours.answer(&other, "4821"),
            hasher("k2", "t").answer(&megan, "4821"),
            hasher("k", "t2").answer(&megan, "4821"),
        ];
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(
            !ours
                .code(&megan, &SecretString::from("4821"))
                .masked
                .contains("900")
        );
    }
}
