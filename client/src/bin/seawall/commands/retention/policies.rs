//! `seawall retention show|set|plan|apply`.

use seawall::registry::RegistryError;
use seawall_api::names::ApplicationName;
use seawall_api::units::HumanBytes;
use seawall_api::v1::{
    ApplyRetention, Fate, Policies, Policy, RetentionOutcome, RetentionPlan, RetentionPolicy,
};
use serde::Serialize;

use crate::command::SetPolicy;
use crate::commands::Context;
use crate::commands::maintenance::collect;
use crate::failure::Failure;
use crate::output::{Style, answer, count, moment, print, table};

pub(super) async fn show(context: &Context, application: &ApplicationName) -> Result<(), Failure> {
    let policies = context.registry.policies(application).await?;
    answer(context.style, &policies, |policies| policies_text(application, policies))
}

pub(super) async fn set(context: &Context, set: &SetPolicy) -> Result<(), Failure> {
    let SetPolicy { application, channel, policy } = set;
    let policy = context.registry.set_policy(application, channel.as_ref(), policy).await?;
    answer(context.style, &policy, |policy| set_text(application, policy))
}

pub(super) async fn plan(context: &Context, application: &ApplicationName) -> Result<(), Failure> {
    let plan = context.registry.retention_plan(application).await?;
    answer(context.style, &plan, plan_text)
}

pub(super) async fn apply(context: &Context, application: &ApplicationName) -> Result<(), Failure> {
    let plan = context.registry.retention_plan(application).await?;
    let going = plan.verdicts.iter().filter(|verdict| verdict.fate == Fate::Goes);
    // Releases that become deletable only after the plan was made are excluded, since the user has
    // not seen them.
    let order = ApplyRetention { releases: Some(going.map(|verdict| verdict.digest).collect()) };
    let outcome = context.registry.apply_retention(application, &order).await?;
    if context.style == Style::Text {
        // Printed first, because collecting takes time and may fail.
        print(&outcome_text(application, &outcome))?;
    }
    let freed = match outcome.deleted.is_empty() {
        true => Ok(None),
        false => collect::freed(&context.registry).await,
    };
    let has_deleted = !outcome.deleted.is_empty();
    let failed = outcome.error.clone();
    let freed_bytes = freed.as_ref().ok().copied().flatten();
    match context.style {
        Style::Text if has_deleted && freed.is_ok() => print(&freed_text(freed_bytes))?,
        Style::Text => {}
        Style::Json(_) => {
            answer(context.style, &Applied { outcome, freed_bytes }, |_| String::new())?;
        }
    }
    match failed {
        Some(problem) => Err(RegistryError::from(problem).into()),
        None => freed.map(drop),
    }
}

/// The outcome of applying a plan, including the collection.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Applied {
    #[serde(flatten)]
    outcome: RetentionOutcome,
    /// The bytes freed; absent while the collection waits for older leases.
    #[serde(skip_serializing_if = "Option::is_none")]
    freed_bytes: Option<u64>,
}

fn policies_text(application: &ApplicationName, policies: &Policies) -> String {
    if policies.policies.is_empty() {
        return format!("{application} has no policy: nothing is deleted\n");
    }
    let rows = policies.policies.iter().map(|set| {
        let by = if set.set_by.is_empty() { "-".to_owned() } else { set.set_by.clone() };
        vec![scope(set), rules(&set.policy), moment(set.set_at_secs), by]
    });
    table(&["FOR", "KEEPS", "SET", "BY"], rows)
}

fn set_text(application: &ApplicationName, set: &Policy) -> String {
    let of = match &set.channel {
        None => application.to_string(),
        Some(channel) => format!("{application}:{channel}"),
    };
    if set.policy == RetentionPolicy::default() {
        return format!("{of} has no policy now\n");
    }
    format!(
        "{of} keeps {}; `seawall retention plan {application}` shows the effect\n",
        rules(&set.policy)
    )
}

fn scope(set: &Policy) -> String {
    set.channel.as_ref().map_or("application".to_owned(), |channel| format!("channel {channel}"))
}

fn rules(policy: &RetentionPolicy) -> String {
    let mut rules = Vec::new();
    rules.extend(policy.keep_last.map(|count| format!("the last {count}")));
    rules.extend(policy.keep_last_prereleases.map(|n| format!("the last {n} prereleases")));
    rules.extend(policy.keep_younger_secs.map(|secs| format!("younger than {}", time(secs))));
    let left = policy.keep_superseded_secs;
    rules.extend(left.map(|secs| format!("left by a channel less than {} ago", time(secs))));
    let silent = policy.keep_expired_hosts_secs;
    rules.extend(silent.map(|secs| format!("on hosts silent for less than {}", time(secs))));
    rules.join(", ")
}

fn time(secs: u64) -> String {
    match secs {
        0 => "0s".to_owned(),
        secs if secs.is_multiple_of(24 * 3600) => format!("{}d", secs / (24 * 3600)),
        secs if secs.is_multiple_of(3600) => format!("{}h", secs / 3600),
        secs => format!("{secs}s"),
    }
}

fn plan_text(plan: &RetentionPlan) -> String {
    let rows = plan.verdicts.iter().map(|verdict| {
        let fate = match verdict.fate {
            Fate::Stays => "stays",
            Fate::Goes => "GOES",
        };
        vec![verdict.version.to_string(), fate.to_owned(), verdict.reasons.join("; ")]
    });
    let going = plan.verdicts.iter().filter(|verdict| verdict.fate == Fate::Goes).count();
    let of = count(plan.verdicts.len() as u64, "release");
    let mut text = table(&["VERSION", "FATE", "WHY"], rows);
    text += &format!("\n{going} of {of} would be deleted");
    match plan.freed_bytes {
        Some(bytes) => text += &format!(", which frees {} ({bytes} bytes)\n", HumanBytes(bytes)),
        None => text += "\n",
    }
    text
}

fn outcome_text(application: &ApplicationName, outcome: &RetentionOutcome) -> String {
    let mut text = String::new();
    for release in &outcome.deleted {
        text += &format!("{application}:{} is deleted\n", release.version);
    }
    for release in &outcome.kept {
        text += &format!("{application}:{} stays: {}\n", release.version, release.why);
    }
    if outcome.deleted.is_empty() {
        text += "nothing was deleted\n";
    } else if let Some(bytes) = outcome.planned_bytes {
        text += &format!("collecting {} ({bytes} bytes)\n", HumanBytes(bytes));
    }
    text
}

fn freed_text(bytes: Option<u64>) -> String {
    match bytes {
        Some(bytes) => format!("{} ({bytes} bytes) were freed\n", HumanBytes(bytes)),
        None => "pushes or pulls that began earlier may still need the data: once they have \
                 ended, this collection or the next one frees it\n"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use seawall_api::digest::ReleaseDigest;
    use seawall_api::v1::Verdict;

    use super::*;

    #[test]
    fn a_plan_says_what_goes_why_and_what_that_frees() {
        let verdict = |version: &str, fate, reason: &str| Verdict {
            version: version.parse().unwrap(),
            digest: ReleaseDigest::from_bytes([1; 32]),
            fate,
            reasons: vec![reason.to_owned()],
        };
        let plan = RetentionPlan {
            application: "shop".parse().unwrap(),
            verdicts: vec![
                verdict("1.1", Fate::Stays, "pin audit"),
                verdict("1.0", Fate::Goes, "no rule of the application keeps it"),
            ],
            freed_bytes: Some(3 << 20),
        };
        assert_eq!(
            plan_text(&plan),
            "VERSION  FATE   WHY\n\
             1.1      stays  pin audit\n\
             1.0      GOES   no rule of the application keeps it\n\n\
             1 of 2 releases would be deleted, which frees 3.0 MiB (3145728 bytes)\n"
        );
    }

    #[test]
    fn a_policy_is_read_as_a_sentence() {
        let policy = RetentionPolicy {
            keep_last: Some(5),
            keep_last_prereleases: Some(2),
            keep_younger_secs: Some(30 * 24 * 3600),
            keep_superseded_secs: Some(12 * 3600),
            keep_expired_hosts_secs: Some(90),
        };
        assert_eq!(
            rules(&policy),
            "the last 5, the last 2 prereleases, younger than 30d, left by a channel less than \
             12h ago, on hosts silent for less than 90s"
        );
    }
}
