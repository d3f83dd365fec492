//! Where a letter is over.

use super::*;

fn said(text: &str) -> String {
    split(text).said.trim().to_owned()
}

#[test]
fn signatures_behind_a_delimiter_go() {
    let parts = split("my VPN is down\n-- \nAnna Berg\nI like my work");
    assert_eq!(
        (parts.said.as_str(), parts.closing.as_str()),
        ("my VPN is down", "-- \nAnna Berg\nI like my work")
    );
}

#[test]
fn sign_offs_of_each_language_go_with_the_lines_under_them() {
    for closing in [
        "Best regards\nAnna Berg\nSenior Buyer, Plant 7\nPhone: +49 30 555 0100\nwww.example.com",
        "Best regards, Anna",
        "Kind regards from Kiel\n\nAnna",
        "thanks,\nanna",
        "Many thanks and kind regards,\nAnna",
        "Mit freundlichen Grüßen\n\ni. A. Anna Berg\nEinkauf",
        "MfG\nA. Berg",
        "Viele Grüße aus Ulm\nAnna",
        "Cordialement,\nAnne Dupont\nResponsable achats",
        "Saludos cordiales,\nAna",
        "Obrigada,\nAna",
        "Cordiali saluti\nAnna",
        "Met vriendelijke groet,\nAnna",
        "Pozdrawiam\nAnna",
        "Sent from my iPhone",
        "Von meinem iPhone gesendet",
        "Get Outlook for iOS",
    ] {
        let parts = split(&format!("Hello,\nmy VPN is down.\n\n{closing}"));
        assert_eq!(parts.said.trim(), "Hello,\nmy VPN is down.", "{closing}");
        assert_eq!(parts.closing, closing);
    }
}

#[test]
fn words_behind_a_closing_stay() {
    assert_eq!(
        said("VPN is down\nThanks\nAnna\n\nPS: I cannot print either"),
        "VPN is down\nPS: I cannot print either"
    );
    assert_eq!(
        said("Screen is dark\nthank you\nI still wait for it"),
        "Screen is dark\nI still wait for it"
    );
}

#[test]
fn ordinary_words_are_no_closing() {
    for text in [
        "Best printer in the house is broken",
        "Thanks for resetting my password, but it does not work",
        "regards page does not load",
        "Sent from my account were hundreds of letters last night",
        "please give me access to the folder that may contain confidential data",
        "Get Outlook for my new laptop",
        "Ich brauche das Handelsregister",
    ] {
        assert_eq!(said(&format!("hello\n{text}")), format!("hello\n{text}"));
    }
}

#[test]
fn legal_notices_and_banners_go() {
    let text = "CAUTION: This email originated from outside. Do not click links.\nmy VPN is down\n\n\
                CONFIDENTIALITY NOTICE: the contents of this letter\nare for its reader alone.\n\nsince Monday\n\n\
                Example GmbH, Sitz der Gesellschaft: Ulm, Registergericht: Ulm HRB 1";
    assert_eq!(said(text), "my VPN is down\n\n\nsince Monday");
}
