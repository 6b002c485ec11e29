//! The fields whose values are not simply masked, and what becomes of those.

/// What a field that framing and the description of an exchange need is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structural {
    Host,
    ContentLength,
    TransferEncoding,
    Upgrade,
    UserAgent,
    /// Nothing yet; recordings hold it.
    Other,
}

/// Those fields; lower case.
const STRUCTURAL: [(&str, Structural); 7] = [
    ("host", Structural::Host),
    ("content-length", Structural::ContentLength),
    ("transfer-encoding", Structural::TransferEncoding),
    ("connection", Structural::Other),
    ("upgrade", Structural::Upgrade),
    ("user-agent", Structural::UserAgent),
    ("expect", Structural::Other),
];

/// Fields whose values travel from a request to the calls made for it; lower case. See [`super::Masking`].
const AFFINE: [&str; 20] = [
    "authorization",
    COOKIE,
    "x-request-id",
    "request-id",
    "x-correlation-id",
    "correlation-id",
    "x-transaction-id",
    "x-client-request-id",
    "idempotency-key",
    "x-api-key",
    "x-auth-token",
    "x-session-id",
    "x-tenant-id",
    "x-tenant",
    "x-org-id",
    "x-scope-orgid",
    "x-account-id",
    "x-customer-id",
    "x-user-id",
    "x-user",
];

/// Those of them that name one request.
const NAME_REQUEST: [&str; 4] = ["x-request-id", "request-id", "x-client-request-id", "idempotency-key"];

/// Its value is pairs of name and value.
const COOKIE: &str = "cookie";

/// What becomes of the value of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It stays readable.
    Keep,
    /// Nothing of it stays.
    #[default]
    Mask,
    /// Its words can be compared.
    Words,
    /// So can the values of its pairs, with this byte between two pairs.
    Pairs(u8),
}

/// A field that is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    /// What becomes of its value in a request.
    pub(super) treatment: Treatment,
    /// Its lines travel on in [`RequestHead::fields`](crate::exchange::RequestHead::fields).
    pub(super) audited: bool,
    /// It is one of [`STRUCTURAL`], the only ones that are needed of a response.
    pub(super) structural: Option<Structural>,
    /// It is one of [`AFFINE`]. One that is audited, too, is compared as it is.
    pub(super) affine: bool,
    /// It is one of [`NAME_REQUEST`].
    pub(super) names_request: bool,
}

impl Field {
    /// The same field, now that somebody audits it.
    pub(super) fn audited(self) -> Self {
        Self { audited: true, treatment: Treatment::Keep, ..self }
    }
}

/// Every field that is listed whatever is audited.
pub(super) fn always() -> impl Iterator<Item = (&'static str, Field)> {
    let structural = |what| Field { treatment: Treatment::Keep, structural: Some(what), ..Field::default() };
    let affine = |name| Field {
        treatment: if name == COOKIE { Treatment::Pairs(b';') } else { Treatment::Words },
        affine: true,
        names_request: NAME_REQUEST.contains(&name),
        ..Field::default()
    };
    STRUCTURAL
        .into_iter()
        .map(move |(name, what)| (name, structural(what)))
        .chain(AFFINE.into_iter().map(move |name| (name, affine(name))))
}
