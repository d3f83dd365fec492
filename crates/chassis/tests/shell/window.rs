//! A limit that replicas share, on a real Redis.

use std::sync::Arc;
use std::time::Duration;

use common::Service;
use common::window::{RollingWindow, Taken};

use crate::world::World;

const LENGTH: Duration = Duration::from_mins(5);

#[tokio::test]
async fn replicas_of_any_service_count_in_one_window() {
    let (world, database) = (World::new(), launcher::testing::database().await);
    let mut windows: Vec<Arc<dyn RollingWindow>> = vec![];
    for service in [
        Service::Classifier,
        Service::Orchestration,
        Service::Orchestration,
    ] {
        let shell = world.grounded(service, &database).await;
        windows.push(shell.rolling_window("halopsa", 3, LENGTH));
    }
    for window in &windows {
        assert_eq!(window.take().await, Some(Taken::Counted));
    }
    for window in &windows {
        let Some(Taken::Full { wait }) = window.take().await else {
            panic!("there were three");
        };
        assert!(wait > LENGTH / 2 && wait <= LENGTH, "{wait:?}");
    }
    let shell = world.grounded(Service::Classifier, &database).await;
    let other = shell.rolling_window("another system", 3, LENGTH);
    assert_eq!(other.take().await, Some(Taken::Counted));
    world.shutdown.cancel();
}

#[tokio::test]
async fn a_call_counts_for_as_long_as_the_window_is() {
    let (world, database) = (World::new(), launcher::testing::database().await);
    let shell = world.grounded(Service::Classifier, &database).await;
    let window = shell.rolling_window("halopsa", 1, Duration::from_millis(300));
    assert_eq!(window.take().await, Some(Taken::Counted));
    let Some(Taken::Full { wait }) = window.take().await else {
        panic!("it is full");
    };
    tokio::time::sleep(wait).await;
    assert_eq!(window.take().await, Some(Taken::Counted));
    world.shutdown.cancel();
}

#[tokio::test]
async fn without_redis_nobody_can_tell() {
    let world = World::new();
    let shell = world.shell(Service::Classifier, None).await;
    assert_eq!(shell.rolling_window("halopsa", 1, LENGTH).take().await, None);
}
