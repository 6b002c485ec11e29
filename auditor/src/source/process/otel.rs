//! What a process declares of itself in OpenTelemetry's variables.

use super::clip;
use super::environ::Environ;

/// Longest value that is kept.
const VALUE_CAP: usize = 256;

/// The attributes of a resource that are reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    /// `service.name`.
    pub(super) name: Option<String>,
    /// `service.namespace`.
    pub(super) namespace: Option<String>,
    /// `service.version`.
    pub(super) version: Option<String>,
    /// `service.instance.id`.
    pub(super) instance_id: Option<String>,
    /// `deployment.environment.name`, or `deployment.environment` as it was called before.
    pub(super) environment: Option<String>,
}

impl Declared {
    /// `OTEL_SERVICE_NAME` goes before the `service.name` of `OTEL_RESOURCE_ATTRIBUTES`.
    pub(super) fn of(environ: &Environ) -> Self {
        let attributes = environ.resource_attributes.as_deref().and_then(attributes).unwrap_or_default();
        // The last of several, as in SDKs.
        let find = |key: &str| {
            let value = attributes.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.trim());
            value.filter(|value| !value.is_empty()).map(|value| clip(value, VALUE_CAP))
        };
        let name = environ.service_name.as_deref().map(|name| clip(name, VALUE_CAP));
        Self {
            name: name.or_else(|| find("service.name")),
            namespace: find("service.namespace"),
            version: find("service.version"),
            instance_id: find("service.instance.id"),
            environment: find("deployment.environment.name").or_else(|| find("deployment.environment")),
        }
    }
}

/// `key=value,key=value`, percent-encoded. One error, and the whole is worth nothing: so the specification has it.
fn attributes(text: &str) -> Option<Vec<(String, String)>> {
    let member = |member: &str| {
        // Baggage allows `=` in values.
        let (key, value) = member.split_once('=')?;
        let key = decode(key.trim()).filter(|key| !key.is_empty())?;
        Some((key, decode(value.trim())?))
    };
    text.split(',').map(member).collect()
}

/// `%41` → `A`. `None`: half an escape, or no UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        bytes.push(match byte {
            b'%' => u8::try_from(digit()? * 16 + digit()?).ok()?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(name: Option<&str>, attributes: &str) -> Declared {
        let text = |text: &str| Some(text.to_owned());
        let environ =
            Environ { service_name: name.and_then(text), resource_attributes: text(attributes), ..Environ::default() };
        Declared::of(&environ)
    }

    #[test]
    fn attributes_are_read_as_the_specification_says() {
        let all = "service.name=shop,service.namespace=store , service.version=1.2%2C3,service.instance.id=i%C3%A9, \
                   deployment.environment=old,deployment.environment.name=new,other=a=b";
        let text = |text: &str| Some(text.to_owned());
        let expected = Declared {
            name: text("shop"),
            namespace: text("store"),
            version: text("1.2,3"),
            instance_id: text("ié"),
            environment: text("new"),
        };
        assert_eq!(declared(None, all), expected);
        assert_eq!(declared(Some("cart"), all).name.as_deref(), Some("cart"));
        assert_eq!(declared(None, "deployment.environment=test").environment.as_deref(), Some("test"));
        assert_eq!(declared(None, "service%2Ename=a,service.name=b").name.as_deref(), Some("b"));
        assert_eq!(declared(None, "service.name=,service.version= ").name, None);
        assert_eq!(declared(None, &format!("service.name={}", "é".repeat(200))).name.map(|name| name.len()), Some(256));
    }

    #[test]
    fn what_is_malformed_is_worth_nothing_as_a_whole() {
        for wrong in ["novalue", "a=b,", ",a=b", "=x", "a=%", "a=%4", "a=%zz", "a=%+1", "a=%ff", "%ff=a", " =b"] {
            assert_eq!(declared(None, &format!("service.name=shop,{wrong}")), Declared::default(), "{wrong}");
            assert_eq!(declared(Some("cart"), &format!("service.name=shop,{wrong}")).name.as_deref(), Some("cart"));
        }
        assert_eq!(declared(None, ""), Declared::default());
    }
}
