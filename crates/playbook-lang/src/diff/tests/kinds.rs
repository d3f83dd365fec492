//! Changes of what is permitted, and of the kinds of steps beside actions.

use super::*;

#[test]
fn changes_of_what_is_proven_and_permitted() {
    let rows: &[Row] = &[
        (
            // What `check` would refuse is told all the same.
            |new| lead(new, "verify_mfa", "failure", "reset_password"),
            &[
                "S after `verify_mfa`, `failure` and `timeout` now lead to `reset_password` instead of `verify_manager`",
                "S whoever gets to `reset_password` has now proven nothing instead of proven substantial assurance at least",
                "S `verify_manager` is no longer one of the verifications that lead to `reset_password`",
            ],
        ),
        (
            |new| lead(new, "verify_mfa", "success", "verify_manager"),
            &[
                "S after `verify_mfa`, `success` now leads to `verify_manager` instead of `reset_password`",
                "S `verify_manager` must now succeed before `reset_password`",
            ],
        ),
        (
            |new| {
                new.steps.shift_remove(&id("verify_manager"));
                lead(new, "verify_mfa", "failure", "escalate_not_verified");
            },
            &[
                "S step `verify_manager` is gone: it called `verification.manager` (a verification, grants substantial assurance) with `reason` = \"{{ ticket.summary }}\"",
                "S `verify_mfa` must now succeed before `reset_password`",
                "S `verify_manager` is no longer one of the verifications that lead to `reset_password`",
                "B after `verify_mfa`, `failure` and `timeout` now lead to `escalate_not_verified` instead of `verify_manager`",
            ],
        ),
        (
            |new| action(new, "verify_mfa").action.grants = Some(Assurance::Low),
            &[
                "S `verify_mfa` now grants low assurance instead of substantial",
                "S whoever gets to `reset_password` has now proven low assurance at least instead of proven substantial assurance at least",
            ],
        ),
        (
            |new| action(new, "reset_password").action.requires = Some(Assurance::High),
            &["S `reset_password` now needs high assurance instead of substantial"],
        ),
        (
            |new| {
                let unlock = action_step("executor.unlock_account");
                new.steps.extend(
                    Draft::new("x", "")
                        .action("unlock", "executor.unlock_account", &[("success", "resolved")])
                        .0
                        .steps,
                );
                assert!(unlock.action.planned);
                lead(new, "reset_password", "success", "unlock");
            },
            &[
                "S after `reset_password`, `success` now leads to `unlock` instead of `deliver_credentials`",
                "S step `unlock` is new: it calls `executor.unlock_account` (privileged, needs substantial assurance; no service offers it yet); `success` to `resolved`",
                "S whoever gets to the new privileged step `unlock` has proven substantial assurance at least",
            ],
        ),
        (
            |new| action(new, "reset_password").action.planned = true,
            &["B `reset_password` calls `executor.reset_password`, which no service offers yet"],
        ),
    ];
    assert_table(&password_reset(), rows);
}

#[test]
fn changes_of_parameters_credentials_and_undos() {
    let rows: &[Row] = &[
        (
            |new| {
                action(new, "reset_password")
                    .parameters
                    .insert("lifetime_minutes".into(), json!(60));
            },
            &["S `reset_password` now passes `lifetime_minutes`: 60"],
        ),
        (
            |new| {
                action(new, "verify_manager")
                    .parameters
                    .insert("reason".into(), json!("trust me"));
            },
            &["S `verify_manager` now passes \"trust me\" as `reason` instead of \"{{ ticket.summary }}\""],
        ),
        (
            |new| action(new, "verify_manager").parameters.clear(),
            &["S `verify_manager` no longer passes `reason`; it was \"{{ ticket.summary }}\""],
        ),
        (
            |new| action(new, "deliver_credentials").credential_of = Some(id("reset_password")),
            &[
                "S `deliver_credentials` now delivers the credential of `reset_password` instead of the latest credential",
            ],
        ),
        (
            |new| action(new, "verify_mfa").authorizes = None,
            &["S `verify_mfa` no longer gives a permit; it was for `reset_password`"],
        ),
        (
            |new| {
                new.undos.clear();
                action(new, "reset_password").undo = None;
            },
            &[
                "S `reset_password` is no longer taken back if the execution escalates; `executor.delete_pass` did that",
            ],
        ),
    ];
    assert_table(&password_reset(), rows);
}

#[test]
fn changes_of_decisions_waits_branches_and_undos() {
    let rows: &[Row] = &[
        (
            |new| match &mut step(new, "state").kind {
                StepKind::Decision(cases) => cases[1].when = Condition::Not(Box::new(cases[1].when.clone())),
                _ => unreachable!(),
            },
            &[
                "B at `state`, the case `disabled` is now taken where not (inputs.x is \"disabled\"), instead of where inputs.x is \"disabled\"",
            ],
        ),
        (
            |new| match &mut step(new, "state").kind {
                StepKind::Decision(cases) => cases.swap(0, 1),
                _ => unreachable!(),
            },
            &["B the cases of `state` are now tried in another order"],
        ),
        (
            |new| step(new, "wait_a_little").kind = StepKind::Wait(Pause::For(Duration::from_secs(90))),
            &["B `wait_a_little` now waits 90 s instead of 10 min"],
        ),
        (
            |new| step(new, "wait_a_little").max_visits = Some(5),
            &["B `wait_a_little` may now be entered 5 times instead of 3"],
        ),
        (
            |new| match &mut step(new, "look").kind {
                StepKind::Parallel(parallel) => parallel.join = Join::Any,
                _ => unreachable!(),
            },
            &[
                "B `look` is now done when the first branch has ended well, not done when every branch has ended",
            ],
        ),
        (
            |new| step(new, "note_it").within = None,
            &["B `note_it` no longer stands in a branch of `look`"],
        ),
        (
            |new| action(new, "reset").undo = None,
            &[
                "S `reset` is no longer taken back if the execution escalates; `executor.delete_pass` did that",
            ],
        ),
        (
            |new| {
                let mut undo = action_step("executor.delete_pass");
                undo.timeout = Duration::from_secs(5);
                new.undos[0].kind = StepKind::Action(Box::new(undo));
            },
            &["B `reset.undo` may now take 5 s instead of 1 min"],
        ),
        (
            |new| new.undos[0].name = "x".into(),
            &["B something else changed: compare the two documents"],
        ),
    ];
    assert_table(&every_kind(), rows);
}
