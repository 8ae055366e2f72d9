//! Sweeps, the lease, the guard against a jumping clock, and heartbeats.

use crate::{morning, until};
use cdn_actors::{
    domain::clock::{Clock, ManualClock},
    fakes::MemoryCustodian,
    janitor::{EndedEarly, Janitor, JanitorConfig, JanitorError, Step, StepFailure, SweepReport},
    ports::{DueTrash, PortError, Purged},
    runtime::{CallError, Ticker, TickerHand},
};
use chrono::TimeDelta;
use std::{sync::Arc, time::Duration};

struct World {
    custodian: MemoryCustodian,
    clock: Arc<ManualClock>,
    beat: TickerHand,
    sweep: TickerHand,
    janitor: Janitor,
}

impl World {
    fn new() -> Self {
        let custodian = MemoryCustodian::default();
        let clock = Arc::new(ManualClock::at(morning()));
        let config = JanitorConfig { batch: 10, ..JanitorConfig::default() };
        let (beats, beat) = Ticker::by_hand();
        let (sweeps, sweep) = Ticker::by_hand();
        let janitor =
            Janitor::start_ticked(Arc::new(custodian.clone()), clock.clone(), config, beats, sweeps);
        Self { custodian, clock, beat, sweep, janitor }
    }

    fn calls(&self, operation: &'static str) -> usize {
        self.custodian.controls().calls(operation)
    }

    fn sweeping(&self, force: bool) -> tokio::task::JoinHandle<Result<SweepReport, CallError<JanitorError>>> {
        let janitor = self.janitor.clone();
        actix::spawn(async move { janitor.sweep_now(force).await })
    }
}

fn away() -> PortError {
    PortError::Unavailable("away".to_owned())
}

#[actix::test]
async fn a_sweep_does_everything_in_batches_and_reports_the_counts() {
    let world = World::new();
    world.custodian.put_trash(25, 100);
    world.custodian.put_blobs(20);
    world.custodian.put_dead(3);
    world.custodian.put_expired(11);
    let report = world.janitor.sweep_now(false).await.unwrap();
    let expected = SweepReport {
        leased: true,
        reclaimed: 3,
        purged: Purged { items: 25, bytes: 250 },
        blobs: 20,
        cleared: 11,
        ..SweepReport::default()
    };
    assert_eq!(report, expected);
    assert_eq!(world.calls("purge_trash"), 3);
    assert_eq!(world.calls("collect_blobs"), 3, "a full batch is followed by another look");
    assert_eq!(world.custodian.trash(), 100);
    assert!(!world.custodian.leased(), "the lease is given up");
    assert_eq!(world.janitor.snapshot().last_report, Some(expected));
    assert_eq!(world.janitor.snapshot().last_sweep, Some(morning()));
}

#[actix::test]
async fn without_the_lease_nothing_is_touched() {
    let world = World::new();
    world.custodian.put_trash(5, 5);
    world.custodian.lease_elsewhere(true);
    let report = world.janitor.sweep_now(true).await.unwrap();
    assert_eq!(report, SweepReport::default());
    assert_eq!((world.custodian.trash(), world.calls("reclaim_dead")), (10, 0));
    assert_eq!(world.janitor.snapshot().last_sweep, None);
}

#[actix::test]
async fn a_lease_lost_in_the_middle_ends_the_sweep() {
    let world = World::new();
    world.custodian.put_trash(50, 0);
    world.custodian.controls().close("purge_trash");
    let sweep = world.sweeping(false);
    world.custodian.controls().held("purge_trash").await;
    world.custodian.lease_elsewhere(true);
    world.custodian.controls().open("purge_trash");
    let report = sweep.await.unwrap().unwrap();
    assert_eq!(report.ended_early, Some(EndedEarly::LeaseLost));
    assert_eq!((report.purged.items, world.calls("collect_blobs")), (10, 0));
}

#[test]
fn unusual_is_more_than_a_thousand_and_more_than_half_of_the_trash() {
    let config = JanitorConfig::default();
    let unusual = |due, total| config.is_unusual(DueTrash { due, total });
    assert!(unusual(1_001, 2_001));
    assert!(!unusual(1_001, 2_002), "exactly half");
    assert!(!unusual(1_000, 1_000), "too few to matter");
    assert!(unusual(u64::MAX, u64::MAX));
    assert!(!unusual(0, 0));
}

#[actix::test]
async fn an_unusual_amount_of_due_trash_is_held_back_and_the_rest_is_swept() {
    let world = World::new();
    world.custodian.put_trash(1_500, 10);
    world.custodian.put_expired(1);
    let report = world.janitor.sweep_now(false).await.unwrap();
    assert_eq!((report.held_back, report.purged.items, report.cleared), (1_500, 0, 1));
    assert_eq!((world.custodian.trash(), world.calls("purge_trash")), (1_510, 0));
}

#[actix::test]
async fn a_forced_sweep_purges_also_an_unusual_amount() {
    let world = World::new();
    world.custodian.put_trash(1_500, 10);
    let report = world.janitor.sweep_now(true).await.unwrap();
    assert_eq!((report.held_back, report.purged.items), (0, 1_500));
    assert_eq!(world.custodian.trash(), 10);
}

#[actix::test]
async fn what_becomes_due_after_the_count_is_left_to_the_next_sweep() {
    let world = World::new();
    let soon = morning() + TimeDelta::seconds(1);
    world.custodian.put_trash_due_at(morning(), 5);
    world.custodian.put_trash_due_at(soon, 1_500);
    world.custodian.controls().close("due");
    let sweep = world.sweeping(false);
    world.custodian.controls().held("due").await;
    world.clock.advance(TimeDelta::seconds(2));
    world.custodian.controls().open("due");
    let report = sweep.await.unwrap().unwrap();
    assert_eq!((report.held_back, report.purged.items), (0, 5), "nobody counted what came due later");
    let report = world.janitor.sweep_now(false).await.unwrap();
    assert_eq!((report.held_back, report.purged.items), (1_500, 0));
    assert_eq!(world.custodian.trash(), 1_500);
}

#[actix::test]
async fn trash_that_can_not_be_counted_is_not_purged() {
    let world = World::new();
    world.custodian.put_trash(5, 5);
    world.custodian.controls().fail("due", away());
    let report = world.janitor.sweep_now(false).await.unwrap();
    assert_eq!(report.failures, [StepFailure { step: Step::CountTrash, error: away() }]);
    assert_eq!(world.calls("purge_trash"), 0);
}

#[actix::test]
async fn a_failing_step_is_reported_and_the_others_go_on() {
    let world = World::new();
    world.custodian.put_trash(5, 5);
    world.custodian.put_blobs(4);
    world.custodian.controls().fail("purge_trash", away());
    let report = world.janitor.sweep_now(false).await.unwrap();
    assert_eq!(report.failures, [StepFailure { step: Step::PurgeTrash, error: away() }]);
    assert_eq!((report.purged.items, report.blobs), (0, 4));
    world.custodian.controls().heal();
    assert_eq!(world.janitor.sweep_now(false).await.unwrap().purged.items, 5);
    assert_eq!(world.janitor.snapshot().actor.restarts, 0);
}

#[actix::test]
async fn a_database_that_is_away_is_an_error_and_the_next_sweep_works() {
    let world = World::new();
    world.custodian.controls().fail("acquire_lease", away());
    let error = world.janitor.sweep_now(false).await.unwrap_err();
    assert_eq!(error, CallError::Domain(JanitorError::Lease(away())));
    world.custodian.controls().heal();
    assert!(world.janitor.sweep_now(false).await.unwrap().leased);
}

#[actix::test]
async fn a_panic_in_a_step_is_survived() {
    let world = World::new();
    world.custodian.put_trash(5, 5);
    world.custodian.controls().panic_once("purge_trash");
    let report = world.janitor.sweep_now(false).await.expect("asked again after the restart");
    assert_eq!(report.purged.items, 5);
    assert_eq!(world.janitor.snapshot().actor.restarts, 1);
}

#[actix::test]
async fn a_step_that_hangs_is_given_up() {
    tokio::time::pause();
    let world = World::new();
    world.custodian.put_expired(1);
    world.custodian.controls().close("collect_blobs");
    let report = world.janitor.sweep_now(false).await.unwrap();
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.cleared, 1);
}

#[actix::test]
async fn heartbeats_go_on_during_a_long_sweep() {
    let world = World::new();
    world.custodian.put_trash(5, 5);
    world.custodian.controls().close("purge_trash");
    let sweep = world.sweeping(false);
    world.custodian.controls().held("purge_trash").await;
    world.clock.advance(TimeDelta::seconds(10));
    world.beat.tick().await;
    assert_eq!(world.custodian.last_heartbeat(), Some(world.clock.now()));
    assert!(!sweep.is_finished());
    world.custodian.controls().open("purge_trash");
    assert_eq!(sweep.await.unwrap().unwrap().purged.items, 5);
}

#[actix::test]
async fn a_missed_heartbeat_is_counted_and_the_next_one_gets_through() {
    let world = World::new();
    world.custodian.controls().fail("heartbeat", away());
    world.beat.tick().await;
    world.custodian.controls().heal();
    world.beat.tick().await;
    let snapshot = world.janitor.snapshot();
    assert_eq!((snapshot.heartbeats, snapshot.missed_heartbeats), (1, 1));
}

#[actix::test]
async fn a_tick_sweeps() {
    let world = World::new();
    world.custodian.put_trash(5, 5);
    world.sweep.tick().await;
    assert_eq!(world.custodian.trash(), 5);
}

#[actix::test]
async fn who_asks_during_a_sweep_gets_the_next_one() {
    let world = World::new();
    world.custodian.put_trash(1_500, 0);
    world.custodian.controls().close("collect_blobs");
    let first = world.sweeping(false);
    world.custodian.controls().held("collect_blobs").await;
    let second = world.sweeping(true);
    until(|| world.janitor.snapshot().actor.queued == 2).await;
    world.custodian.controls().open("collect_blobs");
    assert_eq!(first.await.unwrap().unwrap().held_back, 1_500);
    assert_eq!(second.await.unwrap().unwrap().purged.items, 1_500);
}

#[actix::test]
async fn stopping_ends_a_running_sweep_after_its_batch() {
    let world = World::new();
    world.custodian.put_trash(50, 0);
    world.custodian.controls().close("purge_trash");
    let sweep = world.sweeping(false);
    world.custodian.controls().held("purge_trash").await;
    let janitor = world.janitor.clone();
    let stop = actix::spawn(async move { janitor.stop(Duration::from_secs(5)).await });
    tokio::task::yield_now().await;
    world.custodian.controls().open("purge_trash");
    let report = sweep.await.unwrap().unwrap();
    assert_eq!((report.ended_early, report.purged.items), (Some(EndedEarly::Stopping), 10));
    assert!(stop.await.unwrap());
    assert!(!world.custodian.leased());
    assert_eq!(world.janitor.sweep_now(false).await.unwrap_err(), CallError::Stopped);
}
