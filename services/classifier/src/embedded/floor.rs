//! Below this the classifier may not fall, whatever is changed: figures with some room, so that they fail for a collapse and not
//! for a ticket more or less.
//!
//! What was said of held-out tickets by heads that had not seen them stands in the head's card. The shipped head has seen them
//! since; it is held against them all the same, for a head that does not fit the code that reads letters shows at once. And it is
//! held against tickets that nothing was ever learned from: those below stand nowhere else, and must not be added to the corpus.

use super::*;
use triage::learn::Lesson;

/// With every kind on offer and all examples of the release, as the gate has them where every playbook is active.
fn offers() -> Vec<Category> {
    let shipped = examples::shipped().unwrap().tickets;
    let known = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Other);
    known
        .map(|kind| Category {
            category: "REQUEST".to_owned(),
            sub_category: Some(kind.name().to_owned()),
            description: String::new(),
            examples: shipped
                .iter()
                .filter(|example| example.kind == kind)
                .map(|example| example.body.clone())
                .collect(),
            privileged: kind.is_privileged(),
        })
        .collect()
}

fn automated(reading: &Reading) -> bool {
    let threshold = reading.threshold.unwrap_or(0.85);
    reading.choice.is_some() && reading.about == About::Requester && reading.confidence >= threshold
}

fn share(of: usize, all: usize) -> f64 {
    f64::from(u32::try_from(of).unwrap()) / f64::from(u32::try_from(all).unwrap())
}

/// Measured: 124 of 261, two wrong.
#[test]
fn what_the_card_says_of_unseen_tickets_is_good_enough_to_automate() {
    let embedded = Embedded::shipped();
    let thresholds = &embedded.head().card().thresholds;
    let reset = &thresholds[&Kind::PasswordReset];
    assert!(
        reset.score < NEVER && reset.bound <= 0.05 && reset.risk.alpha <= 0.05,
        "{reset:?}"
    );
    assert!(reset.passing * 100 > reset.held_out * 38, "{reset:?}");
    for (kind, threshold) in thresholds {
        assert!(
            threshold.bound <= threshold.risk.alpha || threshold.score >= NEVER,
            "{kind}"
        );
    }
}

/// By the meanings that are kept beside the corpus, so that it takes seconds. Measured: all of them right, and 168 pass
/// before each sentence has its say.
#[test]
fn the_shipped_head_still_reads_what_it_was_calibrated_on() {
    let embedded = Embedded::shipped();
    let corpus = corpus::Corpus::shipped().unwrap();
    let read = |lesson: &Lesson| {
        let ticket = &lesson.ticket;
        embedded
            .head()
            .read(&ticket.subject, &ticket.body, || Some(lesson.meaning.clone()))
    };
    let readings: Vec<_> = corpus
        .held_out
        .iter()
        .map(|lesson| (lesson, read(lesson)))
        .collect();
    let right = readings
        .iter()
        .filter(|(lesson, read)| lesson.ticket.kind == read.kind);
    let accuracy = share(right.count(), readings.len());
    assert!(accuracy > 0.96, "accuracy {accuracy}");
    let other: Vec<_> = readings
        .iter()
        .filter(|(lesson, _)| lesson.ticket.kind == Kind::Other)
        .collect();
    let stayed = other.iter().filter(|(_, read)| read.kind == Kind::Other).count();
    assert!(share(stayed, other.len()) > 0.95, "{stayed} of {}", other.len());
    let passes = |lesson: &Lesson, read: &triage::Reading| {
        let ticket = &lesson.ticket;
        read.kind.is_privileged()
            && read.fitness(read.kind) >= embedded.head().threshold(read.kind)
            && objection(read.kind, &ticket.subject, &ticket.body).is_none()
    };
    let passing: Vec<&Lesson> = readings
        .iter()
        .filter(|(lesson, read)| passes(lesson, read))
        .map(|(lesson, _)| *lesson)
        .collect();
    assert!(passing.len() > 140, "{} pass", passing.len());
    let wrong = passing
        .iter()
        .find(|lesson| lesson.ticket.automatable != Some(true));
    assert_eq!(wrong.map(|lesson| &lesson.ticket), None);
}

/// What it is, and what was written.
const UNSEEN: [(Kind, &str, &str); 44] = [
    (
        Kind::PasswordReset,
        "Sign-in",
        "The laptop refuses my password since I came back from Lapland, I must have forgotten it",
    ),
    (
        Kind::PasswordReset,
        "new password please",
        "My password ran out over the weekend and the change page will not have the old one",
    ),
    (
        Kind::PasswordReset,
        "",
        "hi, i mistyped my new password twice when i set it and now i do not know what it is. can you reset mine?",
    ),
    (
        Kind::PasswordReset,
        "Kennwort",
        "Guten Morgen, ich habe mein Windows-Kennwort vergessen, bitte zuruecksetzen",
    ),
    (
        Kind::PasswordReset,
        "for a trainee",
        "Please set a new password for our trainee Jonas in the paint shop",
    ),
    (
        Kind::AccountUnlock,
        "locked",
        "I typed an old password too often and Windows says that my account is locked. I know the right one.",
    ),
    (
        Kind::AccountUnlock,
        "Unlock user",
        "the account of the night porter is locked out, please unlock",
    ),
    (
        Kind::AccountUnlock,
        "",
        "account locked after too many tries with caps lock on, please unlock it",
    ),
    (
        Kind::MfaReset,
        "replacement phone",
        "My old telephone fell into the harbour, I need to set up the authenticator on the replacement",
    ),
    (
        Kind::MfaReset,
        "MFA",
        "The authenticator app wants a code from a phone that I traded in, please reset my MFA",
    ),
    (
        Kind::SoftwareInstall,
        "Blender",
        "Please install Blender on my workstation, I need it for the stand at the fair",
    ),
    (
        Kind::SoftwareInstall,
        "AutoCAD licence",
        "AutoCAD says the licence has expired and will not start",
    ),
    (
        Kind::SoftwareInstall,
        "Update",
        "Could somebody update Firefox on the two PCs at the reception",
    ),
    (
        Kind::SoftwareInstall,
        "",
        "please remove the old antivirus program from my notebook",
    ),
    (
        Kind::AccessRequest,
        "Folder of the works council",
        "I need read access to the folder of the works council, I was elected in March",
    ),
    (
        Kind::AccessRequest,
        "SharePoint site",
        "Please give me permission to edit the SharePoint site of the quality team",
    ),
    (
        Kind::AccessRequest,
        "",
        "access denied when I open the share with the drawings, I moved to this department last week",
    ),
    (
        Kind::AccessRequest,
        "Group",
        "Please add me to the group that may approve travel requests",
    ),
    (
        Kind::VpnNetwork,
        "VPN",
        "The VPN disconnects each time somebody in the house starts the microwave",
    ),
    (
        Kind::VpnNetwork,
        "no network in hall 4",
        "None of the PCs in hall 4 gets a network address since the electricians left",
    ),
    (
        Kind::VpnNetwork,
        "wifi",
        "Wireless in the large meeting room is so slow that calls break off",
    ),
    (
        Kind::VpnNetwork,
        "",
        "switch in the basement is down, the whole floor is offline",
    ),
    (
        Kind::EmailIssue,
        "Outlook",
        "Outlook hangs at loading profile and never opens",
    ),
    (
        Kind::EmailIssue,
        "Calendar",
        "My calendar shows the meetings of last year only",
    ),
    (
        Kind::EmailIssue,
        "shared mailbox",
        "The shared mailbox of purchasing has vanished from my Outlook",
    ),
    (
        Kind::EmailIssue,
        "",
        "mails to a customer in Norway come back as undeliverable",
    ),
    (
        Kind::HardwareIssue,
        "Notebook",
        "The hinge of my notebook is broken and the screen hangs down on one side",
    ),
    (
        Kind::HardwareIssue,
        "docking station",
        "Docking station does not charge the laptop any more, the light is off",
    ),
    (
        Kind::HardwareIssue,
        "monitor",
        "my second monitor flickers and then turns black",
    ),
    (
        Kind::HardwareIssue,
        "",
        "The mouse on the desk at gate 2 is dead, please send a new one",
    ),
    (
        Kind::Printer,
        "Printer",
        "The printer by the lift smears everything and wants toner",
    ),
    (
        Kind::Printer,
        "paper",
        "paper jam in the big copier on the third floor, I cannot get it out",
    ),
    (
        Kind::Printer,
        "scanner",
        "Scan to folder fails on the multifunction device with error 1102",
    ),
    (
        Kind::Printer,
        "",
        "plotter prints only the left half of a drawing",
    ),
    (
        Kind::Other,
        "Coffee",
        "The coffee machine in the kitchen leaks, whom do I call?",
    ),
    (
        Kind::Other,
        "Parking",
        "I would like a parking space nearer to the entrance from June on",
    ),
    (
        Kind::Other,
        "Invoice",
        "Invoice 4711 was booked twice in the ledger, please reverse one of them",
    ),
    (
        Kind::Other,
        "Skype",
        "Skype shows everybody as away although they are there",
    ),
    (
        Kind::Other,
        "alarm",
        "Job NIGHTLY_STOCK ended with return code 12 at 03:10",
    ),
    (
        Kind::Other,
        "Thanks",
        "Thank you for the quick help yesterday, all is well again",
    ),
    (
        Kind::Other,
        "Order",
        "The customer cannot be selected in the order form, the field stays empty",
    ),
    (
        Kind::Other,
        "Moving",
        "Our team moves to the second building in October, who plans that?",
    ),
    (
        Kind::Other,
        "training",
        "When is the next training on information security?",
    ),
    (
        Kind::Other,
        "",
        "the key figures on the dashboard are from last month, please check the load",
    ),
];

#[test]
fn tickets_that_nothing_was_learned_from_are_told_apart() {
    let (embedded, offers) = (Embedded::shipped(), offers());
    let readings: Vec<(Kind, &str, Reading)> = UNSEEN
        .into_iter()
        .map(|(kind, summary, details)| (kind, details, embedded.read(Text { summary, details }, &offers)))
        .collect();
    let missed: Vec<_> = readings
        .iter()
        .filter(|(kind, _, read)| read.of_head.kind != *kind)
        .map(|(kind, details, read)| (kind, read.of_head.kind, details))
        .collect();
    // Measured: none.
    assert!(missed.len() <= 4, "{missed:#?}");
    let strayed = missed.iter().filter(|(kind, ..)| **kind == Kind::Other).count();
    assert!(strayed <= 1, "{missed:#?}");
    let touches_accounts = |read: &Reading| {
        let chosen = read
            .choice
            .and_then(|choice| offers.get(choice))
            .and_then(kind_of);
        automated(read) && chosen.is_some_and(Kind::is_privileged)
    };
    let accounts: Vec<_> = readings
        .iter()
        .filter(|(.., read)| touches_accounts(read))
        .collect();
    let wrong = accounts
        .iter()
        .find(|(kind, details, _)| *kind != Kind::PasswordReset || details.contains("trainee"));
    assert_eq!(wrong.map(|(_, details, _)| details), None);
    assert!(accounts.len() >= 2, "{accounts:#?}");
}
