//! `process`: queues files for thumbnails again, in batches.

use super::{Failure, with_services};
use hackclub_cdn::{config::Config, service::processing::Requeued};
use indicatif::{ProgressBar, ProgressStyle};
use std::{io::IsTerminal, time::Duration};

/// Files between two lines of a log.
const LINE_EVERY: u64 = 50_000;

pub async fn run(config: Config, only_missing: bool) -> Result<(), Failure> {
    let done = with_services(config, async move |services| {
        let total = services.count_requeue_candidates().await?;
        let mut progress = Progress::new(total);
        let mut done = Requeued::default();
        while let Some(further) = services.requeue(done, !only_missing).await? {
            done = further;
            progress.show(done);
        }
        progress.finish();
        Ok(done)
    })
    .await?;
    println!("{} files looked at, {} jobs queued", done.files, done.jobs);
    Ok(())
}

/// A bar on a terminal; a line now and then anywhere else.
enum Progress {
    Bar(ProgressBar),
    Lines { next: u64 },
}

impl Progress {
    fn new(total: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { next: LINE_EVERY };
        }
        let bar = ProgressBar::new(total);
        // The template is a constant that is known to be one; a plain bar would do as well.
        if let Ok(style) =
            ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} files, {msg} jobs, {eta} left")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self::Bar(bar)
    }

    fn show(&mut self, done: Requeued) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(done.files);
                bar.set_message(done.jobs.to_string());
            }
            Self::Lines { next } if done.files >= *next => {
                eprintln!("{} files looked at, {} jobs queued so far", done.files, done.jobs);
                *next = done.files + LINE_EVERY;
            }
            Self::Lines { .. } => {}
        }
    }

    fn finish(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
