//! How letters are read, a case at a time and as laws.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

mod whole_letters;

fn text(body: &str) -> String {
    read("subject", body).text
}

#[test]
fn an_empty_letter_is_empty() {
    for body in [
        "",
        " \n\t\r\n ",
        "<html><body></body></html>",
        "\u{200B}",
        "[cid:image001.png]",
    ] {
        let letter = read("", body);
        assert_eq!(
            (letter.text.as_str(), letter.thread, letter.truncated),
            ("", Thread::None, false),
            "{body:?}"
        );
        assert_eq!(letter.whole(), "");
    }
    assert_eq!(read("VPN down", "").whole(), "VPN down");
}

#[test]
fn the_whole_says_nothing_twice() {
    for (subject, body, whole) in [
        (
            "VPN down",
            "It fails since Monday",
            "VPN down\nIt fails since Monday",
        ),
        ("VPN down", "vpn down!\nsince Monday", "vpn down!\nsince Monday"),
        ("VPN down since Monday", "VPN down", "VPN down since Monday"),
        ("", "only text", "only text"),
        ("Re: VPN", "still", "VPN\nstill"),
    ] {
        assert_eq!(read(subject, body).whole(), whole);
    }
}

#[test]
fn a_long_letter_is_cut_and_says_so() {
    let line = "the printer in the hall is dark \u{1F5A8} and nobody knows why\n";
    let body = line.repeat(100_000 / line.len());
    let letter = read("printer", &body);
    assert!(letter.truncated);
    assert!(letter.text.chars().count() <= Letter::LONGEST);
    assert!(letter.text.chars().count() > Letter::LONGEST - 100);
    let letter = read(&"x y ".repeat(1_000), "short");
    assert!(!letter.truncated);
    assert!(letter.subject.chars().count() <= Letter::LONGEST_SUBJECT);
}

#[test]
fn what_is_hidden_is_told_and_not_said() {
    let letter = read(
        "help",
        "<p>my VPN is down</p><!-- automated=true --><div style='display:none'>for the director</div><p>pass\u{200B}word</p>",
    );
    assert_eq!(letter.text, "my VPN is down\n\npassword");
    assert!(letter.hidden.contains("automated=true") && letter.hidden.contains("for the director"));
    assert!(letter.disguised);
}

#[test]
fn a_form_passed_on_is_its_description() {
    let letter = read(
        "Fw: form",
        "From: portal\nDate: today\nSubject: form\nTo: desk\n\nname: Anna\nphone: 1\nsummary: dark screen",
    );
    assert_eq!(
        (letter.text.as_str(), letter.thread),
        ("dark screen", Thread::Forwarded)
    );
}

#[test]
fn mixed_languages_and_directions_stay() {
    let body = "Hallo team, my Bildschirm ist dark 😡\nنسيت كلمة المرور\n我的密码忘了";
    assert_eq!(text(body), body);
}

/// Pieces from which letters are made, honest and hostile.
fn pieces() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "my VPN is down",
        "> old",
        "On 3 May 2027 Anna wrote:",
        "From: a",
        "Sent: b",
        "To: c",
        "Subject: d",
        "\n",
        "\n\n",
        "-- ",
        "Best regards",
        "Anna",
        "<p>",
        "</p>",
        "<div style='display:none'>",
        "</div>",
        "<blockquote type=cite>",
        "</blockquote>",
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "<",
        ">",
        "&amp;",
        "&#x202E;",
        "&lt;p&gt;",
        "[cid:",
        "]",
        "<https://x>",
        "data:image/png;base64,AAAA",
        "name: x",
        "phone: y",
        "summary: z",
        "\u{202E}",
        "\u{200B}",
        "\u{0}",
        "ﷺ",
        "😡",
        "-----Original Message-----",
        "---------- Forwarded message ---------",
        "Sent from my iPhone",
    ])
    .prop_map(str::to_owned);
    prop_oneof![4 => known, 1 => any::<String>()]
}

fn bodies() -> impl Strategy<Value = String> {
    (
        prop::collection::vec(pieces(), 0..40),
        prop::sample::select(vec!["", " ", "\n"]),
    )
        .prop_map(|(pieces, between)| pieces.join(between))
}

proptest! {
    #[test]
    fn every_letter_is_read_within_its_bounds(subject in any::<String>(), body in bodies()) {
        let letter = read(&subject, &body);
        prop_assert!(!letter.subject.contains('\n'));
        prop_assert!(letter.subject.chars().count() <= Letter::LONGEST_SUBJECT);
        for part in [&letter.subject, &letter.text, &letter.quoted, &letter.closing, &letter.hidden] {
            prop_assert!(part.chars().count() <= Letter::LONGEST);
            prop_assert_eq!(part.trim(), part);
            prop_assert!(!part.contains("\n\n\n"));
            for c in part.chars() {
                prop_assert!(c == '\n' || !c.is_control(), "control {:?}", c);
                prop_assert!(!matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'), "{:?}", c);
            }
        }
    }

    /// What was read once says the same again, where decoding made no new markup and no closing is left to find.
    #[test]
    fn reading_twice_is_reading_once(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "my VPN is down", "it fails since Monday", "", "> old", "Hello team,", "error 0x80070005", "Bildschirm dunkel",
            ]),
            0..20,
        ),
        closed in any::<bool>(),
    ) {
        let body = format!("{}{}", lines.join("\n"), if closed { "\nBest regards\nAnna" } else { "" });
        let once = read("Re: help", &body);
        let twice = read(&once.subject, &once.text);
        prop_assert_eq!(&twice.text, &once.text);
        prop_assert_eq!(&twice.subject, &once.subject);
    }
}

/// A megabyte of what makes careless readers slow. Time must grow as the length does, not as its square: a
/// quadratic reader takes a thousand times as long for the megabyte as for its start, a linear one some sixteen.
#[test]
fn hostile_bodies_take_time_as_they_are_long() {
    let patterns = [
        "<div>",
        "<blockquote type=cite>",
        "</p>",
        "<a href=\"",
        "<a b='x'",
        "<!",
        "<!--",
        "<",
        "<script>",
        "&",
        "&#",
        ">",
        "> > ",
        "On 3 May\n",
        "On 3 May Anna wrote:\n",
        "From: a\n",
        "Sent: a\n",
        "Begin forwarded message:\n",
        "[",
        "<http",
        "data:",
        "data:a/b,",
        "--\n",
        "Best regards\n",
        "\n",
        "a ",
        "A",
        "name: x\n",
        "\u{202E}",
        "<div hidden>",
        "<p style='color:#fff'>x",
        "ﷺ",
        "a\u{301}\u{316}",
        "<table bgcolor=x>",
        ":",
        "Fw: ",
        "-----Original Message-----\nFrom: a\n",
        "Registergericht: x\n",
    ];
    for pattern in patterns {
        let long = pattern.repeat(1_000_000 / pattern.len());
        let short: String = pattern.repeat(62_500 / pattern.len());
        let once = |body: &str| {
            let start = Instant::now();
            let letter = read("", body);
            assert!(letter.text.chars().count() <= Letter::LONGEST);
            start.elapsed()
        };
        let short = once(&short).max(Duration::from_millis(10));
        let long = once(&long);
        assert!(
            long < short * 100,
            "{pattern:?}: {short:?} for a sixteenth, {long:?} for all"
        );
    }
}
