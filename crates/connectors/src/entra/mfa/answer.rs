//! The connector's answer: read strictly, weighed by a table in which only one line is an approval.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

use super::{NotPossible, PushOutcome};

/// Real answers have about a kilobyte.
pub(super) const LIMIT_BYTES: usize = 64 * 1024;
/// Real answers are three deep.
const DEEPEST: usize = 8;
const ROOT: &str = "BeginTwoWayAuthenticationResponse";

/// The answer is not what the contract shows; nothing is proven by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the MFA service's answer is malformed: {0}")]
pub(super) struct Malformed(&'static str);

/// What counts of an answer. `None`: absent or nil.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    value: Option<String>,
    retry: Option<String>,
    authentication_result: Option<String>,
    user_principal_name: Option<String>,
}

impl Said {
    fn slot(&mut self, path: &[String]) -> Option<&mut Option<String>> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            [ROOT, "Result", "Value"] => Some(&mut self.value),
            [ROOT, "Result", "Retry"] => Some(&mut self.retry),
            [ROOT, "AuthenticationResult"] => Some(&mut self.authentication_result),
            [ROOT, "UserPrincipalName"] => Some(&mut self.user_principal_name),
            _ => None,
        }
    }
}

/// Read an answer. No document type, no entities but the five of XML, no element twice that counts once.
pub(super) fn read(body: &[u8]) -> Result<Said, Malformed> {
    let body = std::str::from_utf8(body).map_err(|_| Malformed("it is no UTF-8"))?;
    let body = body.strip_prefix('\u{feff}').unwrap_or(body);
    let mut reader = Reader::from_str(body);
    reader.config_mut().check_end_names = true;
    let mut said = Said::default();
    let mut path: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut roots = 0;
    loop {
        let event = reader.read_event().map_err(|_| Malformed("it is no XML"))?;
        match event {
            Event::Start(ref element) | Event::Empty(ref element) => {
                let name = std::str::from_utf8(element.name().into_inner())
                    .unwrap_or_default()
                    .to_owned();
                if path.is_empty() {
                    roots += 1;
                    if name != ROOT || roots > 1 {
                        return Err(Malformed("its root is another"));
                    }
                }
                path.push(name);
                if path.len() > DEEPEST {
                    return Err(Malformed("it is too deep"));
                }
                text.clear();
                if matches!(event, Event::Empty(_)) {
                    path.pop();
                }
            }
            Event::Text(words) if path.is_empty() && !words.iter().all(u8::is_ascii_whitespace) => {
                return Err(Malformed("there is text outside its root"));
            }
            Event::Text(words) => {
                text.push_str(&words.decode().map_err(|_| Malformed("its text is no UTF-8"))?);
            }
            Event::GeneralRef(reference) => {
                let sign = reference
                    .resolve_char_ref()
                    .map_err(|_| Malformed("a character reference is wrong"))?;
                let name = reference
                    .decode()
                    .map_err(|_| Malformed("its text is no UTF-8"))?;
                match (sign, resolve_predefined_entity(&name)) {
                    (Some(sign), _) => text.push(sign),
                    (None, Some(predefined)) => text.push_str(predefined),
                    (None, None) => return Err(Malformed("it uses an entity")),
                }
            }
            Event::End(_) => {
                if let Some(slot) = said.slot(&path) {
                    if slot.is_some() {
                        return Err(Malformed("an element is there twice"));
                    }
                    *slot = Some(std::mem::take(&mut text)).filter(|text| !text.is_empty());
                }
                text.clear();
                path.pop();
            }
            Event::DocType(_) => return Err(Malformed("it has a document type")),
            Event::CData(_) | Event::PI(_) => return Err(Malformed("it has what no answer has")),
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Eof if path.is_empty() && roots == 1 => return Ok(said),
            Event::Eof => return Err(Malformed("it ends too early")),
        }
    }
}

impl Said {
    /// What the answer means for the person who was asked. Every word that is not listed is a fault.
    ///
    /// Source: contract, section 7.2.
    pub(super) fn outcome(&self, asked: &str) -> PushOutcome {
        let result = self.authentication_result.as_deref();
        let retry = self.retry.as_deref() == Some("true");
        let same_person = self
            .user_principal_name
            .as_deref()
            .is_none_or(|name| name.eq_ignore_ascii_case(asked));
        let fault = |value: &str| PushOutcome::Fault {
            value: value.to_owned(),
            retry,
        };
        match self.value.as_deref().unwrap_or_default() {
            "PhoneAppDenied" => PushOutcome::Denied { fraud: false },
            "PhoneAppFraud" => PushOutcome::Denied { fraud: true },
            _ if result == Some("challenge") => PushOutcome::NotPossible(NotPossible::NeedsCode),
            "Success" if result == Some("true") && same_person => PushOutcome::Approved,
            "Success" if result == Some("true") => fault("AnsweredForAnotherUser"),
            // The trap: `Success` alone is the answer for a person whose default method wants a code.
            "Success" => PushOutcome::NotPossible(NotPossible::NeedsCode),
            "PhoneAppNoResponse" | "InvalidSession" => PushOutcome::NoAnswer,
            "NoDefaultAuthenticationMethodIsConfigured"
            | "AuthenticationMethodNotConfigured"
            | "ProofDataNotFound"
            | "AuthenticationMethodNotSupported" => PushOutcome::NotPossible(NotPossible::NoMethod),
            "UserNotFound" | "BecAccessDenied" | "AccessDenied" => {
                PushOutcome::NotPossible(NotPossible::UnknownUser)
            }
            "UserIsBlocked" | "PhoneAppAllDevicesBlocked" => PushOutcome::NotPossible(NotPossible::Blocked),
            "AuthenticationThrottled"
            | "AuthenticationMethodLimitReached"
            | "UserAuthFailedDuplicateRequest" => PushOutcome::Throttled,
            word if word.starts_with("UserVoiceAuthFailed") || word.starts_with("SMSAuthFailed") => {
                PushOutcome::NotPossible(NotPossible::Other(crate::call::one_line(word)))
            }
            "" => fault("NoResult"),
            word => fault(&crate::call::one_line(word)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ASKED: &str = "maya.okafor@northwind.example";

    fn answer(value: &str, rest: &str) -> String {
        format!(
            r#"<BeginTwoWayAuthenticationResponse xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
  <Version>1.0</Version>
  <Result><Value>{value}</Value><Message i:nil="true"/><Retry>false</Retry></Result>
  <SessionId>270867b8-6bac-434b-9a2a-cb682f461cbe</SessionId>
  {rest}
</BeginTwoWayAuthenticationResponse>"#
        )
    }

    fn outcome(value: &str, result: &str) -> PushOutcome {
        let rest = format!(
            "<AuthenticationResult>{result}</AuthenticationResult><UserPrincipalName>{ASKED}</UserPrincipalName>"
        );
        read(answer(value, &rest).as_bytes()).unwrap().outcome(ASKED)
    }

    #[test]
    fn the_contracts_sample_is_an_approval() {
        assert_eq!(outcome("Success", "true"), PushOutcome::Approved);
    }

    #[test]
    fn nothing_but_success_and_true_for_the_same_person_is_an_approval() {
        use PushOutcome::{Approved, NotPossible as Not};
        for result in ["false", "True", "TRUE", " true", "1", "yes", "challenge", ""] {
            assert_eq!(
                outcome("Success", result),
                Not(NotPossible::NeedsCode),
                "{result:?}"
            );
        }
        for value in [
            "success",
            "Successful",
            "",
            "PhoneAppDenied",
            "PhoneAppNoResponse",
            "Anything",
        ] {
            assert_ne!(outcome(value, "true"), Approved, "{value}");
        }
        let absent = read(answer("Success", "").as_bytes()).unwrap();
        assert_eq!(absent.outcome(ASKED), Not(NotPossible::NeedsCode));
        let nil = answer("Success", r#"<AuthenticationResult i:nil="true"/>"#);
        assert_eq!(
            read(nil.as_bytes()).unwrap().outcome(ASKED),
            Not(NotPossible::NeedsCode)
        );
        let other = answer(
            "Success",
            "<AuthenticationResult>true</AuthenticationResult><UserPrincipalName>eve@x</UserPrincipalName>",
        );
        assert_ne!(read(other.as_bytes()).unwrap().outcome(ASKED), Approved);
    }

    #[test]
    fn every_word_of_the_contract_means_what_its_table_says() {
        use PushOutcome::{Denied, NoAnswer, NotPossible as Not, Throttled};
        for (word, expected) in [
            ("PhoneAppDenied", Denied { fraud: false }),
            ("PhoneAppFraud", Denied { fraud: true }),
            ("PhoneAppNoResponse", NoAnswer),
            ("InvalidSession", NoAnswer),
            (
                "NoDefaultAuthenticationMethodIsConfigured",
                Not(NotPossible::NoMethod),
            ),
            ("AuthenticationMethodNotConfigured", Not(NotPossible::NoMethod)),
            ("ProofDataNotFound", Not(NotPossible::NoMethod)),
            ("AuthenticationMethodNotSupported", Not(NotPossible::NoMethod)),
            ("UserNotFound", Not(NotPossible::UnknownUser)),
            ("BecAccessDenied", Not(NotPossible::UnknownUser)),
            ("UserIsBlocked", Not(NotPossible::Blocked)),
            ("AuthenticationThrottled", Throttled),
            ("UserAuthFailedDuplicateRequest", Throttled),
            (
                "SMSAuthFailedMaxAllowedCodeRetryReached",
                Not(NotPossible::Other(
                    "SMSAuthFailedMaxAllowedCodeRetryReached".to_owned(),
                )),
            ),
            (
                "InternalError",
                PushOutcome::Fault {
                    value: "InternalError".to_owned(),
                    retry: false,
                },
            ),
        ] {
            assert_eq!(outcome(word, "false"), expected, "{word}");
        }
    }

    #[test]
    fn a_denial_stays_a_denial_whatever_else_the_answer_says() {
        assert_eq!(
            outcome("PhoneAppDenied", "challenge"),
            PushOutcome::Denied { fraud: false }
        );
        assert_eq!(
            outcome("PhoneAppDenied", "true"),
            PushOutcome::Denied { fraud: false }
        );
    }

    #[test]
    fn what_is_not_the_agreed_xml_proves_nothing() {
        let good = answer("Success", "<AuthenticationResult>true</AuthenticationResult>");
        assert!(read(good.as_bytes()).is_ok());
        for bad in [
            String::new(),
            "Success".to_owned(),
            "<Value>Success</Value>".to_owned(),
            good.replace(ROOT, "EndTwoWayAuthenticationResponse"),
            good.replace("</Result>", ""),
            format!("<!DOCTYPE x [<!ENTITY t \"true\">]>{good}"),
            good.replace("<AuthenticationResult>true", "<AuthenticationResult>&t;"),
            good.replace(
                "<AuthenticationResult>true",
                "<AuthenticationResult><![CDATA[true]]>",
            ),
            good.replace(
                "<SessionId>",
                "<AuthenticationResult>true</AuthenticationResult><SessionId>",
            ),
            format!("{good}{good}"),
            format!("{good}tail"),
            good[..good.len() - 5].to_owned(),
            format!("<a>{good}</a>"),
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn text_hidden_deeper_or_in_comments_does_not_count() {
        let nested = answer(
            "Success",
            "<AuthenticationResult><b>true</b></AuthenticationResult>",
        );
        assert_ne!(
            read(nested.as_bytes()).unwrap().outcome(ASKED),
            PushOutcome::Approved
        );
        let commented = answer(
            "Success",
            "<!-- <AuthenticationResult>true</AuthenticationResult> -->",
        );
        assert_ne!(
            read(commented.as_bytes()).unwrap().outcome(ASKED),
            PushOutcome::Approved
        );
        let foreign = answer(
            "Success",
            "<x:AuthenticationResult xmlns:x=\"u\">true</x:AuthenticationResult>",
        );
        assert_ne!(
            read(foreign.as_bytes()).unwrap().outcome(ASKED),
            PushOutcome::Approved
        );
    }

    proptest! {
        #[test]
        fn no_single_changed_byte_turns_a_refusal_into_an_approval(at in 0_usize..600, byte in any::<u8>()) {
            for (value, result) in [("PhoneAppDenied", "false"), ("PhoneAppNoResponse", "false"), ("Success", "false")] {
                let rest = format!("<AuthenticationResult>{result}</AuthenticationResult>");
                let mut body = answer(value, &rest).into_bytes();
                if let Some(place) = body.get_mut(at) {
                    *place = byte;
                }
                if let Ok(said) = read(&body) {
                    prop_assert_ne!(said.outcome(ASKED), PushOutcome::Approved);
                }
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic_or_approve(body in any::<Vec<u8>>()) {
            prop_assert!(read(&body).is_err());
        }
    }
}
