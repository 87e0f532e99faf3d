//! `seawall jobs`.

use seawall_api::units::HumanBytes;
use seawall_api::v1::{Job, JobState, Jobs};

use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{answer, moment, table};

pub(crate) async fn jobs(context: &Context, stop: Option<(String, String)>) -> Result<(), Failure> {
    if let Some((kind, subject)) = stop {
        context.registry.stop_job(&kind, &subject).await?;
    }
    let jobs = context.registry.jobs().await?;
    answer(context.style, &jobs, text)
}

fn text(jobs: &Jobs) -> String {
    if jobs.jobs.is_empty() {
        return "there have been no jobs\n".to_owned();
    }
    let headings = ["JOB", "STATE", "STARTED", "DONE", "LAST COMPLETE", "FAILURE"];
    table(&headings, jobs.jobs.iter().map(row))
}

fn row(job: &Job) -> Vec<String> {
    let name = match &*job.subject {
        "" => job.kind.clone(),
        subject => format!("{}/{subject}", job.kind),
    };
    let state = match job.state {
        JobState::Running => "running",
        JobState::Interrupted => "interrupted",
        JobState::Stopped => "stopped",
        JobState::Failed => "failed",
        JobState::Complete => "complete",
    };
    vec![
        name,
        state.to_owned(),
        moment(job.started_at_secs),
        done(job),
        job.last_complete_at_secs.map_or_else(|| "never".to_owned(), moment),
        job.failure.clone().unwrap_or_default(),
    ]
}

/// Returns the progress of a job, in the unit of its work.
fn done(job: &Job) -> String {
    match (job.total_bytes, job.objects) {
        (0, 0) => String::new(),
        (0, count) => count.to_string(),
        (total, _) => format!("{} of {}", HumanBytes(job.bytes), HumanBytes(total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_listed_a_line_each_with_their_progress() {
        let job = |kind: &str, subject: &str, state, bytes| Job {
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            state,
            started_at_secs: 0,
            seen_at_secs: None,
            ended_at_secs: None,
            objects: 7,
            bytes,
            total_bytes: 2 * bytes,
            failure: None,
            last_complete_at_secs: None,
        };
        let jobs = vec![
            job("backup", "", JobState::Running, 1 << 20),
            job("retention", "team/shop", JobState::Stopped, 0),
        ];
        let text = text(&Jobs { jobs });
        let lines: Vec<Vec<_>> =
            text.lines().map(|line| line.split("  ").map(str::trim).collect()).collect();
        for (line, words) in [
            (1, ["backup", "running", "1.0 MiB of 2.0 MiB", "never"]),
            (2, ["retention/team/shop", "stopped", "7", "never"]),
        ] {
            assert!(words.iter().all(|word| lines[line].contains(word)), "{text}");
        }
    }
}
