//! The text message: who writes, on which ticket, the pass, how long it is good. No link, ever.

use common::TicketId;
use secrecy::{ExposeSecret as _, SecretString};
use time::Duration;

/// What the person reads. `life` is what remains of the pass.
pub(crate) fn message(
    help_desk: &str,
    ticket: &TicketId,
    pass: &SecretString,
    life: Duration,
) -> SecretString {
    // The pass stands alone on its line: a full stop behind it would be typed in with it.
    format!(
        "{help_desk}, ticket {ticket}: your one-time sign-in pass is\n{}\nIt works once, within {}. \
         Nobody will ask you for it. If you did not ask for help, tell the help desk.",
        pass.expose_secret(),
        in_words(life),
    )
    .into()
}

/// Rounded down: a pass that is promised for longer than it lives is a second ticket.
fn in_words(life: Duration) -> String {
    match life.whole_minutes() {
        ..=1 => "a minute".to_owned(),
        minutes @ 2..=119 => format!("{minutes} minutes"),
        minutes => format!("{} hours", minutes / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_desk_ticket_pass_and_time_and_holds_no_link() {
        let ticket = "4242".parse().unwrap();
        let text = message(
            "Contoso IT",
            &ticket,
            &"Tc5?vA9k".into(),
            Duration::minutes(59) + Duration::seconds(50),
        );
        insta::assert_snapshot!(text.expose_secret());
        assert!(!text.expose_secret().contains("://"));
    }

    #[test]
    fn the_time_is_never_rounded_up() {
        let words = |seconds| in_words(Duration::seconds(seconds));
        assert_eq!(words(30), "a minute");
        assert_eq!(words(179), "2 minutes");
        assert_eq!(words(7_199), "119 minutes");
        assert_eq!(words(10_799), "2 hours");
    }
}
