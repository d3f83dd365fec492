//! A seal key that is not fit: delivery does not start, and says how to mend it.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use launcher::testing::exit_of;

use crate::house::House;

/// Settings or the files that they name are bad: nothing gets better by starting again.
const UNFIT: Option<i32> = Some(2);
const FILE: &str = "seal.key";

impl House {
    /// What the person reads who tries to start it.
    async fn refused_start(&self) -> String {
        let settings = self.settings_map(&[]);
        let (code, said) = exit_of(env!("CARGO_BIN_EXE_delivery"), &settings).await;
        assert_eq!(code, UNFIT, "{said}");
        let path = self.key_file(FILE).display().to_string();
        assert!(said.starts_with("delivery: cannot start: "), "{said}");
        assert!(said.contains(&path), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("BEGIN"), "{said}");
        said
    }

    fn chmod(&self, mode: u32) {
        std::fs::set_permissions(self.key_file(FILE), Permissions::from_mode(mode)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_key_that_others_can_read_is_refused_with_the_chmod_that_mends_it() {
    let house = House::new().await;
    for mode in [0o644, 0o640, 0o604, 0o660, 0o777] {
        house.chmod(mode);
        let said = house.refused_start().await;
        for needed in [
            format!("mode {mode:04o}"),
            format!("chmod 600 {}", house.key_file(FILE).display()),
            "firstline keys rotate".to_owned(),
        ] {
            assert!(said.contains(&needed), "{mode:o}: {said}");
        }
    }
    // Mended, it starts and opens what is sealed to it.
    house.chmod(0o600);
    let running = house.run();
    crate::house::pending(house.ask(&running, &house.request()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_key_that_is_missing_unreadable_or_no_seal_key_is_refused_and_named() {
    type Spoil = fn(&House);
    let cases: [(&str, Spoil); 6] = [
        ("firstline keys init", |house| {
            std::fs::remove_file(house.key_file(FILE)).unwrap();
        }),
        // Whoever runs the tests as root can read anything but a directory.
        ("firstline keys init", |house| {
            std::fs::create_dir(house.key_file(FILE)).unwrap();
            house.chmod(0o700);
        }),
        ("`PRIVATE KEY`", |house| {
            std::fs::remove_dir(house.key_file(FILE)).unwrap();
            std::fs::write(house.key_file(FILE), "").unwrap();
            house.chmod(0o600);
        }),
        ("`PRIVATE KEY`", |house| {
            std::fs::write(house.key_file(FILE), "hunter2").unwrap();
        }),
        ("`PRIVATE KEY`", |house| {
            std::fs::write(house.key_file(FILE), house.read_key("seal.pub")).unwrap();
        }),
        // A key to sign with opens nothing.
        ("X25519", |house| {
            std::fs::write(house.key_file(FILE), house.read_key("delivery.key")).unwrap();
        }),
    ];
    let house = House::new().await;
    for (why, spoil) in cases {
        spoil(&house);
        let said = house.refused_start().await;
        assert!(said.contains(why), "expected {why}: {said}");
        assert!(said.contains("firstline keys init"), "how to mend it: {said}");
    }
}
