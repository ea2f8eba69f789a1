//! The wire format of `admission.k8s.io/v1`, as far as we read it.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::k8s::Text;

/// The one version that we speak; `v1beta1` left Kubernetes with 1.22.
pub const API_VERSION: &str = "admission.k8s.io/v1";
/// The kind of request and answer alike.
pub const KIND: &str = "AdmissionReview";

/// An `AdmissionRequest`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// Goes back in the answer.
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// The kind of the object that was sent.
    #[serde(borrow)]
    pub kind: Kind<'a>,
    /// The resource that it was sent to.
    #[serde(borrow)]
    pub resource: Resource<'a>,
    /// `status`, `resize`, `ephemeralcontainers` and so on; absent or empty for the resource itself.
    #[serde(default, borrow)]
    pub sub_resource: Option<Text<'a>>,
    /// The namespace; the one in the object may be missing.
    #[serde(default, borrow)]
    pub namespace: Option<Text<'a>>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    #[serde(borrow)]
    pub operation: Text<'a>,
    /// Whether nothing will be stored.
    #[serde(default)]
    pub dry_run: Option<bool>,
    /// The object, still as bytes: most of it is never looked at.
    #[serde(default, borrow)]
    pub object: Option<&'a RawValue>,
    /// What it was before, on an update.
    #[serde(default, borrow)]
    pub old_object: Option<&'a RawValue>,
}

impl<'a> Request<'a> {
    /// What the API server would ask about a pod that is created in a namespace and not to be stored.
    pub fn trial(pod: &'a RawValue, namespace: &'a str) -> Self {
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
    /// The kind.
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

/// Why a body can not be answered with a review.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Not JSON, or not of this shape.
    #[error("the body is not an AdmissionReview: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Another kind or version.
    #[error("the body is `{kind}` of `{api_version}`; this endpoint takes {KIND} of {API_VERSION}")]
    Other {
        /// Its version.
        api_version: String,
        /// Its kind.
        kind: String,
    },
    /// A review without a request, or a request without a uid: an answer, perhaps.
    #[error("the AdmissionReview has no request with a uid")]
    NoRequest,
}

/// Reads a body.
pub fn read(body: &[u8]) -> Result<Request<'_>, ReviewError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Review<'a> {
        #[serde(default, borrow)]
        api_version: Text<'a>,
        #[serde(default, borrow)]
        kind: Text<'a>,
        // Parsed after the head: another kind of document may hold anything under this name.
        #[serde(default, borrow)]
        request: Option<&'a RawValue>,
    }
    let review: Review<'_> = serde_json::from_slice(body)?;
    if &*review.api_version != API_VERSION || &*review.kind != KIND {
        return Err(ReviewError::Other {
            api_version: review.api_version.to_string(),
            kind: review.kind.to_string(),
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
    /// Whether this is the creation of a pod, and not an update or one of its subresources: resize, ephemeral containers, eviction and
    /// binding refuse any change to resources.
    pub fn creates_pod(&self) -> bool {
        &*self.operation == "CREATE" && self.is_of_pod() && self.subresource().is_empty()
    }

    /// Whether this changes a pod that is there, in a way that could open a way to GPUs: by an annotation or an ephemeral container.
    pub fn changes_pod(&self) -> bool {
        &*self.operation == "UPDATE" && self.is_of_pod() && matches!(self.subresource(), "" | "ephemeralcontainers")
    }

    fn is_of_pod(&self) -> bool {
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
    fn bodies_that_are_no_review_are_told_so() {
        for (body, words) in [
            ("", "not an AdmissionReview"),
            ("[7]", "not an AdmissionReview"),
            // serde reads a list as a struct without names.
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
