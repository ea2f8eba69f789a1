//! The wire format of `admission.k8s.io/v1` requests, as far as it is read.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::diagnostics::excerpt;
use crate::k8s::Text;

/// The only supported version. Kubernetes 1.22 removed `v1beta1`.
pub const API_VERSION: &str = "admission.k8s.io/v1";
/// The kind of both request and answer.
pub const KIND: &str = "AdmissionReview";

/// An `AdmissionRequest`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// Repeated in the answer.
    #[serde(borrow)]
    pub uid: Text<'a>,
    #[serde(borrow)]
    pub kind: Kind<'a>,
    #[serde(borrow)]
    pub resource: Resource<'a>,
    /// Such as `status`, `resize` or `ephemeralcontainers`; absent or empty for the resource
    /// itself.
    #[serde(default, borrow)]
    pub sub_resource: Option<Text<'a>>,
    /// The object itself may lack it.
    #[serde(default, borrow)]
    pub namespace: Option<Text<'a>>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    #[serde(borrow)]
    pub operation: Text<'a>,
    /// Whether the API server will store nothing.
    #[serde(default)]
    pub dry_run: Option<bool>,
    /// Raw, because most of it is never read.
    #[serde(default, borrow)]
    pub object: Option<&'a RawValue>,
    /// The object before an update.
    #[serde(default, borrow)]
    pub old_object: Option<&'a RawValue>,
}

impl<'a> Request<'a> {
    /// The request that the API server sends for the dry-run creation of a pod.
    pub fn dry_run_creation(pod: &'a RawValue, namespace: &'a str) -> Self {
        Request {
            uid: "".into(),
            kind: Kind {
                group: "".into(),
                kind: "Pod".into(),
            },
            resource: Resource {
                group: "".into(),
                resource: "pods".into(),
            },
            sub_resource: None,
            namespace: Some(namespace.into()),
            operation: "CREATE".into(),
            dry_run: Some(true),
            object: Some(pod),
            old_object: None,
        }
    }
}

/// A `metav1.GroupVersionKind`.
#[derive(Debug, Deserialize)]
pub struct Kind<'a> {
    /// Empty for the core group.
    #[serde(default, borrow)]
    pub group: Text<'a>,
    #[serde(default, borrow)]
    pub kind: Text<'a>,
}

/// A `metav1.GroupVersionResource`.
#[derive(Debug, Deserialize)]
pub struct Resource<'a> {
    /// Empty for the core group.
    #[serde(default, borrow)]
    pub group: Text<'a>,
    /// The plural name.
    #[serde(default, borrow)]
    pub resource: Text<'a>,
}

/// Why a body cannot be answered with a review.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    #[error("the body is not an AdmissionReview: {}", excerpt(&.0.to_string()))]
    Malformed(#[from] serde_json::Error),
    #[error("the body is `{kind}` of `{api_version}`; this endpoint takes {KIND} of {API_VERSION}")]
    Other { api_version: String, kind: String },
    /// The body may be an answer.
    #[error("the AdmissionReview has no request with a uid")]
    NoRequest,
}

/// Parses a request body.
pub fn read(body: &[u8]) -> Result<Request<'_>, ReviewError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Review<'a> {
        #[serde(default, borrow)]
        api_version: Text<'a>,
        #[serde(default, borrow)]
        kind: Text<'a>,
        // Parsed after kind and version: other documents may have anything under this name.
        #[serde(default, borrow)]
        request: Option<&'a RawValue>,
    }
    let review: Review<'_> = serde_json::from_slice(body)?;
    if &*review.api_version != API_VERSION || &*review.kind != KIND {
        return Err(ReviewError::Other {
            api_version: excerpt(&review.api_version).into_owned(),
            kind: excerpt(&review.kind).into_owned(),
        });
    }
    let request: Request<'_> = serde_json::from_str(review.request.ok_or(ReviewError::NoRequest)?.get())?;
    if request.uid.is_empty() {
        Err(ReviewError::NoRequest)
    } else {
        Ok(request)
    }
}

impl Request<'_> {
    /// Whether the request creates a pod. Requests for subresources do not: resize, ephemeral
    /// containers, eviction and binding do not allow changes to extended resources.
    pub fn creates_pod(&self) -> bool {
        &*self.operation == "CREATE" && self.is_for_pod() && self.subresource().is_empty()
    }

    /// Whether the request updates a pod in a way that can add access to GPUs: with an annotation
    /// or an ephemeral container.
    pub fn updates_pod(&self) -> bool {
        &*self.operation == "UPDATE" && self.is_for_pod() && matches!(self.subresource(), "" | "ephemeralcontainers")
    }

    fn is_for_pod(&self) -> bool {
        self.resource.group.is_empty()
            && &*self.resource.resource == "pods"
            && self.kind.group.is_empty()
            && &*self.kind.kind == "Pod"
    }

    fn subresource(&self) -> &str {
        self.sub_resource.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_are_not_reviews_are_rejected() {
        for (body, words) in [
            ("", "not an AdmissionReview"),
            ("[7]", "not an AdmissionReview"),
            // serde reads a list as a struct without field names.
            ("[]", "takes AdmissionReview"),
            ("{}", "takes AdmissionReview of admission.k8s.io/v1"),
            (
                r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{}}"#,
                "`admission.k8s.io/v1beta1`",
            ),
            (
                r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#,
                "no request",
            ),
            (
                r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}"#,
                "no request",
            ),
            (
                r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u"}}"#,
                "missing field",
            ),
            (
                r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"","kind":{},"resource":{},"operation":"CREATE"}}"#,
                "no request",
            ),
            (r#"{"kind":"Pod","apiVersion":"v1","request":7}"#, "`Pod` of `v1`"),
        ] {
            let error = read(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words), "{body}: {error}");
        }
    }
}
