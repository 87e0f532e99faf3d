//! The Query protocol of EC2 (2016-11-15), and the calls of the token and parameter services.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::answer::{Answer, Outcome, Refusal, element};
use super::http::{Request, form};
use super::signature::Scope;
use super::state::Account;
use super::{ACCOUNT, images, snapshots};

/// The parameters of a call.
#[derive(Debug)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn need(&self, name: &str) -> Result<&str, Refusal> {
        let message = format!("The request must contain the parameter {name}");
        self.get(name).ok_or_else(|| Refusal::query("MissingParameter", message))
    }

    pub(super) fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Returns the values of `NAME.1`, `NAME.2`, …
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|n| self.get(&format!("{name}.{n}"))).collect()
    }

    /// Returns the filters: name, and values.
    pub(super) fn filters(&self) -> Vec<(&str, Vec<&str>)> {
        let filter = |n: u32| {
            let name = self.get(&format!("Filter.{n}.Name"))?;
            Some((name, self.list(&format!("Filter.{n}.Value"))))
        };
        (1..).map_while(filter).collect()
    }

    /// Returns the tags for a kind of object.
    ///
    /// # Errors
    /// Fails if a specification is for a kind that the call does not make.
    pub(super) fn tags(&self, kinds: &[&str]) -> Result<Vec<BTreeMap<String, String>>, Refusal> {
        let mut all = vec![BTreeMap::new(); kinds.len()];
        for n in 1.. {
            let base = format!("TagSpecification.{n}");
            let Some(kind) = self.get(&format!("{base}.ResourceType")) else { break };
            let Some(at) = kinds.iter().position(|it| *it == kind) else {
                let message = format!("'{kind}' is not a valid taggable resource type");
                return Err(Refusal::query("InvalidParameterValue", message));
            };
            for n in 1.. {
                let Some(key) = self.get(&format!("{base}.Tag.{n}.Key")) else { break };
                let value = self.get(&format!("{base}.Tag.{n}.Value")).unwrap_or_default();
                super::ebs::check_tag(key, value)?;
                all[at].insert(key.to_owned(), value.to_owned());
            }
        }
        Ok(all)
    }
}

/// Returns whether tags pass a filter; `None` if the filter is not on tags.
pub(super) fn by_tag(tags: &BTreeMap<String, String>, name: &str, values: &[&str]) -> Option<bool> {
    if name == "tag-key" {
        return Some(values.iter().any(|value| tags.contains_key(*value)));
    }
    let key = name.strip_prefix("tag:")?;
    Some(tags.get(key).is_some_and(|value| values.contains(&value.as_str())))
}

/// Fails for a filter that the operation does not know.
pub(super) fn unknown_filter(name: &str) -> Refusal {
    Refusal::query("InvalidParameterValue", format!("The filter '{name}' is invalid"))
}

pub(super) fn dispatch(
    request: &Request,
    operation: &str,
    scope: &Scope,
    account: &mut Account,
) -> Outcome {
    if operation == "PutParameter" {
        return parameter(request, account);
    }
    if !request.header("content-type").starts_with("application/x-www-form-urlencoded") {
        return Err(Refusal::query("InvalidRequest", "a call is a form"));
    }
    let form = form(&String::from_utf8_lossy(&request.body));
    let call = Parameters(form.into_iter().collect());
    let version = if operation == "GetCallerIdentity" { "2011-06-15" } else { "2016-11-15" };
    if call.need("Version")? != version {
        return Err(Refusal::query("InvalidAction", "of another version"));
    }
    if call.get("DryRun") == Some("true") {
        return Err(Refusal::new(412, "DryRunOperation", "Request would have succeeded"));
    }
    let region = scope.region.as_str();
    match operation {
        "GetCallerIdentity" => identity(),
        "DescribeInstances" => instances(&call, account),
        "DescribeSnapshots" => snapshots::describe(&call, region, account),
        "DeleteSnapshot" => snapshots::delete(&call, account),
        "DescribeImages" => images::describe(&call, region, account),
        "RegisterImage" => images::register(&call, region, account),
        "CopyImage" => images::copy(&call, region, account),
        "DeregisterImage" => images::deregister(&call, account),
        "ModifyImageAttribute" => images::share(&call, account),
        "EnableImageDeprecation" => images::deprecate(&call, account),
        "DisableImageDeprecation" => images::undeprecate(&call, account),
        "DisableImage" => images::enable(&call, account, false),
        "EnableImage" => images::enable(&call, account, true),
        _ => Err(Refusal::query("InvalidAction", format!("no operation {operation}"))),
    }
}

fn identity() -> Outcome {
    let mut inner = String::from("<GetCallerIdentityResult>");
    element(&mut inner, "Arn", &format!("arn:aws:iam::{ACCOUNT}:user/ci"));
    element(&mut inner, "Account", ACCOUNT);
    inner.push_str("</GetCallerIdentityResult>");
    Ok(Answer::xml("GetCallerIdentity", &inner))
}

fn instances(call: &Parameters, account: &Account) -> Outcome {
    let mut inner = String::from("<reservationSet>");
    for (name, image) in &account.instances {
        let is_wanted = call.filters().iter().all(|(filter, values)| match *filter {
            "image-id" => values.contains(&image.as_str()),
            _ => true,
        });
        if is_wanted {
            let _ = write!(
                inner,
                "<item><instancesSet><item><instanceId>{name}</instanceId><imageId>{image}\
                 </imageId></item></instancesSet></item>"
            );
        }
    }
    inner.push_str("</reservationSet>");
    Ok(Answer::xml("DescribeInstances", &inner))
}

fn parameter(request: &Request, account: &mut Account) -> Outcome {
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    if account.parameters.contains_key(&text("Name")) && body["Overwrite"] != true {
        return Err(Refusal::new(400, "ParameterAlreadyExists", "the parameter exists"));
    }
    account.parameters.insert(text("Name"), text("Value"));
    Ok(Answer::json(200, &serde_json::json!({ "Version": 1, "Tier": "Standard" })))
}
