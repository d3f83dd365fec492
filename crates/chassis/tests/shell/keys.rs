//! Key files that are not fit: nothing starts, and the message says how to mend it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use chassis::chain;
use common::Service;

use crate::world::World;

const WHO: Service = Service::Executor;

/// What the person reads who tries to start the service.
async fn refusal(world: &World) -> String {
    let refused = world.try_shell(WHO).await.err().expect("it does not start");
    chain(&refused)
}

fn chmod(world: &World, name: &str, mode: u32) {
    std::fs::set_permissions(world.file(name), Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_private_key_that_others_can_read_is_refused_with_the_chmod_that_mends_it() {
    for mode in [0o644, 0o640, 0o604, 0o660, 0o666, 0o601, 0o777] {
        let world = World::new();
        chmod(&world, "executor.key", mode);
        let said = refusal(&world).await;
        let path = world.file("executor.key").display().to_string();
        for needed in [
            format!("mode {mode:04o}"),
            format!("chmod 600 {path}"),
            "keys rotate".to_owned(),
        ] {
            assert!(said.contains(&needed), "{mode:o}: {said}");
        }
        chmod(&world, "executor.key", 0o600);
        assert!(world.try_shell(WHO).await.is_ok(), "mended");
    }
    let world = World::new();
    chmod(&world, "executor.key", 0o400);
    assert!(
        world.try_shell(WHO).await.is_ok(),
        "its owner need not be able to change it"
    );
}

#[tokio::test]
async fn a_list_of_keys_that_others_can_change_is_refused_with_the_chmod_that_mends_it() {
    for mode in [0o664, 0o646, 0o666, 0o622] {
        let world = World::new();
        chmod(&world, "trusted.json", mode);
        let said = refusal(&world).await;
        let mended = format!("chmod 644 {}", world.file("trusted.json").display());
        assert!(said.contains(&mended), "{mode:o}: {said}");
    }
    let world = World::new();
    chmod(&world, "trusted.json", 0o444);
    assert!(world.try_shell(WHO).await.is_ok(), "everybody may read it");
}

#[tokio::test]
async fn keys_that_are_missing_unreadable_or_no_keys_are_refused_and_named() {
    type Spoil = fn(&World);
    let cases: [(&str, &str, Spoil); 9] = [
        ("executor.key", "keys init", |world| {
            std::fs::remove_file(world.file("executor.key")).unwrap();
        }),
        ("trusted.json", "keys init", |world| {
            std::fs::remove_file(world.file("trusted.json")).unwrap();
        }),
        // Whoever runs the tests as root can read anything but a directory.
        ("executor.key", "keys init", |world| {
            std::fs::remove_file(world.file("executor.key")).unwrap();
            std::fs::create_dir(world.file("executor.key")).unwrap();
            chmod(world, "executor.key", 0o700);
        }),
        ("executor.key", "PEM", |world| {
            std::fs::write(world.file("executor.key"), "").unwrap();
        }),
        ("executor.key", "PEM", |world| {
            std::fs::write(world.file("executor.key"), "hunter2").unwrap();
        }),
        ("executor.key", "Ed25519", |world| {
            std::fs::copy(world.file("seal.key"), world.file("executor.key")).unwrap();
        }),
        ("trusted.json", "list of trusted keys", |world| {
            let half = std::fs::read(world.file("trusted.json")).unwrap();
            std::fs::write(world.file("trusted.json"), &half[..half.len() / 2]).unwrap();
        }),
        // Another service's key, and another fleet's.
        ("SERVICE_KEY_FILE", "not listed for `executor`", |world| {
            std::fs::copy(world.file("delivery.key"), world.file("executor.key")).unwrap();
        }),
        ("SERVICE_KEY_FILE", "not listed for `executor`", |world| {
            std::fs::copy(World::new().file("executor.key"), world.file("executor.key")).unwrap();
        }),
    ];
    for (named, why, spoil) in cases {
        let world = World::new();
        spoil(&world);
        let said = refusal(&world).await;
        assert!(
            said.contains(named) && said.contains(why),
            "expected {named}, {why}: {said}"
        );
        assert!(!said.contains("hunter2") && !said.contains("BEGIN"), "{said}");
    }
}
