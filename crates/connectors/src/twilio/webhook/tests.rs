//! The vectors of the vendor's own libraries, and what they ask of a verifier.

use super::*;

const P: &str =
    "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";
const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
const EMPTY_HASH: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const JSON_HASH: &str = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
const JSON_BODY: &[u8] = br#"{"property": "value", "boolean": true}"#;

fn form(url: &str, body: &str, signature: &str) -> Result<(), Refused> {
    verify_form(
        &"12345".into(),
        url,
        &Form::parse(body.as_bytes()),
        Some(signature),
    )
}

fn json(url: &str, body: &[u8], signature: &str) -> Result<(), Refused> {
    verify_body(&"12345".into(), url, body, Some(signature))
}

#[test]
fn vectors_1_to_6_are_accepted_for_the_url_that_was_signed() {
    for (url, signature) in [
        (
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
        ),
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
    ] {
        assert_eq!(form(url, P, signature), Ok(()), "{url}");
    }
}

#[test]
fn vectors_7_to_10_repeat_sort_and_keep_their_parameters() {
    let address = "MessagingBinding.Address=%2B1325xxxxxxx&MessagingBinding.Address=%2B1415xxxxxxx";
    let reversed = "MessagingBinding.Address=%2B1415xxxxxxx&MessagingBinding.Address=%2B1325xxxxxxx";
    let reasons = format!("{P}&Reason=Participant&ReasonConferenceEnded=test");
    for (body, signature) in [
        (
            "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234",
            "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
        ),
        (address, "83O6e2vORAoJHUNzJjDWN1jz+BA="),
        (reversed, "83O6e2vORAoJHUNzJjDWN1jz+BA="),
        (reasons.as_str(), "vOEb5UThFn24KEfnOFLQY2AE5FY="),
        ("property=value&boolean=true", "NBdBDr/T/lgjI+tlgpXjKZQZs/k="),
    ] {
        assert_eq!(form(URL, body, signature), Ok(()), "{body}");
    }
    // Computed with the two reasons the other way round.
    assert_eq!(
        form(URL, &reasons, "95+Bu0JVPi0r/SsESZCVf0dWAjw="),
        Err(Refused::Wrong)
    );
}

#[test]
fn vectors_11_to_13_prove_a_body_by_its_hash() {
    let both = format!("{URL}&bodySHA256={JSON_HASH}");
    let alone = format!("https://mycompany.com/myapp.php?bodySHA256={JSON_HASH}");
    let port = format!("https://mycompany.com:443/myapp.php?foo=1&bar=2&bodySHA256={EMPTY_HASH}");
    assert_eq!(json(&both, JSON_BODY, "a9nBmqA0ju/hNViExpshrM61xv4="), Ok(()));
    assert_eq!(json(&alone, JSON_BODY, "y77kIzt2vzLz71DgmJGsen2scGs="), Ok(()));
    assert_eq!(json(&port, b"{}", "Ldidvp12m26NI7eqEvxnEpkd9Hc="), Ok(()));
    assert_eq!(
        json(&port.replace(":443", ""), b"{}", "Ldidvp12m26NI7eqEvxnEpkd9Hc="),
        Ok(())
    );

    assert_eq!(
        json(&both, b"{}", "a9nBmqA0ju/hNViExpshrM61xv4="),
        Err(Refused::Wrong)
    );
    assert_eq!(
        json(URL, JSON_BODY, "a9nBmqA0ju/hNViExpshrM61xv4="),
        Err(Refused::Missing)
    );
}

#[test]
fn vector_14_is_accepted_as_it_was_configured_and_as_it_was_signed() {
    let signature = "TfZzewPq8wqrGlMfyAud8+/IvJ0=";
    assert_eq!(form(&format!("{URL}&Body=It's+amazing"), P, signature), Ok(()));
    assert_eq!(form(&format!("{URL}&Body=It%27s+amazing"), P, signature), Ok(()));
}

#[test]
fn a_port_may_be_there_or_not() {
    let (plain, https, http) = (
        "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
        "kvajT1Ptam85bY51eRf/AJRuM3w=",
        "0ZXoZLH/DfblKGATFgpif+LLRf4=",
    );
    assert_eq!(
        form("https://mycompany.com:1234/myapp.php?foo=1&bar=2", P, plain),
        Ok(())
    );
    assert_eq!(form(URL, P, https), Ok(()));
    assert_eq!(
        form("http://mycompany.com/myapp.php?foo=1&bar=2", P, http),
        Ok(())
    );
    // The fragment carries delivery overrides and is never signed.
    assert_eq!(form(&format!("{URL}#rc=3&rp=all"), P, plain), Ok(()));
}

#[test]
fn anything_changed_is_refused() {
    let signature = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
    assert_eq!(form(&format!("{URL}&baz=3"), P, signature), Err(Refused::Wrong));
    assert_eq!(
        form("https://mycompany.com/Myapp.php?foo=1&bar=2", P, signature),
        Err(Refused::Wrong)
    );
    assert_eq!(form(URL, &format!("{P}&New="), signature), Err(Refused::Wrong));
    assert_eq!(
        form(URL, &P.replace("1234&", "1234+&"), signature),
        Err(Refused::Wrong)
    );
    assert_eq!(form(URL, P, ""), Err(Refused::Wrong));
    assert_eq!(form(URL, P, "no base64!"), Err(Refused::Wrong));
    let parsed = Form::parse(P.as_bytes());
    assert_eq!(
        verify_form(&"12345".into(), URL, &parsed, None),
        Err(Refused::Missing)
    );
    assert_eq!(
        verify_form(&"12346".into(), URL, &parsed, Some(signature)),
        Err(Refused::Wrong)
    );
}

#[test]
fn a_status_callback_is_read() {
    let body = b"SmsSid=SM7&SmsStatus=delivered&MessageStatus=undelivered&To=%2B447700900123&MessageSid=SM7&AccountSid=AC0&ErrorCode=30003&ApiVersion=2010-04-01";
    let update = StatusUpdate::try_from(&Form::parse(body)).unwrap();
    assert_eq!(
        (update.status, update.error_code),
        (MessageStatus::Undelivered, Some(30003))
    );
    assert_eq!(
        StatusUpdate::try_from(&Form::parse(b"MessageSid=SM7&AccountSid=AC0")),
        Err(BadForm("MessageStatus"))
    );
}

#[test]
fn an_inbound_sms_keeps_its_text_for_the_signature_and_trims_it_for_reading() {
    let form = Form::parse(
        b"Body=+YES+4821%0A&From=%2B447700900123&To=%2B447400000001&MessageSid=SM1&AccountSid=AC0&FromCity=",
    );
    assert_eq!(form.first("Body"), Some(" YES 4821\n"));
    assert_eq!(form.first("FromCity"), Some(""));
    let sms = InboundSms::try_from(&form).unwrap_or_else(|bad| panic!("{bad}"));
    assert_eq!(sms.body, "YES 4821");
    assert_eq!(sms.from.to_string(), "+44•••••123");
    let whatsapp =
        Form::parse(b"From=whatsapp:%2B447700900123&To=%2B447400000001&MessageSid=SM1&AccountSid=AC0");
    assert_eq!(InboundSms::try_from(&whatsapp).err(), Some(BadForm("From")));
}

#[test]
fn a_reply_is_escaped() {
    assert_eq!(
        twiml(None),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response></Response>"
    );
    assert!(twiml(Some("a < b & 'c'")).contains("<Message>a &lt; b &amp; &apos;c&apos;</Message>"));
}
