//! The store on a real database, under the service's own role.

use chassis::{AuditLog, Sessions};
use common::{Service, TenantId};
use launcher::testing::{TestDatabase, database};
use secrecy::SecretString;

use super::*;
use crate::approval::SmsReport;
use crate::approver::Standing;
use crate::mfa::PushAnswer;
use crate::operation::{Command, Ended, Ending, Event, Obstacle, Silence};
use crate::posting::CardReport;
use crate::settings::Tripwires;
use crate::sms::Hasher;
use crate::store::{Begun, Claim, Committer, InboundSms, Queue, Recognised, Store, StoreError};

const LEASE: Duration = Duration::seconds(15);

struct Desk {
    store: Store,
    committer: Committer,
    owner: sqlx::PgPool,
    _database: TestDatabase,
}

async fn desk() -> Desk {
    let database = database().await;
    let tenant: TenantId = "default".parse().unwrap();
    let pool = database.pool(Service::Verification).await;
    let audit = AuditLog::new(Service::Verification, tenant.clone());
    let sessions = Sessions::new((*pool.connect_options()).clone());
    let store = Store::new(sessions, audit, tenant, Tripwires::NONE);
    Desk {
        committer: Committer::start(&store),
        store,
        owner: database.owner().await,
        _database: database,
    }
}

impl Desk {
    async fn begin(&self, operation: &Operation) -> OperationId {
        self.store.begin(operation).await.unwrap().facts.id
    }

    async fn claim(&self, queue: Queue, when: OffsetDateTime) -> Claim {
        let claim = self.store.claim_due(queue, when, LEASE).await.unwrap();
        claim.expect("something is due")
    }

    async fn begin_ours(&self, operation: &Operation) -> Begun {
        self.committer.begin_ours(operation, START, LEASE).await.unwrap()
    }

    async fn is_free(&self, queue: Queue, when: OffsetDateTime) -> bool {
        self.store.claim_due(queue, when, LEASE).await.unwrap().is_some()
    }

    async fn report(&self, claim: &Claim, event: Event, when: i64) -> Operation {
        let reported = self.store.report(claim, event, at(when)).await.unwrap();
        reported.expect("the claim holds")
    }

    async fn read(&self, id: OperationId) -> Operation {
        self.store.find(id).await.unwrap().unwrap()
    }

    async fn audited(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT kind FROM audit_events ORDER BY id")
            .fetch_all(&self.owner)
            .await
            .unwrap()
    }
}

fn hasher() -> Hasher {
    Hasher::new(SecretString::from("key"), "default".parse().unwrap())
}

fn inbound(id: &str) -> InboundSms {
    InboundSms {
        id: id.to_owned(),
        sender: "+44•••••123".to_owned(),
        received_at: at(310),
    }
}

#[tokio::test]
async fn every_state_reads_back_as_it_was_written() {
    let desk = desk().await;
    let push = push_operation();
    let id = desk.begin(&push).await;
    assert_eq!(desk.read(id).await, push);
    let claim = desk.claim(Queue::Pushes, START).await;
    assert_eq!(desk.read(id).await, claim.operation, "a push that is open");
    for (event, when) in [
        (Event::Push(PushAnswer::Busy { retry_after: None }), 1),
        (Event::Woken, 2),
        (Event::Push(PushAnswer::Away { retry_after: None }), 2),
        (Event::Woken, 4),
        (Event::Push(PushAnswer::Approved), 5),
        (Event::SignalNotTaken { retry_after: None }, 6),
        (Event::SignalTaken, 7),
    ] {
        let written = desk.report(&claim, event.clone(), when).await;
        assert_eq!(desk.read(id).await, written, "{event:?}");
    }

    let approval = approval_operation();
    let id = desk.begin(&approval).await;
    assert_eq!(desk.read(id).await, approval);
    let claim = desk.claim(Queue::Rest, START).await;
    assert_eq!(desk.read(id).await, claim.operation, "a card on its way");
    for (event, when) in [
        (Event::Card(CardReport::Busy { retry_after: None }), 1),
        (Event::Woken, 2),
        (Event::Card(CardReport::Lost), 2),
        (Event::Card(CardReport::Busy { retry_after: None }), 2),
        (Event::Card(CardReport::Sent(card_message())), 3),
        (Event::Sms(SmsReport::Busy { retry_after: None }), 4),
        (Event::Sms(SmsReport::Intended(code())), 5),
        (Event::WrongCode, 6),
        (Event::Sms(SmsReport::Sent { message: None }), 7),
        (Event::Answered(answer(Verdict::Approve, Channel::Sms)), 7),
        (Event::Approver(Standing::Away { retry_after: None }), 7),
        (Event::Answered(answer(Verdict::Deny, Channel::Sms)), 8),
        (Event::CardNotClosed { retry_after: None }, 9),
        (Event::CardClosed, 10),
    ] {
        let written = desk.report(&claim, event.clone(), when).await;
        assert_eq!(desk.read(id).await, written, "{event:?}");
    }
}

#[tokio::test]
async fn every_state_of_a_question_reads_back_as_it_was_written() {
    let desk = desk().await;
    for question in [
        question_operation(),
        question_of(&serde_json::json!({"question": "Since when?", "answer": "text"})),
    ] {
        let mut question = question;
        if let State::Question(open) = &mut question.state {
            open.inquiry.reference.push_str(open.inquiry.asked.answers.kind());
        }
        let id = desk.begin(&question).await;
        assert_eq!(desk.read(id).await, question);
        let claim = desk.claim(Queue::Rest, START).await;
        assert_eq!(desk.read(id).await, claim.operation, "a card on its way");
        for (event, when) in [
            (Event::Card(CardReport::Lost), 1),
            (Event::Card(CardReport::Sent(card_message())), 3),
            (Event::Replied(reply_to(&question, "1")), 4),
            (Event::Replied(reply_to(&question, "2")), 5),
            (Event::CardClosed, 6),
            (Event::SignalTaken, 7),
        ] {
            let written = desk.report(&claim, event.clone(), when).await;
            assert_eq!(desk.read(id).await, written, "{event:?}");
        }
    }
}

#[tokio::test]
async fn of_what_was_typed_the_audit_trail_keeps_the_length_alone() {
    let desk = desk().await;
    let question = question_of(&serde_json::json!({"question": "What for?", "answer": "text"}));
    desk.begin(&question).await;
    let claim = desk.claim(Queue::Rest, START).await;
    desk.report(&claim, Event::Card(CardReport::Sent(card_message())), 1)
        .await;
    let typed = Event::Replied(reply_to(&question, "the merger, still secret"));
    desk.report(&claim, typed, 2).await;
    let trail: String =
        sqlx::query_scalar("SELECT string_agg(row_to_json(a)::text, ' ') FROM audit_events a")
            .fetch_one(&desk.owner)
            .await
            .unwrap();
    assert!(
        !trail.contains("merger") && !trail.contains("What for"),
        "{trail}"
    );
    assert!(
        trail.contains("\"typed\": 24") || trail.contains("\"typed\":24"),
        "{trail}"
    );
}

#[tokio::test]
async fn every_way_to_end_is_a_row() {
    let desk = desk().await;
    let endings = Silence::ALL
        .iter()
        .map(|silence| Ending::TimedOut(*silence))
        .chain(Obstacle::ALL.iter().map(|obstacle| Ending::Impossible(*obstacle)));
    for ending in endings {
        let operation = Operation {
            state: State::Ended(Box::new(Ended {
                signal: None,
                ..Ended::owing(ending, START)
            })),
            ..push_operation()
        };
        let id = desk.begin(&operation).await;
        assert_eq!(desk.read(id).await, operation);
    }
    assert!(
        desk.store
            .claim_due(Queue::Rest, at(9999), LEASE)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_visit_of_a_step_has_one_operation() {
    let desk = desk().await;
    let first = push_operation();
    let mut second = push_operation();
    second.facts.execution = first.facts.execution;
    second.facts.call.attempt = 2;
    let id = desk.begin(&first).await;
    assert_eq!(desk.begin(&second).await, id);
    desk.store.adopt(id, 2).await.unwrap();
    assert_eq!(desk.read(id).await.facts.call.attempt, 2);
    assert_eq!(desk.audited().await, ["verification.asked"]);
}

#[tokio::test]
async fn one_person_has_one_prompt_at_a_time_and_the_next_follows() {
    let desk = desk().await;
    desk.begin(&push_operation()).await;
    desk.begin(&push_operation()).await;
    let first = desk.claim(Queue::Pushes, START).await;
    let second = desk.claim(Queue::Pushes, START).await;
    assert!(matches!(first.commands[..], [Command::Push { .. }]));
    assert_eq!(second.commands, [], "the phone is in use");
    desk.store.release(&second).await.unwrap();
    desk.report(&first, Event::Push(PushAnswer::NoAnswer), 2).await;
    desk.store.release(&first).await.unwrap();
    let next = desk.claim(Queue::Pushes, at(2)).await;
    assert!(
        matches!(next.commands[..], [Command::Push { .. }]),
        "its end woke the other"
    );
}

#[tokio::test]
async fn whoever_says_no_is_not_asked_what_else_was_open_then_and_is_asked_what_comes_after() {
    for no in [PushAnswer::Denied, PushAnswer::Fraud] {
        let desk = desk().await;
        let waiting = desk.begin(&push_operation()).await;
        let mut shouted = push_operation();
        shouted.facts.subject.id = ADELE.to_uppercase().parse().unwrap();
        let mut of_megan = push_operation();
        of_megan.facts.subject.id = MEGAN.parse().unwrap();
        let Begun::Ours(first) = desk.begin_ours(&push_operation()).await else {
            panic!("nobody looks at a prompt");
        };
        desk.report(&first, Event::Push(no), 2).await;

        let next = desk.claim(Queue::Pushes, at(2)).await;
        assert_eq!((next.operation.facts.id, &next.commands[..]), (waiting, &[][..]));
        let ended = |operation: &Operation| operation.state.ended().map(|ended| ended.ending.clone());
        let said_no = Some(Ending::Impossible(Obstacle::SaidNo));
        assert_eq!(ended(&next.operation), said_no);
        assert_eq!(desk.read(waiting).await, next.operation);
        // One that is written down only now was asked for before.
        let Begun::Stored(late) = desk.begin_ours(&shouted).await else {
            panic!("her no came after it was asked for");
        };
        let next = desk.claim(Queue::Pushes, at(3)).await;
        assert_eq!(next.operation.facts.id, late.facts.id);
        assert_eq!(ended(&next.operation), said_no);
        assert!(matches!(desk.begin_ours(&of_megan).await, Begun::Ours(_)));

        let mut after = push_operation();
        after.facts.asked_at = at(3);
        assert!(matches!(desk.begin_ours(&after).await, Begun::Ours(_)));
        let sent = desk.audited().await;
        let sent = sent.iter().filter(|kind| *kind == "verification.push_sent");
        assert_eq!(sent.count(), 3, "the first, Megan's, and the one after");
    }
}

#[tokio::test]
async fn what_is_begun_as_ours_is_claimed_by_nobody_until_its_lease_is_over() {
    let desk = desk().await;
    let Begun::Ours(claim) = desk.begin_ours(&push_operation()).await else {
        panic!("nobody else wants the phone");
    };
    assert!(matches!(claim.commands[..], [Command::Push { .. }]));
    assert_eq!(desk.read(claim.operation.facts.id).await, claim.operation);
    assert_eq!(
        desk.audited().await,
        ["verification.asked", "verification.push_sent"]
    );
    assert!(!desk.is_free(Queue::Pushes, at(14)).await);
    assert!(
        desk.is_free(Queue::Pushes, at(15)).await,
        "its runner is gone, and with it an answer"
    );
}

#[tokio::test]
async fn a_second_prompt_that_is_begun_as_ours_waits_for_the_first() {
    let desk = desk().await;
    let Begun::Ours(first) = desk.begin_ours(&push_operation()).await else {
        panic!("nobody else wants the phone");
    };
    let Begun::Stored(again) = desk.begin_ours(&first.operation).await else {
        panic!("its visit has one already");
    };
    assert_eq!(again, first.operation);
    let Begun::Stored(second) = desk.begin_ours(&push_operation()).await else {
        panic!("the phone is in use");
    };
    let waiting = desk.claim(Queue::Pushes, START).await;
    assert_eq!(waiting.operation.facts.id, second.facts.id);
    assert_eq!(waiting.commands, []);
}

#[tokio::test]
async fn whoever_ends_an_operation_goes_on_with_what_is_left_and_lets_go_with_the_last_of_it() {
    let desk = desk().await;
    let Begun::Ours(claim) = desk.begin_ours(&push_operation()).await else {
        panic!("nobody else wants the phone");
    };
    let approved = Event::Push(PushAnswer::Approved);
    let next = desk
        .committer
        .go_on(&claim, approved.clone(), at(1), LEASE)
        .await
        .unwrap();
    let next = next.expect("the claim holds");
    assert_eq!(next.commands, [Command::Signal]);
    assert!(!desk.is_free(Queue::Rest, at(15)).await, "it is still held");

    let done = desk
        .committer
        .go_on(&next, Event::SignalNotTaken { retry_after: None }, at(2), LEASE)
        .await;
    assert_eq!(done.unwrap().expect("the claim holds").commands, []);
    let later = desk.claim(Queue::Rest, at(3)).await;
    assert_eq!(later.commands, [Command::Signal], "let go, it is anybody's");
    assert!(
        desk.committer
            .go_on(&next, Event::SignalTaken, at(3), LEASE)
            .await
            .unwrap()
            .is_none(),
        "and no longer ours"
    );
}

#[tokio::test]
async fn a_runner_that_overslept_writes_nothing() {
    let desk = desk().await;
    let id = desk.begin(&push_operation()).await;
    let slept = desk.claim(Queue::Pushes, START).await;
    assert!(
        desk.store
            .claim_due(Queue::Pushes, at(10), LEASE)
            .await
            .unwrap()
            .is_none(),
        "it is held"
    );
    let next = desk.claim(Queue::Pushes, at(15)).await;
    assert!(
        matches!(next.commands[..], [Command::Push { .. }]),
        "the first answer is lost, so one more push"
    );
    let late = desk
        .store
        .report(&slept, Event::Push(PushAnswer::Approved), at(16))
        .await
        .unwrap();
    assert_eq!(late, None);
    assert!(!desk.store.renew(&slept, at(40)).await.unwrap());
    assert!(desk.read(id).await.state.ended().is_none());
}

#[tokio::test]
async fn an_operation_that_cannot_be_read_holds_up_nobody() {
    let desk = desk().await;
    let unreadable = desk.begin(&push_operation()).await;
    sqlx::query("UPDATE verifications SET authorizes = '{}', wake_at = $1 WHERE id = $2")
        .bind(at(-60))
        .bind(unreadable.0)
        .execute(&desk.owner)
        .await
        .unwrap();
    let mut next = push_operation();
    next.facts.subject.id = MEGAN.parse().unwrap();
    let next = desk.begin(&next).await;

    let claim = desk.claim(Queue::Pushes, START).await;

    assert_eq!(claim.operation.facts.id, next);
    let again: OffsetDateTime = sqlx::query_scalar("SELECT wake_at FROM verifications WHERE id = $1")
        .bind(unreadable.0)
        .fetch_one(&desk.owner)
        .await
        .unwrap();
    assert_eq!(again, at(60), "somebody may have mended it by then");
}

#[tokio::test]
async fn a_no_that_comes_after_another_runner_took_over_ends_the_operation() {
    for waits_for_the_next in [false, true] {
        let desk = desk().await;
        let id = desk.begin(&push_operation()).await;
        let slept = desk.claim(Queue::Pushes, START).await;
        let next = desk.claim(Queue::Pushes, at(15)).await;
        if waits_for_the_next {
            let busy = PushAnswer::Busy { retry_after: None };
            desk.report(&next, Event::Push(busy), 15).await;
        }
        let no = Event::Push(PushAnswer::Fraud);
        assert_eq!(desk.store.report(&slept, no.clone(), at(16)).await.unwrap(), None);
        desk.store.overrule(&slept, no, at(16)).await.unwrap();

        let yes = Event::Push(PushAnswer::Approved);
        assert_eq!(
            desk.store.report(&next, yes.clone(), at(17)).await.unwrap(),
            None,
            "nobody holds it"
        );
        let after = desk.store.answer(id, yes, at(17)).await.unwrap();

        let ended = after.state.ended().expect("a no ends it");
        assert!(
            matches!(ended.ending, Ending::Denied { fraud: true, .. }),
            "{ended:?}"
        );
        assert_eq!(after.permit, None);
        assert!(
            desk.audited()
                .await
                .contains(&"verification.answered_late".to_owned())
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_reported_twice_counts_and_is_recorded_once() {
    let desk = desk().await;
    desk.begin(&push_operation()).await;
    let claim = desk.claim(Queue::Pushes, START).await;
    let no = Event::Push(PushAnswer::Denied);
    let first = desk.report(&claim, no.clone(), 1).await;
    let audited = desk.audited().await;
    assert_eq!(desk.report(&claim, no, 1).await, first);
    assert_eq!(desk.audited().await, audited);
}

#[tokio::test]
async fn an_answer_by_text_counts_once_and_is_answered_alike() {
    let desk = desk().await;
    let number = "+447700900123".parse().unwrap();
    let (id, claim) = sent_by_text(&desk, &number).await;
    let (ours, other) = (hasher().answer(&number, "4821"), hasher().answer(&number, "4822"));
    let number_hash = hasher().number(&number);
    let recognise = async |answer: Option<&str>| desk.store.recognise(&number_hash, answer).await.unwrap();
    assert_eq!(recognise(Some(&ours)).await, Recognised::Answer(id));
    assert_eq!(recognise(Some(&other)).await, Recognised::Number(id));
    let stranger = hasher().number(&"+447700900999".parse().unwrap());
    assert_eq!(
        desk.store.recognise(&stranger, None).await.unwrap(),
        Recognised::Nobody
    );

    let approved = || Event::Answered(answer(Verdict::Approve, Channel::Sms));
    desk.store.answer(id, approved(), at(310)).await.unwrap();
    let take = async |message: &str, reply: &'static str| {
        let stands = |_: &Operation| Some(Event::Approver(Standing::Stands));
        let words = |_: &Operation, _: &Operation| ("counted", reply.to_owned());
        desk.store
            .take_message(&inbound(message), id, stands, words, at(311))
            .await
            .unwrap()
    };
    assert_eq!(take("SM1", "thanks").await, "thanks");
    assert_eq!(
        take("SM1", "twice").await,
        "thanks",
        "the same message gets the same reply"
    );
    let answered = desk.audited().await;
    assert_eq!(
        answered
            .iter()
            .filter(|kind| *kind == "verification.answered")
            .count(),
        1
    );
    assert!(
        !answered.contains(&"verification.answered_late".to_owned()),
        "what a repeat did is undone"
    );
    assert_eq!(
        recognise(Some(&ours)).await,
        Recognised::Answer(id),
        "a late answer is still recognised"
    );
    drop(claim);
}

#[tokio::test]
async fn a_code_is_good_for_one_open_request_of_a_number() {
    let desk = desk().await;
    let number = "+447700900123".parse().unwrap();
    sent_by_text(&desk, &number).await;
    let mut second = approval_operation();
    let State::Approval(approval) = &mut second.state else {
        panic!()
    };
    approval.request.reference.push('2');
    desk.begin(&second).await;
    let claim = desk.claim(Queue::Rest, at(1)).await;
    let same = Event::Sms(SmsReport::Intended(
        hasher().code(&number, &SecretString::from("4821")),
    ));
    let clash = desk.store.report(&claim, same, at(2)).await;
    assert!(matches!(clash, Err(StoreError::CodeInUse)), "{clash:?}");
    let other = Event::Sms(SmsReport::Intended(
        hasher().code(&number, &SecretString::from("4822")),
    ));
    desk.report(&claim, other, 2).await;
}

/// Megan was sent `4821` at `number`.
async fn sent_by_text(desk: &Desk, number: &connectors::PhoneNumber) -> (OperationId, Claim) {
    let id = desk.begin(&approval_operation()).await;
    let claim = desk.claim(Queue::Rest, START).await;
    desk.report(&claim, Event::Card(CardReport::Refused), 1).await;
    let code = hasher().code(number, &SecretString::from("4821"));
    desk.report(&claim, Event::Sms(SmsReport::Intended(code)), 1)
        .await;
    desk.report(&claim, Event::Sms(SmsReport::Sent { message: None }), 2)
        .await;
    (id, claim)
}

#[tokio::test]
async fn neither_number_nor_code_nor_token_is_in_the_tables() {
    let desk = desk().await;
    let number = "+447700900123".parse().unwrap();
    let (_, claim) = sent_by_text(&desk, &number).await;
    desk.report(&claim, Event::Answered(answer(Verdict::Approve, Channel::Sms)), 3)
        .await;
    desk.report(&claim, Event::Approver(Standing::Stands), 3).await;
    for query in [
        "SELECT string_agg(row_to_json(v)::text, ' ') FROM verifications v",
        "SELECT string_agg(row_to_json(a)::text, ' ') FROM audit_events a",
    ] {
        let text: String = sqlx::query_scalar(query).fetch_one(&desk.owner).await.unwrap();
        for secret in ["7700900123", "\"4821\"", "eyJ", "log in since"] {
            let shown_on_the_card = secret == "log in since" && query.contains("verifications v");
            assert!(
                shown_on_the_card || !text.contains(secret),
                "`{secret}` is in: {text}"
            );
        }
    }
}

/// Changes of a push that is open, each of which breaks a rule.
const BROKEN: [&str; 31] = [
    "visit = 0",
    "attempt = 0",
    "method = 'oracle'",
    "state = 'lost'",
    "channel = 'letter', answered_by = subject_id, state = 'denied', ended_at = now()",
    "ended_at = now()",
    "wake_at = NULL",
    "answered_by = subject_id",
    "channel = 'push'",
    "state = 'timed_out', ended_at = now()",
    "user_principal_name = NULL",
    "pushes = NULL",
    "method = 'manager', card = 'due'",
    "method = 'question'",
    "permit_id = gen_random_uuid(), permit_issued_at = now(), permit_expires_at = now() + interval '1 minute'",
    "approver_id = subject_id, shown = '{}', reference = 'r'",
    "approver_id = 'somebody', reference = 'r'",
    "approver_id = 'somebody', shown = '{}'",
    "state = 'approved', ended_at = now(), channel = 'push', answered_by = 'somebody else'",
    "question = '{}', reference = 'r'",
    "answer = '{}'",
    "pushes = 3",
    "push_attempts = -1",
    "card = 'torn'",
    "cards_unconfirmed = -1",
    "sms = 'unwritten'",
    "sms_count = 3",
    "sms_wrong = -1",
    "signal_attempts = -1",
    "kept_at = now()",
    "look_up_attempts = 1",
];

#[tokio::test]
async fn a_row_that_breaks_a_rule_is_refused_by_the_table_itself() {
    let desk = desk().await;
    let id = desk.begin(&push_operation()).await;
    let change = async |set: &str| {
        let update = format!("UPDATE verifications SET {set} WHERE id = $1");
        let update = sqlx::query(sqlx::AssertSqlSafe(update)).bind(id.0);
        update.execute(&desk.owner).await
    };
    for set in BROKEN {
        let refused = change(set).await.expect_err(set);
        let code = refused
            .as_database_error()
            .and_then(|error| error.code().map(String::from));
        assert_eq!(code.as_deref(), Some("23514"), "{set}: {refused}");
    }
    let denied = "state = 'denied', ended_at = now(), channel = 'push', answered_by = subject_id";
    assert!(change(denied).await.is_ok(), "what breaks none is taken");
}
