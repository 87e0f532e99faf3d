//! `ProductSection`: facts about a product, and properties that a deployer may set.

use roxmltree::Node;
use seawall_api::release::Parameter;

use super::shortened;
use super::xml::{SEAWALL, attribute, children, flag, foreign, named, text, text_of, title};
use crate::ovf::envelope::{Envelope, Property, Unmapped};

const SECTION: &str = "ProductSection";

/// Reads a section. `machine` is empty for a collection's section.
pub(super) fn product(
    section: Node<'_, '_>,
    machine: &str,
    configuration: Option<&str>,
    envelope: &mut Envelope,
) -> (Vec<Property>, Vec<(&'static str, String)>) {
    let mut reader = Reader { machine, configuration, envelope };
    reader.section(section)
}

struct Reader<'a> {
    machine: &'a str,
    configuration: Option<&'a str>,
    envelope: &'a mut Envelope,
}

impl Reader<'_> {
    fn report(&mut self, what: impl Into<String>, why: &str) {
        let unmapped = Unmapped::new(SECTION, what, why);
        let machine = self.machine;
        let unmapped = if machine.is_empty() { unmapped } else { unmapped.of(machine) };
        self.envelope.unmapped.push(unmapped);
    }

    fn section(&mut self, section: Node<'_, '_>) -> (Vec<Property>, Vec<(&'static str, String)>) {
        let (mut properties, mut facts) = (Vec::new(), Vec::new());
        let affix = |name| attribute(section, name).filter(|it| !it.is_empty());
        let (class, instance) = (affix("class"), affix("instance"));
        for child in children(section) {
            let fact = match child.tag_name().name() {
                "Info" | "Category" => continue,
                "Product" => "product",
                "Vendor" => "vendor",
                "Version" => "product-version",
                "FullVersion" => "product-full-version",
                "ProductUrl" => "product-url",
                "VendorUrl" => "vendor-url",
                "Property" => {
                    let Some(key) = attribute(child, "key").filter(|key| !key.is_empty()) else {
                        self.report("a property", "it has no key");
                        continue;
                    };
                    let key = [class, Some(key), instance];
                    let key = key.into_iter().flatten().collect::<Vec<_>>().join(".");
                    properties.push(self.property(child, key));
                    continue;
                }
                _ => {
                    let why = "a release has no place for it";
                    self.report(title(child), why);
                    continue;
                }
            };
            if !text(child).is_empty() {
                facts.push((fact, shortened(text(child), self.envelope, SECTION)));
            }
        }
        (properties, facts)
    }

    fn property(&mut self, node: Node<'_, '_>, key: String) -> Property {
        let is_configurable = flag(node, "userConfigurable").unwrap_or(false);
        let (label, words) = (text_of(node, "Label"), text_of(node, "Description"));
        let description = match (label.is_empty(), words.is_empty()) {
            (false, false) => format!("{label}: {words}"),
            _ => format!("{label}{words}"),
        };
        let of_configuration = named(node, "Value")
            .find(|value| attribute(*value, "configuration") == self.configuration)
            .and_then(|value| attribute(value, "value"));
        let default = of_configuration.or_else(|| attribute(node, "value"));
        let default = default.map(|value| shortened(value, self.envelope, SECTION));
        let kind = attribute(node, "type").filter(|kind| !matches!(*kind, "string" | ""));
        let rules = [
            kind.map(|kind| format!("type {kind}")),
            foreign(node, "qualifiers").map(|rule| format!("qualifiers {rule}")),
            flag(node, "password").filter(|is| *is).map(|_| "that it is a password".to_owned()),
        ];
        let rules: Vec<_> = rules.into_iter().flatten().collect();
        if !rules.is_empty() {
            let what = format!("{} of property `{key}`", rules.join(", "));
            self.report(what, "parameters are texts without rules");
        }
        let required = match node.attribute((SEAWALL, "required")) {
            Some(exact) => exact == "true",
            None => is_configurable && default.as_deref().unwrap_or_default().is_empty(),
        };
        let description = shortened(&description, self.envelope, SECTION);
        let default = default.filter(|value| !value.is_empty());
        let parameter = Parameter { description, default, required };
        Property { key, is_configurable, parameter }
    }
}
