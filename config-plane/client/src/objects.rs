//! Whole objects of the World as typed calls: `("pools", "web")` with `T` a `model::Pool`.

use http::{HeaderValue, Method, header};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Because, Call, ClientError, PlaneClient,
    api::{Applied, objects::ObjectList},
    client::{JSON, json, parse},
    human::signed_call,
};

/// An object, and the tag of what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged<T> {
    /// What it says.
    pub object: T,
    /// What a change of it has to be made from.
    pub etag: String,
}

/// What a change of an object was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeFrom<'a> {
    /// The object with this tag.
    Tag(&'a str),
    /// Whatever it is; it must be there.
    Whatever,
    /// Nothing: there must be none yet.
    Nothing,
}

impl MadeFrom<'_> {
    fn on(self, call: Call) -> Result<Call, ClientError> {
        let (name, text) = match self {
            Self::Tag(tag) => (header::IF_MATCH, tag),
            Self::Whatever => (header::IF_MATCH, "*"),
            Self::Nothing => (header::IF_NONE_MATCH, "*"),
        };
        let value = HeaderValue::try_from(text)
            .map_err(|e| ClientError::Protocol(format!("`{text}` cannot be sent as a tag: {e}")))?;
        Ok(call.header(name, value))
    }
}

impl PlaneClient {
    /// All objects of a kind: `regions`, `checks`, `pools`, `zones`, `safety-rules`.
    pub async fn objects(&self, kind: &str) -> Result<ObjectList, ClientError> {
        self.read(&format!("/v1/{kind}")).await
    }

    /// One of them.
    pub async fn object<T: DeserializeOwned>(&self, kind: &str, name: &str) -> Result<Tagged<T>, ClientError> {
        let answer = self.ask(&Call::get(format!("/v1/{kind}/{name}")), false).await?;
        let etag = answer.headers.get(header::ETAG).and_then(|value| value.to_str().ok());
        let etag = etag.ok_or_else(|| ClientError::Protocol("the object came without its ETag".into()))?.to_owned();
        Ok(Tagged { object: parse(&answer)?, etag })
    }

    /// Makes or replaces one of them.
    pub async fn put_object(
        &self,
        (kind, name): (&str, &str),
        object: &impl Serialize,
        from: MadeFrom<'_>,
        because: Because<'_>,
    ) -> Result<Applied, ClientError> {
        let call = signed_call(Method::PUT, &format!("/v1/{kind}/{name}"), because)?;
        self.write(&from.on(call.body(JSON, json(object)?))?).await
    }

    /// Removes one of them, if nothing refers to it.
    pub async fn delete_object(
        &self,
        (kind, name): (&str, &str),
        from: MadeFrom<'_>,
        because: Because<'_>,
    ) -> Result<Applied, ClientError> {
        let call = signed_call(Method::DELETE, &format!("/v1/{kind}/{name}"), because)?;
        self.write(&from.on(call)?).await
    }
}
