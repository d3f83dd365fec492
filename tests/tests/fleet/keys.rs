//! Keys are replaced while tickets flow: nobody is restarted, nothing fails, and what was retired opens no door.

use std::path::Path;

use common::Service;
use launcher::keys::{Rotated, Rotation, rotate, show};
use launcher::testing::{TestFleet, TestFleetSettings, until};
use serde_json::Value;
use simulators::{System, WorldSettings};
use time::OffsetDateTime;
use trust::Identity;
use trust::rotation::Retirement;

use crate::access::knock;
use crate::{ADELE, assert_one_pass_delivered, automation, fleet, quick_world};

const AT_ONCE: Rotation = Rotation::Finish(Retirement::AtOnce);

async fn readyz(fleet: &TestFleet, service: Service) -> Value {
    let (_, text) = knock(fleet, service, "GET", "/readyz", b"", None, None).await;
    serde_json::from_str(&text).unwrap()
}

/// Wait until all six go by the list of trusted keys as it is on the disk.
async fn all_have_read_the_list(fleet: &TestFleet, directory: &Path) {
    let wanted = show(directory).unwrap().trusted;
    for service in Service::ALL {
        let what = format!("{service} trusts the list {wanted}");
        until(&what, async || {
            readyz(fleet, service).await["keys"]["trusted"] == wanted.as_str()
        })
        .await;
    }
}

async fn signs_with_the_key_on_disk(fleet: &TestFleet, directory: &Path, service: Service) {
    let rows = show(directory).unwrap().rows;
    let owner = service.name();
    let kid = rows
        .iter()
        .find(|row| row.owner == owner && row.state == "signs")
        .unwrap()
        .kid
        .clone();
    let what = format!("{service} signs with {kid}");
    until(&what, async || {
        readyz(fleet, service).await["keys"]["signs_with"] == kid.as_str()
    })
    .await;
}

fn step(directory: &Path, what: Rotated, step: Rotation) {
    rotate(directory, what, step, OffsetDateTime::now_utc()).unwrap();
}

/// What a thief of this identity gets at a door that its service may pass.
async fn try_old(fleet: &TestFleet, old: &Identity) -> (u16, String) {
    let (callee, method, path, body): (_, _, _, &[u8]) = match old.service() {
        Service::Classifier => (Service::Playbook, "GET", "/api/v1/playbooks", b""),
        Service::Orchestration => (
            Service::Executor,
            "POST",
            "/api/v1/executor/reset_password",
            b"{}",
        ),
        _ => (
            Service::Orchestration,
            "POST",
            "/api/v1/orchestration/executions/01890000-0000-7000-8000-000000000000/signals",
            b"{}",
        ),
    };
    let (now, id) = (OffsetDateTime::now_utc(), uuid::Uuid::now_v7());
    let token = trust::token::issue(old, callee.name(), body, now, id).unwrap();
    knock(fleet, callee, method, path, body, Some(&token), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_replaced_under_load_and_no_ticket_notices() {
    let world = WorldSettings {
        further_people: 80,
        ..quick_world()
    };
    let fleet = TestFleet::with(TestFleetSettings {
        world,
        ..TestFleetSettings::default()
    })
    .await;
    let directory = fleet.keys().directory();
    let old: Vec<_> = Service::ALL
        .into_iter()
        .map(|service| fleet.identity(service))
        .collect();
    let mut filed = vec![];
    let file_some = |filed: &mut Vec<i64>| {
        for _ in 0..2 {
            let from = format!("employee{:04}@contoso.example", filed.len() + 1);
            filed.push(fleet.file_ticket(&from, "I can't log in"));
        }
    };
    for service in Service::ALL {
        let what = Rotated::Service(service);
        file_some(&mut filed);
        step(directory, what, Rotation::Begin);
        all_have_read_the_list(&fleet, directory).await;
        file_some(&mut filed);
        step(directory, what, Rotation::Switch);
        signs_with_the_key_on_disk(&fleet, directory, service).await;
    }
    step(directory, Rotated::Seal, Rotation::Begin);
    file_some(&mut filed);
    step(directory, Rotated::Seal, Rotation::Switch);
    file_some(&mut filed);
    for ticket in &filed {
        let ended = fleet.wait_for_end(*ticket).await;
        assert_eq!(automation(&ended), "resolved", "ticket {ticket} of {filed:?}");
    }

    for service in Service::ALL {
        step(directory, Rotated::Service(service), AT_ONCE);
    }
    step(directory, Rotated::Seal, AT_ONCE);
    all_have_read_the_list(&fleet, directory).await;
    for old in &old {
        let (status, text) = try_old(&fleet, old).await;
        assert_eq!(status, 401, "the old key of {}: {text}", old.service());
        assert!(text.contains("token_unknown_key"), "{text}");
    }
    let last = fleet.file_ticket(ADELE, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(last).await), "resolved");
    assert_one_pass_delivered(&fleet, ADELE);
    for service in Service::ALL {
        let said = readyz(&fleet, service).await;
        assert!(!said["degraded"].to_string().contains("key"), "{service}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sealed_before_the_switch_is_delivered_after_it() {
    let fleet = fleet().await;
    let directory = fleet.keys().directory();
    fleet.world().faults(System::Twilio).outage(true);
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    until("the pass is made and waits for Twilio", async || {
        let waiting = fleet.world().journal().count(
            |event| matches!(event, simulators::Event::FaultStruck { system, .. } if *system == System::Twilio),
        );
        waiting > 0 && fleet.world().entra().passes_created(ADELE) == 1
    })
    .await;
    step(directory, Rotated::Seal, Rotation::Begin);
    step(directory, Rotated::Seal, Rotation::Switch);
    step(directory, Rotated::Service(Service::Delivery), Rotation::Begin);
    all_have_read_the_list(&fleet, directory).await;
    fleet.world().faults(System::Twilio).outage(false);
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
    assert_one_pass_delivered(&fleet, ADELE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_list_of_keys_changes_nothing_and_is_complained_of_until_it_is_mended() {
    let fleet = fleet().await;
    let path = fleet.keys().file("trusted.json");
    let sound = std::fs::read(&path).unwrap();
    let complains = async |expected: bool| {
        for service in Service::ALL {
            let what = format!("{service} complains of its keys: {expected}");
            until(&what, async || {
                let said = readyz(&fleet, service).await;
                said["degraded"].to_string().contains("\"keys\"") == expected && said["ready"] == true
            })
            .await;
        }
    };
    // Half written, as by an editor that was killed; then gone; then somebody else's.
    std::fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    complains(true).await;
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
    std::fs::write(&path, &sound).unwrap();
    complains(false).await;
    std::fs::remove_file(&path).unwrap();
    complains(true).await;
    std::fs::write(&path, &sound).unwrap();
    complains(false).await;
}
