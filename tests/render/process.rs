//! The process is replaced when it is gone, whatever ended it, and ends with its owner.

use crate::support::*;
use hackclub_cdn::media::render::{RenderError, RenderLimits, RenderWorker};
use image::ImageFormat;
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

fn sound() -> Vec<u8> {
    encoded(quarters(64, 48), ImageFormat::Png)
}

async fn assert_usable(worker: &mut RenderWorker) {
    let done = render_by(worker, &sound(), &[webp(32)]).await.expect("a rendition");
    assert_quarters(&picture(&done.renditions[0]));
}

fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{name} {process}");
}

/// The state letter of a process (proc(5)); none when there is no such process.
fn state(process: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: not within 30 s");
}

#[tokio::test]
async fn one_process_serves_many_jobs() {
    let mut worker = worker();
    assert_eq!(worker.child_id(), None);
    assert_usable(&mut worker).await;
    let first = worker.child_id().expect("a process");
    assert_usable(&mut worker).await;
    assert_eq!(worker.child_id(), Some(first));
}

/// Takes minutes: tens of thousands of shapes, each over the whole picture and through a filter.
fn slow() -> Vec<u8> {
    let shape = "<rect width='1600' height='1600' filter='url(#f)' opacity='0.5'/>";
    let filter = "<defs><filter id='f'><feGaussianBlur stdDeviation='30'/></filter></defs>";
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='1600' height='1600'>{filter}{}</svg>",
        shape.repeat(20_000)
    )
    .into_bytes()
}

/// Waits until the process has begun to work.
async fn works(process: u32, before: Duration) {
    eventually("it works", || processor_time(process) > before + Duration::from_millis(50)).await;
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_job_fails_that_job_only() {
    let mut worker = worker();
    assert_usable(&mut worker).await;
    let process = worker.child_id().expect("a process");
    let before = processor_time(process);
    let (source, outputs) = (slow(), [webp(1600)]);
    let (outcome, ()) = tokio::join!(render_by(&mut worker, &source, &outputs), async {
        works(process, before).await;
        signal("KILL", process);
    });
    assert_eq!(outcome, Err(RenderError::Crashed));
    assert!(!RenderError::Crashed.is_permanent());
    assert_usable(&mut worker).await;
    assert_ne!(worker.child_id(), Some(process));
}

#[tokio::test]
async fn a_process_that_died_between_two_jobs_costs_none() {
    let mut worker = worker();
    assert_usable(&mut worker).await;
    let process = worker.child_id().expect("a process");
    signal("KILL", process);
    eventually("it is dead", || matches!(state(process), None | Some('Z'))).await;
    assert_usable(&mut worker).await;
}

#[tokio::test]
async fn a_stuck_process_is_ended_at_the_wall_time() {
    let mut worker = worker_with(RenderLimits { wall_time: Duration::from_secs(8), ..limits() });
    assert_usable(&mut worker).await;
    let process = worker.child_id().expect("a process");
    signal("STOP", process);
    assert_eq!(render_by(&mut worker, &sound(), &[webp(32)]).await, Err(RenderError::TimedOut));
    assert_eq!(worker.child_id(), None);
    eventually("it is gone", || matches!(state(process), None | Some('Z'))).await;
}

#[tokio::test]
async fn a_dropped_job_takes_its_process_along() {
    let mut worker = worker();
    assert_usable(&mut worker).await;
    let process = worker.child_id().expect("a process");
    let before = processor_time(process);
    let (source, outputs) = (slow(), [webp(1600)]);
    tokio::select! {
        outcome = render_by(&mut worker, &source, &outputs) => panic!("{outcome:?}"),
        () = works(process, before) => {}
    }
    eventually("it is gone", || matches!(state(process), None | Some('Z'))).await;
    assert_usable(&mut worker).await;
}

#[tokio::test]
async fn a_dropped_worker_leaves_no_process() {
    let mut worker = worker();
    assert_usable(&mut worker).await;
    let process = worker.child_id().expect("a process");
    drop(worker);
    eventually("it is gone", || matches!(state(process), None | Some('Z'))).await;
}

#[tokio::test]
async fn a_killed_server_leaves_no_process() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::as_the_owner_of_a_worker", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let process: u32 = lines
        .find_map(|line| line.unwrap().strip_prefix("process ")?.parse().ok())
        .expect("the owner says it");
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("it is gone", || matches!(state(process), None | Some('Z'))).await;
}

#[tokio::test]
#[ignore = "run by a_killed_server_leaves_no_process, which kills it"]
async fn as_the_owner_of_a_worker() {
    let mut worker = worker();
    assert_usable(&mut worker).await;
    println!("\nprocess {}", worker.child_id().expect("a process"));
    // In the middle of a job, as a server is.
    let _never = render_by(&mut worker, &slow(), &[webp(1600)]).await;
}

#[tokio::test]
async fn a_decoder_that_needs_too_much_memory_is_told_so() {
    // Room for the program itself, and for little more.
    let mut worker = worker_with(RenderLimits { address_space: 160 << 20, ..limits() });
    let mut large = encoded(quarters(8, 8), ImageFormat::Bmp);
    let [low, high, ..] = 7000_u32.to_le_bytes();
    large[18..26].copy_from_slice(&[low, high, 0, 0, low, high, 0, 0]);
    let outcome = render_by(&mut worker, &large, &[webp(32)]).await;
    assert_eq!(outcome, Err(RenderError::OutOfMemory));
    assert_usable(&mut worker).await;
}

#[tokio::test]
async fn a_decoder_that_never_ends_is_stopped_by_its_processor_time() {
    let mut worker = worker_with(RenderLimits { cpu_time: Duration::from_secs(1), ..limits() });
    assert_usable(&mut worker).await;
    assert_eq!(render_by(&mut worker, &slow(), &[webp(1600)]).await, Err(RenderError::TimedOut));
    assert_usable(&mut worker).await;
}

#[tokio::test]
async fn processor_time_is_counted_for_each_job_anew() {
    let mut worker = worker_with(RenderLimits { cpu_time: Duration::from_secs(2), ..limits() });
    let source = encoded(quarters(600, 600), ImageFormat::Png);
    let mut used = Duration::ZERO;
    // Until its jobs have taken more in total than one may.
    while used < Duration::from_secs(5) {
        render_by(&mut worker, &source, &[webp(600)]).await.expect("a rendition");
        used = processor_time(worker.child_id().expect("the same process"));
    }
}

/// User and system time of a process so far (proc(5): fields 14 and 15, in hundredths of a second).
fn processor_time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("a process");
    let fields = stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2);
    Duration::from_millis(fields.map(|field| field.parse::<u64>().unwrap() * 10).sum())
}

#[tokio::test]
async fn a_program_that_is_none_makes_the_worker_unavailable_and_nothing_worse() {
    let mut worker = RenderWorker::new(limits()).with_program("/does/not/exist");
    assert_eq!(render_by(&mut worker, &sound(), &[webp(32)]).await, Err(RenderError::Unavailable));
    let mut worker = RenderWorker::new(limits()).with_program("/bin/true");
    assert_eq!(render_by(&mut worker, &sound(), &[webp(32)]).await, Err(RenderError::Unavailable));
}
