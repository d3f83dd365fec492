//! Where the words of others begin.

use proptest::prelude::*;

use super::*;

fn own(text: &str) -> String {
    split(text, Thread::None).own.trim().to_owned()
}

#[test]
fn prefixes_of_subjects_say_what_the_letter_is() {
    for (subject, bare, thread) in [
        ("VPN down", "VPN down", Thread::None),
        ("Re: VPN down", "VPN down", Thread::Replied),
        ("AW: RE: VPN", "VPN", Thread::Replied),
        ("Re[2]: VPN", "VPN", Thread::Replied),
        ("WG: VPN", "VPN", Thread::Forwarded),
        ("RE: FW: VPN", "VPN", Thread::Forwarded),
        ("TR: imprimante", "imprimante", Thread::Forwarded),
        ("RV: impresora", "impresora", Thread::Forwarded),
        ("[EXTERNAL] Fwd: VPN", "VPN", Thread::Forwarded),
        ("I: stampante", "stampante", Thread::Forwarded),
        ("i: am locked", "i: am locked", Thread::None),
        ("Outlook: no mail", "Outlook: no mail", Thread::None),
        ("", "", Thread::None),
    ] {
        assert_eq!(called(subject), (bare, thread), "{subject}");
    }
}

#[test]
fn attributions_of_each_language_end_the_letter() {
    for attribution in [
        "On Mon, 3 May 2027 at 10:12, Anna Berg <anna@example.com> wrote:",
        "On Mon, 3 May 2027 at 10:12, Anna Berg\n<anna@example.com> wrote:",
        "Am 03.05.2027 um 10:12 schrieb Anna Berg:",
        "Anna Berg <anna@example.com> schrieb am Mo. 3. Mai 2027 um 10:12:",
        "Le lun. 3 mai 2027 à 10:12, Anna Berg <anna@example.com> a écrit :",
        "El lun, 3 may 2027 a las 10:12, Anna Berg (<anna@example.com>) escribió:",
        "Em seg., 3 de mai. de 2027 às 10:12, Anna Berg <anna@example.com> escreveu:",
        "Il giorno lun 3 mag 2027 alle ore 10:12 Anna Berg <anna@example.com> ha scritto:",
        "Op ma 3 mei 2027 om 10:12 schreef Anna Berg <anna@example.com>:",
        "W dniu 3.05.2027 o 10:12, Anna Berg pisze:",
    ] {
        let parts = split(
            &format!("still broken\n\n{attribution}\nthe old text"),
            Thread::None,
        );
        assert_eq!(parts.own.trim(), "still broken", "{attribution}");
        assert_eq!(parts.thread, Thread::Replied);
        assert!(parts.quoted.ends_with("the old text"));
    }
}

#[test]
fn header_blocks_of_each_language_end_the_letter() {
    for block in [
        "From: Anna Berg\nSent: Monday, 3 May 2027\nTo: Help Desk\nSubject: VPN",
        "*From:* Anna Berg\n*Sent:* Monday\n*To:* Help Desk\n*Cc:* Bob\n*Subject:* VPN",
        "Von: Anna Berg\nGesendet: Montag, 3. Mai 2027\nAn: Help Desk\nBetreff: VPN",
        "De : Anna Berg\nEnvoyé : lundi 3 mai 2027\nÀ : Help Desk\nObjet : VPN",
        "De: Anna Berg\nEnviado el: lunes, 3 de mayo\nPara: Help Desk\nAsunto: VPN",
        "De: Anna Berg\nEnviada em: segunda-feira\nPara: Help Desk\nAssunto: VPN",
        "Da: Anna Berg\nInviato: lunedì 3 maggio\nA: Help Desk\nOggetto: VPN",
        "Van: Anna Berg\nVerzonden: maandag 3 mei\nAan: Help Desk\nOnderwerp: VPN",
        "Od: Anna Berg\nWysłano: poniedziałek\nDo: Help Desk\nTemat: VPN",
        "________________________________\nFrom: Anna Berg\nSent: Monday\nTo: a; b;\n c; d;\n e\nSubject: VPN",
        "-----Original Message-----\nFrom: Anna Berg",
        "-----Ursprüngliche Nachricht-----",
    ] {
        let parts = split(&format!("still broken\n\n{block}\n\nthe old text"), Thread::None);
        assert_eq!(parts.own.trim(), "still broken", "{block}");
        assert_eq!(parts.thread, Thread::Replied, "{block}");
    }
}

#[test]
fn a_block_of_headers_at_the_top_passes_a_letter_on() {
    let block = "From: Anna Berg\nSent: Monday\nTo: Bob\nSubject: VPN\n\nmy VPN is down\n";
    for above in ["", "Hi team,\n\n", "FYI\n\nBest regards\nBob\n\n"] {
        let parts = split(&format!("{above}{block}"), Thread::None);
        assert_eq!(parts.own.trim(), "my VPN is down", "{above:?}");
        assert_eq!(parts.thread, Thread::Forwarded);
        assert_eq!(parts.quoted, "");
    }
    let parts = split(
        &format!("-------- Original message --------\n{block}"),
        Thread::None,
    );
    assert_eq!(
        (parts.own.trim(), parts.thread),
        ("my VPN is down", Thread::Forwarded)
    );
}

#[test]
fn a_letter_passed_on_twice_is_read_to_its_first_words() {
    let text = "---------- Forwarded message ---------\nFrom: a\nDate: b\nSubject: c\nTo: d\n\nsee below\n\n\
                Begin forwarded message:\n\nFrom: x\nDate: y\nTo: z\n\nscreen is dark\n\nOn 3 May Anna wrote:\n> old";
    let parts = split(text, Thread::None);
    assert_eq!(
        (parts.own.trim(), parts.thread),
        ("screen is dark", Thread::Forwarded)
    );
    assert!(parts.quoted.ends_with("> old"));
}

#[test]
fn who_adds_words_of_their_own_is_heard_first() {
    let text = "please help Anna with this\n\n---------- Forwarded message ---------\nmy VPN is down";
    let parts = split(text, Thread::None);
    assert_eq!(
        (parts.own.trim(), parts.thread),
        ("please help Anna with this", Thread::Forwarded)
    );
    assert!(parts.quoted.contains("my VPN is down"));
}

#[test]
fn answers_between_quoted_lines_stay() {
    let text = "On 3 May 2027 Anna wrote:\n\n> is it on?\nyes\n>> did you restart?\ntwice";
    assert_eq!(own(text), "yes\ntwice");
    let parts = split("> all of it\n> quoted", Thread::None);
    assert_eq!((parts.own.as_str(), parts.thread), ("", Thread::Replied));
    assert_eq!(
        split("> all of it\n> quoted", Thread::Forwarded).own,
        "all of it\nquoted"
    );
}

#[test]
fn ordinary_words_are_no_heads_of_letters() {
    for text in [
        "On Monday my screen went dark.\nWhat now?",
        "On Monday 3 pm the tool wrote this strange message into the log file:\nerror 7",
        "Access from: 1 May\nto: 30 May",
        "From: here\nI went there",
        "-----\nsection\n-----",
        "I got the original message back",
        "if a > b it fails",
    ] {
        assert_eq!(own(text), text);
        assert_eq!(split(text, Thread::None).thread, Thread::None, "{text}");
    }
}

proptest! {
    /// Nothing is lost: each line is the writer's or another's; only of a letter passed on the head goes.
    #[test]
    fn lines_are_only_parted(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "my VPN is down", "> old", "On 3 May 2027 Anna wrote:", "From: a", "Sent: b", "To: c", "Subject: d", "",
                "hello", "-----Original Message-----", "Best regards",
            ]),
            0..30,
        ),
    ) {
        let text = lines.join("\n");
        let parts = split(&text, Thread::Replied);
        if parts.thread != Thread::Forwarded {
            let mut all: Vec<&str> = parts.own.lines().chain(parts.quoted.lines()).filter(|l| !l.is_empty()).collect();
            let mut before: Vec<&str> = text.lines().filter(|l| !l.is_empty()).collect();
            all.sort_unstable();
            before.sort_unstable();
            prop_assert_eq!(all, before);
        }
    }
}
