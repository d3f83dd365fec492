//! A phone number in E.164, which never shows more of itself than it must.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// An E.164 number: `+`, then 7 to 15 digits, the first not 0. `Display` and `Debug` mask it (`+44•••••123`).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

/// The text is not a phone number in E.164. Does not repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a phone number in international form (`+` and 7 to 15 digits)")]
pub struct NotAPhoneNumber;

impl PhoneNumber {
    /// The whole number, for the vendor's wire and for comparing; not for logs, notes or tables.
    pub fn as_e164(&self) -> &str {
        &self.0
    }

    /// Whether `text`, as people write numbers, may be this one: with its country, or only with its area. To keep two
    /// people's numbers apart; what is too short to tell is another one.
    pub fn may_be(&self, text: &str) -> bool {
        let digits: String = text
            .replace("(0)", "")
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        let significant = digits.trim_start_matches('0');
        significant.len() >= 6 && self.0.ends_with(significant)
    }

    /// Read what people write in a directory: spaces, dashes, dots, slashes and brackets are dropped, `00` in front
    /// reads as `+`, a `(0)` trunk digit is dropped. A number without its country or with an extension is refused.
    pub fn from_directory(text: &str) -> Result<Self, NotAPhoneNumber> {
        let text = text.trim().replace("(0)", "");
        let kept: String = text
            .chars()
            .filter(|sign| !matches!(sign, ' ' | '\u{a0}' | '-' | '.' | '/' | '(' | ')'))
            .collect();
        match kept.strip_prefix("00") {
            Some(rest) => format!("+{rest}").parse(),
            None => kept.parse(),
        }
    }
}

impl FromStr for PhoneNumber {
    type Err = NotAPhoneNumber;
    fn from_str(text: &str) -> Result<Self, NotAPhoneNumber> {
        let digits = text.strip_prefix('+').ok_or(NotAPhoneNumber)?;
        let plausible = (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        if plausible {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAPhoneNumber)
        }
    }
}

impl<'de> Deserialize<'de> for PhoneNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Length of the country code that `digits` begin with. ITU-T E.164 assigns them prefix-free: 1 and 7 have one digit,
/// those below have two, all others three.
fn country_code_length(digits: &str) -> usize {
    const TWO_DIGITS: [&str; 43] = [
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48",
        "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81",
        "82", "84", "86", "90", "91", "92", "93", "94", "95",
    ];
    if digits.starts_with(['1', '7']) {
        1
    } else if TWO_DIGITS.iter().any(|code| digits.starts_with(code)) || digits.starts_with("98") {
        2
    } else {
        3
    }
}

impl fmt::Display for PhoneNumber {
    /// `+44•••••123`: the country and the last three digits; always five dots, so that the length tells nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.get(1..).unwrap_or_default();
        let country = digits.get(..country_code_length(digits)).unwrap_or_default();
        let last = digits.get(digits.len().saturating_sub(3)..).unwrap_or_default();
        write!(f, "+{country}•••••{last}")
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_shows_its_country_and_three_digits_only() {
        let number: PhoneNumber = "+447700900123".parse().unwrap();
        assert_eq!(number.to_string(), "+44•••••123");
        assert_eq!(format!("{number:?}"), "PhoneNumber(+44•••••123)");
        assert_eq!(
            "+15555550100".parse::<PhoneNumber>().unwrap().to_string(),
            "+1•••••100"
        );
        assert_eq!(
            "+358401234567".parse::<PhoneNumber>().unwrap().to_string(),
            "+358•••••567"
        );
        assert_eq!(
            "+989121234567".parse::<PhoneNumber>().unwrap().to_string(),
            "+98•••••567"
        );
    }

    #[test]
    fn a_number_is_told_from_others_however_people_write_it() {
        let number: PhoneNumber = "+447700900123".parse().unwrap();
        for same in [
            "+447700900123",
            "0044 7700-900.123",
            "+44 (0)7700 900123",
            "07700 900 123",
            "900-123",
        ] {
            assert!(number.may_be(same), "{same}");
        }
        for other in [
            "+447700900124",
            "07700 900 124",
            "0123",
            "ext. 123",
            "",
            "+4477009001230",
        ] {
            assert!(!number.may_be(other), "{other}");
        }
    }

    #[test]
    fn what_a_directory_holds_becomes_e164_or_nothing() {
        for (text, expected) in [
            ("+44 7700 900123", "+447700900123"),
            ("+44 7700900123", "+447700900123"),
            ("0044 7700-900.123", "+447700900123"),
            ("+44 (0)7700 900123", "+447700900123"),
            (" +1 (555) 555-0100 ", "+15555550100"),
        ] {
            assert_eq!(
                PhoneNumber::from_directory(text).unwrap().as_e164(),
                expected,
                "{text}"
            );
        }
        for text in [
            "",
            "07700 900123",
            "+1 5555551234x123",
            "+0 123 4567",
            "call me",
            "+44",
            "+1234567890123456",
        ] {
            assert_eq!(PhoneNumber::from_directory(text), Err(NotAPhoneNumber), "{text}");
        }
    }

    #[test]
    fn an_error_does_not_repeat_the_number() {
        let error = "07700900123".parse::<PhoneNumber>().unwrap_err();
        assert!(!error.to_string().contains("0077"));
    }

    proptest! {
        #[test]
        fn no_number_shows_more_than_its_ends(digits in "[1-9][0-9]{6,14}") {
            let number: PhoneNumber = format!("+{digits}").parse().unwrap();
            let shown = number.to_string();
            prop_assert!(shown.chars().filter(char::is_ascii_digit).count() <= 6, "{}", shown);
            prop_assert!(shown.ends_with(&digits[digits.len() - 3..]));
        }

        #[test]
        fn whatever_a_directory_holds_is_a_number_or_refused(text in ".*") {
            if let Ok(number) = PhoneNumber::from_directory(&text) {
                prop_assert_eq!(number.as_e164().parse(), Ok(number.clone()));
            }
        }
    }
}
