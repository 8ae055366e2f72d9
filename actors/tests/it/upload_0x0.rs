//! Slots, the line, retries by the clock, uploads that are given up, and faults of every kind.

use crate::{morning, until};
use cdn_actors::{
    domain::clock::ManualClock,
    fakes::{MemoryHost, MemoryUpload, Step},
    ports::{AttemptError, PortError},
    runtime::{CallError, Ticker, TickerHand},
    upload_0x0::{Ending, Refused, Report, RetryPolicy, Upload0x0Config, Uploads0x0},
};
use chrono::TimeDelta;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;

type Outcome = Result<Report, CallError<Refused>>;

struct World {
    host: MemoryHost,
    clock: Arc<ManualClock>,
    hand: TickerHand,
    uploads: Uploads0x0,
}

impl World {
    fn new(max_concurrent: usize, queue: usize) -> Self {
        let clock = Arc::new(ManualClock::at(morning()));
        let config = Upload0x0Config { max_concurrent, queue, policy: RetryPolicy::default() };
        let (ticker, hand) = Ticker::by_hand();
        let uploads = Uploads0x0::start_here(clock.clone(), config, ticker);
        Self { host: MemoryHost::default(), clock, hand, uploads }
    }

    /// Uploads to the end.
    fn uploading(&self, job: Arc<MemoryUpload>) -> JoinHandle<Outcome> {
        let mut upload = self.uploads.begin(job);
        actix::spawn(async move {
            upload.turn().await?;
            upload.report().await
        })
    }

    fn running(&self) -> usize {
        self.uploads.snapshot().running
    }

    fn waiting(&self) -> usize {
        self.uploads.snapshot().waiting
    }

    async fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
        self.hand.tick().await;
    }

    /// Every slot can be taken, and is given back.
    async fn assert_no_slot_is_lost(&self) {
        until(|| self.running() == 0 && self.waiting() == 0 && self.host.inside() == 0).await;
        let slots = self.uploads.snapshot().slots;
        self.host.controls().close("attempt");
        let jobs: Vec<_> = (0..slots).map(|_| self.uploading(self.host.upload(0, []))).collect();
        until(|| self.host.inside() == slots).await;
        assert_eq!((self.running(), self.waiting()), (slots, 0));
        self.host.controls().open("attempt");
        for job in jobs {
            assert_eq!(job.await.unwrap().unwrap().outcome.unwrap().status, 200);
        }
        assert_eq!((self.running(), self.waiting()), (0, 0));
        let snapshot = self.uploads.snapshot();
        assert_eq!((snapshot.actor.queued, snapshot.actor.restarts), (0, 0));
    }
}

fn unreachable() -> Step {
    Step::Fail(AttemptError::Connection("refused".to_owned()))
}

fn slow() -> Step {
    Step::Fail(AttemptError::Timeout("over".to_owned()))
}

#[actix::test]
async fn an_answer_is_passed_on_whatever_it_says_and_not_asked_for_again() {
    let world = World::new(2, 0);
    for status in [200, 302, 400, 413, 500, 503] {
        let job = world.host.upload(5 << 20, [Step::Answer(status)]);
        let report = world.uploading(Arc::clone(&job)).await.unwrap().unwrap();
        assert_eq!(report.outcome.unwrap().status, status);
        assert_eq!((report.attempts, report.limit), (1, Duration::from_secs(120 + 150)));
        assert_eq!(job.limits(), [Duration::from_secs(270)]);
    }
    assert_eq!(world.uploads.snapshot().attempts, 6);
    assert_eq!(world.uploads.snapshot().ended.get(&Ending::Answered), Some(&6));
}

#[actix::test]
async fn a_host_that_is_down_twice_is_asked_again_after_2_and_4_seconds_of_the_clock() {
    let world = World::new(1, 0);
    let job = world.host.upload(0, [unreachable(), slow()]);
    let upload = world.uploading(Arc::clone(&job));
    until(|| job.attempts() == 1 && world.host.inside() == 0).await;
    for (millis, attempts) in [(1_999, 1), (1, 2), (3_999, 2), (1, 3)] {
        world.advance(TimeDelta::milliseconds(millis)).await;
        if attempts > job.attempts() {
            until(|| job.attempts() == attempts && world.host.inside() == 0).await;
        }
        // Whoever is woken too early has had every chance to go on.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(job.attempts(), attempts, "{millis} ms later");
    }
    let report = upload.await.unwrap().unwrap();
    assert_eq!((report.outcome.unwrap().status, report.attempts), (200, 3));
}

#[actix::test]
async fn after_the_last_attempt_the_last_error_is_reported() {
    for (last, ending) in [(unreachable(), Ending::ConnectionError), (slow(), Ending::Timeout)] {
        let world = World::new(1, 0);
        let job = world.host.upload(0, [slow(), unreachable(), last.clone()]);
        let upload = world.uploading(Arc::clone(&job));
        for attempts in 1..3 {
            until(|| job.attempts() == attempts && world.host.inside() == 0).await;
            world.advance(TimeDelta::seconds(4)).await;
        }
        let report = upload.await.unwrap().unwrap();
        assert_eq!(Step::Fail(report.outcome.unwrap_err()), last);
        assert_eq!((report.attempts, job.attempts()), (3, 3));
        let snapshot = world.uploads.snapshot();
        assert_eq!(snapshot.ended.get(&ending), Some(&1));
        assert_eq!((snapshot.failures.len(), snapshot.failures[0].ending), (1, ending));
        assert_eq!((snapshot.failures[0].attempts, snapshot.running), (3, 0));
    }
}

#[actix::test]
async fn what_no_further_attempt_can_mend_is_not_tried_again() {
    let world = World::new(1, 0);
    for error in [
        AttemptError::Answer("no HTTP".to_owned()),
        AttemptError::Source("the sender is gone".to_owned()),
        AttemptError::Failed("a defect".to_owned()),
    ] {
        let job = world.host.upload(0, [Step::Fail(error.clone())]);
        let report = world.uploading(Arc::clone(&job)).await.unwrap().unwrap();
        assert_eq!((report.outcome, report.attempts), (Err(error), 1));
    }
    world.host.controls().fail("prepare", PortError::Full);
    let job = world.host.upload(0, []);
    let report = world.uploading(Arc::clone(&job)).await.unwrap().unwrap();
    assert!(matches!(report.outcome, Err(AttemptError::Source(_))), "{report:?}");
    assert_eq!(job.attempts(), 0);
    world.host.controls().heal();
    world.assert_no_slot_is_lost().await;
}

#[actix::test]
async fn beyond_the_slots_uploads_wait_in_order_and_beyond_the_line_they_are_refused() {
    let world = World::new(2, 2);
    world.host.controls().close("attempt");
    let mut jobs = Vec::new();
    for taken in 1..=4_usize {
        jobs.push(world.uploading(world.host.upload(0, [])));
        until(|| world.running() + world.waiting() == taken).await;
    }
    assert_eq!((world.running(), world.waiting()), (2, 2));
    for _ in 0..3 {
        let refused = world.uploading(world.host.upload(0, [])).await.unwrap();
        assert_eq!(refused, Err(CallError::Domain(Refused::Full)));
    }
    assert_eq!(world.uploads.snapshot().actor.refused, 3);
    world.host.controls().open("attempt");
    for job in jobs {
        assert_eq!(job.await.unwrap().unwrap().attempts, 1);
    }
    assert_eq!(world.host.peak(), 2);
    world.assert_no_slot_is_lost().await;
}

#[actix::test]
async fn an_upload_that_nobody_waits_for_any_more_gives_its_place_to_the_next() {
    let world = World::new(1, 1);
    let running = world.uploading(world.host.upload(0, [Step::Hang]));
    until(|| world.host.inside() == 1).await;
    let waiting = world.uploading(world.host.upload(0, []));
    until(|| world.waiting() == 1).await;
    // One in the line leaves: its place is free at once.
    waiting.abort();
    until(|| world.waiting() == 0).await;
    let next = world.uploading(world.host.upload(0, []));
    until(|| world.waiting() == 1).await;
    // The one that runs leaves: its attempt ends in the middle.
    running.abort();
    assert_eq!(next.await.unwrap().unwrap().outcome.unwrap().status, 200);
    assert_eq!(world.uploads.snapshot().ended.get(&Ending::Gone), Some(&1));
    world.assert_no_slot_is_lost().await;
}

#[actix::test]
async fn an_upload_that_is_given_up_between_two_attempts_is_not_tried_again() {
    let world = World::new(1, 0);
    let job = world.host.upload(0, [unreachable()]);
    let upload = world.uploading(Arc::clone(&job));
    until(|| job.attempts() == 1 && world.host.inside() == 0).await;
    upload.abort();
    until(|| world.running() == 0).await;
    world.advance(TimeDelta::seconds(60)).await;
    world.assert_no_slot_is_lost().await;
    assert_eq!(job.attempts(), 1);
}

#[actix::test]
async fn a_panic_in_an_attempt_ends_that_upload_only() {
    let world = World::new(2, 0);
    let other = world.uploading(world.host.upload(0, [Step::Hang]));
    until(|| world.host.inside() == 1).await;
    let report = world.uploading(world.host.upload(0, [Step::Panic])).await.unwrap().unwrap();
    assert!(matches!(report.outcome, Err(AttemptError::Failed(_))), "{report:?}");
    assert_eq!((world.running(), world.host.inside()), (1, 1));
    other.abort();
    world.assert_no_slot_is_lost().await;
}

#[actix::test]
async fn more_slots_let_the_waiting_in_and_fewer_let_the_running_finish() {
    let world = World::new(1, 8);
    world.host.controls().close("attempt");
    let jobs: Vec<_> = (0..5).map(|_| world.uploading(world.host.upload(0, []))).collect();
    until(|| world.running() == 1 && world.waiting() == 4).await;
    world.uploads.resize(4);
    until(|| world.host.inside() == 4).await;
    assert_eq!((world.running(), world.waiting()), (4, 1));
    world.uploads.resize(2);
    let late = world.uploading(world.host.upload(0, []));
    until(|| world.waiting() == 2).await;
    assert_eq!(world.host.inside(), 4, "nobody was thrown out");
    world.host.controls().open("attempt");
    for job in jobs.into_iter().chain([late]) {
        assert_eq!(job.await.unwrap().unwrap().outcome.unwrap().status, 200);
    }
    assert_eq!(world.host.peak(), 4);
    world.assert_no_slot_is_lost().await;
}

#[actix::test]
async fn stopping_waits_for_the_running_and_takes_no_more() {
    let world = World::new(1, 1);
    world.host.controls().close("attempt");
    let running = world.uploading(world.host.upload(0, []));
    until(|| world.host.inside() == 1).await;
    let uploads = world.uploads.clone();
    let stopping = actix::spawn(async move { uploads.stop(Duration::from_secs(60)).await });
    tokio::task::yield_now().await;
    let late = world.uploading(world.host.upload(0, [])).await.unwrap();
    assert_eq!(late, Err(CallError::Stopped));
    assert!(!stopping.is_finished());
    world.host.controls().open("attempt");
    assert_eq!(running.await.unwrap().unwrap().outcome.unwrap().status, 200);
    assert!(stopping.await.unwrap());
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }

    fn step(&mut self) -> Step {
        match self.below(6) {
            0 => unreachable(),
            1 => slow(),
            2 => Step::Fail(AttemptError::Answer("cut off".to_owned())),
            3 => Step::Panic,
            4 => Step::Hang,
            _ => Step::Answer(200),
        }
    }
}

#[actix::test]
async fn no_slot_is_lost_and_no_success_is_made_up_in_a_thousand_random_faults() {
    // The panics are told to happen; their messages would bury everything else.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&"told to panic") {
            hook(info);
        }
    }));
    for seed in 1..=4 {
        let (mut random, world) = (Random(seed), World::new(5, 10));
        let mut uploads = Vec::new();
        let mut faults = 0;
        while faults < 1_000 {
            let script: Vec<_> = (0..3).map(|_| random.step()).collect();
            faults += script.iter().filter(|step| **step != Step::Answer(200)).count();
            uploads.push((script.clone(), world.uploading(world.host.upload(0, script))));
            for _ in 0..random.below(20) {
                tokio::task::yield_now().await;
            }
            if random.below(3) == 0 {
                world.advance(TimeDelta::seconds(5)).await;
            }
            if random.below(4) == 0 {
                let chosen = usize::try_from(random.below(uploads.len() as u64)).unwrap();
                uploads[chosen].1.abort();
            }
            if random.below(50) == 0 {
                world.uploads.resize(1 + usize::try_from(random.below(8)).unwrap());
            }
        }
        for (script, upload) in uploads {
            // Those that hang end when they are given up; all others by themselves.
            while !upload.is_finished() && script.contains(&Step::Hang) {
                upload.abort();
                tokio::task::yield_now().await;
            }
            while !upload.is_finished() {
                world.advance(TimeDelta::seconds(5)).await;
                tokio::task::yield_now().await;
            }
            if let Ok(Ok(Report { outcome: Ok(_), attempts, .. })) = upload.await {
                let confirmed = script.get(attempts as usize - 1);
                assert_eq!(confirmed, Some(&Step::Answer(200)), "seed {seed}: {script:?}");
            }
        }
        world.assert_no_slot_is_lost().await;
    }
}
