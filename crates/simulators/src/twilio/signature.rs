//! `X-Twilio-Signature`: base64 of HMAC-SHA1 over the configured URL and the sorted, distinct form values.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// `url` is the address as configured, without its fragment.
pub(crate) fn sign(token: &str, url: &str, form: &[(String, String)]) -> String {
    let mut sorted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in form {
        sorted.entry(name).or_default().insert(value);
    }
    let mut data = url.split('#').next().unwrap_or_default().to_owned();
    for (name, values) in sorted {
        for value in values {
            data.push_str(name);
            data.push_str(value);
        }
    }
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(data.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";

    fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn call() -> Vec<(String, String)> {
        form(&[
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ])
    }

    #[test]
    fn signatures_are_those_of_the_vendors_vectors() {
        let vectors = [
            (URL, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
            (
                "https://mycompany.com:443/myapp.php?foo=1&bar=2",
                "kvajT1Ptam85bY51eRf/AJRuM3w=",
            ),
            (
                "http://mycompany.com:80/myapp.php?foo=1&bar=2",
                "0ZXoZLH/DfblKGATFgpif+LLRf4=",
            ),
            (
                "http://mycompany.com:1234/myapp.php?foo=1&bar=2",
                "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=",
            ),
            (
                "https://user:pass@mycompany.com/myapp.php?foo=1&bar=2",
                "CukzLTc1tT5dXEDIHm/tKBanW10=",
            ),
            (
                "https://user:pass@mycompany.com:443/myapp.php?foo=1&bar=2",
                "ZQFR1PTIZXF2MXB8ZnKCvnnA+rI=",
            ),
        ];
        for (url, expected) in vectors {
            assert_eq!(sign("12345", url, &call()), expected, "{url}");
        }
    }

    #[test]
    fn repeated_values_count_once_and_names_sort_by_code_point() {
        let digits = form(&[
            ("Sid", "CA123"),
            ("SidAccount", "AC123"),
            ("Digits", "5678"),
            ("Digits", "1234"),
            ("Digits", "1234"),
        ]);
        assert_eq!(sign("12345", URL, &digits), "IK+Dwps556ElfBT0I3Rgjkr1wJU=");
        let addresses = form(&[
            ("MessagingBinding.Address", "+1415xxxxxxx"),
            ("MessagingBinding.Address", "+1325xxxxxxx"),
        ]);
        assert_eq!(sign("12345", URL, &addresses), "83O6e2vORAoJHUNzJjDWN1jz+BA=");
        let mut reasons = call();
        reasons.extend(form(&[
            ("ReasonConferenceEnded", "test"),
            ("Reason", "Participant"),
        ]));
        assert_eq!(sign("12345", URL, &reasons), "vOEb5UThFn24KEfnOFLQY2AE5FY=");
        let plain = form(&[("property", "value"), ("boolean", "true")]);
        assert_eq!(sign("12345", URL, &plain), "NBdBDr/T/lgjI+tlgpXjKZQZs/k=");
        let fragment = format!("{URL}#rc=3&rp=all");
        assert_eq!(sign("12345", &fragment, &call()), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    }
}
