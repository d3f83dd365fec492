//! What was done for nothing does not stay: a pass that reaches nobody is taken back before a person takes over.

use simulators::twilio::Fate;

use crate::{ADELE, automation, fleet, number_of, texts_to};

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_could_not_be_delivered_is_deleted_before_the_ticket_escalates() {
    let fleet = fleet().await;
    fleet
        .world()
        .twilio()
        .fate(&number_of(&fleet, ADELE), Fate::Undelivered(30005));
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "escalated");

    assert!(fleet.world().entra().passes_created(ADELE) > 0, "a pass was made");
    assert!(
        fleet.world().entra().live_passes(ADELE).is_empty(),
        "and none is left"
    );
    assert_eq!(texts_to(&fleet, ADELE), [""; 0]);
    let execution = fleet.execution(ticket).await.unwrap();
    let undone: Vec<_> = execution
        .steps
        .iter()
        .filter(|step| step.call.id.as_str() == "reset_password.undo")
        .map(|step| step.outcome.as_ref().map(ToString::to_string))
        .collect();
    assert_eq!(undone, [Some("success".to_owned())], "{execution:#?}");
    let audit = fleet.audit(ticket).await;
    assert!(
        audit.iter().any(|(kind, ..)| kind == "effect.undone"),
        "{audit:#?}"
    );
}
