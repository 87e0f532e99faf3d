//! Answers and errors of the services, in the form of each protocol.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = BTreeMap::from([("content-type".into(), "application/json".into())]);
        Self { status, headers, body: body.to_string().into_bytes() }
    }

    /// Returns the answer of a Query operation.
    pub(super) fn xml(operation: &str, inner: &str) -> Self {
        let name = format!("{operation}Response");
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{name} \
             xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r-1</requestId>\
             {inner}</{name}>"
        );
        let headers = BTreeMap::from([("content-type".into(), "text/xml;charset=UTF-8".into())]);
        Self { status: 200, headers, body: body.into_bytes() }
    }
}

/// A refusal: status, name, reason of a validation, and message.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) name: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// The result of an operation.
pub(super) type Outcome = Result<Answer, Refusal>;

impl Refusal {
    pub(super) fn new(status: u16, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, reason: "", message: message.into() }
    }

    /// Returns a ValidationException of the EBS direct API.
    pub(super) fn validation(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, name: "ValidationException", reason, message: message.into() }
    }

    /// Returns a refusal of a Query operation.
    pub(super) fn query(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, name, message)
    }

    pub(super) fn as_json(&self) -> Answer {
        let body = serde_json::json!({ "message": self.message, "Reason": self.reason });
        let mut answer = Answer::json(self.status, &body);
        let kind = format!("{}:http://internal.amazon.com/coral/com.amazon.ebs/", self.name);
        answer.headers.insert("x-amzn-ErrorType".into(), kind);
        answer
    }

    pub(super) fn as_xml(&self) -> Answer {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{}</Code>\
             <Message>{}</Message></Error></Errors><RequestID>r-1</RequestID></Response>",
            self.name,
            escaped(&self.message)
        );
        let headers = BTreeMap::from([("content-type".into(), "text/xml;charset=UTF-8".into())]);
        Answer { status: self.status, headers, body: body.into_bytes() }
    }
}

/// Escapes text for XML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Writes an element with text.
pub(super) fn element(out: &mut String, name: &str, text: &str) {
    let _ = write!(out, "<{name}>{}</{name}>", escaped(text));
}

/// Writes the tags of an object.
pub(super) fn tag_set(out: &mut String, tags: &BTreeMap<String, String>) {
    out.push_str("<tagSet>");
    for (key, value) in tags {
        out.push_str("<item>");
        element(out, "key", key);
        element(out, "value", value);
        out.push_str("</item>");
    }
    out.push_str("</tagSet>");
}

/// Formats seconds since 1970 as AWS does.
pub(super) fn moment(secs: u64) -> String {
    seawall_api::moment::rfc3339(secs).replace('Z', ".000Z")
}
