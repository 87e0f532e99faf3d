//! EC2's Query protocol: forms out, XML in.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use roxmltree::{Document, Node};

use super::CloudError;
use super::wire::{Call, Wire};

/// The version of EC2's API.
const EC2_VERSION: &str = "2016-11-15";
/// The version of the API of the token service.
const STS_VERSION: &str = "2011-06-15";
/// The maximum number of pages of a list.
const PAGES_MAX: usize = 1000;
/// The number of objects of a page.
const PAGE_LEN: &str = "1000";

/// A call of the Query protocol.
#[derive(Clone, Debug)]
pub(super) struct Query {
    service: &'static str,
    action: &'static str,
    about: String,
    form: Vec<(String, String)>,
}

impl Query {
    pub(super) fn new(action: &'static str) -> Self {
        let form = vec![("Version".to_owned(), EC2_VERSION.to_owned())];
        Self { service: "ec2", action, about: String::new(), form }
    }

    /// Names the object that the call is about, for messages.
    pub(super) fn about(mut self, object: &str) -> Self {
        self.about = format!(" {object}");
        self
    }

    /// Adds a parameter.
    pub(super) fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.form.push((name.into(), value.into()));
        self
    }

    /// Adds a filter with one value.
    pub(super) fn filter(self, n: usize, name: &str, value: &str) -> Self {
        self.with(format!("Filter.{n}.Name"), name).with(format!("Filter.{n}.Value.1"), value)
    }

    /// Adds tags for new objects of a kind.
    pub(super) fn tags(self, n: usize, kind: &str, tags: &BTreeMap<String, String>) -> Self {
        let base = format!("TagSpecification.{n}");
        let mut query = self.with(format!("{base}.ResourceType"), kind);
        for (n, (key, value)) in (1..).zip(tags) {
            query = query
                .with(format!("{base}.Tag.{n}.Key"), key)
                .with(format!("{base}.Tag.{n}.Value"), value);
        }
        query
    }

    fn call(&self) -> Call {
        let mut form = format!("Action={}", self.action);
        for (name, value) in &self.form {
            form.push_str(&format!("&{}={}", encoded(name), encoded(value)));
        }
        let kind = "application/x-www-form-urlencoded; charset=utf-8".to_owned();
        Call {
            service: self.service,
            name: format!("{}{}", self.action, self.about),
            method: Method::POST,
            target: "/".to_owned(),
            headers: vec![("content-type", kind)],
            body: Bytes::from(form),
            is_body_signed: true,
        }
    }

    /// Sends the call and reads the answer.
    ///
    /// # Errors
    /// Fails as [`Wire::send`] does, or if the answer is no XML.
    pub(super) async fn send<T>(
        &self,
        wire: &Wire,
        read: impl Fn(Node<'_, '_>) -> T,
    ) -> Result<T, CloudError> {
        let call = self.call();
        let reply = wire.send(&call).await?;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let document = Document::parse(&text).map_err(|error| CloudError::Answer {
            call: call.name.clone(),
            why: error.to_string(),
        })?;
        Ok(read(document.root_element()))
    }

    /// Sends the call for every page of a list, and returns what `read` makes of the items of the
    /// element `set`.
    ///
    /// # Errors
    /// As for [`Self::send`], and for a list without end.
    pub(super) async fn all<T>(
        &self,
        wire: &Wire,
        set: &str,
        read: impl Fn(Node<'_, '_>) -> Option<T>,
    ) -> Result<Vec<T>, CloudError> {
        let mut all = Vec::new();
        let mut token = None;
        for _ in 0..PAGES_MAX {
            let mut query = self.clone().with("MaxResults", PAGE_LEN);
            if let Some(token) = token {
                query = query.with("NextToken", token);
            }
            let read_page = |root: Node<'_, '_>| {
                let items: Vec<T> = items(root, set).filter_map(&read).collect();
                (items, text(root, "nextToken"))
            };
            let (items, next) = query.send(wire, read_page).await?;
            all.extend(items);
            token = next.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(all);
            }
        }
        let why = format!("a list of more than {PAGES_MAX} pages");
        Err(CloudError::Answer { call: self.action.to_owned(), why })
    }
}

/// Returns the number of the account of the credentials.
///
/// # Errors
/// Fails if the credentials are refused.
pub(super) async fn account(wire: &Wire) -> Result<String, CloudError> {
    let query = Query {
        service: "sts",
        action: "GetCallerIdentity",
        about: String::new(),
        form: vec![("Version".to_owned(), STS_VERSION.to_owned())],
    };
    let find = |root: Node<'_, '_>| {
        let mut nodes = root.descendants().filter(|node| node.tag_name().name() == "Account");
        nodes.find_map(|node| node.text().map(str::to_owned))
    };
    query.send(wire, find).await?.ok_or_else(|| CloudError::Answer {
        call: query.action.to_owned(),
        why: "it names no account".to_owned(),
    })
}

/// Returns the child elements `item` of the child element `set`.
pub(super) fn items<'a>(
    node: Node<'a, 'a>,
    set: &str,
) -> impl Iterator<Item = Node<'a, 'a>> + use<'a> {
    child(node, set).into_iter().flat_map(|set| set.children()).filter(Node::is_element)
}

/// Returns the child element of a name, in any namespace.
pub(super) fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    node.children().find(|it| it.tag_name().name() == name)
}

/// Returns the text of a child element.
pub(super) fn text(node: Node<'_, '_>, name: &str) -> Option<String> {
    let found = node.children().find(|it| it.tag_name().name() == name);
    found.map(|it| it.text().unwrap_or_default().to_owned())
}

/// Returns the tags of an object.
pub(super) fn tags(node: Node<'_, '_>) -> BTreeMap<String, String> {
    let Some(set) = node.children().find(|it| it.tag_name().name() == "tagSet") else {
        return BTreeMap::new();
    };
    let pair = |item: Node<'_, '_>| Some((text(item, "key")?, text(item, "value")?));
    set.children().filter(Node::is_element).filter_map(pair).collect()
}

/// Returns the name and the message of an error document.
pub(super) fn error_of_xml(body: &str) -> Option<(String, String)> {
    let document = Document::parse(body).ok()?;
    let find = |name: &str| {
        let mut nodes = document.descendants().filter(|node| node.tag_name().name() == name);
        nodes.find_map(|node| node.text()).map(str::to_owned)
    };
    Some((find("Code")?, find("Message").unwrap_or_default()))
}

/// Encodes text as a form of a signed request does.
pub(super) fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
