//! How long a playbook takes to be read, checked and proven. An editor does it at every keystroke.
//!
//! `cargo bench -p playbook-lang`. Meant: 50 steps within 300 µs, 500 steps within 5 ms, on one core.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a benchmark has no callers, and stops where it is wrong"
)]

use std::fmt::Write as _;
use std::hint::black_box;

/// As in our processes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use playbook_lang::{Registry, check, fix, format};

/// Blocks of ten steps, each as people write them: look, ask, decide, verify, act, deliver, tell, wait.
#[expect(clippy::too_many_lines, reason = "a playbook is written out")]
fn playbook(steps: usize) -> String {
    let mut source = "name: large\nversion: \"1.0\"\nenabled: true\ndescription: \"A realistic mix\"\ncategory: REQUEST\nbudget: 30d\ninputs:\n  days: {type: whole, least: 1, most: 30, default: 7, description: \"how long\"}\ntrigger:\n  on: [created]\n  when: {field: ticket.summary, operator: contains, value: \"password\"}\nsteps:\n".to_owned();
    let blocks = steps / 10;
    for block in 0..blocks {
        let next = if block + 1 == blocks {
            "done".to_owned()
        } else {
            format!("look_{}", block + 1)
        };
        let _ = write!(
            source,
            r#"  - id: look_{block}
    name: "Is the gateway up?"
    service: network.check_gateway
    timeout: 30
    retry: {{max_attempts: 2, backoff: exponential}}
    outcomes: {{up: which_{block}, down: tell_{block}}}
    on_failure: tell_{block}

  - id: which_{block}
    type: ask
    question: "Which application is it, {{{{ requester.name }}}}?"
    choices:
      mail: "Mail"
      office: "Office, or something of the kind"
      other: "Something else"
    timeout: 4h
    outcomes: {{mail: decide_{block}, office: decide_{block}, other: tell_{block}}}
    on_timeout: person

  - id: decide_{block}
    type: decision
    cases:
      - name: urgent
        when:
          all:
            - {{field: ticket.summary, operator: matches, value: "urgent|at once"}}
            - {{field: ticket.status, operator: greater, value: 2}}
            - not: {{field: ticket.team, operator: in, value: ["vip", "board"]}}
        then: mfa_{block}
      - name: known
        when: {{field: steps.which_{block}.output.answer, operator: exists}}
        then: mfa_{block}
    otherwise: manager_{block}

  - id: mfa_{block}
    name: "Verify by MFA"
    service: verification.mfa
    timeout: 300
    on_success: reset_{block}
    on_failure: manager_{block}
    on_denied: denied

  - id: manager_{block}
    service: verification.manager
    timeout: 600
    with:
      reason: "{{{{ ticket.summary }}}} from {{{{ requester.name }}}}"
    on_success: reset_{block}
    on_failure: person
    on_denied: denied

  - id: reset_{block}
    service: executor.reset_password
    timeout: 60
    retry: {{max_attempts: 3, backoff: exponential}}
    undo: executor.delete_pass
    with: {{lifetime_minutes: 60}}
    on_success: send_{block}
    on_failure: person

  - id: send_{block}
    service: delivery.sms
    timeout: 120
    with:
      credential: "{{{{ steps.reset_{block}.output.credential }}}}"
    on_success: note_{block}
    on_failure: person

  - id: note_{block}
    service: ticket.note
    with:
      text: "A pass was sent to {{{{ requester.name }}}} for {{{{ inputs.days }}}} days"
      visibility: public
    on_success: wait_{block}
    on_failure: wait_{block}

  - id: wait_{block}
    type: wait
    for: 10m
    on_success: {next}

  - id: tell_{block}
    service: ticket.set_fields
    with:
      fields: {{CFgateway: "down", CFtold: "{{{{ requester.mail }}}}"}}
    on_success: {next}
    on_failure: person

"#
        );
    }
    source
        + "  - {id: done, type: terminal, status: RESOLVED}\n  - {id: person, type: escalation, reason: \"Somebody looks at it\"}\n  - {id: denied, type: escalation, reason: \"The request was denied\"}\n"
}

fn bench(criterion: &mut Criterion) {
    let registry = Registry::builtin();
    for steps in [50, 500] {
        let source = playbook(steps);
        let report = check(&source, &registry);
        assert!(report.ok(), "{:#?}", report.findings.first());
        let mut group = criterion.benchmark_group(format!("{steps} steps"));
        group.throughput(Throughput::Bytes(u64::try_from(source.len()).unwrap()));
        group.bench_function("check", |bencher| {
            bencher.iter(|| check(black_box(&source), &registry));
        });
        group.bench_function("format", |bencher| bencher.iter(|| format(black_box(&source))));
        let broken = source.replace(
            "  - {id: person, type: escalation, reason: \"Somebody looks at it\"}\n",
            "",
        );
        assert_eq!(
            fix(&broken, &registry, &playbook_lang::Shelf::default())
                .unwrap()
                .added
                .len(),
            1
        );
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
